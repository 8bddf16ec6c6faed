// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Testing

@testable import VarveZstd

extension ZstdParameters {
    /// Whether its models take much memory, which costs more here than the search itself.
    fileprivate var isSlow: Bool { modelBytes > 4 << 20 }
}

@Suite("hostile zstd input")
struct ZstdFuzzTests {
    private static let seed = ProcessInfo.processInfo.environment["ZSTD_FUZZ_SEED"].flatMap(UInt64.init) ?? 20_260_307

    /// Mutated files; more of them where a debug build is no burden.
    private static let rounds = ProcessInfo.processInfo.environment["ZSTD_FUZZ_ROUNDS"].flatMap(Int.init) ?? 600

    private func mutate(_ bytes: [UInt8], _ random: inout Seeded) -> [UInt8] {
        var result = bytes
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            guard !result.isEmpty else { break }
            let at = Int.random(in: 0..<result.count, using: &random)
            switch Int.random(in: 0..<8, using: &random) {
            case 0: result.removeSubrange(at...)
            case 1: result.remove(at: at)
            case 2: result.insert(.random(in: 0...255, using: &random), at: at)
            case 3:
                let end = min(result.count, at + Int.random(in: 1...40, using: &random))
                result.append(contentsOf: result[at..<end])
            case 4: result[at] = [0, 255, 127, 128].randomElement(using: &random) ?? 0
            default: result[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            }
        }
        return result
    }

    private func seeds() throws -> [[UInt8]] {
        try Fixtures.names.map { try Fixtures.start(of: Fixtures.bytes($0)) }
    }

    @Test("mutated files: no trap, and what is taken apart comes back", .timeLimit(.minutes(15)))
    func mutatedFiles() throws {
        var random = Seeded(state: Self.seed)
        let seeds = try seeds()
        var takenApart = 0
        for round in 0..<Self.rounds {
            guard let seed = seeds.randomElement(using: &random) else { break }
            let file = mutate(seed, &random)
            guard let header = try? FrameHeader(Array(file.prefix(18))) else { continue }
            let models = (ZstdAnalyzerTests.models + ZstdParameters.candidates(header)).filter {
                !$0.isSlow || round % 40 == 0
            }
            guard let parameters = models.randomElement(using: &random) else { continue }
            let pass = ZstdPass(source: source(file), parameters: parameters)
            pass.isWhole = Bool.random(using: &random)
            pass.spacing = 1000
            var plain: [UInt8] = []
            guard (try? pass.run(plainMax: .max) { plain.append(contentsOf: $0) }) != nil else { continue }
            takenApart += 1
            let plan = pass.plan()
            for start in [0, Int.random(in: 0...file.count, using: &random)] {
                let made = try? rebuilt(plan: plan, plain: plain, from: start)
                #expect(
                    isEqual(made, Array(file[start...])),
                    "ZSTD_FUZZ_SEED=\(Self.seed), round \(round), from \(start), \(parameters.name)")
            }
        }
        #expect(takenApart > Self.rounds / 100)
    }

    @Test("damaged plans: no trap", .timeLimit(.minutes(15)))
    func damagedPlans() throws {
        var random = Seeded(state: Self.seed &+ 1)
        var refused = 0
        // In the whole file points have many hints.
        let whole = try Fixtures.bytes("klauspost-fastest.zst")
        for (number, file) in (try seeds() + [whole]).enumerated() {
            let header = try FrameHeader(Array(file.prefix(18)))
            // All candidates on some files, one of each model on the others.
            let candidates = number % 6 == 0 ? ZstdParameters.candidates(header).filter { !$0.isSlow } : []
            for parameters in candidates + ZstdAnalyzerTests.models.filter({ !$0.isSlow || number % 6 == 0 }) {
                let pass = ZstdPass(source: source(file), parameters: parameters)
                pass.isWhole = true
                pass.spacing = file == whole ? 250_000 : 1000
                var plain: [UInt8] = []
                try pass.run(plainMax: .max) { plain.append(contentsOf: $0) }
                let plan = pass.plan()
                for _ in 0..<(parameters.isSlow ? 1 : 6) {
                    // Sealed again, so that the damage gets past the checksum.
                    follow(ZstdPlan.seal(mutate(Array(plan[8...]), &random)), plain, &random, &refused)
                }
            }
        }
        for name in Fixtures.formerPlans {
            let plan = try Fixtures.bytes(name)
            let plain = try decoded(Fixtures.bytes(name.replacingOccurrences(of: ".plan\(plan[3])", with: ".zst")))
            for _ in 0..<40 {
                follow(ZstdPlan.seal(mutate(Array(plan[8...]), &random), version: plan[3]), plain, &random, &refused)
            }
        }
        #expect(refused > 0)
    }

    /// Makes the file whole, from its first points on, and from anywhere.
    private func follow(_ plan: [UInt8], _ plain: [UInt8], _ random: inout Seeded, _ refused: inout Int) {
        do { _ = try rebuilt(plan: plan, plain: plain) } catch { refused += 1 }
        guard let rebuilder = try? ZstdRebuilder(plan: plan) else { return }
        let starts = rebuilder.segments.dropFirst().prefix(3).map(\.compressed.lowerBound)
        for start in starts + [Int.random(in: 0...rebuilder.compressedCount, using: &random)] {
            do { _ = try rebuilt(plan: plan, plain: plain, from: start) } catch { refused += 1 }
        }
    }

    @Test("a plan with one wrong bit is refused")
    func checksum() throws {
        let plan = ZstdPlan.seal([0, 0, 0, 0])
        _ = try ZstdRebuilder(plan: plan)
        for bit in 0..<(plan.count * 8) {
            var damaged = plan
            damaged[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: ZstdError.self) { try ZstdRebuilder(plan: damaged) }
        }
    }

    @Test("bombs: a run of blocks of one byte each costs little memory and is decoded as it is read")
    func bombs() throws {
        // 8000 blocks of 128 KiB: a gibibyte out of 32 kB.
        var file: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd, 0, 0x58]
        for _ in 0..<8000 { file += [0x02, 0, 0x10, 7] }
        file += [1, 0, 0]
        var plain = 0
        struct Enough: Error {}
        #expect(throws: Enough.self) {
            _ = try ZstdAnalyzer(source: source(file)).analyze { bytes in
                plain += bytes.count
                if plain > 10 << 20 { throw Enough() }
            }
        }
        #expect(plain < 11 << 20)
    }

    @Test(
        "what is not taken apart is said in a word",
        arguments: [
            ([0x28, 0xb5, 0x2f, 0xfd, 0, 0xff, 1, 0, 0], "window"),
            ([0x28, 0xb5, 0x2f, 0xfd, 1, 0x58, 7, 1, 0, 0], "dictionary"),
            ([0x28, 0xb5, 0x2f, 0xfd, 0, 0x58, 6, 0, 0], "format"),
            ([0x28, 0xb5, 0x2f, 0xfd, 0, 0x58, 0, 0, 0, 1, 0, 0], "empty-block"),
            ([0x28, 0xb5, 0x2f, 0xfd, 0, 0x58, 1, 0], "truncated"),
            ([0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0], "no-frame"),
        ] as [([UInt8], String)])
    func reasons(file: [UInt8], reason: String) throws {
        let result = try ZstdAnalyzer(source: source(file)).analyze { _ in }
        guard case .unsupported(let found) = result else {
            Issue.record("taken apart")
            return
        }
        #expect(found == reason)
    }
}
