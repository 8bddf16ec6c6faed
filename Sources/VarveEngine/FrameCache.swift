// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOConcurrencyHelpers
import VarveCodec
import VarveModel

/// The chunks of one frame, or some of them, decoded. Immutable once verified.
final class DecodedFrame: @unchecked Sendable {  // `room` is written only before the frame is shared
    let table: FrameTable
    /// Bytes of all its chunks.
    let byteCount: Int
    /// From the frame's first byte to the last chunk that is here.
    let room: UnsafeMutableRawBufferPointer
    /// The chunks that are here.
    private let chunks: Range<Int>
    private let pack: PackID
    private let index: Int

    /// - Parameter wanted: Bytes of the frame; the chunks that have some of them are to be here. Nil for all.
    init(table: FrameTable, byteCount: Int, wanted: Range<Int>?, pack: PackID, index: Int) {
        self.table = table
        self.byteCount = byteCount
        self.pack = pack
        self.index = index
        if let wanted {
            chunks = table.chunks(holding: wanted)
            room = .allocate(byteCount: table.range(of: chunks).upperBound, alignment: 64)
        } else {
            chunks = 0..<table.count
            room = .allocate(byteCount: byteCount, alignment: 64)
        }
    }

    deinit { room.deallocate() }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(room) }
    /// Which of the frame's bytes are here.
    var covered: Range<Int> { table.range(of: chunks) }
    var memoryBytes: Int { room.count + table.memoryBytes }

    /// Whether these bytes of the frame are here; nil for all.
    func covers(_ wanted: Range<Int>?) -> Bool {
        guard chunks.count < table.count else { return true }
        guard let wanted else { return false }
        return covered.lowerBound <= wanted.lowerBound && wanted.upperBound <= covered.upperBound
    }

    /// Compares every chunk that is here with its digest.
    /// - Throws: `corrupted`.
    func verify() throws(VarveError) {
        var none = SHA256State()
        try verify(absorbing: UnsafeRawBufferPointer(start: nil, count: 0), into: &none)
    }

    /// The same, while `stream` goes into a running hash on the other lane: the two together cost about one pass.
    func verify(absorbing stream: UnsafeRawBufferPointer, into hash: inout SHA256State) throws(VarveError) {
        let isWhole = SHA256Pieces.matches(table, chunks, in: bytes, absorbing: stream, into: &hash)
        guard isWhole else {
            throw VarveError(.corrupted, "a chunk in frame \(index) of pack \(pack.hex) is not what its digest says")
        }
    }
}

/// Decoded frames, least recently used out first.
final class FrameCache: Sendable {
    struct Key: Hashable, Sendable {
        var pack: UInt32
        var frame: Int
    }

    /// For those who want a frame that another one decodes now: true once that is over.
    private typealias Turn = ConditionLock<Bool>

    private struct State {
        var frames: [Key: (frame: DecodedFrame, use: UInt64)] = [:]
        var turns: [Key: Turn] = [:]
        var bytes = 0
        var clock: UInt64 = 0
    }
    private let state = NIOLockedValueBox(State())
    let budget: Int

    init(budget: Int) { self.budget = budget }

    subscript(key: Key) -> DecodedFrame? {
        get {
            state.withLockedValue { state in
                guard let found = state.frames[key] else { return nil }
                state.clock += 1
                state.frames[key] = (found.frame, state.clock)
                return found.frame
            }
        }
        set {
            guard let newValue, newValue.memoryBytes <= budget / 4 else { return }
            state.withLockedValue { state in
                state.clock += 1
                if let old = state.frames.updateValue((newValue, state.clock), forKey: key) {
                    state.bytes -= old.frame.memoryBytes
                }
                state.bytes += newValue.memoryBytes
                guard state.bytes > budget else { return }
                // A quarter goes at once, so that the sort is paid once in many insertions.
                for (key, entry) in state.frames.sorted(by: { $0.value.use < $1.value.use }) {
                    if state.bytes <= budget / 4 * 3 { break }
                    state.frames[key] = nil
                    state.bytes -= entry.frame.memoryBytes
                }
            }
        }
    }

    /// The frame if it is here, or the one that `decode` gives. Of several who want the same frame at the same time one decodes it,
    /// the others wait.
    ///
    /// A frame of which other bytes are here is decoded anew, then wholly: no frame is decoded bit by bit.
    /// - Parameters:
    ///   - wanted: Which of its bytes must be there; nil for all.
    ///   - decode: Must give a verified frame with the bytes that it is told, and ask for no other one meanwhile.
    func frame(
        _ key: Key, with wanted: Range<Int>? = nil,
        orDecode decode: (_ wanted: Range<Int>?) throws(VarveError) -> DecodedFrame
    ) throws(VarveError) -> DecodedFrame {
        if let frame = self[key], frame.covers(wanted) { return frame }
        let mine = Turn(value: false)
        let other = state.withLockedValue { state -> Turn? in
            if let turn = state.turns[key] { return turn }
            state.turns[key] = mine
            return nil
        }
        if let other {
            other.lock(whenValue: true)
            other.unlock()
            // If it is damaged or too large to be kept, each finds out for himself.
            guard let frame = self[key] else { return try decode(wanted) }
            return frame.covers(wanted) ? frame : try self.frame(key, with: wanted, orDecode: decode)
        }
        defer {
            state.withLockedValue { $0.turns[key] = nil }
            mine.lock()
            mine.unlock(withValue: true)
        }
        let present = self[key]
        if let present, present.covers(wanted) { return present }
        let frame = try decode(present == nil ? wanted : nil)
        self[key] = frame
        return frame
    }

    func forget(pack: UInt32) {
        state.withLockedValue { state in
            for (key, entry) in state.frames where key.pack == pack {
                state.frames[key] = nil
                state.bytes -= entry.frame.memoryBytes
            }
        }
    }
}
