// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors
#include "cpu_features.h"

#include <stdatomic.h>

#if defined(__x86_64__)
#include <cpuid.h>

/// The register sets that the operating system saves for a process: an instruction set may be used only if its
/// registers survive a context switch.
static uint64_t saved_registers(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return ((uint64_t)high << 32) | low;
}

static uint32_t detect(void) {
    uint32_t features = varve_cpu_known;
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return features;
    const int ssse3 = (c >> 9) & 1, sse41 = (c >> 19) & 1, sse42 = (c >> 20) & 1, osxsave = (c >> 27) & 1;
    if (sse42) features |= varve_cpu_crc32;
    if (sse42 && ((c >> 1) & 1)) features |= varve_cpu_pclmul;
    const uint64_t saved = osxsave ? saved_registers() : 0;
    const int ymm = (saved & 0x06) == 0x06, zmm = (saved & 0xe6) == 0xe6;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return features;
    if (((b >> 29) & 1) && ssse3 && sse41) features |= varve_cpu_sha256;
    if (ymm && ((b >> 5) & 1)) features |= varve_cpu_avx2;
    if (zmm && ((b >> 16) & 1) && ((b >> 30) & 1)) features |= varve_cpu_avx512bw;
    return features;
}

#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>

static uint32_t detect(void) {
    const unsigned long capabilities = getauxval(AT_HWCAP);
    uint32_t features = varve_cpu_known;
    if ((capabilities >> 6) & 1) features |= varve_cpu_sha256;
    if ((capabilities >> 7) & 1) features |= varve_cpu_crc32;
    return features;
}

#else

static uint32_t detect(void) { return varve_cpu_known; }

#endif

uint32_t varve_cpu_features(void) {
    static _Atomic uint32_t cache;
    uint32_t features = atomic_load_explicit(&cache, memory_order_relaxed);
    if (features == 0) {
        // Threads that come here together all find the same answer.
        features = detect();
        atomic_store_explicit(&cache, features, memory_order_relaxed);
    }
    return features;
}
