// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Where the memory begins in which klauspost's encoder of levels 1-6 has its text.
///
/// Pieces are put one behind the other; where the next one does not fit, the last 32 KiB move to the front first. The search
/// does not depend on that, but for one slip of the pen at level 4 (``KlauspostModel/Era/since1_18``), by which the encoder
/// looks at a place that is counted from there.
struct KlauspostHistory {
    /// What the memory holds.
    static let capacity = 5 * piece
    /// How far before a piece its memory may begin.
    static let farthest = capacity - piece
    private static let piece = 65_535
    private static let kept = 32_768

    /// The first byte in memory.
    private(set) var start = 0

    /// Whether text before an encoder's start is what it was given as a dictionary, and not what it has encoded.
    static func isDictionary(_ history: Int, at: Int, origin: Int) -> Bool {
        history > 0 && history <= kept && at - history == origin
    }

    /// The state before the piece that begins at `at`, if the encoder began at `origin`, with a dictionary or without, and has had
    /// nothing but whole pieces since.
    mutating func begin(at: Int, origin: Int) {
        let age = at - origin
        let odd = age % Self.piece
        let dictionary = odd <= Self.kept ? odd : 0
        let pieces = (age - dictionary) / Self.piece
        let fitting = (Self.capacity - dictionary) / Self.piece
        start = origin
        if pieces <= fitting { return }
        let moving = (Self.capacity - Self.kept) / Self.piece
        let last = fitting + (pieces - 1 - fitting) / moving * moving
        start = origin + dictionary + last * Self.piece - Self.kept
    }

    /// A piece comes in.
    mutating func add(_ from: Int, _ end: Int) {
        if end - start > Self.capacity { start = max(start, from - Self.kept) }
    }

    /// All text is forgotten.
    mutating func forget(before position: Int) {
        start = position
    }
}
