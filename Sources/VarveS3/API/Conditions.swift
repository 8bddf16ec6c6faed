// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOHTTP1
import VarveDrivers
import VarveHTTP
import VarveModel

/// Conditional requests (RFC 9110, section 13), on reads, on sources of copies, and on writes.
struct Conditions {
    var match: [String]
    var noneMatch: [String]
    var modifiedSince: Int?
    var unmodifiedSince: Int?

    /// - Parameter prefix: `x-amz-copy-source-` for the source of a copy.
    init(_ headers: HTTPHeaders, prefix: String = "") {
        match = Self.tags(headers[canonicalForm: prefix + "if-match"])
        noneMatch = Self.tags(headers[canonicalForm: prefix + "if-none-match"])
        modifiedSince = headers.first(name: prefix + "if-modified-since").flatMap(HTTPDate.seconds)
        unmodifiedSince = headers.first(name: prefix + "if-unmodified-since").flatMap(HTTPDate.seconds)
    }

    private static func tags(_ fields: [Substring]) -> [String] { fields.map { tag(String($0)) } }

    /// An entity tag without its quotes and without the mark of a weak one.
    static func tag(_ text: String) -> String {
        var text = Substring(text)
        if text.hasPrefix("W/") { text = text.dropFirst(2) }
        if text.utf8.count >= 2, text.hasPrefix("\""), text.hasSuffix("\"") { text = text.dropFirst().dropLast() }
        return String(text)
    }

    /// Checks a read of an object, or of the source of a copy, for which there is no 304.
    /// - Throws: ``S3Failure``: `PreconditionFailed`, or not modified.
    func check(_ info: ObjectInfo, headers: @autoclosure () -> HTTPHeaders, isCopy: Bool = false) throws(S3Failure) {
        let etag = info.attributes.etag
        let seconds = ObjectHeaders.seconds(info)
        if !match.isEmpty {
            guard match.contains("*") || match.contains(etag) else { throw Self.failed }
        } else if let unmodifiedSince, seconds > unmodifiedSince {
            throw Self.failed
        }
        var isUnchanged = false
        if !noneMatch.isEmpty {
            isUnchanged = noneMatch.contains("*") || noneMatch.contains(etag)
        } else if let modifiedSince {
            isUnchanged = seconds <= modifiedSince
        }
        guard isUnchanged else { return }
        if isCopy { throw Self.failed }
        var failure = Self.failed
        failure.isNotModified = true
        failure.headers = headers()
        for (name, _) in failure.headers
        where ["content-type", "content-encoding"].contains(name.lowercased()) || name.hasPrefix("x-amz-checksum-") {
            failure.headers.remove(name: name)
        }
        throw failure
    }

    static let failed = S3Failure(
        .preconditionFailed, "At least one of the pre-conditions you specified did not hold.")

    /// What a write depends on.
    /// - Throws: `NotImplemented` for both at once.
    func write() throws(S3Failure) -> WriteCondition.Target {
        switch (match.isEmpty, noneMatch.isEmpty) {
        case (true, true): return .any
        case (true, false): return noneMatch.contains("*") ? .absent : .notMatching(noneMatch)
        case (false, true): return match.contains("*") ? .present : .matching(match)
        case (false, false): throw S3Failure.notImplemented
        }
    }
}

extension S3API {
    /// Looks at a write's condition before the body is read, so that a client need not send it in vain. The driver looks
    /// again when it writes.
    func checkEarly(_ target: WriteCondition.Target, _ object: ObjectAddress) async throws {
        guard target != .any else { return }
        let info: ObjectInfo?
        do { info = try await driver.stat(object) } catch {
            guard error.code == .notFound else { throw error }
            info = nil
        }
        switch (target, info?.attributes.etag) {
        case (.absent, .some): throw Conditions.failed
        case (.present, nil), (.matching, nil): throw S3Failure(VarveError(.notFound, ""))
        case (.matching(let tags), let etag?) where !tags.contains(etag): throw Conditions.failed
        case (.notMatching(let tags), let etag?) where tags.contains(etag): throw Conditions.failed
        default: return
        }
    }
}
