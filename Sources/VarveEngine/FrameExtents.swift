// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import VarveCodec
import VarveModel

/// Which bytes of each frame a reader will ask for, as far as is known beforehand.
///
/// Who makes a range of a layer looks at some pieces of text here and there, and a layer that shares most of its chunks with
/// others lies in many frames. Of a frame only as much is decoded as leads to the last byte wanted, and only the chunks wanted
/// are verified. It is a hint: a frame that is not listed is wanted whole, and so is one that is asked for other bytes.
struct FrameExtents: Sendable {
    /// Frames that are listed, at most: a frame of zstd without points may be gigabytes of text.
    private static let framesMax = 1 << 10

    private var extents: [FrameCache.Key: Range<Int>] = [:]
    /// For each run of the content that was come to, by number, the raw address of its pack at which it begins, so that nobody
    /// looks for it again.
    private(set) var addresses: [Int: UInt64] = [:]

    /// Nothing is known.
    init() {}

    var isFull: Bool { extents.count >= Self.framesMax }

    /// The bytes of a frame that will be asked for, `offset` among them; nil for all.
    func extent(of frame: FrameCache.Key, with offset: Int) -> Range<Int>? {
        extents[frame].flatMap { $0.contains(offset) ? $0 : nil }
    }

    mutating func add(_ range: Range<Int>, of frame: FrameCache.Key) {
        guard let known = extents[frame] else {
            extents[frame] = range
            return
        }
        extents[frame] = min(known.lowerBound, range.lowerBound)..<max(known.upperBound, range.upperBound)
    }

    mutating func note(_ address: UInt64, ofRun run: Int) { addresses[run] = address }
}
