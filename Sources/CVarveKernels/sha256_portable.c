// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors
//
// The compression function in plain C, for CPUs without SHA instructions.
#include "sha256.h"

#define K varve_sha256_constants

const uint32_t varve_sha256_initial[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

const uint32_t varve_sha256_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static inline uint32_t rotated(uint32_t value, int right) { return value >> right | value << (32 - right); }

static inline uint32_t big_endian(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/// One round; the caller renames the eight variables instead of moving them.
#define ROUND(a, b, c, d, e, f, g, h, word, k)                                                                         \
    do {                                                                                                               \
        const uint32_t t =                                                                                             \
            h + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) + ((e & f) ^ (~e & g)) + (k) + (word);               \
        d += t;                                                                                                        \
        h = t + (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));                     \
    } while (0)

#define EIGHT(WORD, at)                                                                                                \
    ROUND(a, b, c, d, e, f, g, h, WORD(at), K[base + (at)]);                                                           \
    ROUND(h, a, b, c, d, e, f, g, WORD(at + 1), K[base + (at) + 1]);                                                   \
    ROUND(g, h, a, b, c, d, e, f, WORD(at + 2), K[base + (at) + 2]);                                                   \
    ROUND(f, g, h, a, b, c, d, e, WORD(at + 3), K[base + (at) + 3]);                                                   \
    ROUND(e, f, g, h, a, b, c, d, WORD(at + 4), K[base + (at) + 4]);                                                   \
    ROUND(d, e, f, g, h, a, b, c, WORD(at + 5), K[base + (at) + 5]);                                                   \
    ROUND(c, d, e, f, g, h, a, b, WORD(at + 6), K[base + (at) + 6]);                                                   \
    ROUND(b, c, d, e, f, g, h, a, WORD(at + 7), K[base + (at) + 7])

#define FIRST(i) (w[i] = big_endian(data + 4 * (i)))
#define NEXT(i)                                                                                                        \
    (w[i] += (rotated(w[((i) + 1) & 15], 7) ^ rotated(w[((i) + 1) & 15], 18) ^ (w[((i) + 1) & 15] >> 3))               \
            + w[((i) + 9) & 15]                                                                                        \
            + (rotated(w[((i) + 14) & 15], 17) ^ rotated(w[((i) + 14) & 15], 19) ^ (w[((i) + 14) & 15] >> 10)))

void varve_sha256_compress_portable(uint32_t *state, const uint8_t *data, size_t blocks) {
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (; blocks > 0; blocks--, data += varve_sha256_block) {
        uint32_t w[16];
        int base = 0;
        EIGHT(FIRST, 0);
        EIGHT(FIRST, 8);
        for (base = 16; base < 64; base += 16) {
            EIGHT(NEXT, 0);
            EIGHT(NEXT, 8);
        }
        a = state[0] += a;
        b = state[1] += b;
        c = state[2] += c;
        d = state[3] += d;
        e = state[4] += e;
        f = state[5] += f;
        g = state[6] += g;
        h = state[7] += h;
    }
}
