// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// How a request's body is vouched for (`x-amz-content-sha256`).
enum PayloadMode: Equatable {
    /// By its SHA-256, which is signed.
    case digest([UInt8])
    /// Not at all.
    case unsigned
    /// In chunks, each with a signature that continues the one before; perhaps with a signed trailer.
    case signedChunks(trailer: Bool)
    /// In chunks without signatures, with a trailer.
    case unsignedChunks

    /// - Throws: ``S3Failure`` for a value that is none.
    init(_ text: String) throws(S3Failure) {
        switch text {
        case "UNSIGNED-PAYLOAD": self = .unsigned
        case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD": self = .signedChunks(trailer: false)
        case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER": self = .signedChunks(trailer: true)
        case "STREAMING-UNSIGNED-PAYLOAD-TRAILER": self = .unsignedChunks
        case "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER":
            throw S3Failure.notImplemented
        default:
            guard let digest = Hashing.bytes(hex: text), digest.count == 32 else {
                throw S3Failure(
                    .invalidArgument,
                    "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
                        + "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid "
                        + "sha256 value.")
            }
            self = .digest(digest)
        }
    }

    /// Whether the body comes in chunks of S3's own coding.
    var isChunked: Bool {
        switch self {
        case .signedChunks, .unsignedChunks: true
        case .digest, .unsigned: false
        }
    }
}

/// What a request turned out to be signed by, and what its body must be.
struct Authentication {
    var credential: S3Credential
    var payload: PayloadMode
    /// For chunks with signatures.
    var chain: SignatureChain
}

/// The signatures of a body's chunks: each one continues the last (AWS, "Signature calculations for the authorization
/// header: transferring a payload in multiple chunks").
struct SignatureChain {
    var signingKey: [UInt8]
    var date: String
    var scope: String
    /// The last signature, at first that of the head; lower-case hex.
    var previous: String

    private static let emptyDigest = Hashing.hex(Hashing.sha256([]))

    /// Checks a chunk's signature, and goes on from it.
    mutating func accept(chunk digest: [UInt8], signature: String) -> Bool {
        accept(
            "AWS4-HMAC-SHA256-PAYLOAD\n\(date)\n\(scope)\n\(previous)\n\(Self.emptyDigest)\n\(Hashing.hex(digest))",
            signature)
    }

    /// Checks the signature of the trailer's canonical lines.
    mutating func accept(trailer: [UInt8], signature: String) -> Bool {
        accept(
            "AWS4-HMAC-SHA256-TRAILER\n\(date)\n\(scope)\n\(previous)\n\(Hashing.hex(Hashing.sha256(trailer)))",
            signature)
    }

    private mutating func accept(_ text: String, _ signature: String) -> Bool {
        let expected = Hashing.hex(Hashing.hmac(signingKey, Array(text.utf8)))
        guard Hashing.isEqual(expected.utf8, signature.utf8) else { return false }
        previous = expected
        return true
    }
}
