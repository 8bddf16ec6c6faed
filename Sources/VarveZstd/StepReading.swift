// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Is told what comes out of the steps of a search, or tells it.
protocol StepReading {
    /// Where the text begins.
    var start: Int { get }
    /// Whether there is a hint for what the search does at `at`.
    func isHinted(_ at: Int) -> Bool
    /// Whether it says that the offset before the last one is used again.
    func isFormerHinted(_ at: Int) -> Bool
    /// That hint.
    func take() -> SearchHint
    /// It was one that there can not be.
    func refuse()
    /// A step at `at` gave a match.
    /// - Parameters:
    ///   - hint: What would say so.
    ///   - lowest: The first place of those that made the search take it.
    func came(to hint: @autoclosure () -> SearchHint, at: Int, lowest: Int)
    /// A step at `at` is over.
    /// - Parameters:
    ///   - lowest: The first place of those that it looked at.
    ///   - hint: What has to be said to those who begin at a point behind it; nil if nothing.
    func came(at: Int, lowest: Int, _ hint: (_ point: Int) -> SearchHint?)
}

/// A search that knows all is told nothing.
extension StepReading {
    @inline(__always)
    var start: Int { 0 }
    @inline(__always)
    func isHinted(_ at: Int) -> Bool { false }
    @inline(__always)
    func isFormerHinted(_ at: Int) -> Bool { false }
    @inline(__always)
    func take() -> SearchHint { SearchHint() }
    @inline(__always)
    func refuse() {}
    @inline(__always)
    func came(at: Int, lowest: Int, _ hint: (_ point: Int) -> SearchHint?) {}
}

/// Nobody wants to know, and the search knows all.
struct Unrecorded: StepReading {
    @inline(__always)
    func came(to hint: @autoclosure () -> SearchHint, at: Int, lowest: Int) {}
}

/// Passes on what those do not know who begin at a point.
struct Recorded: StepReading {
    private let recorder: HintRecorder
    private let newest: Int

    init(_ recorder: HintRecorder) {
        self.recorder = recorder
        newest = recorder.newest
    }

    @inline(__always)
    func came(to hint: @autoclosure () -> SearchHint, at: Int, lowest: Int) {
        if lowest < newest { recorder.came(to: hint(), at: at, lowest: lowest) }
    }

    @inline(__always)
    func came(at: Int, lowest: Int, _ hint: (_ point: Int) -> SearchHint?) {
        if lowest < newest { recorder.came(at: at, lowest: lowest, hint) }
    }
}

/// Tells a search that began at a point what it does not know.
struct Hinted: StepReading {
    private let reader: HintReader
    private let state: UnsafeMutablePointer<HintReader.State>
    let start: Int

    init(_ reader: HintReader) {
        self.reader = reader
        state = reader.state
        start = reader.point
    }

    @inline(__always)
    func isHinted(_ at: Int) -> Bool { state.pointee.next == at }

    @inline(__always)
    func isFormerHinted(_ at: Int) -> Bool { isHinted(at) && state.pointee.isFormer }

    @inline(never)
    func take() -> SearchHint {
        let hint = state.pointee.hint
        reader.advance()
        return hint
    }

    func refuse() { state.pointee.isDamaged = true }

    @inline(__always)
    func came(to hint: @autoclosure () -> SearchHint, at: Int, lowest: Int) {}
}
