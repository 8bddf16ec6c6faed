// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors
//
// What this CPU and its operating system can do. Asked by every dispatching function; answered from one cached word.
#pragma once
#include <stdint.h>

enum {
    varve_cpu_known = 1u << 0,
    varve_cpu_crc32 = 1u << 1,
    varve_cpu_sha256 = 1u << 2,
    varve_cpu_avx2 = 1u << 3,
    varve_cpu_avx512bw = 1u << 4,
    varve_cpu_pclmul = 1u << 5,
};

/// The set of `varve_cpu_…` bits of this machine. Cheap: one relaxed load after the first call.
uint32_t varve_cpu_features(void);
