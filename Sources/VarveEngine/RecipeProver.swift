// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import VarveIndex
import VarveModel

/// Proves recipes of which it is not known whether they were proven before, after the index was made anew.
struct RecipeProver {
    private let core: Core
    private let stop: StopSign
    private let progress: (@Sendable (Progress) -> Void)?

    init(core: Core, stop: StopSign, progress: (@Sendable (Progress) -> Void)?) {
        self.core = core
        self.stop = stop
        self.progress = progress
    }

    /// - Returns: The report, with what was proven and what can not be rebuilt.
    func run(_ outcome: IndexRestorer.Outcome) throws(VarveError) -> RebuildIndexReport {
        var report = outcome.report
        let nameless = Set(outcome.nameless)
        let total = outcome.doubtful.reduce(UInt64(0)) { $0 + ($1.recipes.first?.blobBytes ?? 0) }
        var done: UInt64 = 0
        for (digest, recipes) in outcome.doubtful {
            try stop.check()
            progress?(Progress(activity: "proving recipes", done: done, total: total))
            done += recipes.first?.blobBytes ?? 0
            // Of one pack the later one first: it was written later.
            var proven: IndexRestorer.FoundRecipe?
            for recipe in recipes.reversed() where try isProven(recipe, digest) {
                proven = recipe
                break
            }
            guard let proven else {
                if try core.read({ try $0.blob(digest)?.flags.contains(.rawFile) }) != true, !nameless.contains(digest)
                {
                    report.problems.append("blob \(digest): none of its \(recipes.count) recipes gives its bytes")
                }
                continue
            }
            let time = now()
            let isNew = try core.commitBlocking { transaction in
                var row = try transaction.blob(digest) ?? BlobRow(proven, at: time)
                let isNew = try transaction.blob(digest)?.isSettled != true
                row.recipe = proven.place
                row.reason = ""
                row.settledBytes = UInt64(proven.place.byteCount)
                row.plainSize = proven.plainBytes
                try transaction.putBlob(digest, row)
                try transaction.dequeue(digest)
                return isNew
            }
            if isNew { report.settled += 1 }
        }
        try name(outcome.nameless)
        return report
    }

    private func isProven(_ recipe: IndexRestorer.FoundRecipe, _ digest: Digest) throws(VarveError) -> Bool {
        do throws(VarveError) {
            try core.rebuild(digest, size: recipe.blobBytes, recipe: recipe.place, range: 0..<recipe.blobBytes).prove()
            return true
        } catch {
            guard error.code == .corrupted || error.code == .unsupported else { throw error }
            return false
        }
    }

    private func name(_ blobs: [Digest]) throws(VarveError) {
        guard let recovered = RepositoryName("recovered") else { return }
        let time = now()
        var rest = blobs[...]
        while !rest.isEmpty {
            let part = rest.prefix(1000)
            rest = rest.dropFirst(1000)
            try core.commitBlocking { transaction in
                for digest in part where try transaction.blob(digest) != nil {
                    try transaction.link(digest, in: recovered, at: time)
                }
            }
        }
    }
}
