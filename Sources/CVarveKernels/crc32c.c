// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors
//
// CRC-32C by the CPU's instruction, three runs at a time where the results can be joined, else by tables.
// "State" below is the register of the definition: the CRC with all bits inverted.
#include "cpu_features.h"
#include "varve_kernels.h"

#include <pthread.h>
#include <string.h>

static inline uint64_t little_endian(const uint8_t *bytes) {
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    return value;
}

// ---- Tables: eight bytes a step ---------------------------------------------------------------------------------------

static uint32_t tables[8][256];
static pthread_once_t tablesOnce = PTHREAD_ONCE_INIT;

static void make_tables(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t state = byte;
        for (int bit = 0; bit < 8; bit++) state = state >> 1 ^ (state & 1 ? 0x82f63b78u : 0);
        tables[0][byte] = state;
    }
    for (int behind = 1; behind < 8; behind++)
        for (int byte = 0; byte < 256; byte++) {
            const uint32_t state = tables[behind - 1][byte];
            tables[behind][byte] = state >> 8 ^ tables[0][state & 0xff];
        }
}

static uint32_t by_tables(uint32_t state, const uint8_t *data, size_t length) {
    pthread_once(&tablesOnce, make_tables);
    for (; length >= 8; length -= 8, data += 8) {
        const uint64_t word = little_endian(data) ^ state;
        state = 0;
        for (int i = 0; i < 8; i++) state ^= tables[7 - i][(word >> (8 * i)) & 0xff];
    }
    for (; length > 0; length--, data++) state = state >> 8 ^ tables[0][(state ^ *data) & 0xff];
    return state;
}

uint32_t varve_crc32c_portable(uint32_t crc, const uint8_t *data, size_t length) {
    return ~by_tables(~crc, data, length);
}

// ---- Instructions -----------------------------------------------------------------------------------------------------

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t start, const uint8_t *data, size_t length) {
    uint64_t state = start;
    for (; length >= 8; length -= 8, data += 8) state = _mm_crc32_u64(state, little_endian(data));
    for (; length > 0; length--, data++) state = _mm_crc32_u8((uint32_t)state, *data);
    return (uint32_t)state;
}

enum { lane = 1024 };

/// The instruction waits three cycles for its own result, so three lanes of 1 KiB run side by side. A lane's state is
/// carried past n later bytes by multiplying it with x^(8n) modulo the polynomial: one carry-less multiplication with
/// x^(8n - 33), which the instruction then reduces (it contributes x^32, and the product of reflected numbers x^1).
__attribute__((target("sse4.2,pclmul"))) static uint32_t by_lanes(
    uint32_t start, const uint8_t *data, size_t length) {
    const __m128i past = _mm_set_epi64x(0xa51b6135, 0x170076fa);
    uint32_t state = start;
    for (; length >= 3 * lane; length -= 3 * lane, data += 3 * lane) {
        uint64_t a = state, b = 0, c = 0;
        for (size_t at = 0; at < lane; at += 8) {
            a = _mm_crc32_u64(a, little_endian(data + at));
            b = _mm_crc32_u64(b, little_endian(data + lane + at));
            c = _mm_crc32_u64(c, little_endian(data + 2 * lane + at));
        }
        const __m128i ends = _mm_set_epi64x((long long)a, (long long)b);
        const __m128i two = _mm_clmulepi64_si128(ends, past, 0x11), one = _mm_clmulepi64_si128(ends, past, 0x00);
        const uint64_t both = (uint64_t)_mm_cvtsi128_si64(_mm_xor_si128(two, one));
        state = (uint32_t)(_mm_crc32_u64(0, both) ^ c);
    }
    return by_instruction(state, data, length);
}

uint32_t varve_crc32c(uint32_t crc, const uint8_t *data, size_t length) {
    const uint32_t features = varve_cpu_features();
    if (features & varve_cpu_pclmul && length >= 3 * lane) return ~by_lanes(~crc, data, length);
    return ~(features & varve_cpu_crc32 ? by_instruction : by_tables)(~crc, data, length);
}

#elif defined(__aarch64__)
#include <arm_acle.h>

__attribute__((target("crc"))) static uint32_t by_instruction(uint32_t state, const uint8_t *data, size_t length) {
    for (; length >= 8; length -= 8, data += 8) state = __crc32cd(state, little_endian(data));
    for (; length > 0; length--, data++) state = __crc32cb(state, *data);
    return state;
}

uint32_t varve_crc32c(uint32_t crc, const uint8_t *data, size_t length) {
    return ~(varve_cpu_features() & varve_cpu_crc32 ? by_instruction : by_tables)(~crc, data, length);
}

#else

uint32_t varve_crc32c(uint32_t crc, const uint8_t *data, size_t length) {
    return varve_crc32c_portable(crc, data, length);
}

#endif
