// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing
import VarveDrivers
import VarveTestKit

@Suite("memory driver")
struct MemoryDriverTests {
    private struct Fixture: StorageDriverFixture {
        let isDurable = false
        func open() async throws -> any StorageDriver { MemoryDriver() }
        func close() async throws {}
    }

    @Test("keeps the contract of drivers", arguments: StorageDriverContract.checks)
    func contract(_ check: StorageDriverContract.Check) async throws { try await check.run(Fixture()) }
}
