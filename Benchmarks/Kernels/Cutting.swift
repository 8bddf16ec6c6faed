// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import CKernelReference
import CVarveKernels
import VarveCodec

/// A way to cut: the length of the first chunk of some bytes.
struct Cutting {
    let name: String
    let firstCut: (UnsafePointer<UInt8>, Int) -> Int

    /// Our kernels that this CPU runs, and the cutter of the product, with our proportions.
    static func ours(average: Int) -> [Cutting] {
        let limits = varve_cut_limits(
            minimum: UInt32(average / 2), average: UInt32(average), maximum: UInt32(average * 8))
        let kernels: [(varve_kernel, String)] = [
            (varve_kernel_portable, "ours, plain C"), (varve_kernel_avx2, "ours, AVX2"),
            (varve_kernel_avx512, "ours, AVX-512"),
        ]
        let cutter = ContentCutter(average: average)
        return kernels.filter { varve_kernel_available($0.0) != 0 }.map { kernel, name in
            Cutting(name: name) { varve_cut_with(kernel, limits, $0, $1) }
        } + [
            Cutting(name: "ours, ContentCutter.firstCut in Swift") {
                cutter.firstCut(UnsafeRawBufferPointer(start: $0, count: $1))
            }
        ]
    }

    /// Scalar FastCDC with a minimum of `average / minimumDivisor` and a maximum of `average * maximumFactor`.
    static func gear(average: Int, minimumDivisor: Int, maximumFactor: Int) -> [Cutting] {
        let limits = gear_limits(
            minimum: average / minimumDivisor, average: average, maximum: average * maximumFactor)
        let rule = "FastCDC min/\(minimumDivisor)"
        return [
            Cutting(name: "\(rule), 1 byte a step") { gear_cut_one(limits, $0, $1) },
            Cutting(name: "\(rule), 2 bytes a step") { gear_cut_two(limits, $0, $1) },
            Cutting(name: "\(rule), 8-byte loads, unrolled") { gear_cut_eight(limits, $0, $1) },
        ]
    }

    /// Cuts all of `bytes`.
    func cut(_ bytes: UnsafeRawBufferPointer, _ body: (_ offset: Int, _ length: Int) -> Void) {
        guard let base = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
        var position = 0
        while position < bytes.count {
            let length = firstCut(base + position, bytes.count - position)
            body(position, length)
            position += length
        }
    }

    var contestant: Contestant {
        Contestant(name: name) { window in
            var chunks = 0
            cut(window) { _, _ in chunks &+= 1 }
            sink &+= chunks
        }
    }
}
