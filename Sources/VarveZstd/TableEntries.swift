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
    static let hashBytes = 8

    init() {}

    /// - Parameter coded: As they are in the plan.
    init(coded: [UInt8]) { self.coded = coded }

    /// Reads the entries of versions 2 and 3.
    init(former input: inout PlanInput) throws(ZstdError) {
        let count = try input.number()
        guard count <= Self.formerMax else { throw .planDamaged }
        try Self.read(&input, count) { listed.append($0) }
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
