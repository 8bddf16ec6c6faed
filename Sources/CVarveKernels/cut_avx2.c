// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors
//
// The hash of cut.h for 32 positions at a time with AVX2. Even and odd positions are kept in two vectors: one
// multiply-and-add of byte pairs then does the work of an unpack, two multiplications and an addition.
#if defined(__x86_64__)
#include "cut.h"

#include <immintrin.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2")))
#define AVX2_INLINE static inline __attribute__((always_inline, target("avx2")))

enum { step = 32 };

typedef struct {
    __m256i newest, older, m4, m8, m16, above;
} constants;

/// Sums over 4, 8 and 16 bytes of the preceding step, for the positions after odd and after even offsets.
typedef struct {
    __m256i odd4, odd8, odd16, even4, even8, even16;
} history;

AVX2_INLINE __m256i sum4(const uint8_t *bytes, const constants *k) {
    const __m256i newest = _mm256_maddubs_epi16(_mm256_loadu_si256((const __m256i_u *)bytes), k->newest);
    const __m256i older = _mm256_maddubs_epi16(_mm256_loadu_si256((const __m256i_u *)(bytes - 2)), k->older);
    return _mm256_add_epi16(newest, older);
}

/// The last 16 bytes of `before` and the first 16 of `now`.
AVX2_INLINE __m256i middle(__m256i before, __m256i now) { return _mm256_permute2x128_si256(before, now, 0x21); }

AVX2_INLINE __m256i plus(__m256i sum, __m256i earlier, __m256i weight) {
    return _mm256_add_epi16(sum, _mm256_mullo_epi16(earlier, weight));
}

/// A bit for each of the 32 windows that end with data[at] ... data[at + 31], if its hash is accepted.
AVX2_INLINE int accepted(const uint8_t *at, const constants *k, history *past, __m256i *even, __m256i *odd) {
    const __m256i odd4 = sum4(at, k), even4 = sum4(at - 1, k);
    const __m256i odd8 = plus(odd4, _mm256_alignr_epi8(odd4, middle(past->odd4, odd4), 12), k->m4);
    const __m256i even8 = plus(even4, _mm256_alignr_epi8(even4, middle(past->even4, even4), 12), k->m4);
    const __m256i odd16 = plus(odd8, _mm256_alignr_epi8(odd8, middle(past->odd8, odd8), 8), k->m8);
    const __m256i even16 = plus(even8, _mm256_alignr_epi8(even8, middle(past->even8, even8), 8), k->m8);
    const __m256i odd32 = plus(odd16, middle(past->odd16, odd16), k->m16);
    const __m256i even32 = plus(even16, middle(past->even16, even16), k->m16);
    *past = (history){odd4, odd8, odd16, even4, even8, even16};
    *even = _mm256_cmpgt_epi16(even32, k->above);
    *odd = _mm256_cmpgt_epi16(odd32, k->above);
    const __m256i any = _mm256_or_si256(*even, *odd);
    return !_mm256_testz_si256(any, any);
}

/// The first accepted position >= from among those of a step that begins at `at`, or SIZE_MAX.
AVX2 static size_t first(size_t at, size_t from, __m256i even, __m256i odd) {
    // Two equal bits for each 16-bit lane: keep the one whose place is the position.
    uint32_t mask = ((uint32_t)_mm256_movemask_epi8(even) & 0x55555555u)
        | ((uint32_t)_mm256_movemask_epi8(odd) & 0xaaaaaaaau);
    if (at + 1 < from) {
        const size_t skip = from - (at + 1);
        mask = skip < step ? mask & (UINT32_MAX << skip) : 0;
    }
    return mask != 0 ? at + 1 + (size_t)__builtin_ctz(mask) : SIZE_MAX;
}

AVX2 size_t varve_scan_avx2(const uint8_t *data, size_t from, size_t to, size_t readable, int16_t above) {
    const constants k = {
        _mm256_set1_epi16(VARVE_CUT_A0 << 8 | VARVE_CUT_A1),
        _mm256_set1_epi16(VARVE_CUT_A2 << 8 | VARVE_CUT_A3),
        _mm256_set1_epi16((int16_t)VARVE_CUT_M4),
        _mm256_set1_epi16((int16_t)VARVE_CUT_M8),
        _mm256_set1_epi16((int16_t)VARVE_CUT_M16),
        _mm256_set1_epi16(above),
    };
    history past = {0};
    __m256i even, odd;
    size_t at = from - 1 - VARVE_CUT_WINDOW;
    for (; at + 1 < to && at + step <= readable; at += step) {
        if (__builtin_expect(accepted(data + at, &k, &past, &even, &odd), 0)) {
            const size_t position = first(at, from, even, odd);
            if (position < to) return position;
        }
    }
    if (at + 1 < to) {
        uint8_t last[3 + step] = {0};
        memcpy(last, data + at - 3, 3 + readable - at);
        if (accepted(last + 3, &k, &past, &even, &odd)) {
            const size_t position = first(at, from, even, odd);
            if (position < to) return position;
        }
    }
    return to;
}
#endif
