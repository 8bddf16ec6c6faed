// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// A decoded stretch of a stream: its beginning, or some of its middle.
///
/// What can be seen in it lies in `StreamPrefix+Candidates.swift`, the search for the best model in `StreamPrefix+Choice.swift`.
struct StreamPrefix {
    /// Plain bytes of a short look at a model, enough only together with so many compressed ones.
    private static let glancePlain = 160_000
    private static let glanceCompressed = 40_000
    private static let elementsMax = 20_000
    /// Search steps for a look at a model: less than a second.
    static let stepsMax = 400 << 20

    let plain: PlainBuffer
    let tokens: TokenBuffer
    let walks: WalkShelf
    private(set) var elements: [StreamElement] = []
    /// Where input is known to have ended, from the start of all plain bytes.
    private(set) var endings: [Int] = []
    private(set) var complete = false
    /// The segment that the stretch would be, for a model: where it begins and what the model knows there.
    let segment: (StreamParameters) -> DeflatePlan.Segment
    let start: Int
    /// Where the gzip member begins that it begins in.
    let member: Int
    let compressedBytes: Int
    /// The elements of a very short look, of a short one, and of a long one.
    private(set) var blink: [StreamElement] = []
    private(set) var glance: [StreamElement] = []
    private(set) var sample: [StreamElement] = []

    init(_ scanner: inout StreamScanner) throws {
        plain = scanner.reader.plain
        tokens = scanner.reader.tokens
        walks = WalkShelf()
        segment = { _ in DeflatePlan.Segment() }
        start = 0
        member = 0
        var inputEndings = InputEndings()
        while true {
            guard let element = try scanner.next() else {
                complete = true
                break
            }
            elements.append(element)
            if case .block(let block) = element { inputEndings.take(block) }
            let compressed = scanner.reader.bitPosition / 8
            let isEnough = plain.end > DeflateAnalyzer.prefixBytes && compressed > 4 * Self.glanceCompressed
            if isEnough || plain.end > DeflateAnalyzer.prefixMost || elements.count > Self.elementsMax { break }
        }
        endings = inputEndings.places
        compressedBytes = scanner.reader.bitPosition / 8
        takeSamples()
    }

    /// A stretch of a stream that is being analysed; it begins with a block.
    /// - Parameter segment: How a segment that begins there gets at a model's state.
    init(
        _ reader: InflateReader, _ elements: [StreamElement], walks: WalkShelf, endings: [Int], compressedBytes: Int,
        start: Int, member: Int, segment: @escaping (StreamParameters) -> DeflatePlan.Segment
    ) {
        plain = reader.plain
        tokens = reader.tokens
        self.walks = walks
        self.elements = elements
        self.endings = endings.filter { $0 > start || $0 == start && start > member }
        self.segment = segment
        self.start = start
        self.member = member
        self.compressedBytes = compressedBytes
        takeSamples()
    }

    private mutating func takeSamples() {
        blink = sampled(plainMost: Self.glancePlain / 8, compressedMin: Self.glanceCompressed / 8)
        glance = sampled(plainMost: Self.glancePlain, compressedMin: Self.glanceCompressed)
        sample = sampled(plainMost: DeflateAnalyzer.prefixBytes, compressedMin: 4 * Self.glanceCompressed)
    }

    /// The first elements, up to the block with which there are enough plain and compressed bytes, or nearly enough where
    /// input ended: what the encoder did there is another matter. Of a block that is far longer than wanted only the tokens
    /// wanted are taken, as a block of fixed codes.
    private func sampled(plainMost: Int, compressedMin: Int) -> [StreamElement] {
        var result: [StreamElement] = []
        var firstBit: Int?
        var ends = endings[...]
        for element in elements {
            guard case .block(let block) = element else {
                result.append(element)
                continue
            }
            let bit = firstBit ?? block.bitStart
            firstBit = bit
            let before = block.plainStart - start
            while let ending = ends.first, ending < block.plainStart { ends = ends.dropFirst() }
            let quarters = before > 0 && ends.first == block.plainStart ? 3 : 4
            if before * 4 >= plainMost * quarters && block.bitStart - bit >= compressedMin * 2 * quarters { break }
            if before >= DeflateAnalyzer.prefixMost { break }
            if block.kind != .stored && block.plainCount > 2 * plainMost
                && (block.tokenCount > compressedMin || block.plainCount > DeflateAnalyzer.prefixMost)
            {
                result.append(
                    .block(block.shortened(tokens, count: compressedMin, plainMost: DeflateAnalyzer.prefixMost)))
                break
            }
            result.append(element)
        }
        return result
    }

    /// How often input ended in some first elements.
    func endings(in sample: [StreamElement]) -> Int {
        var end = start
        for case .block(let block) in sample { end = block.plainStart + block.plainCount }
        return endings.reduce(0) { $0 + ($1 <= end ? 1 : 0) }
    }

    /// What it came to to describe something by a model.
    struct Cost {
        static let tooMuch = Int.max / 4

        /// The description's length; ``tooMuch`` if it was given up or there is none.
        var bytes = tooMuch
        /// How often the model was wrong on the way.
        var departures = 0
        /// Search steps that it took.
        var steps = 0

        /// Whether every token was as the model has it.
        var isPerfect: Bool { bytes < Self.tooMuch && departures == 0 }
    }

    /// What describing a sample costs.
    /// - Parameters:
    ///   - most: Above so many bytes the number does not matter.
    ///   - departuresMost: With more departures it does not either.
    func cost(
        _ parameters: StreamParameters, _ sample: [StreamElement], most: Int = .max, departuresMost: Int = .max
    ) -> Cost {
        cost(parameters, sample[...], from: segment(parameters), most: most, departuresMost: departuresMost)
    }

    /// The same for a sample that begins elsewhere.
    func cost(
        _ parameters: StreamParameters, _ sample: ArraySlice<StreamElement>, from: DeflatePlan.Segment, most: Int,
        departuresMost: Int = .max
    ) -> Cost {
        let start = from.plainStart
        var end = start
        for case .block(let block) in sample { end = block.plainStart + block.plainCount }
        let origin = plain.origin
        let geometry = SegmentGeometry(
            start: start - origin, end: end - origin, available: min(end + DeflatePlan.lookahead, plain.end) - origin,
            lead: from.lead, history: from.history, age: from.age)
        if geometry.start < geometry.lead + geometry.history { return Cost() }
        let walk = walks.take(parameters)
        defer { walks.put(walk, parameters.model) }
        let (blocks, tokens) = walk.write(
            sample, plain: UnsafePointer(plain.base), plainOrigin: origin, geometry: geometry,
            tokens: tokens.base, endings: endings.map { $0 - origin }[...],
            effort: Effort(bytesMax: most, stepsMax: Self.stepsMax, departuresMax: departuresMost))
        if walk.unrepresentable || walk.gaveUp != nil { return Cost(departures: walk.corrections, steps: walk.steps) }
        return Cost(bytes: blocks.count + tokens.count, departures: walk.corrections, steps: walk.steps)
    }
}
