// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

@testable import VarveDeflate

/// Valid gzip files as no encoder would write them.
enum WildStream {
    /// A file of some members of some blocks, and perhaps bytes behind them.
    static func make(_ random: inout Seeded) -> [UInt8] {
        let sink = BitSink(capacity: 4096, phase: 0, phaseBits: 0)
        for _ in 0..<(random.next() % 4 == 0 ? Int.random(in: 2...4, using: &random) : 1) {
            member(sink, &random)
        }
        if random.next() % 5 == 0 {
            for _ in 0..<Int.random(in: 1...40, using: &random) { sink.put(Int(random.next() & 255), 8) }
        }
        return [UInt8](sink.bytes)
    }

    private static func member(_ sink: BitSink, _ random: inout Seeded) {
        let named = random.next() % 4 == 0
        for byte in [0x1f, 0x8b, 8, named ? 8 : 0, 0, 0, 0, 0, 0, 3] { sink.put(byte, 8) }
        if named { for byte in [110, 97, 109, 101, 0] { sink.put(byte, 8) } }
        var plain: [UInt8] = []
        let blocks = Int.random(in: 1...6, using: &random)
        for index in 0..<blocks {
            sink.put(index == blocks - 1 ? 1 : 0, 1)
            switch random.next() % 5 {
            case 0: stored(sink, &plain, &random)
            case 1:
                sink.put(1, 2)
                let tokens = tokens(&plain, &random)
                sink.putTokens(tokens, count: tokens.count, nil)
            default:
                sink.put(2, 2)
                dynamic(sink, tokens(&plain, &random), &random)
            }
        }
        sink.align(Int(random.next() % 8 == 0 ? random.next() & 127 : 0))
        for _ in 1...8 { sink.put(Int(random.next() & 255), 8) }
    }

    private static func stored(_ sink: BitSink, _ plain: inout [UInt8], _ random: inout Seeded) {
        sink.put(0, 2)
        sink.align(Int(random.next() % 8 == 0 ? random.next() & 127 : 0))
        let count = random.next() % 3 == 0 ? 0 : Int.random(in: 1...300, using: &random)
        sink.put(count, 16)
        sink.put(count ^ 0xffff, 16)
        for _ in 0..<count {
            let byte = UInt8(truncatingIfNeeded: random.next())
            plain.append(byte)
            sink.put(Int(byte), 8)
        }
    }

    /// Literals of a small alphabet and matches of any kind.
    private static func tokens(_ plain: inout [UInt8], _ random: inout Seeded) -> [UInt32] {
        var result: [UInt32] = []
        let count =
            random.next() % 6 == 0 ? 0 : Int.random(in: 1...(random.next() % 9 == 0 ? 3000 : 120), using: &random)
        let alphabet = 1 + random.next() % (random.next() % 2 == 0 ? 4 : 256)
        let matches = random.next() % 8
        for _ in 0..<count {
            if plain.isEmpty || random.next() % 8 >= matches {
                let byte = UInt8(truncatingIfNeeded: random.next() % alphabet)
                plain.append(byte)
                result.append(UInt32(byte))
                continue
            }
            let far = random.next() % 4 == 0
            let distance = Int.random(in: 1...min(plain.count, far ? 32768 : 40), using: &random)
            var length = Int.random(in: 3...(random.next() % 4 == 0 ? 258 : 20), using: &random)
            if random.next() % 6 == 0 {
                // As long as it can be, were the text to end there: what a search would have found.
                length = 258
            }
            result.append(Token.match(length: length, distance: distance))
            for _ in 0..<length { plain.append(plain[plain.count - distance]) }
        }
        return result
    }

    private static func dynamic(_ sink: BitSink, _ tokens: [UInt32], _ random: inout Seeded) {
        var literals = [Int32](repeating: 0, count: 288)
        var distances = [Int32](repeating: 0, count: 32)
        for token in tokens {
            if Token.isMatch(token) {
                literals[257 + Int(DeflateTables.shared.lengthCode[Token.length(token)])] += 1
                distances[DeflateTables.shared.distanceCode(of: Token.distance(token))] += 1
            } else {
                literals[Int(token)] += 1
            }
        }
        literals[256] = 1
        // Codes for symbols that do not occur, and others than the best.
        if random.next() % 3 == 0 {
            for _ in 0..<Int.random(in: 1...60, using: &random) {
                literals[Int(random.next() % 286)] += Int32(random.next() % 50)
                distances[Int(random.next() % 30)] += Int32(random.next() % 50)
            }
        }
        var none = BinaryDecoder(base: [0], count: 0)
        let header = HeaderCoder().code(
            &none, nil, kind: random.next() % 2 == 0 ? .zlib : .go, literalCounts: literals, distanceCounts: &distances)
        sink.putTokens(tokens, count: tokens.count, header)
    }
}
