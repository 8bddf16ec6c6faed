// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import Testing
import VarveModel

@testable import VarveIndex

/// A directory that goes when the test ends; `KEEP_TEST_DIRS=1` leaves it to look at.
final class TemporaryDirectory {
    let path: String

    init() throws {
        let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array((base + "/varve-index-XXXXXX").utf8CString)
        guard mkdtemp(&template) != nil else { throw IndexError.system("mkdtemp") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        if getenv("KEEP_TEST_DIRS") == nil { TemporaryDirectory.remove(path) }
    }

    static func remove(_ path: String) {
        for name in (try? DurableDirectory.names(in: path)) ?? [] {
            let child = path + "/" + name
            if unlink(child) != 0 { remove(child) }
        }
        rmdir(path)
    }

    static func copy(_ source: String, to target: String) throws {
        try DurableDirectory.create(target)
        for name in try DurableDirectory.names(in: source) {
            try write(try read(source + "/" + name), to: target + "/" + name)
        }
    }

    static func read(_ path: String) throws -> [UInt8] {
        try JournalFile(path, flags: O_RDONLY).withBytes { (bytes) throws(IndexError) in Array(bytes) }
    }

    static func write(_ bytes: [UInt8], to path: String) throws {
        unlink(path)
        let file = try JournalFile(path, flags: O_RDWR | O_CREAT | O_TRUNC)
        try bytes.withUnsafeBytes { try JournalFiles.system.writeAll(file.descriptor, $0, at: 0) }
    }
}

/// Random numbers of a seed, which is printed by the tests that fail: `VARVE_TEST_SEED` sets it.
struct SeededGenerator: RandomNumberGenerator {
    static let seed: UInt64 = getenv("VARVE_TEST_SEED").flatMap { UInt64(String(cString: $0)) } ?? 20_261_123
    private var state: UInt64

    init(_ salt: UInt64 = 0) {
        // The sequence steps through its states evenly: salts side by side must not begin a few steps apart.
        state = SeededGenerator.mix(SeededGenerator.seed &+ SeededGenerator.mix(salt &+ 0x5851_F42D_4C95_7F2D))
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return SeededGenerator.mix(state)
    }

    private static func mix(_ value: UInt64) -> UInt64 {
        var z = value
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
    }

    mutating func digest() -> Digest {
        let algorithm: Digest.Algorithm = next() % 5 == 0 ? .sha512 : .sha256
        return certain(Digest(algorithm, bytes: bytes(algorithm.byteCount)))
    }
}

/// The value of what a test wrote itself.
func certain<Value>(_ value: Value?) -> Value {
    guard let value else { preconditionFailure("a test's own literal is wrong") }
    return value
}

func digest(_ number: Int) -> Digest {
    var generator = SeededGenerator(UInt64(number) &+ 1_000_000)
    return certain(Digest(.sha256, bytes: generator.bytes(32)))
}

func repository(_ text: String) -> RepositoryName { certain(RepositoryName(text)) }

func tag(_ text: String) -> VarveModel.Tag { certain(VarveModel.Tag(text)) }

/// Everything that the journal is there for, in words.
func catalogue(of environment: IndexEnvironment) throws -> [String] {
    try environment.read { (transaction) throws(IndexError) in
        var lines: [String] = []
        for (digest, row) in try transaction.blobs(limit: .max) where row.flags.contains(.inline) {
            lines.append("blob \(digest) \(row.landedAt) \(try transaction.inlineBytes(of: digest) ?? [])")
        }
        for name in try transaction.repositories(limit: .max) {
            lines.append("repository \(name) \(String(describing: try transaction.repository(name)))")
            for (digest, row) in try transaction.links(in: name, limit: .max) {
                lines.append("link \(name) \(digest) \(row) \(try transaction.holders(of: digest, limit: .max))")
            }
            for (digest, row) in try transaction.manifests(in: name, limit: .max) {
                lines.append("manifest \(name) \(digest) \(row)")
                guard let subject = row.subject else { continue }
                lines.append("referrer \(String(describing: try transaction.referrer(digest, of: subject, in: name)))")
            }
            for tag in try transaction.tags(in: name, limit: .max) {
                lines.append("tag \(name) \(tag) \(String(describing: try transaction.tag(tag, in: name)))")
            }
        }
        return lines
    }
}

/// What holds for every index, whatever was done to it; answers what does not.
func brokenInvariants(of environment: IndexEnvironment) throws -> [IndexVerification.Damage] {
    try environment.read { (transaction) throws(IndexError) in
        // The tests' manifests need no bytes.
        try transaction.verify().damage.filter { $0.problem != "no bytes" }
    }
}

/// The catalogue that replaying a journal gives.
func replayed(_ journal: String, beside scratch: String) throws -> (catalogue: [String], report: ReplayReport) {
    let rebuilder = try IndexRebuilder(indexPath: scratch)
    let report = try rebuilder.replayJournal(directory: journal)
    let lines = try catalogue(of: rebuilder.environment)
    #expect(try brokenInvariants(of: rebuilder.environment).isEmpty)
    try rebuilder.abandon()
    return (lines, report)
}

/// One random change of the catalogue; small sets of names, so that changes meet.
func randomChange(
    _ generator: inout SeededGenerator
) -> @Sendable (borrowing WriteTransaction) throws -> Void {
    let name = repository("r\(generator.next() % 4)/x")
    let number = Int(generator.next() % 12)
    let item = digest(number)
    let label = tag("t\(generator.next() % 5)")
    let seconds = generator.next() % 1_000_000
    // A digest names the same bytes always.
    let bytes = [UInt8](repeating: UInt8(number), count: number * 20)
    let choice = generator.next() % 20
    let subject = generator.next() % 2 == 0 ? digest(Int(generator.next() % 12)) : nil
    return { transaction in
        switch choice {
        case 0: try transaction.createRepository(name, at: seconds)
        case 1: try transaction.removeRepository(name)
        case 2...5: try transaction.link(item, in: name, at: seconds)
        case 6...7: try transaction.unlink(item, in: name)
        case 8...10:
            try transaction.putManifest(
                item, in: name,
                ManifestRow(
                    mediaType: "m/\(seconds)", size: seconds,
                    references: [.init(digest: digest(1), kind: .blob), .init(digest: digest(2), kind: .manifest)],
                    subject: subject, pushedAt: seconds),
                referrer: ReferrerRow(mediaType: "m", size: seconds, artifactType: "a", annotationsJSON: bytes))
        case 11: try transaction.removeManifest(item, in: name)
        case 12...14:
            try transaction.setTag(label, in: name, TagRow(digest: item, mediaType: "m", updatedAt: seconds))
        case 15: try transaction.removeTag(label, in: name)
        case 16...18:
            if try transaction.blob(item) == nil {
                try transaction.putInlineBlob(item, bytes: bytes, landedAt: seconds)
            }
        default: try transaction.removeBlob(item)
        }
    }
}

/// Holds the committer in a body until let go, so that what is submitted meanwhile becomes one batch.
final class Hold: @unchecked Sendable {  // guarded by its monitor
    private let monitor = Monitor()
    private var isHeld = true
    private var isReached = false

    func block() {
        monitor.locked {
            isReached = true
            monitor.wakeAll()
            while isHeld { monitor.wait() }
        }
    }

    func waitUntilReached() { monitor.locked { while !isReached { monitor.wait() } } }

    func release() {
        monitor.locked {
            isHeld = false
            monitor.wakeAll()
        }
    }
}

/// What a completion said.
struct Outcome {
    var error: (any Error)?
}

/// Collects what completions say.
final class Outcomes: @unchecked Sendable {  // guarded by its monitor
    private let monitor = Monitor()
    private var outcomes: [Int: Outcome] = [:]

    func set(_ index: Int, _ error: (any Error)?) {
        monitor.locked {
            outcomes[index] = Outcome(error: error)
            monitor.wakeAll()
        }
    }

    /// Waits for the completions of `count` bodies.
    func wait(for count: Int) -> [Int: Outcome] {
        monitor.locked {
            while outcomes.count < count { monitor.wait() }
            return outcomes
        }
    }
}

struct BodyError: Error, Equatable { var number = 0 }
