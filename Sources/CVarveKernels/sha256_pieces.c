// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors
//
// Several SHA-256 at a time. A lane works on one message, in runs of blocks that lie together: the blocks of the data,
// then the padded last one or two from the lane's own buffer. All lanes advance by the shortest of their runs; a lane
// whose message has ended takes the next piece at once, so that all are busy until fewer messages than lanes are left.
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

typedef varve_sha256_lane lane;

enum { lanesMax = 3 };

static void take(lane *lane, const uint8_t *data, uint32_t length, uint8_t *out) {
    memcpy(lane->state, varve_sha256_initial, sizeof lane->state);
    lane->run = data;
    lane->blocks = length / varve_sha256_block;
    lane->length = length;
    lane->rest = data + (length - length % varve_sha256_block);
    lane->out = out;
    lane->ending = 0;
}

static void empty(lane *lane) {
    lane->blocks = 0;
    lane->out = NULL;
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

static void move(lane *to, const lane *from) {
    *to = *from;
    if (from->ending) to->run = to->last + (from->run - from->last);
}

static void advance(lane *lane, size_t blocks) {
    lane->run += blocks * varve_sha256_block;
    lane->blocks -= blocks;
}

/// Hashes what is in the lanes and in the queue, to the end.
static void work(lane *lanes, queue *queue) {
    int busy = 0;
    for (int index = 0; index < lanesMax; index++) {
        // Busy lanes stand first: a lane that stays empty, now or later, gives its place to the last one.
        if (!refill(&lanes[index], queue)) continue;
        if (busy != index) move(&lanes[busy], &lanes[index]);
        busy++;
    }
    while (busy > 0) {
        size_t blocks = lanes[0].blocks;
        for (int index = 1; index < busy; index++)
            if (lanes[index].blocks < blocks) blocks = lanes[index].blocks;
        if (busy == 3) varve_sha256_compress_shani_three(lanes, blocks);
        else if (busy == 2) varve_sha256_compress_shani_two(lanes, blocks);
        else varve_sha256_compress_shani(lanes[0].state, lanes[0].run, blocks);
        for (int index = busy - 1; index >= 0; index--) {
            advance(&lanes[index], blocks);
            if (refill(&lanes[index], queue)) continue;
            busy--;
            if (index != busy) move(&lanes[index], &lanes[busy]);
        }
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
        lane lanes[lanesMax];
        for (int index = 0; index < lanesMax; index++) empty(&lanes[index]);
        work(lanes, &queue);
        return;
    }
#endif
    varve_sha256_pieces_in_turn(
        base, offsets, lengths, count, out, !(features & varve_cpu_sha256), varve_sha256_compress_best);
}

int varve_sha256_pieces_with(
    varve_sha256_kernel kernel, const uint8_t *base, const uint64_t *offsets, const uint32_t *lengths, size_t count,
    uint8_t *out) {
    switch (kernel) {
    case varve_sha256_best:
        varve_sha256_pieces(base, offsets, lengths, count, out);
        return 1;
    case varve_sha256_portable:
        varve_sha256_pieces_in_turn(base, offsets, lengths, count, out, 0, varve_sha256_compress_portable);
        return 1;
    case varve_sha256_openssl:
        varve_sha256_pieces_in_turn(base, offsets, lengths, count, out, 1, varve_sha256_compress_best);
        return 1;
    case varve_sha256_one_lane:
        if (!(varve_cpu_features() & varve_cpu_sha256)) return 0;
        varve_sha256_pieces_in_turn(base, offsets, lengths, count, out, 0, varve_sha256_compress_best);
        return 1;
    }
    return 0;
}

void varve_sha256_pieces_and_stream(
    const uint8_t *base, const uint64_t *offsets, const uint32_t *lengths, size_t count, uint8_t *out,
    varve_sha256 *digest, const uint8_t *stream, size_t streamLength) {
#if defined(__x86_64__)
    if ((varve_cpu_features() & varve_cpu_sha256) && count > 0) {
        const size_t taken = complete_block(digest, stream, streamLength);
        const size_t blocks = (streamLength - taken) / varve_sha256_block;
        queue queue = {base, offsets, lengths, 0, count, out};
        lane lanes[lanesMax];
        for (int index = 0; index < lanesMax; index++) empty(&lanes[index]);
        // The first lane begins with the stream's whole blocks, as a message without an end, the second with a piece.
        // Two lanes and not three: the stream can not be cut in two, so the more it waits for pieces, the later it
        // is done.
        lane *const first = &lanes[0], *const second = &lanes[1];
        memcpy(first->state, digest->state, sizeof first->state);
        first->run = stream + taken;
        first->blocks = blocks;
        int busy = refill(second, &queue);
        while (first->blocks > 0 && busy) {
            const size_t run = first->blocks < second->blocks ? first->blocks : second->blocks;
            varve_sha256_compress_shani_two(lanes, run);
            advance(first, run);
            advance(second, run);
            busy = refill(second, &queue);
        }
        if (first->blocks > 0) varve_sha256_compress_shani(first->state, first->run, first->blocks);
        first->blocks = 0;
        // The stream has been absorbed: its state is kept, and the lane is free for pieces too.
        memcpy(digest->state, first->state, sizeof digest->state);
        const size_t absorbed = taken + blocks * varve_sha256_block;
        digest->length += blocks * varve_sha256_block;
        if (streamLength > absorbed) varve_sha256_update(digest, stream + absorbed, streamLength - absorbed);
        work(lanes, &queue);
        return;
    }
#endif
    varve_sha256_pieces(base, offsets, lengths, count, out);
    varve_sha256_update(digest, stream, streamLength);
}
