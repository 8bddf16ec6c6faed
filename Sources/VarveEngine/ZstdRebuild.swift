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
/// A frame can only be made from its beginning: a range in the middle costs as much time as all of its frame up to there, but
/// not its memory, and the first bytes of a whole blob come with the first block. The frame's models and its window of text,
/// some tens of megabytes, belong to the reader; they are made at the first piece, and BlobStream lets only so many readers
/// have them at once.
final class ZstdRebuild: Rebuilding, @unchecked Sendable {  // one reader at a time, see BlobStream
    private static let pieceBytes = 1 << 20

    private let digest: Digest
    private let rebuilder: ZstdRebuilder
    private let range: Range<UInt64>
    private var stream: ZstdRebuildStream?
    private var reader: PlainReader
    private var position: UInt64
    private var whole: WholeDigest?

    let length: UInt64

    init(core: Core, _ loaded: LoadedRecipe, range: Range<UInt64>) throws(VarveError) {
        let recipe = loaded.recipe
        digest = recipe.digest
        self.range = range
        position = range.lowerBound
        length = range.upperBound - range.lowerBound
        reader = PlainReader(core: core, loaded)
        var plan = recipe.outerPlan
        if plan.isEmpty { plan = try reader.allCorrections() }
        do throws(ZstdError) {
            rebuilder = try ZstdRebuilder(plan: plan)
        } catch {
            throw VarveError(.corrupted, "the plan of blob \(digest) is damaged", cause: error)
        }
        guard UInt64(rebuilder.compressedCount) == recipe.blobBytes, UInt64(rebuilder.plainCount) == recipe.plainBytes
        else { throw VarveError(.corrupted, "the plan of blob \(digest) is another blob's") }
        if range == 0..<recipe.blobBytes { whole = try WholeDigest(digest.algorithm) }
    }

    func nextPiece() throws(VarveError) -> ByteBuffer? {
        guard position < range.upperBound else { return nil }
        let stream = self.stream ?? rebuilder.stream(from: Int(range.lowerBound))
        self.stream = stream
        let wanted = Int(min(range.upperBound - position, UInt64(Self.pieceBytes)))
        var piece = ByteBufferAllocator().buffer(capacity: wanted + ZstdRebuildStream.pieceMax)
        do {
            while piece.readableBytes < wanted {
                guard
                    let made = try stream.next(plain: { plain, room in
                        var none: WholeDigest?
                        try reader.fill(room, from: UInt64(plain.lowerBound), &none)
                    })
                else { throw ZstdError("plan-damaged") }
                let left = Int(range.upperBound - position) - piece.readableBytes
                piece.writeBytes(UnsafeRawBufferPointer(rebasing: made[..<min(made.count, left)]))
            }
        } catch let error as VarveError {
            throw error
        } catch {
            throw VarveError(.corrupted, "blob \(digest) can not be made again", cause: error)
        }
        position += UInt64(piece.readableBytes)
        whole?.absorb(piece)
        if position == range.upperBound {
            self.stream = nil
            try whole.compare(with: digest)
        }
        return piece
    }
}
