// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Rows in aligned columns, two spaces apart. Widths count characters, so that names beyond ASCII line up too.
struct TextTable {
    enum Alignment { case left, right }

    private let alignments: [Alignment]
    private var rows: [[String]] = []

    /// A table whose first row is `header`; a column with `right` holds figures.
    init(_ columns: [(header: String, alignment: Alignment)]) {
        alignments = columns.map(\.alignment)
        rows = [columns.map(\.header)]
    }

    /// A table without a header.
    init(alignments: [Alignment]) { self.alignments = alignments }

    /// Appends a row; cells missing at its end are empty, cells beyond the last column are dropped.
    mutating func add(_ cells: [String]) {
        rows.append(Array(cells.prefix(alignments.count)))
    }

    /// The table's lines, each ended by a line feed, without spaces at their ends.
    var text: String {
        var widths = [Int](repeating: 0, count: alignments.count)
        for row in rows {
            for (column, cell) in row.enumerated() { widths[column] = max(widths[column], cell.count) }
        }
        var text = ""
        for row in rows {
            var line = ""
            for (column, cell) in row.enumerated() {
                if column > 0 { line += "  " }
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                line += alignments[column] == .right ? padding + cell : cell + padding
            }
            while line.last == " " { line.removeLast() }
            text += line + "\n"
        }
        return text
    }
}
