// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

public import VarveModel

import VarveDrivers
import VarveIndex

/// What `inspect` shows.
public enum InspectSubject: Sendable {
    /// One line a pack.
    case packs
    /// The frames of one pack, by its hex id.
    case pack(String)
    /// A blob's recipe.
    case recipe(Digest)
    /// The rows of one table, or of all.
    case rows(table: String?)
    /// The pages of the index, all of which are read and checked.
    case index
}

extension Store {
    /// Packs, frames, recipes and rows as they lie on disk, a line each, handed to `line` in order.
    ///
    /// For people: the lines' form may change. Works on a store opened `readOnly`.
    /// - Throws: `notFound` for a pack, blob, recipe or table that is not there; `corrupted`, `io`.
    public func inspect(_ subject: InspectSubject, line: (String) -> Void) async throws(VarveError) {
        switch subject {
        case .packs:
            try await show(StoreInspector.packs, line)
        case .index:
            let lines = try await core.pool.run { [core] () throws(VarveError) in
                do throws(IndexError) {
                    return try StoreInspector.lines(for: core.environment.walkPages())
                } catch {
                    throw error.asVarveError("the index is damaged, 'varve rebuild-index' makes it anew")
                }
            }
            for text in lines { line(text) }
        case .pack(let hex):
            let lines = try await core.pool.run { [core] () throws(VarveError) in
                try StoreInspector.pack(hex, core)
            }
            for text in lines { line(text) }
        case .recipe(let digest):
            let lines = try await core.pool.run { [core] () throws(VarveError) in
                try StoreInspector.recipe(digest, core)
            }
            for text in lines { line(text) }
        case .rows(let name):
            let tables = StoreInspector.tables.filter { name == nil || $0.name == name }
            guard !tables.isEmpty else {
                let known = StoreInspector.tables.map(\.name).joined(separator: ", ")
                throw VarveError(.notFound, "no table \(name ?? ""): there are \(known)")
            }
            for table in tables { try await show(table, line) }
        }
    }

    /// Lines of a table, a page at a time.
    private func show(_ table: StoreInspector.Table, _ line: (String) -> Void) async throws(VarveError) {
        var place: StoreInspector.Place? = .start
        while let present = place {
            let page = try await core.pool.run { [core] () throws(VarveError) in
                try core.read { try table.page(present, $0) }
            }
            for text in page.lines { line(text) }
            place = page.next
        }
    }
}
