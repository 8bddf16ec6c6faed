// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Makes tar archives (ustar) from files in memory.
public struct TarMaker: Sendable {
    /// One member.
    public struct File: Sendable, Hashable {
        /// Its name, up to 100 bytes.
        public var path: String
        /// Its contents.
        public var bytes: [UInt8]
        /// Seconds since 1970.
        public var modifiedAt: UInt64
        /// Permission bits.
        public var mode: UInt32

        /// A member of these parts.
        public init(path: String, bytes: [UInt8], modifiedAt: UInt64 = 1_700_000_000, mode: UInt32 = 0o644) {
            self.path = path
            self.bytes = bytes
            self.modifiedAt = modifiedAt
            self.mode = mode
        }
    }

    private static let blockBytes = 512

    /// The archive of `files`, in that order, with its two zero blocks at the end.
    public static func tar(_ files: [File]) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(files.reduce(2 * blockBytes) { $0 + $1.bytes.count + 2 * blockBytes })
        for file in files {
            output.append(contentsOf: header(of: file))
            output.append(contentsOf: file.bytes)
            let padding = (blockBytes - file.bytes.count % blockBytes) % blockBytes
            output.append(contentsOf: repeatElement(0, count: padding))
        }
        output.append(contentsOf: repeatElement(0, count: 2 * blockBytes))
        return output
    }

    private static func header(of file: File) -> [UInt8] {
        var block = [UInt8](repeating: 0, count: blockBytes)
        func put(_ text: some Sequence<UInt8>, at offset: Int, atMost limit: Int) {
            for (index, byte) in text.enumerated() where index < limit { block[offset + index] = byte }
        }
        func octal(_ value: UInt64, digits: Int) -> [UInt8] {
            let text = String(value, radix: 8)
            return Array((String(repeating: "0", count: max(0, digits - text.count)) + text).utf8)
        }
        put(file.path.utf8, at: 0, atMost: 100)
        put(octal(UInt64(file.mode), digits: 7), at: 100, atMost: 7)
        put(octal(0, digits: 7), at: 108, atMost: 7)
        put(octal(0, digits: 7), at: 116, atMost: 7)
        put(octal(UInt64(file.bytes.count), digits: 11), at: 124, atMost: 11)
        put(octal(file.modifiedAt, digits: 11), at: 136, atMost: 11)
        put("        ".utf8, at: 148, atMost: 8)
        block[156] = UInt8(ascii: "0")
        put("ustar\u{0}00".utf8, at: 257, atMost: 8)
        let sum = block.reduce(UInt64(0)) { $0 + UInt64($1) }
        put(octal(sum, digits: 6) + [0, UInt8(ascii: " ")], at: 148, atMost: 8)
        return block
    }
}

/// A tree of files that changes from version to version, as the layers of rebuilt images do.
public struct FileTree: Sendable {
    /// The files, by path.
    public private(set) var files: [TarMaker.File]
    private var numbers: SeededBytes
    private var nextName = 0
    private var time: UInt64 = 1_700_000_000

    /// A tree of `count` files of `averageBytes` on average (a few are long, most are short; half of them text).
    /// - Parameter salt: Trees of the same salt are the same; of different salts they share nothing.
    public init(_ salt: UInt64, files count: Int, averageBytes: Int) {
        numbers = SeededBytes(salt)
        files = []
        for _ in 0..<count { add(averageBytes: averageBytes) }
    }

    private mutating func add(averageBytes: Int) {
        let size = numbers.int(0...9) == 0 ? numbers.int(0...10 * averageBytes) : numbers.int(0...averageBytes)
        let bytes = numbers.int(0...1) == 0 ? numbers.bytes(size) : numbers.text(size)
        nextName += 1
        files.append(TarMaker.File(path: "usr/lib/part\(nextName % 7)/file\(nextName)", bytes: bytes, modifiedAt: time))
    }

    /// Changes about `percent` of the files a little, replaces a few, and gives all of them new times: the next version.
    public mutating func change(percent: Int) {
        time += 86_400
        let average = max(1, files.reduce(0) { $0 + $1.bytes.count } / max(1, files.count))
        for index in files.indices {
            files[index].modifiedAt = time
            guard numbers.int(1...100) <= percent else { continue }
            var bytes = files[index].bytes
            if bytes.count > 64 {
                let at = numbers.int(0...bytes.count - 64)
                bytes.replaceSubrange(at..<at + 32, with: numbers.bytes(numbers.int(0...64)))
            } else {
                bytes = numbers.bytes(numbers.int(1...average))
            }
            files[index].bytes = bytes
        }
        if percent > 0, !files.isEmpty {
            files.remove(at: numbers.int(0...files.count - 1))
            add(averageBytes: average)
        }
    }

    /// The tree as a tar archive.
    public var tar: [UInt8] { TarMaker.tar(files) }
}
