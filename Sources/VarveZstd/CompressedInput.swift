// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Reads the compressed file at an offset into memory; fewer bytes than asked for only at the end, then none.
package typealias ZstdSource = (_ offset: Int, _ room: UnsafeMutableRawBufferPointer) throws -> Int

/// The compressed file as a window that moves forward.
final class CompressedInput {
    private static let capacity = 1 << 20

    private let source: ZstdSource
    private let base: UnsafeMutableRawBufferPointer
    private var start = 0
    private var end = 0
    private var hasEnded = false
    /// Bytes passed over so far.
    private(set) var offset = 0

    init(source: @escaping ZstdSource) {
        self.source = source
        base = .allocate(byteCount: Self.capacity, alignment: 16)
    }

    deinit { base.deallocate() }

    /// Up to `count` of the next bytes (fewer only at the end), which stay next. At most half a mebibyte.
    func peek(_ count: Int) throws -> UnsafeBufferPointer<UInt8> {
        if end - start < count, !hasEnded {
            base.copyMemory(from: UnsafeRawBufferPointer(rebasing: base[start..<end]))
            end -= start
            start = 0
            while end < Self.capacity, !hasEnded {
                let read = try source(offset + end, UnsafeMutableRawBufferPointer(rebasing: base[end...]))
                if read <= 0 { hasEnded = true } else { end += min(read, Self.capacity - end) }
            }
        }
        let part = UnsafeRawBufferPointer(rebasing: base[start..<min(end, start + count)])
        return part.bindMemory(to: UInt8.self)
    }

    func skip(_ count: Int) {
        start += count
        offset += count
    }

    /// The next bytes, exactly `count`.
    func take(_ count: Int) throws -> UnsafeBufferPointer<UInt8> {
        let part = try peek(count)
        guard part.count == count else { throw ZstdError.truncated }
        skip(count)
        return part
    }

    /// The next four bytes, low one first, which stay next; nil at the end.
    func word() throws -> UInt32? {
        let part = try peek(4)
        guard part.count == 4 else { return nil }
        return part.reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }
}
