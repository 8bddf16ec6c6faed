// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Entries of search tables that are written down.
///
/// A slot is the hash of the text at the place that it holds, so that the place says all, but for which tables have it. Places
/// are taken from the last one backwards. What has no place or another slot than its text says is listed by slot.
struct TableEntries: Equatable {
    struct Entry: Equatable {
        var slot: Int
        /// How far before the point its place is, 0 for none.
        var distance: Int
    }

    /// As they are in the plan.
    private(set) var coded: [UInt8] = []
    /// Those of a plan of a former version.
    private var listed: [Entry] = []

    private static let formerMax = 1 << 16
    /// A slot's text must lie before the point.
    fileprivate static let hashBytes = 8

    init() {}

    /// - Parameter coded: As they are in the plan.
    init(coded: [UInt8]) { self.coded = coded }

    /// Reads the entries of versions 2 and 3.
    init(former input: inout PlanInput) throws(ZstdError) {
        let count = try input.number()
        guard count <= Self.formerMax else { throw .planDamaged }
        try Self.read(&input, count) { listed.append($0) }
    }

    /// - Parameters:
    ///   - entries: By rising slots.
    ///   - position: The point's place.
    init(_ entries: [Entry], of model: any MatchModel, at position: Int, _ text: UnsafePointer<UInt8>) {
        var needed = NeededEntries()
        for entry in entries {
            if entry.distance == 0 {
                needed.clear(entry.slot)
            } else {
                needed.add(entry.slot, entry.distance, model, text, at: position)
            }
        }
        self.init(needed, kinds: model.slotKinds)
    }

    /// - Parameter kinds: The model's.
    init(_ needed: NeededEntries, kinds: Int) {
        PlanBytes.put(&coded, needed.listed.count)
        var slot = 0
        for entry in needed.listed.sorted(by: { $0.slot < $1.slot }) {
            PlanBytes.put(&coded, entry.slot - slot)
            PlanBytes.put(&coded, entry.distance)
            slot = entry.slot
        }
        let placed = needed.placed.sorted { $0.distance < $1.distance }
        var last = 0
        var index = 0
        while index < placed.count {
            let distance = placed[index].distance
            var mask = 0
            while index < placed.count, placed[index].distance == distance {
                mask |= 1 << placed[index].kind
                index += 1
            }
            PlanBytes.put(&coded, (distance - last) * (1 << kinds - 1) + mask - 1)
            last = distance
        }
    }

    private static func read(
        _ input: inout PlanInput, _ count: Int, _ take: (Entry) throws(ZstdError) -> Void
    ) throws(ZstdError) {
        var slot = 0
        for _ in 0..<count {
            slot += try input.number()
            guard slot < 1 << 32 else { throw .planDamaged }
            try take(Entry(slot: slot, distance: try input.number()))
        }
    }

    /// Puts them into the tables of a model that ran up to `position`.
    /// - Parameter isThere: Whether the text at a place is. Entries with other places are left empty: those are not looked at.
    func apply(
        to model: any MatchModel, at position: Int, _ text: UnsafePointer<UInt8>,
        _ isThere: (Int) -> Bool = { _ in true }
    ) throws(ZstdError) {
        try each(of: model, at: position, text, isThere) { (entry, isThere) throws(ZstdError) in
            let distance = isThere ? entry.distance : 0
            guard model.set(Entry(slot: entry.slot, distance: distance), at: position, text) else { throw .planDamaged }
        }
    }

    /// Goes over the entries: all that are listed by slot, and of the others those of places of which `isWanted` says so. Without
    /// its text nobody knows the slot of such a place, and what the run-up left there was no match, or it would be listed.
    private func each(
        of model: any MatchModel, at position: Int, _ text: UnsafePointer<UInt8>, _ isWanted: (Int) -> Bool,
        _ take: (Entry, _ isWanted: Bool) throws(ZstdError) -> Void
    ) throws(ZstdError) {
        func list(_ entry: Entry) throws(ZstdError) {
            try take(entry, entry.distance == 0 || isWanted(position - entry.distance))
        }
        for entry in listed { try list(entry) }
        if coded.isEmpty { return }
        var input = PlanInput(bytes: coded, range: 0..<coded.count)
        try Self.read(&input, try input.number(), list)
        let kinds = model.slotKinds
        let masks = 1 << kinds - 1
        var distance = 0
        while !input.isAtEnd {
            let value = try input.number()
            let (step, mask) = (value / masks, value % masks + 1)
            distance += step
            guard step > 0, distance >= Self.hashBytes, model.holds(distance, before: position) else {
                throw .planDamaged
            }
            guard isWanted(position - distance) else { continue }
            for kind in 0..<kinds where mask & 1 << kind != 0 {
                try take(Entry(slot: model.slot(kind, at: position - distance, text), distance: distance), true)
            }
        }
    }
}

/// Entries that are to be written, in any order, no slot twice.
struct NeededEntries {
    /// Those of which the place says the slot.
    private(set) var placed: [(distance: Int, kind: Int)] = []
    private(set) var listed: [TableEntries.Entry] = []

    /// - Parameter position: The point's place; the entry's lies `distance` before.
    mutating func add(
        _ slot: Int, _ distance: Int, _ model: any MatchModel, _ text: UnsafePointer<UInt8>, at position: Int
    ) {
        let kind =
            distance < TableEntries.hashBytes
            ? nil : (0..<model.slotKinds).first { model.slot($0, at: position - distance, text) == slot }
        if let kind {
            placed.append((distance, kind))
        } else {
            listed.append(TableEntries.Entry(slot: slot, distance: distance))
        }
    }

    /// The slot has no place.
    mutating func clear(_ slot: Int) { listed.append(TableEntries.Entry(slot: slot, distance: 0)) }
}
