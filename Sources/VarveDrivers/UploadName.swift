// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// How an unfinished multipart upload and its parts are named in the hidden namespaces, so that listing the namespace
/// `uploads` gives them sorted by key, then by start, and listing `parts` with ``partPrefix`` those of one upload in
/// order.
///
/// Every driver's uploads expire by these names: ``StorageDriver/expireUploads(idleSeconds:now:)``.
public struct UploadName: Hashable, Sendable {
    /// The key under which the upload is to end.
    public let key: ObjectKey
    /// When it began, milliseconds since 1970.
    public let startedMilliseconds: UInt64
    /// Its id: 32 hex digits.
    public let id: String

    /// Highest number of a part.
    public static let partNumberMax = 10_000

    /// A new upload, with a random id.
    public init(startingAt milliseconds: UInt64, key: ObjectKey) {
        self.key = key
        startedMilliseconds = milliseconds
        var generator = SystemRandomNumberGenerator()
        id = Self.hex(generator.next(), digits: 16) + Self.hex(generator.next(), digits: 16)
    }

    /// The upload that an object of the namespace `uploads` stands for; nil if it has another kind of name.
    public init?(uploadKey: ObjectKey) {
        // key, escaped | 0 1 | start, 16 hex digits | id, 32 hex digits
        let bytes = uploadKey.bytes
        guard bytes.count > 50, bytes[bytes.count - 50] == 0, bytes[bytes.count - 49] == 1 else { return nil }
        var raw: [UInt8] = []
        var isEscape = false
        for byte in bytes.dropLast(50) {
            if isEscape {
                guard byte == 2 else { return nil }
                isEscape = false
            } else {
                raw.append(byte)
                isEscape = byte == 0
            }
        }
        let tail = String(decoding: bytes.suffix(48), as: UTF8.self)
        guard !isEscape, let key = ObjectKey(utf8: raw), let start = UInt64(tail.prefix(16), radix: 16),
            Self.isID(tail.suffix(32))
        else { return nil }
        self.key = key
        startedMilliseconds = start
        id = String(tail.suffix(32))
    }

    /// Whether a client's text can be an upload's id at all.
    public static func isID(_ text: some StringProtocol) -> Bool {
        text.utf8.count == 32
            && text.utf8.allSatisfy {
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                    || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
            }
    }

    /// Prefix of the upload keys of all uploads to exactly `key`.
    public static func prefix(ofUploadsTo key: ObjectKey) -> [UInt8] { escape(key.bytes) + [0, 1] }

    /// A prefix of clients' keys as a prefix of upload keys.
    public static func prefix(ofUploadsBelow prefix: [UInt8]) -> [UInt8] { escape(prefix) }

    /// The upload's key in the namespace `uploads`.
    public var uploadKey: ObjectKey {
        derived(Self.prefix(ofUploadsTo: key) + Array((Self.hex(startedMilliseconds, digits: 16) + id).utf8))
    }

    /// Prefix of the keys of its parts in the namespace `parts`.
    public var partPrefix: [UInt8] { Array((id + "/").utf8) }

    /// The key of a part in the namespace `parts`; nil unless `number` is within 1 … 10,000.
    public func partKey(_ number: Int) -> ObjectKey? {
        guard (1...Self.partNumberMax).contains(number) else { return nil }
        let digits = String(number)
        return derived(partPrefix + Array((String(repeating: "0", count: 5 - digits.count) + digits).utf8))
    }

    /// The number of a part by its key in the namespace `parts`.
    public static func partNumber(of key: ObjectKey) -> Int? {
        guard key.bytes.count == 38 else { return nil }
        return Int(String(decoding: key.bytes.suffix(5), as: UTF8.self))
    }

    private func derived(_ bytes: [UInt8]) -> ObjectKey {
        guard let key = ObjectKey(derived: bytes) else {
            // At most 2 · 1,024 + 50 bytes.
            preconditionFailure("the key of an upload is longer than a derived key can be")
        }
        return key
    }

    /// Zero bytes are followed by 2, so that the 0 1 behind the key ends it and sorts before anything longer.
    private static func escape(_ bytes: [UInt8]) -> [UInt8] {
        guard bytes.contains(0) else { return bytes }
        return bytes.flatMap { $0 == 0 ? [0, 2] : [$0] }
    }

    private static func hex(_ value: UInt64, digits: Int) -> String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: digits - text.count) + text
    }
}
