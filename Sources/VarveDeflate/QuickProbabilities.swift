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

    /// Codes one decision in a context that, when it is new, starts with what a coarser one has learned.
    @inline(__always)
    func bit<O: TokenOracle>(_ oracle: inout O, _ context: Int, coarse: Int, _ value: Int) -> Int {
        if uses[context] == 0 {
            base[context] = base[coarse]
            uses[context] = 3
        }
        let result = oracle.bit(base + context, value, shift: use(context))
        let p = Int32(base[coarse])
        let shift = Int32(use(coarse))
        base[coarse] = UInt16(truncatingIfNeeded: result == 0 ? p &+ (65535 &- p) &>> shift : p &- p &>> shift)
        return result
    }

    /// Codes one decision of what is no model's.
    func bit<C: BinaryCoder>(coder: inout C, _ context: Int, _ value: Int) -> Int {
        coder.bit(base + context, value, shift: use(context))
    }

    /// Starts a context somewhere else than at one half, as if it had been used some times.
    func expect(_ context: Int, _ probability: UInt16) {
        base[context] = probability
        uses[context] = 6
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

    /// Codes a distance: its deflate code as a value of 5 bits in the contexts from `context` on, its extra bits plainly.
    func distance<O: TokenOracle>(_ oracle: inout O, _ context: Int, _ known: Int) -> Int {
        let knownCode = O.isWriting ? DeflateTables.shared.distanceCode(of: max(known, 1)) : 0
        let code = min(tree(&oracle, context, bits: 5, knownCode), 29)
        let base = Int(DeflateTables.distanceBase[code])
        var extra = Int(DeflateTables.distanceExtra[code])
        var value = 0
        while extra > 0 {
            extra &-= 1
            var half: UInt16 = 32768
            value = value &<< 1 | oracle.bit(&half, (known &- base) &>> extra & 1, shift: 5)
        }
        return base + value
    }
}
