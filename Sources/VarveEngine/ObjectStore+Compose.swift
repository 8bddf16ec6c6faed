// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOCore
import VarveCodec
public import VarveDrivers
import VarveIndex
public import VarveModel

/// An object that is to be written.
struct ObjectDraft: Sendable {
    /// Where its bytes come from.
    enum Source: Sendable {
        /// Few bytes.
        case bytes(ByteBuffer)
        /// Extents that are durable and stay, since they are pinned.
        case extents([Extent])
        /// Parts of other objects, looked up in the step itself.
        case pieces([ObjectPiece])
    }
    var extents: Source
    var attributes: ObjectAttributes
    var condition = WriteCondition.none
    var removing: [ObjectAddress] = []
}

/// The objects that a step would have read have changed since they were looked at.
private struct Changed: Error {}

extension Store {
    /// Bytes that a row may hold besides references; more are written to a spool file.
    static let rowBytesMax = 64 << 10
    /// Unfinished uploads to which nothing was added for so long go: a day later than registries purge theirs.
    static let uploadIdleSeconds: UInt64 = 8 * 24 * 3600
    /// Extents of one object. Each takes some thirty bytes of its row.
    static let extentsMax = 100_000

    /// See ``StorageDriver/compose(_:to:attributes:condition:removing:)``.
    public func compose(
        _ pieces: [ObjectPiece], to object: ObjectAddress, attributes: ObjectAttributes, condition: WriteCondition,
        removing: [ObjectAddress]
    ) async throws(VarveError) -> ObjectInfo {
        try attributes.check()
        return try await commit(
            ObjectDraft(
                extents: .pieces(pieces), attributes: attributes, condition: condition, removing: removing),
            to: object)
    }

    /// Writes an object in one commit; durable when it returns.
    func commit(_ draft: ObjectDraft, to object: ObjectAddress) async throws(VarveError) -> ObjectInfo {
        try core.checkWritable()
        let time = wallClockMilliseconds()
        while true {
            let plan = try await core.pool.run { [core] () throws(VarveError) in
                try core.plan(draft, for: object)
            }
            do throws(VarveError) {
                let (info, released, isWaiting) = try await core.commit { transaction in
                    try transaction.write(draft, plan, to: object, at: time)
                }
                core.letGo(draft.removing, released)
                withExtendedLifetime(plan.file) {}
                if isWaiting { try await settler.objectWaits() }
                if object.namespace == .uploads, core.spool.isSweepOfUploadsDue(at: time) {
                    // Whoever begins an upload waits for it once a day; that it fails is no failure of theirs.
                    _ = try? await expireUploads(idleSeconds: Self.uploadIdleSeconds, now: time)
                }
                return info
            } catch {
                guard error.cause is Changed else { throw error }
            }
        }
    }
}

/// What was made ready for a step that writes an object.
private struct ObjectPlan: Sendable {
    /// The extents that the object will have, if nothing changes meanwhile.
    var extents: [Extent]
    /// The same with what is too long for a row in a spool file.
    var placed: [Extent]
    /// That file.
    var file: SpoolFile?
    /// The digest that the key promises and the bytes have: a small blob.
    var blob: (digest: Digest, bytes: [UInt8])?
    /// The digest that the key promises.
    var promised: Digest?
}

extension Core {
    /// Looks at what an object is to be made of. Blocks.
    fileprivate func plan(_ draft: ObjectDraft, for object: ObjectAddress) throws(VarveError) -> ObjectPlan {
        // The condition is looked at again in the step itself; here it comes before what the sources might be refused for.
        let extents = try read { transaction in
            try transaction.check(draft.condition, at: object)
            return try transaction.extents(of: draft.extents)
        }
        var plan = ObjectPlan(extents: extents, placed: extents)
        plan.promised = object.namespace == .objects ? Digest(promisedBy: object.key) : nil
        var inline: [UInt8] = []
        var isAllInline = true
        for extent in extents {
            if case .bytes(let bytes) = extent { inline += bytes } else { isAllInline = false }
        }
        if let promised = plan.promised, isAllInline, inline.count <= Upload.memoryBytes {
            var hash = try runningHash(promised.algorithm)
            inline.withUnsafeBytes { hash.update($0) }
            if finishHash(hash) == promised { plan.blob = (promised, inline) }
            // Whatever they are, they are known now.
            plan.promised = nil
        } else if inline.count > Store.rowBytesMax {
            let file = try writing { () throws(DriverError) in
                let file = try spool.create(isShared: false)
                var failure: DriverError?
                inline.withUnsafeBytes { bytes in
                    do throws(DriverError) { try file.file.write(bytes, at: 0) } catch { failure = error }
                }
                if let failure { throw failure }
                try file.sync(in: files)
                return file
            }
            var offset: UInt64 = 0
            plan.placed = joined(
                extents.map { extent in
                    guard case .bytes(let bytes) = extent else { return extent }
                    defer { offset += UInt64(bytes.count) }
                    return .spool(file.id, offset: offset, length: UInt64(bytes.count))
                })
            plan.file = file
        }
        return plan
    }
}

extension WriteTransaction {
    /// Writes the object and removes others.
    /// - Returns: What is known of it, the spool files that nothing holds any more, and whether it waits to be adopted.
    fileprivate func write(
        _ draft: ObjectDraft, _ plan: ObjectPlan, to object: ObjectAddress, at time: UInt64
    ) throws -> (ObjectInfo, [SpoolID], Bool) {
        try check(draft.condition, at: object)
        guard try extents(of: draft.extents) == plan.extents else {
            throw VarveError(.cancelled, "the objects change all the time", cause: Changed())
        }
        var extents = plan.placed
        guard extents.count <= Store.extentsMax else {
            throw VarveError(.tooLarge, "the object would be in more than \(Store.extentsMax) parts")
        }
        for case .blob(let digest, _, _) in extents where try blob(digest) == nil {
            throw VarveError(.corrupted, "blob \(digest), part of an object, is not there")
        }
        if let (digest, bytes) = plan.blob {
            if try blob(digest) == nil { try putInlineBlob(digest, bytes: bytes, landedAt: time / 1000) }
            extents = bytes.isEmpty ? [] : [.blob(digest, offset: 0, length: UInt64(bytes.count))]
        }
        let row = ObjectRow(
            version: try nextObjectVersion(), modifiedMilliseconds: time, etag: draft.attributes.etag,
            contentType: draft.attributes.contentType, fields: draft.attributes.fields, extents: extents)
        let adopting = try plan.promised.flatMap { try isWhole($0, row) ? nil : $0 }
        // First the new object, which may hold what the removed ones held alone.
        var released = try putObject(at: object.place, row, adopting: adopting)
        for other in draft.removing where other != object {
            released += try removeObject(at: other.place) ?? []
        }
        return (ObjectInfo(key: object.key, row: row), released, adopting != nil)
    }
}

extension IndexTransaction where Self: ~Copyable {
    /// - Throws: `bucketUnknown`, `preconditionFailed`, `uploadUnknown`.
    func check(_ condition: WriteCondition, at object: ObjectAddress) throws {
        _ = try info(of: object.bucket)
        try condition.check(etag: try self.object(at: object.place)?.etag)
        if let upload = condition.upload, try self.object(at: upload.place) == nil {
            throw VarveError(.uploadUnknown, "no upload \(upload)")
        }
    }

    /// The extents that an object of this source has now.
    /// - Throws: `notFound`, `bucketUnknown`, `rangeNotSatisfiable`, `preconditionFailed`.
    fileprivate func extents(of source: ObjectDraft.Source) throws -> [Extent] {
        switch source {
        case .bytes(let buffer): return buffer.readableBytes == 0 ? [] : [.bytes(Array(buffer.readableBytesView))]
        case .extents(let extents): return joined(extents)
        case .pieces(let pieces):
            var extents: [Extent] = []
            for piece in pieces {
                let row = try row(of: piece.source)
                try piece.check(ObjectInfo(key: piece.source.key, row: row))
                extents += slice(row.extents, piece.range ?? 0..<row.size)
            }
            return joined(extents)
        }
    }

    /// Whether the object is exactly that blob.
    func isWhole(_ digest: Digest, _ row: ObjectRow) throws -> Bool {
        guard case .blob(digest, 0, let length)? = row.extents.first, row.extents.count == 1 else { return false }
        return try blob(digest)?.size == length
    }
}

/// The extents of a range of an object.
func slice(_ extents: [Extent], _ range: Range<UInt64>) -> [Extent] {
    var parts: [Extent] = []
    var start: UInt64 = 0
    for extent in extents {
        let end = start + extent.length
        let wanted = range.clamped(to: start..<end)
        if !wanted.isEmpty {
            let skipped = wanted.lowerBound - start
            let length = wanted.upperBound - wanted.lowerBound
            switch extent {
            case .bytes(let bytes): parts.append(.bytes(Array(bytes[Int(skipped)..<Int(skipped + length)])))
            case .spool(let id, let offset, _): parts.append(.spool(id, offset: offset + skipped, length: length))
            case .blob(let digest, let offset, _):
                parts.append(.blob(digest, offset: offset + skipped, length: length))
            }
        }
        start = end
    }
    return parts
}

/// The same bytes in as few extents as there can be: what was cut apart is joined again.
func joined(_ extents: [Extent]) -> [Extent] {
    var result: [Extent] = []
    for extent in extents where extent.length > 0 {
        switch (result.last, extent) {
        case (.bytes(let left)?, .bytes(let right)) where left.count + right.count <= StoreWriter.inlineMax:
            result[result.count - 1] = .bytes(left + right)
        case (.spool(let left, let start, let length)?, .spool(let right, let next, let more))
        where left == right && start + length == next:
            result[result.count - 1] = .spool(left, offset: start, length: length + more)
        case (.blob(let left, let start, let length)?, .blob(let right, let next, let more))
        where left == right && start + length == next:
            result[result.count - 1] = .blob(left, offset: start, length: length + more)
        default: result.append(extent)
        }
    }
    return result
}

extension Digest {
    /// The digest that an object's key promises: CNCF Distribution's `…/blobs/<alg>/<2>/<hex>/data`, zot's
    /// `…/blobs/<alg>/<hex>`; nil for other keys.
    init?(promisedBy key: ObjectKey) {
        var parts = key.description.split(separator: "/", omittingEmptySubsequences: false)
        if parts.count >= 5, parts.last == "data", parts[parts.count - 3] == parts[parts.count - 2].prefix(2) {
            parts.removeLast()
            parts.remove(at: parts.count - 2)
        }
        guard parts.count >= 3, parts[parts.count - 3] == "blobs",
            let digest = Digest("\(parts[parts.count - 2]):\(parts[parts.count - 1])")
        else { return nil }
        self = digest
    }
}
