// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOConcurrencyHelpers
import Testing
import VarveModel

@testable import VarveEngine

@Suite("places for readers")
struct StreamPlacesTests {
    @Test("no more hold one at a time than there are, and all get one")
    func bounded() async throws {
        let places = StreamPlaces(3)
        let now = NIOLockedValueBox((inside: 0, most: 0, done: 0))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<200 {
                group.addTask {
                    let place = try await places.take()
                    now.withLockedValue {
                        $0.inside += 1
                        $0.most = max($0.most, $0.inside)
                    }
                    await Task.yield()
                    now.withLockedValue {
                        $0.inside -= 1
                        $0.done += 1
                    }
                    _ = consume place
                }
            }
            try await group.waitForAll()
        }
        #expect(now.withLockedValue { $0.most } <= 3)
        #expect(now.withLockedValue { $0.done } == 200)
    }

    @Test("who goes away while waiting takes none with it")
    func cancelled() async throws {
        let places = StreamPlaces(1)
        var held: StreamPlaces.Place? = try await places.take()
        let waiting = (0..<20).map { _ in Task { try await places.take() } }
        for task in waiting { task.cancel() }
        for task in waiting {
            await #expect(throws: VarveError.self) { _ = try await task.value }
        }
        #expect(held != nil)
        held = nil
        _ = try await places.take()
        _ = try await places.take()
    }
}
