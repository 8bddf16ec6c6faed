// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors
//
// The compression function with the SHA-2 instructions of ARMv8.
#if defined(__aarch64__)
#include "sha256.h"

#include <arm_neon.h>

#define ARMV8 __attribute__((target("sha2")))

ARMV8 void varve_sha256_compress_armv8(uint32_t *state, const uint8_t *data, size_t blocks) {
    uint32x4_t abcd = vld1q_u32(state), efgh = vld1q_u32(state + 4);
    for (; blocks > 0; blocks--, data += varve_sha256_block) {
        const uint32x4_t savedABCD = abcd, savedEFGH = efgh;
        uint32x4_t words[4];
#pragma clang loop unroll(full)
        for (int i = 0; i < 4; i++) words[i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(data + 16 * i)));
#pragma clang loop unroll(full)
        for (int group = 0; group < 16; group++) {
            const uint32x4_t now = words[group & 3];
            const uint32x4_t sum = vaddq_u32(now, vld1q_u32(varve_sha256_constants + 4 * group));
            const uint32x4_t before = abcd;
            abcd = vsha256hq_u32(abcd, efgh, sum);
            efgh = vsha256h2q_u32(efgh, before, sum);
            // The words of group + 4 take the place of these.
            if (group < 12)
                words[group & 3] = vsha256su1q_u32(
                    vsha256su0q_u32(now, words[(group + 1) & 3]), words[(group + 2) & 3], words[(group + 3) & 3]);
        }
        abcd = vaddq_u32(abcd, savedABCD);
        efgh = vaddq_u32(efgh, savedEFGH);
    }
    vst1q_u32(state, abcd);
    vst1q_u32(state + 4, efgh);
}
#endif
