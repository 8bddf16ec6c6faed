// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// How much a compressed stream may decode to, so that a few bytes from a client can not cost hours or fill a disk.
package struct DecodeLimits: Sendable, Equatable {
    /// The most plain bytes of a stream.
    package var maximumOutput: UInt64
    /// The most plain bytes for each byte of input that was taken, once ``freeOutput`` is passed.
    package var maximumRatio: UInt64
    /// So many plain bytes are always allowed: small streams of zeros compress better than any bound on a ratio.
    package var freeOutput: UInt64

    package init(maximumOutput: UInt64, maximumRatio: UInt64, freeOutput: UInt64 = 1 << 20) {
        self.maximumOutput = maximumOutput
        self.maximumRatio = maximumRatio
        self.freeOutput = freeOutput
    }

    /// - Throws: ``CodecError`` with code `limitExceeded` if `output` bytes from `input` bytes are too many.
    func check(input: UInt64, output: UInt64) throws(CodecError) {
        guard output <= maximumOutput else {
            throw CodecError(.limitExceeded, "a stream decodes to more than \(maximumOutput) bytes")
        }
        guard output > freeOutput else { return }
        let (allowed, overflow) = input.multipliedReportingOverflow(by: maximumRatio)
        guard overflow || output <= allowed else {
            throw CodecError(.limitExceeded, "\(input) bytes decode to \(output), more than \(maximumRatio) for one")
        }
    }
}

/// What a stream decoder saw, once it was finished.
package struct DecodeSummary: Sendable, Equatable {
    /// Bytes pushed that belong to the stream.
    package var inputBytes: UInt64 = 0
    /// Plain bytes handed out.
    package var outputBytes: UInt64 = 0
    /// gzip members, or zstd frames including skippable ones.
    package var memberCount: UInt64 = 0
    /// Bytes behind the last member that do not begin another one.
    package var trailingBytes: UInt64 = 0
}
