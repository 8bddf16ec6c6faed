// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors
//
// Two SHA-256 at a time. A lane works on one message, in runs of blocks that lie together: the blocks of the data, then
// the padded last one or two from the lane's own buffer. Both lanes advance by the shorter of their runs; a lane whose
// message has ended takes the next piece at once, so that both are busy until fewer than two messages are left.
#include "cpu_features.h"
#include "sha256.h"
#include "varve_kernels.h"

#include <string.h>

#if defined(__x86_64__)

/// The pieces that no lane has taken yet.
typedef struct {
    const uint8_t *base;
    const uint64_t *offsets;
    const uint32_t *lengths;
    size_t next, count;
    uint8_t *out;
} queue;

typedef struct {
    uint32_t state[8];
    const uint8_t *run;
    size_t blocks;
    /// The piece that is being hashed: its whole length, its last bytes that fill no block, where its digest goes.
    uint64_t length;
    const uint8_t *rest;
    uint8_t *out;
    int ending;
    uint8_t last[2 * varve_sha256_block];
} lane;

static void take(lane *lane, const uint8_t *data, uint32_t length, uint8_t *out) {
    memcpy(lane->state, varve_sha256_initial, sizeof lane->state);
    lane->run = data;
    lane->blocks = length / varve_sha256_block;
    lane->length = length;
    lane->rest = data + (length - length % varve_sha256_block);
    lane->out = out;
    lane->ending = 0;
}

/// Gives a lane whose run is empty its next one; 0 if there is no more.
static int refill(lane *lane, queue *queue) {
    while (lane->blocks == 0) {
        if (lane->out != NULL && !lane->ending) {
            lane->run = lane->last;
            lane->blocks = varve_sha256_pad(lane->rest, lane->length, lane->last);
            lane->ending = 1;
            continue;
        }
        if (lane->out != NULL) varve_sha256_store(lane->state, lane->out);
        lane->out = NULL;
        if (queue->next == queue->count) return 0;
        const size_t index = queue->next++;
        take(
            lane, queue->base + queue->offsets[index], queue->lengths[index], queue->out + varve_sha256_size * index);
    }
    return 1;
}

static void advance(lane *lane, size_t blocks) {
    lane->run += blocks * varve_sha256_block;
    lane->blocks -= blocks;
}

static void work(lane *a, lane *b, queue *queue) {
    int busyA = refill(a, queue), busyB = refill(b, queue);
    while (busyA && busyB) {
        const size_t blocks = a->blocks < b->blocks ? a->blocks : b->blocks;
        varve_sha256_compress_shani_two(a->state, a->run, b->state, b->run, blocks);
        advance(a, blocks);
        advance(b, blocks);
        busyA = refill(a, queue);
        busyB = refill(b, queue);
    }
    for (lane *const left = busyA ? a : b; busyA || busyB; busyA = busyB = refill(left, queue)) {
        varve_sha256_compress_shani(left->state, left->run, left->blocks);
        advance(left, left->blocks);
    }
}

/// Fills up the block that `digest` holds a part of; returns how many bytes of `stream` that took.
static size_t complete_block(varve_sha256 *digest, const uint8_t *stream, size_t length) {
    const size_t held = digest->length % varve_sha256_block;
    if (held == 0) return 0;
    const size_t wanted = varve_sha256_block - held;
    const size_t taken = length < wanted ? length : wanted;
    varve_sha256_update(digest, stream, taken);
    return taken;
}

#endif

void varve_sha256_pieces(
    const uint8_t *base, const uint64_t *offsets, const uint32_t *lengths, size_t count, uint8_t *out) {
    const uint32_t features = varve_cpu_features();
#if defined(__x86_64__)
    if ((features & varve_cpu_sha256) && count > 1) {
        queue queue = {base, offsets, lengths, 0, count, out};
        lane a, b;
        a.blocks = b.blocks = 0;
        a.out = b.out = NULL;
        work(&a, &b, &queue);
        return;
    }
#endif
    varve_sha256_pieces_in_turn(base, offsets, lengths, count, out, !(features & varve_cpu_sha256));
}

void varve_sha256_pieces_and_stream(
    const uint8_t *base, const uint64_t *offsets, const uint32_t *lengths, size_t count, uint8_t *out,
    varve_sha256 *digest, const uint8_t *stream, size_t streamLength) {
#if defined(__x86_64__)
    if ((varve_cpu_features() & varve_cpu_sha256) && count > 0) {
        const size_t taken = complete_block(digest, stream, streamLength);
        const size_t blocks = (streamLength - taken) / varve_sha256_block;
        queue queue = {base, offsets, lengths, 0, count, out};
        lane a, b;
        // Lane a begins with the stream's whole blocks, as a message without an end.
        memcpy(a.state, digest->state, sizeof a.state);
        a.run = stream + taken;
        a.blocks = blocks;
        a.out = NULL;
        b.blocks = 0;
        b.out = NULL;
        // Pieces until the stream has been absorbed, then its state is kept and the lane is free for pieces too.
        int busy = refill(&b, &queue);
        while (a.blocks > 0 && busy) {
            const size_t run = a.blocks < b.blocks ? a.blocks : b.blocks;
            varve_sha256_compress_shani_two(a.state, a.run, b.state, b.run, run);
            advance(&a, run);
            advance(&b, run);
            busy = refill(&b, &queue);
        }
        if (a.blocks > 0) {
            varve_sha256_compress_shani(a.state, a.run, a.blocks);
            advance(&a, a.blocks);
        }
        memcpy(digest->state, a.state, sizeof digest->state);
        const size_t absorbed = taken + blocks * varve_sha256_block;
        digest->length += blocks * varve_sha256_block;
        if (streamLength > absorbed) varve_sha256_update(digest, stream + absorbed, streamLength - absorbed);
        work(&a, &b, &queue);
        return;
    }
#endif
    varve_sha256_pieces(base, offsets, lengths, count, out);
    varve_sha256_update(digest, stream, streamLength);
}
