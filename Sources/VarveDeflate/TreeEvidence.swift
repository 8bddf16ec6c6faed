// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// What the first dynamic blocks of a stream say about who built their codes: a look at some thousand tokens, long before
/// any model is tried.
struct TreeEvidence {
    /// Blocks looked at, and tokens of them all.
    private static let blocksMost = 4
    private static let tokensMost = 400_000

    private let literals = UnsafeMutablePointer<Int32>.allocate(capacity: 288)
    private let distances = UnsafeMutablePointer<Int32>.allocate(capacity: 32)
    private let lengths = UnsafeMutablePointer<UInt8>.allocate(capacity: 320)
    private let builder = TreeBuilder()
    private var misses = [Int](repeating: 0, count: TreeKind.allCases.count)
    private(set) var blocks = 0
    /// Whether a block has the codes that igzip takes for all blocks at level 0.
    private(set) var isIgzipDefault = false
    /// Of the lengths of those codes, 286 and 30 of them.
    private static let igzipDefault: UInt32 = 0x9701_52af

    private init() {
        literals.initialize(repeating: 0, count: 288)
        distances.initialize(repeating: 0, count: 32)
        lengths.initialize(repeating: 0, count: 320)
    }

    /// - Parameter tokens: Those that the elements' blocks refer to.
    static func of(_ elements: [StreamElement], tokens: UnsafePointer<UInt32>, kinds: [TreeKind]) -> TreeEvidence {
        var result = TreeEvidence()
        var tokensSeen = 0
        for element in elements {
            guard case .block(let block) = element, block.kind == .dynamic, let header = block.header else { continue }
            // A block without content says nothing, and a very long one takes too long.
            if block.tokenCount == 0 { continue }
            if Checksum.crc32(header.lengths[...]) == igzipDefault { result.isIgzipDefault = true }
            tokensSeen += block.tokenCount
            if result.blocks == blocksMost || tokensSeen > tokensMost { break }
            result.look(tokens + block.tokenStart, block.tokenCount, header, kinds)
        }
        result.literals.deallocate()
        result.distances.deallocate()
        result.lengths.deallocate()
        return result
    }

    /// Whether all blocks seen, one at least, have the codes that this builder makes.
    func fits(_ kind: TreeKind) -> Bool { blocks > 0 && misses[kind.rawValue] == 0 }

    private mutating func look(
        _ tokens: UnsafePointer<UInt32>, _ count: Int, _ header: DynamicHeader, _ kinds: [TreeKind]
    ) {
        TokenCounts.fill(tokens, count, literals: literals, distances: distances)
        blocks += 1
        for kind in kinds {
            var found = max(builder.build(kind, literals, 286, maxBits: kind.literalBits, into: lengths), 257)
            var fits = found == header.literalCount
            for symbol in 0..<min(found, header.literalCount) where lengths[symbol] != header.lengths[symbol] {
                fits = false
            }
            if fits {
                found = max(builder.build(kind, distances, 30, maxBits: 15, into: lengths), 1)
                fits = found == header.distanceCount
                for symbol in 0..<min(found, header.distanceCount)
                where lengths[symbol] != header.lengths[header.literalCount + symbol] {
                    fits = false
                }
            }
            if !fits { misses[kind.rawValue] += 1 }
        }
    }
}

/// How often each symbol comes in a block.
enum TokenCounts {
    /// Counts the symbols of tokens, the end of the block once.
    /// - Parameters:
    ///   - literals: Room for 288, all set.
    ///   - distances: Room for 32, all set.
    static func fill(
        _ tokens: UnsafePointer<UInt32>, _ count: Int, literals: UnsafeMutablePointer<Int32>,
        distances: UnsafeMutablePointer<Int32>
    ) {
        literals.update(repeating: 0, count: 288)
        distances.update(repeating: 0, count: 32)
        let slots = Token.slots
        let all = slots + Token.distanceSlots
        // By slot, which is less to look up; every other token elsewhere: like symbols in a row need not wait for each other.
        withUnsafeTemporaryAllocation(of: Int32.self, capacity: 2 * all) { counts in
            counts.initialize(repeating: 0)
            guard let even = counts.baseAddress else { return }
            let odd = even + all
            var index = 0
            while index &+ 1 < count {
                let token = tokens[index]
                let next = tokens[index &+ 1]
                even[Token.slot(token)] &+= 1
                odd[Token.slot(next)] &+= 1
                even[slots &+ Token.distanceSlot(token)] &+= 1
                odd[slots &+ Token.distanceSlot(next)] &+= 1
                index &+= 2
            }
            if index < count {
                even[Token.slot(tokens[index])] &+= 1
                even[slots &+ Token.distanceSlot(tokens[index])] &+= 1
            }
            for slot in 0..<256 { literals[slot] = even[slot] &+ odd[slot] }
            let table = DeflateTables.shared
            for slot in 256..<slots {
                literals[257 + Int(table.lengthCode[slot - Token.lengthBias])] &+= even[slot] &+ odd[slot]
            }
            for slot in 1..<Token.distanceSlots {
                distances[Int(table.distanceCodes[slot])] &+= even[slots &+ slot] &+ odd[slots &+ slot]
            }
        }
        literals[256] = 1
    }
}
