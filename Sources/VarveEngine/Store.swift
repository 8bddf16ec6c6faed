// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

public import Logging
public import VarveModel

import VarveDrivers
import VarveIndex

/// A store of layers, kept once: the engine behind every front end.
///
/// A blob lands raw and is acknowledged; later it is settled into deduplicated chunks, the rebuilt bytes are compared
/// with the blob's digest, and only then may the raw bytes go. Whatever way it lies on disk, the bytes that come out are
/// the bytes that were pushed.
///
/// Thread-safe. One process may write; others may open it with `readOnly`.
public final class Store: Sendable {
    let core: Core
    let settler: Settler

    private init(core: Core) {
        self.core = core
        settler = Settler(core: core)
    }

    /// Opens the store in directory `path`, or makes one there if it is absent or empty.
    ///
    /// - Throws: ``VarveError`` with code `inUse` if another process writes to it, `notAStore` if the directory holds
    ///   other things (or nothing, when `settings.readOnly`), `corrupted`, `unsupported`, `io`.
    public static func open(
        at path: String, settings: StoreSettings = StoreSettings(), logger: Logger = Logger(label: "varve")
    ) async throws(VarveError) -> Store {
        try await open(at: path, settings: settings, logger: logger, faults: nil)
    }

    /// The same, with file operations that can be made to fail.
    static func open(
        at path: String, settings: StoreSettings, logger: Logger, faults: Faults?
    ) async throws(VarveError) -> Store {
        let opener = BlockingPool(threads: 1)
        let store: Store
        do throws(VarveError) {
            store = try await opener.run { () throws(VarveError) in
                Store(core: try Core(path: path, settings: settings, logger: logger, faults: faults))
            }
        } catch {
            await opener.shutdown()
            throw error
        }
        await opener.shutdown()
        if !settings.readOnly { store.settler.start() }
        return store
    }

    /// Ends background work, waits for what is being written, closes the index. Uploads in progress are kept.
    public func close() async {
        await settler.stop()
        await core.close()
    }

    /// Why writes are refused until the store is opened again; nil while all is well.
    public var poisonReason: String? { core.poisonReason }
}
