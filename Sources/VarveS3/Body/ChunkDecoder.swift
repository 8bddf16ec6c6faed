// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOCore
import VarveCodec

/// Takes S3's own chunk coding off a body (`Content-Encoding: aws-chunked`): a line with a size and perhaps a signature,
/// so many bytes, a line end; a chunk of no bytes ends it, and perhaps lines of a trailer follow.
///
/// A chunk's bytes are handed on before its signature can be checked: whoever stores them must not show them before
/// ``finish()``. Lines are bounded, nothing else is kept.
struct ChunkDecoder {
    private static let lineBytesMax = 1024
    private static let trailerBytesMax = 8 << 10

    private enum State {
        case head
        case data(left: UInt64)
        /// The line end behind a chunk's bytes.
        case dataEnd
        case trailer
        case done
    }

    private var state = State.head
    private var line: [UInt8] = []
    private var signature = ""
    private var hash = SHA256State()
    private var isLast = false
    /// Nil if chunks are not signed.
    private var chain: SignatureChain?
    private let hasTrailer: Bool
    private var trailerBytes = 0
    private var trailerSignature: String?
    /// The trailer's lines, names in lower case.
    private(set) var trailers: [(name: String, value: String)] = []

    init(chain: SignatureChain?, hasTrailer: Bool) {
        self.chain = chain
        self.hasTrailer = hasTrailer
    }

    private static let malformed = S3Failure(
        .incompleteBody, "The request body's chunks are not coded as S3 wants them.")
    private static let wrongSignature = S3Failure(
        .signatureDoesNotMatch, "A chunk's signature does not match the one we calculated.")

    /// The bytes of the chunks in a piece of the body.
    mutating func decode(_ input: ByteBuffer) throws(S3Failure) -> ByteBuffer {
        var input = input
        var output = ByteBuffer()
        while input.readableBytes > 0 {
            switch state {
            case .head:
                guard let line = try nextLine(&input) else { return output }
                try begin(line)
            case .data(let left):
                let count = Int(min(left, UInt64(input.readableBytes)))
                guard let piece = input.readSlice(length: count) else { return output }
                if chain != nil { piece.withUnsafeReadableBytes { hash.update($0) } }
                if output.readableBytes == 0 {
                    output = piece
                } else {
                    output.writeImmutableBuffer(piece)
                }
                if UInt64(count) == left {
                    try endChunk()
                    state = .dataEnd
                } else {
                    state = .data(left: left - UInt64(count))
                }
            case .dataEnd:
                guard let line = try nextLine(&input) else { return output }
                guard line.isEmpty else { throw Self.malformed }
                state = .head
            case .trailer:
                guard let line = try nextLine(&input) else { return output }
                try takeTrailer(line)
            case .done:
                throw Self.malformed
            }
        }
        return output
    }

    /// Call it when the body is at its end.
    /// - Throws: If the last chunk or the trailer's signature is missing.
    mutating func finish() throws(S3Failure) {
        // The line end behind everything may be missing: some clients leave it out.
        if case .trailer = state, line.isEmpty { state = .done }
        guard case .done = state else {
            throw S3Failure(
                .incompleteBody,
                "You did not provide the number of bytes specified by the Content-Length HTTP header.")
        }
        guard hasTrailer, chain != nil else { return }
        var canonical: [UInt8] = []
        for trailer in trailers.sorted(by: { $0.name < $1.name }) {
            canonical += Array("\(trailer.name):\(trailer.value)\n".utf8)
        }
        guard let trailerSignature, chain?.accept(trailer: canonical, signature: trailerSignature) == true else {
            throw Self.wrongSignature
        }
    }

    /// A line without its end, once it is whole.
    private mutating func nextLine(_ input: inout ByteBuffer) throws(S3Failure) -> [UInt8]? {
        let view = input.readableBytesView
        let end = view.firstIndex(of: UInt8(ascii: "\n"))
        let taken = end.map { view.distance(from: view.startIndex, to: $0) } ?? view.count
        guard line.count + taken <= Self.lineBytesMax else { throw Self.malformed }
        line += view.prefix(taken)
        input.moveReaderIndex(forwardBy: min(view.count, taken + (end == nil ? 0 : 1)))
        guard end != nil else { return nil }
        var whole = line
        line.removeAll(keepingCapacity: true)
        if whole.last == UInt8(ascii: "\r") { whole.removeLast() }
        return whole
    }

    /// `<size in hex>[;chunk-signature=<64 hex digits>]`
    private mutating func begin(_ line: [UInt8]) throws(S3Failure) {
        let text = String(decoding: line, as: UTF8.self)
        let parts = text.split(separator: ";", maxSplits: 1, omittingEmptySubsequences: false)
        guard (1...15).contains(parts[0].utf8.count),
            parts[0].utf8.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }),
            let size = UInt64(parts[0], radix: 16)
        else { throw Self.malformed }
        if chain != nil {
            guard parts.count == 2, parts[1].hasPrefix("chunk-signature=") else { throw Self.malformed }
            signature = String(parts[1].dropFirst("chunk-signature=".count))
            hash = SHA256State()
        }
        if size == 0 {
            try endChunk()
            state = .trailer
        } else {
            state = .data(left: size)
        }
    }

    private mutating func endChunk() throws(S3Failure) {
        guard chain != nil else { return }
        guard chain?.accept(chunk: hash.finish().bytes, signature: signature) == true else { throw Self.wrongSignature }
    }

    private mutating func takeTrailer(_ line: [UInt8]) throws(S3Failure) {
        if line.isEmpty {
            state = .done
            return
        }
        trailerBytes += line.count
        guard hasTrailer, trailerBytes <= Self.trailerBytesMax, let colon = line.firstIndex(of: UInt8(ascii: ":")),
            let text = String(validating: line, as: UTF8.self)
        else {
            throw S3Failure(.malformedTrailer, "The request contained trailing data that was not well-formed.")
        }
        let name = String(decoding: line[..<colon], as: UTF8.self).lowercased()
        let value = String(text.utf8.dropFirst(colon + 1).drop { $0 == 0x20 }) ?? ""
        if name == "x-amz-trailer-signature" {
            trailerSignature = value
        } else {
            trailers.append((name, value))
        }
    }
}
