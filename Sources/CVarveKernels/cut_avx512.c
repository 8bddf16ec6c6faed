// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors
//
// The hash of cut.h for 64 positions at a time with AVX-512 BW. Even and odd positions are kept in two vectors: one
// multiply-and-add of byte pairs then does the work of an unpack, two multiplications and an addition, and every later
// shift is a whole number of 32-bit lanes.
#if defined(__x86_64__)
#include "cut.h"

#include <immintrin.h>
#include <string.h>

#define AVX512 __attribute__((target("avx512f,avx512bw")))
#define AVX512_INLINE static inline __attribute__((always_inline, target("avx512f,avx512bw")))

enum { step = 64 };

typedef struct {
    __m512i newest, older, m4, m8, m16, above;
} constants;

/// Sums over 4, 8 and 16 bytes of the preceding step, for the positions after odd and after even offsets.
typedef struct {
    __m512i odd4, odd8, odd16, even4, even8, even16;
} history;

typedef struct {
    __mmask32 even, odd;
} hits;

AVX512_INLINE __m512i sum4(const uint8_t *bytes, const constants *k) {
    const __m512i newest = _mm512_maddubs_epi16(_mm512_loadu_si512(bytes), k->newest);
    const __m512i older = _mm512_maddubs_epi16(_mm512_loadu_si512(bytes - 2), k->older);
    return _mm512_add_epi16(newest, older);
}

AVX512_INLINE __m512i plus(__m512i sum, __m512i earlier, __m512i weight) {
    return _mm512_add_epi16(sum, _mm512_mullo_epi16(earlier, weight));
}

/// A bit for each of the 64 windows that end with data[at] ... data[at + 63], if its hash is accepted.
AVX512_INLINE hits accepted(const uint8_t *at, const constants *k, history *past) {
    const __m512i odd4 = sum4(at, k), even4 = sum4(at - 1, k);
    const __m512i odd8 = plus(odd4, _mm512_alignr_epi32(odd4, past->odd4, 15), k->m4);
    const __m512i even8 = plus(even4, _mm512_alignr_epi32(even4, past->even4, 15), k->m4);
    const __m512i odd16 = plus(odd8, _mm512_alignr_epi32(odd8, past->odd8, 14), k->m8);
    const __m512i even16 = plus(even8, _mm512_alignr_epi32(even8, past->even8, 14), k->m8);
    const __m512i odd32 = plus(odd16, _mm512_alignr_epi32(odd16, past->odd16, 12), k->m16);
    const __m512i even32 = plus(even16, _mm512_alignr_epi32(even16, past->even16, 12), k->m16);
    *past = (history){odd4, odd8, odd16, even4, even8, even16};
    return (hits){_mm512_cmpgt_epi16_mask(even32, k->above), _mm512_cmpgt_epi16_mask(odd32, k->above)};
}

/// The first accepted position >= from among those of a step that begins at `at`, or SIZE_MAX.
static size_t first(size_t at, size_t from, hits found) {
    uint64_t even = found.even, odd = found.odd;
    if (at + 1 < from) {
        // Only a first step does this, by VARVE_CUT_WINDOW positions.
        const size_t skip = from - (at + 1);
        even = (skip + 1) / 2 < 32 ? even >> ((skip + 1) / 2) << ((skip + 1) / 2) : 0;
        odd = skip / 2 < 32 ? odd >> (skip / 2) << (skip / 2) : 0;
    }
    const size_t evenPlace = even != 0 ? 2 * (size_t)__builtin_ctzll(even) : SIZE_MAX / 2;
    const size_t oddPlace = odd != 0 ? 2 * (size_t)__builtin_ctzll(odd) + 1 : SIZE_MAX / 2;
    const size_t place = evenPlace < oddPlace ? evenPlace : oddPlace;
    return place < step ? at + 1 + place : SIZE_MAX;
}

AVX512 size_t varve_scan_avx512(const uint8_t *data, size_t from, size_t to, size_t readable, int16_t above) {
    const constants k = {
        _mm512_set1_epi16(VARVE_CUT_A0 << 8 | VARVE_CUT_A1),
        _mm512_set1_epi16(VARVE_CUT_A2 << 8 | VARVE_CUT_A3),
        _mm512_set1_epi16((int16_t)VARVE_CUT_M4),
        _mm512_set1_epi16((int16_t)VARVE_CUT_M8),
        _mm512_set1_epi16((int16_t)VARVE_CUT_M16),
        _mm512_set1_epi16(above),
    };
    history past = {0};
    size_t at = from - 1 - VARVE_CUT_WINDOW;
    for (; at + 1 < to && at + step <= readable; at += step) {
        const hits found = accepted(data + at, &k, &past);
        if (__builtin_expect((found.even | found.odd) != 0, 0)) {
            const size_t position = first(at, from, found);
            if (position < to) return position;
        }
    }
    if (at + 1 < to) {
        uint8_t last[3 + step] = {0};
        memcpy(last, data + at - 3, 3 + readable - at);
        const hits found = accepted(last + 3, &k, &past);
        if ((found.even | found.odd) != 0) {
            const size_t position = first(at, from, found);
            if (position < to) return position;
        }
    }
    return to;
}
#endif
