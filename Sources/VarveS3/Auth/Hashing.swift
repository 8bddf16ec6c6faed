// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import COpenSSL
import VarveCodec
import VarveModel

/// The hashes that S3 needs over small texts: SHA-256 and HMAC-SHA-256 (RFC 2104).
enum Hashing {
    /// SHA-256 of bytes.
    static func sha256(_ bytes: some Collection<UInt8>) -> [UInt8] {
        var state = SHA256State()
        update(&state, bytes)
        return state.finish().bytes
    }

    /// HMAC-SHA-256 of `message` under `key`.
    static func hmac(_ key: [UInt8], _ message: some Collection<UInt8>) -> [UInt8] {
        var block = key.count > 64 ? sha256(key) : key
        block += [UInt8](repeating: 0, count: 64 - block.count)
        var inner = SHA256State()
        update(&inner, block.map { $0 ^ 0x36 })
        update(&inner, message)
        var outer = SHA256State()
        update(&outer, block.map { $0 ^ 0x5C })
        update(&outer, inner.finish().bytes)
        return outer.finish().bytes
    }

    private static func update(_ state: inout SHA256State, _ bytes: some Collection<UInt8>) {
        let done: Void? = bytes.withContiguousStorageIfAvailable { state.update(UnsafeRawBufferPointer($0)) }
        if done == nil { Array(bytes).withUnsafeBytes { state.update($0) } }
    }

    /// Lower-case hexadecimal digits.
    static func hex(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// The bytes of an even number of hexadecimal digits, either case; nil for anything else.
    static func bytes(hex text: some StringProtocol) -> [UInt8]? {
        var bytes: [UInt8] = []
        var high: UInt8?
        for character in text.utf8 {
            let value: UInt8
            switch character {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = character - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = character - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): value = character - UInt8(ascii: "A") + 10
            default: return nil
            }
            if let first = high {
                bytes.append(first << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        return high == nil ? bytes : nil
    }

    /// Whether two texts are the same, in a time that does not tell where they differ.
    static func isEqual(_ left: some Collection<UInt8>, _ right: some Collection<UInt8>) -> Bool {
        guard left.count == right.count else { return false }
        var difference: UInt8 = 0
        for (one, other) in zip(left, right) { difference |= one ^ other }
        return difference == 0
    }
}

/// A running MD5 or SHA-1: what clients send as a checksum, never what anything is trusted by.
final class LegacyHash {
    enum Algorithm { case md5, sha1 }

    private let context: OpaquePointer

    /// - Throws: `unsupported` if the crypto library lacks the algorithm or has no memory.
    init(_ algorithm: Algorithm) throws(VarveError) {
        guard let context = EVP_MD_CTX_new() else { throw VarveError(.unsupported, "no memory for a hash") }
        let function = algorithm == .md5 ? EVP_md5() : EVP_sha1()
        guard EVP_DigestInit_ex(context, function, nil) == 1 else {
            EVP_MD_CTX_free(context)
            throw VarveError(.unsupported, "the crypto library refuses a hash that S3 needs")
        }
        self.context = context
    }

    deinit { EVP_MD_CTX_free(context) }

    func update(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count > 0 else { return }
        let result = EVP_DigestUpdate(context, bytes.baseAddress, bytes.count)
        precondition(result == 1, "the crypto library lost a hash that it had begun")
    }

    /// The hash; the object is spent afterwards.
    func finish() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var count: UInt32 = 0
        let result = EVP_DigestFinal_ex(context, &bytes, &count)
        precondition(result == 1, "the crypto library lost a hash that it had begun")
        return Array(bytes.prefix(Int(count)))
    }

    /// MD5 of bytes.
    static func md5(_ bytes: [UInt8]) throws(VarveError) -> [UInt8] {
        let hash = try LegacyHash(.md5)
        bytes.withUnsafeBytes { hash.update($0) }
        return hash.finish()
    }
}
