// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import VarveCodec
import VarveModel

/// A running digest for the tool's own needs: files that come in without a name, raw bytes that go out.
struct Hashing: ~Copyable {
    private var hash: RunningHash

    /// - Throws: ``ToolError`` if the crypto library has no such algorithm.
    init(_ algorithm: Digest.Algorithm) throws(ToolError) {
        do {
            hash = try RunningHash(algorithm)
        } catch {
            throw ToolError(.failed, "no hash function \(algorithm.name) in this system's crypto library")
        }
    }

    mutating func update(_ bytes: UnsafeRawBufferPointer) { hash.update(bytes) }

    consuming func finish() -> Digest { hash.finish() }

    /// The digest of bytes in memory.
    static func digest(of bytes: [UInt8], _ algorithm: Digest.Algorithm = .sha256) throws -> Digest {
        try bytes.withUnsafeBytes { bytes in
            var hash = try Hashing(algorithm)
            hash.update(bytes)
            return hash.finish()
        }
    }
}
