// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

package import VarveModel

/// How a blob is rebuilt from chunks.
///
/// A recipe never changes once it is written, and names nothing that is one node's own: packs by their ids, chunks by
/// their ordinals in them. It is complete: with the packs it names, it gives the blob's bytes without an index.
package struct Recipe: Sendable, Equatable {
    /// What lies around the plain bytes. A struct, so that encodings can be added later.
    package struct OuterEncoding: RawRepresentable, Hashable, Sendable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }

        /// The blob is the plain bytes.
        package static let none = OuterEncoding(rawValue: 0)
        /// A gzip or deflate stream, made again by a plan.
        package static let deflate = OuterEncoding(rawValue: 1)
        /// A zstd stream, made again by a plan.
        package static let zstd = OuterEncoding(rawValue: 2)
    }

    static let version: UInt8 = 1
    /// `VRCP`
    static let magic: UInt32 = 0x5043_5256

    /// The digest of the blob as clients name it.
    package var digest: Digest
    /// Length of the blob in bytes.
    package var blobBytes: UInt64
    package var outerEncoding: OuterEncoding
    /// What the outer encoding needs to be made again; its coding is that encoding's business.
    package var outerPlan: [UInt8]
    /// The packs that runs point into.
    package var packs: [PackID]
    package var content: RecipeRuns
    package var headers: RecipeRuns
    package var corrections: RecipeRuns
    package var weave: WeaveTable

    /// Length of the plain bytes, which the weave gives.
    package var plainBytes: UInt64 { weave.plainBytes }

    package init(
        digest: Digest, blobBytes: UInt64, outerEncoding: OuterEncoding = .none, outerPlan: [UInt8] = [],
        packs: [PackID], content: RecipeRuns, headers: RecipeRuns = RecipeRuns(),
        corrections: RecipeRuns = RecipeRuns(), weave: WeaveTable
    ) {
        self.digest = digest
        self.blobBytes = blobBytes
        self.outerEncoding = outerEncoding
        self.outerPlan = outerPlan
        self.packs = packs
        self.content = content
        self.headers = headers
        self.corrections = corrections
        self.weave = weave
    }

    /// The runs of `stream`; empty for a stream that the recipe does not have.
    package func runs(of stream: StreamKind) -> RecipeRuns {
        switch stream {
        case .content: content
        case .headers: headers
        case .corrections: corrections
        }
    }

    /// - Throws: ``CodecError`` with code `malformed` when the parts contradict one another.
    private func checkSums() throws(CodecError) {
        guard content.byteCount == weave.contentBytes, headers.byteCount == weave.headerBytes else {
            throw CodecError(
                .malformed,
                "streams of \(content.byteCount) and \(headers.byteCount) bytes, the weave takes "
                    + "\(weave.contentBytes) and \(weave.headerBytes)")
        }
        guard outerEncoding != .none || (blobBytes == plainBytes && outerPlan.isEmpty) else {
            throw CodecError(.malformed, "a blob of \(blobBytes) bytes without encoding gives \(plainBytes)")
        }
        guard blobBytes <= WeaveTable.streamByteLimit, plainBytes <= WeaveTable.streamByteLimit,
            packs.count <= Int(UInt32.max)
        else { throw CodecError(.limitExceeded, "a blob of \(blobBytes) bytes in \(packs.count) packs") }
    }

    // MARK: Coding

    /// The recipe's bytes, the payload of a recipe frame.
    /// - Throws: ``CodecError``: `malformed` when streams, weave and sizes do not agree; `limitExceeded` when a recipe
    ///   frame could not hold it.
    package func encoded() throws(CodecError) -> [UInt8] {
        try checkSums()
        var writer = ByteWriter()
        writer.write(Self.magic)
        writer.write(Self.version)
        writer.write(digest.algorithm.rawValue)
        writer.write(digest.bytes)
        writer.writeVarint(blobBytes)
        writer.writeVarint(plainBytes)
        writer.write(outerEncoding.rawValue)
        writer.writeVarint(UInt64(outerPlan.count))
        writer.write(outerPlan)
        writer.writeVarint(UInt64(packs.count))
        for pack in packs { writer.write(pack) }
        let streamCount = corrections.byteCount > 0 ? 3 : headers.byteCount > 0 ? 2 : 1
        writer.writeVarint(UInt64(streamCount))
        for stream in StreamKind.allCases.prefix(streamCount) { runs(of: stream).encode(into: &writer) }
        weave.encode(into: &writer)
        writer.writeChecksum()
        guard writer.count <= FrameKind.recipe.rawByteLimit else {
            throw CodecError(.limitExceeded, "a recipe of \(writer.count) bytes")
        }
        return writer.bytes
    }

    /// Reads a recipe; every number is checked against the others.
    /// - Throws: ``CodecError``: `truncated`, `checksumMismatch`, `malformed`, `unsupported`, `limitExceeded`.
    package init(decoding bytes: UnsafeRawBufferPointer) throws(CodecError) {
        guard bytes.count <= FrameKind.recipe.rawByteLimit else {
            throw CodecError(.limitExceeded, "a recipe of \(bytes.count) bytes")
        }
        guard bytes.count >= 8 else { throw CodecError(.truncated, "a recipe of \(bytes.count) bytes") }
        var tail = ByteReader(UnsafeRawBufferPointer(rebasing: bytes.suffix(4)))
        let covered = UnsafeRawBufferPointer(rebasing: bytes.dropLast(4))
        var reader = ByteReader(covered)
        guard try reader.readUInt32() == Self.magic else {
            throw CodecError(.malformed, "these bytes do not begin as a recipe")
        }
        guard try tail.readUInt32() == crc32c(covered) else {
            throw CodecError(.checksumMismatch, "a recipe is damaged")
        }
        let version = try reader.readUInt8()
        guard version == Self.version else { throw CodecError(.unsupported, "a recipe of version \(version)") }
        let algorithmNumber = try reader.readUInt8()
        guard let algorithm = Digest.Algorithm(rawValue: algorithmNumber),
            let digest = Digest(algorithm, bytes: try reader.readBytes(algorithm.byteCount))
        else { throw CodecError(.unsupported, "a recipe with digest algorithm \(algorithmNumber)") }
        self.digest = digest
        blobBytes = try reader.readVarint(atMost: WeaveTable.streamByteLimit, "a blob's size")
        let plainBytes = try reader.readVarint(atMost: WeaveTable.streamByteLimit, "the plain size of a blob")
        outerEncoding = OuterEncoding(rawValue: try reader.readUInt8())
        outerPlan = Array(try reader.readBytes(try reader.readCount(bytesEach: 1, "the length of an outer plan")))
        let packCount = try reader.readCount(bytesEach: PackID.byteCount, "the number of packs")
        packs = []
        packs.reserveCapacity(packCount)
        for _ in 0..<packCount { packs.append(try reader.readPackID()) }
        let streamCount = try reader.readVarint()
        guard streamCount >= 1, streamCount <= StreamKind.allCases.count else {
            throw CodecError(.unsupported, "a recipe of \(streamCount) streams")
        }
        content = try RecipeRuns(decoding: &reader, packCount: packCount)
        headers = streamCount > 1 ? try RecipeRuns(decoding: &reader, packCount: packCount) : RecipeRuns()
        corrections = streamCount > 2 ? try RecipeRuns(decoding: &reader, packCount: packCount) : RecipeRuns()
        weave = try WeaveTable(decoding: &reader, plainBytes: plainBytes)
        guard reader.isAtEnd else { throw CodecError(.malformed, "a recipe goes on for \(reader.remaining) bytes") }
        try checkSums()
    }
}
