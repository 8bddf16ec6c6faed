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
    private let form: HintForm

    /// None so far.
    /// - Parameter point: Where the search begins.
    init(at point: Int, _ form: HintForm = .places) {
        last = point
        self.form = form
    }

    /// Those of a plan, which nobody adds to.
    init(_ plan: [UInt8], _ range: Range<Int>, at point: Int) {
        bytes = plan
        self.range = range
        last = point
        form = .places
    }

    /// As they are in the plan.
    var coded: ArraySlice<UInt8> { bytes[range] }

    fileprivate var input: PlanInput { PlanInput(bytes: bytes, range: range) }

    /// Appends the hint for a step at `place`, behind those of the hints before, to some that are no part of a plan.
    mutating func add(_ hint: SearchHint, at place: Int) {
        PlanBytes.put(&bytes, (place - last) << 3 | hint.code)
        range = 0..<bytes.count
        if form.isNone(hint.code) {
            last = place
            return
        }
        last = hint.end(from: place)
        let begin = hint.back > 0 ? hint.back + form.ahead : -hint.back
        let short = min(begin, Self.beginMax)
        PlanBytes.put(&bytes, (hint.length - SearchHint.lengthMin) << 2 | short)
        if short == Self.beginMax { PlanBytes.put(&bytes, begin - short) }
        if !form.isRepeated(hint.code) { PlanBytes.put(&bytes, hint.distance) }
        range = 0..<bytes.count
    }

    static func == (one: Self, other: Self) -> Bool { one.coded == other.coded }

    fileprivate static let beginMax = 3
}

/// What the hints of a search say.
struct HintForm: Equatable {
    /// A bit for each code that there is, for those that say of no match, and for those of a match at an offset used before.
    private let known: UInt8
    private let none: UInt8
    private let repeated: UInt8
    /// How many bytes behind the place of its step a match may begin.
    fileprivate let ahead: Int
    /// The code of a match by the offset before the last one, right behind a match; then there is no distance, or it is 0.
    private let former: Int

    /// The code says which of few places that are looked up is a match, see ``SearchHint/Outcome``.
    static let places = HintForm(known: 0b1_1111, none: 0, repeated: 0b11, ahead: 0, former: 1)
    /// The same for a search that then looks for a longer match from behind.
    static let longer = HintForm(known: 0b1111, none: 0, repeated: 0b11, ahead: 4, former: 1)
    /// The code says what the best of all candidates is, see ``BestMatch/recent``: even none.
    static let candidates = HintForm(known: 0xff, none: 1, repeated: 0b1110_1110, ahead: 7, former: newOffset)
    static let noMatch = 0
    static let newOffset = 4

    fileprivate func isKnown(_ code: Int) -> Bool { known >> code & 1 != 0 }
    fileprivate func isNone(_ code: Int) -> Bool { none >> code & 1 != 0 }
    fileprivate func isRepeated(_ code: Int) -> Bool { repeated >> code & 1 != 0 }
    fileprivate func isFormer(_ hint: SearchHint) -> Bool { hint.code == former && hint.distance == 0 }
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
    }

    static let lengthMin = 4

    /// What the match is, in the search's ``HintForm``.
    var code = 0
    /// How far before the text at hand the match's source lies, if no offset is used again.
    var distance = 0
    /// Bytes of the match.
    var length = lengthMin
    /// Bytes of it that lie before the place of its step, or that at which it was found; less than 0 if it begins behind.
    var back = 0

    init(code: Int = 0, distance: Int = 0, length: Int = lengthMin, back: Int = 0) {
        self.code = code
        self.distance = distance
        self.length = length
        self.back = back
    }

    init(outcome: Outcome, distance: Int = 0, length: Int = lengthMin, back: Int = 0) {
        self.init(code: outcome.rawValue, distance: distance, length: length, back: back)
    }

    /// The code as those say it who know no other ones.
    var outcome: Outcome { Outcome(rawValue: code) ?? .former }

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
        /// Whether that says that the offset before the last one is used again right behind a match.
        var isFormer = false
        /// Whether a hint was one that there can not be.
        var isDamaged = false
    }

    let state: UnsafeMutablePointer<State>
    /// Where the text begins.
    let point: Int
    private var input: PlanInput
    private var last: Int
    private let form: HintForm

    /// - Parameter point: Where the search begins.
    init(_ hints: SearchHints, at point: Int, _ form: HintForm = .places) {
        input = hints.input
        last = point
        self.point = point
        self.form = form
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
        let place = last + word >> 3
        var hint = SearchHint(code: word & 7, length: 0)
        guard place < 1 << 56, form.isKnown(hint.code) else { throw .planDamaged }
        if !form.isNone(hint.code) {
            let lengths = try input.number()
            hint.length = SearchHint.lengthMin + lengths >> 2
            var begin = lengths & 3
            if begin == SearchHints.beginMax { begin += try input.number() }
            hint.back = begin > form.ahead ? begin - form.ahead : -begin
            if !form.isRepeated(hint.code) { hint.distance = try input.number() }
            guard hint.back < hint.length, hint.length < 1 << 32 else { throw .planDamaged }
        }
        last = hint.end(from: place)
        state.pointee.next = place
        state.pointee.hint = hint
        state.pointee.isFormer = form.isFormer(hint)
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
    func open(at place: Int, _ form: HintForm = .places) { points.append((place, SearchHints(at: place, form))) }

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

    /// The same where the hint depends on the point.
    /// - Parameter hint: The point's; nil if it needs none.
    @inline(never)
    func came(at place: Int, lowest: Int, _ hint: (_ point: Int) -> SearchHint?) {
        for index in points.indices where lowest < points[index].place {
            if let hint = hint(points[index].place) { points[index].hints.add(hint, at: place) }
        }
    }
}
