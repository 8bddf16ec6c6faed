// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOConcurrencyHelpers
import NIOCore
import Testing
import VarveDrivers
import VarveModel
import VarveTestKit

@testable import VarveEngine

/// A store in a directory of its own, as a driver.
final class StoreDriverFixture: StorageDriverFixture {
    let directory = TestDirectory()
    let isDurable = true
    private let opened = NIOLockedValueBox(Store?.none)
    private let change: @Sendable (inout StoreSettings) -> Void

    init(_ change: @escaping @Sendable (inout StoreSettings) -> Void = { _ in }) { self.change = change }

    func open() async throws -> any StorageDriver {
        let store = try await Store.openQuietly(at: directory.path + "/store", change)
        opened.withLockedValue { $0 = store }
        return store
    }

    func close() async throws {
        let store = opened.withLockedValue { value in
            defer { value = nil }
            return value
        }
        await store?.close()
    }

    func checkInvariants() async throws {
        guard let store = opened.withLockedValue({ $0 }) else { return }
        let damage = try await store.verify().damage
        #expect(damage == [])
    }
}

@Suite("objects of a store")
struct ObjectStoreTests {
    @Test("keep the contract of drivers", arguments: StorageDriverContract.checks)
    func contract(_ check: StorageDriverContract.Check) async throws { try await check.run(StoreDriverFixture()) }

    @Test("keep it while blobs settle beside them", arguments: StorageDriverContract.checks)
    func background(_ check: StorageDriverContract.Check) async throws {
        try await check.run(StoreDriverFixture { $0.settling = .background })
    }

    @Test("go through long histories like objects in memory, whatever becomes of their blobs", arguments: UInt64(0)..<6)
    func history(_ salt: UInt64) async throws {
        let fixture = StoreDriverFixture {
            $0.cacheBudget = .bytes(0)
            $0.packBytes = 1 << 20
        }
        var history = try await StorageDriverHistory(fixture, salt: 600 + salt)
        try await history.run(steps: 250) { driver in
            let store = try #require(driver as? Store)
            try await store.settle(evict: true)
            _ = try await store.collect(graceSeconds: 0)
        }
    }

    @Test("go through long histories while blobs settle beside them", arguments: UInt64(0)..<4)
    func historyBeside(_ salt: UInt64) async throws {
        let fixture = StoreDriverFixture {
            $0.settling = .background
            $0.cacheBudget = .bytes(0)
        }
        var history = try await StorageDriverHistory(fixture, salt: 620 + salt)
        try await history.run(steps: 250)
    }
}
