// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Finds the encoder of a stream by its beginning.
struct StreamIdentifier {
    /// What was found, and what was decoded on the way: the analysis goes on from there.
    struct Found {
        var choice: StreamPrefix.Choice
        var scanner: StreamScanner
        /// The elements that the scanner has come by so far.
        var elements: [StreamElement]
        var walks = WalkShelf()
    }

    private let source: CompressedReader

    init(source: @escaping CompressedReader) {
        self.source = source
    }

    func identify() throws -> Found {
        var scanner = try StreamScanner(source: source, plainCapacity: 3 << 20)
        let prefix = try StreamPrefix(&scanner)
        return Found(choice: prefix.best(), scanner: scanner, elements: prefix.elements, walks: prefix.walks)
    }
}
