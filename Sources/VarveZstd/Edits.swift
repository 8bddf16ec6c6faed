// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// How the sequences of a block differ from the proposed ones: stretches to keep, to leave out and to put in.
struct Edits: Equatable {
    struct Step: Equatable {
        var kept: Int
        var removed: Int
        var added: [Sequence]
    }

    var steps: [Step] = []

    init() {}

    /// Finds the differences. Both lists describe the same text, so after a departure they are in step again as soon as a
    /// match of each ends at the same byte.
    init(from proposed: SequenceList, to real: SequenceList) {
        var (i, j) = (0, 0)
        var kept = 0
        while i < proposed.count || j < real.count {
            if i < proposed.count, j < real.count, proposed.base[i] == real.base[j] {
                kept += 1
                i += 1
                j += 1
                continue
            }
            var step = Step(kept: kept, removed: 0, added: [])
            kept = 0
            var proposedEnd = 0
            var realEnd = 0
            repeat {
                if j >= real.count || (i < proposed.count && proposedEnd <= realEnd) {
                    proposedEnd += Int(proposed.base[i].literals) + Int(proposed.base[i].length)
                    i += 1
                    step.removed += 1
                } else {
                    realEnd += Int(real.base[j].literals) + Int(real.base[j].length)
                    step.added.append(real.base[j])
                    j += 1
                }
            } while proposedEnd != realEnd && (i < proposed.count || j < real.count)
            steps.append(step)
        }
    }

    /// Makes the real list out of the proposed one.
    /// - Returns: Whether the steps fit it.
    func apply(to proposed: SequenceList, into real: SequenceList) -> Bool {
        real.count = 0
        var at = 0
        for step in steps {
            guard step.kept + step.removed <= proposed.count - at,
                real.count + step.kept + step.added.count <= SequenceList.capacity
            else { return false }
            for index in at..<(at + step.kept) {
                real.base[real.count] = proposed.base[index]
                real.count += 1
            }
            for each in step.added {
                real.base[real.count] = each
                real.count += 1
            }
            at += step.kept + step.removed
        }
        let rest = proposed.count - at
        guard real.count + rest <= SequenceList.capacity else { return false }
        for index in at..<proposed.count {
            real.base[real.count] = proposed.base[index]
            real.count += 1
        }
        return true
    }
}

/// What has to be known of a block beyond the models.
enum BlockException: Equatable {
    /// Only its length or its last-block flag is unusual.
    case proposed
    /// Its sequences (by edits) and, if the entropy model is wrong too, its layout.
    case other(Edits, BlockLayout?)
    /// The content of a compressed block that is written in an unusual way.
    case verbatim([UInt8])
}
