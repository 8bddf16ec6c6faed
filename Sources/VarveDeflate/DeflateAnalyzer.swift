// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Makes a reconstruction plan out of a gzip file, handing out its plain bytes on the way.
///
/// Memory is bounded: some megabytes, more only for single deflate blocks of few tokens and many megabytes of plain text.
package struct DeflateAnalyzer {
    /// What came of it.
    package enum Result {
        /// The plan, and what it says in short.
        case plan([UInt8], Summary)
        /// The file cannot or should not be taken apart; the word is stable, for counting.
        case unsupported(reason: String)
    }

    /// Facts about a plan, for tables and counters.
    package struct Summary: Sendable {
        /// The encoder model used.
        package var encoder = ""
        /// Bytes of the plan that describe departures from the model.
        package var correctionBytes = 0
        /// Number of departures (0 for the generic predictor, which has none by definition).
        package var corrections = 0
        package var compressedBytes = 0
        package var plainBytes = 0
        package var segments = 0
    }

    /// Plain bytes between restart points, at the usual levels.
    package static let segmentTarget = 1 << 20
    /// Plain bytes looked at to find the encoder.
    package static let prefixBytes = 2_200_000
    /// Plain bytes looked at if the first ones say little, being all alike.
    package static let prefixMost = 8 << 20
    /// A plan may cost so much of the file, in percent.
    package static let planPercentMax = 10

    /// Search steps that a model may take over a stream that has come to so many plain bytes, some ten times the usual
    /// number: what takes longer would take as long at every reading.
    static func stepsMax(_ plainBytes: Int) -> Int { 256 << 20 + plainBytes * 600 }

    private let source: CompressedReader

    /// - Parameter source: Reads the compressed file at any offset; called again for a prefix that was already read.
    package init(source: @escaping CompressedReader) {
        self.source = source
    }

    /// Runs over the whole file.
    /// - Parameter sink: Gets the plain bytes in order, in pieces. After an `unsupported` it may have had some or none.
    /// - Throws: Only what `source` and `sink` throw.
    package func analyze(sink: (UnsafeRawBufferPointer) throws -> Void) throws -> Result {
        do {
            let found = try StreamIdentifier(source: source).identify()
            var pass = try AnalysisPass(source: source, found)
            return try pass.run(sink: sink)
        } catch let error as DeflateError {
            return .unsupported(reason: error.reason)
        }
    }

    /// Only decodes, which is what a first look at a file costs.
    /// - Parameter sink: Gets the plain bytes in order, in pieces.
    /// - Returns: The number of blocks.
    /// - Throws: ``DeflateError``, or what `source` and `sink` throw.
    package func decode(sink: (UnsafeRawBufferPointer) throws -> Void) throws -> Int {
        var scanner = try StreamScanner(source: source, plainCapacity: 1 << 20)
        let plain = scanner.reader.plain
        var blocks = 0
        while let element = try scanner.next() {
            guard case .block(let block) = element else { continue }
            blocks += 1
            let from = plain.base + (block.plainStart - plain.origin)
            try sink(UnsafeRawBufferPointer(start: from, count: block.plainCount))
            scanner.reader.tokens.count = 0
            plain.drop(before: plain.end - (64 << 10))
        }
        return blocks
    }

    /// The main pass, with the encoder given.
    func analyze(
        with parameters: StreamParameters, limits: InflateReader.PartLimits = .init(),
        sink: (UnsafeRawBufferPointer) throws -> Void
    ) throws -> Result {
        let scanner = try StreamScanner(source: source, plainCapacity: 3 << 20, limits: limits)
        let found = StreamIdentifier.Found(choice: .init(parameters: parameters), scanner: scanner, elements: [])
        var pass = try AnalysisPass(source: source, found)
        return try pass.run(sink: sink)
    }
}
