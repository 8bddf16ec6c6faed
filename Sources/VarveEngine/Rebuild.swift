// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOCore
import VarveCodec
import VarveDrivers
import VarveIndex
import VarveModel

/// Makes a settled blob's bytes again, or a range of them, piece by piece, in order.
///
/// When the whole blob is made, its own digest is compared too, and the last piece is held back until that is done.
protocol Rebuilding: AnyObject, Sendable {
    /// Bytes that will come in all.
    var length: UInt64 { get }
    /// The next piece; nil at the end. For one thread at a time.
    /// - Throws: `corrupted`, `io`.
    func nextPiece() throws(VarveError) -> ByteBuffer?
}

extension Rebuilding {
    /// Makes everything and keeps nothing: the proof.
    func prove(_ pace: SettlingPace? = nil) throws(VarveError) {
        while try nextPiece() != nil { try pace?.breathe() }
    }
}

extension Core {
    /// What makes a blob again, by the recipe at `place`.
    func rebuild(
        _ digest: Digest, size: UInt64, recipe place: RecipePlace, range: Range<UInt64>
    ) throws(VarveError) -> any Rebuilding {
        let loaded = try LoadedRecipe(core: self, digest: digest, size: size, at: place)
        switch loaded.recipe.outerEncoding {
        case .none: return try PlainRebuild(core: self, loaded, range: range)
        case .deflate: return try DeflateRebuild(core: self, loaded, range: range)
        case .zstd: return try ZstdRebuild(core: self, loaded, at: place, range: range)
        default:
            throw VarveError(.unsupported, "blob \(digest) has an encoding that this version can not rebuild")
        }
    }
}

/// A blob that is its plain bytes. The two hashes share one pass: while the chunks of the next frame are hashed on one
/// lane, the piece made before goes through the other.
final class PlainRebuild: Rebuilding, @unchecked Sendable {  // one reader at a time, see BlobStream
    private static let pieceBytes = 1 << 20

    private let digest: Digest
    private let range: Range<UInt64>
    private var position: UInt64
    private var reader: PlainReader
    /// The running digest of the whole blob; nil when only a part is made.
    private var whole: WholeDigest?

    let length: UInt64

    init(core: Core, _ loaded: LoadedRecipe, range: Range<UInt64>) throws(VarveError) {
        let recipe = loaded.recipe
        guard recipe.plainBytes == recipe.blobBytes else {
            throw VarveError(.corrupted, "the recipe of blob \(recipe.digest) contradicts itself")
        }
        digest = recipe.digest
        self.range = range
        position = range.lowerBound
        length = range.upperBound - range.lowerBound
        reader = PlainReader(core: core, loaded)
        if range == 0..<recipe.blobBytes { whole = try WholeDigest(digest.algorithm) }
    }

    func nextPiece() throws(VarveError) -> ByteBuffer? {
        guard position < range.upperBound else {
            // An empty blob has no last piece to hold back; its digest is compared all the same.
            if length == 0 { try whole.compare(with: digest) }
            return nil
        }
        let end = min(position + UInt64(Self.pieceBytes), range.upperBound)
        let count = Int(end - position)
        var buffer = ByteBufferAllocator().buffer(capacity: count)
        var failure: VarveError?
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { room in
            do throws(VarveError) {
                try reader.fill(UnsafeMutableRawBufferPointer(rebasing: room[..<count]), from: position, &whole)
                return count
            } catch {
                failure = error
                return 0
            }
        }
        if let failure { throw failure }
        position = end
        whole?.absorb(buffer)
        if position == range.upperBound { try whole.compare(with: digest) }
        return buffer
    }
}

extension Core {
    /// A small blob's bytes, whole: a manifest, however it is stored.
    func allBytes(of digest: Digest) throws(VarveError) -> ByteBuffer {
        switch try open(digest, in: nil, range: nil) {
        case .bytes(let buffer):
            return buffer
        case .file(let file):
            defer { file.close() }
            guard file.length <= UInt64(Store.manifestBytesMax) else {
                throw VarveError(.tooLarge, "blob \(digest) is too long for a manifest")
            }
            do throws(DriverError) {
                return ByteBuffer(
                    bytes: try files.open(StoreLayout.raw(digest).path, .read).read(at: 0, count: Int(file.length)))
            } catch {
                throw error.asVarveError
            }
        case .stream(let stream):
            guard stream.length <= UInt64(Store.manifestBytesMax) else {
                throw VarveError(.tooLarge, "blob \(digest) is too long for a manifest")
            }
            var whole = ByteBuffer()
            while var piece = try stream.rebuild.nextPiece() { whole.writeBuffer(&piece) }
            return whole
        }
    }
}
