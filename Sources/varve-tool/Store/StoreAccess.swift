// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Glibc
import Logging
import VarveEngine
import VarveModel

/// How a verb gets at a store: reading beside whoever writes, or writing alone.
struct StoreAccess: Sendable {
    let path: String
    let logger: Logger

    init(_ options: StoreOptions) {
        path = options.path
        logger = ToolLog.logger(level: .warning)
    }

    /// Makes sure that there is a store, so that no verb but `serve` and `import` makes one by a slip of the finger.
    /// - Throws: ``ToolError`` with status `noStore`.
    func requireStore() throws(ToolError) {
        guard access(path + "/format", F_OK) == 0 else {
            let isThere = access(path, F_OK) == 0
            throw ToolError(
                .noStore, isThere ? "there is no store in \(path)" : "there is no directory \(path)",
                advice: "'varve serve --store DIR' or 'varve import --store DIR …' makes one")
        }
    }

    /// Makes sure that the index is there as well. A store that was only just made has neither index nor journal.
    /// - Throws: ``ToolError`` with status `damaged`.
    private func requireIndex() throws(ToolError) {
        guard access(path + "/index/data.mdb", F_OK) != 0,
            let journal = try? FileManager.default.contentsOfDirectory(atPath: path + "/journal"), !journal.isEmpty
        else { return }
        throw ToolError(
            .damaged, "the index of the store in \(path) is missing",
            advice: "'varve rebuild-index --store \(path)' makes it anew; nothing else is lost with it")
    }

    /// Opens for reading, beside whoever writes.
    func reading<Value>(_ body: (Store) async throws -> Value) async throws -> Value {
        try requireStore()
        try requireIndex()
        var settings = StoreSettings()
        settings.readOnly = true
        return try await open(settings, body)
    }

    /// Opens for writing, with nothing going on in the background.
    /// - Parameter isMade: Whether a store that is not there is made.
    /// - Throws: what `body` throws; ``VarveError`` with code `inUse` if another process writes.
    func writing<Value>(
        isMade: Bool = false, settings: StoreSettings = StoreSettings(), _ body: (Store) async throws -> Value
    ) async throws -> Value {
        if !isMade { try requireStore() }
        try requireIndex()
        return try await open(settings, body)
    }

    private func open<Value>(_ settings: StoreSettings, _ body: (Store) async throws -> Value) async throws -> Value {
        var settings = settings
        settings.settling = .off
        let store = try await Store.open(at: path, settings: settings, logger: logger)
        do {
            let value = try await body(store)
            await store.close()
            return value
        } catch {
            await store.close()
            throw error
        }
    }

    /// The process that holds the store's lock, as the lock file says.
    var holder: Int? {
        guard let text = try? String(contentsOfFile: path + "/lock", encoding: .utf8) else { return nil }
        return Int(text.drop { !$0.isNumber }.prefix { $0.isNumber })
    }
}

/// Where messages of the engine and the server go.
enum ToolLog {
    /// A logger to standard error.
    static func logger(level: Logger.Level) -> Logger {
        var logger = Logger(label: "varve") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = level
        return logger
    }
}
