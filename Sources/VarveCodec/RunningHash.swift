// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import COpenSSL
package import VarveModel

/// A running hash of a blob, in the algorithm that names it: SHA-256 by our kernel, SHA-512 by OpenSSL.
package struct RunningHash: ~Copyable {
    private var sha256: SHA256State
    private let context: OpaquePointer?

    /// Begins a hash.
    /// - Throws: ``CodecError`` with code `resources` if the library has no memory or lacks the algorithm.
    package init(_ algorithm: Digest.Algorithm) throws(CodecError) {
        sha256 = SHA256State()
        switch algorithm {
        case .sha256:
            context = nil
        case .sha512:
            guard let context = EVP_MD_CTX_new() else { throw CodecError(.resources, "no memory for a hash") }
            guard EVP_DigestInit_ex(context, EVP_sha512(), nil) == 1 else {
                EVP_MD_CTX_free(context)
                throw CodecError(.resources, "the crypto library refuses SHA-512")
            }
            self.context = context
        }
    }

    deinit { if let context { EVP_MD_CTX_free(context) } }

    /// Takes more bytes.
    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count > 0 else { return }
        if let context {
            // Only arithmetic on a context that was initialised: no input makes it fail, nothing is allocated.
            let result = EVP_DigestUpdate(context, bytes.baseAddress, bytes.count)
            precondition(result == 1, "the crypto library lost a hash that it had begun")
        } else {
            sha256.update(bytes)
        }
    }

    /// The digest of everything taken.
    package consuming func finish() -> Digest {
        let digest: Digest?
        if let context {
            var bytes = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
            var count: UInt32 = 0
            let result = EVP_DigestFinal_ex(context, &bytes, &count)
            precondition(result == 1, "the crypto library lost a hash that it had begun")
            digest = Digest(.sha512, bytes: bytes.prefix(Int(count)))
        } else {
            digest = Digest(.sha256, bytes: sha256.finish().bytes)
        }
        guard let digest else { preconditionFailure("a hash has its algorithm's length") }
        return digest
    }
}
