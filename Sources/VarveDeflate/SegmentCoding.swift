// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// One piece of a compressed file as the decoder saw it.
enum StreamElement {
    case block(DeflateBlock)
    /// Bytes outside deflate data: gzip headers, trailers, what follows. `padding` fills the byte before them.
    case raw(padding: Int, bytes: [UInt8])
}

/// Where a segment lies, in offsets from the plain buffer's base.
struct SegmentGeometry {
    var start = 0
    var end = 0
    /// Plain bytes up to here may be looked at.
    var available = 0
    /// Plain bytes before `start` over which the model runs without output.
    var lead = 0
    /// Plain bytes before that, which the model takes as text already seen.
    var history = 0
    /// Plain bytes of the gzip member before `start`.
    var age = 0
}

/// Everything that stays the same over a stream: model and block structure. Part of the plan.
struct StreamParameters: Equatable {
    var model = ModelChoice.generic(.init())
    var rule = BlockRule.none
    var tree = TreeKind.zlib
    /// Plain bytes between regular input boundaries (pgzip's and pigz's blocks); 0 for none.
    var unitSize = 0
    /// What the encoder does at an input boundary: negative: goes on; otherwise: starts anew with so many bytes of text.
    var unitDictionary = -1
}

/// How far a description may go before it is given up.
struct Effort {
    /// Bytes of the description.
    var bytesMax = Int.max
    /// Search steps of the model.
    var stepsMax = Int.max

    static let any = Effort()
}

/// What a description was too dear in.
enum GaveUp { case bytes, steps }

/// A ``SegmentWalk`` with whatever model.
protocol SegmentCoding: AnyObject {
    /// Search steps of the last segment.
    var steps: Int { get }
    /// Departures of the last segment written.
    var corrections: Int { get }
    /// Whether the last segment written has a block that the format has no words for.
    var unrepresentable: Bool { get }
    /// Why the last segment was not written to its end, if it was not.
    var gaveUp: GaveUp? { get }
    func write(
        _ elements: ArraySlice<StreamElement>, plain: UnsafePointer<UInt8>, plainOrigin: Int, geometry: SegmentGeometry,
        tokens: UnsafeMutablePointer<UInt32>, endings: ArraySlice<Int>, effort: Effort
    ) -> (blocks: [UInt8], tokens: [UInt8])
    func read(
        blocks: UnsafeBufferPointer<UInt8>, tokens: UnsafeBufferPointer<UInt8>, plain: UnsafePointer<UInt8>,
        geometry: SegmentGeometry, into sink: BitSink, expected: Int
    ) throws(DeflateError)
}
