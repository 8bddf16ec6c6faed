// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors
//
// The loops that decide how fast a layer settles and how fast it is served: content-defined cuts, SHA-256 on
// interleaved lanes, CRC-32C. Every function picks its kernel once, at run time, by what the CPU can do; all kernels of
// a function give the same answers, and for the cuts those answers are part of the on-disk format.
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// ---- Content-defined chunking -------------------------------------------------------------------------------------

/// How long chunks may be. `average` is a power of two between 1 KiB and 1 MiB; 64 <= minimum <= average <= maximum.
/// (Other numbers are safe: they are brought into this order as cut.h defines, so a chunk may then be longer than asked.)
typedef struct {
    uint32_t minimum;
    uint32_t average;
    uint32_t maximum;
} varve_cut_limits;

/// The kernels that exist. `varve_kernel_best` is the fastest one this CPU runs.
typedef enum {
    varve_kernel_best = 0,
    varve_kernel_portable = 1,
    varve_kernel_avx2 = 2,
    varve_kernel_avx512 = 3,
} varve_kernel;

/// Length of the first chunk of `data[0 ..< length]`: at most `limits.maximum`, at most `length`, and at least
/// `limits.minimum` unless `length` is shorter. The window never looks before `data`: a file cuts the same wherever
/// it lies in a layer. `length` == 0 gives 0. When `length` is smaller than `limits.maximum` and the stream goes on
/// after it, the caller must come again with more bytes unless the answer is smaller than `length`.
size_t varve_cut(varve_cut_limits limits, const uint8_t *data, size_t length);

/// The same by a named kernel, for tests and benchmarks. SIZE_MAX where this CPU does not run it.
size_t varve_cut_with(varve_kernel kernel, varve_cut_limits limits, const uint8_t *data, size_t length);

/// Whether this CPU runs `kernel`.
int varve_kernel_available(varve_kernel kernel);

// ---- SHA-256 --------------------------------------------------------------------------------------------------------

/// A running SHA-256. Plain data: may be copied (a copy is a fork of the digest) and stored.
typedef struct {
    uint32_t state[8];
    uint64_t length;
    uint8_t tail[64];
} varve_sha256;

void varve_sha256_init(varve_sha256 *digest);
void varve_sha256_update(varve_sha256 *digest, const uint8_t *data, size_t length);
/// Writes 32 bytes. `digest` is spent afterwards.
void varve_sha256_finish(varve_sha256 *digest, uint8_t *out);

/// SHA-256 of `count` pieces `base[offsets[i] ..< offsets[i] + lengths[i]]`, into `out[32 * i ..< 32 * i + 32]`.
/// Several pieces are hashed at a time where the CPU has SHA instructions for it.
void varve_sha256_pieces(
    const uint8_t *base, const uint64_t *offsets, const uint32_t *lengths, size_t count, uint8_t *out);

/// How pieces can be hashed. `varve_sha256_best` is what the other functions do on this CPU.
typedef enum {
    varve_sha256_best = 0,
    varve_sha256_portable = 1,
    varve_sha256_openssl = 2,
    varve_sha256_one_lane = 3,
} varve_sha256_kernel;

/// `varve_sha256_pieces` in a named way, for tests and benchmarks. 0 where this CPU can not do it.
int varve_sha256_pieces_with(
    varve_sha256_kernel kernel, const uint8_t *base, const uint64_t *offsets, const uint32_t *lengths, size_t count,
    uint8_t *out);

/// The same as `varve_sha256_pieces`, while another lane also absorbs `stream[0 ..< streamLength]` into `digest`.
void varve_sha256_pieces_and_stream(
    const uint8_t *base, const uint64_t *offsets, const uint32_t *lengths, size_t count, uint8_t *out,
    varve_sha256 *digest, const uint8_t *stream, size_t streamLength);

// ---- CRC-32C (Castagnoli, RFC 3720 appendix B.4) ----------------------------------------------------------------------

/// CRC-32C of `data`, continued from `crc` (0 to begin).
uint32_t varve_crc32c(uint32_t crc, const uint8_t *data, size_t length);

/// The same without the CPU's instruction, for tests and benchmarks.
uint32_t varve_crc32c_portable(uint32_t crc, const uint8_t *data, size_t length);

// ---- The kernel's own ---------------------------------------------------------------------------------------------

/// Lets the kernel begin to write `count` dirty bytes of a file from `offset` (sync_file_range), which Swift's Glibc does
/// not show. Does nothing where there is no such call; reports nothing.
void varve_start_writing(int descriptor, int64_t offset, int64_t count);

#ifdef __cplusplus
}
#endif
