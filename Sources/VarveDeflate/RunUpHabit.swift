// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// What the places so far have shown of how far before a place a model has to start so that it is in step there, and of
/// whether that has to be tried each time: a trial takes a fifth of what describing a segment does.
struct RunUpHabit {
    /// Times the usual run-up, in the order in which they are tried.
    static let all = [1, 2, 4]
    /// So often the usual run-up has to be enough before that is taken for granted.
    private static let trialsMin = 8

    /// Trials that are left before the usual run-up is taken for granted.
    private var trialsLeft: Int
    private var places = 0
    /// How many of them the usual run-up was enough for.
    private var usual = 0

    init(_ model: ModelChoice) {
        trialsLeft = model.keepsStep ? 0 : Self.trialsMin
    }

    /// Whether the model will be in step behind the usual run-up.
    var isSure: Bool { trialsLeft == 0 }

    /// The usual run-up is left out where it is mostly too short.
    var worthTrying: ArraySlice<Int> { usual * 2 < places ? Self.all.dropFirst() : Self.all[...] }

    /// Takes a place into account.
    mutating func take(_ restart: AnalysisPass.Restart) {
        if restart.runUps == 0 { return }
        places += 1
        if restart.runUps == 1 {
            usual += 1
            trialsLeft = max(trialsLeft - 1, 0)
        } else {
            doubt()
        }
    }

    /// The usual run-up was not enough.
    mutating func doubt() { trialsLeft = Self.trialsMin }
}
