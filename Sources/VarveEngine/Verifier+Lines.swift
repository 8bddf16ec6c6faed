// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import VarveIndex
import VarveModel

// What damage touches: chunks and recipes belong to blobs, blobs to images.

extension Verifier {
    private static let namesMax = 8

    /// A line for each damaged thing: what it is, and what it touches.
    func lines(for damage: [Damage]) throws(VarveError) -> [String] {
        let blobs = try blobs(touchedBy: damage)
        let names = try names(of: Set(blobs.flatMap(\.self)))
        return zip(damage, blobs).map { damage, blobs in
            guard !blobs.isEmpty else { return damage.what }
            let images = Set(blobs.flatMap { names[$0] ?? [] }).sorted()
            var line = damage.what
            if case .blob = damage.touched {} else { line += "; touches " + Self.list(blobs.map(\.description)) }
            return line + (images.isEmpty ? "; no image names it" : "; in " + Self.list(images))
        }
    }

    private static func list(_ items: [String]) -> String {
        let rest = items.count - namesMax
        return items.prefix(namesMax).joined(separator: ", ") + (rest > 0 ? " and \(rest) more" : "")
    }

    private func blobs(touchedBy damage: [Damage]) throws(VarveError) -> [[Digest]] {
        var touched = [Set<Digest>](repeating: [], count: damage.count)
        var packs: Set<UInt32> = []
        for (index, damage) in damage.enumerated() {
            switch damage.touched {
            case .nothing: break
            case .blob(let digest): touched[index].insert(digest)
            case .chunks(let pack, _), .recipe(let pack, _), .pack(let pack): packs.insert(pack)
            }
        }
        guard !packs.isEmpty else { return touched.map { Array($0) } }
        try core.forEachBlob { (digest, row) throws(VarveError) in
            guard let place = row.recipe else { return }
            // Of a recipe that can not be read it is not known what it needs.
            let places = (try? core.recipe(of: digest, at: place)).flatMap { try? core.places(of: $0) } ?? []
            for (index, damage) in damage.enumerated() {
                let isTouched =
                    switch damage.touched {
                    case .nothing, .blob: false
                    case .chunks(let pack, let ordinals):
                        places.contains { $0.pack == pack && $0.ordinals.overlaps(ordinals) }
                    case .recipe(let pack, let offset): place.pack == pack && place.offset == offset
                    case .pack(let pack): place.pack == pack || places.contains { $0.pack == pack }
                    }
                if isTouched { touched[index].insert(digest) }
            }
        }
        return touched.map { $0.sorted() }
    }

    /// The images, as `name:tag` or `name@digest`, and the objects that some blobs belong to.
    private func names(of blobs: Set<Digest>) throws(VarveError) -> [Digest: Set<String>] {
        guard !blobs.isEmpty else { return [:] }
        var names: [Digest: Set<String>] = [:]
        try core.forEachRepository { repository throws(VarveError) in
            let catalogue = try ImageCatalogue(repository, core: core)
            for image in catalogue.images {
                for digest in catalogue.blobs(of: image.manifest) where blobs.contains(digest) {
                    names[digest, default: []].insert(image.name)
                }
            }
        }
        try core.forEachObject { place, row in
            for digest in row.blobs where blobs.contains(digest) {
                names[digest, default: []].insert(
                    "object \(place.bucket)/\(String(decoding: place.key, as: UTF8.self))")
            }
        }
        return names
    }
}
