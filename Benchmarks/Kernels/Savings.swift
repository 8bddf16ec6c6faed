// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import VarveCodec

/// What a way of cutting saves on some files: each distinct chunk is kept once.
struct Savings {
    private(set) var totalBytes = 0
    private(set) var uniqueBytes = 0
    private(set) var chunks = 0
    private var known: Set<ChunkDigest> = []

    var meanBytes: Double { Double(totalBytes) / Double(max(chunks, 1)) }
    var percent: Double { 100 * (1 - Double(uniqueBytes) / Double(max(totalBytes, 1))) }

    init(of cutting: Cutting, on files: [UnsafeRawBufferPointer]) {
        var offsets: [UInt64] = []
        var lengths: [UInt32] = []
        var digests: [ChunkDigest] = []
        for file in files {
            offsets.removeAll(keepingCapacity: true)
            lengths.removeAll(keepingCapacity: true)
            cutting.cut(file) { offset, length in
                offsets.append(UInt64(offset))
                lengths.append(UInt32(length))
            }
            SHA256Pieces.digests(of: file, offsets: offsets, lengths: lengths, into: &digests)
            for (digest, length) in zip(digests, lengths) {
                totalBytes += Int(length)
                chunks += 1
                if known.insert(digest).inserted { uniqueBytes += Int(length) }
            }
        }
    }

    /// What `curve` (by rising mean size) saves at this mean size, interpolated over the size's logarithm.
    func percent(on curve: [Savings]) -> Double? {
        guard let upper = curve.firstIndex(where: { $0.meanBytes >= meanBytes }), upper > 0 else { return nil }
        let a = curve[upper - 1]
        let b = curve[upper]
        let share = log2Ratio(meanBytes, a.meanBytes) / log2Ratio(b.meanBytes, a.meanBytes)
        return a.percent + share * (b.percent - a.percent)
    }

    private func log2Ratio(_ a: Double, _ b: Double) -> Double { logarithm(a) - logarithm(b) }
}
