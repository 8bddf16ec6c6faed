// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Bits that an ideal code takes for a text, as Go programs reckon them.
///
/// The sum is one of doubles, but of additions, multiplications and divisions only, in a fixed order: IEEE 754 leaves no choice
/// about their results, and Swift never joins a multiplication and an addition. (Go does so on some processors; its encoders
/// then differ from themselves, and a plan has exceptions.)
enum ShannonBits {
    static func count(_ text: UnsafePointer<UInt8>, _ count: Int) -> Int {
        guard count > 0 else { return 0 }
        let all = withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 1024) { counts in
            counts.initialize(repeating: 0)
            guard let base = counts.baseAddress else { return 0.0 }
            var at = 0
            while at &+ 4 <= count {
                base[Int(text[at])] &+= 1
                base[256 &+ Int(text[at &+ 1])] &+= 1
                base[512 &+ Int(text[at &+ 2])] &+= 1
                base[768 &+ Int(text[at &+ 3])] &+= 1
                at &+= 4
            }
            while at < count {
                base[Int(text[at])] &+= 1
                at &+= 1
            }
            let share = 1 / Double(count)
            var sum = 0.0
            for value in 0..<256 {
                let times = base[value] &+ base[256 &+ value] &+ base[512 &+ value] &+ base[768 &+ value]
                if times > 0 { sum += (-log2(Double(times) * share) * Double(times)).rounded(.up) }
            }
            return sum
        }
        return Int(all.rounded(.up))
    }

    /// The binary logarithm of a positive normal number.
    private static func log2(_ value: Double) -> Double {
        let exponent = Int(value.bitPattern >> 52) - 0x3fe
        let fraction = Double(bitPattern: value.bitPattern & 0x000f_ffff_ffff_ffff | 0x3fe0_0000_0000_0000)
        if fraction == 0.5 { return Double(exponent - 1) }
        return log(fraction) * 1.4426950408889634 + Double(exponent)
    }

    /// The natural logarithm of a number from 1/2 to 1, by the series that C libraries have had since the eighties.
    private static func log(_ value: Double) -> Double {
        let isSmall = value < 0.7071067811865476
        let power = isSmall ? -1.0 : 0.0
        let rest = (isSmall ? value * 2 : value) - 1
        let s = rest / (2 + rest)
        let s2 = s * s
        let s4 = s2 * s2
        let odd =
            s2
            * (6.666666666666735130e-01
                + s4
                * (2.857142874366239149e-01 + s4 * (1.818357216161805012e-01 + s4 * 1.479819860511658591e-01)))
        let even =
            s4 * (3.999999999940941908e-01 + s4 * (2.222219843214978396e-01 + s4 * 1.531383769920937332e-01))
        let half = 0.5 * rest * rest
        let tail = s * (half + (odd + even)) + power * 1.90821492927058770002e-10
        return power * 6.93147180369123816490e-01 - ((half - tail) - rest)
    }
}
