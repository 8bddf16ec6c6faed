// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOCore
import NIOHTTP1
import VarveCodec
import VarveDrivers
import VarveHTTP
import VarveModel

/// What a body turned out to be.
struct PayloadSummary {
    var size: UInt64
    var md5: [UInt8]
    /// What the client asked for or sent, checked.
    var checksum: (algorithm: ChecksumAlgorithm, value: [UInt8])?
}

/// A request's body as its content: taken out of its chunks, hashed and measured while it streams by, compared with all
/// that was promised at its end. For the connection's task alone.
///
/// What ``next()`` hands out is not checked yet. Only when it has given nil is the content what the client signed:
/// nobody may see it before that. Each hash is made on a lane of its own, beside the others and beside what the caller
/// does with the content.
final class PayloadReader {
    /// Largest object in one request, and largest part, in bytes.
    static let byteCountMax: UInt64 = 5 << 30
    /// From this on taking content out of its chunks leaves the task's thread.
    private static let poolBytesMin = 64 << 10

    /// Content bytes, as announced; nil if the body comes in HTTP's chunks.
    let length: UInt64?
    private let body: RequestBody
    private let state: PayloadState
    private let lanes: [HashLane]
    private let pool: BlockingPool
    private(set) var summary: PayloadSummary?
    /// The checksum that is sent, announced for the trailer, or computed without being sent.
    var algorithm: ChecksumAlgorithm? { state.algorithm }

    /// - Parameter algorithm: A checksum to compute though none is sent.
    /// - Throws: ``S3Failure`` for lengths and checksums that are missing or malformed.
    init(
        _ request: HTTPRequest, _ authentication: Authentication, pool: BlockingPool,
        computing algorithm: ChecksumAlgorithm? = nil
    ) throws {
        let headers = request.head.headers
        body = request.body
        self.pool = pool
        if authentication.payload.isChunked {
            guard let text = headers.first(name: "x-amz-decoded-content-length"), let length = UInt64(digits: text)
            else {
                throw Self.missingLength
            }
            self.length = length
        } else {
            guard request.body.length == nil || headers.contains(name: "content-length") else {
                throw Self.missingLength
            }
            length = request.body.length
        }
        guard length ?? 0 <= Self.byteCountMax else { throw PayloadState.tooLarge }
        state = try PayloadState(headers, authentication, length: length, computing: algorithm)
        lanes = state.hashes.map { hash in HashLane(pool: pool, hash.update) }
    }

    private static let missingLength = S3Failure(
        .missingContentLength, "You must provide the Content-Length HTTP header.")

    /// The next piece of content; nil when all of it came and was found right.
    /// - Throws: ``S3Failure``, `RequestBody.Fault`, `VarveError`.
    func next() async throws -> ByteBuffer? {
        if summary != nil { return nil }
        while let piece = try await body.next() {
            let content: ByteBuffer
            if !state.isChunked || piece.readableBytes < Self.poolBytesMin {
                content = try state.take(piece)
            } else {
                content = try await pool.run { [state] () throws(VarveError) in
                    Result { () throws(S3Failure) in try state.take(piece) }
                }.get()
            }
            guard content.readableBytes > 0 else { continue }
            for lane in lanes { await lane.add(content) }
            return content
        }
        for lane in lanes { await lane.drain() }
        summary = try state.finish()
        return nil
    }

    /// All of a small body.
    /// - Parameter reserve: Told how many bytes are going to be kept: all at once if that is known, or else as they come.
    /// - Throws: `MalformedXML` past `most` bytes; what `reserve` throws.
    func all(most: Int, reserve: (Int) throws -> Void = { _ in }) async throws -> [UInt8] {
        let tooLong = S3Failure(.malformedXML, "Your request was too big for its kind.")
        guard length ?? 0 <= UInt64(most) else { throw tooLong }
        var bytes: [UInt8] = []
        if let length {
            try reserve(Int(length))
            bytes.reserveCapacity(Int(length))
        }
        while let piece = try await next() {
            guard bytes.count + piece.readableBytes <= most else { throw tooLong }
            if length == nil { try reserve(piece.readableBytes) }
            bytes += piece.readableBytesView
        }
        return bytes
    }
}

/// A hash in the making. Its lane's, until that is drained.
final class PayloadHash: @unchecked Sendable {  // Handed over by the lane's lock.
    private var checksum: RunningChecksum

    init(_ checksum: RunningChecksum) { self.checksum = checksum }

    @Sendable func update(_ bytes: UnsafeRawBufferPointer) { checksum.update(bytes) }

    /// The hash; the object is spent afterwards.
    func finish() -> [UInt8] { checksum.finish() }
}

/// What a body is to be, and what is known of it. Handed between the connection's task and the pool, never used by both
/// at once.
final class PayloadState: @unchecked Sendable {  // One caller at a time: each call is awaited before the next.
    private let length: UInt64?
    private var received: UInt64 = 0
    private var decoder: ChunkDecoder?
    private let sha256: PayloadHash?
    private let expectedSHA256: [UInt8]?
    private let md5: PayloadHash
    private let expectedMD5: [UInt8]?
    private var checksum: PayloadHash?
    let algorithm: ChecksumAlgorithm?
    private var expectedChecksum: [UInt8]?
    private let trailerName: String?

    init(
        _ headers: HTTPHeaders, _ authentication: Authentication, length: UInt64?, computing: ChecksumAlgorithm?
    ) throws {
        self.length = length
        var hasTrailer = false
        switch authentication.payload {
        case .digest(let digest):
            expectedSHA256 = digest
        case .unsigned:
            expectedSHA256 = nil
        case .signedChunks(let trailer):
            expectedSHA256 = nil
            hasTrailer = trailer
            decoder = ChunkDecoder(chain: authentication.chain, hasTrailer: trailer)
        case .unsignedChunks:
            expectedSHA256 = nil
            hasTrailer = true
            decoder = ChunkDecoder(chain: nil, hasTrailer: true)
        }
        sha256 = expectedSHA256 == nil ? nil : PayloadHash(try RunningChecksum(.sha256))
        md5 = PayloadHash(.legacy(try LegacyHash(.md5)))
        if let text = headers.first(name: "content-md5") {
            guard let digest = Base64.decode(text), digest.count == 16 else {
                throw S3Failure(.invalidDigest, "The Content-MD5 you specified was invalid.")
            }
            expectedMD5 = digest
        } else {
            expectedMD5 = nil
        }

        // Whoever sends a checksum wants it to be compared: one that can not be is no reason to store the bytes.
        for (name, _) in headers {
            let name = name.lowercased()
            guard name.hasPrefix("x-amz-checksum-"), ChecksumAlgorithm(header: name) == nil else { continue }
            guard Self.notChecksums.contains(name) else {
                throw S3Failure(
                    .invalidRequest, "The algorithm type you specified in x-amz-checksum- header is invalid.")
            }
        }
        var sent: [(ChecksumAlgorithm, String)] = []
        for algorithm in ChecksumAlgorithm.allCases {
            for value in headers[algorithm.header] { sent.append((algorithm, value)) }
        }
        guard sent.count <= 1 else {
            throw S3Failure(
                .invalidRequest, "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
        }
        var announced: ChecksumAlgorithm?
        let trailers = headers[canonicalForm: "x-amz-trailer"].map { $0.lowercased() }
        if !trailers.isEmpty {
            guard trailers.count == 1, let known = ChecksumAlgorithm(header: trailers[0]), hasTrailer, sent.isEmpty
            else {
                throw S3Failure(.invalidRequest, "The value specified in the x-amz-trailer header is not supported")
            }
            announced = known
        }
        trailerName = announced?.header
        if let (algorithm, text) = sent.first {
            guard let value = Base64.decode(text), value.count == algorithm.byteCount else {
                throw S3Failure(.invalidRequest, "Value for \(algorithm.header) header is invalid.")
            }
            expectedChecksum = value
            self.algorithm = algorithm
        } else {
            algorithm = announced ?? computing
        }
        if let text = headers.first(name: "x-amz-sdk-checksum-algorithm"), let algorithm,
            ChecksumAlgorithm(name: text) != algorithm
        {
            throw S3Failure(.invalidRequest, "Value for x-amz-sdk-checksum-algorithm header is invalid.")
        }
        if let algorithm { checksum = PayloadHash(try RunningChecksum(algorithm)) }
    }

    /// Headers named as checksums are, that are none.
    private static let notChecksums = [
        ObjectHeaders.checksumAlgorithm, ObjectHeaders.checksumType, "x-amz-checksum-mode",
    ]

    /// Whether the content lies in chunks within the body.
    var isChunked: Bool { decoder != nil }

    /// What is to be computed over the content.
    var hashes: [PayloadHash] { [sha256, md5, checksum].compactMap(\.self) }

    /// Content bytes of a piece of the body, counted.
    func take(_ piece: ByteBuffer) throws(S3Failure) -> ByteBuffer {
        let content = decoder == nil ? piece : try decoder?.decode(piece) ?? piece
        received &+= UInt64(content.readableBytes)
        guard received <= length ?? .max else { throw Self.wrongLength }
        guard received <= PayloadReader.byteCountMax else { throw Self.tooLarge }
        return content
    }

    static let tooLarge = S3Failure(.entityTooLarge, "Your proposed upload exceeds the maximum allowed size")
    private static let wrongLength = S3Failure(
        .incompleteBody, "You did not provide the number of bytes specified by the Content-Length HTTP header")

    /// Compares the content with all that was promised. Once the lanes of ``hashes`` are drained.
    func finish() throws(S3Failure) -> PayloadSummary {
        try decoder?.finish()
        guard length == nil || received == length else { throw Self.wrongLength }
        if let expectedSHA256, let actual = sha256?.finish(), actual != expectedSHA256 {
            throw S3Failure(
                .contentSHA256Mismatch,
                "The provided 'x-amz-content-sha256' header does not match what was computed.")
        }
        let md5 = md5.finish()
        if let expectedMD5, expectedMD5 != md5 {
            throw S3Failure(.badDigest, "The Content-MD5 you specified did not match what we received.")
        }
        if let trailerName, let algorithm {
            let values = decoder?.trailers.filter { $0.name == trailerName } ?? []
            guard values.count == 1, let value = Base64.decode(values[0].value), value.count == algorithm.byteCount
            else {
                throw S3Failure(
                    .malformedTrailer,
                    "The request contained trailing data that was not well-formed or did not conform "
                        + "to our published schema.")
            }
            expectedChecksum = value
        }
        var found: (ChecksumAlgorithm, [UInt8])?
        if let algorithm, let value = checksum?.finish() {
            if let expectedChecksum, expectedChecksum != value {
                throw S3Failure(
                    .badDigest, "The \(algorithm.rawValue) you specified did not match the calculated checksum.")
            }
            found = (algorithm, value)
        }
        return PayloadSummary(size: received, md5: md5, checksum: found)
    }
}

extension UInt64 {
    /// A decimal number of digits alone; nil for anything else.
    init?(digits text: some StringProtocol) {
        guard (1...19).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let value = UInt64(text)
        else { return nil }
        self = value
    }
}
