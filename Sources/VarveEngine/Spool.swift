// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Logging
import NIOConcurrencyHelpers
import VarveDrivers
import VarveIndex
import VarveModel

/// The name of a spool file: random, 16 bytes.
typealias SpoolID = SIMD16<UInt8>

/// Files with bytes of objects that are no blobs: parts of uploads, what waits for being adopted, anything large whose
/// key promises no digest.
///
/// The index counts the objects that hold a file. Who reads or writes one *pins* it meanwhile: a file goes when nothing
/// holds it and nobody has pinned it. It can not come back to life then, since a new object gets it from an object
/// that holds it or from a writer that has pinned it.
final class Spool: Sendable {
    private let files: FileSystem
    private let environment: IndexEnvironment
    private let pool: BlockingPool
    private let logger: Logger
    /// Whether the store still takes writes: what can not be known not to be held stays.
    private let isSound: @Sendable () -> Bool

    private struct State {
        var pins: [SpoolID: Int] = [:]
        /// Files that may have to go when their last pin does.
        var watched: Set<SpoolID> = []
        /// Files that the parts of one upload are written to, one behind the other, while nobody writes to them.
        var idle: [String: (file: SpoolFile, end: UInt64, use: UInt64)] = [:]
        /// Files to which more may be written behind what objects have of them.
        var growing: Set<SpoolID> = []
        var clock: UInt64 = 0
        /// When idle uploads were last looked for, milliseconds since 1970.
        var uploadsSwept: UInt64 = 0
    }
    private let state = NIOLockedValueBox(State())
    /// Uploads whose files are kept open.
    private static let idleMax = 64

    init(
        files: FileSystem, environment: IndexEnvironment, pool: BlockingPool, logger: Logger,
        isSound: @escaping @Sendable () -> Bool
    ) {
        self.files = files
        self.environment = environment
        self.pool = pool
        self.logger = logger
        self.isSound = isSound
    }

    /// A new file, pinned until the `SpoolFile` goes.
    /// - Parameter isShared: Whether several objects are to be written to it, one behind the other.
    func create(isShared: Bool) throws(DriverError) -> SpoolFile {
        let bytes = randomBytes(16)
        let id = bytes.withUnsafeBytes { $0.loadUnaligned(as: SpoolID.self) }
        let file = try files.open(StoreLayout.spool(id), .create)
        state.withLockedValue { state in
            state.watched.insert(id)
            if isShared { state.growing.insert(id) }
        }
        return SpoolFile(id: id, file: file, pin: pin([id]), spool: self)
    }

    /// Whether a file may yet become longer. Once it may not, it never may again: nobody opens one anew to write to it.
    func mayGrow(_ id: SpoolID) -> Bool { state.withLockedValue { $0.growing.contains(id) } }

    fileprivate func closed(_ id: SpoolID) { state.withLockedValue { _ = $0.growing.remove(id) } }

    /// Keeps files from going until the pin goes.
    func pin(_ ids: some Sequence<SpoolID>) -> SpoolPin {
        let ids = Array(ids)
        state.withLockedValue { state in for id in ids { state.pins[id, default: 0] += 1 } }
        return SpoolPin(ids: ids, spool: self)
    }

    fileprivate func unpin(_ ids: [SpoolID]) {
        let free = state.withLockedValue { state -> [SpoolID] in
            var free: [SpoolID] = []
            for id in ids {
                let count = (state.pins[id] ?? 1) - 1
                state.pins[id] = count > 0 ? count : nil
                if count <= 0, state.watched.contains(id) { free.append(id) }
            }
            return free
        }
        removeLater(free)
    }

    /// The index says that no object holds these any more.
    func release(_ ids: [SpoolID]) {
        guard !ids.isEmpty else { return }
        let free = state.withLockedValue { state -> [SpoolID] in
            state.watched.formUnion(ids)
            return ids.filter { state.pins[$0] == nil }
        }
        removeLater(free)
    }

    private func removeLater(_ ids: [SpoolID]) {
        guard !ids.isEmpty else { return }
        pool.submit { [self] isActive in
            guard isActive, isSound() else { return }
            for id in ids { removeIfFree(id) }
        }
    }

    private func removeIfFree(_ id: SpoolID) {
        do {
            let isHeld = try environment.read { (transaction) throws(IndexError) in
                try transaction.holders(ofSpool: id) > 0
            }
            let isFree = state.withLockedValue { state in
                guard state.pins[id] == nil else { return false }
                return state.watched.remove(id) != nil
            }
            if isFree, !isHeld { try files.remove(StoreLayout.spool(id)) }
        } catch {
            logger.warning("a spool file could not be removed", metadata: ["error": "\(error)"])
        }
    }

    /// Removes the files that the index does not know: an earlier process left them. Before anything is written.
    func sweep() {
        do {
            for name in try files.list(StoreLayout.spool) {
                guard let id = StoreLayout.spoolID(name) else { continue }
                let isHeld = try environment.read { (transaction) throws(IndexError) in
                    try transaction.holders(ofSpool: id) > 0
                }
                if !isHeld { try files.remove(StoreLayout.spool(id)) }
            }
        } catch {
            // They only take room, until the next opening.
            logger.warning("spool files that nothing holds were not removed", metadata: ["error": "\(error)"])
        }
    }

    /// Whether idle uploads are to be looked for: once a day, by whoever asks first.
    func isSweepOfUploadsDue(at milliseconds: UInt64) -> Bool {
        state.withLockedValue { state in
            guard milliseconds > state.uploadsSwept, milliseconds - state.uploadsSwept >= 24 * 3600 * 1000 else {
                return false
            }
            state.uploadsSwept = milliseconds
            return true
        }
    }

    // MARK: Files shared by the parts of an upload

    /// The file that an upload's last part was written to, and where it ends, if nobody is writing to it.
    func takeIdle(_ upload: String) -> (file: SpoolFile, end: UInt64)? {
        state.withLockedValue { $0.idle.removeValue(forKey: upload) }.map { ($0.file, $0.end) }
    }

    /// The next part may be written behind `end`.
    func putIdle(_ upload: String, _ file: SpoolFile, end: UInt64) {
        // What goes is let go of outside the lock: letting go takes it again.
        let gone = state.withLockedValue { state -> [SpoolFile] in
            state.clock += 1
            var gone: [SpoolFile] = []
            if let old = state.idle.updateValue((file, end, state.clock), forKey: upload) { gone.append(old.file) }
            if state.idle.count > Self.idleMax, let oldest = state.idle.min(by: { $0.value.use < $1.value.use }) {
                state.idle[oldest.key] = nil
                gone.append(oldest.value.file)
            }
            return gone
        }
        withExtendedLifetime(gone) {}
    }

    /// No more parts come.
    func forgetIdle(_ upload: String) { withExtendedLifetime(takeIdle(upload)) {} }

    /// Lets go of every file.
    func closeIdle() {
        let idle = state.withLockedValue { state in
            defer { state.idle = [:] }
            return state.idle
        }
        withExtendedLifetime(idle) {}
    }
}

/// Keeps spool files from being removed.
final class SpoolPin: Sendable {
    private let ids: [SpoolID]
    private let spool: Spool

    fileprivate init(ids: [SpoolID], spool: Spool) {
        self.ids = ids
        self.spool = spool
    }

    deinit { spool.unpin(ids) }
}

/// A spool file that is written to.
final class SpoolFile: Sendable {
    let id: SpoolID
    let file: File
    private let pin: SpoolPin
    private let spool: Spool
    private let isNamed = NIOLockedValueBox(false)

    fileprivate init(id: SpoolID, file: File, pin: SpoolPin, spool: Spool) {
        self.id = id
        self.file = file
        self.pin = pin
        self.spool = spool
    }

    deinit { spool.closed(id) }

    /// Makes what was written and, the first time, the file's name durable.
    func sync(in files: FileSystem) throws(DriverError) {
        try file.sync()
        guard !isNamed.withLockedValue({ $0 }) else { return }
        try files.syncDirectory(StoreLayout.spool)
        isNamed.withLockedValue { $0 = true }
    }
}
