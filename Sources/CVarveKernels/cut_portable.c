// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors
//
// The hash of cut.h in vectors of 16 bytes, without intrinsics: SSE2 on x86-64, NEON on AArch64, plain words elsewhere.
// Even and odd positions are kept in two vectors, so that a byte pair is one 16-bit lane and nothing is unpacked.
#include "cut.h"

#include <string.h>

typedef uint16_t lanes __attribute__((vector_size(16)));
typedef int16_t signedLanes __attribute__((vector_size(16)));
typedef uint64_t halves __attribute__((vector_size(16)));

enum { step = 16 };

/// Sums over 4, 8 and 16 bytes of the preceding step, for the positions after odd and after even offsets.
typedef struct {
    lanes odd4, odd8, odd16, even4, even8, even16;
} history;

static inline __attribute__((always_inline)) lanes load(const uint8_t *bytes) {
    lanes value;
    memcpy(&value, bytes, sizeof value);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = (value << 8) | (value >> 8);
#endif
    return value;
}

#define LATER_BY_2(before, now) __builtin_shufflevector(before, now, 6, 7, 8, 9, 10, 11, 12, 13)
#define LATER_BY_4(before, now) __builtin_shufflevector(before, now, 4, 5, 6, 7, 8, 9, 10, 11)

/// Whether any of the 16 windows that end with data[at] ... data[at + 15] is accepted. Lane j of `even` is for the end
/// at + 2j, of `odd` for at + 2j + 1; an accepted lane is all ones.
static inline __attribute__((always_inline)) int accepted(
    const uint8_t *at, signedLanes above, history *past, signedLanes *even, signedLanes *odd) {
    const lanes now = load(at), two = load(at - 2), four = load(at - 4);
    const lanes even0 = now & 0xff, odd0 = now >> 8, even2 = two & 0xff, odd2 = two >> 8, odd4 = four >> 8;
    const lanes oddSum4 = odd0 * VARVE_CUT_A0 + even0 * VARVE_CUT_A1 + odd2 * VARVE_CUT_A2 + even2 * VARVE_CUT_A3;
    const lanes evenSum4 = even0 * VARVE_CUT_A0 + odd2 * VARVE_CUT_A1 + even2 * VARVE_CUT_A2 + odd4 * VARVE_CUT_A3;
    const lanes oddSum8 = oddSum4 + LATER_BY_2(past->odd4, oddSum4) * (uint16_t)VARVE_CUT_M4;
    const lanes evenSum8 = evenSum4 + LATER_BY_2(past->even4, evenSum4) * (uint16_t)VARVE_CUT_M4;
    const lanes oddSum16 = oddSum8 + LATER_BY_4(past->odd8, oddSum8) * (uint16_t)VARVE_CUT_M8;
    const lanes evenSum16 = evenSum8 + LATER_BY_4(past->even8, evenSum8) * (uint16_t)VARVE_CUT_M8;
    const lanes oddSum32 = oddSum16 + past->odd16 * (uint16_t)VARVE_CUT_M16;
    const lanes evenSum32 = evenSum16 + past->even16 * (uint16_t)VARVE_CUT_M16;
    *past = (history){oddSum4, oddSum8, oddSum16, evenSum4, evenSum8, evenSum16};
    *even = (signedLanes)evenSum32 > above;
    *odd = (signedLanes)oddSum32 > above;
    const halves any = (halves)(*even | *odd);
    return (any[0] | any[1]) != 0;
}

/// The first accepted position >= from among those of a step that begins at `at`, or SIZE_MAX.
static size_t first(size_t at, size_t from, signedLanes even, signedLanes odd) {
    for (int lane = 0; lane < step / 2; lane++) {
        const size_t position = at + 2 * (size_t)lane + 1;
        if (even[lane] && position >= from) return position;
        if (odd[lane] && position + 1 >= from) return position + 1;
    }
    return SIZE_MAX;
}

size_t varve_scan_portable(const uint8_t *data, size_t from, size_t to, size_t readable, int16_t above) {
    const signedLanes aboves = (signedLanes){0} + above;
    history past = {0};
    signedLanes even, odd;
    size_t at = from - 1 - VARVE_CUT_WINDOW;
    for (; at + 1 < to && at + step <= readable; at += step) {
        if (__builtin_expect(accepted(data + at, aboves, &past, &even, &odd), 0)) {
            const size_t position = first(at, from, even, odd);
            if (position < to) return position;
        }
    }
    if (at + 1 < to) {
        uint8_t last[4 + step] = {0};
        memcpy(last, data + at - 4, 4 + readable - at);
        if (accepted(last + 4, aboves, &past, &even, &odd)) {
            const size_t position = first(at, from, even, odd);
            if (position < to) return position;
        }
    }
    return to;
}
