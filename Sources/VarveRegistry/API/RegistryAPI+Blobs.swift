// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOCore
import NIOHTTP1
import VarveEngine
import VarveHTTP
import VarveModel

extension RegistryAPI {
    /// end-2: a blob, a range of it, or several.
    func blob(_ request: Request, _ digest: Digest, in repository: RepositoryName) async throws -> Response {
        let tag = "\"\(digest)\""
        var headers: HTTPHeaders = [
            "Docker-Content-Digest": digest.description, "ETag": tag, "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
        ]
        if request.head.method == .HEAD {
            let info = try await store.blob(digest, in: repository)
            // Clients ask this before they push: what they have is wanted.
            if info.isDamaged { throw VarveError(.blobUnknown, "the bytes of blob \(digest) are damaged") }
            if Precondition.matches(request.head, tag) { return notModified(headers) }
            headers.add(name: "Content-Length", value: String(info.size))
            return Response(.ok, headers)
        }
        if Precondition.matches(request.head, tag) {
            _ = try await store.blob(digest, in: repository)
            return notModified(headers)
        }
        guard let ranges = ranges(request.head, tag) else {
            return Response(.ok, headers, body: .content(HTTPContent(try await store.openBlob(digest, in: repository))))
        }
        let size = try await store.blob(digest, in: repository).size
        switch ranges.resolve(size: size) {
        case .whole:
            return Response(.ok, headers, body: .content(HTTPContent(try await store.openBlob(digest, in: repository))))
        case .unsatisfiable:
            throw Refusal(
                .rangeNotSatisfiable, .sizeInvalid, "the blob has \(size) bytes",
                headers: ["Content-Range": "bytes */\(size)"])
        case .parts(let parts):
            if parts.count == 1 {
                let part = parts[0]
                headers.add(name: "Content-Range", value: "bytes \(part.lowerBound)-\(part.upperBound - 1)/\(size)")
                let content = HTTPContent(try await store.openBlob(digest, in: repository, range: part))
                return Response(.partialContent, headers, body: .content(content))
            }
            return several(parts, of: digest, in: repository, size: size, headers)
        }
    }

    /// A `multipart/byteranges` answer (RFC 9110, section 14.6). Each part is opened when its turn comes.
    private func several(
        _ parts: [Range<UInt64>], of digest: Digest, in repository: RepositoryName, size: UInt64, _ headers: HTTPHeaders
    ) -> Response {
        let boundary =
            String(UInt64.random(in: .min ... .max), radix: 16) + String(UInt64.random(in: .min ... .max), radix: 16)
        let lead = { (part: Range<UInt64>) in
            "\r\n--\(boundary)\r\nContent-Type: application/octet-stream\r\n"
                + "Content-Range: bytes \(part.lowerBound)-\(part.upperBound - 1)/\(size)\r\n\r\n"
        }
        let tail = "\r\n--\(boundary)--\r\n"
        var length = UInt64(tail.utf8.count)
        for part in parts { length += UInt64(lead(part).utf8.count) + (part.upperBound - part.lowerBound) }
        var headers = headers
        headers.replaceOrAdd(name: "Content-Type", value: "multipart/byteranges; boundary=\(boundary)")
        return Response(
            .partialContent, headers,
            body: .produced(length: length) { [store] writer in
                for part in parts {
                    try await writer.write(ByteBuffer(string: lead(part)))
                    try await writer.write(HTTPContent(try await store.openBlob(digest, in: repository, range: part)))
                }
                try await writer.write(ByteBuffer(string: tail))
            })
    }

    private func ranges(_ head: HTTPRequestHead, _ tag: String) -> ByteRanges? {
        let fields = head.headers["range"]
        guard fields.count == 1, head.method == .GET else { return nil }
        if let condition = head.headers.first(name: "if-range"), condition != tag { return nil }
        return ByteRanges(fields[0], most: settings.rangesMax)
    }

    func notModified(_ headers: HTTPHeaders) -> Response {
        var kept = headers
        kept.remove(name: "Content-Type")
        return Response(.notModified, kept)
    }
}

/// `If-None-Match` (RFC 9110, section 13.1.2).
enum Precondition {
    /// Whether the request names the tag that the answer would carry.
    static func matches(_ head: HTTPRequestHead, _ tag: String) -> Bool {
        head.headers[canonicalForm: "if-none-match"].contains {
            $0 == "*" || $0 == Substring(tag) || $0 == Substring("W/" + tag)
        }
    }
}
