// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Which encoder a stream is taken to come from. The numbers written into plans are format: never reused, never renumbered.
enum ModelChoice: Equatable {
    case generic(GenericModel.Parameters)

    /// How a segment in the middle of a stream gets at the model's state.
    enum RunUp: Equatable {
        /// All positions are hashed: 32 KiB of history, and a start at the end of a match.
        case history
        /// The tables depend on the tokens: start so many plain bytes earlier with empty ones.
        case tokens(Int)
    }

    var runUp: RunUp {
        switch self {
        case .generic: return .history
        }
    }

    /// Family and parameters as the plan holds them.
    var raw: [Int] {
        switch self {
        case .generic(let p): return [0, p.hashBytes, p.depth]
        }
    }

    init?(raw: [Int]) {
        guard raw.count == 3 else { return nil }
        switch raw[0] {
        case 0:
            guard raw[1] == 3 || raw[1] == 4, raw[2] > 0, raw[2] <= 1 << 16 else { return nil }
            self = .generic(.init(hashBytes: raw[1], depth: raw[2]))
        default: return nil
        }
    }

    func makeWalk(_ parameters: StreamParameters) -> any SegmentCoding {
        switch self {
        case .generic(let p): return SegmentWalk(parameters: parameters, model: GenericModel(p))
        }
    }

    /// The name in tables and logs.
    var name: String {
        switch self {
        case .generic(let p): return "generic-\(p.hashBytes)-\(p.depth)"
        }
    }
}
