// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

//  VarveZstd: giving back a zstd file bit for bit when only its plain bytes are kept.
//
//  As with gzip (see VarveDeflate), a zstd stream is its plain text plus the choices of the program that wrote it: where
//  blocks end, which matches they use, which codes describe them. Programs make the same choices again over the same
//  text. So this module has
//
//  - a decoder that keeps every choice (``BlockReader``) and a writer that turns choices into bits (``BlockWriter``);
//  - models of encoders in two halves: the search for matches (``MatchModel``) and everything after it, from the shape of
//    a block to the distribution of each table (``EntropyModel``);
//  - exceptions, block by block, wherever the models are wrong (``BlockException``): the sequences that differ, the tables
//    that differ, or the block's bytes as they are. They cost bytes and never the blob;
//  - a plan (``ZstdPlan``): frame headers, parameters, exceptions. Some tens of bytes for a known encoder.
//
//  ``ZstdAnalyzer`` makes a plan out of a zstd file, ``ZstdRebuilder`` the zstd file out of plan and plain bytes. The same
//  walk (``FrameWalk``) runs in both. Nothing here reads a clock, a file or the platform's libzstd: the models are part of
//  the on-disk format and change only together with its version.
//
//  A long frame can be made from its ``RestartPoint``s on: windows are megabytes long, and so that nobody has to go over one first, a
//  search begins with empty tables and is told what it does not find (``SearchHints``). Who wants a few bytes has the blocks up to
//  the ``WirePoint`` before them searched and not made.
//
//  Rejected: running libzstd (its authors promise no stable output); an entropy coder for exceptions (a known encoder has
//  next to none, and long plans lie in chunks that are compressed anyway); corrections inside the search, as VarveDeflate has
//  them (zstd's blocks are short, and a search that runs through without questions is twice as fast).

/// What went wrong while reading a zstd stream or a plan. Reasons are short, stable words meant for counting.
package struct ZstdError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A short stable word, for counters: `truncated`, `format`, `plan-damaged`, …
    package let reason: String

    /// An error of that reason.
    package init(_ reason: String) {
        self.reason = reason
    }

    package var description: String { reason }

    static let truncated = ZstdError("truncated")
    static let format = ZstdError("format")
    static let planDamaged = ZstdError("plan-damaged")
}
