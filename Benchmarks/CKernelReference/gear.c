// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors
#include "kernel_reference.h"

#include <pthread.h>
#include <string.h>

static uint64_t gear[256], doubled[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_tables(void) {
    uint64_t state = 12345;
    for (int byte = 0; byte < 256; byte++) {
        state += 0x9e3779b97f4a7c15u;
        uint64_t word = state;
        word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9u;
        word = (word ^ (word >> 27)) * 0x94d049bb133111ebu;
        gear[byte] = word ^ (word >> 31);
        doubled[byte] = gear[byte] << 1;
    }
}

/// `bits` ones below bit 63, which the loop that doubles shifts out.
static uint64_t mask_of(int bits) { return ((UINT64_C(1) << bits) - 1) << (63 - bits); }

typedef struct {
    size_t minimum, turn, end;
    uint64_t strict, loose;
} plan;

static plan plan_of(gear_limits limits, size_t length) {
    pthread_once(&once, make_tables);
    const int bits = 63 - __builtin_clzll(limits.average);
    plan plan = {limits.minimum, limits.average, limits.maximum, mask_of(bits + 2), mask_of(bits - 2)};
    if (plan.end > length) plan.end = length;
    if (plan.turn > plan.end) plan.turn = plan.end;
    if (plan.minimum > plan.end) plan.minimum = plan.end;
    return plan;
}

size_t gear_cut_one(gear_limits limits, const uint8_t *data, size_t length) {
    const plan plan = plan_of(limits, length);
    uint64_t hash = 0;
    size_t at = plan.minimum;
    for (; at < plan.turn; at++) {
        hash = (hash << 1) + gear[data[at]];
        if ((hash & plan.strict) == 0) return at + 1;
    }
    for (; at < plan.end; at++) {
        hash = (hash << 1) + gear[data[at]];
        if ((hash & plan.loose) == 0) return at + 1;
    }
    return plan.end;
}

static inline __attribute__((always_inline)) size_t two(
    const uint8_t *data, size_t at, size_t to, uint64_t *state, uint64_t mask) {
    uint64_t hash = *state;
    for (; at + 2 <= to; at += 2) {
        hash = (hash << 2) + doubled[data[at]];
        if ((hash & mask << 1) == 0) return at + 1;
        hash += gear[data[at + 1]];
        if ((hash & mask) == 0) return at + 2;
    }
    if (at < to) {
        hash = (hash << 1) + gear[data[at]];
        if ((hash & mask) == 0) return at + 1;
    }
    *state = hash;
    return SIZE_MAX;
}

size_t gear_cut_two(gear_limits limits, const uint8_t *data, size_t length) {
    const plan plan = plan_of(limits, length);
    uint64_t hash = 0;
    size_t cut = two(data, plan.minimum, plan.turn, &hash, plan.strict);
    if (cut == SIZE_MAX) cut = two(data, plan.turn, plan.end, &hash, plan.loose);
    return cut == SIZE_MAX ? plan.end : cut;
}

static inline __attribute__((always_inline)) size_t eight(
    const uint8_t *data, size_t at, size_t to, uint64_t *state, uint64_t mask) {
    uint64_t hash = *state;
    for (; at + 8 <= to; at += 8) {
        uint64_t word;
        memcpy(&word, data + at, 8);
#define STEP(i)                                                                                                        \
    hash = (hash << 1) + gear[(word >> (8 * (i))) & 0xff];                                                             \
    if ((hash & mask) == 0) return at + (i) + 1;
        STEP(0) STEP(1) STEP(2) STEP(3) STEP(4) STEP(5) STEP(6) STEP(7)
#undef STEP
    }
    for (; at < to; at++) {
        hash = (hash << 1) + gear[data[at]];
        if ((hash & mask) == 0) return at + 1;
    }
    *state = hash;
    return SIZE_MAX;
}

size_t gear_cut_eight(gear_limits limits, const uint8_t *data, size_t length) {
    const plan plan = plan_of(limits, length);
    uint64_t hash = 0;
    size_t cut = eight(data, plan.minimum, plan.turn, &hash, plan.strict);
    if (cut == SIZE_MAX) cut = eight(data, plan.turn, plan.end, &hash, plan.loose);
    return cut == SIZE_MAX ? plan.end : cut;
}
