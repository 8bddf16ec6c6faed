// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import ArgumentParser
import VarveEngine
import VarveModel

/// `varve inspect`.
struct InspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Show what an image takes, what it shares, and what deleting it would free.",
        discussion: """
            Layers are compared by their chunks, so two images share what is equal inside their layers, however the \
            layers were made. LOGICAL is what was pushed; UNIQUE are the bytes of chunks that only this image uses; \
            SHARED those that others use too; deleting would free the unique ones, in their compressed form. Blobs that \
            are not settled yet count as unique as long as no other image names them. Works beside a server.

            A digest that is a blob's and no image's shows the blob.

            With --json, one object: image, manifest (digest), bytes.logical, bytes.unique, bytes.shared, bytes.freed, \
            layers (the config and the layers, a list of: digest, bytes, settled, raw, rawReason, stored, chunkBytes, uniqueBytes), sharesWith (a \
            list of: image, bytes; most first). For a blob: digest, bytes, landedAt (seconds since 1970), settled, raw, \
            rawReason, stored. rawReason is absent for a settled blob.

            Examples:
              varve inspect --store ./layers demo:2
              varve inspect --store ./layers sha256:… --json
            """)

    @OptionGroup var store: StoreOptions
    @OptionGroup var format: FormatOptions
    @Argument(help: ArgumentHelp("NAME:TAG, NAME@sha256:…, or a digest alone.", valueName: "ref"))
    var subject: Subject

    func run() async throws {
        try await StoreAccess(store).reading { store in
            guard let image = try await Catalogue(store).image(subject) else {
                guard case .digest(let digest) = subject else { return }
                return try show(BlobDocument(try await store.blob(digest, in: nil)))
            }
            try show(try await store.usage(of: image.reference, in: image.repository), of: image)
        }
    }

    private func show(_ blob: BlobDocument) throws {
        if format.json { return try Output.json(blob) }
        var table = TextTable(alignments: [.left, .left])
        table.add(["blob", blob.digest])
        table.add(["size", "\(Units.bytes(blob.bytes)) (\(Units.grouped(blob.bytes)) bytes)"])
        table.add(["state", blob.state])
        if blob.settled { table.add(["stored", "\(Units.bytes(blob.stored)) in packs"]) }
        try Output.write(table.text)
    }

    private func show(_ usage: ImageUsage, of image: ImageReference) throws {
        if format.json { return try Output.json(UsageDocument(usage, of: image)) }
        var head = TextTable(alignments: [.left, .right, .left])
        let shareable = usage.uniqueBytes &+ usage.sharedBytes
        head.add(["logical", Units.bytes(usage.logicalBytes), "as pushed"])
        head.add([
            "unique", Units.bytes(usage.uniqueBytes),
            "\(Units.percent(usage.uniqueBytes, of: shareable)) of its content is in no other image",
        ])
        head.add(["shared", Units.bytes(usage.sharedBytes), "with other images"])
        head.add(["frees", Units.bytes(usage.freedBytes), "if deleted: its unique chunks, compressed"])

        var layers = TextTable([
            ("BLOB", .left), ("SIZE", .right), ("CONTENT", .right), ("UNIQUE", .right), ("STATE", .left),
        ])
        for layer in usage.layers {
            layers.add([
                shortened(layer.blob.digest.description), Units.bytes(layer.blob.size), Units.bytes(layer.chunkBytes),
                Units.bytes(layer.uniqueBytes), BlobDocument(layer.blob).state,
            ])
        }
        var text = "\(image)\n\(usage.manifest)\n\n\(head.text)\n\(layers.text)"
        if !usage.sharesWith.isEmpty {
            var others = TextTable([("SHARES WITH", .left), ("SIZE", .right)])
            for other in usage.sharesWith { others.add([other.image, Units.bytes(other.bytes)]) }
            text += "\n" + others.text
        }
        try Output.write(text)
    }
}

/// A blob, as `inspect --json` shows it.
struct BlobDocument: Encodable {
    var digest: String
    var bytes: UInt64
    var landedAt: UInt64
    var settled: Bool
    var raw: Bool
    var rawReason: String?
    var stored: UInt64

    init(_ blob: BlobInfo) {
        digest = blob.digest.description
        bytes = blob.size
        landedAt = blob.landedAt
        settled = blob.isSettled
        raw = blob.isRaw
        rawReason = blob.rawReason
        stored = blob.storedBytes
    }

    /// For people.
    var state: String {
        if settled { return raw ? "settled, raw bytes in the cache" : "settled" }
        return rawReason.map { "raw: \($0)" } ?? "small, kept as it is"
    }
}

/// An image, as `inspect --json` shows it.
struct UsageDocument: Encodable {
    struct Sizes: Encodable {
        var logical: UInt64
        var unique: UInt64
        var shared: UInt64
        var freed: UInt64
    }
    struct Layer: Encodable {
        var digest: String
        var bytes: UInt64
        var settled: Bool
        var raw: Bool
        var rawReason: String?
        var stored: UInt64
        var chunkBytes: UInt64
        var uniqueBytes: UInt64
    }
    struct Neighbour: Encodable {
        var image: String
        var bytes: UInt64
    }

    var image: String
    var manifest: String
    var bytes: Sizes
    var layers: [Layer]
    var sharesWith: [Neighbour]

    init(_ usage: ImageUsage, of image: ImageReference) {
        self.image = image.description
        manifest = usage.manifest.description
        bytes = Sizes(
            logical: usage.logicalBytes, unique: usage.uniqueBytes, shared: usage.sharedBytes, freed: usage.freedBytes)
        layers = usage.layers.map { layer in
            Layer(
                digest: layer.blob.digest.description, bytes: layer.blob.size, settled: layer.blob.isSettled,
                raw: layer.blob.isRaw, rawReason: layer.blob.rawReason, stored: layer.blob.storedBytes,
                chunkBytes: layer.chunkBytes, uniqueBytes: layer.uniqueBytes)
        }
        sharesWith = usage.sharesWith.map { Neighbour(image: $0.image, bytes: $0.bytes) }
    }
}
