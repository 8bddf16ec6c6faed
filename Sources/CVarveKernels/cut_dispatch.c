// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors
//
// The rules of cut.h around the scanning kernels, and the choice of a kernel.
#include "cpu_features.h"
#include "cut.h"
#include "varve_kernels.h"

/// How rare an accepted position is: `above` for the kernels and, past 2^-16, a mask on a second hash.
typedef struct {
    int16_t above;
    uint32_t mask;
} strength;

static strength strength_of(int exponent) {
    const int beyond = exponent > 16 ? exponent - 16 : 0;
    const int accepted = 1 << (16 - (exponent - beyond));
    return (strength){(int16_t)(INT16_MAX - accepted), beyond == 0 ? 0 : UINT32_MAX << (32 - beyond)};
}

static uint32_t second_hash(const uint8_t *window) {
    uint32_t hash = 2166136261u;
    for (int index = 0; index < VARVE_CUT_WINDOW; index++) hash = (hash ^ window[index]) * 16777619u;
    return hash;
}

/// The first position in `from ..< to` that passes, or `to`.
static size_t search(
    varve_scan *scan, const uint8_t *data, size_t from, size_t to, size_t readable, strength wanted) {
    while (from < to) {
        const size_t position = scan(data, from, to, readable, wanted.above);
        if (position >= to || wanted.mask == 0) return position;
        if ((second_hash(data + position - VARVE_CUT_WINDOW) & wanted.mask) == 0) return position;
        from = position + 1;
    }
    return to;
}

static size_t cut(varve_scan *scan, varve_cut_limits limits, const uint8_t *data, size_t length) {
    const size_t minimum = limits.minimum > VARVE_CUT_FLOOR ? limits.minimum : VARVE_CUT_FLOOR;
    const size_t maximum = limits.maximum > minimum ? limits.maximum : minimum;
    const size_t average = limits.average > minimum ? limits.average : minimum;
    if (length <= minimum) return length;
    const size_t end = length < maximum ? length : maximum;
    const size_t turn = average < end ? average : end;
    uint32_t nominal = limits.average;
    if (nominal < 1u << 10) nominal = 1u << 10;
    if (nominal > 1u << 20) nominal = 1u << 20;
    const int bits = 31 - __builtin_clz(nominal);
    const size_t position = search(scan, data, minimum, turn, end, strength_of(bits + 2));
    return position < turn ? position : search(scan, data, turn, end, end, strength_of(bits - 2));
}

static varve_scan *scan_of(varve_kernel kernel) {
    const uint32_t features = varve_cpu_features();
    (void)features;
    switch (kernel) {
#if defined(__x86_64__)
    case varve_kernel_best:
        if (features & varve_cpu_avx512bw) return varve_scan_avx512;
        if (features & varve_cpu_avx2) return varve_scan_avx2;
        return varve_scan_portable;
    case varve_kernel_avx512:
        return features & varve_cpu_avx512bw ? varve_scan_avx512 : NULL;
    case varve_kernel_avx2:
        return features & varve_cpu_avx2 ? varve_scan_avx2 : NULL;
#else
    case varve_kernel_best:
        return varve_scan_portable;
    case varve_kernel_avx512:
    case varve_kernel_avx2:
        return NULL;
#endif
    case varve_kernel_portable:
        return varve_scan_portable;
    }
    return NULL;
}

size_t varve_cut(varve_cut_limits limits, const uint8_t *data, size_t length) {
    return cut(scan_of(varve_kernel_best), limits, data, length);
}

size_t varve_cut_with(varve_kernel kernel, varve_cut_limits limits, const uint8_t *data, size_t length) {
    varve_scan *const scan = scan_of(kernel);
    return scan == NULL ? SIZE_MAX : cut(scan, limits, data, length);
}

int varve_kernel_available(varve_kernel kernel) { return scan_of(kernel) != NULL; }
