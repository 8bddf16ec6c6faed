// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors
//
// The compression function with the SHA extensions of x86-64, for one, two and three messages at a time. Two rounds of
// one message wait 4 cycles for the two before them, while the unit could begin others every 2 cycles; other messages
// fill that wait. Two should fill it, and do on some CPUs (twice the speed of one); where other instructions get into
// the unit's way two give 1.5 times the speed of one, and three 1.75 times. A fourth no longer fits the registers.
#if defined(__x86_64__)
#include "sha256.h"

#include <immintrin.h>

#define SHANI __attribute__((target("sha,sse4.1,ssse3")))
#define SHANI_INLINE static inline __attribute__((always_inline, target("sha,sse4.1,ssse3")))

/// One message's working variables in the order that the instructions want, and its next 16 words.
typedef struct {
    __m128i abef, cdgh;
    __m128i savedABEF, savedCDGH;
    __m128i words[4];
} lane;

SHANI_INLINE void load_state(lane *lane, const uint32_t *state) {
    const __m128i abcd = _mm_loadu_si128((const __m128i_u *)state);
    const __m128i efgh = _mm_loadu_si128((const __m128i_u *)(state + 4));
    const __m128i badc = _mm_shuffle_epi32(abcd, 0xb1), hgfe = _mm_shuffle_epi32(efgh, 0x1b);
    lane->abef = _mm_alignr_epi8(badc, hgfe, 8);
    lane->cdgh = _mm_blend_epi16(hgfe, badc, 0xf0);
}

SHANI_INLINE void store_state(const lane *lane, uint32_t *state) {
    const __m128i feba = _mm_shuffle_epi32(lane->abef, 0x1b), dchg = _mm_shuffle_epi32(lane->cdgh, 0xb1);
    _mm_storeu_si128((__m128i_u *)state, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((__m128i_u *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

SHANI_INLINE void begin_block(lane *lane, const uint8_t *data) {
    const __m128i bigEndian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    lane->savedABEF = lane->abef;
    lane->savedCDGH = lane->cdgh;
    for (int i = 0; i < 4; i++)
        lane->words[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i_u *)(data + 16 * i)), bigEndian);
}

SHANI_INLINE void end_block(lane *lane) {
    lane->abef = _mm_add_epi32(lane->abef, lane->savedABEF);
    lane->cdgh = _mm_add_epi32(lane->cdgh, lane->savedCDGH);
}

/// Rounds 4 * group ..< 4 * group + 4; `group` is a constant, so that the words stay in registers.
SHANI_INLINE void four_rounds(lane *lane, int group) {
    const __m128i constants = _mm_loadu_si128((const __m128i_u *)(varve_sha256_constants + 4 * group));
    const __m128i now = lane->words[group & 3];
    const __m128i sum = _mm_add_epi32(now, constants);
    lane->cdgh = _mm_sha256rnds2_epu32(lane->cdgh, lane->abef, sum);
    lane->abef = _mm_sha256rnds2_epu32(lane->abef, lane->cdgh, _mm_shuffle_epi32(sum, 0x0e));
    if (group < 12) {
        // The words of group + 4 take the place of these.
        const __m128i one = lane->words[(group + 1) & 3], two = lane->words[(group + 2) & 3];
        const __m128i three = lane->words[(group + 3) & 3];
        const __m128i partial = _mm_add_epi32(_mm_sha256msg1_epu32(now, one), _mm_alignr_epi8(three, two, 4));
        lane->words[group & 3] = _mm_sha256msg2_epu32(partial, three);
    }
}

#define GROUPS(STEP)                                                                                                   \
    STEP(0) STEP(1) STEP(2) STEP(3) STEP(4) STEP(5) STEP(6) STEP(7)                                                    \
    STEP(8) STEP(9) STEP(10) STEP(11) STEP(12) STEP(13) STEP(14) STEP(15)

SHANI void varve_sha256_compress_shani(uint32_t *state, const uint8_t *data, size_t blocks) {
    lane a;
    load_state(&a, state);
    for (; blocks > 0; blocks--, data += varve_sha256_block) {
        begin_block(&a, data);
#define STEP(group) four_rounds(&a, group);
        GROUPS(STEP)
#undef STEP
        end_block(&a);
    }
    store_state(&a, state);
}

SHANI void varve_sha256_compress_shani_two(varve_sha256_lane *lanes, size_t blocks) {
    lane a, b;
    load_state(&a, lanes[0].state);
    load_state(&b, lanes[1].state);
    for (size_t at = 0; at < blocks * varve_sha256_block; at += varve_sha256_block) {
        begin_block(&a, lanes[0].run + at);
        begin_block(&b, lanes[1].run + at);
#define STEP(group) four_rounds(&a, group), four_rounds(&b, group);
        GROUPS(STEP)
#undef STEP
        end_block(&a);
        end_block(&b);
    }
    store_state(&a, lanes[0].state);
    store_state(&b, lanes[1].state);
}

SHANI void varve_sha256_compress_shani_three(varve_sha256_lane *lanes, size_t blocks) {
    lane a, b, c;
    load_state(&a, lanes[0].state);
    load_state(&b, lanes[1].state);
    load_state(&c, lanes[2].state);
    for (size_t at = 0; at < blocks * varve_sha256_block; at += varve_sha256_block) {
        begin_block(&a, lanes[0].run + at);
        begin_block(&b, lanes[1].run + at);
        begin_block(&c, lanes[2].run + at);
#define STEP(group) four_rounds(&a, group), four_rounds(&b, group), four_rounds(&c, group);
        GROUPS(STEP)
#undef STEP
        end_block(&a);
        end_block(&b);
        end_block(&c);
    }
    store_state(&a, lanes[0].state);
    store_state(&b, lanes[1].state);
    store_state(&c, lanes[2].state);
}
#endif
