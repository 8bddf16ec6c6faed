// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import ArgumentParser
import Foundation
import VarveDrivers
import VarveHTTP
import VarveModel
import VarveS3

/// The S3 front end of `serve`.
struct S3Options: ParsableArguments {
    @Option(
        name: .customLong("s3-listen"),
        help: ArgumentHelp(
            "Serve S3 too, on this address; keys come from VARVE_S3_ACCESS_KEY and VARVE_S3_SECRET_KEY or a file.",
            valueName: "host:port"))
    var listen: ListenAddress?
    @Option(
        name: .customLong("s3-credentials"),
        help: ArgumentHelp(
            "File with a line for each key: access key, secret key, and the buckets it may use.", valueName: "file"))
    var file: String?
    @Option(
        name: .customLong("s3-bucket"),
        help: ArgumentHelp("Bucket to make if it is not there; may be given several times.", valueName: "name"))
    var bucketNames: [String] = []
    @Option(
        name: .customLong("s3-domain"),
        help: ArgumentHelp("Hosts below this name are buckets, beside /bucket in the path.", valueName: "name"))
    var domain: String?

    func validate() throws {
        guard listen != nil else {
            guard file == nil, bucketNames.isEmpty, domain == nil else {
                throw ValidationError("--s3-credentials, --s3-bucket and --s3-domain say nothing without --s3-listen.")
            }
            return
        }
        if let domain, !Self.isHostName(domain) {
            throw ValidationError("--s3-domain takes the name of a host, like s3.example.org, not '\(domain)'.")
        }
        for name in bucketNames where BucketName(name) == nil {
            throw ValidationError(
                "'\(name)' is no name for a bucket: 3 to 63 of a-z, 0-9, '.' and '-', with a letter or digit at both ends."
            )
        }
    }

    /// Labels of letters, digits and hyphens with dots between them: no port, no address, no dot at the ends.
    private static func isHostName(_ text: String) -> Bool {
        text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
            !label.isEmpty && label.utf8.count <= 63
                && label.utf8.allSatisfy {
                    (0x61...0x7A).contains($0 | 0x20) || (0x30...0x39).contains($0) || $0 == 0x2D
                }
        }
    }

    /// Buckets to make.
    var buckets: [BucketName] { bucketNames.compactMap { BucketName($0) } }

    /// Settings of the front end; nil if it is not asked for.
    /// - Throws: ``ToolError`` if there are no keys, or the file can not be read.
    func settings() throws -> S3Settings? {
        guard let listen else { return nil }
        var settings = S3Settings(credentials: try credentials())
        settings.http.host = listen.host
        settings.http.port = listen.port
        settings.domain = domain
        return settings
    }

    private func credentials() throws -> S3Credentials {
        if let file {
            let text: String
            do { text = try String(contentsOfFile: file, encoding: .utf8) } catch {
                throw ToolError(.failed, "cannot read the credentials in \(file)")
            }
            do {
                let credentials = try S3Credentials(parsing: text)
                guard !credentials.isEmpty else { throw VarveError(.invalidArgument, "there is no key in it") }
                return credentials
            } catch let error as VarveError {
                throw ToolError(.failed, "\(file): \(error.message)")
            }
        }
        let environment = ProcessInfo.processInfo.environment
        guard let access = environment["VARVE_S3_ACCESS_KEY"], let secret = environment["VARVE_S3_SECRET_KEY"],
            !access.isEmpty, !secret.isEmpty
        else {
            throw ToolError(
                .usage,
                "--s3-listen needs keys: set VARVE_S3_ACCESS_KEY and VARVE_S3_SECRET_KEY, or give --s3-credentials FILE"
            )
        }
        return S3Credentials([S3Credential(accessKey: access, secretKey: secret)])
    }
}
