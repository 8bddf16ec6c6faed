// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOConcurrencyHelpers
import VarveDrivers
import VarveModel

/// Decodes frames that a reader will ask for soon on another core than the reader's.
///
/// The text is cut into parts. One who has nothing else to do goes through them and puts their frames into the frame cache; the
/// reader says which part it comes to and reads it itself if nobody else is at it. If the helper is, the reader takes the next
/// part meanwhile, as it has nothing to do until then. So nothing is decoded twice at the same time, both cores are busy, and a
/// helper that finds no thread delays nobody.
final class PlainAhead: Sendable {
    /// Plain bytes of a part.
    private static let partBytes: UInt64 = 512 << 10
    /// Parts that may be ready before the reader comes to them: frames must still be in the cache then.
    private static let aheadMax = 16
    /// Parts in all: a frame without points may have gigabytes, and the reader does without help for the rest.
    private static let partsMax = 256

    private struct State {
        var next = 0
        var reached = 0
        var isRunning = false
        var isStopped = false
    }

    private let core: Core
    private let loaded: LoadedRecipe
    private let extents: FrameExtents
    private let parts: [Range<UInt64>]
    private let state = NIOLockedValueBox(State())
    /// For each part whether no helper is at work on it.
    private let idle: [ConditionLock<Bool>]

    /// - Parameters:
    ///   - ranges: Of plain bytes, in the order in which they will be asked for.
    ///   - extents: What the reader knows of what he will ask for.
    init(core: Core, _ loaded: LoadedRecipe, _ ranges: [Range<UInt64>], _ extents: FrameExtents) {
        self.core = core
        self.loaded = loaded
        self.extents = extents
        var parts: [Range<UInt64>] = []
        for range in ranges {
            var start = range.lowerBound
            while start < range.upperBound, parts.count < Self.partsMax {
                let end = min(start + Self.partBytes, range.upperBound)
                parts.append(start..<end)
                start = end
            }
        }
        self.parts = parts
        idle = parts.map { _ in ConditionLock(value: true) }
    }

    /// Lets a helper begin as soon as a thread is free.
    func start() {
        guard parts.count > 1, core.packs.frames.budget >= 4 * Self.aheadMax * Int(Self.partBytes) else { return }
        let isNew = state.withLockedValue { state in
            if state.isRunning || state.isStopped { return false }
            state.isRunning = true
            return true
        }
        guard isNew else { return }
        Task { try? await core.rebuilders.run { () throws(VarveError) in self.work() } }
    }

    /// The reader wants nothing more.
    func stop() { state.withLockedValue { $0.isStopped = true } }

    /// The reader comes to the plain bytes at `position`: returns when nobody else is at work on them.
    func reach(_ position: UInt64) {
        let (part, lags) = state.withLockedValue { state -> (Int?, Bool) in
            // Parts are asked for in order, so that the first one looked at is nearly always it.
            let part = (state.reached..<parts.count).first { parts[$0].contains(position) }
            if let part {
                state.reached = part
                state.next = max(state.next, part + 1)
            }
            return (part, !state.isRunning && state.next < min(parts.count, state.reached + Self.aheadMax / 2))
        }
        if lags { start() }
        guard let part else { return }
        if !idle[part].lock(whenValue: true, timeoutSeconds: 0) {
            if let next = take(asHelper: false) {
                var reader = PlainReader(core: core, loaded, extents)
                work(on: next, with: &reader)
            }
            idle[part].lock(whenValue: true)
        }
        idle[part].unlock()
    }

    private func work() {
        var reader = PlainReader(core: core, loaded, extents)
        while let part = take(asHelper: true) { work(on: part, with: &reader) }
    }

    private func work(on part: Int, with reader: inout PlainReader) {
        // Whatever is wrong with it the reader will find out.
        try? reader.warm(parts[part])
        idle[part].lock()
        idle[part].unlock(withValue: true)
    }

    /// The next part to work on.
    private func take(asHelper: Bool) -> Int? {
        state.withLockedValue { state in
            let part = state.next
            guard !state.isStopped, part < parts.count, part - state.reached <= Self.aheadMax else {
                if asHelper { state.isRunning = false }
                return nil
            }
            state.next += 1
            idle[part].lock()
            idle[part].unlock(withValue: false)
            return part
        }
    }
}
