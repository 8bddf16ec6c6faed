// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Where a stream shows that its encoder's input ended: at flush markers, at the ends of members, and where pigz does
/// without a marker.
///
/// pigz flushes to a byte boundary with empty fixed blocks, or with a stored one where these would not get there, so that
/// after one block in eight there is nothing to be flushed. Its input ended there all the same, which `pigz -R` does every few
/// kilobytes: whoever does not know finds tokens wrong, and no model fitting.
struct InputEndings {
    /// Offsets from the start of all plain bytes, ascending.
    private(set) var places: [Int] = []
    /// Where it may have ended without a marker, should it be pigz.
    private var suspects: [Int] = []
    private var pads = Padding.unseen
    /// Whether the last block was an empty fixed one, and whether it was one that its encoder's rule may not have ended.
    private var wasPadding = false
    private var endedEarly = false

    /// Whether empty fixed blocks lead to a byte boundary each time, as only pigz's do.
    private enum Padding { case unseen, toByte, other }

    /// A block of so many tokens has ended because it was full: pigz knows no other size. Stored, it has no fewer bytes.
    private static let full = 16383
    private static let suspectsMost = 256

    /// Takes the next block.
    mutating func take(_ block: DeflateBlock) {
        let isPadding = block.isMarker && block.kind == .fixed
        if wasPadding && !isPadding { padded(block.bitStart & 7 == 0) }
        if endedEarly && !block.isMarker && block.bitStart & 7 == 0 { suspect(block.plainStart) }
        wasPadding = isPadding
        let isFull =
            block.kind == .stored ? block.plainCount >= Self.full : block.tokenCount == Self.full
        endedEarly = !isFull && block.plainCount > 0 && !block.isFinal && !block.isOpen
        if block.isMarker || block.isFinal { places.append(block.plainStart + block.plainCount) }
    }

    /// Where the last job begins, of those at or before `offset`, if each goes to the last of the places within `size` bytes
    /// of its start: as far as the places seen so far say.
    /// - Parameter first: Where one begins.
    func lastJob(upTo offset: Int, from first: Int, size: Int) -> Int {
        var job = first
        var reach = first
        for place in places where place > first {
            if place - job > size {
                if reach > offset { break }
                job = reach
            }
            reach = place
        }
        return job
    }

    /// Forgets those up to `offset`.
    mutating func drop(upTo offset: Int) {
        places.removeAll { $0 <= offset }
        suspects.removeAll { $0 <= offset }
    }

    private mutating func padded(_ toByte: Bool) {
        if !toByte {
            pads = .other
            suspects = []
        } else if pads == .unseen {
            pads = .toByte
            places = (places + suspects).sorted()
            suspects = []
        }
    }

    private mutating func suspect(_ place: Int) {
        switch pads {
        case .toByte: places.append(place)
        case .unseen where suspects.count < Self.suspectsMost: suspects.append(place)
        default: break
        }
    }
}
