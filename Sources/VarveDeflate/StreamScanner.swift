// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Walks over a gzip file: member headers, blocks, trailers, further members, trailing bytes.
struct StreamScanner {
    private enum State { case header, blocks, trailer, trailing, done }

    let reader: InflateReader
    private var state = State.header
    private static let headerMax = 64 << 10
    private static let rawPiece = 32 << 10

    init(
        source: @escaping CompressedReader, plainCapacity: Int, limits: InflateReader.PartLimits = .init()
    ) throws {
        reader = try InflateReader(source: source, plainCapacity: plainCapacity, limits: limits)
    }

    /// The next element, or nil at the end of the file.
    mutating func next() throws -> StreamElement? {
        switch state {
        case .header:
            let count = try headerLength(after: 0)
            if count == 0 { throw DeflateError("not-gzip") }
            let bytes = try reader.peek(count)
            reader.skip(count)
            state = .blocks
            return .raw(padding: 0, bytes: bytes)
        case .blocks:
            let block = try reader.readBlock()
            if block.isFinal { state = .trailer }
            return .block(block)
        case .trailer:
            let padding = reader.alignToByte()
            let bytes = try reader.peek(8)
            if bytes.count < 8 { throw DeflateError.truncated }
            let following = try headerLength(after: 8)
            let all = try reader.peek(8 + following)
            reader.skip(8 + following)
            state = following > 0 ? .blocks : .trailing
            reader.memberStart = reader.plain.end
            return .raw(padding: padding, bytes: all)
        case .trailing:
            let bytes = try reader.peek(Self.rawPiece)
            reader.skip(bytes.count)
            if bytes.isEmpty {
                state = .done
                return nil
            }
            return .raw(padding: 0, bytes: bytes)
        case .done:
            return nil
        }
    }

    /// The length of the gzip member header that starts `skip` bytes on; 0 if there is none.
    private func headerLength(after skip: Int) throws -> Int {
        let small = try reader.peek(skip + 12)
        if small.count < skip + 10 { return 0 }
        if small[skip] != 0x1f || small[skip + 1] != 0x8b || small[skip + 2] != 8 || small[skip + 3] & 0xe0 != 0 {
            return 0
        }
        let flags = small[skip + 3]
        if flags == 0 { return 10 }
        let bytes = try reader.peek(skip + Self.headerMax)
        var at = skip + 10
        if flags & 4 != 0 {
            if at + 2 > bytes.count { return 0 }
            at += 2 + Int(bytes[at]) + Int(bytes[at + 1]) << 8
        }
        for flag: UInt8 in [8, 16] where flags & flag != 0 {
            while at < bytes.count && bytes[at] != 0 { at += 1 }
            at += 1
        }
        if flags & 2 != 0 { at += 2 }
        return at > bytes.count ? 0 : at - skip
    }
}
