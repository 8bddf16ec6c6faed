// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import VarveIndex

extension StoreInspector {
    /// The pages of the index in words: nil where commits follow each other too fast to take hold of one's state.
    static func lines(for pages: IndexPages?) -> [String] {
        guard let pages else { return ["index  too many commits at a time to look at one of them"] }
        let lost = pages.pages - min(pages.pages, pages.usedPages + pages.freePages)
        return [
            "index  \(pages.fileBytes) bytes  transaction \(pages.transaction)  pages of \(pages.pageBytes) bytes: "
                + "\(pages.usedPages) in use, \(pages.freePages) free, \(lost) neither"
        ]
            + pages.trees.map { tree in
                "index  \(tree.name)  \(tree.rows) rows  depth \(tree.depth)  pages: \(tree.branchPages) branches, "
                    + "\(tree.leafPages) leaves, \(tree.overflowPages) of large rows"
            }
    }
}
