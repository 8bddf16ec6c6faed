// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import VarveCodec
import VarveIndex
import VarveModel

/// Works out what of an image is its own. Blocks; for one thread.
///
/// The image's chunks are a set of bits for each pack. Every other blob that an image names is intersected with it once:
/// what is left is short, since most blobs share nothing.
final class UsageReckoner {
    private let core: Core
    private var meter: ChunkMeter
    /// The image's chunks.
    private var mine: [UInt32: ChunkSet] = [:]
    /// Blobs of the image that are not settled: one piece each.
    private var minePieces: [Digest: UInt64] = [:]
    /// What other blobs share with the image.
    private var overlaps: [Digest: [(pack: UInt32, ordinals: Range<UInt32>)]] = [:]

    init(core: Core) {
        self.core = core
        meter = ChunkMeter(packs: core.packs)
    }

    private struct Layer {
        var digest: Digest
        var row: BlobRow
        /// nil for a blob that is not settled.
        var chunks: [UInt32: ChunkSet]?
    }

    func usage(
        of reference: ManifestReference, in repository: RepositoryName
    ) throws(VarveError) -> ImageUsage {
        let manifest = try core.read { transaction -> Digest in
            guard try transaction.repository(repository) != nil else {
                throw VarveError(.repositoryUnknown, "no repository \(repository)")
            }
            let digest: Digest? =
                switch reference {
                case .digest(let digest): digest
                case .tag(let tag): try transaction.tag(tag, in: repository)?.digest
                }
            guard let digest, try transaction.manifest(digest, in: repository) != nil else {
                throw VarveError(.manifestUnknown, "no manifest \(reference) in \(repository)")
            }
            return digest
        }
        let catalogue = try ImageCatalogue(repository, core: core)
        let closure = catalogue.closure(of: manifest)
        let layers = try layers(of: manifest, catalogue)
        for layer in layers {
            guard let chunks = layer.chunks else {
                minePieces[layer.digest] = layer.row.size
                continue
            }
            for (pack, set) in chunks { mine[pack, default: ChunkSet(chunkCount: set.chunkCount)].formUnion(set) }
        }

        let others = try others(but: closure, of: catalogue)
        var unique = mine
        for digest in others.blobs {
            for (pack, ordinals) in try overlap(of: digest) { unique[pack]?.remove(ordinals) }
        }
        let uniquePieces = minePieces.filter { !others.blobs.contains($0.key) }

        var usage = ImageUsage(
            manifest: manifest, layers: [], logicalBytes: layers.reduce(0) { $0 + $1.row.size }, uniqueBytes: 0,
            sharedBytes: 0, freedBytes: 0, sharesWith: [])
        for layer in layers where !catalogue.manifests.keys.contains(layer.digest) {
            usage.layers.append(try layerUsage(layer, unique, uniquePieces))
        }
        let all = try meter.measure(mine)
        let own = try meter.measure(unique)
        usage.uniqueBytes = own.raw + uniquePieces.values.reduce(0, +)
        usage.sharedBytes = all.raw + minePieces.values.reduce(0, +) - usage.uniqueBytes
        usage.freedBytes = own.stored
        for layer in layers where !others.blobs.contains(layer.digest) {
            if layer.row.flags.contains(.rawFile) || layer.row.flags.contains(.inline) {
                usage.freedBytes += layer.row.size
            }
            usage.freedBytes += UInt64(layer.row.recipe?.byteCount ?? 0)
        }
        for (name, blobs) in others.images {
            let bytes = try sharedBytes(with: blobs)
            if bytes > 0 { usage.sharesWith.append((name, bytes)) }
        }
        usage.sharesWith.sort { ($1.bytes, $0.image) < ($0.bytes, $1.image) }
        return usage
    }

    private func layerUsage(
        _ layer: Layer, _ unique: [UInt32: ChunkSet], _ uniquePieces: [Digest: UInt64]
    ) throws(VarveError) -> LayerUsage {
        let info = BlobInfo(digest: layer.digest, row: layer.row)
        guard let chunks = layer.chunks else {
            return LayerUsage(
                blob: info, chunkBytes: layer.row.size, uniqueBytes: uniquePieces[layer.digest] ?? 0)
        }
        var own = chunks
        for pack in chunks.keys {
            if let set = unique[pack] { own[pack]?.formIntersection(set) }
        }
        return LayerUsage(
            blob: info, chunkBytes: try meter.measure(chunks).raw, uniqueBytes: try meter.measure(own).raw)
    }

    /// The image's blobs in the order in which its manifests name them, the manifests themselves among them; what a
    /// manifest names but nobody pushed is left out.
    private func layers(of manifest: Digest, _ catalogue: ImageCatalogue) throws(VarveError) -> [Layer] {
        var order: [Digest] = []
        var seen: Set<Digest> = []
        func visit(_ digest: Digest) {
            guard seen.insert(digest).inserted else { return }
            order.append(digest)
            for reference in catalogue.manifests[digest]?.references ?? [] { visit(reference.digest) }
        }
        visit(manifest)
        var layers: [Layer] = []
        for digest in order {
            guard let row = try core.read({ try $0.blob(digest) }) else { continue }
            var layer = Layer(digest: digest, row: row)
            if let place = row.recipe {
                var chunks: [UInt32: ChunkSet] = [:]
                for (pack, ordinals, _) in try core.places(of: try core.recipe(of: digest, at: place)) {
                    if chunks[pack] == nil {
                        chunks[pack] = ChunkSet(chunkCount: try core.packs.reader(pack).directory.chunkCount)
                    }
                    chunks[pack]?.insert(ordinals)
                }
                layer.chunks = chunks
            }
            layers.append(layer)
        }
        return layers
    }

    /// All other images with their blobs, and every blob that they or a repository without manifests hold.
    private func others(
        but closure: Set<Digest>, of catalogue: ImageCatalogue
    ) throws(VarveError) -> (images: [(name: String, blobs: Set<Digest>)], blobs: Set<Digest>) {
        var images: [(name: String, blobs: Set<Digest>)] = []
        var blobs: Set<Digest> = []
        try core.forEachRepository { name throws(VarveError) in
            let other = name == catalogue.repository ? catalogue : try ImageCatalogue(name, core: core)
            for image in other.images where name != catalogue.repository || !closure.contains(image.manifest) {
                let named = other.blobs(of: image.manifest)
                images.append((image.name, named))
                blobs.formUnion(named)
            }
            if other.manifests.isEmpty { blobs.formUnion(try links(in: name)) }
        }
        return (images, blobs)
    }

    private func links(in name: RepositoryName) throws(VarveError) -> Set<Digest> {
        var found: Set<Digest> = []
        var last: Digest?
        while true {
            let page = try core.read { [last] in try $0.links(in: name, after: last, limit: 1000) }
            found.formUnion(page.map(\.digest))
            guard page.count == 1000 else { return found }
            last = page.last?.digest
        }
    }

    /// The chunks of the image that another blob needs too.
    private func overlap(of digest: Digest) throws(VarveError) -> [(pack: UInt32, ordinals: Range<UInt32>)] {
        if let known = overlaps[digest] { return known }
        var found: [(pack: UInt32, ordinals: Range<UInt32>)] = []
        if let place = try core.read({ try $0.blob(digest) })?.recipe {
            // Of another image's blob that can not be read nothing is known; that is for `verify` to say.
            let places = (try? core.recipe(of: digest, at: place)).flatMap { try? core.places(of: $0) } ?? []
            for (pack, ordinals, _) in places {
                mine[pack]?.forEachRun(in: ordinals) { found.append((pack, $0)) }
            }
        }
        overlaps[digest] = found
        return found
    }

    private func sharedBytes(with blobs: Set<Digest>) throws(VarveError) -> UInt64 {
        var sum: UInt64 = 0
        var shared: [UInt32: ChunkSet] = [:]
        for digest in blobs {
            sum += minePieces[digest] ?? 0
            for (pack, ordinals) in try overlap(of: digest) {
                shared[pack, default: ChunkSet(chunkCount: mine[pack]?.chunkCount ?? 0)].insert(ordinals)
            }
        }
        return sum + (try meter.measure(shared).raw)
    }
}

/// Adds up the lengths of chunks.
struct ChunkMeter {
    private struct Key: Hashable {
        var pack: UInt32
        var frame: Int
    }
    private static let tableBytesMax = 32 << 20

    private let packs: PackStore
    private var tables: [Key: FrameTable] = [:]
    private var tableBytes = 0

    init(packs: PackStore) { self.packs = packs }

    /// Raw bytes of some chunks, and about how many bytes they take in their packs: of each frame the share that is theirs.
    mutating func measure(_ chunks: [UInt32: ChunkSet]) throws(VarveError) -> (raw: UInt64, stored: UInt64) {
        var sum: (raw: UInt64, stored: UInt64) = (0, 0)
        for (pack, set) in chunks {
            let reader = try packs.reader(pack)
            for (index, entry) in reader.directory.entries.enumerated() where entry.kind.holdsChunks {
                let count = set.count(in: entry.ordinals)
                guard count > 0 else { continue }
                var raw = UInt64(entry.rawBytes)
                if count < entry.chunkCount {
                    raw = 0
                    let table = try table(index, of: reader)
                    set.forEachRun(in: entry.ordinals) { ordinals in
                        for ordinal in ordinals where Int(ordinal - entry.firstOrdinal) < table.count {
                            raw += UInt64(table.length(Int(ordinal - entry.firstOrdinal)))
                        }
                    }
                }
                sum.raw += raw
                sum.stored += UInt64(entry.frameBytes) * raw / UInt64(max(1, entry.rawBytes))
            }
        }
        return sum
    }

    private mutating func table(_ frame: Int, of reader: PackReader) throws(VarveError) -> FrameTable {
        let key = Key(pack: reader.number, frame: frame)
        if let table = tables[key] { return table }
        let table = try reader.table(frame)
        if tableBytes > Self.tableBytesMax {
            tables.removeAll(keepingCapacity: true)
            tableBytes = 0
        }
        tables[key] = table
        tableBytes += table.memoryBytes
        return table
    }
}
