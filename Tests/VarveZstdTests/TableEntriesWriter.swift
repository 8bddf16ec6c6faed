// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

@testable import VarveZstd

/// Writes table entries as plans up to version 8 have them.
extension TableEntries {
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
        var bytes: [UInt8] = []
        PlanBytes.put(&bytes, needed.listed.count)
        var slot = 0
        for entry in needed.listed.sorted(by: { $0.slot < $1.slot }) {
            PlanBytes.put(&bytes, entry.slot - slot)
            PlanBytes.put(&bytes, entry.distance)
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
            PlanBytes.put(&bytes, (distance - last) * (1 << kinds - 1) + mask - 1)
            last = distance
        }
        self.init(coded: bytes)
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

extension KlauspostModel {
    /// Goes over the table entries that another model of the same parameters has otherwise, of those that still matter at
    /// `position`, by rising slots: calls `take` with what the other one has, until that says that it is enough.
    func compare(with other: KlauspostModel, at position: Int, _ take: (TableEntries.Entry) -> Bool) {
        var first = 0
        // What lies before is out of reach for good.
        let lowest = max(position - windowBytes, -1)
        for (table, otherTable) in zip(tables, other.tables) {
            let parts = table.parts
            for index in 0..<(1 << Int(table.bits)) {
                for part in 0..<parts {
                    let bits: UInt64 = part == 0 ? 32 : 0
                    let here = Int(table.entries[index] >> bits & 0xffff_ffff) - shift
                    let there = Int(otherTable.entries[index] >> bits & 0xffff_ffff) - other.shift
                    if here == there || here <= lowest && there <= lowest { continue }
                    let distance = there > lowest ? position - there : 0
                    if !take(TableEntries.Entry(slot: first + parts * index + part, distance: distance)) { return }
                }
            }
            first += parts << Int(table.bits)
        }
    }
}
