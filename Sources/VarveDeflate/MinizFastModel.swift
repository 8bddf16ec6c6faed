// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// miniz at level 1: the newest visited position with the same hash of three bytes, taken at once. Text comes in pieces of 4096
/// bytes; no match goes over their ends, and no position in the last three bytes of one is looked at. Where a block's output is
/// more than its caller has room for, as with flate2's 32 KiB, a new piece begins with the next block.
final class MinizFastModel: TokenModel {
    private static let slots = 4096
    private static let piece = 4096
    private static let window = 32768
    private static let tooFar = 8192
    private static let blocksKept = 1024

    private let piecesGoOn: Bool
    private let table: UnsafeMutablePointer<UInt16>
    private let nothing: UnsafeMutablePointer<UInt8>
    private var plain: UnsafePointer<UInt8>
    private var at = 0
    private var origin = 0
    /// Where a piece begins.
    private var pieceStart = 0
    /// The first place at which a block may end.
    private var blockMayEnd = 0
    /// Where blocks began since the model did, the last ones.
    private var blockStarts: [Int] = []
    private var textStart = 0
    private var codes = MinizCodes()
    private(set) var isBetweenBlocks = true
    private(set) var steps = 0

    init(_ parameters: MinizModel.Parameters) {
        piecesGoOn = parameters.piecesGoOn
        table = .allocate(capacity: Self.slots)
        table.initialize(repeating: 0, count: Self.slots)
        nothing = .allocate(capacity: 16)
        nothing.initialize(repeating: 0, count: 16)
        plain = UnsafePointer(nothing)
    }

    deinit {
        table.deallocate()
        nothing.deallocate()
    }

    var position: Int { at }

    func begin(_ plain: UnsafePointer<UInt8>, at: Int, history: Int, origin: Int) {
        self.plain = plain
        self.at = at
        self.origin = origin
        pieceStart = origin
        blockStarts.removeAll(keepingCapacity: true)
        textStart = at - history
        table.update(repeating: 0, count: Self.slots)
        isBetweenBlocks = true
        blockMayEnd = at
    }

    func runsUp(to place: Int) { blockMayEnd = place }

    func endBlock() { isBetweenBlocks = true }

    func restart(before limit: Int) -> Int? { blockStarts.last { $0 <= limit } }

    func run<O: TokenOracle>(_ oracle: inout O, maxTokens: Int, stopAt: Int, inputEnd: Int) {
        var left = maxTokens
        while left > 0 && at < stopAt && at < inputEnd {
            if isBetweenBlocks {
                isBetweenBlocks = false
                codes = MinizCodes()
                if blockStarts.count >= Self.blocksKept { blockStarts.removeFirst(Self.blocksKept / 2) }
                blockStarts.append(at)
                if !piecesGoOn { pieceStart = at }
            }
            let into = (at &- pieceStart) & (Self.piece &- 1)
            let ahead = min(Self.piece &- into, inputEnd &- at)
            var length = 0
            var distance = 0
            if ahead >= 4 { length = match(ahead, &distance) }
            let token = length > 0 ? Token.match(length: length, distance: distance) : UInt32(plain[at])
            let real = oracle.next(token, literal: plain[at], limit: stopAt &- at)
            left &-= 1
            codes.count(real)
            at &+= Token.span(real)
            if codes.isTight && at > blockMayEnd || at == blockMayEnd {
                isBetweenBlocks = true
                return
            }
        }
    }

    /// The match at ``at``, whose position goes into the table: its length, or 0.
    /// - Parameter ahead: Bytes of the piece that are left.
    @inline(__always)
    private func match(_ ahead: Int, _ distance: inout Int) -> Int {
        let scan = plain + at
        let opening = UnsafeRawPointer(scan).loadUnaligned(as: UInt32.self) & 0xff_ffff
        let slot = Int((opening ^ opening &>> 17) & 4095)
        let index = at &- origin
        let back = (index &- Int(table[slot])) & 0xffff
        table[slot] = UInt16(truncatingIfNeeded: index)
        steps &+= 1
        // What the piece took the place of is gone.
        let farthest = min(Self.window &- ahead, at &- textStart)
        if back == 0 || back > farthest { return 0 }
        let text = scan - back
        if UnsafeRawPointer(text).loadUnaligned(as: UInt32.self) & 0xff_ffff != opening { return 0 }
        let length = Matching.length(scan, text, min(258, ahead))
        if length == 3 && back >= Self.tooFar { return 0 }
        distance = back
        return length
    }
}
