// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Describes a dynamic block's Huffman codes by their difference from what the encoder would have built out of the
/// block's symbol counts. When model and stream agree, that is five skewed decisions: some hundredths of a bit each.
final class HeaderCoder {
    let builder = TreeBuilder()
    private let probabilities = Probabilities(count: 1024)
    private let ahead = QuickProbabilities(count: 3 * 16 * 3 * 5 * 16)
    let near = QuickProbabilities(count: 3 * HeaderCoder.nearContexts)
    let predicted: UnsafeMutablePointer<UInt8>
    private let counts: UnsafeMutablePointer<Int32>

    init() {
        predicted = .allocate(capacity: 640)
        predicted.initialize(repeating: 0, count: 640)
        counts = .allocate(capacity: 32)
        counts.initialize(repeating: 0, count: 32)
        reset()
    }

    deinit {
        predicted.deallocate()
        counts.deallocate()
    }

    /// Back to the state at the start of a segment.
    func reset() {
        probabilities.reset()
        ahead.reset()
        near.reset()
        for index in 0..<8 { probabilities.base[index] = 62000 }
    }

    /// Codes a header. `literalCounts` has 286 entries (end of block included), `distanceCounts` 30.
    /// - Parameter known: The header when writing; ignored when reading.
    func code<C: BinaryCoder>(
        _ coder: inout C, _ known: DynamicHeader?, kind: TreeKind, literalCounts: UnsafePointer<Int32>,
        distanceCounts: UnsafeMutablePointer<Int32>
    ) -> DynamicHeader {
        var header = known ?? DynamicHeader()
        codeCounts(&coder, &header, kind, literalCounts, distanceCounts)
        codeLengths(&coder, &header)
        codeOperations(&coder, &header, kind)
        codeLengthCode(&coder, &header, kind)
        return header
    }

    /// Codes a header by counts that are only guessed, so that hardly any header is quite as predicted.
    func codeAhead<C: BinaryCoder>(
        _ coder: inout C, _ known: DynamicHeader?, kind: TreeKind, literalCounts: UnsafePointer<Int32>,
        distanceCounts: UnsafeMutablePointer<Int32>
    ) -> DynamicHeader {
        var header = known ?? DynamicHeader()
        codeCounts(&coder, &header, kind, literalCounts, distanceCounts)
        codeLengthsAhead(&coder, &header, literalCounts)
        codeOperations(&coder, &header, kind)
        codeLengthCode(&coder, &header, kind)
        return header
    }

    /// Codes how many lengths there are; leaves the predicted ones at 0 (literals and lengths) and at 320 (distances).
    func codeCounts<C: BinaryCoder>(
        _ coder: inout C, _ header: inout DynamicHeader, _ kind: TreeKind, _ literalCounts: UnsafePointer<Int32>,
        _ distanceCounts: UnsafeMutablePointer<Int32>
    ) {
        let p = probabilities.base
        (predicted).update(repeating: 0, count: 640)
        let literalGuess = max(builder.build(kind, literalCounts, 286, maxBits: kind.literalBits, into: predicted), 257)
        var any = false
        for symbol in 0..<30 where distanceCounts[symbol] != 0 { any = true }
        if kind == .go && !any { distanceCounts[0] = 1 }
        let distanceGuess = max(builder.build(kind, distanceCounts, 30, maxBits: 15, into: predicted + 320), 1)
        if coder.bit(p, header.literalCount == literalGuess ? 0 : 1) == 0 {
            header.literalCount = literalGuess
        } else {
            header.literalCount = 257 + coder.raw(5, header.literalCount - 257)
        }
        if coder.bit(p + 1, header.distanceCount == distanceGuess ? 0 : 1) == 0 {
            header.distanceCount = distanceGuess
        } else {
            header.distanceCount = 1 + coder.raw(5, header.distanceCount - 1)
        }
    }

    /// Codes each length in the context of the one predicted, of how well the counts say it, and of whether the last one
    /// that was predicted was longer or shorter.
    private func codeLengthsAhead<C: BinaryCoder>(
        _ coder: inout C, _ header: inout DynamicHeader, _ literalCounts: UnsafePointer<Int32>
    ) {
        let total = header.literalCount + header.distanceCount
        if !C.isWriting { header.lengths = [UInt8](repeating: 0, count: total) }
        var error = 0
        for index in 0..<total {
            let isDistance = index >= header.literalCount
            let symbol = isDistance ? index - header.literalCount : index
            let guess = Int(isDistance ? predicted[320 + symbol] : predicted[symbol])
            var set = 2
            var sure = 0
            if !isDistance {
                let count = symbol < 286 ? literalCounts[symbol] : 0
                set = symbol > 256 ? 1 : 0
                sure = Int(min(count, 3)) + (count > 20 ? 1 : 0)
            } else if symbol == 0 {
                error = 0
            }
            let sign = error < 0 ? 0 : (error > 0 ? 2 : 1)
            let context = (((set * 16 + guess) * 3 + sign) * 5 + sure) * 16
            let value = ahead.tree(coder: &coder, context, bits: 4, Int(header.lengths[index]))
            header.lengths[index] = UInt8(value)
            error = value == 0 || guess == 0 ? error : value - guess
        }
    }

    private func codeLengths<C: BinaryCoder>(_ coder: inout C, _ header: inout DynamicHeader) {
        let p = probabilities.base
        let total = header.literalCount + header.distanceCount
        var guess = [UInt8](repeating: 0, count: total)
        for index in 0..<header.literalCount { guess[index] = predicted[index] }
        for index in 0..<header.distanceCount { guess[header.literalCount + index] = predicted[320 + index] }
        if coder.bit(p + 2, C.isWriting && header.lengths == guess ? 0 : 1) == 0 {
            header.lengths = guess
            return
        }
        if !C.isWriting { header.lengths = guess }
        for index in 0..<total {
            let value = Int(header.lengths[index])
            header.lengths[index] = UInt8(coder.tree(p + 16 + Int(guess[index]) * 16, bits: 4, value))
        }
    }

    func codeOperations<C: BinaryCoder>(_ coder: inout C, _ header: inout DynamicHeader, _ kind: TreeKind) {
        let p = probabilities.base
        let guess = RunLengths.operations(kind, header)
        if coder.bit(p + 3, C.isWriting && header.operations == guess ? 0 : 1) == 0 {
            header.operations = guess
            return
        }
        let total = header.lengths.count
        var at = 0
        var index = 0
        var result: [UInt16] = []
        while at < total {
            let known = C.isWriting && index < header.operations.count ? Int(header.operations[index]) : 0
            index += 1
            let length = Int(header.lengths[at])
            var run = 1
            while at + run < total && header.lengths[at + run] == header.lengths[at] { run += 1 }
            // 0 plain length, 1 repeat of the last (16), 2 short zeros (17), 3 long zeros (18).
            let form = coder.tree(p + 300 + (length == 0 ? 4 : 0), bits: 2, max((known & 255) - 15, 0))
            var spanned = 1
            var operation = length
            switch form {
            case 1:
                let extra = coder.tree(p + 320 + min(run, 7) * 8, bits: 2, known >> 8)
                operation = 16 | extra << 8
                spanned = 3 + extra
            case 2:
                let extra = coder.tree(p + 400 + min(run, 15) * 8, bits: 3, known >> 8)
                operation = 17 | extra << 8
                spanned = 3 + extra
            case 3:
                let extra = coder.tree(p + 560, bits: 7, known >> 8)
                operation = 18 | extra << 8
                spanned = 11 + extra
            default: break
            }
            result.append(UInt16(operation))
            at += spanned
        }
        header.operations = result
    }

    func codeLengthCode<C: BinaryCoder>(_ coder: inout C, _ header: inout DynamicHeader, _ kind: TreeKind) {
        let p = probabilities.base
        counts.update(repeating: 0, count: 32)
        for operation in header.operations { counts[min(Int(operation & 255), 18)] += 1 }
        _ = builder.build(kind, counts, 19, maxBits: 7, into: predicted)
        let guess = (0..<19).map { predicted[$0] }
        if coder.bit(p + 4, C.isWriting && header.codeLengths == guess ? 0 : 1) == 0 {
            header.codeLengths = guess
        } else {
            for index in 0..<19 {
                let value = Int(header.codeLengths[index])
                header.codeLengths[index] = UInt8(coder.tree(p + 700 + Int(guess[index]) * 8, bits: 3, value))
            }
        }
        var minimal = 19
        while minimal > 4 && header.codeLengths[Int(DeflateTables.codeLengthOrder[minimal - 1])] == 0 { minimal -= 1 }
        if coder.bit(p + 5, header.codeLengthCount == minimal ? 0 : 1) == 0 {
            header.codeLengthCount = minimal
        } else {
            header.codeLengthCount = 4 + coder.raw(4, header.codeLengthCount - 4)
        }
    }
}

/// How encoders write a list of code lengths as runs.
enum RunLengths {
    static func operations(_ kind: TreeKind, _ header: DynamicHeader) -> [UInt16] {
        var result: [UInt16] = []
        result.reserveCapacity(header.lengths.count)
        switch kind {
        case .zlib:
            // Literal and distance lengths are two lists; a run of a new length spends one plain code first.
            zlibRuns(header.lengths[0..<header.literalCount], &result)
            zlibRuns(header.lengths[header.literalCount...], &result)
        case .go, .libdeflate, .libdeflateOld, .igzip:
            goRuns(header.lengths, &result)
        case .zopfli:
            shortestRuns(header.lengths, &result)
        }
        return result
    }

    private static func zlibRuns(_ lengths: ArraySlice<UInt8>, _ result: inout [UInt16]) {
        var previous = -1
        var at = lengths.startIndex
        // A run is cut at a maximum that depends on what stood before it.
        while at < lengths.endIndex {
            let value = Int(lengths[at])
            let most = value == 0 ? 138 : (value == previous ? 6 : 7)
            var run = 1
            while run < most && at + run < lengths.endIndex && Int(lengths[at + run]) == value { run += 1 }
            let least = value == 0 ? 3 : (value == previous ? 3 : 4)
            if run < least {
                for _ in 0..<run { result.append(UInt16(value)) }
            } else if value != 0 {
                var left = run
                if value != previous {
                    result.append(UInt16(value))
                    left -= 1
                }
                result.append(UInt16(16 | (left - 3) << 8))
            } else if run <= 10 {
                result.append(UInt16(17 | (run - 3) << 8))
            } else {
                result.append(UInt16(18 | (run - 11) << 8))
            }
            previous = value
            at += run
        }
    }

    /// Of the eight ways to use or not to use each kind of repetition, the first of the shortest.
    private static func shortestRuns(_ lengths: [UInt8], _ result: inout [UInt16]) {
        let builder = TreeBuilder()
        var least = Int.max
        for way in 0..<8 {
            var operations: [UInt16] = []
            operations.reserveCapacity(lengths.count)
            runs(lengths, way, &operations)
            let size = size(operations, builder)
            if size < least {
                least = size
                result = operations
            }
        }
    }

    /// - Parameter way: Bit 0 for repetitions of any length, 1 for short ones of zeros, 2 for long ones.
    private static func runs(_ lengths: [UInt8], _ way: Int, _ result: inout [UInt16]) {
        var at = 0
        while at < lengths.count {
            let value = UInt16(lengths[at])
            var run = 1
            if way & 1 != 0 || value == 0 && way != 0 {
                while at + run < lengths.count && UInt16(lengths[at + run]) == value { run += 1 }
            }
            at += run
            if value == 0 {
                while way & 4 != 0 && run >= 11 {
                    let part = min(138, run)
                    result.append(18 | UInt16(part - 11) << 8)
                    run -= part
                }
                while way & 2 != 0 && run >= 3 {
                    let part = min(10, run)
                    result.append(17 | UInt16(part - 3) << 8)
                    run -= part
                }
            }
            if way & 1 != 0 && run >= 4 {
                result.append(value)
                run -= 1
                while run >= 3 {
                    let part = min(6, run)
                    result.append(16 | UInt16(part - 3) << 8)
                    run -= part
                }
            }
            for _ in 0..<run { result.append(value) }
        }
    }

    /// Bits of the operations and of the code that they are written in.
    private static func size(_ operations: [UInt16], _ builder: TreeBuilder) -> Int {
        var counts = [Int32](repeating: 0, count: 19)
        var lengths = [UInt8](repeating: 0, count: 19)
        var result = 0
        for operation in operations {
            counts[min(Int(operation & 255), 18)] += 1
            result += [2, 3, 7][max(min(Int(operation & 255), 18) - 16, 0)] * (operation & 255 > 15 ? 1 : 0)
        }
        counts.withUnsafeBufferPointer { counts in
            lengths.withUnsafeMutableBufferPointer { lengths in
                guard let counts = counts.baseAddress, let lengths = lengths.baseAddress else { return }
                _ = builder.build(.zopfli, counts, 19, maxBits: 7, into: lengths)
            }
        }
        var last = 19
        while last > 4 && counts[Int(DeflateTables.codeLengthOrder[last - 1])] == 0 { last -= 1 }
        for index in 0..<19 { result += Int(counts[index]) * Int(lengths[index]) }
        return result + 3 * last
    }

    private static func goRuns(_ lengths: [UInt8], _ result: inout [UInt16]) {
        var at = 0
        while at < lengths.count {
            let value = lengths[at]
            var run = 1
            while at + run < lengths.count && lengths[at + run] == value { run += 1 }
            at += run
            if value != 0 {
                result.append(UInt16(value))
                run -= 1
                while run >= 3 {
                    let part = min(6, run)
                    result.append(UInt16(16 | (part - 3) << 8))
                    run -= part
                }
            } else {
                while run >= 11 {
                    let part = min(138, run)
                    result.append(UInt16(18 | (part - 11) << 8))
                    run -= part
                }
                if run >= 3 {
                    result.append(UInt16(17 | (run - 3) << 8))
                    run = 0
                }
            }
            for _ in 0..<run { result.append(UInt16(value)) }
        }
    }
}
