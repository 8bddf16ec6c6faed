// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOConcurrencyHelpers
import NIOCore
import VarveCodec
import VarveDeflate
import VarveDrivers
import VarveIndex
import VarveModel

/// A gzip file, made again by its plan out of the plain bytes that its chunks give.
///
/// Segments, about a mebibyte of plain bytes each, are independent: `piece` may be called from several threads at once, and
/// a range makes only the segments it touches. `nextPiece` makes them one after the other, and no head: nobody waits for it.
final class DeflateRebuild: Rebuilding, @unchecked Sendable {  // what changes is guarded: see below
    /// The longest plan that is read.
    static let planBytesMax = 64 << 20
    /// Who pulls much gets so many bytes as soon as they are made, and not only with the rest of their segment; they are made
    /// twice for that.
    private static let headBytes: UInt64 = 16 << 10
    private static let headWorth: UInt64 = 1 << 20

    private let core: Core
    private let loaded: LoadedRecipe
    private let digest: Digest
    private let range: Range<UInt64>
    private let rebuilder: DeflateRebuilder
    private let segments: Range<Int>
    /// Where the head ends if there is one, in the file.
    private let headEnd: UInt64?
    let length: UInt64

    // Only for whoever reads in order, one thread at a time.
    private var whole: WholeDigest?
    private var next: Int

    init(core: Core, _ loaded: LoadedRecipe, range: Range<UInt64>) throws(VarveError) {
        self.core = core
        self.loaded = loaded
        self.range = range
        digest = loaded.recipe.digest
        length = range.upperBound - range.lowerBound
        var plan = loaded.recipe.outerPlan
        if plan.isEmpty {
            var reader = PlainReader(core: core, loaded)
            plan = try reader.allCorrections()
        }
        do throws(DeflateError) {
            rebuilder = try DeflateRebuilder(plan: plan)
        } catch {
            throw VarveError(.corrupted, "the plan of blob \(digest) is damaged", cause: error)
        }
        guard UInt64(rebuilder.compressedCount) == loaded.recipe.blobBytes,
            UInt64(rebuilder.plainCount) == loaded.recipe.plainBytes
        else { throw VarveError(.corrupted, "the plan of blob \(digest) is another blob's") }
        segments = rebuilder.segments(for: Int(range.lowerBound)..<Int(range.upperBound))
        next = segments.lowerBound
        let first = rebuilder.segments[segments].first?.compressed.upperBound ?? 0
        let end = range.lowerBound + Self.headBytes
        headEnd = length >= Self.headWorth && end < UInt64(first) ? end : nil
        if range == 0..<loaded.recipe.blobBytes { whole = try WholeDigest(digest.algorithm) }
    }

    /// Pieces that there are, with the head.
    var pieceCount: Int { segments.count + (headEnd == nil ? 0 : 1) }

    /// Makes one piece; pieces may be made in any order and at once.
    func piece(_ index: Int) throws(VarveError) -> ByteBuffer {
        guard let headEnd else { return try make(segments.lowerBound + index, within: range) }
        if index == 0 { return try make(segments.lowerBound, within: range.lowerBound..<headEnd) }
        return try make(segments.lowerBound + index - 1, within: headEnd..<range.upperBound)
    }

    /// Makes what lies within the limits of a segment.
    private func make(_ segment: Int, within limits: Range<UInt64>) throws(VarveError) -> ByteBuffer {
        let wanted = rebuilder.segments[segment].compressed
            .clamped(to: Int(limits.lowerBound)..<Int(limits.upperBound))
        let start = rebuilder.segments[segment].compressed.lowerBound
        // A reader for each piece: one that is kept would keep frames that the cache has let go.
        var reader = PlainReader(core: core, loaded)
        var buffer = ByteBuffer()
        do {
            try DeflateWorkspaces.shared.with { workspace in
                try rebuilder.rebuild(
                    segment: segment, using: workspace, enough: wanted.upperBound - start
                ) { plain, room in
                    var none: WholeDigest?
                    try reader.fill(room, from: UInt64(plain.lowerBound), &none)
                } into: { bytes in
                    let part = UnsafeRawBufferPointer(
                        rebasing: bytes[(wanted.lowerBound - start)..<(wanted.upperBound - start)])
                    buffer = ByteBuffer(bytes: part)
                }
            }
        } catch let error as VarveError {
            throw error
        } catch {
            throw VarveError(.corrupted, "blob \(digest) can not be made again", cause: error)
        }
        return buffer
    }

    /// Takes a piece that is about to leave, in order, into the whole's digest; compares it at the last one.
    func leaving(_ piece: ByteBuffer, isLast: Bool) throws(VarveError) {
        whole?.absorb(piece)
        if isLast { try whole.compare(with: digest) }
    }

    func nextPiece() throws(VarveError) -> ByteBuffer? {
        guard next < segments.upperBound else { return nil }
        let piece = try make(next, within: range)
        next += 1
        try leaving(piece, isLast: next == segments.upperBound)
        return piece
    }
}

/// Memory of the encoder models, some megabytes each, for whoever makes a segment now: no more of them than threads that
/// do, and none that belongs to a slow reader.
final class DeflateWorkspaces: Sendable {
    static let shared = DeflateWorkspaces()
    /// At rest it belongs to nobody; a taken one to the thread that took it.
    private struct Free: @unchecked Sendable {
        var workspaces: [DeflateRebuilder.Workspace] = []
    }
    private let free = NIOLockedValueBox(Free())

    func with(_ body: (DeflateRebuilder.Workspace) throws -> Void) rethrows {
        let workspace = free.withLockedValue { $0.workspaces.popLast() } ?? DeflateRebuilder.Workspace()
        defer { free.withLockedValue { $0.workspaces.append(workspace) } }
        try body(workspace)
    }
}
