// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOConcurrencyHelpers
import NIOCore
import Testing
import VarveDrivers

@testable import VarveS3

@Suite("hash lanes", .timeLimit(.minutes(15)))
struct HashLaneTests {
    @Test("take every piece once, in order, large ones beside small ones", arguments: 0..<8)
    func order(_ round: Int) async {
        let pool = BlockingPool(threads: 2)
        let taken = NIOLockedValueBox([UInt8]())
        let lane = HashLane(pool: pool) { bytes in taken.withLockedValue { $0.append(contentsOf: bytes) } }
        var expected: [UInt8] = []
        for number in 0..<60 {
            let count = [1, 200, 70_000, 300_000, 65_535, 0][(number * 7 + round) % 6] + number
            let piece = [UInt8](repeating: UInt8(number), count: count)
            expected += piece
            await lane.add(ByteBuffer(bytes: piece))
            if number % 20 == round {
                await lane.drain()
                #expect(taken.withLockedValue { $0 } == expected)
            }
        }
        await lane.drain()
        #expect(taken.withLockedValue { $0 } == expected)
        await pool.shutdown()
    }

    @Test("let only about a megabyte wait")
    func bound() async {
        let pool = BlockingPool(threads: 1)
        let (handedIn, taken, most) = (NIOLockedValueBox(0), NIOLockedValueBox(0), NIOLockedValueBox(0))
        let lane = HashLane(pool: pool) { bytes in
            let waiting = handedIn.withLockedValue { $0 } - taken.withLockedValue { $0 }
            most.withLockedValue { $0 = max($0, waiting) }
            taken.withLockedValue { $0 += bytes.count }
        }
        let piece = ByteBuffer(repeating: 7, count: 128 << 10)
        for _ in 0..<200 {
            handedIn.withLockedValue { $0 += piece.readableBytes }
            await lane.add(piece)
        }
        await lane.drain()
        #expect(taken.withLockedValue { $0 } == 200 * 128 << 10)
        #expect(most.withLockedValue { $0 } <= 2 << 20)
        await pool.shutdown()
    }

    @Test("take what is handed in though their pool has been stopped")
    func stopped() async {
        let pool = BlockingPool(threads: 1)
        await pool.shutdown()
        let taken = NIOLockedValueBox(0)
        let lane = HashLane(pool: pool) { bytes in taken.withLockedValue { $0 += bytes.count } }
        for _ in 0..<50 { await lane.add(ByteBuffer(repeating: 1, count: 100_000)) }
        await lane.drain()
        #expect(taken.withLockedValue { $0 } == 5_000_000)
    }
}
