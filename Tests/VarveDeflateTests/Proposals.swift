// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

@testable import VarveDeflate

/// What models propose over random text, to hold one against another.
enum Proposals {
    /// Takes proposals, keeps them, and now and then says that a literal or another match came instead.
    struct Recorder: TokenOracle {
        static var isVirtual: Bool { true }
        static var isWriting: Bool { false }

        var tokens: [UInt32] = []
        var random: Seeded
        let contrary: Bool
        var known: UInt32 { 0 }
        var index: Int { tokens.count }

        mutating func next(_ predicted: UInt32, literal: UInt8, limit: Int) -> UInt32 {
            var token = predicted
            if Token.span(predicted) > limit {
                token = limit >= 3 ? Token.match(length: limit, distance: Token.distance(predicted)) : UInt32(literal)
            }
            if contrary && random.next() % 37 == 0 { token = UInt32(literal) }
            if contrary && random.next() % 61 == 0 && limit >= 3 {
                token = Token.match(length: min(limit, 3 + Int(random.next() % 30)), distance: 1)
            }
            tokens.append(predicted)
            tokens.append(token)
            return token
        }
        mutating func push(_ token: UInt32) { tokens.append(token) }
        mutating func bit(_ probability: UnsafeMutablePointer<UInt16>, _ value: Int, shift: UInt32) -> Int { value }
    }

    /// Text of words, runs and noise, with much that repeats near and far.
    static func text(_ random: inout Seeded, _ count: Int) -> [UInt8] {
        var result: [UInt8] = []
        let letters = 2 + random.next() % 30
        while result.count < count {
            let length = Int(random.next() % 40) + 1
            switch random.next() % 5 {
            case 0: result += [UInt8](repeating: UInt8(random.next() % 3), count: length * Int(1 + random.next() % 20))
            case 1: for _ in 0..<length { result.append(UInt8(random.next() % letters)) }
            case 2:
                // Once in a while so much noise that encoders take longer steps.
                let noise = random.next() % 32 == 0 ? 3000 : length / 8
                for _ in 0..<noise { result.append(UInt8(truncatingIfNeeded: random.next())) }
            default:
                let back = min(result.count, Int(random.next() % (random.next() % 4 == 0 ? 32_900 : 3000)) + 1)
                if back == 0 { continue }
                for _ in 0..<length { result.append(result[result.count - back]) }
            }
        }
        return result
    }

    /// Numbers of eight bytes of which a few differ, as linkers write them: thousands of places alike in six bytes.
    static func table(_ random: inout Seeded, _ count: Int) -> [UInt8] {
        var result: [UInt8] = []
        let mask = UInt64(1) << (6 + random.next() % 14) - 1
        let spread = UInt64(8) << (random.next() % 4)
        var last: UInt64 = 0x1_4b52
        while result.count < count {
            switch random.next() % spread {
            case 0: last = random.next() & mask
            case 1: last = 8
            case 2, 3: last = last &+ 24
            case 4 where result.count > 40_000:
                let back = Int(random.next() % 4000) * 8 + 8
                for _ in 0..<Int(random.next() % 60) { result.append(result[result.count - back]) }
            case 5: result.append(UInt8(random.next() & 1))
            default: break
            }
            for shift in stride(from: UInt64(0), to: 64, by: 8) {
                result.append(UInt8(truncatingIfNeeded: last >> shift))
            }
        }
        return result
    }

    /// What a model proposes over the text, piece by piece; with a dictionary the input of each piece begins anew.
    static func from(
        _ model: some TokenModel, _ text: [UInt8], pieces: [Int], dictionary: Int?, history: Int, seed: UInt64,
        contrary: Bool
    ) -> [UInt32] {
        var recorder = Recorder(random: Seeded(state: seed), contrary: contrary)
        text.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            model.begin(base, at: history, history: history, origin: 0)
            var from = history
            for (index, end) in pieces.enumerated() {
                if index > 0, let dictionary {
                    let known = min(dictionary, from)
                    model.beginAgain(base, at: from, history: known)
                }
                while model.position < end {
                    let before = recorder.index
                    model.run(&recorder, maxTokens: 1000, stopAt: end, inputEnd: end)
                    if recorder.index == before { break }
                }
                from = end
            }
        }
        return recorder.tokens
    }

    /// Ends of input after `history` up to `size`, some near to each other, some far.
    static func pieces(_ random: inout Seeded, after history: Int, to size: Int) -> [Int] {
        var pieces: [Int] = []
        var end = history
        while end < size {
            end = min(
                end + (random.next() % 2 == 0 ? Int(random.next() % 12) + 1 : Int(random.next() % 60_000) + 1), size
            )
            pieces.append(end)
        }
        return pieces
    }
}
