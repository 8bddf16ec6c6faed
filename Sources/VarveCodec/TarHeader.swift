// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// What the splitter has to know about one 512-byte block: is it a header, and what follows it.
///
/// POSIX.1-2024 `pax` (ustar), and what GNU tar, star, Go's `archive/tar` and seventh-edition tars write beyond it: sizes
/// in base 256, checksums summed as signed bytes, fields closed by a space, a NUL or nothing.
struct TarHeader {
    enum Kind {
        /// A file, directory, link …, with its content behind it if `carriesData`.
        case entry
        /// A pax record for the next entry.
        case paxRecord
        /// A GNU long name for the next entry.
        case longName
        /// Another record whose body belongs to the header stream: global pax, GNU long link name, oversized ones.
        case skippedRecord
    }

    let kind: Kind
    /// Bytes behind the header that it announces, without padding; 0 if it carries none. At most ``sizeLimit``.
    let size: UInt64
    let carriesData: Bool
    let isRegularFile: Bool
    /// An old GNU sparse header whose map goes on in the next block.
    let hasSparseMap: Bool

    /// Sizes beyond this are taken for a sign that the block is no header.
    static let sizeLimit: UInt64 = 1 << 62
    /// Where, in an extension block of a sparse map, it is said whether another follows.
    static let mapContinuesOffset = 504

    private static let nameField = 0..<100
    private static let sizeField = 124..<136
    private static let checksumField = 148..<156
    private static let typeOffset = 156
    private static let magicField = 257..<265
    private static let gnuMapContinuesOffset = 482

    /// The header in `block`, which has 512 bytes; nil if its checksum is wrong or its size is none.
    init?(_ block: UnsafeRawBufferPointer) {
        guard block.count == 512,
            let checksum = Self.octal(block, Self.checksumField, isRequired: true),
            Self.sumMatches(block, checksum)
        else { return nil }
        let type = block[Self.typeOffset]
        switch type {
        case UInt8(ascii: "1"), UInt8(ascii: "2"), UInt8(ascii: "3"), UInt8(ascii: "4"), UInt8(ascii: "5"),
            UInt8(ascii: "6"):
            // Links, devices, directories, pipes: some writers give hard links the size of their target, but the
            // tars that registries see never put data behind it.
            kind = .entry
            carriesData = false
            size = 0
        default:
            guard let value = Self.number(block, Self.sizeField), value <= Self.sizeLimit else { return nil }
            size = value
            carriesData = true
            switch type {
            case UInt8(ascii: "x"), UInt8(ascii: "X"): kind = .paxRecord
            case UInt8(ascii: "L"): kind = .longName
            case UInt8(ascii: "g"), UInt8(ascii: "K"): kind = .skippedRecord
            default: kind = .entry
            }
        }
        isRegularFile = type == UInt8(ascii: "0") || type == UInt8(ascii: "7") || type == 0
        hasSparseMap =
            type == UInt8(ascii: "S") && block[Self.magicField].elementsEqual("ustar  \0".utf8)
            && block[Self.gnuMapContinuesOffset] != 0
    }

    /// Whether the name in the header ends in `.pyc`.
    static func nameIsBytecode(in block: UnsafeRawBufferPointer) -> Bool {
        endsInBytecodeSuffix(block[nameField].prefix { $0 != 0 })
    }

    static func endsInBytecodeSuffix(_ name: some BidirectionalCollection<UInt8>) -> Bool {
        name.suffix(4).elementsEqual(".pyc".utf8)
    }

    static func isZero(_ block: UnsafeRawBufferPointer) -> Bool {
        endOfZeros(block, from: 0) == block.count
    }

    /// Where the first byte that is not zero lies, or the end.
    static func endOfZeros(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
        var at = start
        while at + 64 <= bytes.count {
            let words = bytes.loadUnaligned(fromByteOffset: at, as: SIMD8<UInt64>.self)
            if words != .zero { break }
            at += 64
        }
        while at < bytes.count, bytes[at] == 0 { at += 1 }
        return at
    }

    // MARK: Fields

    /// The sum of all bytes, the checksum's own eight counted as spaces. Old tars summed signed bytes.
    private static func sumMatches(_ block: UnsafeRawBufferPointer, _ expected: UInt64) -> Bool {
        // Four 16-bit lanes: 64 words of two bytes each at most make 32,640 a lane.
        let even: UInt64 = 0x00ff_00ff_00ff_00ff
        var lanes: UInt64 = 0
        var signs: UInt64 = 0
        for offset in stride(from: 0, to: 512, by: 8) {
            let word = block.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            lanes &+= (word & even) &+ ((word >> 8) & even)
            signs &+= (word >> 7) & 0x0101_0101_0101_0101
        }
        let field = block.loadUnaligned(fromByteOffset: checksumField.lowerBound, as: UInt64.self)
        let fieldSum = lanesSum((field & even) &+ ((field >> 8) & even))
        let unsigned = Int(lanesSum(lanes)) - Int(fieldSum) + 8 * 0x20
        if UInt64(unsigned) == expected { return true }
        let fieldSigns = (field >> 7) & 0x0101_0101_0101_0101
        let negative = bytesSum(signs) - bytesSum(fieldSigns)
        let signed = unsigned - 256 * negative
        return signed >= 0 && UInt64(signed) == expected
    }

    private static func lanesSum(_ lanes: UInt64) -> UInt64 {
        (lanes & 0xffff) + (lanes >> 16 & 0xffff) + (lanes >> 32 & 0xffff) + lanes >> 48
    }

    private static func bytesSum(_ bytes: UInt64) -> Int {
        var rest = bytes
        var sum = 0
        while rest != 0 {
            sum += Int(rest & 0xff)
            rest >>= 8
        }
        return sum
    }

    /// A number in octal, or in base 256 if the field's first bit is set; nil if it is neither, or negative, or too large.
    private static func number(_ block: UnsafeRawBufferPointer, _ field: Range<Int>) -> UInt64? {
        let first = block[field.lowerBound]
        guard first & 0x80 != 0 else { return octal(block, field, isRequired: false) }
        guard first & 0x40 == 0 else { return nil }
        var value = UInt64(first & 0x3f)
        for index in field.dropFirst() {
            guard value >> 56 == 0 else { return nil }
            value = value << 8 | UInt64(block[index])
        }
        return value
    }

    /// Octal digits after spaces or NULs, closed by a space, a NUL or the field's end. An empty field counts as 0 unless
    /// `isRequired`.
    private static func octal(_ block: UnsafeRawBufferPointer, _ field: Range<Int>, isRequired: Bool) -> UInt64? {
        var value: UInt64 = 0
        var hasDigits = false
        for index in field {
            let byte = block[index]
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "7"):
                hasDigits = true
                value = value << 3 | UInt64(byte - UInt8(ascii: "0"))  // twelve digits are 36 bits
            case 0, UInt8(ascii: " "):
                if hasDigits { return value }
            default:
                return nil
            }
        }
        return hasDigits || !isRequired ? value : nil
    }
}

/// What pax and long-name records said about the next entry.
struct TarAnnouncement {
    /// The size that a pax record gives, which goes before the header's.
    var size: UInt64?
    /// Whether the announced name ends in `.pyc`; nil if none was announced.
    var nameIsBytecode: Bool?

    /// Reads the body of a GNU long-name record.
    mutating func read(longName body: UnsafeRawBufferPointer) {
        nameIsBytecode = TarHeader.endsInBytecodeSuffix(body.prefix { $0 != 0 })
    }

    /// Reads the body of a pax record: lines of `length key=value\n`. Stops at the first line that is none.
    mutating func read(pax body: UnsafeRawBufferPointer) {
        var start = 0
        while start < body.count {
            var length = 0
            var at = start
            while at < body.count, let digit = Self.decimalDigit(body[at]), length < body.count {
                length = 10 * length + Int(digit)
                at += 1
            }
            guard at > start, at < body.count, body[at] == UInt8(ascii: " "), length > at - start + 1,
                length <= body.count - start, body[start + length - 1] == UInt8(ascii: "\n")
            else { return }
            let line = body[at + 1..<start + length - 1]
            if let equals = line.firstIndex(of: UInt8(ascii: "=")) {
                read(key: line[..<equals], value: line[(equals + 1)...])
            }
            start += length
        }
    }

    private mutating func read(key: Slice<UnsafeRawBufferPointer>, value: Slice<UnsafeRawBufferPointer>) {
        if key.elementsEqual("path".utf8) {
            nameIsBytecode = value.isEmpty ? nil : TarHeader.endsInBytecodeSuffix(value)
        } else if key.elementsEqual("size".utf8) {
            var number: UInt64 = 0
            for byte in value {
                guard let digit = Self.decimalDigit(byte), number <= TarHeader.sizeLimit / 10 else { return }
                number = 10 * number + digit
            }
            size = value.isEmpty || number > TarHeader.sizeLimit ? nil : number
        }
    }

    private static func decimalDigit(_ byte: UInt8) -> UInt64? {
        let digit = byte &- UInt8(ascii: "0")
        return digit < 10 ? UInt64(digit) : nil
    }
}
