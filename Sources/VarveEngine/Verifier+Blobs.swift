// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import NIOCore
import VarveCodec
import VarveDrivers
import VarveIndex
import VarveModel

extension Verifier {
    /// The ways in which a blob's bytes are kept.
    private enum Way: CaseIterable {
        case raw, inline, recipe

        func isUsed(_ row: BlobRow) -> Bool {
            switch self {
            case .raw: row.flags.contains(.rawFile)
            case .inline: row.flags.contains(.inline)
            case .recipe: row.isSettled
            }
        }
    }

    /// Reads a blob in each way in which it is kept.
    func verifyBlob(_ digest: Digest, _ row: BlobRow) async throws(VarveError) {
        for way in Way.allCases {
            var row = row
            while way.isUsed(row) {
                do throws(VarveError) {
                    try await verify(digest, row, way)
                    break
                } catch {
                    if error.code == .cancelled { throw error }
                    let present = try await core.pool.run { [core] () throws(VarveError) in
                        try core.read { try $0.blob(digest) }
                    }
                    // Evicted, settled or removed meanwhile: then it is as it should be, or has to be looked at again.
                    guard let present, way.isUsed(present) else { break }
                    guard present.recipe == row.recipe else {
                        row = present
                        continue
                    }
                    note("blob \(digest): \(error.plain)", .blob(digest))
                    break
                }
            }
        }
        if !Way.allCases.contains(where: { $0.isUsed(row) }) {
            note("blob \(digest): neither raw bytes nor a recipe", .blob(digest))
        }
        count(blobs: 1)
    }

    private func verify(_ digest: Digest, _ row: BlobRow, _ way: Way) async throws(VarveError) {
        switch way {
        case .raw:
            let check = try await core.pool.run { [core] () throws(VarveError) in
                try RawCheck(digest, row.size, core.files)
            }
            while let bytes = try await core.pool.run({ () throws(VarveError) in try check.next() }) {
                count(bytes: bytes)
            }
        case .inline:
            try await core.pool.run { [self] () throws(VarveError) in try verifyInline(digest, row) }
        case .recipe:
            guard let place = row.recipe else { return }
            let rebuild = try await core.pool.run { [core] () throws(VarveError) in
                // A reader that is open from before might hide that the file is gone.
                try core.rebuild(digest, size: row.size, recipe: place, range: 0..<row.size)
            }
            while let bytes = try await core.pool.run({ () throws(VarveError) in try Self.advance(rebuild) }) {
                count(bytes: bytes)
            }
        }
    }

    private func verifyInline(_ digest: Digest, _ row: BlobRow) throws(VarveError) {
        guard let bytes = try core.read({ try $0.inlineBytes(of: digest) }) else {
            throw VarveError(.corrupted, "its bytes are not in the index")
        }
        var hash = try runningHash(digest.algorithm)
        bytes.withUnsafeBytes { hash.update($0) }
        let found = finishHash(hash)
        guard found == digest, UInt64(bytes.count) == row.size else {
            throw VarveError(.corrupted, "its bytes in the index, \(bytes.count) of them, have the digest \(found)")
        }
        count(bytes: row.size)
    }

    /// Rebuilds some megabytes more; nil at the end.
    private static func advance(_ rebuild: any Rebuilding) throws(VarveError) -> UInt64? {
        var sum: UInt64 = 0
        while sum < UInt64(pieceBytes), let piece = try rebuild.nextPiece() { sum += UInt64(piece.readableBytes) }
        return sum == 0 ? nil : sum
    }
}

/// Hashes a raw file piece by piece.
private final class RawCheck: @unchecked Sendable {  // one piece at a time, one after the other
    private let digest: Digest
    private let size: UInt64
    private let file: File
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
    private var hash: RunningHash?
    private var position: UInt64 = 0

    init(_ digest: Digest, _ size: UInt64, _ files: FileSystem) throws(VarveError) {
        self.digest = digest
        self.size = size
        do throws(DriverError) {
            file = try files.open(StoreLayout.raw(digest).path, .read)
            let length = try file.length()
            guard length == size else {
                throw DriverError("fstat", file.path, ENODATA)
            }
        } catch {
            throw VarveError(.corrupted, "its raw file can not be read", cause: error)
        }
        hash = try runningHash(digest.algorithm)
    }

    deinit { buffer.deallocate() }

    /// Hashes some megabytes more; nil when all is hashed and as it should be.
    func next() throws(VarveError) -> UInt64? {
        var sum: UInt64 = 0
        while sum < UInt64(Verifier.pieceBytes), position < size {
            let count: Int
            do throws(DriverError) {
                count = try file.read(at: position, into: buffer)
                guard count > 0 else { throw DriverError("pread", file.path, ENODATA) }
            } catch {
                throw VarveError(.corrupted, "its raw file can not be read at offset \(position)", cause: error)
            }
            hash?.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            position += UInt64(count)
            sum += UInt64(count)
        }
        if sum > 0 { return sum }
        guard let found = hash.take()?.finish() else { return nil }
        guard found == digest else { throw VarveError(.corrupted, "its raw file has the digest \(found)") }
        return nil
    }
}
