// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import ArgumentParser
import Foundation
import VarveRig

/// What it costs an unmodified registry to keep its layers in Varve.
struct BackingCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backing",
        abstract: "An unmodified docker-registry on Varve's S3, beside the same on its own files.",
        discussion: """
            skopeo pushes every tagged image of an OCI layout, one after the other, and pulls them again at once, from \
            three servers in turns, each time into an empty store: docker-registry with its filesystem driver, \
            docker-registry with its s3 driver on Varve, and Varve itself. Then what Varve keeps is settled and evicted \
            under the running servers, every image is pulled once more, rebuilt ("cold"), and the store's files are \
            counted. Digests are kept, and skopeo compares every one of them at every pull.

            With --sink there is a fourth: docker-registry with its s3 driver on a server that checks nothing and keeps \
            nothing. No S3 store can make a push cheaper than that.
            """)

    @OptionGroup var common: CommonOptions

    @Argument(help: "OCI layout whose tagged images are pushed.")
    var layout: String

    @Option(help: "The registry.")
    var registry = "docker-registry"

    @Option(help: "The s3-sink program; pushes to it are measured too.")
    var sink: String?

    @Option(help: "How often everything is done.")
    var repetitions = 3

    @Option(help: "A flag for varve serve, once for each; write --serve-argument=--flag.")
    var serveArgument: [String] = []

    struct Sample: Codable {
        let server: String
        let repetition: Int
        let pushSeconds: Double
        /// Nil if nothing can be pulled.
        let pullSeconds: Double?
        /// The same once everything is settled and evicted.
        let coldPullSeconds: Double?
        /// Processor time while images were pushed.
        let registryPushSeconds: Double
        let varvePushSeconds: Double
        /// Files of the store at the end.
        let storedBytes: Int
    }

    private enum Route: String, CaseIterable {
        case files = "docker-registry, its own files"
        case backed = "docker-registry on Varve"
        case direct = "Varve itself"
        case sink = "docker-registry on a sink"
    }

    private var routes: [Route] { Route.allCases.filter { $0 != .sink || sink != nil } }

    func run() throws {
        let varve = try common.varveProgram()
        let tags = try imageTags()
        var samples: [Sample] = []
        for repetition in 1...max(1, repetitions) {
            for route in repetition.isMultiple(of: 2) ? routes.reversed() : routes {
                samples.append(try measure(route, varve, tags, repetition))
                note("repetition \(repetition)/\(repetitions): \(route.rawValue) done")
            }
        }
        try common.write(
            samples, versions: ["docker-registry": firstVersionLine(registry), "varve": firstVersionLine(varve)])
        var table = Table(
            "\(tags.count) images", "push s", "ratio", "pull s", "ratio", "cold pull s", "registry CPU s",
            "store CPU s", "stored MB")
        let first = samples.filter { $0.server == Route.files.rawValue }
        for route in routes {
            let own = samples.filter { $0.server == route.rawValue }
            let (push, pulls) = (median(own.map(\.pushSeconds)), own.compactMap(\.pullSeconds))
            let cold = own.compactMap(\.coldPullSeconds)
            table.add(
                route.rawValue, fixed(push, 1), fixed(push / median(first.map(\.pushSeconds))),
                pulls.isEmpty ? "" : fixed(median(pulls), 1),
                pulls.isEmpty ? "" : fixed(median(pulls) / median(first.compactMap(\.pullSeconds))),
                cold.isEmpty ? "" : fixed(median(cold), 1), fixed(median(own.map(\.registryPushSeconds)), 1),
                fixed(median(own.map(\.varvePushSeconds)), 1), megabytes(own.last?.storedBytes ?? 0))
        }
        print(table.text)
        print("Medians of \(repetitions); processor seconds are those of the push. MB = 10^6 bytes.")
    }

    private func imageTags() throws -> [String] {
        struct Index: Decodable {
            struct Manifest: Decodable { var annotations: [String: String]? }
            var manifests: [Manifest]
        }
        let bytes = try Data(contentsOf: URL(fileURLWithPath: layout + "/index.json"))
        let tags = try JSONDecoder().decode(Index.self, from: bytes).manifests
            .compactMap { $0.annotations?["org.opencontainers.image.ref.name"] }
        guard !tags.isEmpty else { throw RigError("no tagged image in \(layout)") }
        return tags
    }

    private func measure(_ route: Route, _ program: String, _ tags: [String], _ repetition: Int) throws -> Sample {
        let work = try TemporaryFolder(in: common.work, prefix: "varve-backing")
        let store = work.path(of: "store")
        var varve: TestServer?
        var front: TestServer?
        switch route {
        case .files:
            front = try .start(.distribution(program: registry), store: store, logs: work.path(of: "logs"))
        case .backed, .sink:
            let bucket = try S3Bucket.made()
            let behind: ServerKind =
                route == .sink
                ? .sink(program: sink ?? "", port: bucket.port)
                : .varve(program: program, arguments: bucket.serveArguments + serveArgument)
            varve = try .start(
                behind, store: store, logs: work.path(of: "store-logs"), environment: bucket.environment)
            front = try .start(
                .distributionOnS3(program: registry, bucket: bucket), store: work.path(of: "none"),
                logs: work.path(of: "logs"))
        case .direct:
            varve = try .start(
                .varve(program: program, arguments: serveArgument), store: store, logs: work.path(of: "logs"))
        }
        guard let port = front?.port ?? varve?.port else { throw RigError("no server") }
        let skopeo = ["skopeo", "--insecure-policy", "copy", "-q", "--preserve-digests"]
        func cpu(_ server: TestServer?) throws -> Double { try server?.figures.cpuSeconds ?? 0 }
        flushDisks()
        let before = (try cpu(front), try cpu(varve))
        let start = monotonicSeconds()
        for (number, tag) in tags.enumerated() {
            try VarveRig.run(
                skopeo + [
                    "--dest-tls-verify=false", "oci:\(layout):\(tag)", "docker://127.0.0.1:\(port)/bench/\(number):1",
                ])
        }
        let push = monotonicSeconds() - start
        let after = (try cpu(front), try cpu(varve))
        func pullAll() throws -> Double {
            let start = monotonicSeconds()
            for number in tags.indices {
                let folder = try TemporaryFolder(in: common.work, prefix: "varve-pulled")
                try VarveRig.run(
                    skopeo + [
                        "--src-tls-verify=false", "docker://127.0.0.1:\(port)/bench/\(number):1",
                        "dir:" + folder.path(of: "image"),
                    ])
            }
            return monotonicSeconds() - start
        }
        let pull = route == .sink ? nil : try pullAll()
        var cold: Double?
        if route == .backed || route == .direct {
            try VarveRig.run([program, "settle", "--evict", "--store", store])
            cold = try pullAll()
        }
        front?.stop()
        varve?.stop()
        return Sample(
            server: route.rawValue, repetition: repetition, pushSeconds: push, pullSeconds: pull, coldPullSeconds: cold,
            registryPushSeconds: after.0 - before.0, varvePushSeconds: after.1 - before.1,
            storedBytes: try DiskUse(of: store).bytes)
    }
}
