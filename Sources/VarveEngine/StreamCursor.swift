// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import VarveCodec
import VarveModel

/// A place in one stream of a recipe, with the decoded frame that lies there.
///
/// Reading goes forwards most of the time: the next bytes are in the same frame, or at the start of the next one.
struct StreamCursor {
    /// Where a byte of the stream lies: a run of chunks and an offset in it.
    struct Place {
        /// The pack's number in this store.
        var pack: UInt32
        var firstOrdinal: UInt32
        var offsetInRun: UInt64
        /// Bytes of the run from that offset on.
        var left: UInt64
        /// The byte's place in the stream.
        var position: UInt64
    }

    private let runs: [RecipeRun]
    private let packs: [UInt32]
    private var runIndex = 0
    private let addresses: [Int: UInt64]
    private var knownRun: (index: Int, address: UInt64)?
    private var frame: DecodedFrame?
    /// The part of the stream that lies in `frame`, and where in the frame it begins.
    private var covered: Range<UInt64> = 0..<0
    private var frameOffset = 0

    /// - Parameters:
    ///   - runs: With the ordinals that their chunks have now, in `packs`.
    ///   - addresses: For some of them, by number, the raw address of the pack at which they begin.
    init(_ runs: [RecipeRun], packs: [UInt32], addresses: [Int: UInt64] = [:]) {
        self.runs = runs
        self.addresses = addresses
        self.packs = packs
    }

    func holds(_ position: UInt64) -> Bool { covered.contains(position) }

    /// The bytes from `position` on that lie in the present frame, at most `limit`; nil if `position` does not.
    func bytes(from position: UInt64, atMost limit: Int) -> UnsafeRawBufferPointer? {
        guard let frame, covered.contains(position) else { return nil }
        let start = frameOffset + Int(position - covered.lowerBound)
        let count = min(UInt64(limit), covered.upperBound - position)
        return UnsafeRawBufferPointer(rebasing: frame.bytes[start..<start + Int(count)])
    }

    /// Finds the run that holds `position`.
    mutating func seek(_ position: UInt64) -> Place? {
        if !isIn(runIndex, position) {
            if isIn(runIndex + 1, position) {
                runIndex += 1
            } else {
                var low = 0
                var high = runs.count
                while low < high {
                    let middle = low + (high - low) / 2
                    if runs[middle].streamRange.upperBound > position { high = middle } else { low = middle + 1 }
                }
                guard isIn(low, position) else { return nil }
                runIndex = low
            }
        }
        let run = runs[runIndex]
        guard Int(run.pack) < packs.count else { return nil }
        return Place(
            pack: packs[Int(run.pack)], firstOrdinal: run.firstOrdinal, offsetInRun: position - run.streamOffset,
            left: run.streamRange.upperBound - position, position: position)
    }

    /// The number of the run found last.
    var run: Int { runIndex }

    /// The raw address of the pack at which the run found last begins.
    /// - Parameter find: Finds it out if it is not known.
    mutating func runAddress(orFind find: () throws(VarveError) -> UInt64) throws(VarveError) -> UInt64 {
        if let knownRun, knownRun.index == runIndex { return knownRun.address }
        let address: UInt64
        if let known = addresses[runIndex] { address = known } else { address = try find() }
        knownRun = (runIndex, address)
        return address
    }

    /// Puts a frame under the cursor: the byte `place.position` of the stream lies at `address` of the pack's raw bytes.
    mutating func put(_ frame: DecodedFrame, at place: Place, address: UInt64, entry: FrameDirectory.Entry) -> Bool {
        guard entry.rawAddresses.contains(address), frame.byteCount == entry.rawBytes else { return false }
        let offset = Int(address - entry.rawAddress)
        guard frame.covered.contains(offset) else { return false }
        self.frame = frame
        frameOffset = offset
        covered = place.position..<place.position + min(place.left, UInt64(frame.covered.upperBound - offset))
        return true
    }

    private func isIn(_ index: Int, _ position: UInt64) -> Bool {
        index < runs.count && runs[index].streamRange.contains(position)
    }
}
