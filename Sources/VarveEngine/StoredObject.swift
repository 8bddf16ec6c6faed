// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import NIOConcurrencyHelpers
import NIOCore
import VarveDrivers
import VarveIndex
import VarveModel

/// One version of an object, whose spool files stay while it is open.
struct StoredObject: OpenObject {
    let info: ObjectInfo
    let extents: [Extent]
    let core: Core
    let pin: SpoolPin?

    func content(in range: Range<UInt64>?) async throws(VarveError) -> ObjectContent {
        let range = try checked(range)
        let parts = slice(extents, range)
        if parts.allSatisfy({ if case .bytes = $0 { true } else { false } }) {
            var buffer = ByteBuffer()
            for case .bytes(let bytes) in parts { buffer.writeBytes(bytes) }
            return .bytes(buffer)
        }
        if parts.count == 1 {
            return try await core.pool.run { [core, pin] () throws(VarveError) in try core.open(parts[0], pin) }
        }
        let reader = ExtentReader(parts, core: core, pin: pin)
        return .stream(ObjectStream(length: UInt64(range.count)) { () throws(VarveError) in try await reader.next() })
    }
}

extension Core {
    /// Opens an extent where it is cheapest to send. Blocks.
    func open(_ extent: Extent, _ pin: SpoolPin?) throws(VarveError) -> ObjectContent {
        switch extent {
        case .bytes(let bytes): return .bytes(ByteBuffer(bytes: bytes))
        case .spool(let id, let offset, let length):
            let path = StoreLayout.spool(id)
            do throws(DriverError) {
                let file = try files.open(path, .read)
                guard try file.length() >= offset &+ length else { throw DriverError("fstat", path, ENODATA) }
                let closing = ManagedClosing(try file.duplicate())
                guard let descriptor = closing.value else { throw DriverError("fcntl", path, EBADF) }
                return .file(
                    ObjectFile(descriptor: descriptor, offset: offset, length: length) { closing.close() })
            } catch {
                if error.isTransient { throw error.asVarveError }
                throw VarveError(.corrupted, "the spool file of an object can not be read", cause: error)
            }
        case .blob(let digest, let offset, let length):
            switch try open(digest, in: nil, range: offset..<(offset &+ length)) {
            case .bytes(let buffer): return .bytes(buffer)
            case .file(let file):
                return .file(
                    ObjectFile(descriptor: file.descriptor, offset: file.offset, length: file.length) { file.close() })
            case .stream(let stream):
                return .stream(
                    ObjectStream(length: stream.length) { () throws(VarveError) in try await stream.next() })
            }
        }
    }
}

/// Reads extents one behind the other. For one reader at a time.
final class ExtentReader: Sendable {
    static let pieceBytes = 512 << 10
    private let core: Core
    private let pin: SpoolPin?

    private enum Current {
        case none
        case bytes(ByteBuffer)
        case file(ObjectFile, done: UInt64)
        case stream(ObjectStream, left: UInt64)
    }
    private struct State {
        var waiting: ArraySlice<Extent>
        var current = Current.none
        var failure: VarveError?
    }
    private let state: NIOLockedValueBox<State>

    init(_ extents: [Extent], core: Core, pin: SpoolPin?) {
        self.core = core
        self.pin = pin
        state = NIOLockedValueBox(State(waiting: extents[...]))
    }

    /// The next piece; nil at the end. Once it has failed it stays failed: behind a missing piece comes nothing.
    func next() async throws(VarveError) -> ByteBuffer? {
        if let failure = state.withLockedValue({ $0.failure }) { throw failure }
        do throws(VarveError) {
            return try await nextPiece()
        } catch {
            state.withLockedValue { $0.failure = error }
            throw error
        }
    }

    private func nextPiece() async throws(VarveError) -> ByteBuffer? {
        while true {
            switch state.withLockedValue({ $0.current }) {
            case .none:
                guard let extent = state.withLockedValue({ $0.waiting.popFirst() }) else { return nil }
                let content = try await core.pool.run { [core, pin] () throws(VarveError) in try core.open(extent, pin)
                }
                let current: Current =
                    switch content {
                    case .bytes(let buffer): .bytes(buffer)
                    case .file(let file): .file(file, done: 0)
                    case .stream(let stream): .stream(stream, left: stream.length)
                    }
                state.withLockedValue { $0.current = current }
            case .bytes(let buffer):
                state.withLockedValue { $0.current = .none }
                return buffer
            case .file(let file, let done):
                let count = Int(min(UInt64(Self.pieceBytes), file.length - done))
                guard count > 0 else {
                    file.close()
                    state.withLockedValue { $0.current = .none }
                    continue
                }
                let piece = try await core.pool.run { () throws(VarveError) in
                    try file.read(at: done, count: count)
                }
                state.withLockedValue { $0.current = .file(file, done: done + UInt64(count)) }
                return piece
            case .stream(let stream, let left):
                guard let piece = try await stream.next() else {
                    guard left == 0 else { throw VarveError(.corrupted, "a part of an object ended early") }
                    state.withLockedValue { $0.current = .none }
                    continue
                }
                state.withLockedValue { $0.current = .stream(stream, left: left &- UInt64(piece.readableBytes)) }
                return piece
            }
        }
    }
}
