// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOCore
import VarveCodec
import VarveDrivers
import VarveIndex
import VarveModel
import VarveZstd

/// A zstd file, made again by its plan out of the plain bytes that its chunks give.
///
/// A frame is made from its beginning or from one of its restart points, some mebibytes apart. Several cores make it in *lanes*:
/// stretches that are long enough for the run-ups of former plans to cost little, each made from its beginning to its end, side by side.
///
/// The models and the window of text, some tens of megabytes, belong to whoever makes a lane; they are made at the first piece,
/// and BlobStream lets only so many be there at once.
final class ZstdRebuild: Rebuilding, @unchecked Sendable {  // one reader at a time, see BlobStream
    /// Plain bytes of a lane at least, and how many times its run-up.
    private static let laneBytesMin = 4 << 20
    private static let laneRunUps = 4
    private static let laneMemoryMax = 64 << 20

    private let core: Core
    private let loaded: LoadedRecipe
    private let rebuilder: ZstdRebuilder
    private let range: Range<UInt64>
    private var whole: WholeDigest?
    /// For those who take the pieces one after the other.
    private var single: ZstdLane?

    let length: UInt64
    /// Whether a lane takes so much memory that one at a time has to do.
    var isHeavy: Bool { rebuilder.streamBytes > Self.laneMemoryMax }

    /// Stretches of the range that can be made side by side, in order.
    let lanes: [Range<UInt64>]

    private var digest: Digest { loaded.recipe.digest }

    init(core: Core, _ loaded: LoadedRecipe, at place: RecipePlace, range: Range<UInt64>) throws(VarveError) {
        let recipe = loaded.recipe
        let isWhole = range == 0..<recipe.blobBytes
        self.core = core
        self.loaded = loaded
        self.range = range
        length = range.upperBound - range.lowerBound
        // Who makes the whole blob, as a proof does, reads what is on disk.
        let kept = isWhole ? nil : core.packs.plans.plan(of: place)
        if let kept { rebuilder = kept } else { rebuilder = try Self.plan(core, loaded) }
        guard UInt64(rebuilder.compressedCount) == recipe.blobBytes, UInt64(rebuilder.plainCount) == recipe.plainBytes
        else { throw VarveError(.corrupted, "the plan of blob \(recipe.digest) is another blob's") }
        if kept == nil, !isWhole { core.packs.plans.keep(rebuilder, of: place) }
        if isWhole { whole = try WholeDigest(recipe.digest.algorithm) }
        lanes = Self.lanes(of: rebuilder.segments, in: range)
    }

    private static func plan(_ core: Core, _ loaded: LoadedRecipe) throws(VarveError) -> ZstdRebuilder {
        var plan = loaded.recipe.outerPlan
        if plan.isEmpty {
            var reader = PlainReader(core: core, loaded)
            plan = try reader.allCorrections()
        }
        do throws(ZstdError) {
            return try ZstdRebuilder(plan: plan)
        } catch {
            throw VarveError(.corrupted, "the plan of blob \(loaded.recipe.digest) is damaged", cause: error)
        }
    }

    private static func lanes(of segments: [ZstdRebuilder.Segment], in range: Range<UInt64>) -> [Range<UInt64>] {
        var lanes: [Range<UInt64>] = []
        var start = range.lowerBound
        var plain = 0
        for segment in segments {
            let place = UInt64(segment.compressed.lowerBound)
            guard segment.compressed.upperBound > range.lowerBound, place < range.upperBound else { continue }
            if place > start, plain >= max(laneBytesMin, laneRunUps * segment.runUp) {
                lanes.append(start..<place)
                start = place
                plain = 0
            }
            plain += segment.plain.count
        }
        if start < range.upperBound { lanes.append(start..<range.upperBound) }
        return lanes
    }

    /// The lane of that number; it may be made on any thread, its pieces one after the other.
    func lane(_ number: Int) -> ZstdLane { lane(of: lanes[number]) }

    private func lane(of range: Range<UInt64>) -> ZstdLane {
        let wanted = Int(range.lowerBound)..<Int(min(range.upperBound, range.lowerBound + UInt64(ZstdLane.aheadBytes)))
        let text = rebuilder.text(for: wanted).map { UInt64($0.lowerBound)..<UInt64($0.upperBound) }
        return ZstdLane(core: core, loaded, rebuilder, range, text)
    }

    /// Takes a piece that is about to leave, in order, into the whole's digest; compares it at the last one.
    func leaving(_ piece: ByteBuffer, isLast: Bool) throws(VarveError) {
        whole?.absorb(piece)
        if isLast { try whole.compare(with: digest) }
    }

    func nextPiece() throws(VarveError) -> ByteBuffer? {
        let lane = single ?? lane(of: range)
        single = lane
        guard let piece = try lane.nextPiece() else { return nil }
        try leaving(piece, isLast: lane.isDone)
        return piece
    }
}

/// Makes a stretch of a zstd file, piece by piece. For one thread at a time.
final class ZstdLane: @unchecked Sendable {  // whoever makes a piece waits for the one before, see BlobStream
    private static let pieceBytes = 256 << 10
    /// The first one of several makes who pulls wait.
    private static let firstBytes = 16 << 10
    /// Bytes of which the text is read ahead; what comes later is made too slowly to need it.
    static let aheadBytes = 1 << 20

    private let core: Core
    private let loaded: LoadedRecipe
    private let rebuilder: ZstdRebuilder
    private let range: Range<UInt64>
    private var position: UInt64
    private var reader: PlainReader
    /// The text of the run-up and of the first bytes, and who reads it.
    private let text: [Range<UInt64>]
    private var ahead: PlainAhead?
    private var stream: ZstdRebuildStream?
    /// What was made beyond the last piece.
    private var rest = ByteBuffer()

    fileprivate init(
        core: Core, _ loaded: LoadedRecipe, _ rebuilder: ZstdRebuilder, _ range: Range<UInt64>,
        _ text: [Range<UInt64>]
    ) {
        self.core = core
        self.loaded = loaded
        self.rebuilder = rebuilder
        self.range = range
        self.text = text
        position = range.lowerBound
        reader = PlainReader(core: core, loaded)
    }

    deinit { ahead?.stop() }

    private func begin() throws(VarveError) {
        var extents = FrameExtents()
        // Who goes on behind what is read ahead wants all of most frames.
        if range.upperBound - range.lowerBound <= UInt64(Self.aheadBytes) {
            extents = try reader.extents(of: text)
            reader = PlainReader(core: core, loaded, extents)
        }
        let ahead = PlainAhead(core: core, loaded, text, extents)
        ahead.start()
        self.ahead = ahead
    }

    /// Pieces that come in all: each but the first and the last has `pieceBytes`.
    var pieceCount: Int {
        let length = Int(range.upperBound - range.lowerBound)
        if length <= Self.pieceBytes { return length > 0 ? 1 : 0 }
        return 1 + (length - Self.firstBytes + Self.pieceBytes - 1) / Self.pieceBytes
    }

    /// Bytes of the piece that comes next.
    private var nextCount: Int {
        let left = Int(range.upperBound - position)
        return position == range.lowerBound && left > Self.pieceBytes ? Self.firstBytes : min(left, Self.pieceBytes)
    }

    /// Whether all pieces were made.
    var isDone: Bool { position == range.upperBound }

    /// The next piece; nil at the end.
    func nextPiece() throws(VarveError) -> ByteBuffer? {
        guard !isDone else { return nil }
        if position == range.lowerBound { try begin() }
        defer {
            if isDone || position - range.lowerBound >= UInt64(Self.aheadBytes) {
                ahead?.stop()
                ahead = nil
            }
        }
        let stream = self.stream ?? rebuilder.stream(from: Int(range.lowerBound))
        self.stream = stream
        let wanted = nextCount
        var piece = ByteBufferAllocator().buffer(capacity: wanted)
        if var held = rest.readSlice(length: min(rest.readableBytes, wanted)) { piece.writeBuffer(&held) }
        do {
            while piece.readableBytes < wanted {
                guard
                    let made = try stream.next(plain: { plain, room in
                        var none: WholeDigest?
                        ahead?.reach(UInt64(plain.lowerBound))
                        try reader.fill(room, from: UInt64(plain.lowerBound), &none)
                    })
                else { throw ZstdError("plan-damaged") }
                let taken = min(made.count, wanted - piece.readableBytes)
                piece.writeBytes(UnsafeRawBufferPointer(rebasing: made[..<taken]))
                if taken < made.count {
                    rest.clear()
                    rest.writeBytes(UnsafeRawBufferPointer(rebasing: made[taken...]))
                }
            }
        } catch let error as VarveError {
            throw error
        } catch {
            throw VarveError(.corrupted, "blob \(loaded.recipe.digest) can not be made again", cause: error)
        }
        position += UInt64(wanted)
        if isDone { self.stream = nil }
        return piece
    }
}
