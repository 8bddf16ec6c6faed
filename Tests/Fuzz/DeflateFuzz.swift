// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// What is taken apart must come back.
func takeApart(_ file: [UInt8], _ random: inout Seeded) {
    let parameters = FuzzDriver.parameters(&random)
    takeApart(file, parameters, FuzzDriver.limits(&random))
}

/// Finding the encoder takes a hundred times as long as following a given one.
func takeApart(_ file: [UInt8]) {
    struct Enough: Error {}
    var plainCount = 0
    let found = try? DeflateAnalyzer(source: reader(file)).decode { bytes in
        plainCount += bytes.count
        if plainCount > 20_000 { throw Enough() }
    }
    if found != nil { takeApart(file, nil, .init()) }
}

private func takeApart(_ file: [UInt8], _ parameters: StreamParameters?, _ limits: InflateReader.PartLimits) {
    let analyzer = DeflateAnalyzer(source: reader(file))
    var plain: [UInt8] = []
    let result: DeflateAnalyzer.Result
    do {
        if let parameters {
            result = try analyzer.analyze(with: parameters, limits: limits) { plain += [UInt8]($0) }
        } else {
            result = try analyzer.analyze { plain += [UInt8]($0) }
        }
    } catch {
        precondition((error as? DeflateError)?.reason != "block-structure", "\(error)")
        return
    }
    guard case .plan(let plan, _) = result else { return }
    let made = try? rebuild(plan: plan, plain: plain)
    precondition(made == file, "not the same")
}

/// What a plan says is done within its bounds, or refused.
func follow(_ body: [UInt8], _ random: inout Seeded) {
    let versions = DeflatePlan.oldestVersion...DeflatePlan.version
    let plan = sealed(body, version: .random(in: versions, using: &random))
    guard let rebuilder = try? DeflateRebuilder(plan: plan), rebuilder.plainCount <= 1 << 20 else { return }
    let plain = fuzzText(rebuilder.plainCount, &random)
    let workspace = DeflateRebuilder.Workspace()
    for index in rebuilder.segments.indices {
        guard let made = try? rebuild(rebuilder, index, plain, workspace) else { continue }
        precondition(made.count == rebuilder.segments[index].compressed.count, "another size than announced")
    }
}

private func sealed(_ body: [UInt8], version: UInt8) -> [UInt8] {
    let check = Checksum.crc32(body[...])
    let sum = (0..<4).map { UInt8(truncatingIfNeeded: check >> UInt32(8 * $0)) }
    return DeflatePlan.magic + [version] + sum + body
}

/// The small fixtures, small as plain bytes too, and the bodies of their plans.
func fuzzSeeds() -> [(name: String, file: [UInt8], plan: [UInt8])] {
    Fixtures.names.compactMap { name in
        guard let file = try? Fixtures.bytes(name), file.count < 20_000,
            case .plan(let plan, let summary)? = try? DeflateAnalyzer(source: reader(file)).analyze(sink: { _ in }),
            summary.plainBytes < 100_000
        else { return nil }
        return (name, file, Array(plan[8...]))
    }
}
