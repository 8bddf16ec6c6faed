// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors
//
// A running SHA-256: collects bytes into blocks and hands them to the compression function of this CPU.
#include "cpu_features.h"
#include "sha256.h"
#include "varve_kernels.h"

#include <string.h>

void varve_sha256_compress_best(uint32_t *state, const uint8_t *data, size_t blocks) {
    if (blocks == 0) return;
#if defined(__x86_64__)
    if (varve_cpu_features() & varve_cpu_sha256) {
        varve_sha256_compress_shani(state, data, blocks);
        return;
    }
#elif defined(__aarch64__)
    if (varve_cpu_features() & varve_cpu_sha256) {
        varve_sha256_compress_armv8(state, data, blocks);
        return;
    }
#endif
    varve_sha256_compress_portable(state, data, blocks);
}

size_t varve_sha256_pad(const uint8_t *rest, uint64_t length, uint8_t *out) {
    const size_t count = length % varve_sha256_block;
    const size_t blocks = count + 9 <= varve_sha256_block ? 1 : 2;
    if (count > 0) memcpy(out, rest, count);
    out[count] = 0x80;
    memset(out + count + 1, 0, blocks * varve_sha256_block - 8 - count - 1);
    const uint64_t bits = length << 3;
    for (int i = 0; i < 8; i++) out[blocks * varve_sha256_block - 8 + (size_t)i] = (uint8_t)(bits >> (56 - 8 * i));
    return blocks;
}

void varve_sha256_store(const uint32_t *state, uint8_t *out) {
    for (int i = 0; i < 8; i++) {
        out[4 * i] = (uint8_t)(state[i] >> 24);
        out[4 * i + 1] = (uint8_t)(state[i] >> 16);
        out[4 * i + 2] = (uint8_t)(state[i] >> 8);
        out[4 * i + 3] = (uint8_t)state[i];
    }
}

void varve_sha256_init(varve_sha256 *digest) {
    memcpy(digest->state, varve_sha256_initial, sizeof digest->state);
    digest->length = 0;
    memset(digest->tail, 0, sizeof digest->tail);
}

void varve_sha256_update(varve_sha256 *digest, const uint8_t *data, size_t length) {
    if (length == 0) return;
    const size_t held = digest->length % varve_sha256_block;
    digest->length += length;
    if (held > 0) {
        const size_t wanted = varve_sha256_block - held;
        const size_t taken = length < wanted ? length : wanted;
        memcpy(digest->tail + held, data, taken);
        if (taken < wanted) return;
        varve_sha256_compress_best(digest->state, digest->tail, 1);
        data += taken;
        length -= taken;
    }
    varve_sha256_compress_best(digest->state, data, length / varve_sha256_block);
    const size_t rest = length % varve_sha256_block;
    if (rest > 0) memcpy(digest->tail, data + length - rest, rest);
}

void varve_sha256_finish(varve_sha256 *digest, uint8_t *out) {
    uint8_t last[2 * varve_sha256_block];
    const size_t blocks = varve_sha256_pad(digest->tail, digest->length, last);
    varve_sha256_compress_best(digest->state, last, blocks);
    varve_sha256_store(digest->state, out);
}
