// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import CVarveKernels

/// Cuts content into chunks at places that the content itself decides, so that equal stretches of two files become equal
/// chunks wherever they lie in them.
///
/// The rule is written down in `CVarveKernels/cut.h`; it is part of the on-disk format. Measured on ten images, the
/// savings at a given mean size do not depend on whether the shortest chunk is a half or a quarter of the average, and a
/// half lets the cutter skip more bytes; a limit of eight averages is met by runs of one byte and little else.
package struct ContentCutter: Sendable {
    /// Names the rule and these proportions in a store's format file and in packs.
    package let identifier: UInt16 = 1
    /// The shortest chunk in bytes, unless the content ends before.
    package let minimum: Int
    /// The nominal length of a chunk in bytes. The mean of what comes out is about 1.2 times that on data that do not
    /// repeat themselves, and less where files are short.
    package let average: Int
    /// The longest chunk in bytes.
    package let maximum: Int
    private let limits: varve_cut_limits

    /// What content is cut with: 4 KiB to 64 KiB, about 8 KiB.
    package static let standard = ContentCutter(average: 8 << 10)

    /// A cutter of chunks of about `average` bytes, a power of two from 1 KiB to 128 KiB, no shorter than half of that
    /// and no longer than eight times that.
    package init(average: Int) {
        precondition((1 << 10...128 << 10).contains(average) && average & (average - 1) == 0, "a power of two")
        self.average = average
        minimum = average / 2
        maximum = average * 8
        limits = varve_cut_limits(minimum: UInt32(minimum), average: UInt32(average), maximum: UInt32(maximum))
    }

    /// Length of the first chunk of `bytes`: 0 only if they are empty.
    ///
    /// - Parameter bytes: What follows the last cut. At least `maximum` bytes of it, or all there is up to the content's
    ///   end: with fewer, an answer equal to `bytes.count` may be too short.
    package func firstCut(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard let base = bytes.baseAddress else { return 0 }
        return varve_cut(limits, base.assumingMemoryBound(to: UInt8.self), bytes.count)
    }
}
