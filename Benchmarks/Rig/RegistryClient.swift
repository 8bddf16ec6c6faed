// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation

/// The requests of the OCI distribution API that the rigs make, over one connection. Clause numbers are the specification's.
package struct RegistryClient {
    /// How a blob is pushed.
    package enum PushMethod: Sendable, CaseIterable {
        /// POST, then PUT with the whole body (end-4a, end-6).
        case monolithic
        /// POST, PATCH for each part, PUT without a body (end-4a, end-5, end-6).
        case chunked
        /// POST with the whole body (end-4b); a server may answer 202 and ask for a PUT.
        case single
    }

    package let connection: HTTPConnection

    package init(_ connection: HTTPConnection) {
        self.connection = connection
    }

    package init(_ server: TestServer) throws {
        connection = try HTTPConnection(host: server.host, port: server.port)
    }

    /// Pushes a blob.
    /// - Returns: The last status; 201 is the acknowledgement.
    package func pushBlob(
        _ digest: String, _ pieces: [UnsafeRawBufferPointer], to repository: String, by method: PushMethod = .monolithic
    ) throws -> Int {
        let type = ("Content-Type", "application/octet-stream")
        let uploads = "/v2/\(repository)/blobs/uploads/"
        if method == .single {
            let answer = try connection.request("POST", "\(uploads)?digest=\(digest)", headers: [type], body: pieces)
            guard answer.status == 202 else { return answer.status }
            let target = try Self.target(of: answer, digest: digest)
            return try connection.request("PUT", target, headers: [type], body: pieces).status
        }
        var answer = try connection.request("POST", uploads, body: [])
        guard answer.status == 202 else { return answer.status }
        if method == .chunked {
            var offset = 0
            for piece in pieces where !piece.isEmpty {
                let range = ("Content-Range", "\(offset)-\(offset + piece.count - 1)")
                answer = try connection.request(
                    "PATCH", try Self.target(of: answer), headers: [type, range], body: [piece])
                guard answer.status == 202 else { return answer.status }
                offset += piece.count
            }
        }
        let target = try Self.target(of: answer, digest: digest)
        return try connection.request("PUT", target, headers: [type], body: method == .chunked ? [] : pieces).status
    }

    /// Opens an upload (end-4a).
    /// - Returns: The path to PUT the whole body to.
    package func openUpload(_ digest: String, to repository: String) throws -> String {
        let answer = try connection.request("POST", "/v2/\(repository)/blobs/uploads/", body: [])
        guard answer.status == 202 else { throw RigError("an upload was answered \(answer.status)") }
        return try Self.target(of: answer, digest: digest)
    }

    /// Pulls a blob (end-2).
    package func pullBlob(
        _ digest: String, from repository: String, sink: HTTPConnection.Sink
    ) throws -> HTTPConnection.Response {
        try connection.request("GET", "/v2/\(repository)/blobs/\(digest)", sink: sink)
    }

    /// Pushes an image manifest under a tag or digest (end-7).
    package func pushManifest(_ bytes: [UInt8], to repository: String, reference: String) throws -> Int {
        try bytes.withUnsafeBytes { buffer in
            try connection.request(
                "PUT", "/v2/\(repository)/manifests/\(reference)", headers: [("Content-Type", Self.manifestType)],
                body: [buffer]
            ).status
        }
    }

    /// Pulls a manifest (end-3).
    package func pullManifest(from repository: String, reference: String) throws -> HTTPConnection.Response {
        try connection.request(
            "GET", "/v2/\(repository)/manifests/\(reference)", headers: [("Accept", Self.manifestType)], sink: .digest)
    }

    package static let manifestType = "application/vnd.oci.image.manifest.v1+json"

    /// An image manifest for a configuration and uncompressed layers, each as (digest, size).
    package static func manifest(configuration: (String, Int), layers: [(String, Int)]) -> [UInt8] {
        func descriptor(_ type: String, _ blob: (String, Int)) -> String {
            #"{"mediaType":"application/vnd.oci.image.\#(type)","digest":"\#(blob.0)","size":\#(blob.1)}"#
        }
        let list = layers.map { descriptor("layer.v1.tar", $0) }.joined(separator: ",")
        let text =
            #"{"schemaVersion":2,"mediaType":"\#(manifestType)","config":\#(descriptor("config.v1+json", configuration)),"#
            + #""layers":[\#(list)]}"#
        return Array(text.utf8)
    }

    /// The path that a `Location` header names, with the digest added when there is one.
    private static func target(of answer: HTTPConnection.Response, digest: String? = nil) throws -> String {
        guard var location = answer.headers["location"] else { throw RigError("\(answer.status) without Location") }
        if let scheme = location.range(of: "://") {
            guard let slash = location[scheme.upperBound...].firstIndex(of: "/") else {
                throw RigError("no path in Location \(location)")
            }
            location = String(location[slash...])
        }
        guard let digest else { return location }
        return location + (location.contains("?") ? "&" : "?") + "digest=" + digest
    }
}
