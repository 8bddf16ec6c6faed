// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// What the match searches of libzstd have in common: tables of indexes, offsets that go from block to block, and jobs.
///
/// With jobs, as the zstd command has them, the text is cut into sections of the same size, each knowing only a stretch of
/// text before it, not even the offsets used last.
class ReferenceModel: MatchModel {
    struct Settings: Hashable {
        var windowLog = 21
        /// Of the long or only table.
        var longLog = 17
        var shortLog = 16
        /// Bytes hashed for the short or only table.
        var shortBytes = 5
        /// Log of the size of jobs; 0 for none.
        var jobLog = 0
        /// Whether "dfast" weighs a short match against a long one at the next place (1.5.7).
        var isNew = false
        /// Whether the text went through a buffer one block longer than the window, as with libzstd's streaming calls: where
        /// the buffer wraps around a section begins that has the one before it only as a dictionary.
        var isStream = false
    }

    /// A table of indexes; 0 and 1 are none.
    struct Table {
        let entries: UnsafeMutablePointer<UInt32>
        let count: Int
    }

    let settings: Settings
    let windowBytes: Int
    let tables: [Table]
    /// The place that counts as index 2: where the text known to this job begins.
    final private(set) var base = 0
    /// No place before this is looked at.
    final private(set) var floor = 0
    /// The offsets used last, before the block and after it if it is as proposed. 0 for none.
    final private(set) var recent = (0, 0)
    final var found = (0, 0)
    final var recorder: HintRecorder?
    final private(set) var hints: HintReader?
    final var hintForm: HintForm { .places }
    final var pace: Int { 1 }

    init(_ settings: Settings, tableLogs: [Int]) {
        self.settings = settings
        windowBytes = 1 << settings.windowLog
        tables = tableLogs.map { log in
            let entries = UnsafeMutablePointer<UInt32>.allocate(capacity: 1 << log)
            entries.initialize(repeating: 0, count: 1 << log)
            return Table(entries: entries, count: 1 << log)
        }
    }

    deinit { for table in tables { table.entries.deallocate() } }

    final func blockBytes(at position: Int) -> Int { min(ZstdTables.blockMax, windowBytes) }

    final func startsJob(at position: Int) -> Bool {
        settings.jobLog > 0 && position > 0 && position & (1 << settings.jobLog - 1) == 0
    }

    final func begin(_ header: FrameHeader) {
        base = 0
        floor = 0
        recent = (1, 4)
        found = recent
        hints = nil
        clear()
    }

    private func clear() {
        for table in tables { table.entries.update(repeating: 0, count: table.count) }
    }

    final func settle(recent last: (UInt32, UInt32, UInt32), isCompressed: Bool, asProposed: Bool) {
        if !isCompressed { return }
        recent = asProposed ? found : (Int(last.0), Int(last.1))
    }

    final func propose(_ text: UnsafePointer<UInt8>, from start: Int, to end: Int, into list: SequenceList) {
        list.count = 0
        if startsJob(at: start) {
            clear()
            hints = nil
            recent = (0, 0)
            base = jobBase(at: start)
            floor = base
            learn(text, start)
        }
        found = recent
        if end &- start < 7 || end &- base > 1 << 31 { return }
        search(text, start, end, list)
    }

    /// Where the text begins that a job which starts at `start` knows.
    private func jobBase(at start: Int) -> Int { max(start - Self.jobReach(windowBytes), 0) }

    /// The same for the job that `position` lies in.
    private func jobBase(of position: Int) -> Int {
        settings.jobLog > 0 ? jobBase(at: (position >> settings.jobLog) << settings.jobLog) : 0
    }

    /// Plain bytes before a job that it knows.
    static func jobReach(_ windowBytes: Int) -> Int { windowBytes >> 3 }

    /// Where the text begins that lies in one piece with the block at `position`.
    @inline(__always)
    final func section(of position: Int) -> Int {
        guard settings.isStream else { return base }
        let block = min(ZstdTables.blockMax, windowBytes)
        return position / (windowBytes + block) * (windowBytes + block)
    }

    /// Fills the tables from the text between `base` and the start of a job.
    func learn(_ text: UnsafePointer<UInt8>, _ start: Int) {}

    /// Finds the sequences of a block of seven bytes or more. The list is empty.
    func search(_ text: UnsafePointer<UInt8>, _ start: Int, _ end: Int, _ list: SequenceList) {}

    /// The slot of the lowest bytes of a word.
    @inline(__always)
    final func slot(_ word: UInt64, _ bits: UInt64, _ bytes: Int) -> Int {
        switch bytes {
        case 5: return Matching.hash5(word, bits)
        case 6: return Matching.hash6(word, bits)
        case 7: return Matching.hash7(word, bits)
        default:
            return Int(truncatingIfNeeded: (UInt32(truncatingIfNeeded: word) &* 2_654_435_761) &>> UInt32(32 &- bits))
        }
    }

    // MARK: starting in the middle

    /// Not if a block went over the place where a job would have begun: then it goes on with the text of the job before.
    final func mayRestart(at position: Int) -> Bool { startsJob(at: position) || base == jobBase(of: position) }

    final func reach(at position: Int) -> Int { startsJob(at: position) ? Self.jobReach(windowBytes) : windowBytes }

    final func beginRunUp(at position: Int) {
        base = jobBase(of: position)
        floor = position
        recent = (0, 0)
    }

    final func endRunUp(at position: Int) { floor = max(position - reach(at: position), 0) }

    final func begin(with hints: HintReader) {
        base = jobBase(of: hints.point)
        endRunUp(at: hints.point)
        clear()
        self.hints = hints
    }

    final var wasMisled: Bool { hints?.state.pointee.isDamaged == true }

    final var numbers: [Int] { [recent.0, recent.1] }

    final func take(numbers: [Int]) -> Bool {
        guard numbers.count == 2 else { return false }
        recent = (numbers[0], numbers[1])
        return true
    }

    final func set(_ entry: TableEntries.Entry, at position: Int, _ text: UnsafePointer<UInt8>) -> Bool {
        let place = position - entry.distance
        guard entry.distance == 0 || holds(entry.distance, before: position) else { return false }
        var slot = entry.slot
        for table in tables {
            if slot < table.count {
                table.entries[slot] = entry.distance == 0 ? 0 : UInt32(truncatingIfNeeded: place - base + 2)
                return true
            }
            slot -= table.count
        }
        return false
    }

    final func holds(_ distance: Int, before position: Int) -> Bool {
        let place = position - distance
        return distance > 0 && place >= max(floor, base) && place - base < 1 << 31
    }

    final var slotKinds: Int { tables.count }

    final func slot(_ kind: Int, at place: Int, _ text: UnsafePointer<UInt8>) -> Int {
        let word = Matching.word8(text, place)
        if kind == 0 { return firstSlot(word) }
        return tables[0].count + slot(word, UInt64(settings.shortLog), settings.shortBytes)
    }

    /// The slot of the long or only table.
    func firstSlot(_ word: UInt64) -> Int { 0 }
}
