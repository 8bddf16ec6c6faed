// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOConcurrencyHelpers
import VarveCodec
import VarveDrivers
import VarveIndex
import VarveModel

/// The packs of a store, opened for reading: their directories, the tables of their frames, decoded frames.
///
/// Thread-safe; everything here blocks. Caches are bounded: open packs by number, frames by bytes.
final class PackStore: Sendable {
    /// Where a chunk lies: the pack, by this store's own number, and the chunk's place in it.
    struct ChunkPlace: Hashable, Sendable {
        var pack: UInt32
        var ordinal: UInt32
    }

    private static let openPacksMax = 256

    private let files: FileSystem
    private let environment: IndexEnvironment
    private let open = NIOLockedValueBox([UInt32: PackReader]())
    let frames: FrameCache
    /// Of recipes in the packs.
    let plans: PlanCache

    init(files: FileSystem, environment: IndexEnvironment, frameCacheBytes: Int) {
        self.files = files
        self.environment = environment
        frames = FrameCache(budget: frameCacheBytes)
        plans = PlanCache(budget: frameCacheBytes / 4)
    }

    /// The pack with that number.
    /// - Throws: `corrupted` if the index has no such pack or its file is not what the index says; `io`.
    func reader(_ number: UInt32) throws(VarveError) -> PackReader {
        if let reader = open.withLockedValue({ $0[number] }) { return reader }
        let row: PackRow?
        do throws(IndexError) {
            row = try environment.read { (transaction) throws(IndexError) in try transaction.pack(number) }
        } catch {
            throw error.asVarveError("the index could not be read")
        }
        guard let row else { throw VarveError(.corrupted, "the index has no pack \(number)") }
        let reader = try PackReader(number: number, row: row, files: files, toleratesDamage: true)
        return open.withLockedValue { open in
            if let other = open[number] { return other }
            if open.count >= Self.openPacksMax { open.removeAll(keepingCapacity: true) }
            open[number] = reader
            return reader
        }
    }

    /// Puts a pack that is being written among the open ones, so that readers see its frames as they are added.
    func publish(_ reader: PackReader) { open.withLockedValue { $0[reader.number] = reader } }

    /// Lets an open pack be read again if another process has added to it since.
    func forget(_ number: UInt32, ifFewerFramesThan frameCount: UInt32) {
        open.withLockedValue { open in
            if let reader = open[number], reader.directory.entries.count < Int(frameCount) { open[number] = nil }
        }
    }

    /// Forgets a pack that is going away.
    func forget(_ number: UInt32) {
        open.withLockedValue { $0[number] = nil }
        frames.forget(pack: number)
        plans.forget(pack: number)
    }

    /// The decoded, verified frame `index` of a pack.
    func frame(_ index: Int, of reader: PackReader) throws(VarveError) -> DecodedFrame {
        try frames.frame(FrameCache.Key(pack: reader.number, frame: index)) { wanted throws(VarveError) in
            let frame = try reader.decode(index, wanted)
            try frame.verify()
            return frame
        }
    }
}
