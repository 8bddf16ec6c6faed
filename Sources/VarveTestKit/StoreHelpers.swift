// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

public import NIOCore
public import VarveEngine
public import VarveModel

import Glibc
import VarveCodec

/// Bytes as a request's body: buffers of a given length.
public struct BodyBytes: AsyncSequence, Sendable {
    /// A part of the bytes.
    public typealias Element = ByteBuffer
    private let bytes: [UInt8]
    private let pieceBytes: Int

    /// A body of these bytes.
    public init(_ bytes: [UInt8], pieceBytes: Int = 64 << 10) {
        self.bytes = bytes
        self.pieceBytes = pieceBytes
    }

    /// Hands out the buffers.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let body: BodyBytes
        fileprivate var offset = 0

        /// The next buffer.
        public mutating func next() async -> ByteBuffer? {
            guard offset < body.bytes.count else { return nil }
            let end = Swift.min(offset + body.pieceBytes, body.bytes.count)
            defer { offset = end }
            return ByteBuffer(bytes: body.bytes[offset..<end])
        }
    }

    /// From the first byte on.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(body: self) }
}

/// The digest of bytes.
public func digest(of bytes: [UInt8], _ algorithm: Digest.Algorithm = .sha256) -> Digest {
    guard var hash = try? RunningHash(algorithm) else { preconditionFailure("no hash function \(algorithm)") }
    bytes.withUnsafeBytes { hash.update($0) }
    return hash.finish()
}

/// An image that was pushed.
public struct TestImage: Sendable {
    /// Where it was pushed.
    public var repository: RepositoryName
    /// The tag that names it.
    public var tag: Tag
    /// Its manifest.
    public var manifest: Digest
    /// Every blob of it and the manifest: digest and bytes.
    public var blobs: [Digest: [UInt8]]
}

extension Store {
    /// Stores bytes as a blob.
    @discardableResult
    public func push(_ bytes: [UInt8], to repository: RepositoryName) async throws(VarveError) -> Digest {
        let digest = VarveTestKit.digest(of: bytes)
        _ = try await putBlob(digest, in: repository, expecting: UInt64(bytes.count), body: BodyBytes(bytes))
        return digest
    }

    /// Pushes an image of a config and some layers.
    public func pushImage(
        _ repository: RepositoryName, _ tag: Tag, layers: [[UInt8]]
    ) async throws(VarveError) -> TestImage {
        let mediaType = "application/vnd.oci.image.manifest.v1+json"
        let config = Array("{\"architecture\":\"amd64\",\"os\":\"linux\",\"name\":\"\(repository):\(tag)\"}".utf8)
        var blobs: [Digest: [UInt8]] = [:]
        var descriptors: [Descriptor] = []
        for (index, bytes) in ([config] + layers).enumerated() {
            let digest = try await push(bytes, to: repository)
            blobs[digest] = bytes
            descriptors.append(
                Descriptor(
                    mediaType: index == 0
                        ? "application/vnd.oci.image.config.v1+json" : "application/vnd.oci.image.layer.v1.tar",
                    digest: digest, size: UInt64(bytes.count)))
        }
        func json(_ descriptor: Descriptor) -> String {
            "{\"mediaType\":\"\(descriptor.mediaType)\",\"digest\":\"\(descriptor.digest)\",\"size\":\(descriptor.size)}"
        }
        let layerList = descriptors.dropFirst().map(json).joined(separator: ",")
        let manifest = Array(
            "{\"schemaVersion\":2,\"mediaType\":\"\(mediaType)\",\"config\":\(json(descriptors[0])),\"layers\":[\(layerList)]}"
                .utf8)
        let manifestDigest = VarveTestKit.digest(of: manifest)
        try await putManifest(
            ByteBuffer(bytes: manifest), digest: manifestDigest,
            summary: ManifestSummary(mediaType: mediaType, blobs: descriptors), tags: [tag], in: repository)
        blobs[manifestDigest] = manifest
        return TestImage(repository: repository, tag: tag, manifest: manifestDigest, blobs: blobs)
    }

    /// A blob's bytes, or those of a range of it, however they lie.
    public func pull(
        _ digest: Digest, from repository: RepositoryName?, range: Range<UInt64>? = nil
    ) async throws(VarveError) -> [UInt8] {
        switch try await openBlob(digest, in: repository, range: range) {
        case .bytes(let buffer):
            return Array(buffer.readableBytesView)
        case .file(let file):
            defer { file.close() }
            var bytes = [UInt8](repeating: 0, count: Int(file.length))
            let count = bytes.withUnsafeMutableBytes {
                pread(file.descriptor, $0.baseAddress, $0.count, off_t(file.offset))
            }
            guard count == bytes.count else { throw VarveError(.io, "the raw file is too short") }
            return bytes
        case .stream(let stream):
            var bytes: [UInt8] = []
            while let buffer = try await stream.next() { bytes += buffer.readableBytesView }
            return bytes
        }
    }

    /// Everything of an image that does not come back as it was pushed; empty if all is well.
    public func differences(from image: TestImage) async -> [String] {
        var found: [String] = []
        for (digest, expected) in image.blobs {
            do throws(VarveError) {
                let bytes = try await pull(digest, from: image.repository)
                if bytes != expected { found.append("\(digest) came back as other bytes") }
            } catch {
                found.append("\(digest): \(error)")
            }
        }
        do throws(VarveError) {
            let manifest = try await manifest(.tag(image.tag), in: image.repository)
            if manifest.digest != image.manifest { found.append("\(image.tag) names \(manifest.digest)") }
            if Array(manifest.bytes.readableBytesView) != image.blobs[image.manifest] {
                found.append("manifest \(image.manifest) came back as other bytes")
            }
        } catch {
            found.append("\(image.repository):\(image.tag): \(error)")
        }
        return found
    }
}

/// A part of a file; fewer bytes if it ends before.
func readFile(_ descriptor: CInt, at offset: UInt64, count: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
        while initialized < count {
            let done = pread(
                descriptor, buffer.baseAddress.map { $0 + initialized }, count - initialized,
                off_t(offset) + off_t(initialized))
            if done <= 0 { return }
            initialized += done
        }
    }
}
