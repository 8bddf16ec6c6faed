// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Which way of turning symbol counts into code lengths an encoder follows. All give (near) optimal codes; they differ in
/// how ties are broken and over-long codes shortened. Raw values are part of the plan format.
enum TreeKind: Int, CaseIterable {
    /// zlib, GNU gzip, pigz: a binary heap, ties by depth, over-long codes mended afterwards.
    case zlib = 0
    /// Go's compress/flate and klauspost/compress: package-merge, run lengths cross from literals into distances.
    case go = 1
    /// libdeflate from 1.19: a plain Huffman tree, too long codes cut off as they come up, literals of at most 14 bits.
    case libdeflate = 2
    /// libdeflate before: the same, but no distance code at all where there is no match.
    case libdeflateOld = 3
    /// igzip: a heap, ties by symbol and before inner nodes, of which the newest goes first.
    case igzip = 4
    /// zopfli: as Go, but of eight ways to write the lengths the shortest.
    case zopfli = 5

    /// Those whose blocks come with the codes that the counts give; zopfli's it changes to have longer runs.
    static let exact: [TreeKind] = [.zlib, .go, .libdeflate, .libdeflateOld, .igzip]

    /// The longest code of literals and lengths.
    var literalBits: Int {
        switch self {
        case .zlib, .go, .igzip, .zopfli: return 15
        case .libdeflate, .libdeflateOld: return 14
        }
    }
}

/// Builds code lengths from counts as the encoders do.
final class TreeBuilder {
    private let heap: UnsafeMutablePointer<Int32>
    private let frequency: UnsafeMutablePointer<Int32>
    private let parent: UnsafeMutablePointer<Int32>
    private let depth: UnsafeMutablePointer<UInt8>
    private let levels: UnsafeMutablePointer<Int32>

    private static let size = 640

    init() {
        heap = .allocate(capacity: Self.size)
        frequency = .allocate(capacity: Self.size)
        parent = .allocate(capacity: Self.size)
        depth = .allocate(capacity: Self.size)
        levels = .allocate(capacity: 16 * Self.size)
        heap.initialize(repeating: 0, count: Self.size)
        frequency.initialize(repeating: 0, count: Self.size)
        parent.initialize(repeating: 0, count: Self.size)
        depth.initialize(repeating: 0, count: Self.size)
        levels.initialize(repeating: 0, count: 16 * Self.size)
    }

    deinit {
        heap.deallocate()
        frequency.deallocate()
        parent.deallocate()
        depth.deallocate()
        levels.deallocate()
    }

    /// Code lengths for `n` symbols of the given counts.
    /// - Returns: One more than the last symbol with a code (the encoders transmit that many).
    func build(
        _ kind: TreeKind, _ counts: UnsafePointer<Int32>, _ n: Int, maxBits: Int,
        into lengths: UnsafeMutablePointer<UInt8>
    ) -> Int {
        lengths.update(repeating: 0, count: n)
        switch kind {
        case .zlib: return buildHeap(counts, n, maxBits: maxBits, into: lengths)
        case .go, .zopfli: return buildMerge(counts, n, maxBits: maxBits, into: lengths)
        case .libdeflate: return buildSorted(counts, n, maxBits: maxBits, emptyAsTwo: true, into: lengths)
        case .libdeflateOld: return buildSorted(counts, n, maxBits: maxBits, emptyAsTwo: false, into: lengths)
        case .igzip: return buildNewest(counts, n, maxBits: maxBits, into: lengths)
        }
    }

    // MARK: zlib's way

    private func buildHeap(
        _ counts: UnsafePointer<Int32>, _ n: Int, maxBits: Int, into lengths: UnsafeMutablePointer<UInt8>
    ) -> Int {
        var heapCount = 0
        var maxCode = -1
        for symbol in 0..<n {
            frequency[symbol] = counts[symbol]
            if counts[symbol] != 0 {
                heapCount += 1
                heap[heapCount] = Int32(symbol)
                maxCode = symbol
                depth[symbol] = 0
            }
        }
        // At least two codes, so that a decoder always has something to read.
        while heapCount < 2 {
            var symbol = 0
            if maxCode < 2 {
                maxCode += 1
                symbol = maxCode
            }
            heapCount += 1
            heap[heapCount] = Int32(symbol)
            frequency[symbol] = 1
            depth[symbol] = 0
        }
        let leaves = heapCount
        var index = heapCount / 2
        while index >= 1 {
            siftDown(index, heapCount)
            index -= 1
        }
        // The finished nodes, most frequent first, grow down from the end of the heap's array.
        var sorted = Self.size - 1
        var node = n
        repeat {
            let first = heap[1]
            heap[1] = heap[heapCount]
            heapCount -= 1
            siftDown(1, heapCount)
            let second = heap[1]
            sorted -= 1
            heap[sorted] = first
            sorted -= 1
            heap[sorted] = second
            frequency[node] = frequency[Int(first)] &+ frequency[Int(second)]
            depth[node] = max(depth[Int(first)], depth[Int(second)]) &+ 1
            parent[Int(first)] = Int32(node)
            parent[Int(second)] = Int32(node)
            heap[1] = Int32(node)
            node += 1
            siftDown(1, heapCount)
        } while heapCount >= 2
        sorted -= 1
        heap[sorted] = heap[1]

        var perLength = (0..<17).map { _ in 0 }
        var overflow = 0
        // Lengths of inner nodes live in `depth` from here on.
        depth[Int(heap[sorted])] = 0
        var scan = sorted + 1
        while scan < Self.size - 1 {
            let item = Int(heap[scan])
            var bits = Int(depth[Int(parent[item])]) + 1
            if bits > maxBits {
                bits = maxBits
                overflow += 1
            }
            depth[item] = UInt8(bits)
            if item < n {
                perLength[bits] += 1
                lengths[item] = UInt8(bits)
            }
            scan += 1
        }
        if overflow > 0 {
            repeat {
                var bits = maxBits - 1
                while perLength[bits] == 0 { bits -= 1 }
                perLength[bits] -= 1
                perLength[bits + 1] += 2
                perLength[maxBits] -= 1
                overflow -= 2
            } while overflow > 0
            var back = Self.size - 1
            var bits = maxBits
            while bits > 0 {
                var left = perLength[bits]
                while left > 0 {
                    back -= 1
                    let item = Int(heap[back])
                    if item >= n { continue }
                    lengths[item] = UInt8(bits)
                    left -= 1
                }
                bits -= 1
            }
        }
        _ = leaves
        return maxCode + 1
    }

    @inline(__always)
    private func smaller(_ a: Int32, _ b: Int32) -> Bool {
        let fa = frequency[Int(a)]
        let fb = frequency[Int(b)]
        return fa < fb || (fa == fb && depth[Int(a)] <= depth[Int(b)])
    }

    private func siftDown(_ from: Int, _ count: Int) {
        var at = from
        let value = heap[at]
        var child = at << 1
        while child <= count {
            if child < count && smaller(heap[child + 1], heap[child]) { child += 1 }
            if smaller(value, heap[child]) { break }
            heap[at] = heap[child]
            at = child
            child <<= 1
        }
        heap[at] = value
    }

    // MARK: libdeflate's way

    private func buildSorted(
        _ counts: UnsafePointer<Int32>, _ n: Int, maxBits: Int, emptyAsTwo: Bool,
        into lengths: UnsafeMutablePointer<UInt8>
    ) -> Int {
        // Symbols by count, then by value.
        var keys: [Int] = []
        keys.reserveCapacity(n)
        for symbol in 0..<n where counts[symbol] != 0 { keys.append(Int(counts[symbol]) << 9 | symbol) }
        if keys.count < 2 {
            if keys.isEmpty && !emptyAsTwo { return 0 }
            let other = max((keys.first ?? 0) & 511, 1)
            lengths[0] = 1
            lengths[other] = 1
            return other + 1
        }
        keys.sort()
        let leaves = keys.count
        // The inner nodes in the order in which they come up: weights first, then parents, then depths.
        var leaf = 0
        var inner = 0
        for node in 0..<(leaves - 1) {
            var weight: Int32 = 0
            for _ in 0..<2 {
                if leaf < leaves && (inner == node || keys[leaf] >> 9 <= Int(frequency[inner])) {
                    weight &+= Int32(truncatingIfNeeded: keys[leaf] >> 9)
                    leaf += 1
                } else {
                    weight &+= frequency[inner]
                    parent[inner] = Int32(node)
                    inner += 1
                }
            }
            frequency[node] = weight
        }
        // From the root down every inner node makes two codes out of one.
        var perLength = (0..<17).map { _ in 0 }
        perLength[1] = 2
        depth[leaves - 2] = 0
        for node in (0..<(leaves - 2)).reversed() {
            let real = min(Int(depth[Int(parent[node])]) + 1, 254)
            depth[node] = UInt8(real)
            var bits = real
            if bits >= maxBits {
                bits = maxBits - 1
                while bits > 1 && perLength[bits] == 0 { bits -= 1 }
            }
            perLength[bits] -= 1
            perLength[bits + 1] += 2
        }
        var at = 0
        var last = 0
        for bits in stride(from: maxBits, to: 0, by: -1) {
            for _ in 0..<perLength[bits] where at < leaves {
                let symbol = keys[at] & 511
                lengths[symbol] = UInt8(bits)
                last = max(last, symbol + 1)
                at += 1
            }
        }
        return last
    }

    // MARK: igzip's way

    private func buildNewest(
        _ counts: UnsafePointer<Int32>, _ n: Int, maxBits: Int, into lengths: UnsafeMutablePointer<UInt8>
    ) -> Int {
        // Weight << 16 | name, a symbol's name being itself, an inner node's the higher the older it is.
        var leaves: [Int] = []
        leaves.reserveCapacity(n)
        for symbol in 0..<n where counts[symbol] != 0 { leaves.append(Int(counts[symbol]) << 16 | symbol) }
        if leaves.count < 2 {
            if leaves.isEmpty { leaves.append(1 << 16) }
            leaves.append(leaves[0] & 0xffff == 0 ? 1 << 16 | 1 : 1 << 16)
        }
        leaves.sort()
        // Names of inner nodes are above all symbols: there are at most 571 of them.
        let newest = 3 * 286
        let child = levels
        let deep = levels + 2 * Self.size
        // Inner nodes come up by weight; of the same weight the newest is taken first.
        var inner: [Int] = []
        var taken = 0
        var below = newest
        func next() -> Int {
            if taken < leaves.count && (inner.isEmpty || leaves[taken] < inner[inner.count - 1]) {
                taken += 1
                return leaves[taken - 1]
            }
            return inner.popLast() ?? 0
        }
        for _ in 1..<leaves.count {
            let first = next()
            let second = next()
            let key = (first + second) & ~0xffff | below
            child[below] = Int32(first & 0xffff)
            child[below - 1] = Int32(second & 0xffff)
            below -= 2
            // Lightest last.
            var place = inner.count
            while place > 0 && inner[place - 1] < key { place -= 1 }
            inner.insert(key, at: place)
        }
        child[below] = Int32((inner.last ?? 0) & 0xffff)
        // From the root on, in the order of their names.
        var order: [Int] = []
        order.reserveCapacity(leaves.count)
        var perLength = (0..<Self.size).map { _ in 0 }
        var deepest = 0
        deep[below] = 0
        for index in below...newest {
            let name = Int(child[index])
            if name >= n {
                deep[name] = deep[index] &+ 1
                deep[name - 1] = deep[index] &+ 1
            } else {
                let bits = Int(deep[index])
                order.append(name)
                lengths[name] = UInt8(min(bits, 255))
                perLength[bits] += 1
                deepest = max(deepest, bits)
            }
        }
        let last = (order.max() ?? 0) + 1
        if deepest <= maxBits { return last }
        while deepest > maxBits {
            var bits = maxBits - 1
            while bits > 1 && perLength[bits] == 0 { bits -= 1 }
            perLength[bits] -= 1
            perLength[bits + 1] += 2
            perLength[deepest - 1] += 1
            perLength[deepest] -= 2
            while deepest > 1 && perLength[deepest] <= 0 { deepest -= 1 }
        }
        var bits = 1
        for symbol in order {
            while bits < maxBits && perLength[bits] == 0 { bits += 1 }
            perLength[bits] -= 1
            lengths[symbol] = UInt8(bits)
        }
        return last
    }

    // MARK: Go's way

    private func buildMerge(
        _ counts: UnsafePointer<Int32>, _ n: Int, maxBits: Int, into lengths: UnsafeMutablePointer<UInt8>
    ) -> Int {
        // Symbols by count, then by value: keys of count << 9 | symbol sort the right way.
        var keys: [Int] = []
        keys.reserveCapacity(n)
        var last = 0
        for symbol in 0..<n where counts[symbol] != 0 {
            keys.append(Int(counts[symbol]) << 9 | symbol)
            last = symbol + 1
        }
        let leaves = keys.count
        if leaves <= 2 {
            for key in keys { lengths[key & 511] = 1 }
            return last
        }
        keys.sort()
        let bits = min(maxBits, leaves - 1)
        // Package-merge: each level merges the leaves with pairs of the level below; on a tie the pair goes first.
        // A negative entry marks a leaf: its place in the order is what counts.
        let weights = levels
        var widths = (0..<17).map { _ in 0 }
        for level in 0..<bits {
            let row = weights + level * Self.size
            var leaf = 0
            var out = 0
            let below = weights + (level - 1) * Self.size
            let pairs = level == 0 ? 0 : widths[level - 1] / 2
            var pair = 0
            while leaf < leaves || pair < pairs {
                let takeLeaf: Bool
                if leaf >= leaves {
                    takeLeaf = false
                } else if pair >= pairs {
                    takeLeaf = true
                } else {
                    let sum = (below[pair * 2] & Int32.max) &+ (below[pair * 2 + 1] & Int32.max)
                    takeLeaf = Int32(truncatingIfNeeded: keys[leaf] >> 9) < sum
                }
                if takeLeaf {
                    row[out] = Int32(truncatingIfNeeded: keys[leaf] >> 9) | Int32.min
                    leaf += 1
                } else {
                    row[out] = (below[pair * 2] & Int32.max) &+ (below[pair * 2 + 1] & Int32.max)
                    pair += 1
                }
                out += 1
                if out >= 2 * leaves - 2 { break }
            }
            widths[level] = out
        }
        var wanted = 2 * leaves - 2
        var leavesAbove = (0..<17).map { _ in 0 }
        var level = bits - 1
        while level >= 0 {
            let row = weights + level * Self.size
            var leafCount = 0
            for index in 0..<min(wanted, widths[level]) where row[index] < 0 { leafCount += 1 }
            leavesAbove[level + 1] = leafCount
            wanted = 2 * (wanted - leafCount)
            level -= 1
        }
        // The most frequent symbols get the shortest codes.
        var end = leaves
        var length = 1
        level = bits
        while level > 0 {
            let count = leavesAbove[level] - leavesAbove[level - 1]
            for index in max(end - count, 0)..<end { lengths[keys[index] & 511] = UInt8(length) }
            end = max(end - count, 0)
            length += 1
            level -= 1
        }
        return last
    }
}
