// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import VarveHTTP

//  s3-sink PORT      answers a registry's S3 requests on 127.0.0.1 and keeps nothing but small objects and sizes
//
// It checks no signature, hashes nothing and writes nothing: what a registry takes in front of it is what the registry and
// its client take alone, and no S3 store can be faster. `compare backing` runs it for that.

@main
struct S3Sink {
    static func main() async throws {
        guard CommandLine.arguments.count == 2, let port = Int(CommandLine.arguments[1]) else {
            print("s3-sink PORT")
            exit(64)
        }
        var settings = HTTPSettings()
        settings.port = port
        let listener = HTTPListener(api: SinkAPI(), settings: settings, logger: Logger(label: "sink"))
        try await listener.run(try await listener.bind())
    }
}

/// As much of S3 as CNCF Distribution's driver asks for while images are pushed.
private final class SinkAPI: HTTPAPI {
    private struct Stored {
        var size = 0
        /// Bytes of small objects; larger ones are zeros.
        var bytes = ByteBuffer()
    }
    private struct Upload {
        var key: String
        var parts: [Int: Int] = [:]
    }
    private struct State {
        var objects: [String: Stored] = [:]
        var uploads: [String: Upload] = [:]
        var count = 0
    }
    private let state = NIOLockedValueBox(State())
    private static let keptBytes = 64 << 10

    func respond(to request: HTTPRequest) async throws -> HTTPResponse {
        guard let address = URLComponents(string: "http://sink" + request.head.uri) else {
            return HTTPResponse(.badRequest)
        }
        let key = address.path.split(separator: "/", omittingEmptySubsequences: true).dropFirst().joined(separator: "/")
        var query: [String: String] = [:]
        for item in address.queryItems ?? [] { query[item.name] = item.value ?? "" }
        let source = request.head.headers.first(name: "x-amz-copy-source").map { text in
            text.split(separator: "/").dropFirst().joined(separator: "/")
        }
        let body = source == nil ? try await take(request.body) : Stored()
        return state.withLockedValue { state in
            Self.answer(request.head, key, query, source, body, &state)
        }
    }

    private func take(_ body: RequestBody) async throws -> Stored {
        var taken = Stored()
        while let piece = try await body.next() {
            taken.size += piece.readableBytes
            if taken.size <= Self.keptBytes { taken.bytes.writeImmutableBuffer(piece) }
        }
        return taken
    }

    private static func answer(
        _ head: HTTPRequestHead, _ key: String, _ query: [String: String], _ source: String?, _ body: Stored,
        _ state: inout State
    ) -> HTTPResponse {
        switch (head.method, query["uploadId"]) {
        case (.PUT, let upload?):
            let number = query["partNumber"].flatMap { Int($0) } ?? 0
            var size = body.size
            if source != nil {
                let range = (head.headers.first(name: "x-amz-copy-source-range") ?? "").dropFirst("bytes=".count)
                let ends = range.split(separator: "-").compactMap { Int($0) }
                size = ends.count == 2 ? ends[1] - ends[0] + 1 : 0
            }
            state.uploads[upload]?.parts[number] = size
            return source == nil ? tagged : xml("CopyPartResult", "<ETag>\"0\"</ETag>")
        case (.POST, let upload?):
            guard let ended = state.uploads.removeValue(forKey: upload) else { return missing }
            state.objects[ended.key] = Stored(size: ended.parts.values.reduce(0, +))
            return xml("CompleteMultipartUploadResult", "<ETag>\"0\"</ETag>")
        case (.GET, let upload?):
            let parts = (state.uploads[upload]?.parts ?? [:]).sorted { $0.key < $1.key }
            return xml(
                "ListPartsResult",
                parts.map { part in
                    "<Part><PartNumber>\(part.key)</PartNumber><ETag>\"0\"</ETag><Size>\(part.value)</Size></Part>"
                }.joined() + "<IsTruncated>false</IsTruncated>")
        case (.DELETE, let upload?):
            state.uploads[upload] = nil
            return HTTPResponse(.noContent)
        case (.POST, nil) where query["uploads"] != nil:
            state.count += 1
            state.uploads["\(state.count)"] = Upload(key: key)
            return xml("InitiateMultipartUploadResult", "<UploadId>\(state.count)</UploadId>")
        case (.POST, nil):
            let text = String(buffer: body.bytes)
            for piece in text.components(separatedBy: "<Key>").dropFirst() {
                state.objects[piece.components(separatedBy: "</Key>")[0]] = nil
            }
            return xml("DeleteResult", "")
        case (.PUT, nil):
            state.objects[key] = source.map { state.objects[$0] ?? Stored() } ?? body
            return source == nil ? tagged : xml("CopyObjectResult", "<ETag>\"0\"</ETag>")
        case (.GET, nil) where key.isEmpty: return list(query, state)
        case (.GET, nil), (.HEAD, nil):
            guard let object = state.objects[key] else { return missing }
            let headers: HTTPHeaders = ["ETag": "\"0\"", "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"]
            if head.method == .GET { return HTTPResponse(.ok, headers, body: .bytes(object.bytes)) }
            // Its bytes are never asked for: nothing is sent in answer to HEAD.
            return HTTPResponse(.ok, headers, body: .produced(length: UInt64(object.size)) { _ in })
        default: return HTTPResponse(.noContent)
        }
    }

    private static func list(_ query: [String: String], _ state: State) -> HTTPResponse {
        let prefix = query["prefix"] ?? ""
        if query["uploads"] != nil {
            let found = state.uploads.filter { $0.value.key.hasPrefix(prefix) }
            return xml(
                "ListMultipartUploadsResult",
                found.map { "<Upload><Key>\($0.value.key)</Key><UploadId>\($0.key)</UploadId></Upload>" }.joined())
        }
        var text = "<IsTruncated>false</IsTruncated>"
        var common: Set<String> = []
        for (key, object) in state.objects.sorted(by: { $0.key < $1.key }) where key.hasPrefix(prefix) {
            if query["delimiter"] == "/", let slash = key.dropFirst(prefix.count).firstIndex(of: "/") {
                let folder = String(key[...slash])
                if common.insert(folder).inserted {
                    text += "<CommonPrefixes><Prefix>\(folder)</Prefix></CommonPrefixes>"
                }
                continue
            }
            text += "<Contents><Key>\(key)</Key><Size>\(object.size)</Size>"
            text += "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
        }
        return xml("ListBucketResult", text)
    }

    private static var tagged: HTTPResponse { HTTPResponse(.ok, ["ETag": "\"0\""]) }
    private static var missing: HTTPResponse {
        HTTPResponse(.notFound, body: .bytes(ByteBuffer(string: "<Error><Code>NoSuchKey</Code></Error>")))
    }

    private static func xml(_ name: String, _ content: String) -> HTTPResponse {
        HTTPResponse(.ok, body: .bytes(ByteBuffer(string: "<\(name)>\(content)</\(name)>")))
    }

    func response(to error: any Error, of head: HTTPRequestHead) -> HTTPResponse { HTTPResponse(.internalServerError) }
    func response(to fault: HTTPFault, of head: HTTPRequestHead?) -> HTTPResponse { HTTPResponse(fault.status) }
    func isRefusal(_ error: any Error) -> Bool { false }
}
