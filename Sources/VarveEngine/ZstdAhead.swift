// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOConcurrencyHelpers
import NIOCore
import VarveDrivers
import VarveModel

/// Makes the lanes of a zstd blob ahead of its reader: the one that is read now, and as many behind it as there are other
/// cores and places free. For one reader at a time.
///
/// Within a lane each piece waits for the one before. The lane that is read stays some pieces ahead; the others go on up to
/// a bound, so that a slow reader holds some megabytes a lane and no more.
final class ZstdAhead: Sendable {
    /// Pieces, see ``ZstdLane/pieceCount``.
    private static let aheadNow = 4
    private static let aheadLater = 32

    private struct Lane {
        let lane: ZstdLane
        let place: StreamPlaces.Place
        var started = 0
        var given = 0
        var tasks: [Task<ByteBuffer, any Error>] = []
        var last: Task<ByteBuffer, any Error>?
    }

    private struct State {
        /// The first one is read now.
        var lanes: [Lane] = []
        /// The next one to begin.
        var next = 0
        /// Of a lane that was read to its end.
        var spare: StreamPlaces.Place?
    }

    private let core: Core
    private let rebuild: ZstdRebuild
    private let state = NIOLockedValueBox(State())

    init(core: Core, rebuild: ZstdRebuild) {
        self.core = core
        self.rebuild = rebuild
    }

    deinit { stop() }

    /// Ends what is being made and gives the places back.
    func stop() {
        state.withLockedValue { state in
            for lane in state.lanes { for task in lane.tasks { task.cancel() } }
            state = State(next: rebuild.lanes.count)
        }
    }

    /// The next piece; nil at the end.
    func next() async throws(VarveError) -> ByteBuffer? {
        if state.withLockedValue({ $0.lanes.isEmpty && $0.next == 0 && !rebuild.lanes.isEmpty }) {
            let place = try await core.zstdPlaces.take()
            state.withLockedValue { $0.spare = place }
        }
        startMore()
        let running = state.withLockedValue { state in state.lanes.first?.tasks.first }
        guard let running else { return nil }
        let piece: ByteBuffer
        do {
            piece = try await withTaskCancellationHandler {
                try await running.value
            } onCancel: {
                running.cancel()
            }
        } catch let error as VarveError {
            throw error
        } catch {
            throw VarveError(.cancelled, "the reader went away", cause: error)
        }
        let isLast = state.withLockedValue { state in
            guard !state.lanes.isEmpty else { return true }
            state.lanes[0].tasks.removeFirst()
            state.lanes[0].given += 1
            guard state.lanes[0].given == state.lanes[0].lane.pieceCount else { return false }
            state.spare = state.lanes.removeFirst().place
            return state.lanes.isEmpty && state.next == rebuild.lanes.count
        }
        startMore()
        try await core.pool.run { [rebuild] () throws(VarveError) in try rebuild.leaving(piece, isLast: isLast) }
        return piece
    }

    private func startMore() {
        state.withLockedValue { state in
            let most = rebuild.isHeavy ? 1 : core.coreCount
            while state.next < rebuild.lanes.count, state.lanes.count < most {
                // The first one waited for its place; others are content with what nobody else needs.
                guard let place = state.spare ?? (state.lanes.isEmpty ? nil : core.zstdPlaces.takeSpare()) else {
                    break
                }
                state.spare = nil
                state.lanes.append(Lane(lane: rebuild.lane(state.next), place: place))
                state.next += 1
            }
            if state.next == rebuild.lanes.count { state.spare = nil }
            for index in state.lanes.indices {
                let ahead = index == 0 ? Self.aheadNow : Self.aheadLater
                while state.lanes[index].tasks.count < ahead,
                    state.lanes[index].started < state.lanes[index].lane.pieceCount
                {
                    let task = start(state.lanes[index].lane, after: state.lanes[index].last)
                    state.lanes[index].tasks.append(task)
                    state.lanes[index].last = task
                    state.lanes[index].started += 1
                }
            }
        }
    }

    private func start(_ lane: ZstdLane, after last: Task<ByteBuffer, any Error>?) -> Task<ByteBuffer, any Error> {
        Task { [core] in
            if let last { _ = try await last.value }
            return try await core.rebuilders.run { () throws(VarveError) in
                guard let piece = try lane.nextPiece() else {
                    throw VarveError(.corrupted, "a part of a blob ended before its end")
                }
                return piece
            }
        }
    }
}
