// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

public import VarveDrivers
public import VarveModel

/// One access key.
public struct S3Credential: Sendable, Hashable {
    /// The key's name, which requests carry.
    public var accessKey: String
    /// What requests are signed with. Never logged, never sent.
    public var secretKey: String
    /// Buckets that the key may use and see; nil = all.
    public var buckets: [BucketName]?

    /// A credential of its parts.
    public init(accessKey: String, secretKey: String, buckets: [BucketName]? = nil) {
        self.accessKey = accessKey
        self.secretKey = secretKey
        self.buckets = buckets
    }

    func allows(_ bucket: BucketName) -> Bool { buckets?.contains(bucket) ?? true }
}

/// The access keys of a server.
public struct S3Credentials: Sendable {
    let keys: [String: S3Credential]

    /// Credentials of a list; of two with the same access key the last counts.
    public init(_ list: [S3Credential]) {
        keys = Dictionary(list.map { ($0.accessKey, $0) }) { _, last in last }
    }

    /// Buckets that are named in it, each once.
    public var buckets: [BucketName] { Set(keys.values.flatMap { $0.buckets ?? [] }).sorted() }

    /// Whether there is none.
    public var isEmpty: Bool { keys.isEmpty }

    /// Reads a credentials file: a line for each key, with access key, secret key and the buckets it may use, separated
    /// by blanks. Buckets are separated by commas; `*` or nothing stands for all. Empty lines and lines that begin with
    /// `#` say nothing.
    /// - Throws: `invalidArgument` with the line's number, never with its content.
    public init(parsing text: String) throws(VarveError) {
        var list: [S3Credential] = []
        for (index, line) in text.split(
            omittingEmptySubsequences: false, whereSeparator: \.isNewline
        ).enumerated() {
            let fields = line.split { $0 == " " || $0 == "\t" || $0 == "\r" || $0 == "\r\n" }
            guard let first = fields.first, !first.hasPrefix("#") else { continue }
            guard (2...3).contains(fields.count) else {
                throw VarveError(
                    .invalidArgument, "line \(index + 1) is not 'ACCESS-KEY SECRET-KEY BUCKET,BUCKET'")
            }
            var buckets: [BucketName]?
            if fields.count == 3, fields[2] != "*" {
                var names: [BucketName] = []
                for text in fields[2].split(separator: ",", omittingEmptySubsequences: false) {
                    guard let name = BucketName(text) else {
                        // Not said which: it may be the rest of a secret with a blank in it.
                        throw VarveError(
                            .invalidArgument, "line \(index + 1) has no names of buckets in its third field")
                    }
                    names.append(name)
                }
                buckets = names
            }
            guard list.allSatisfy({ $0.accessKey != fields[0] }) else {
                throw VarveError(.invalidArgument, "line \(index + 1): this access key has a line already")
            }
            list.append(
                S3Credential(accessKey: String(fields[0]), secretKey: String(fields[1]), buckets: buckets))
        }
        self.init(list)
    }
}
