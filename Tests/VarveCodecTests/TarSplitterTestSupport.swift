// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

@testable import VarveCodec

/// Writes tars block by block, so that tests can make every kind of them, also broken ones.
struct TarWriter {
    var bytes: [UInt8] = []

    enum Sum { case unsigned, signed, wrong }

    /// A header block. `sizeField` replaces the octal size.
    mutating func header(
        _ name: String, type: Character = "0", size: UInt64 = 0, sizeField: [UInt8]? = nil,
        magic: String = "ustar\u{0}00",
        sum: Sum = .unsigned, patch: (inout [UInt8]) -> Void = { _ in }
    ) {
        var block = [UInt8](repeating: 0, count: 512)
        func put(_ text: [UInt8], at offset: Int) { block.replaceSubrange(offset..<offset + text.count, with: text) }
        put(Array(name.utf8.prefix(100)), at: 0)
        put(Array("0000644\u{0}0001750\u{0}0001750\u{0}".utf8), at: 100)
        put(sizeField ?? Self.octal(size, digits: 11) + [0], at: 124)
        put(Array("14371472310\u{0}".utf8), at: 136)
        block[156] = type.asciiValue ?? 0
        put(Array(magic.utf8), at: 257)
        patch(&block)
        put([UInt8](repeating: 0x20, count: 8), at: 148)
        var value = block.reduce(0) { $0 + Int($1) }
        if sum == .signed { value = block.reduce(0) { $0 + Int(Int8(bitPattern: $1)) } }
        if sum == .wrong { value += 1 }
        put(Self.octal(UInt64(max(value, 0)), digits: 6) + [0, 0x20], at: 148)
        bytes += block
    }

    /// A header, content and padding.
    mutating func file(_ name: String, _ content: [UInt8], type: Character = "0") {
        header(name, type: type, size: UInt64(content.count))
        body(content)
    }

    mutating func body(_ content: [UInt8]) {
        bytes += content
        bytes += [UInt8](repeating: 0, count: (512 - content.count % 512) % 512)
    }

    /// A pax record for the next entry.
    mutating func pax(_ pairs: [(String, String)], type: Character = "x") {
        file("PaxHeaders/entry", Self.paxBody(pairs), type: type)
    }

    /// A GNU long name for the next entry.
    mutating func longName(_ name: String, type: Character = "L") {
        file("././@LongLink", Array(name.utf8) + [0], type: type)
    }

    mutating func end(blocks: Int = 2) {
        bytes += [UInt8](repeating: 0, count: 512 * blocks)
    }

    static func paxBody(_ pairs: [(String, String)]) -> [UInt8] {
        pairs.flatMap { key, value in
            let rest = " \(key)=\(value)\n"
            var length = rest.utf8.count + 1
            while String(length).utf8.count + rest.utf8.count != length { length += 1 }
            return Array("\(length)\(rest)".utf8)
        }
    }

    static func octal(_ value: UInt64, digits: Int) -> [UInt8] {
        let text = Array(String(value, radix: 8).utf8)
        return [UInt8](repeating: 0x30, count: max(0, digits - text.count)) + text.suffix(digits)
    }

    /// A size in base 256, twelve bytes.
    static func base256(_ value: UInt64) -> [UInt8] {
        [0x80, 0, 0, 0] + withUnsafeBytes(of: value.bigEndian) { Array($0) }
    }
}

/// What a splitter made of a stream.
struct SplitStream: Equatable {
    var headers: [UInt8] = []
    /// The contents of the files, one after the other.
    var files: [[UInt8]] = []
    /// All pieces in order.
    var all: [UInt8] = []
    var isTar = false
    /// Content came behind the end of a file and was never ended itself.
    var hasOpenFile = false

    init(_ slices: some Sequence<ArraySlice<UInt8>>) {
        var splitter = TarSplitter()
        var open: [UInt8]?
        func take(_ piece: TarSplitter.Piece) {
            switch piece {
            case .header(let bytes):
                headers += bytes
                all += bytes
            case .content(let bytes, let endsFile):
                all += bytes
                open = (open ?? []) + Array(bytes)
                if endsFile {
                    files.append(open ?? [])
                    open = nil
                }
            }
        }
        for slice in slices {
            slice.withUnsafeBytes { splitter.push($0, take) }
        }
        splitter.finish(take)
        isTar = splitter.isTar
        hasOpenFile = open != nil
    }

    init(_ bytes: [UInt8]) { self.init([bytes[...]]) }
}
