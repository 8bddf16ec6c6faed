// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

public import NIOCore
public import VarveModel

import VarveDrivers
import VarveIndex

extension Store {
    /// Opens an upload session.
    /// - Throws: `poisoned`, `readOnly`.
    public func startUpload(
        in repository: RepositoryName, algorithm: Digest.Algorithm = .sha256
    ) async throws(VarveError) -> UploadStatus {
        try core.checkWritable()
        return try core.landing.start(in: repository, algorithm: algorithm).status
    }

    /// How far an upload has come.
    /// - Throws: `uploadUnknown` if there is none of that name in that repository.
    public func uploadStatus(_ id: String, in repository: RepositoryName) async throws(VarveError) -> UploadStatus {
        try await find(id, in: repository).status
    }

    /// Appends bytes to an upload. What arrived before `body` failed stays: the client may resume there.
    /// - Parameter offset: Where the piece begins; must be the upload's end. nil = wherever it ends.
    /// - Parameter expecting: Exact number of bytes that must arrive, if known.
    /// - Parameter body: The bytes, in buffers of any size. Read about a mebibyte ahead, no more.
    /// - Throws: `uploadUnknown`, `offsetMismatch`, `uploadBusy` if another request writes to it, `sizeMismatch`,
    ///   `outOfSpace`, `poisoned`, or `cancelled` when `body` throws.
    public func appendUpload<Body: AsyncSequence>(
        _ id: String, in repository: RepositoryName, at offset: UInt64?, expecting: UInt64?, body: Body
    ) async throws(VarveError) -> UploadStatus where Body.Element == ByteBuffer {
        let upload = try await hold(id, in: repository)
        defer { upload.release() }
        guard offset == nil || offset == upload.offset else {
            throw VarveError(.offsetMismatch, "the upload ends at \(upload.offset), the piece begins elsewhere")
        }
        try await append(body, to: upload, expecting: expecting)
        return upload.status
    }

    /// Ends an upload as the blob `digest`, durable and linked into the repository when it returns.
    /// - Throws: `digestMismatch` (the session is gone then), `uploadUnknown`, `uploadBusy`, `outOfSpace`, `poisoned`.
    public func finishUpload(
        _ id: String, in repository: RepositoryName, digest: Digest
    ) async throws(VarveError) -> BlobInfo {
        let upload = try await hold(id, in: repository)
        defer { upload.release() }
        return try await land(upload, as: digest)
    }

    /// Drops an upload and its bytes.
    /// - Throws: `uploadUnknown`, `uploadBusy`.
    public func cancelUpload(_ id: String, in repository: RepositoryName) async throws(VarveError) {
        let upload = try await hold(id, in: repository)
        defer { upload.release() }
        try await core.pool.run { [core] in core.landing.remove(upload) }
    }

    /// Stores a whole blob, durable and linked when it returns. The bytes of a blob that is there already are read and
    /// checked all the same.
    /// - Throws: `digestMismatch`, `sizeMismatch`, `outOfSpace`, `poisoned`, `cancelled`.
    public func putBlob<Body: AsyncSequence>(
        _ digest: Digest, in repository: RepositoryName, expecting: UInt64?, body: Body
    ) async throws(VarveError) -> BlobInfo where Body.Element == ByteBuffer {
        try core.checkWritable()
        let upload = try core.landing.start(in: repository, algorithm: digest.algorithm)
        guard upload.tryHold() else { throw VarveError(.uploadBusy, "the upload is being written to") }
        defer { upload.release() }
        do throws(VarveError) {
            try await append(body, to: upload, expecting: expecting)
            return try await land(upload, as: digest)
        } catch {
            await core.pool.runAlways { [core] in core.landing.remove(upload) }
            throw error
        }
    }

    private func find(_ id: String, in repository: RepositoryName) async throws(VarveError) -> Upload {
        try await core.pool.run { [core] () throws(VarveError) in try core.landing.find(id, in: repository) }
    }

    private func hold(_ id: String, in repository: RepositoryName) async throws(VarveError) -> Upload {
        try core.checkWritable()
        let upload = try await find(id, in: repository)
        guard upload.tryHold() else { throw VarveError(.uploadBusy, "another request is writing to the upload") }
        return upload
    }

    /// Buffers are gathered and handed to a worker thread about half a mebibyte at a time; the next ones are received
    /// meanwhile by the connection's own read-ahead.
    private func append<Body: AsyncSequence>(
        _ body: Body, to upload: Upload, expecting: UInt64?
    ) async throws(VarveError) where Body.Element == ByteBuffer {
        let batchBytes = 512 << 10
        var batch: [ByteBuffer] = []
        var batched = 0
        var received: UInt64 = 0
        var failure: VarveError?
        do {
            for try await buffer in body {
                received += UInt64(buffer.readableBytes)
                if let expecting, received > expecting {
                    failure = VarveError(.sizeMismatch, "more than the announced \(expecting) bytes arrived")
                    break
                }
                batch.append(buffer)
                batched += buffer.readableBytes
                if batched >= batchBytes {
                    try await write(batch, to: upload)
                    batch.removeAll(keepingCapacity: true)
                    batched = 0
                }
            }
        } catch let error as VarveError {
            throw error
        } catch {
            failure = VarveError(.cancelled, "the body broke off", cause: error)
        }
        if !batch.isEmpty { try await write(batch, to: upload) }
        if let failure { throw failure }
        if let expecting, received != expecting {
            throw VarveError(.sizeMismatch, "\(received) of the announced \(expecting) bytes arrived")
        }
    }

    private func write(_ batch: [ByteBuffer], to upload: Upload) async throws(VarveError) {
        try await core.pool.run { [core] () throws(VarveError) in
            try core.checkWritable()
            try core.writing { try upload.append(batch) }
        }
    }

    /// Where the bytes of an upload are when they are about to be committed.
    private enum Place: Sendable {
        case known
        case inMemory([UInt8])
        case inFile
    }

    /// Compares the digest, makes the bytes durable under their name, commits, and only then returns.
    private func land(_ upload: Upload, as digest: Digest) async throws(VarveError) -> BlobInfo {
        try await core.pool.run { [core] () throws(VarveError) in
            let found = try upload.digest(digest.algorithm)
            guard found == digest else {
                core.landing.remove(upload)
                throw VarveError(.digestMismatch, "the bytes have the digest \(found), not \(digest)")
            }
        }
        core.sweeps.began(digest)
        defer { core.sweeps.ended(digest) }
        var place = try await self.place(upload, as: digest, mayBeKnown: true)
        var committed = try await commit(upload, at: place, as: digest)
        if committed == nil {
            // The blob that made these bytes unnecessary was removed in between.
            place = try await self.place(upload, as: digest, mayBeKnown: false)
            committed = try await commit(upload, at: place, as: digest)
        }
        guard let row = committed else { throw VarveError(.cancelled, "the blob was removed while it was pushed") }
        let isInFile = if case .inFile = place { true } else { false }
        await core.pool.runAlways { [core] in
            if isInFile { core.landing.forget(upload) } else { core.landing.remove(upload) }
        }
        if isInFile { try await settler.landed(digest, inline: core.settings.settling == .inline) }
        return BlobInfo(digest: digest, row: row)
    }

    /// Brings the bytes to where they are to stay, durable there.
    private func place(
        _ upload: Upload, as digest: Digest, mayBeKnown: Bool
    ) async throws(VarveError) -> Place {
        try await core.pool.run { [core] () throws(VarveError) -> Place in
            let known = try core.read { try $0.blob(digest) }
            if mayBeKnown, let known, !known.isLost { return .known }
            // A file that can not be read is replaced by a file.
            if let memory = upload.memory, known?.isLost != true { return .inMemory(memory) }
            try core.writing {
                try upload.spill()
                let (directory, path) = StoreLayout.raw(digest)
                try core.files.makeDirectory(directory)
                try upload.file?.sync()
                try core.files.rename(StoreLayout.landingData(upload.id), to: path)
                try core.files.syncDirectory(directory)
            }
            return .inFile
        }
    }

    /// Links the blob, which is made if it is not there.
    /// - Returns: nil if its bytes are nowhere: it was known, and is not any more.
    private func commit(
        _ upload: Upload, at place: Place, as digest: Digest
    ) async throws(VarveError) -> BlobRow? {
        let size = upload.offset
        let repository = upload.repository
        let time = now()
        return try await core.commit { transaction -> BlobRow? in
            // Looked up again: another push of the same bytes, or a removal, may have been committed meanwhile.
            let known = try transaction.blob(digest)
            if known?.isLost ?? true {
                switch place {
                case .known: return nil
                case .inMemory(let bytes):
                    try transaction.putInlineBlob(digest, bytes: bytes, landedAt: time)
                case .inFile:
                    var fresh = BlobRow(size: size, flags: .rawFile, landedAt: time)
                    fresh.lastUsed = time
                    fresh.reason = RawReason.pending
                    try transaction.putBlob(digest, fresh)
                    _ = try transaction.enqueue(digest)
                }
            }
            guard let stored = try transaction.blob(digest) else {
                throw VarveError(.io, "the index does not hold the row just written")
            }
            _ = try transaction.link(digest, in: repository, at: time)
            return stored
        }
    }
}

/// Why a blob is not settled, as counted in `raw.reasons`. Short, stable words.
enum RawReason {
    /// Waits to be settled.
    static let pending = "pending"
    /// A gzip file that can not be taken apart; a word that says why follows, behind a dash.
    static let gzip = "gzip"
    /// A zstd file that can not be taken apart; a word that says why follows, behind a dash.
    static let zstd = "zstd"
    /// So few bytes that stand for so many that making them again would cost too much.
    static let ratio = "ratio"
    /// Chunks and recipe would take as much room as the bytes themselves.
    static let noSaving = "no-saving"
    /// Rebuilding did not give the same bytes.
    static let proofFailed = "proof-failed"
    /// The raw file is damaged or gone.
    static let damaged = "damaged"
}

extension BlobRow {
    /// Whether its raw file could not be read, and nothing else has its bytes: a push brings them back.
    var isLost: Bool { !isSettled && !flags.contains(.inline) && reason == RawReason.damaged }
}

extension BlobInfo {
    init(digest: Digest, row: BlobRow) {
        self.init(
            digest: digest, size: row.size, landedAt: row.landedAt, isSettled: row.isSettled,
            isRaw: row.flags.contains(.rawFile) || row.flags.contains(.inline),
            rawReason: row.isSettled || row.flags.contains(.inline) ? nil : row.reason,
            storedBytes: row.settledBytes)
    }
}
