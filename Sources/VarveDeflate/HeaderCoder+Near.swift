// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Codes of blocks whose symbol counts are known only about, or whose encoder changed them: few lengths are quite as
/// predicted, most are near. How often they are is nearly the same for all lengths, but not for all symbols: what counts is
/// how far the length was rounded, of how many symbols one knows, and what length the symbol before has (zopfli likes runs).
extension HeaderCoder {
    /// Probabilities of each of the three sets of symbols: literals and the end of the block, lengths, distances.
    static let nearContexts = 512

    /// Codes a header near what the counts give.
    func codeNear<C: BinaryCoder>(
        _ coder: inout C, _ known: DynamicHeader?, kind: TreeKind, literalCounts: UnsafePointer<Int32>,
        distanceCounts: UnsafeMutablePointer<Int32>
    ) -> DynamicHeader {
        var header = known ?? DynamicHeader()
        codeCounts(&coder, &header, kind, literalCounts, distanceCounts)
        let total = header.literalCount + header.distanceCount
        if !C.isWriting { header.lengths = [UInt8](repeating: 0, count: total) }
        var literals = NearLengths(all: literalCounts, count: 286)
        var distances = NearLengths(all: UnsafePointer(distanceCounts), count: 30)
        for index in 0..<total {
            let value = Int(header.lengths[index])
            let symbol = index - header.literalCount
            let result: Int
            if symbol < 0 {
                result = codeLength(&coder, value, &literals, index, Int(predicted[index]), set: index > 256 ? 1 : 0)
            } else {
                result = codeLength(&coder, value, &distances, symbol, Int(predicted[320 + symbol]), set: 2)
            }
            header.lengths[index] = UInt8(result)
        }
        codeOperations(&coder, &header, kind)
        codeLengthCode(&coder, &header, kind)
        return header
    }

    /// Counts, and what was coded last.
    private struct NearLengths {
        let all: UnsafePointer<Int32>
        let count: Int
        let logarithm: Int32
        var last = 0
        var lastButOne = 0

        init(all: UnsafePointer<Int32>, count: Int) {
            self.all = all
            self.count = count
            var sum: Int32 = 0
            for symbol in 0..<count { sum &+= all[symbol] }
            logarithm = TokenCosts.logarithm(max(sum, 1))
        }
    }

    private func codeLength<C: BinaryCoder>(
        _ coder: inout C, _ value: Int, _ lengths: inout NearLengths, _ symbol: Int, _ guess: Int, set: Int
    ) -> Int {
        let p = set * Self.nearContexts
        let (last, lastButOne) = (lengths.last, lengths.lastButOne)
        let count = symbol < lengths.count ? lengths.all[symbol] : 0
        var result = guess
        defer {
            lengths.lastButOne = last
            lengths.last = result
        }
        if guess == 0 || count == 0 {
            let zeros = (last == 0 ? 1 : 0) + (lastButOne == 0 ? 1 : 0)
            result = near.bit(coder: &coder, p + zeros, value == 0 ? 0 : 1)
            if result != 0 { result = near.tree(coder: &coder, p + 16, bits: 4, value) }
            return result
        }
        // How much longer than the guess the length ought to be, in quarters of a bit.
        let ideal = Int(lengths.logarithm - TokenCosts.logarithm(count)) - guess << 8
        let rounded = min(max((ideal + 32) >> 6, -2), 2) + 2
        let sure = count < 4 ? Int(count) - 1 : 2 + (count > 8 ? 1 : 0) + (count > 40 ? 1 : 0) + (count > 200 ? 1 : 0)
        let beside = last == 0 ? 3 : (last < guess ? 0 : (last == guess ? 1 : 2))
        if near.bit(coder: &coder, p + 32 + (rounded * 6 + sure) * 4 + beside, value == guess ? 0 : 1) == 0 {
            return guess
        }
        if near.bit(coder: &coder, p + 160 + sure, value == 0 ? 1 : 0) == 1 {
            result = 0
            return 0
        }
        let isLonger = near.bit(coder: &coder, p + 168 + rounded * 4 + beside, value > guess ? 1 : 0)
        let distance = abs(value - guess)
        var far = 1
        while far < 15 {
            let context = p + 192 + (isLonger * 6 + sure) * 8 + min(far, 7)
            if near.bit(coder: &coder, context, distance > far ? 1 : 0) == 0 { break }
            far += 1
        }
        result = min(max(guess + (isLonger == 1 ? far : -far), 0), 15)
        return result
    }
}
