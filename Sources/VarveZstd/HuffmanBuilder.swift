// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Builds Huffman codes of limited length as the two encoders do. They agree but for the order of symbols that occur about
/// equally often, which decides who gets the shorter code.
struct HuffmanBuilder {
    private struct Node {
        var count: UInt32 = 0
        var parent = 0
        var symbol = 0
        var bits = 0
    }

    /// Bits of a code at most.
    static func limit(symbols: Int, total: Int, most: Int) -> Int {
        var log = most
        let reduced = (total - 1).highBit - 1
        if reduced < log { log = reduced }
        log = max(log, min(total.highBit + 1, (symbols - 1).highBit + 2))
        return min(max(log, 5), HuffmanTable.logMax)
    }

    /// - Parameter counts: Of at least two symbols, the last one not zero.
    /// - Returns: The length of each symbol's code.
    static func lengths(_ counts: [UInt32], limit: Int, isReference: Bool) -> [UInt8] {
        let symbols = counts.count
        // One place before the first, which ends every search.
        var nodes = [Node](repeating: Node(), count: 2 * symbols + 2)
        if isReference { sortReference(counts, &nodes) } else { sort(counts, &nodes) }
        var last = symbols - 1
        while last > 1 && nodes[last + 1].count == 0 { last -= 1 }
        tree(&nodes, symbols, last)
        shorten(&nodes, last, limit)
        var lengths = [UInt8](repeating: 0, count: symbols)
        for rank in 0...last { lengths[nodes[rank + 1].symbol] = UInt8(nodes[rank + 1].bits) }
        return lengths
    }

    /// By falling count; equal ones by symbol.
    private static func sort(_ counts: [UInt32], _ nodes: inout [Node]) {
        let order = counts.indices.sorted { counts[$0] != counts[$1] ? counts[$0] > counts[$1] : $0 < $1 }
        for (rank, symbol) in order.enumerated() {
            nodes[rank + 1] = Node(count: counts[symbol], symbol: symbol)
        }
    }

    /// By falling count; equal ones by symbol up to a count of 163, above by the whims of a quicksort in each bucket.
    private static func sortReference(_ counts: [UInt32], _ nodes: inout [Node]) {
        let distinct = 165
        func bucket(_ count: UInt32) -> Int { Int(count) < distinct ? Int(count) : count.highBit + 158 }
        let order = counts.indices.sorted {
            let (a, b) = (bucket(counts[$0]), bucket(counts[$1]))
            return a != b ? a > b : $0 < $1
        }
        var sorted = order.map { Node(count: counts[$0], symbol: $0) }
        var from = 0
        while from < sorted.count {
            let here = bucket(sorted[from].count)
            var end = from + 1
            while end < sorted.count && bucket(sorted[end].count) == here { end += 1 }
            if here >= distinct - 1 && end - from > 1 { quickSort(&sorted, from, end - 1) }
            from = end
        }
        for (rank, node) in sorted.enumerated() { nodes[rank + 1] = node }
    }

    private static func quickSort(_ nodes: inout [Node], _ first: Int, _ last: Int) {
        var (low, high) = (first, last)
        if high - low < 8 {
            guard low < high else { return }
            for index in (low + 1)...high {
                let node = nodes[index]
                var at = index - 1
                while at >= low && nodes[at].count < node.count {
                    nodes[at + 1] = nodes[at]
                    at -= 1
                }
                nodes[at + 1] = node
            }
            return
        }
        while low < high {
            let pivot = nodes[high].count
            var border = low - 1
            for index in low..<high where nodes[index].count > pivot {
                border += 1
                nodes.swapAt(border, index)
            }
            nodes.swapAt(border + 1, high)
            let middle = border + 1
            if middle - low < high - middle {
                quickSort(&nodes, low, middle - 1)
                low = middle + 1
            } else {
                quickSort(&nodes, middle + 1, high)
                high = middle - 1
            }
        }
    }

    /// Joins the two rarest again and again. Place `rank + 1` holds the symbol of that rank, joined ones follow.
    private static func tree(_ nodes: inout [Node], _ symbols: Int, _ last: Int) {
        let start = symbols + 1
        var next = start
        let root = next + last - 1
        var leaf = last + 1
        var joined = next
        nodes[next].count = nodes[leaf].count &+ nodes[leaf - 1].count
        nodes[leaf].parent = next
        nodes[leaf - 1].parent = next
        next += 1
        leaf -= 2
        if next <= root { for place in next...root { nodes[place].count = 1 << 30 } }
        nodes[0].count = 1 << 31
        while next <= root {
            var pair = (0, 0)
            if nodes[leaf].count < nodes[joined].count {
                pair.0 = leaf
                leaf -= 1
            } else {
                pair.0 = joined
                joined += 1
            }
            if nodes[leaf].count < nodes[joined].count {
                pair.1 = leaf
                leaf -= 1
            } else {
                pair.1 = joined
                joined += 1
            }
            nodes[next].count = nodes[pair.0].count &+ nodes[pair.1].count
            nodes[pair.0].parent = next
            nodes[pair.1].parent = next
            next += 1
        }
        nodes[root].bits = 0
        for place in stride(from: root - 1, through: start, by: -1) {
            nodes[place].bits = nodes[nodes[place].parent].bits + 1
        }
        for rank in 0...last { nodes[rank + 1].bits = nodes[nodes[rank + 1].parent].bits + 1 }
    }

    /// Cuts long codes and pays for it by lengthening others.
    private static func shorten(_ nodes: inout [Node], _ last: Int, _ limit: Int) {
        let longest = nodes[last + 1].bits
        if longest <= limit { return }
        let base = 1 << (longest - limit)
        var debt = 0
        var rank = last
        while nodes[rank + 1].bits > limit {
            debt += base - 1 << (longest - nodes[rank + 1].bits)
            nodes[rank + 1].bits = limit
            rank -= 1
        }
        while nodes[rank + 1].bits == limit { rank -= 1 }
        debt >>= longest - limit
        let none = -1
        // The rarest symbol of each length, counted from the limit downwards.
        var ends = [Int](repeating: none, count: HuffmanTable.logMax + 3)
        var bits = limit
        for place in stride(from: rank, through: 0, by: -1) where nodes[place + 1].bits < bits {
            bits = nodes[place + 1].bits
            ends[limit - bits] = place
        }
        while debt > 0 {
            var step = debt.highBit + 1
            while step > 1 {
                let (high, low) = (ends[step], ends[step - 1])
                if high == none {
                    step -= 1
                    continue
                }
                if low == none || nodes[high + 1].count <= 2 &* nodes[low + 1].count { break }
                step -= 1
            }
            while step <= HuffmanTable.logMax && ends[step] == none { step += 1 }
            guard ends[step] != none else { return }
            debt -= 1 << (step - 1)
            if ends[step - 1] == none { ends[step - 1] = ends[step] }
            nodes[ends[step] + 1].bits += 1
            if ends[step] == 0 {
                ends[step] = none
            } else {
                ends[step] -= 1
                if nodes[ends[step] + 1].bits != limit - step { ends[step] = none }
            }
        }
        while debt < 0 {
            if ends[1] == none {
                while nodes[rank + 1].bits == limit { rank -= 1 }
                nodes[rank + 2].bits -= 1
                ends[1] = rank + 1
            } else {
                nodes[ends[1] + 2].bits -= 1
                ends[1] += 1
            }
            debt += 1
        }
    }
}
