// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// An encoder's search for matches, a block at a time.
///
/// A model sees the text up to the block's end and nothing of what the encoder really chose, but for the offsets used last:
/// where a stream departs from it, the search of the next block goes on from tables that its own walk filled. That walk is
/// the same when a stream is taken apart and when it is made again, and encoders fall back into step within a few matches.
protocol MatchModel: AnyObject {
    /// Text before a block that it may look at.
    var windowBytes: Int { get }
    /// Plain bytes of a usual block that starts at `position` of the frame.
    func blockBytes(at position: Int) -> Int
    /// Whether the encoder begins a new job at `position`: then nothing is known of earlier blocks but their text.
    func startsJob(at position: Int) -> Bool
    /// Forgets everything: a frame with that header begins.
    func begin(_ header: FrameHeader)
    /// Finds the sequences of a block.
    /// - Parameters:
    ///   - text: The frame's text; places from `start - windowBytes` (and not before 0) up to `end` may be looked at.
    func propose(_ text: UnsafePointer<UInt8>, from start: Int, to end: Int, into list: SequenceList)
    /// Learns the offsets used last, after the block, and whether it was written compressed.
    func settle(recent: (UInt32, UInt32, UInt32), isCompressed: Bool, asProposed: Bool)

    // MARK: starting in the middle

    /// Whether who begins at `position` searches as this one does. A file of another encoder may have blocks that lead a model
    /// where none of its own would.
    func mayRestart(at position: Int) -> Bool
    /// Text before the block at `position` that it and those after it may look at.
    func reach(at position: Int) -> Int
    /// Prepares for a walk that begins at `position` instead of the frame's start: no text before is looked at.
    func beginRunUp(at position: Int)
    /// Such a walk has come to `position`; from now on all text in reach is looked at.
    func endRunUp(at position: Int)
    /// What it knows besides its tables.
    var numbers: [Int] { get }
    /// Takes what another one knew besides its tables.
    /// - Returns: Whether it can be.
    func take(numbers: [Int]) -> Bool
    /// Changes a table entry.
    /// - Returns: Whether it is one that there can be.
    func set(_ entry: TableEntries.Entry, at position: Int, _ text: UnsafePointer<UInt8>) -> Bool
    /// Whether a table entry may have the place so many bytes before `position`.
    func holds(_ distance: Int, before position: Int) -> Bool
    /// Who is told of the matches that the search finds.
    var recorder: HintRecorder? { get set }
    /// How the search is told of matches by hints, and tells of those that it finds.
    var hintForm: HintForm { get }
    /// How many times as long it takes over text as the searches of the usual levels.
    var pace: Int { get }
    /// Forgets all places: the text begins at the block that comes next, and hints say what would be found before.
    func begin(with hints: HintReader)
    /// Whether there were hints that there can not be.
    var wasMisled: Bool { get }
    /// How many slots a place can be in: one a table, two where tables keep two places a slot.
    var slotKinds: Int { get }
    /// The slot of that kind for `place`; eight bytes of text are looked at.
    func slot(_ kind: Int, at place: Int, _ text: UnsafePointer<UInt8>) -> Int
}

/// Comparing text.
enum Matching {
    /// The number of equal bytes at two places, the later one before `end`.
    @inline(__always)
    static func length(_ text: UnsafePointer<UInt8>, _ later: Int, _ earlier: Int, _ end: Int) -> Int {
        var at = later
        let raw = UnsafeRawPointer(text)
        let distance = later &- earlier
        while at &+ 8 <= end {
            let difference =
                raw.loadUnaligned(fromByteOffset: at, as: UInt64.self)
                ^ raw.loadUnaligned(fromByteOffset: at &- distance, as: UInt64.self)
            if difference != 0 { return at &- later &+ difference.littleEndian.trailingZeroBitCount &>> 3 }
            at &+= 8
        }
        while at < end && text[at] == text[at &- distance] { at &+= 1 }
        return at &- later
    }

    @inline(__always)
    static func word4(_ text: UnsafePointer<UInt8>, _ at: Int) -> UInt32 {
        UnsafeRawPointer(text).loadUnaligned(fromByteOffset: at, as: UInt32.self).littleEndian
    }

    @inline(__always)
    static func word8(_ text: UnsafePointer<UInt8>, _ at: Int) -> UInt64 {
        UnsafeRawPointer(text).loadUnaligned(fromByteOffset: at, as: UInt64.self).littleEndian
    }

    /// The hash of the lowest five bytes, `bits` bits.
    @inline(__always)
    static func hash5(_ word: UInt64, _ bits: UInt64) -> Int {
        Int(truncatingIfNeeded: ((word &<< 24) &* 889_523_592_379) &>> (64 &- bits))
    }

    @inline(__always)
    static func hash6(_ word: UInt64, _ bits: UInt64) -> Int {
        Int(truncatingIfNeeded: ((word &<< 16) &* 227_718_039_650_203) &>> (64 &- bits))
    }

    @inline(__always)
    static func hash7(_ word: UInt64, _ bits: UInt64) -> Int {
        Int(truncatingIfNeeded: ((word &<< 8) &* 58_295_818_150_454_627) &>> (64 &- bits))
    }

    @inline(__always)
    static func hash8(_ word: UInt64, _ bits: UInt64) -> Int {
        Int(truncatingIfNeeded: (word &* 0xcf1b_bcdc_b7a5_6463) &>> (64 &- bits))
    }
}
