// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import Logging
import VarveCodec
import VarveDrivers
import VarveIndex
import VarveModel

/// Makes an index from what lies beside it. Blocks; for one thread, which is alone with the store.
///
/// First everything that describes itself: the journal says names, packs say chunks, recipes and forwards, raw files say
/// blobs. Then recipes and raw files are put together. What is left in doubt (raw bytes and a recipe, several recipes) is
/// handed to `RecipeProver`, which works on the finished index; until it has, such blobs count as not settled, so nothing
/// is lost if it never runs.
final class IndexRestorer {
    /// A recipe that was found in a pack.
    struct FoundRecipe: Sendable {
        var place: RecipePlace
        var blobBytes: UInt64
        var plainBytes: UInt64
    }

    /// What is to be proven on the finished index.
    struct Outcome: Sendable {
        var report = RebuildIndexReport()
        /// Recipes of one blob; one that proves is taken.
        var doubtful: [(digest: Digest, recipes: [FoundRecipe])] = []
        /// Blobs that nothing names although the journal may have lost names: they get one.
        var nameless: [Digest] = []
    }

    let files: FileSystem
    let format: StoreFormat
    let rebuilder: IndexRebuilder
    let logger: Logger
    let stop: StopSign
    var outcome = Outcome()
    var recipes: [Digest: [FoundRecipe]] = [:]
    var forwards: [PackID: ForwardRow] = [:]
    /// Whether the journal says every name that there is.
    var knowsNames = true
    private let lock: File?
    private let progress: (@Sendable (Progress) -> Void)?
    private var done: UInt64 = 0
    private var total: UInt64 = 0

    init(
        path: String, logger: Logger, stop: StopSign, progress: (@Sendable (Progress) -> Void)?
    ) throws(VarveError) {
        files = FileSystem(root: path)
        self.logger = logger
        self.stop = stop
        self.progress = progress
        do throws(DriverError) {
            guard try files.length(of: StoreLayout.format) != nil else {
                throw DriverError("open", StoreLayout.format, ENOENT)
            }
        } catch {
            throw VarveError(.notAStore, "there is no store at \(path)", cause: error)
        }
        (format, lock, _) = try Core.prepare(files, readOnly: false)
        do throws(IndexError) {
            let index = files.absolute(StoreLayout.index)
            try IndexRebuilder.recover(indexPath: index)
            rebuilder = try IndexRebuilder(indexPath: index)
        } catch {
            throw error.asVarveError("a new index could not be begun")
        }
    }

    func run() throws(VarveError) -> Outcome {
        do throws(VarveError) {
            total = try bytesToRead()
            try replayJournal()
            try readPacks()
            try putForwards()
            try readRawFiles()
            try placeRecipes()
            try dropDangling()
            try checkObjects()
            do throws(IndexError) { try rebuilder.finish() } catch { throw error.asVarveError("the new index") }
        } catch {
            try? rebuilder.abandon()
            throw error
        }
        return outcome
    }

    // MARK: Book-keeping

    func problem(_ text: String) { outcome.report.problems.append(text) }

    func read(_ bytes: UInt64, _ activity: String) throws(VarveError) {
        done += bytes
        progress?(Progress(activity: activity, done: min(done, total), total: total))
        try stop.check()
    }

    private func bytesToRead() throws(VarveError) -> UInt64 {
        do throws(DriverError) {
            return try files.usage(of: StoreLayout.packs).bytes + files.usage(of: StoreLayout.raw).bytes
        } catch {
            throw error.asVarveError
        }
    }

    func list(_ directory: String) throws(VarveError) -> [String] {
        do throws(DriverError) { return try files.list(directory).sorted() } catch { throw error.asVarveError }
    }

    /// Changes the new index.
    func write<Value>(
        _ body: (borrowing WriteTransaction) throws(IndexError) -> Value
    ) throws(VarveError) -> Value {
        do throws(IndexError) {
            return try rebuilder.environment.write(body)
        } catch {
            throw error.asVarveError("the new index could not be written")
        }
    }

    /// Reads the new index.
    func read<Value>(
        _ body: (borrowing ReadTransaction) throws(IndexError) -> Value
    ) throws(VarveError) -> Value {
        do throws(IndexError) {
            return try rebuilder.environment.read(body)
        } catch {
            throw error.asVarveError("the new index could not be read")
        }
    }

    // MARK: Journal

    private func replayJournal() throws(VarveError) {
        let report: ReplayReport
        do throws(IndexError) {
            report = try rebuilder.replayJournal(directory: files.absolute(StoreLayout.journal))
        } catch {
            throw error.asVarveError("the journal could not be read")
        }
        for damage in report.damage {
            problem("journal: bytes \(damage.range) of \(damage.file) are damaged; names may be lost")
        }
        if !report.missingSegments.isEmpty {
            problem("journal: segments \(report.missingSegments) are missing; names may be lost")
        }
        if report.end == nil { problem("journal: there is none; all names are lost") }
        knowsNames = report.damage.isEmpty && report.missingSegments.isEmpty && report.end != nil
    }

    // MARK: Raw files

    /// Every raw file whose bytes are what its name says becomes a blob that waits to be settled.
    private func readRawFiles() throws(VarveError) {
        for algorithm in Digest.Algorithm.allCases {
            for directory in try list("\(StoreLayout.raw)/\(algorithm.name)") {
                for name in try list("\(StoreLayout.raw)/\(algorithm.name)/\(directory)") {
                    guard let digest = Digest("\(algorithm.name):\(name)"),
                        StoreLayout.raw(digest).path == "\(StoreLayout.raw)/\(algorithm.name)/\(directory)/\(name)"
                    else { continue }
                    try readRawFile(digest)
                }
            }
        }
    }

    private func readRawFile(_ digest: Digest) throws(VarveError) {
        let path = StoreLayout.raw(digest).path
        let length: UInt64
        var hash = try runningHash(digest.algorithm)
        do throws(DriverError) {
            let file = try files.open(path, .read)
            length = try file.length()
            try hashFile(file, into: &hash, length: length)
        } catch {
            problem("raw file of blob \(digest): it can not be read: \(error)")
            return
        }
        let found = finishHash(hash)
        try read(length, "reading raw files")
        guard found == digest else {
            // Kept under a name that no collection takes for a raw file: it may be all that is left of the blob.
            try? files.rename(path, to: path + ".damaged")
            problem("raw file of blob \(digest): its bytes have the digest \(found); it is called \(path).damaged now")
            return
        }
        outcome.report.rawFiles += 1
        let time = now()
        try write { (transaction) throws(IndexError) in
            guard try transaction.blob(digest) == nil else { return }
            var row = BlobRow(size: length, flags: .rawFile, reason: RawReason.pending, landedAt: time)
            row.lastUsed = time
            try transaction.putBlob(digest, row)
            try transaction.enqueue(digest)
        }
    }

    // MARK: Names

    /// What manifests name.
    func namedByManifests() throws(VarveError) -> Set<Digest> {
        var named: Set<Digest> = []
        try forEachRepository { name throws(VarveError) in
            var last: Digest?
            while true {
                let page = try read { [last] (transaction) throws(IndexError) in
                    try transaction.manifests(in: name, after: last, limit: 1000)
                }
                for (_, row) in page { named.formUnion(row.references.map(\.digest)) }
                guard page.count == 1000 else { return }
                last = page.last?.digest
            }
        }
        return named
    }

    func forEachRepository(_ body: (RepositoryName) throws(VarveError) -> Void) throws(VarveError) {
        var last: String?
        while true {
            let page = try read { [last] (transaction) throws(IndexError) in
                try transaction.repositories(after: last, limit: 1000)
            }
            for name in page { try body(name) }
            guard page.count == 1000 else { return }
            last = page.last?.description
        }
    }

    // MARK: What leads nowhere

    /// Takes blobs out of repositories that are nowhere to be found, so that they are asked for when they are pushed again.
    private func dropDangling() throws(VarveError) {
        let coming = Set(outcome.doubtful.map(\.digest))
        try forEachRepository { name throws(VarveError) in
            var last: Digest?
            while true {
                let page = try read { [last] (transaction) throws(IndexError) in
                    let page = try transaction.links(in: name, after: last, limit: 1000).map(\.digest)
                    var lost: [Digest] = []
                    for digest in page where try transaction.blob(digest) == nil { lost.append(digest) }
                    return (all: page, lost: lost.filter { !coming.contains($0) })
                }
                if !page.lost.isEmpty {
                    try write { (transaction) throws(IndexError) in
                        for digest in page.lost { try transaction.unlink(digest, in: name) }
                    }
                    for digest in page.lost { problem("blob \(digest) of \(name) is lost") }
                }
                guard page.all.count == 1000 else { return }
                last = page.all.last
            }
        }
    }
}
