// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOCore
import VarveEngine
import VarveModel
import VarveOCI

/// Carries out import plans: every blob is checked against its digest by the store before it counts.
struct Importer: Sendable {
    let store: Store
    let bar: ProgressBar

    /// What an import did, a line each.
    func run(_ plan: ImportPlan, from path: String) async throws -> [String] {
        let meter = ByteMeter(activity: "importing", total: plan.bytes, bar: bar)
        var lines: [String] = []
        for loose in plan.loose {
            _ = try await put(loose.blob, in: loose.repository, meter)
            lines.append(
                "\(path): blob \(loose.blob.digest) in \(loose.repository), \(Units.bytes(loose.blob.source.size))")
        }
        for image in plan.images { lines.append(try await put(image, meter)) }
        return lines
    }

    private func put(_ image: ImportPlan.Image, _ meter: ByteMeter) async throws -> String {
        var new: UInt64 = 0
        for blob in image.blobs where try await put(blob, in: image.repository, meter) { new += 1 }
        for document in image.documents {
            let body = OneBuffer(ByteBuffer(bytes: document.bytes))
            _ = try await store.putBlob(
                document.digest, in: image.repository, expecting: UInt64(document.bytes.count), body: body)
        }
        for (index, manifest) in image.manifests.enumerated() {
            let tags = index == image.manifests.count - 1 ? image.tag.map { [$0] } ?? [] : []
            try await store.putManifest(
                ByteBuffer(bytes: manifest.bytes), digest: manifest.digest, summary: manifest.document.summary,
                tags: tags,
                in: image.repository)
        }
        let name = image.tag.map { "\(image.repository):\($0)" } ?? "\(image.repository)"
        let digest = image.manifests.last.map { "\($0.digest)" } ?? ""
        let bytes = image.blobs.reduce(UInt64(0)) { $0 &+ $1.source.size }
        let blobs = Units.count(UInt64(image.blobs.count), "blob")
        return "\(name) \(digest) (\(blobs), \(Units.bytes(bytes)); \(new) new)"
    }

    /// Puts one blob; whether it was new. What the store has already is linked and not read again.
    private func put(_ blob: ImportPlan.Blob, in repository: RepositoryName, _ meter: ByteMeter) async throws -> Bool {
        try Task.checkCancellation()
        if try await store.mountBlob(blob.digest, from: nil, into: repository) != nil {
            meter.add(Int(clamping: blob.source.size))
            return false
        }
        do {
            _ = try await store.putBlob(
                blob.digest, in: repository, expecting: blob.source.size,
                body: SourceBody(source: blob.source) { meter.add($0) })
        } catch {
            guard error.code == .digestMismatch else { throw error }
            throw ToolError(
                .failed, "\(blob.source.file.path) is damaged: it does not hold the bytes of \(blob.digest)")
        }
        return true
    }
}

/// A body of one buffer.
private struct OneBuffer: AsyncSequence, Sendable {
    struct AsyncIterator: AsyncIteratorProtocol {
        var buffer: ByteBuffer?

        mutating func next() async throws -> ByteBuffer? {
            defer { buffer = nil }
            return buffer
        }
    }

    private let buffer: ByteBuffer

    init(_ buffer: ByteBuffer) { self.buffer = buffer }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(buffer: buffer) }
}
