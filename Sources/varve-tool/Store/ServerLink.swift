// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import VarveEngine
import VarveModel
import VarveRegistry

extension StoreAccess {
    /// What the server that holds the store answers; nil if none does.
    func askServer<Value>(_ body: (ControlClient) async throws -> Value) async throws -> Value? {
        guard let client = try await ControlClient.connect(storePath: path) else { return nil }
        do {
            let value = try await body(client)
            await client.close()
            return value
        } catch {
            await client.close()
            throw error
        }
    }

    /// Does the work itself if it can have the store to itself, and lets the server do it if one holds the store.
    ///
    /// - Throws: ``ToolError`` with status `inUse` if another process holds the store that is no server.
    func aloneOrServed<Value>(
        _ verb: String, settings: StoreSettings = StoreSettings(), _ alone: (Store) async throws -> Value,
        served: (ControlClient) async throws -> Value
    ) async throws -> Value {
        do {
            return try await writing(settings: settings, alone)
        } catch let error as VarveError where error.code == .inUse {
            guard let value = try await askServer(served) else { throw await inUse(verb, instead: "") }
            return value
        }
    }

    /// Opens for writing; a store that is held by another process is refused with what can be done instead.
    /// - Parameter verb: What can not be done beside a server, as in `import`.
    /// - Parameter instead: What to do while a server holds the store.
    func alone<Value>(
        _ verb: String, instead: String, isMade: Bool = false, settings: StoreSettings = StoreSettings(),
        _ body: (Store) async throws -> Value
    ) async throws -> Value {
        do {
            return try await writing(isMade: isMade, settings: settings, body)
        } catch let error as VarveError where error.code == .inUse {
            throw await inUse(verb, instead: instead)
        }
    }

    /// The refusal of a verb that needs the store to itself.
    func inUse(_ verb: String, instead: String) async -> ToolError {
        let isServed = (try? await askServer { _ in true }) ?? false
        let who = isServed ? "a server" : "another process"
        let process = holder.map { " (process \($0))" } ?? ""
        return ToolError(
            .inUse, "the store in \(path) is in use by \(who)\(process); 'varve \(verb)' needs it to itself",
            advice: isServed ? instead : "wait until that process has ended, and try again")
    }
}
