// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import CZlib

/// Decodes gzip streams (RFC 1952) of any number of members: slices of input in, slices of plain bytes out.
///
/// Memory is bounded by the output buffer and zlib's 32 KiB window whatever the input. Bytes behind a member that do not
/// begin as another one end the stream; they are counted, not decoded, and are no error. Checksums and lengths of all
/// members are verified.
package struct GzipDecoder: ~Copyable, @unchecked Sendable {
    // @unchecked: the pointers have one owner, this value, and every use of them is exclusive (`mutating`).
    private let stream: UnsafeMutablePointer<z_stream>
    private let output: UnsafeMutableRawBufferPointer
    private let limits: DecodeLimits
    private var summary = DecodeSummary()
    private var phase = Phase.member

    private enum Phase {
        /// In a member.
        case member
        /// Behind a member. `sawFirstMagic`: and behind a byte that may be the first of another.
        case boundary(sawFirstMagic: Bool)
        /// Behind the last member.
        case trailing
    }

    private static let outputBytes = 256 << 10
    private static let gzipOnly: Int32 = 15 + 16
    /// How a member begins.
    private static let magic: (UInt8, UInt8) = (0x1f, 0x8b)

    /// - Throws: ``CodecError`` with code `resources` when there is no memory.
    package init(limits: DecodeLimits) throws(CodecError) {
        stream = try Self.makeStream()
        output = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.outputBytes, alignment: 64)
        self.limits = limits
    }

    private static func makeStream() throws(CodecError) -> UnsafeMutablePointer<z_stream> {
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        stream.initialize(to: z_stream())
        let result = inflateInit2_(stream, gzipOnly, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard result == Z_OK else {
            stream.deallocate()
            throw CodecError(.resources, "zlib can not begin to inflate (\(result))")
        }
        return stream
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
        output.deallocate()
    }

    /// Decodes the next bytes of the stream; `sink` gets plain bytes, lent for the length of the call, in order.
    ///
    /// After an error the decoder is of no use any more.
    /// - Throws: ``CodecError``: `malformed`; `limitExceeded`. Also what `sink` throws.
    package mutating func push(
        _ input: UnsafeRawBufferPointer, _ sink: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        var rest = input[...]
        while let next = rest.first {
            switch phase {
            case .member:
                // zlib counts in 32 bits.
                let slice = UnsafeRawBufferPointer(rebasing: rest.prefix(1 << 30))
                rest = rest.dropFirst(try inflateSome(slice, sink))
            case .boundary(sawFirstMagic: false):
                guard next == Self.magic.0 else {
                    phase = .trailing
                    continue
                }
                phase = .boundary(sawFirstMagic: true)
                rest = rest.dropFirst()
            case .boundary(sawFirstMagic: true):
                guard next == Self.magic.1 else {
                    summary.trailingBytes = 1
                    phase = .trailing
                    continue
                }
                phase = .member
                // The first byte may be gone with an earlier push.
                _ = try withUnsafeBytes(of: Self.magic.0) { try inflateSome($0, sink) }
            case .trailing:
                summary.trailingBytes += UInt64(rest.count)
                return
            }
        }
    }

    /// Ends the stream.
    /// - Throws: ``CodecError`` with code `truncated` if it ends inside a member.
    package mutating func finish() throws(CodecError) -> DecodeSummary {
        switch phase {
        case .member: throw CodecError(.truncated, "a gzip stream ends inside a member")
        case .boundary(sawFirstMagic: true): summary.trailingBytes = 1
        case .boundary(sawFirstMagic: false), .trailing: break
        }
        phase = .trailing
        return summary
    }

    /// Gives `input` to zlib until it is used up or the member ends. Returns how much was taken.
    private mutating func inflateSome(
        _ input: UnsafeRawBufferPointer, _ sink: (UnsafeRawBufferPointer) throws -> Void
    ) throws -> Int {
        stream.pointee.next_in = UnsafeMutablePointer(
            mutating: input.baseAddress?.assumingMemoryBound(to: UInt8.self))
        stream.pointee.avail_in = UInt32(input.count)
        defer {
            stream.pointee.next_in = nil
            stream.pointee.avail_in = 0
        }
        while true {
            let before = Int(stream.pointee.avail_in)
            stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
            stream.pointee.avail_out = UInt32(output.count)
            let result = inflate(stream, Z_NO_FLUSH)
            let taken = before - Int(stream.pointee.avail_in)
            let made = output.count - Int(stream.pointee.avail_out)
            summary.inputBytes += UInt64(taken)
            summary.outputBytes += UInt64(made)
            guard result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR else {
                throw CodecError(.malformed, "zlib: \(message(result))")
            }
            try limits.check(input: summary.inputBytes, output: summary.outputBytes)
            if made > 0 { try sink(UnsafeRawBufferPointer(rebasing: output[..<made])) }
            if result == Z_STREAM_END {
                summary.memberCount += 1
                phase = .boundary(sawFirstMagic: false)
                let remaining = Int(stream.pointee.avail_in)
                inflateReset(stream)
                return input.count - remaining
            }
            // With room left in the output, nothing more comes of this input.
            if stream.pointee.avail_out > 0, stream.pointee.avail_in == 0 { return input.count }
            if taken == 0, made == 0 { throw CodecError(.malformed, "zlib makes no progress") }
        }
    }

    private func message(_ result: Int32) -> String {
        if let text = stream.pointee.msg { return String(cString: text) }
        return "error \(result)"
    }
}
