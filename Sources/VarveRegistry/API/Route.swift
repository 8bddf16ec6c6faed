// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOHTTP1

/// What a path asks for. Names and references are text here; they are parsed, or refused, where they are used.
///
/// A name may hold any of the words that structure a path (`blobs/manifests/tags` is one), so a path is read from its end.
enum Route: Equatable {
    case base
    case catalog
    case tags(name: String)
    case manifest(name: String, reference: String)
    case blob(name: String, digest: String)
    case uploads(name: String)
    case upload(name: String, id: String)
    case referrers(name: String, digest: String)
    case live
    case ready
    case unknown

    init(_ segments: [String]) {
        switch segments {
        case ["livez"]: self = .live
        case ["readyz"]: self = .ready
        case ["v2"], ["v2", ""]: self = .base
        case ["v2", "_catalog"]: self = .catalog
        default: self = segments.first == "v2" ? Route(inRepository: segments.dropFirst()) : .unknown
        }
    }

    private init(inRepository path: ArraySlice<String>) {
        let last = path.last ?? ""
        let before = path.dropLast().last ?? ""
        let name = { (count: Int) in path.dropLast(count).joined(separator: "/") }
        if path.count >= 3, before == "tags", last == "list" {
            self = .tags(name: name(2))
        } else if path.count >= 4, path.dropLast(2).last == "blobs", before == "uploads" {
            self = last.isEmpty ? .uploads(name: name(3)) : .upload(name: name(3), id: last)
        } else if path.count >= 3, before == "blobs" {
            self = last == "uploads" ? .uploads(name: name(2)) : .blob(name: name(2), digest: last)
        } else if path.count >= 3, before == "manifests" {
            self = .manifest(name: name(2), reference: last)
        } else if path.count >= 3, before == "referrers" {
            self = .referrers(name: name(2), digest: last)
        } else {
            self = .unknown
        }
    }

    /// The methods that the path knows.
    var methods: [HTTPMethod] {
        switch self {
        case .base, .catalog, .tags, .referrers, .live, .ready: [.GET, .HEAD]
        case .manifest: [.GET, .HEAD, .PUT, .DELETE]
        case .blob: [.GET, .HEAD, .DELETE]
        case .uploads: [.POST]
        case .upload: [.GET, .HEAD, .PATCH, .PUT, .DELETE]
        case .unknown: []
        }
    }
}
