// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

extension StreamPrefix {
    /// zlib's descendants, which find hardly any match of three bytes.
    func descendants(_ rule: BlockRule, _ memLevel: Int, _ matches: MatchFacts) -> [StreamParameters] {
        var models: [ModelChoice] = []
        // Where the text is short, the matches say less than they seem to about the window.
        for windowBits in matches.windowBits == 15 ? [15] : [matches.windowBits, 15] {
            for level in [6, 1, 9, 5, 4, 3, 2, 7, 8] {
                models.append(.zlibNG(level: level, hash: .multiplied, windowBits: windowBits))
                if level != 9 { models.append(.zlibNG(level: level, hash: .castagnoli, windowBits: windowBits)) }
                if level == 3 || level == 4 || level == 9 {
                    models.append(
                        .zlibNG(level: level, hash: .castagnoli, before2_1: true, windowBits: windowBits))
                }
                models.append(
                    .chain(
                        .init(
                            level: level, memLevel: memLevel, windowBits: windowBits, strategy: matches.strategy,
                            descendant: .chromium)))
            }
        }
        models.append(.zlibNG(level: 1, hash: .castagnoli, windowBits: 13))
        return models.map { StreamParameters(model: $0, rule: rule, tree: .zlib) }
    }

    /// Sizes of the pieces in which programs often hand over what is to be compressed, where it makes a difference.
    private static let chunks = [
        4096, 8192, 10240, 16384, 20480, 65536, 100_000, 1 << 20, 512, 1000, 1024, 2048, 8000, 10_000, 20_000, 32_000,
        40_960, 50_000, 1_000_000,
    ]

    /// The same for igzip at level 3; 0 for all at once.
    private static let igzipPieces = [
        0, 65536, 128 << 10, 512 << 10, 32768, 16384, 8192, 10240, 256 << 10, 4096, 20480, 100_000, 1_000_000,
    ]

    /// The model with each of the pieces in which it shows whether text was handed over; none if it shows nothing.
    private static func handedOver(_ model: ModelChoice) -> [ModelChoice] {
        switch model {
        case .zlibNG(var model) where model.chunk == 0:
            return chunks.map {
                model.chunk = $0
                return .zlibNG(model)
            }
        case .igzip(var model) where model.level == 3 && model.handed == IgzipModel.Parameters.toolHands:
            return igzipPieces.map {
                model.handed = $0
                return .igzip(model)
            }
        default: return []
        }
    }

    /// The same parameters with the pieces in which the text was handed over, for an encoder that shows them.
    /// - Parameters:
    ///   - usual: What the sample costs with them.
    ///   - best: The same in bytes; set to what it costs with the pieces.
    func handedOver(
        _ found: StreamParameters, _ usual: Cost, _ sample: [StreamElement], _ best: inout Int
    ) -> StreamParameters {
        // About as many as there are buffers of output to be filled say nothing of the input.
        if usual.departures * (80 << 10) < plain.end - start { return found }
        var result = found
        for model in Self.handedOver(found.model) {
            var trial = found
            trial.model = model
            let cost = cost(trial, sample, most: best)
            if cost.bytes < best {
                best = cost.bytes
                result = trial
            }
            if cost.departures * 4 < usual.departures { break }
        }
        return result
    }
}
