// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import VarveModel
import VarveOCI

@testable import varve

/// A small OCI layout on disk whose layers are tars that share files.
struct LayoutFixture {
    let directory: TemporaryDirectory
    let name: String
    private(set) var entries: [OCILayout.Entry] = []

    init(in directory: TemporaryDirectory, name: String) throws {
        self.directory = directory
        self.name = name
        try directory.write("\(name)/oci-layout", OCILayout.markerBytes)
    }

    var path: String { "\(directory.path)/\(name)" }

    /// Puts a blob into the layout.
    func blob(_ bytes: [UInt8], _ mediaType: String) throws -> Descriptor {
        let digest = try Hashing.digest(of: bytes)
        try directory.write("\(name)/\(OCILayout.path(of: digest))", bytes)
        return Descriptor(mediaType: mediaType, digest: digest, size: UInt64(bytes.count))
    }

    /// Puts an image of these layers into the layout.
    @discardableResult
    mutating func image(_ refName: String?, layers: [[UInt8]]) throws -> Descriptor {
        let layers = try layers.map { try blob($0, MediaType.ociLayer) }
        let diffIDs = layers.map { "\"\($0.digest)\"" }.joined(separator: ",")
        let config = #"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[\#(diffIDs)]}}"#
        let manifest = ManifestDocument.image(
            config: try blob(Array(config.utf8), MediaType.ociConfig), layers: layers)
        let descriptor = try blob(manifest, MediaType.ociManifest)
        try add(descriptor, refName)
        return descriptor
    }

    /// Names a manifest in the layout's index.
    mutating func add(_ descriptor: Descriptor, _ refName: String?) throws {
        entries.append(OCILayout.Entry(descriptor, name: refName))
        try directory.write("\(name)/index.json", OCILayout(entries).indexBytes)
    }

    /// A layer: two files that are the same for the same `shared`, one that is its own.
    static func layer(shared: UInt64, own: UInt64) -> [UInt8] {
        archive([
            ("usr/lib/shared.so", randomBytes(200_000, seed: shared)),
            ("usr/share/text", Array(String(repeating: "line \(shared)\n", count: 5000).utf8)),
            ("usr/bin/own", randomBytes(60_000, seed: own)),
        ])
    }
}
