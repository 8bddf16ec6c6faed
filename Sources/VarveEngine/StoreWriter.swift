// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOConcurrencyHelpers
import NIOCore
import VarveDrivers
import VarveIndex
import VarveModel

/// Writes an object: in memory while it is small, then to a spool file. The parts of one upload follow one another in
/// one file as long as they come one after the other, so that the object they make is one piece of one file.
final class StoreWriter: ObjectWriter {
    /// Objects of so many bytes lie in the index.
    static let inlineMax = Upload.memoryBytes
    /// So many bytes are gathered before they are handed to a blocking thread.
    private static let batchBytes = 512 << 10

    private let store: Store
    private let object: ObjectAddress
    /// The upload whose part this is.
    private let upload: String?
    private let base: [Extent]
    private let baseBytes: UInt64
    private let pin: SpoolPin?

    private struct State {
        var batch: [ByteBuffer] = []
        var batched = 0
        var file: SpoolFile?
        /// Where this writer's bytes begin in the file.
        var start: UInt64 = 0
        /// How many of them the file has.
        var written: UInt64 = 0
        var isDone = false
    }
    /// One caller at a time; the lock is for the compiler's sake and for `size`.
    private let state = NIOLockedValueBox(State())

    init(store: Store, object: ObjectAddress, base: [Extent], pin: SpoolPin?) {
        self.store = store
        self.object = object
        self.base = base
        self.pin = pin
        baseBytes = base.reduce(0) { $0 + $1.length }
        let id = String(decoding: object.key.bytes.prefix(32), as: UTF8.self)
        upload = object.namespace == .parts && UploadName.isID(id) ? id : nil
    }

    var size: UInt64 { state.withLockedValue { baseBytes + $0.written + UInt64($0.batched) } }

    func append(_ bytes: ByteBuffer) async throws(VarveError) {
        try checkOpen()
        try store.core.checkWritable()
        guard bytes.readableBytes > 0 else { return }
        let isFull = state.withLockedValue { state in
            state.batch.append(bytes)
            state.batched += bytes.readableBytes
            return state.batched >= Self.batchBytes
        }
        if isFull { try await store.core.pool.run { [self] () throws(VarveError) in try flush() } }
    }

    func commit(
        _ attributes: ObjectAttributes, condition: WriteCondition
    ) async throws(VarveError) -> ObjectInfo {
        try checkOpen()
        try attributes.check()
        let isSmall = state.withLockedValue { $0.file == nil && $0.batched <= Self.inlineMax }
        if !isSmall {
            try await store.core.pool.run { [self] () throws(VarveError) in
                try flush()
                let file = state.withLockedValue { $0.file }
                try store.core.writing { try file?.sync(in: store.core.files) }
            }
        }
        let own = state.withLockedValue { state -> [Extent] in
            if let file = state.file { return [.spool(file.id, offset: state.start, length: state.written)] }
            return [.bytes(state.batch.flatMap { Array($0.readableBytesView) })]
        }
        let info = try await store.commit(
            ObjectDraft(extents: .extents(base + own), attributes: attributes, condition: condition), to: object)
        let done = state.withLockedValue { state in
            state.isDone = true
            defer { state = State(isDone: true) }
            return state
        }
        if let upload, let file = done.file {
            store.core.spool.putIdle(upload, file, end: done.start + done.written)
        }
        return info
    }

    func cancel() async {
        let gone = state.withLockedValue { state in
            defer { state = State(isDone: true) }
            return state
        }
        withExtendedLifetime(gone) {}
    }

    /// Writes what was gathered. Blocks.
    private func flush() throws(VarveError) {
        let core = store.core
        try core.checkWritable()
        var length = 0
        var (batch, file, position) = state.withLockedValue { ($0.batch, $0.file, $0.start + $0.written) }
        try core.writing {
            if file == nil {
                let opened: SpoolFile
                if let upload, let idle = core.spool.takeIdle(upload) {
                    (opened, position) = idle
                } else {
                    opened = try core.spool.create(isShared: upload != nil)
                }
                file = opened
                state.withLockedValue { state in
                    state.file = opened
                    state.start = position
                }
            }
            for buffer in batch {
                var failure: DriverError?
                buffer.withUnsafeReadableBytes { bytes in
                    do throws(DriverError) { try file?.file.write(bytes, at: position) } catch { failure = error }
                }
                if let failure { throw failure }
                position += UInt64(buffer.readableBytes)
                length += buffer.readableBytes
            }
            file?.file.startWriting(at: position - UInt64(length), count: length)
        }
        batch = []
        state.withLockedValue { state in
            state.written = position - state.start
            state.batch = []
            state.batched = 0
        }
    }

    private func checkOpen() throws(VarveError) {
        if state.withLockedValue({ $0.isDone }) {
            throw VarveError(.invalidArgument, "the writer was committed or cancelled before")
        }
    }
}
