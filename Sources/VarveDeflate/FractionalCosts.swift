// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// What symbols cost by how often they come, in 256ths of a bit: what encoders reckon with that try one parse after the other.
extension TokenCosts {
    /// The binary logarithm of a number above 0, in 256ths. Integers only: it is the same on every machine.
    static func logarithm(_ value: Int32) -> Int32 {
        let whole = 31 - Int32(value.leadingZeroBitCount)
        var mantissa = UInt64(UInt32(value)) << UInt64(31 - whole)
        var result = whole
        for _ in 0..<8 {
            mantissa = (mantissa &* mantissa) >> 31
            let bit: UInt64 = mantissa >> 32
            mantissa >>= bit
            result = result << 1 | Int32(bit)
        }
        return result
    }

    /// Takes counts: 286 of literals and lengths, 30 of distances. What never comes costs as much as what comes once.
    func set(literalCounts: UnsafePointer<Int32>, distanceCounts: UnsafePointer<Int32>) {
        let literalsAll = Self.logarithm(Self.sum(literalCounts, 286))
        let distancesAll = Self.logarithm(Self.sum(distanceCounts, 30))
        for symbol in 0..<256 { literal[symbol] = literalsAll - Self.logarithm(max(literalCounts[symbol], 1)) }
        for value in 3...MatchTrees.lengthMax {
            let code = Int(DeflateTables.shared.lengthCode[value])
            length[value] =
                literalsAll - Self.logarithm(max(literalCounts[257 + code], 1))
                + Int32(DeflateTables.lengthExtra[code]) << 8
        }
        for code in 0..<30 {
            distance[code] =
                distancesAll - Self.logarithm(max(distanceCounts[code], 1))
                + Int32(DeflateTables.distanceExtra[code]) << 8
        }
    }

    /// The same, where code lengths are known: no cost is more than 0.7 bits from the length, and what has none stays as it is.
    func refine(
        literalCounts: UnsafePointer<Int32>, distanceCounts: UnsafePointer<Int32>, _ literals: UnsafePointer<UInt8>,
        _ distances: UnsafePointer<UInt8>
    ) {
        let literalsAll = Self.logarithm(Self.sum(literalCounts, 286))
        let distancesAll = Self.logarithm(Self.sum(distanceCounts, 30))
        func near(_ all: Int32, _ count: Int32, _ bits: UInt8) -> Int32 {
            let cost = Int32(bits) << 8
            if count == 0 { return cost + Self.farthest }
            return min(max(all - Self.logarithm(count), cost - Self.farthest), cost + Self.farthest)
        }
        for symbol in 0..<256 where literals[symbol] != 0 {
            literal[symbol] = near(literalsAll, literalCounts[symbol], literals[symbol])
        }
        for value in 3...MatchTrees.lengthMax {
            let code = Int(DeflateTables.shared.lengthCode[value])
            if literals[257 + code] == 0 { continue }
            length[value] =
                near(literalsAll, literalCounts[257 + code], literals[257 + code])
                + Int32(DeflateTables.lengthExtra[code]) << 8
        }
        for code in 0..<30 where distances[code] != 0 {
            distance[code] =
                near(distancesAll, distanceCounts[code], distances[code])
                + Int32(DeflateTables.distanceExtra[code]) << 8
        }
    }

    /// 0.7 bits.
    private static let farthest: Int32 = 179

    /// At least 1.
    private static func sum(_ counts: UnsafePointer<Int32>, _ n: Int) -> Int32 {
        var result: Int32 = 0
        for index in 0..<n { result &+= counts[index] }
        return max(result, 1)
    }
}
