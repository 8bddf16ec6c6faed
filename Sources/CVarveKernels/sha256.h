// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors
//
// SHA-256 (FIPS 180-4) inside: the constants, the compression functions that exist, and how a message ends.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { varve_sha256_block = 64, varve_sha256_size = 32 };

extern const uint32_t varve_sha256_initial[8];
extern const uint32_t varve_sha256_constants[64];

/// Absorbs `blocks` blocks of 64 bytes, of any alignment, into `state`.
typedef void varve_sha256_compress(uint32_t *state, const uint8_t *data, size_t blocks);

varve_sha256_compress varve_sha256_compress_portable;
#if defined(__x86_64__)
varve_sha256_compress varve_sha256_compress_shani;

/// A message that is being hashed beside others: its state and a run of blocks of it that lie together; then what only
/// the scheduler in sha256_pieces.c needs: the whole length, the last bytes that fill no block, where the digest goes
/// (NULL: no piece is in this lane), and room for the padded end.
typedef struct {
    uint32_t state[8];
    const uint8_t *run;
    size_t blocks;
    uint64_t length;
    const uint8_t *rest;
    uint8_t *out;
    int ending;
    uint8_t last[2 * varve_sha256_block];
} varve_sha256_lane;

/// Absorbs the first `blocks` blocks of the runs of two or three lanes into their states. Moves no run forward.
void varve_sha256_compress_shani_two(varve_sha256_lane *lanes, size_t blocks);
void varve_sha256_compress_shani_three(varve_sha256_lane *lanes, size_t blocks);
#elif defined(__aarch64__)
varve_sha256_compress varve_sha256_compress_armv8;
#endif

/// The fastest of them on this CPU.
void varve_sha256_compress_best(uint32_t *state, const uint8_t *data, size_t blocks);

/// The last block or two of a message of `length` bytes, of which the last `length % 64` are at `rest`: writes them to
/// `out` (128 bytes) and returns how many blocks they are.
size_t varve_sha256_pad(const uint8_t *rest, uint64_t length, uint8_t *out);

/// The 32 bytes of a finished state.
void varve_sha256_store(const uint32_t *state, uint8_t *out);

/// What `varve_sha256_pieces` does, one piece after the other: by OpenSSL if `openssl` is not zero and it is willing, else
/// by `compress`.
void varve_sha256_pieces_in_turn(
    const uint8_t *base, const uint64_t *offsets, const uint32_t *lengths, size_t count, uint8_t *out, int openssl,
    varve_sha256_compress *compress);
