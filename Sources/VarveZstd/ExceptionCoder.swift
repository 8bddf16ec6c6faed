// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// An exception with the place it is for.
struct PlacedException: Equatable {
    /// Blocks before it, since the last exception, that are as the models say.
    var usualBlocks: Int
    /// Plain bytes of its block, if not the usual number.
    var plainCount: Int?
    /// Its last-block flag.
    var isLast = false
    var exception: BlockException

    /// Appends it to a frame's exceptions.
    func put(_ bytes: inout [UInt8]) {
        PlanBytes.put(&bytes, usualBlocks)
        var flags: UInt8 = (plainCount == nil ? 0 : 1) | (isLast ? 2 : 0)
        switch exception {
        case .proposed: break
        case .other(_, let layout): flags |= layout == nil ? 4 : 8
        case .verbatim: flags |= 12
        }
        bytes.append(flags)
        if let plainCount { PlanBytes.put(&bytes, plainCount) }
        switch exception {
        case .proposed: break
        case .verbatim(let content): PlanBytes.put(&bytes, content)
        case .other(let edits, let layout):
            if let layout { Self.put(&bytes, layout) }
            if layout?.kind ?? .compressed == .compressed { Self.put(&bytes, edits) }
        }
    }

    private static func put(_ bytes: inout [UInt8], _ layout: BlockLayout) {
        bytes.append(layout.kind.rawValue | layout.literalKind.rawValue << 2 | layout.literalFormat << 4)
        guard layout.kind == .compressed else { return }
        bytes.append(layout.modes)
        PlanBytes.put(&bytes, layout.tree)
        for table in layout.tables { PlanBytes.put(&bytes, table) }
    }

    private static func put(_ bytes: inout [UInt8], _ edits: Edits) {
        PlanBytes.put(&bytes, edits.steps.count)
        for step in edits.steps {
            PlanBytes.put(&bytes, step.kept)
            PlanBytes.put(&bytes, step.removed)
            PlanBytes.put(&bytes, step.added.count)
            for each in step.added {
                PlanBytes.put(&bytes, Int(each.literals))
                PlanBytes.put(&bytes, Int(each.length))
                PlanBytes.put(&bytes, Int(each.offset))
            }
        }
    }

    /// Reads the next one.
    init(_ input: inout PlanInput) throws(ZstdError) {
        usualBlocks = try input.number()
        let flags = try input.byte()
        guard flags < 16 else { throw .planDamaged }
        isLast = flags & 2 != 0
        if flags & 1 != 0 {
            let count = try input.number()
            guard count <= ZstdTables.blockMax else { throw .planDamaged }
            plainCount = count
        }
        switch flags & 12 {
        case 0: exception = .proposed
        case 12: exception = .verbatim(try input.block())
        case 4: exception = .other(try Self.edits(&input), nil)
        default:
            let layout = try Self.layout(&input)
            exception = .other(layout.kind == .compressed ? try Self.edits(&input) : Edits(), layout)
        }
    }

    init(usualBlocks: Int, plainCount: Int?, isLast: Bool, exception: BlockException) {
        self.usualBlocks = usualBlocks
        self.plainCount = plainCount
        self.isLast = isLast
        self.exception = exception
    }

    private static func layout(_ input: inout PlanInput) throws(ZstdError) -> BlockLayout {
        var layout = BlockLayout()
        let first = try input.byte()
        guard let kind = BlockLayout.Kind(rawValue: first & 3),
            let literalKind = BlockLayout.LiteralKind(rawValue: first >> 2 & 3), first < 64
        else { throw .planDamaged }
        layout.kind = kind
        layout.literalKind = literalKind
        layout.literalFormat = first >> 4
        guard kind == .compressed else { return layout }
        layout.modes = try input.byte()
        layout.tree = try input.block()
        layout.tables = [try input.block(), try input.block(), try input.block()]
        guard layout.tree.count <= 129, layout.tables.allSatisfy({ $0.count <= 128 }) else { throw .planDamaged }
        return layout
    }

    private static func edits(_ input: inout PlanInput) throws(ZstdError) -> Edits {
        var edits = Edits()
        let count = try input.number()
        guard count <= SequenceList.capacity else { throw .planDamaged }
        var total = 0
        for _ in 0..<count {
            var step = Edits.Step(kept: try input.number(), removed: try input.number(), added: [])
            let added = try input.number()
            total += added
            guard total <= SequenceList.capacity, step.kept <= SequenceList.capacity,
                step.removed <= SequenceList.capacity
            else { throw .planDamaged }
            for _ in 0..<added {
                let (literals, length, offset) = (try input.number(), try input.number(), try input.number())
                guard literals <= ZstdTables.blockMax, length <= ZstdTables.blockMax, offset < 1 << 31 else {
                    throw .planDamaged
                }
                step.added.append(
                    Sequence(literals: UInt32(literals), length: UInt32(length), offset: UInt32(offset)))
            }
            edits.steps.append(step)
        }
        return edits
    }
}
