// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

extension FrameDirectory {
    /// How much of each frame a scan looks at.
    package enum ScanDepth: Int, Sendable, Comparable {
        /// The headers, whose checksums say where the next frame begins.
        case headers
        /// Also the tables: digests and lengths.
        case tables
        /// Also the checksums of all payloads.
        case payloads

        package static func < (left: ScanDepth, right: ScanDepth) -> Bool { left.rawValue < right.rawValue }
    }

    /// What a scan found.
    package struct ScanResult: Sendable {
        /// The pack's header; nil if that is damaged already.
        package var header: PackHeader?
        /// All frames up to the first that is not whole.
        package var directory: FrameDirectory
        /// Up to here everything was valid: 0 without a header, else the end of the last whole frame.
        package var validBytes: UInt64
        /// Why the scan ended before the length it was given; nil if it did not.
        package var damage: CodecError?
    }

    /// Finds the frames of a pack that is not sealed, or whose footer can not be read, by walking from header to header.
    /// - Parameters:
    ///   - committedBytes: Nothing behind this length is looked at: bytes that no commit knows of are not the pack's.
    ///   - read: Gives `count` bytes of the file from `offset` on, or fewer if it ends before. Never asked for more
    ///     than the largest frame.
    /// - Throws: What `read` throws. Damage is not thrown but reported.
    package static func scan<Failure: Error>(
        upTo committedBytes: UInt64, depth: ScanDepth = .headers,
        read: (_ offset: UInt64, _ count: Int) throws(Failure) -> [UInt8]
    ) throws(Failure) -> ScanResult {
        var result = ScanResult(header: nil, directory: FrameDirectory(), validBytes: 0, damage: nil)
        func fetch(_ offset: UInt64, _ count: Int) throws(Failure) -> [UInt8] {
            let left = committedBytes - min(offset, committedBytes)
            return try read(offset, Int(min(UInt64(count), left)))
        }

        let start = try fetch(0, PackHeader.byteCount)
        do throws(CodecError) {
            result.header = try start.lend { bytes throws(CodecError) in try PackHeader(decoding: bytes) }
        } catch {
            result.damage = error
            return result
        }
        result.validBytes = UInt64(PackHeader.byteCount)
        while result.validBytes < committedBytes {
            let offset = result.validBytes
            let head = try fetch(offset, FrameHeader.byteCount)
            let header: FrameHeader
            do throws(CodecError) {
                header = try head.lend { bytes throws(CodecError) in try FrameHeader(decoding: bytes) }
                guard UInt64(header.frameBytes) <= committedBytes - offset else {
                    throw CodecError(.truncated, "the last frame is not whole")
                }
            } catch {
                result.damage = error
                return result
            }
            let bodyBytes =
                switch depth {
                case .headers: 0
                case .tables: header.tableBytes
                case .payloads: header.tableBytes + header.payloadBytes
                }
            let body = bodyBytes > 0 ? try fetch(offset + UInt64(FrameHeader.byteCount), bodyBytes) : []
            do throws(CodecError) {
                try body.lend { bytes throws(CodecError) in
                    try Self.check(bytes, of: header, depth: depth)
                }
                try result.directory.append(header)
            } catch {
                result.damage = error
                return result
            }
            result.validBytes = result.directory.endOffset
        }
        return result
    }

    /// Checks the part of a frame behind its header that `depth` asks for.
    private static func check(
        _ body: UnsafeRawBufferPointer, of header: FrameHeader, depth: ScanDepth
    ) throws(CodecError) {
        guard depth >= .tables else { return }
        var reader = ByteReader(body)
        _ = try FrameTable(decoding: try reader.readBytes(header.tableBytes), header: header)
        guard depth >= .payloads else { return }
        guard crc32c(try reader.readBytes(header.payloadBytes)) == header.payloadChecksum else {
            throw CodecError(.checksumMismatch, "a frame's payload is damaged")
        }
    }
}
