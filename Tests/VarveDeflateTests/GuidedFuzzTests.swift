// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Testing

@testable import VarveDeflate

@Suite("files and plans that grow wild")
struct GuidedFuzzTests {
    /// For a long run: how many seconds (VARVE_DEFLATE_FUZZ_SECONDS), and from which seed (VARVE_TEST_SEED).
    private static let environment = ProcessInfo.processInfo.environment
    private static let seconds = Double(environment["VARVE_DEFLATE_FUZZ_SECONDS"] ?? "")

    @Test("whatever decodes comes back bit for bit, whatever is damaged is refused or harmless")
    func grow() throws {
        let seed = UInt64(Self.environment["VARVE_TEST_SEED"] ?? "") ?? 20_261_124
        let small = try Fixtures.names.map { try Fixtures.bytes($0) }.filter { $0.count < 8000 }
        var driver = FuzzDriver(seed: seed, corpus: small)
        let begin = Date()
        var report = begin
        while true {
            try driver.step()
            if let seconds = Self.seconds {
                let now = Date()
                if now.timeIntervalSince(begin) > seconds || driver.findings.count > 20 { break }
                if now.timeIntervalSince(report) > 60 {
                    report = now
                    print("\(driver.executions) executions, \(driver.kept) kept, \(driver.findings.count) findings")
                }
            } else if driver.executions > 1500 {
                break
            }
        }
        print(
            "seed \(seed): \(driver.executions) executions, \(driver.exact) exact, \(driver.refusedPlans) plans refused, "
                + "\(driver.kept) inputs kept, \(driver.findings.count) findings")
        #expect(driver.findings.isEmpty, "seed \(seed): \(driver.findings.joined(separator: "\n"))")
        #expect(driver.exact > 50)
        #expect(driver.refusedPlans > 50)
        #expect(driver.kept > small.count)
    }
}
