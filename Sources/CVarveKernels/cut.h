// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors
//
// Where chunks end. This comment is the definition; the kernels beside it only evaluate it quickly. Cuts decide what
// deduplicates against what has been stored, so nothing here may change without a new chunker id.
//
// Hash. For a position c >= 32 of the data, the hash of the 32 bytes before it is a weighted sum modulo 2^16:
//
//     h(c) = sum over k = 0 ..< 32 of  w[k] * data[c - 1 - k]
//     w[k] = a[k mod 4] * (bit 2 of k ? 0x9e35 : 1) * (bit 3 of k ? 0xa4d3 : 1) * (bit 4 of k ? 0x6c8f : 1)
//     a    = 61, 67, 127, 1
//
// Test. h(c), read as a two's complement number of 16 bits, lies among the 2^(16 - e) largest ones; a test of strength
// e is met by one position in 2^e. For e > 16 the hash must be the largest number, 0x7fff, and in addition the upper
// e - 16 bits of FNV-1a (32 bits: start 2166136261, then for each byte, oldest first: xor, multiply by 16777619) of the
// same 32 bytes must all be zero.
//
// Cut. Let b = floor(log2(average)), average being taken as 1 KiB if it is less and as 1 MiB if it is more. A chunk
// ends at the first position c with minimum <= c < average that meets the test of strength b + 2, or else with
// average <= c < maximum that meets the test of strength b - 2, or else at maximum, or where the data ends, whichever
// comes first. A minimum below 64 counts as 64, an average below the minimum as the minimum, a maximum below the
// minimum as the minimum. Positions count from the start of the chunk, and no test looks before it.
//
// Why this hash. A gear hash is one dependent step a byte; a weighted sum over a fixed window can be had for many
// positions at once by doubling (4 bytes by multiply-and-add of byte pairs, then 8, 16, 32 bytes by adding a shifted and
// multiplied copy). Sums modulo 2^16 were compared with a polynomial over two planes of GF(2^8): the same savings and
// the same speed with AVX-512 and GFNI, but three times as fast with AVX2 alone, and fast without any intrinsics.
// The weights a are small so that a pair of products fits the saturating byte-pair instruction (|a0| + |a1| <= 128,
// |a2| + |a3| <= 128), all weights are odd so that no byte loses information, and a0 + a1 + a2 + a3 = 256 makes a run of
// one byte value hash to 0 or 0x8000, which no test accepts: runs of zeros become chunks of the maximum, not the minimum.
// The stricter test before the average and the looser one after it ("normalised" chunking) narrow the spread of sizes.
#pragma once
#include <stddef.h>
#include <stdint.h>

#define VARVE_CUT_A0 61
#define VARVE_CUT_A1 67
#define VARVE_CUT_A2 127
#define VARVE_CUT_A3 1
#define VARVE_CUT_M4 0x9e35
#define VARVE_CUT_M8 0xa4d3
#define VARVE_CUT_M16 0x6c8f
#define VARVE_CUT_WINDOW 32
/// No position before this one is ever tested: kernels may read a little before the window.
#define VARVE_CUT_FLOOR 64

/// The smallest c in `from ..< to` with h(c) > above, or `to`. Reads only `data[0 ..< readable]`.
/// VARVE_CUT_FLOOR <= from, from <= to <= readable.
typedef size_t varve_scan(const uint8_t *data, size_t from, size_t to, size_t readable, int16_t above);

varve_scan varve_scan_portable;
#if defined(__x86_64__)
varve_scan varve_scan_avx2;
varve_scan varve_scan_avx512;
#endif
