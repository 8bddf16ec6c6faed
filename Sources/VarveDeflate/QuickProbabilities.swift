// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Adaptive probabilities that learn the faster the less they were used, for descriptions with many contexts.
final class QuickProbabilities {
    private let base: UnsafeMutablePointer<UInt16>
    /// How often each was used, up to a bound.
    private let uses: UnsafeMutablePointer<UInt8>
    private let count: Int

    init(count: Int) {
        self.count = count
        base = .allocate(capacity: count)
        base.initialize(repeating: 32768, count: count)
        uses = .allocate(capacity: count)
        uses.initialize(repeating: 0, count: count)
    }

    deinit {
        base.deallocate()
        uses.deallocate()
    }

    /// Everything learned is forgotten.
    func reset() {
        base.update(repeating: 32768, count: count)
        uses.update(repeating: 0, count: count)
    }

    /// How fast a probability learns that was used so often.
    @inline(__always)
    private static func shift(_ uses: UInt8) -> UInt32 {
        uses < 3 ? (uses == 0 ? 1 : 2) : (uses < 6 ? 3 : (uses < 15 ? 4 : 5))
    }

    @inline(__always)
    private func use(_ context: Int) -> UInt32 {
        let count = uses[context]
        uses[context] = min(count &+ 1, 15)
        return Self.shift(count)
    }

    /// Codes one decision of a model's own description of a token.
    @inline(__always)
    func bit<O: TokenOracle>(_ oracle: inout O, _ context: Int, _ value: Int) -> Int {
        oracle.bit(base + context, value, shift: use(context))
    }

    /// Codes a value of `bits` bits, highest first, in the `1 << bits` contexts from `context` on.
    func tree<O: TokenOracle>(_ oracle: inout O, _ context: Int, bits: Int, _ value: Int) -> Int {
        var node = 1
        var shift = bits
        while shift > 0 {
            shift &-= 1
            node = node &<< 1 | bit(&oracle, context &+ node, value &>> shift & 1)
        }
        return node &- (1 &<< bits)
    }

    /// The same for what is no model's.
    func tree<C: BinaryCoder>(coder: inout C, _ context: Int, bits: Int, _ value: Int) -> Int {
        var node = 1
        var shift = bits
        while shift > 0 {
            shift &-= 1
            let at = context &+ node
            node = node &<< 1 | coder.bit(base + at, value &>> shift & 1, shift: use(at))
        }
        return node &- (1 &<< bits)
    }
}
