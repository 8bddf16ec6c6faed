// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOConcurrencyHelpers
import NIOCore
import VarveCodec
import VarveDrivers
import VarveModel

/// Uploads in progress.
///
/// A session begins in memory: most configs and small layers never touch a file of their own. Past
/// `Upload.memoryBytes` it spills into `landing/`, and from then on it outlives a restart of the process: the session is
/// found again by its name, its end is the file's length, and its hash is computed from the file once more.
final class Landing: Sendable {
    private let files: FileSystem
    private let sessions = NIOLockedValueBox([String: Upload]())

    init(files: FileSystem) { self.files = files }

    /// A new session, held by the caller.
    func start(in repository: RepositoryName, algorithm: Digest.Algorithm) throws(VarveError) -> Upload {
        let upload = try Upload(
            id: randomBytes(16).hex, repository: repository, startedAt: now(), algorithm: algorithm, files: files)
        sessions.withLockedValue { $0[upload.id] = upload }
        return upload
    }

    /// The session of that name, from memory or, after a restart, from disk.
    /// - Throws: `uploadUnknown`, also when the session belongs to another repository.
    func find(_ id: String, in repository: RepositoryName) throws(VarveError) -> Upload {
        if let upload = sessions.withLockedValue({ $0[id] }) {
            guard upload.repository == repository else { throw unknown(id) }
            return upload
        }
        guard id.utf8.count == 32, id.utf8.allSatisfy(isHexDigit) else {
            throw unknown("")
        }
        let upload: Upload
        do {
            guard let length = try files.length(of: StoreLayout.landingMeta(id)), length < 4096 else {
                throw unknown(id)
            }
            let meta = try files.open(StoreLayout.landingMeta(id), .read).read(at: 0, count: Int(length))
            let fields = String(decoding: meta, as: UTF8.self).split(separator: "\n")
            guard fields.count == 3, RepositoryName(fields[0]) == repository, let startedAt = UInt64(fields[1]),
                let algorithm = Digest.Algorithm(name: fields[2])
            else { throw unknown(id) }
            upload = try Upload(
                resuming: id, repository: repository, startedAt: startedAt, algorithm: algorithm, files: files)
        } catch let error as VarveError {
            throw error
        } catch let error as DriverError {
            throw error.isMissing ? unknown(id) : error.asVarveError
        } catch {
            throw VarveError(.io, "the upload could not be opened again", cause: error)
        }
        return sessions.withLockedValue { sessions in
            // Two requests may have come for it at once; the first one's object is the session.
            if let other = sessions[id] { return other }
            sessions[id] = upload
            return upload
        }
    }

    /// Forgets a session and removes what it left on disk. Its holder must be the caller.
    func remove(_ upload: Upload) {
        sessions.withLockedValue { $0[upload.id] = nil }
        upload.discard()
    }

    /// Forgets a session whose data file has been moved away.
    func forget(_ upload: Upload) {
        sessions.withLockedValue { $0[upload.id] = nil }
        upload.discardMeta()
    }

    /// Writes what is only in memory to disk, so that clients may go on after a restart. Best effort.
    func spillAll() {
        for upload in sessions.withLockedValue({ Array($0.values) }) where upload.tryHold() {
            try? upload.spill()
            upload.release()
        }
    }

    private func isHexDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
    }

    private func unknown(_ id: String) -> VarveError {
        VarveError(.uploadUnknown, "no upload \(id) in that repository")
    }
}
