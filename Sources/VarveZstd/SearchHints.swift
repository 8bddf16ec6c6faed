// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// What a search that begins at a restart point with empty tables is told: the matches that the encoder found in text before the
/// point.
///
/// All places that its tables have behind the point, and all text there, are the encoder's. So a step of the search comes out
/// otherwise only where the encoder's has to do with a place before the point; and where such a match is and how long it is says
/// all that the text there would. It need not be there.
struct SearchHints: Equatable {
    /// The plan that they are a part of, or nothing else but them.
    private var bytes: [UInt8] = []
    private var range = 0..<0
    /// See ``SearchHint/end(from:)``.
    private var last: Int

    /// None so far.
    /// - Parameter point: Where the search begins.
    init(at point: Int) { last = point }

    /// Those of a plan.
    init(_ plan: [UInt8], _ range: Range<Int>, at point: Int) {
        bytes = plan
        self.range = range
        last = point
    }

    /// As they are in the plan.
    var coded: ArraySlice<UInt8> { bytes[range] }

    fileprivate var input: PlanInput { PlanInput(bytes: bytes, range: range) }

    /// Appends the hint for a step at `place`, behind those of the hints before, to some that are no part of a plan.
    mutating func add(_ hint: SearchHint, at place: Int) {
        PlanBytes.put(&bytes, (place - last) << 3 | hint.outcome.rawValue)
        last = hint.end(from: place)
        let back = min(hint.back, Self.backMax)
        PlanBytes.put(&bytes, (hint.length - SearchHint.lengthMin) << 2 | back)
        if back == Self.backMax { PlanBytes.put(&bytes, hint.back - back) }
        if !hint.outcome.isRepeated { PlanBytes.put(&bytes, hint.distance) }
        range = 0..<bytes.count
    }

    static func == (one: Self, other: Self) -> Bool { one.coded == other.coded }

    fileprivate static let backMax = 3
}

/// What comes out of one step.
struct SearchHint: Equatable {
    enum Outcome: Int {
        /// The offset used last is used again.
        case last
        /// The offset used before that one is, right behind a match.
        case former
        /// The first place that is looked up in the tables is a match, or the second or third one.
        case first, second, third

        var isRepeated: Bool { self == .last || self == .former }
    }

    static let lengthMin = 4

    var outcome = Outcome.last
    /// How far before the text at hand the match's source lies, if no offset is used again.
    var distance = 0
    /// Bytes of the match.
    var length = lengthMin
    /// Bytes of it that lie before the place at which it was found.
    var back = 0

    /// A place before the next step with a hint if this one's is `place`: about where the match ends.
    func end(from place: Int) -> Int { place + length - back }

    /// Whether there can be such a match in a block.
    /// - Parameters:
    ///   - place: Where it was found.
    ///   - anchor: Where the match before it ends.
    ///   - end: Where the block ends.
    ///   - distance: How far its source lies before it.
    func fits(_ place: Int, _ anchor: Int, _ end: Int, distance: Int) -> Bool {
        // One that ends where it was found, or before, would not bring the search on.
        back <= place - anchor && length > back && length <= end - place + back && distance > 0
            && distance <= place - back
    }
}

/// Goes along the hints with the search that they are for.
final class HintReader {
    /// What the search's loop looks at.
    struct State {
        /// The place of the next step with a hint; one that there is not at the end.
        var next = Int.max
        var hint = SearchHint()
        /// Whether a hint was one that there can not be.
        var isDamaged = false
    }

    let state: UnsafeMutablePointer<State>
    /// Where the text begins.
    let point: Int
    private var input: PlanInput
    private var last: Int

    /// - Parameter point: Where the search begins.
    init(_ hints: SearchHints, at point: Int) {
        input = hints.input
        last = point
        self.point = point
        state = .allocate(capacity: 1)
        state.initialize(to: State())
        advance()
    }

    deinit { state.deallocate() }

    /// Goes on to the next hint.
    func advance() {
        state.pointee.next = Int.max
        if input.isAtEnd { return }
        do throws(ZstdError) {
            try read()
        } catch {
            state.pointee.isDamaged = true
        }
    }

    private func read() throws(ZstdError) {
        let word = try input.number()
        guard let outcome = SearchHint.Outcome(rawValue: word & 7) else { throw .planDamaged }
        var hint = SearchHint(outcome: outcome)
        let lengths = try input.number()
        hint.length += lengths >> 2
        hint.back = lengths & 3
        if hint.back == SearchHints.backMax { hint.back += try input.number() }
        if !outcome.isRepeated { hint.distance = try input.number() }
        let place = last + word >> 3
        guard place < 1 << 56, hint.back < hint.length, hint.length < 1 << 32 else { throw .planDamaged }
        last = hint.end(from: place)
        state.pointee.next = place
        state.pointee.hint = hint
    }
}

/// Takes the hints down while an encoder's search goes on behind restart points.
final class HintRecorder {
    private var points: [(place: Int, hints: SearchHints)] = []

    /// Points for which hints are taken down: one, and the next one until it is clear whether it stays.
    var count: Int { points.count }

    /// The place of the point opened last: of any match in text before it the recorder has to be told.
    var newest: Int { points.last?.place ?? 0 }

    /// A restart point is at `place`.
    func open(at place: Int) { points.append((place, SearchHints(at: place))) }

    /// The hints so far, of the point opened first or of the one opened last.
    func hints(ofLast: Bool) -> SearchHints? { (ofLast ? points.last : points.first)?.hints }

    /// Takes down no more for one of the two.
    func close(last: Bool) {
        guard !points.isEmpty else { return }
        points.remove(at: last ? points.count - 1 : 0)
    }

    /// A step came to that end.
    /// - Parameter lowest: The first place of those that made it come to it.
    @inline(never)
    func came(to hint: SearchHint, at place: Int, lowest: Int) {
        for index in points.indices where lowest < points[index].place { points[index].hints.add(hint, at: place) }
    }
}
