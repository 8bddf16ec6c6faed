// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

//  VarveDeflate: giving back a gzip file bit for bit when only its plain bytes are kept.
//
//  A deflate stream is the plain text plus a list of choices: where blocks end, which Huffman codes they use, and for
//  every piece of text whether it is a literal or a copy of which earlier place. Kept as they are, the choices cost
//  about half of the compressed file. But they were made by a program: whoever runs the same search over the same plain
//  text makes the same choices. So this module has
//
//  - a decoder that keeps the choices (``InflateReader``) and a packer that turns them back into bits (``BitSink``);
//  - models of the encoders that container layers meet (``ModelChoice``): each walks over plain bytes and proposes the
//    next token, is told the real one, and goes on from there;
//  - corrections, entropy coded (``BinaryEncoder``), wherever the stream departs from what the model proposed, so that a
//    wrong guess costs bytes and never the blob;
//  - a plan (``DeflatePlan``): model, corrections and restart points, of some 0.005 % of the gzip for a known encoder.
//
//  ``DeflateAnalyzer`` makes a plan out of a gzip file; ``DeflateRebuilder`` makes the gzip file out of plan and plain
//  bytes, segment by segment, in any order. The same walk (``SegmentWalk``) runs in both, once with a coder that writes
//  and once with one that reads, and both start each segment from the same reduced state: what the analyzer saw is what
//  the rebuilder does, by construction and not by luck. Nothing here reads a clock, a file or the platform's zlib: the
//  models are part of the on-disk format and change only together with its version.
//
//  Rejected: storing tokens (40-50 % of the gzip); running the system's encoders (bytes change with the library);
//  a single universal predictor (1-7 % of the gzip, kept here as the fallback). Encoders that look for the cheapest way
//  through a block (zopfli, 7-Zip from level 5, libdeflate 10-12) have a predictor of their own, of 1-2 % (``OptimalModel``).

/// What went wrong while reading a deflate stream or a plan. Reasons are short, stable words meant for counting.
package struct DeflateError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A short stable word, for counters: `truncated`, `bad-code`, `plan-damaged`, …
    package let reason: String

    /// An error of that reason.
    package init(_ reason: String) {
        self.reason = reason
    }

    package var description: String { reason }

    static let truncated = DeflateError("truncated")
    static let planDamaged = DeflateError("plan-damaged")
}
