// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// A block in the middle of a frame from which on it can be made without what lies before it, but for a stretch of text.
///
/// What an encoder knows at a block has three parts: the state on the wire (codes, tables, offsets used last), which is written
/// down; its search tables; and text. A search begins with empty tables and no text, and hints say what it does not find so, see
/// ``SearchHints``. In plans of former versions the tables are filled by running the search over the text before, and those of the
/// entries that are then not as they were are written down.
struct RestartPoint: Equatable {
    var mark = BlockMark()
    /// Bytes of the frame's exceptions that are done with, and usual blocks since the last of those.
    var exceptions = 0
    var usualBlocks = 0
    /// Bytes over which the search is run beforehand.
    var runUp = 0
    /// The match model's own state.
    var numbers: [Int] = []
    /// Text before the run-up that is looked at up to the next point; nil if that is not known: all in reach. Former versions say it
    /// of points of which not all entries that are wrong are written down. Who comes to such a point begins anew there.
    var far: FarText?
    /// What restores the search.
    var memory = Memory.entries(TableEntries())

    enum Memory: Equatable {
        /// Table entries that the run-up gives wrongly. The text that they are of has to be there.
        case entries(TableEntries)
        /// There is no run-up then, and no text before the point is looked at.
        case hints(SearchHints)

        /// Bytes that table entries take.
        var entryBytes: Int {
            if case .entries(let entries) = self { return entries.coded.count }
            return 0
        }
    }

    var hasHints: Bool {
        if case .hints = memory { return true }
        return false
    }

    static let numbersMax = 8
    private static let runUpMax = 2 * FrameHeader.windowMax

    init() {}

    /// Appends it. Its places are written as steps from those of the point before.
    /// - Parameter lastExceptions: Of the restart point before.
    func put(_ bytes: inout [UInt8], after last: BlockMark, _ lastExceptions: Int) {
        mark.put(&bytes, after: last)
        for value in [exceptions - lastExceptions, usualBlocks, runUp, numbers.count] + numbers {
            PlanBytes.put(&bytes, value)
        }
        switch memory {
        case .entries(let entries):
            bytes.append(0)
            PlanBytes.put(&bytes, entries.coded)
        case .hints(let hints):
            bytes.append(2)
            PlanBytes.put(&bytes, Array(hints.coded))
        }
    }

    /// Reads the next one of a frame, of version 4 or later.
    init(
        _ input: inout PlanInput, version: UInt8, after last: BlockMark, _ lastExceptions: Int
    ) throws(ZstdError) {
        mark = try BlockMark(&input, after: last)
        exceptions = lastExceptions + (try input.number())
        usualBlocks = try input.number()
        runUp = try input.number()
        try readNumbers(&input)
        try check()
        if version > 4 {
            switch try input.byte() {
            case 0: break
            case 1:
                far = try FarText(&input, before: mark.plain - runUp, hasPhases: version > 6)
            case 2 where version > 7:
                guard runUp == 0 else { throw .planDamaged }
                memory = .hints(SearchHints(input.bytes, try input.range(of: input.number()), at: mark.plain))
                return
            default: throw .planDamaged
            }
        }
        memory = .entries(TableEntries(coded: try input.block()))
    }

    /// Reads the next one as versions 2 and 3 have it.
    init(former input: inout PlanInput, after last: RestartPoint) throws(ZstdError) {
        mark.plain = last.mark.plain + (try input.number())
        mark.compressed = last.mark.compressed + (try input.number())
        exceptions = last.exceptions + (try input.number())
        usualBlocks = try input.number()
        runUp = try input.number()
        mark.entropy = try input.number()
        try mark.check(after: last.mark)
        try check()
        mark.wire = try WireState.Mark(&input)
        try readNumbers(&input)
        memory = .entries(try TableEntries(former: &input))
    }

    /// Where the text begins that those have who restart there.
    /// - Parameter reach: Bytes before the point that blocks behind it may look at.
    func textStart(reach: Int) -> Int { hasHints ? mark.plain : max(mark.plain - max(runUp, reach), 0) }

    /// The stretches of the text from `first` to the run-up that are looked at, in order, and the others.
    func textBeforeRunUp(from first: Int) -> (wanted: [Range<Int>], missing: [Range<Int>]) {
        let end = mark.plain - runUp
        guard first < end else { return ([], []) }
        guard let far else { return ([first..<end], []) }
        let wanted = far.ranges(from: first, to: end)
        var missing: [Range<Int>] = []
        var at = first
        for range in wanted + [end..<end] {
            if at < range.lowerBound { missing.append(at..<range.lowerBound) }
            at = range.upperBound
        }
        return (wanted, missing)
    }

    /// Whether the text at `place` is there for who restarts.
    func isThere(_ place: Int) -> Bool { place >= mark.plain - runUp || far?.has(place) != false }

    private mutating func readNumbers(_ input: inout PlanInput) throws(ZstdError) {
        let count = try input.number()
        guard count <= Self.numbersMax else { throw .planDamaged }
        for _ in 0..<count { numbers.append(try input.number()) }
    }

    private func check() throws(ZstdError) {
        guard exceptions < 1 << 56, runUp <= mark.plain, runUp <= Self.runUpMax else { throw .planDamaged }
    }
}

/// The points of a frame, in its order.
struct FramePoints: Equatable {
    var restarts: [RestartPoint] = []
    var wires: [WirePoint] = []

    init() {}

    /// Reads all of a frame.
    init(_ input: inout PlanInput, version: UInt8) throws(ZstdError) {
        guard version > 3 else {
            while !input.isAtEnd {
                restarts.append(try RestartPoint(former: &input, after: restarts.last ?? RestartPoint()))
            }
            return
        }
        var last = BlockMark()
        while !input.isAtEnd {
            switch try input.byte() {
            case 0:
                let point = try RestartPoint(&input, version: version, after: last, restarts.last?.exceptions ?? 0)
                restarts.append(point)
                last = point.mark
            case 1:
                let point = try WirePoint(&input, after: last)
                wires.append(point)
                last = point.mark
            default: throw .planDamaged
            }
        }
    }

    /// The last wire point from which a file's byte at `compressed` of the frame can be made, if one lies behind `start` (in
    /// plain bytes) and before the next restart point.
    func wire(before compressed: Int, behind start: Int) -> WirePoint? {
        wires.last { $0.mark.compressed <= compressed && $0.mark.plain > start }
    }
}
