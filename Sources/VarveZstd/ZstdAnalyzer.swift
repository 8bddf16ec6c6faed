// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Makes a reconstruction plan out of a zstd file, handing out its plain bytes on the way.
///
/// Memory is bounded: three windows of text, two if they are large, and up to some ten megabytes.
package struct ZstdAnalyzer {
    /// What came of it.
    package enum Result {
        /// The plan, and what it says in short.
        case plan([UInt8], Summary)
        /// The file cannot or should not be taken apart; the word is stable, for counting.
        case unsupported(reason: String)
    }

    /// Facts about a plan, for tables and counters.
    package struct Summary: Sendable {
        /// The encoder's name.
        package var encoder = ""
        package var frames = 0
        package var blocks = 0
        /// Blocks that the models do not give.
        package var exceptions = 0
        package var exceptionBytes = 0
        /// Blocks in the middle of frames from which on the file can be made.
        package var points = 0
        package var compressedBytes = 0
        package var plainBytes = 0
    }

    /// Plain bytes looked at to find the encoder.
    package static let prefixBytes = 1_600_000
    /// Bytes of exceptions at which a look at the prefix ends.
    private static let costMax = 128 << 10
    /// A plan may cost so much of the file, in percent.
    package static let planPercentMax = 10

    private let source: ZstdSource

    /// - Parameter source: Reads the compressed file at any offset; called again for a prefix that was already read.
    package init(source: @escaping ZstdSource) {
        self.source = source
    }

    /// Runs over the whole file.
    /// - Parameter sink: Gets the plain bytes in order, in pieces. After an `unsupported` it may have had some or none.
    /// - Throws: Only what `source` and `sink` throw.
    package func analyze(sink: (UnsafeRawBufferPointer) throws -> Void) throws -> Result {
        do {
            guard let header = try firstHeader() else { throw ZstdError("no-frame") }
            let candidates = ZstdParameters.candidates(header)
            for likely in candidates {
                let trial = try analyze(trying: likely, sink: sink)
                if let result = trial.result { return result }
                if trial.end < Self.glimpseBytes { continue }
                let kin = trial.end >= likely.kinBytes ? likely.kin(among: candidates) : []
                for other in kin {
                    if let result = try analyze(trying: other, sink: sink).result { return result }
                }
                if !kin.isEmpty,
                    let found = try Self.identify(source, kin + [likely], prefix: likely.tellingBytes)
                {
                    return try analyze(with: found.parameters, sink: sink)
                }
                break
            }
            guard let found = try Self.identify(source, candidates) else { return .unsupported(reason: "unknown") }
            return try analyze(with: found.parameters, sink: sink)
        } catch let error as ZstdError {
            return .unsupported(reason: error.reason)
        }
    }

    /// The main pass, with the encoder known.
    func analyze(with parameters: ZstdParameters, sink: (UnsafeRawBufferPointer) throws -> Void) throws -> Result {
        let pass = ZstdPass(source: source, parameters: parameters)
        pass.isWhole = true
        try pass.run(plainMax: .max, sink: sink)
        return result(of: pass)
    }

    /// The main pass with a likely encoder.
    /// - Returns: No result if the first bytes show that it may be another one; `sink` had nothing then. And the plain bytes seen.
    private func analyze(
        trying parameters: ZstdParameters, sink: (UnsafeRawBufferPointer) throws -> Void
    ) throws -> (result: Result?, end: Int) {
        let pass = ZstdPass(source: source, parameters: parameters)
        pass.isWhole = true
        pass.leavesOutSizes = true
        pass.costMax = Self.costUsual
        var held: [UInt8] = []
        var end = 0
        try pass.run(plainMax: .max) { piece in
            guard pass.costMax < .max else { return try sink(piece) }
            guard pass.cost <= Self.costUsual else { return }
            held.append(contentsOf: piece)
            end = held.count
            guard end >= parameters.tellingBytes, pass.cost <= Self.costUsual else { return }
            pass.costMax = .max
            try held.withUnsafeBytes(sink)
            held = []
        }
        guard pass.cost <= pass.costMax else { return (nil, end) }
        if !held.isEmpty { try held.withUnsafeBytes(sink) }
        return (result(of: pass), end)
    }

    private func result(of pass: ZstdPass) -> Result {
        let plan = pass.plan()
        if plan.count > 4096, plan.count > pass.input.offset / 100 * Self.planPercentMax {
            return .unsupported(reason: "cost")
        }
        return .plan(plan, pass.summary)
    }

    /// Only decodes, which is what a first look at a file costs.
    /// - Parameter sink: Gets the plain bytes in order, in pieces.
    /// - Returns: The number of blocks.
    /// - Throws: ``ZstdError``, or what `source` and `sink` throw.
    package func decode(sink: (UnsafeRawBufferPointer) throws -> Void) throws -> Int {
        let pass = ZstdPass(source: source, parameters: nil)
        try pass.run(plainMax: .max, sink: sink)
        return pass.summary.blocks
    }

    /// Who gives so many plain bytes at the beginning is likely.
    private static let glimpseBytes = 300_000
    /// What is at an end, of the input or of a job, may cost some bytes whatever the encoder.
    private static let costUsual = 16

    /// Of the candidates the one that costs least.
    static func identify(
        _ source: @escaping ZstdSource, _ candidates: [ZstdParameters], prefix: Int = prefixBytes
    ) throws -> (parameters: ZstdParameters, cost: Int)? {
        var likely: [(parameters: ZstdParameters, cost: Int)] = []
        var best: (parameters: ZstdParameters, cost: Int)?
        func look(_ parameters: ZstdParameters) throws {
            let pass = ZstdPass(source: source, parameters: parameters)
            pass.costMax = best?.cost ?? Self.costMax
            try pass.run(plainMax: prefix) { _ in }
            if pass.cost < best?.cost ?? max(pass.input.offset / 5, 4096) { best = (parameters, pass.cost) }
        }
        for parameters in candidates {
            let pass = ZstdPass(source: source, parameters: parameters)
            pass.costMax = likely.map(\.cost).min().map { 2 * $0 + 256 } ?? Self.costMax
            try pass.run(plainMax: glimpseBytes) { _ in }
            if pass.cost > costUsual {
                if pass.cost <= pass.costMax { likely.append((parameters, pass.cost)) }
                continue
            }
            try look(parameters)
            if best?.cost ?? .max <= costUsual { return best }
        }
        let least = likely.map(\.cost).min() ?? 0
        for each in likely.sorted(by: { $0.cost < $1.cost }) where each.cost <= 2 * least + 256 {
            try look(each.parameters)
        }
        return best
    }

    private func firstHeader() throws -> FrameHeader? {
        let input = CompressedInput(source: source)
        while let magic = try input.word() {
            if magic == FrameHeader.magic { return try FrameHeader(Array(input.peek(FrameHeader.bytesMax))) }
            guard FrameHeader.isSkippable(magic) else { return nil }
            _ = try input.take(4)
            var left = Int(try input.word() ?? 0)
            _ = try input.take(4)
            while left > 0 {
                let part = try input.take(min(left, 1 << 18))
                left -= part.count
            }
        }
        return nil
    }
}
