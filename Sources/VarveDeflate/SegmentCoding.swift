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
    /// Plain bytes of a job at most, if the encoder begins anew only where a job ends: at the last end of input within so
    /// many bytes of the job's start (`pigz -R`); 0: at every end.
    var jobSize = 0
    /// pigz's, unless somebody asked for another.
    static let usualJobSize = 128 << 10
    /// Whether the block stream's probabilities start at one half, as in plans of version 3.
    var startsAtHalf = false
}

/// How far a description may go before it is given up.
struct Effort {
    /// Bytes of the description.
    var bytesMax = Int.max
    /// Search steps of the model.
    var stepsMax = Int.max
    /// Tokens that are not as the model has them.
    var departuresMax = Int.max
    /// Work (``work(plain:compressed:steps:)``) after which a segment ends before the next block, if that can begin one.
    var segmentWork = Int.max

    /// What it takes to make so many compressed bytes out of plain ones, in the time that a plain byte takes by itself (4 to
    /// 8 ns): a search step is as much, a compressed byte, with its share of a token, eight times as much. By least squares
    /// over the segments of layers from zlib, pigz, GNU gzip and Go.
    static func work(plain: Int, compressed: Int, steps: Int) -> Int { plain &+ compressed &* 8 &+ steps }

    /// What a description of so many places where input ended may take by itself, in bytes.
    static func bytes(endings count: Int) -> Int { 4 * count }

    static let any = Effort()
}

/// What a description was too dear in.
enum GaveUp { case bytes, steps, departures }

/// A ``SegmentWalk`` with whatever model.
protocol SegmentCoding: AnyObject {
    /// Search steps of the last segment.
    var steps: Int { get }
    /// Departures of the last segment written.
    var corrections: Int { get }
    /// Tokens of it that were as the model has them before the first departure; more than there are if there was none.
    var goodBefore: Int { get }
    /// Whether the last segment written has a block that the format has no words for.
    var unrepresentable: Bool { get }
    /// Why the last segment was not written to its end, if it was not.
    var gaveUp: GaveUp? { get }
    /// How many of the elements the last segment written has: not all, if ``Effort/segmentWork`` ended it.
    var elementCount: Int { get }
    /// Takes other parameters of the same model.
    func follow(_ parameters: StreamParameters)
    /// What the model says of the last segment (``TokenModel/restart(before:)``).
    func restart(before limit: Int) -> Int?
    func write(
        _ elements: ArraySlice<StreamElement>, plain: UnsafePointer<UInt8>, plainOrigin: Int, geometry: SegmentGeometry,
        tokens: UnsafeMutablePointer<UInt32>, endings: ArraySlice<Int>, effort: Effort
    ) -> (blocks: [UInt8], tokens: [UInt8])
    func read(
        blocks: UnsafeBufferPointer<UInt8>, tokens: UnsafeBufferPointer<UInt8>, plain: UnsafePointer<UInt8>,
        geometry: SegmentGeometry, into sink: BitSink, expected: Int, enough: Int
    ) throws(DeflateError)
}

/// A ``SegmentWalk`` whose machine code is made for its model.
///
/// A generic class that is only known by a protocol runs code that asks at every token which model and which coder it has: a
/// third of the time. Closures made where the model is named call code for just that one.
final class SpecializedWalk: SegmentCoding {
    /// What ``SegmentCoding/write(_:plain:plainOrigin:geometry:tokens:endings:effort:)`` takes.
    private struct Writing {
        let elements: ArraySlice<StreamElement>
        let plain: UnsafePointer<UInt8>
        let plainOrigin: Int
        let geometry: SegmentGeometry
        let tokens: UnsafeMutablePointer<UInt32>
        let endings: ArraySlice<Int>
        let effort: Effort
    }
    /// What ``SegmentCoding/read(blocks:tokens:plain:geometry:into:expected:enough:)`` takes.
    private struct Reading {
        let blocks: UnsafeBufferPointer<UInt8>
        let tokens: UnsafeBufferPointer<UInt8>
        let plain: UnsafePointer<UInt8>
        let geometry: SegmentGeometry
        let sink: BitSink
        let expected: Int
        let enough: Int
    }

    private let walk: any SegmentCoding
    private let writing: (Writing) -> (blocks: [UInt8], tokens: [UInt8])
    private let reading: (Reading) throws(DeflateError) -> Void

    @inline(__always)
    init<Model: TokenModel>(_ walk: SegmentWalk<Model>) {
        self.walk = walk
        writing = {
            walk.write(
                $0.elements, plain: $0.plain, plainOrigin: $0.plainOrigin, geometry: $0.geometry, tokens: $0.tokens,
                endings: $0.endings, effort: $0.effort)
        }
        reading = { (input) throws(DeflateError) in
            try walk.read(
                blocks: input.blocks, tokens: input.tokens, plain: input.plain, geometry: input.geometry,
                into: input.sink, expected: input.expected, enough: input.enough)
        }
    }

    var steps: Int { walk.steps }
    var corrections: Int { walk.corrections }
    var goodBefore: Int { walk.goodBefore }
    var unrepresentable: Bool { walk.unrepresentable }
    var gaveUp: GaveUp? { walk.gaveUp }
    var elementCount: Int { walk.elementCount }
    func restart(before limit: Int) -> Int? { walk.restart(before: limit) }
    func follow(_ parameters: StreamParameters) { walk.follow(parameters) }

    func write(
        _ elements: ArraySlice<StreamElement>, plain: UnsafePointer<UInt8>, plainOrigin: Int, geometry: SegmentGeometry,
        tokens: UnsafeMutablePointer<UInt32>, endings: ArraySlice<Int>, effort: Effort
    ) -> (blocks: [UInt8], tokens: [UInt8]) {
        writing(
            Writing(
                elements: elements, plain: plain, plainOrigin: plainOrigin, geometry: geometry, tokens: tokens,
                endings: endings, effort: effort))
    }

    func read(
        blocks: UnsafeBufferPointer<UInt8>, tokens: UnsafeBufferPointer<UInt8>, plain: UnsafePointer<UInt8>,
        geometry: SegmentGeometry, into sink: BitSink, expected: Int, enough: Int
    ) throws(DeflateError) {
        try reading(
            Reading(
                blocks: blocks, tokens: tokens, plain: plain, geometry: geometry, sink: sink, expected: expected,
                enough: enough))
    }
}
