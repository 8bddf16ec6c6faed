// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import COpenSSL

/// SHA-256 over bytes that come in pieces. The rigs compute digests with OpenSSL and not with the product's kernels, so that
/// a mistake there cannot hide from them.
struct RunningSHA256: ~Copyable {
    private let context: OpaquePointer

    init() throws {
        guard let context = EVP_MD_CTX_new() else { throw RigError("EVP_MD_CTX_new failed") }
        guard EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1 else {
            EVP_MD_CTX_free(context)
            throw RigError("EVP_DigestInit_ex failed")
        }
        self.context = context
    }

    deinit { EVP_MD_CTX_free(context) }

    func update(_ bytes: UnsafeRawBufferPointer) {
        _ = EVP_DigestUpdate(context, bytes.baseAddress, bytes.count)
    }

    /// The digest in lower-case hexadecimal, with the `sha256:` that OCI puts before it.
    consuming func finish() -> String {
        var digest = [UInt8](repeating: 0, count: 32)
        _ = EVP_DigestFinal_ex(context, &digest, nil)
        return "sha256:" + hexadecimal(digest)
    }
}

/// `sha256:…` of bytes that lie in several pieces.
package func sha256(_ pieces: [UnsafeRawBufferPointer]) throws -> String {
    let hash = try RunningSHA256()
    for piece in pieces { hash.update(piece) }
    return hash.finish()
}

/// `sha256:…` of an array.
package func sha256(_ bytes: [UInt8]) throws -> String {
    try bytes.withUnsafeBytes { try sha256([$0]) }
}

private func hexadecimal(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    var text = [UInt8]()
    text.reserveCapacity(bytes.count * 2)
    for byte in bytes {
        text.append(digits[Int(byte >> 4)])
        text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
}
