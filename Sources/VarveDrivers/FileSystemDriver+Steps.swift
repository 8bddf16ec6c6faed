// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import NIOConcurrencyHelpers
import NIOCore
import VarveModel

// What the file-system driver does on its threads.

extension FileSystemDriver {
    static func randomName() -> String {
        var generator = SystemRandomNumberGenerator()
        return (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &generator) }.hex
    }

    static func directory(of path: String) -> String {
        String(path.prefix(upTo: path.lastIndex(of: "/") ?? path.startIndex))
    }

    func known(_ bucket: BucketName) throws(VarveError) -> Bucket {
        guard let known = state.withLockedValue({ $0.buckets[bucket] }) else {
            throw VarveError(.bucketUnknown, "no bucket \(bucket)")
        }
        return known
    }

    func entry(_ object: ObjectAddress) throws(VarveError) -> Entry {
        guard let entry = try known(object.bucket).spaces[object.namespace]?[object.key] else {
            throw VarveError(.notFound, "no object \(object)")
        }
        return entry
    }

    /// Opens an object as it is now. Blocks.
    func opened(_ object: ObjectAddress) throws(VarveError) -> OpenedFile {
        while true {
            let entry = try entry(object)
            do throws(DriverError) {
                return OpenedFile(info: entry.info, file: try files.open(entry.path, .read))
            } catch {
                // Replaced or deleted between being looked up and being opened, by a step that may not be at its end yet.
                commits.lock()
                commits.unlock()
                let present = try self.entry(object)
                if present.path == entry.path {
                    throw error.isMissing
                        ? VarveError(.corrupted, "the file of an object is gone", cause: error) : error.asVarveError
                }
            }
        }
    }

    /// Runs a step that changes what is there, after all others.
    func committing<Value: Sendable>(
        _ body: @escaping @Sendable () throws(VarveError) -> Value
    ) async throws(VarveError) -> Value {
        try await pool.run { [self] () throws(VarveError) in
            commits.lock()
            defer { commits.unlock() }
            return try body()
        }
    }

    /// Runs file operations; after one that failed nothing more is written, since it is not known what is durable.
    func writing<Value>(_ body: () throws(DriverError) -> Value) throws(VarveError) -> Value {
        if let poison = state.withLockedValue({ $0.poison }) {
            throw VarveError(.poisoned, "nothing is written until the driver is opened again: \(poison)")
        }
        do throws(DriverError) {
            return try body()
        } catch {
            if !error.isTransient { state.withLockedValue { $0.poison = $0.poison ?? "\(error)" } }
            throw error.asVarveError
        }
    }

    /// - Throws: `bucketUnknown`, `preconditionFailed`, `uploadUnknown`.
    func check(_ condition: WriteCondition, at object: ObjectAddress) throws(VarveError) {
        let there = try known(object.bucket).spaces[object.namespace]?[object.key]
        try condition.check(etag: there?.info.attributes.etag)
        if let upload = condition.upload, (try? entry(upload)) == nil {
            throw VarveError(.uploadUnknown, "no upload \(upload)")
        }
    }

    /// Makes a draft an object. Blocks.
    /// - Parameter sources: The versions of the objects that its bytes come from.
    /// - Returns: nil if those have been replaced or deleted meanwhile.
    func commit(
        _ draft: FileDraft, to object: ObjectAddress, _ attributes: ObjectAttributes, _ condition: WriteCondition,
        removing: [ObjectAddress] = [], sources: [ObjectAddress: UInt64] = [:]
    ) throws(VarveError) -> ObjectInfo? {
        commits.lock()
        defer { commits.unlock() }
        let bucket = try known(object.bucket)
        try check(condition, at: object)
        for (source, version) in sources where try entry(source).info.version != version { return nil }
        let old = bucket.spaces[object.namespace]?[object.key]
        let removed = removing.filter { $0 != object }
        let superseded = (old.map { [$0] } ?? []) + removed.compactMap { try? entry($0) }
        let version = state.withLockedValue { state in
            state.version += 1
            return state.version
        }
        let info = ObjectInfo(
            key: object.key, size: draft.size, modifiedMilliseconds: wallClockMilliseconds(), version: version,
            attributes: attributes)
        let path = "\(bucket.path)/\(object.namespace)/\(Self.randomName())"
        try writing { () throws(DriverError) in
            try draft.finish(ObjectTrailer(info: info, superseded: superseded.map(\.path)))
            try files.rename(draft.path, to: path)
            try files.syncDirectory(Self.directory(of: path))
        }
        // From here on the step is done, whatever becomes of the files that it makes superfluous: the new one names them.
        state.withLockedValue { state in
            for other in removed { state.remove(other) }
            state.buckets[object.bucket]?.spaces[object.namespace, default: SortedObjects()]
                .put(Entry(info: info, path: path), object.key)
        }
        // They must be gone for good before it goes itself. If that fails, nothing more is written.
        try? writing { () throws(DriverError) in
            for entry in superseded { try files.remove(entry.path) }
            for directory in Set(superseded.map { Self.directory(of: $0.path) }) { try files.syncDirectory(directory) }
        }
        return info
    }

    // MARK: Opening

    /// Reads what is there, and finishes or undoes what was interrupted.
    func load() throws(DriverError) {
        for name in ["buckets", "temporary"] { try files.makeDirectory(name) }
        for name in try files.list("temporary") { try files.remove("temporary/" + name) }
        var buckets: [BucketName: Bucket] = [:]
        var found: [(bucket: BucketName, namespace: ObjectNamespace, path: String, trailer: ObjectTrailer)] = []
        var superseded: Set<String> = []
        for name in try files.list("buckets") {
            let path = "buckets/" + name
            guard let length = try files.length(of: path + "/name") else {
                // Its making or its deletion was interrupted.
                try removeDirectory(path)
                continue
            }
            let text = try files.open(path + "/name", .read).read(at: 0, count: Int(clamping: min(length, 4096)))
            let lines = String(decoding: text, as: UTF8.self).split(separator: "\n")
            guard lines.count == 2, let bucket = BucketName(lines[0]), let time = UInt64(lines[1]) else {
                throw DriverError("read", path + "/name", EBADMSG)
            }
            buckets[bucket] = Bucket(info: BucketInfo(name: bucket, createdMilliseconds: time), path: path)
            for namespace in ObjectNamespace.allCases {
                for file in try files.list("\(path)/\(namespace)") {
                    let trailer = try trailer(of: "\(path)/\(namespace)/\(file)")
                    found.append((bucket, namespace, "\(path)/\(namespace)/\(file)", trailer))
                    superseded.formUnion(trailer.superseded)
                }
            }
        }
        var version = wallClockMilliseconds() << 16
        for (bucket, namespace, path, trailer) in found {
            version = max(version, trailer.info.version)
            if superseded.contains(path) {
                try files.remove(path)
                try files.syncDirectory(Self.directory(of: path))
                continue
            }
            buckets[bucket]?.spaces[namespace, default: SortedObjects()]
                .put(Entry(info: trailer.info, path: path), trailer.info.key)
        }
        state.withLockedValue { state in
            state.buckets = buckets
            state.version = version
        }
    }

    private func trailer(of path: String) throws(DriverError) -> ObjectTrailer {
        let file = try files.open(path, .read)
        let length = try file.length()
        let fixed = UInt64(ObjectTrailer.fixedBytes)
        guard length >= fixed,
            let body = ObjectTrailer.bodyLength(try file.read(at: length - fixed, count: Int(fixed))),
            length - fixed >= UInt64(body)
        else { throw DriverError("read", path, EBADMSG) }
        let start = length - fixed - UInt64(body)
        guard let trailer = ObjectTrailer(try file.read(at: start, count: body + Int(fixed))),
            trailer.info.size == start
        else { throw DriverError("read", path, EBADMSG) }
        return trailer
    }

    /// Removes a bucket's directory with everything in it.
    func removeDirectory(_ path: String) throws(DriverError) {
        for namespace in ObjectNamespace.allCases {
            for name in try files.list("\(path)/\(namespace)") { try files.remove("\(path)/\(namespace)/\(name)") }
            rmdir(files.absolute("\(path)/\(namespace)"))
        }
        for name in try files.list(path) { try files.remove("\(path)/\(name)") }
        rmdir(files.absolute(path))
    }
}

/// An object's file as it was opened.
struct OpenedFile: OpenObject {
    let info: ObjectInfo
    let file: File

    func content(in range: Range<UInt64>?) async throws(VarveError) -> ObjectContent {
        let range = try checked(range)
        let held = NIOLockedValueBox<File?>(file)
        return .file(
            ObjectFile(descriptor: file.descriptor, offset: range.lowerBound, length: UInt64(range.count)) {
                held.withLockedValue { $0 = nil }
            })
    }
}

/// A file that is becoming an object. For one thread at a time; removed when it goes, unless it has become one.
final class FileDraft: @unchecked Sendable {  // handed from one thread to the next by whoever holds it
    let path: String
    private(set) var size: UInt64 = 0
    private let file: File
    private let driver: FileSystemDriver

    init(_ driver: FileSystemDriver) throws(VarveError) {
        self.driver = driver
        let path = "temporary/" + FileSystemDriver.randomName()
        self.path = path
        file = try driver.writing { () throws(DriverError) in try driver.files.open(path, .create) }
    }

    // After a commit nothing has that name any more.
    deinit { try? driver.files.remove(path) }

    func append(_ bytes: ByteBuffer) throws(VarveError) {
        let (file, position) = (file, size)
        try driver.writing { () throws(DriverError) in
            var failure: DriverError?
            bytes.withUnsafeReadableBytes { lent in
                do throws(DriverError) { try file.write(lent, at: position) } catch { failure = error }
            }
            if let failure { throw failure }
        }
        size += UInt64(bytes.readableBytes)
    }

    func copy(_ source: OpenedFile, range: Range<UInt64>?) throws(VarveError) {
        let range = range ?? 0..<source.info.size
        let region = ObjectFile(
            descriptor: source.file.descriptor, offset: range.lowerBound, length: UInt64(range.count)
        ) {}
        defer { withExtendedLifetime(source.file) {} }
        var done: UInt64 = 0
        while done < region.length {
            let count = Int(min(1 << 20, region.length - done))
            try append(try region.read(at: done, count: count))
            done += UInt64(count)
        }
    }

    /// Writes the end of the file and makes it durable.
    func finish(_ trailer: ObjectTrailer) throws(DriverError) {
        // What an attempt that was refused left.
        try file.truncate(to: size)
        var failure: DriverError?
        trailer.encoded.withUnsafeBytes { bytes in
            do throws(DriverError) { try file.write(bytes, at: size) } catch { failure = error }
        }
        if let failure { throw failure }
        try file.sync()
    }
}

/// Writes an object to a draft.
final class FileSystemWriter: ObjectWriter {
    private let driver: FileSystemDriver
    private let object: ObjectAddress
    private let draft: NIOLockedValueBox<FileDraft?>

    init(_ driver: FileSystemDriver, _ object: ObjectAddress, _ draft: FileDraft) {
        self.driver = driver
        self.object = object
        self.draft = NIOLockedValueBox(draft)
    }

    var size: UInt64 { draft.withLockedValue { $0?.size ?? 0 } }

    func append(_ bytes: ByteBuffer) async throws(VarveError) {
        let draft = try open()
        try await driver.pool.run { () throws(VarveError) in try draft.append(bytes) }
    }

    func commit(
        _ attributes: ObjectAttributes, condition: WriteCondition
    ) async throws(VarveError) -> ObjectInfo {
        let draft = try open()
        try attributes.check()
        let info = try await driver.pool.run { [driver, object] () throws(VarveError) in
            try driver.commit(draft, to: object, attributes, condition)
        }
        guard let info else { throw VarveError(.io, "an object without sources has lost one") }
        self.draft.withLockedValue { $0 = nil }
        return info
    }

    func cancel() async {
        let gone = draft.withLockedValue { value in
            defer { value = nil }
            return value
        }
        withExtendedLifetime(gone) {}
    }

    private func open() throws(VarveError) -> FileDraft {
        guard let draft = draft.withLockedValue({ $0 }) else {
            throw VarveError(.invalidArgument, "the writer was committed or cancelled before")
        }
        return draft
    }
}
