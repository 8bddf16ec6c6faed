// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Makes tar layers as builds make them: files out of a common pool, so that layers share most of their content, with new
/// times in every header and some files of their own. Same seed, same layers.
package struct SampleLayers: Sendable {
    private let pool: [[UInt8]]

    /// - Parameter files: How many different files the layers share.
    package init(seed: UInt64, files: Int = 96) {
        var random = SeededRandom(seed: seed)
        pool = (0..<files).map { index in
            let size = Int.random(in: 1...(index % 8 == 0 ? 160_000 : 24_000), using: &random)
            return index % 3 == 0 ? random.bytes(size) : Self.text(size, &random)
        }
    }

    /// One layer, an uncompressed tar.
    /// - Parameter files: How many files it has; they come to some 14 kB each.
    package func layer(files: Int, _ random: inout SeededRandom) -> [UInt8] {
        var tar = [UInt8]()
        let time = UInt64.random(in: 1_600_000_000...1_800_000_000, using: &random)
        for index in 0..<files {
            let content: [UInt8]
            if Int.random(in: 0..<8, using: &random) == 0 {
                content = Self.text(Int.random(in: 0...20_000, using: &random), &random)
            } else {
                content = pool[Int.random(in: 0..<pool.count, using: &random)]
            }
            Self.append(name: "usr/lib/part-\(index)/file", content, time: time &+ UInt64(index), to: &tar)
        }
        tar.append(contentsOf: repeatElement(0, count: 1024))
        let record = 10240
        tar.append(contentsOf: repeatElement(0, count: (record - tar.count % record) % record))
        return tar
    }

    /// Words of a small vocabulary: compresses about as well as program text.
    private static func text(_ count: Int, _ random: inout SeededRandom) -> [UInt8] {
        let vocabulary = (0..<200).map { _ in
            (0..<Int.random(in: 2...9, using: &random)).map { _ in UInt8.random(in: 97...122, using: &random) } + [32]
        }
        var text = [UInt8]()
        text.reserveCapacity(count + 10)
        while text.count < count { text += vocabulary[Int.random(in: 0..<vocabulary.count, using: &random)] }
        text.removeLast(text.count - count)
        return text
    }

    /// Appends a ustar header, the content and its padding.
    private static func append(name: String, _ content: [UInt8], time: UInt64, to tar: inout [UInt8]) {
        var header = [UInt8](repeating: 0, count: 512)
        func put(_ text: String, at offset: Int) {
            for (index, byte) in text.utf8.enumerated() { header[offset + index] = byte }
        }
        func octal(_ value: UInt64, digits: Int) -> String {
            let text = String(value, radix: 8)
            return String(repeating: "0", count: max(0, digits - text.count)) + text
        }
        put(name, at: 0)
        put("0000644", at: 100)
        put("0000000", at: 108)
        put("0000000", at: 116)
        put(octal(UInt64(content.count), digits: 11), at: 124)
        put(octal(time, digits: 11), at: 136)
        put("        ", at: 148)
        put("0", at: 156)
        put("ustar", at: 257)
        put("00", at: 263)
        let sum = header.reduce(UInt64(0)) { $0 + UInt64($1) }
        put(octal(sum, digits: 6), at: 148)
        header[154] = 0
        header[155] = 32
        tar += header
        tar += content
        tar.append(contentsOf: repeatElement(0, count: (512 - content.count % 512) % 512))
    }
}
