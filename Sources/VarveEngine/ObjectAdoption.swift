// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Logging
import NIOCore
import VarveCodec
import VarveDrivers
import VarveIndex
import VarveModel

// How an object's bytes become a blob. It runs on the thread that settles, before each batch: nothing is adopted while a
// collection has the store to itself, and whatever ends it leaves the object as it was, waiting.

extension BlobRow {
    /// Whether the blob needs no raw file. The file of one that does may be damaged: an object's bytes, which were just
    /// hashed, take its place.
    fileprivate var isKept: Bool { isSettled || flags.contains(.inline) }
}

extension Core {
    /// Takes in the objects that wait, one after the other, until `isStopped`.
    func adoptObjects(_ pace: SettlingPace, isStopped: () -> Bool) throws(VarveError) {
        while !isStopped() {
            guard let (sequence, waiting) = try read({ try $0.adoptions(limit: 1).first }) else { return }
            do throws(VarveError) {
                try adopt(waiting, sequence, pace)
            } catch {
                guard error.code == .corrupted else { throw error }
                // Its bytes can not be read. It stays an object, whose readers are told.
                logger.error(
                    "an object could not be adopted",
                    metadata: ["digest": "\(waiting.digest)", "error": "\(error)"])
                try commitBlocking { _ = try $0.removeAdoption(sequence) }
            }
        }
    }

    private func adopt(_ waiting: AdoptionRow, _ sequence: UInt64, _ pace: SettlingPace) throws(VarveError) {
        let digest = waiting.digest
        guard let (row, pin) = try pinned(waiting) else {
            return try commitBlocking { _ = try $0.removeAdoption(sequence) }
        }
        defer { withExtendedLifetime(pin) {} }
        // What another object, or a push, brought already needs no second place.
        let isKnown = try read { try $0.blob(digest) }?.isKept ?? false
        guard try place(row, as: digest, isKnown: isKnown, pace) else {
            logger.warning(
                "an object is not what its key says; it is kept as it is", metadata: ["digest": "\(digest)"])
            return try commitBlocking { _ = try $0.removeAdoption(sequence) }
        }
        let size = row.size
        let released = try commitBlocking { transaction -> [SpoolID]? in
            guard var present = try transaction.object(at: waiting.place), present.version == row.version,
                present.extents == row.extents
            else {
                try transaction.removeAdoption(sequence)
                return []
            }
            let time = now()
            var blob = try transaction.blob(digest) ?? BlobRow(size: size, landedAt: time, lastUsed: time)
            guard blob.size == size else { throw VarveError(.corrupted, "blob \(digest) has another length") }
            if !blob.isKept {
                // The blob that made a second place unnecessary was removed in between: once more.
                if isKnown { return nil }
                let isFresh = !blob.flags.contains(.rawFile) || blob.reason == RawReason.damaged
                blob.flags.insert(.rawFile)
                if isFresh { blob.reason = RawReason.pending }
                try transaction.putBlob(digest, blob)
                if isFresh { try transaction.enqueue(digest) }
            }
            present.extents = [.blob(digest, offset: 0, length: size)]
            try transaction.removeAdoption(sequence)
            return try transaction.putObject(at: waiting.place, present)
        }
        spool.release(released ?? [])
    }

    /// The row that waits, with its spool files pinned; nil if it has been replaced or deleted.
    private func pinned(_ waiting: AdoptionRow) throws(VarveError) -> (row: ObjectRow, pin: SpoolPin)? {
        while true {
            guard let row = try read({ try $0.object(at: waiting.place) }), row.version == waiting.version else {
                return nil
            }
            let pin = spool.pin(row.spools)
            if try read({ try $0.object(at: waiting.place) }) == row { return (row, pin) }
        }
    }

    /// Hashes the bytes and, unless they are known, brings them to where a pushed blob would be, durable there.
    /// - Returns: Whether the bytes are those of the digest; if not, nothing has changed.
    private func place(
        _ row: ObjectRow, as digest: Digest, isKnown: Bool, _ pace: SettlingPace
    ) throws(VarveError) -> Bool {
        if let id = try wholeFile(row) {
            guard try hash(row, as: digest, into: nil, pace) else { return false }
            if isKnown { return true }
            try writing {
                let (directory, path) = StoreLayout.raw(digest)
                let temporary = StoreLayout.landingData(randomBytes(16).hex)
                try files.makeDirectory(directory)
                // A second name, in place of a file that nothing knows if there is one; the first goes with its last
                // holder.
                try files.link(StoreLayout.spool(id), to: temporary)
                try files.rename(temporary, to: path)
                try files.syncDirectory(directory)
            }
            return true
        }
        guard !isKnown else { return try hash(row, as: digest, into: nil, pace) }
        let temporary = StoreLayout.landingData(randomBytes(16).hex)
        do throws(VarveError) {
            let file = try writing { try files.open(temporary, .create) }
            guard try hash(row, as: digest, into: file, pace) else {
                try? files.remove(temporary)
                return false
            }
            try writing {
                let (directory, path) = StoreLayout.raw(digest)
                try files.makeDirectory(directory)
                try file.sync()
                try files.rename(temporary, to: path)
                try files.syncDirectory(directory)
            }
            return true
        } catch {
            try? files.remove(temporary)
            throw error
        }
    }

    /// The spool file that the object is, from its first byte to its last, for good: a part that comes late may still be
    /// written behind the others of its upload, and a raw file is as long as its blob.
    private func wholeFile(_ row: ObjectRow) throws(VarveError) -> SpoolID? {
        guard row.extents.count == 1, case .spool(let id, 0, let length)? = row.extents.first, !spool.mayGrow(id)
        else { return nil }
        do throws(DriverError) {
            return try files.length(of: StoreLayout.spool(id)) == length ? id : nil
        } catch {
            throw error.asVarveError
        }
    }

    /// Hashes an object's bytes and writes them to `file`, if there is one.
    private func hash(
        _ row: ObjectRow, as digest: Digest, into file: File?, _ pace: SettlingPace
    ) throws(VarveError) -> Bool {
        var hash = try runningHash(digest.algorithm)
        var position: UInt64 = 0
        for extent in row.extents {
            try forEachPiece(of: extent) { (piece) throws(VarveError) in
                try pace.breathe()
                var failure: DriverError?
                piece.withUnsafeReadableBytes { bytes in
                    hash.update(bytes)
                    do throws(DriverError) { try file?.write(bytes, at: position) } catch { failure = error }
                }
                if let failure { try writing { throw failure } }
                position += UInt64(piece.readableBytes)
            }
        }
        return finishHash(hash) == digest
    }

    private func forEachPiece(
        of extent: Extent, _ body: (ByteBuffer) throws(VarveError) -> Void
    ) throws(VarveError) {
        if case .blob(let digest, let offset, let length) = extent,
            let row = try read({ try $0.blob(digest) }), !row.flags.contains(.rawFile), let place = row.recipe
        {
            let rebuild = try self.rebuild(
                digest, size: row.size, recipe: place, range: offset..<(offset &+ length))
            while let piece = try rebuild.nextPiece() { try body(piece) }
            return
        }
        switch try open(extent, nil) {
        case .bytes(let buffer): try body(buffer)
        case .file(let file):
            defer { file.close() }
            var done: UInt64 = 0
            while done < file.length {
                let count = Int(min(UInt64(ExtentReader.pieceBytes), file.length - done))
                try body(try file.read(at: done, count: count))
                done += UInt64(count)
            }
        case .stream:
            // Evicted since its row was read: the next attempt finds the recipe.
            throw VarveError(.cancelled, "a part of an object was evicted while it was read")
        }
    }
}
