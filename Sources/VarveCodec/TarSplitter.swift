// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Parts a tar stream into its two woven streams: headers and the contents of files.
///
/// Rebuilt layers differ in times and owners, hence in headers only; once those 512-byte blocks lie in a stream of their
/// own, the contents of two builds are byte for byte the same and are kept once. The splitter is a push parser: the
/// stream comes in slices of any length, and pieces go out in order. Pieces are slices of what was pushed, without a copy;
/// only a block that straddles two pushes is put together in a buffer of 512 bytes.
///
/// What always holds: the pieces, put one after the other, are the bytes that were pushed, whatever they are, and the
/// pieces joined per stream do not depend on how the input was sliced. A wrong guess about an odd tar therefore costs
/// space and nothing else, and the splitter may change without any stored layer noticing: recipes hold what it decided.
///
/// The rules:
/// - The first 512 bytes decide. If they are no header with a right checksum, all of the stream is one file.
/// - A header goes to the header stream, and so do padding, the bodies of pax and GNU long-name records, the extension
///   blocks of old GNU sparse files, zero blocks, and the first 16 bytes of a `.pyc` file of at least 16 bytes (they hold
///   the source's time stamp).
/// - The first block that is neither a header nor zero begins a last file that reaches to the end of the stream; so does
///   the first byte that is not zero after two zero blocks in a row, and an incomplete block at the end.
package struct TarSplitter {
    /// A piece of the stream. The bytes are lent for the length of the call.
    package enum Piece {
        /// Bytes of the header stream.
        case header(UnsafeRawBufferPointer)
        /// Bytes of the content stream; `endsFile` with the last of a file. May be empty, if only to end a file.
        case content(UnsafeRawBufferPointer, endsFile: Bool)
    }

    private enum Phase {
        /// At a block that has to be a header or zero.
        case block
        /// In a body that belongs to the header stream; `remaining` bytes of it are to come.
        case record
        /// In an extension block of a sparse header.
        case sparseMap
        /// In the first bytes of a `.pyc`.
        case prologue
        /// In the content of a file.
        case content
        /// In what fills the last block of a content or record.
        case padding
        /// Behind the end of the archive.
        case trailer
        /// In the last file, which ends with the stream.
        case rest
    }

    /// Whether the stream is taken for a tar. False until its first 512 bytes were seen.
    package private(set) var isTar = false
    /// Headers of files, directories, links and so on; records that merely describe the next header are not counted.
    package private(set) var entryCount: UInt64 = 0

    private static let blockBytes = 512
    private static let prologueBytes: UInt64 = 16
    /// Bodies of pax and long-name records beyond this are passed on unread.
    private static let readableRecordBytes: UInt64 = 256 << 10

    private var phase = Phase.block
    /// Bytes to come of the current record, map, prologue, content or padding.
    private var remaining: UInt64 = 0
    /// Bytes of content behind a prologue or behind the maps of a sparse file.
    private var contentAfter: UInt64 = 0
    /// Bytes of padding behind the current record or content.
    private var paddingAfter: UInt64 = 0
    private var isFirstBlock = true
    private var previousBlockWasZero = false
    /// Content was passed on and its file has not been ended.
    private var fileIsOpen = false
    /// The start of a block whose end has not been pushed yet.
    private var partial: [UInt8] = []
    /// The body of the record being read, if it is worth reading.
    private var record: [UInt8] = []
    private var recordKind = TarHeader.Kind.skippedRecord
    /// What records said about the next entry.
    private var announced = TarAnnouncement()

    package init() {}

    /// Parses the next bytes of the stream; `sink` gets their pieces in order.
    ///
    /// After `sink` has thrown, the splitter is of no use any more.
    package mutating func push<Failure: Error>(
        _ input: UnsafeRawBufferPointer, _ sink: (Piece) throws(Failure) -> Void
    ) throws(Failure) {
        var at = 0
        // Header bytes that follow one another in the input go out together: input[headersFrom..<at] is owed.
        var headersFrom = 0
        while at < input.count {
            let available = UInt64(input.count - at)
            switch phase {
            case .block:
                if partial.isEmpty, available >= UInt64(Self.blockBytes) {
                    if take(UnsafeRawBufferPointer(rebasing: input[at..<at + Self.blockBytes])) {
                        at += Self.blockBytes
                    } else {
                        phase = .rest
                    }
                } else {
                    try Self.flush(input, headersFrom..<at, sink)
                    let needed = min(Self.blockBytes - partial.count, input.count - at)
                    partial.append(contentsOf: input[at..<at + needed])
                    at += needed
                    headersFrom = at
                    if partial.count == Self.blockBytes { try finishPartial(sink) }
                }

            case .record:
                let count = Int(min(remaining, available))
                if recordKind != .skippedRecord { record.append(contentsOf: input[at..<at + count]) }
                at += count
                remaining -= UInt64(count)
                if remaining == 0 { endRecord() }

            case .sparseMap:
                // Byte 504 of an extension block says whether another one follows.
                let count = Int(min(remaining, available))
                let flag = at - (Self.blockBytes - Int(remaining)) + TarHeader.mapContinuesOffset
                if flag >= at, flag < at + count, input[flag] != 0 { mapContinues = true }
                at += count
                remaining -= UInt64(count)
                if remaining == 0 { endSparseMap() }

            case .prologue:
                let count = Int(min(remaining, available))
                at += count
                remaining -= UInt64(count)
                if remaining == 0 { beginContent(contentAfter) }

            case .content:
                try Self.flush(input, headersFrom..<at, sink)
                let count = Int(min(remaining, available))
                remaining -= UInt64(count)
                fileIsOpen = remaining > 0
                try sink(.content(UnsafeRawBufferPointer(rebasing: input[at..<at + count]), endsFile: !fileIsOpen))
                at += count
                headersFrom = at
                if remaining == 0 { beginPadding() }

            case .padding:
                let count = Int(min(remaining, available))
                at += count
                remaining -= UInt64(count)
                if remaining == 0 { phase = .block }

            case .trailer:
                at = TarHeader.endOfZeros(input, from: at)
                if at < input.count { phase = .rest }

            case .rest:
                try Self.flush(input, headersFrom..<at, sink)
                fileIsOpen = true
                try sink(.content(UnsafeRawBufferPointer(rebasing: input[at...]), endsFile: false))
                at = input.count
                headersFrom = at
            }
        }
        try Self.flush(input, headersFrom..<at, sink)
    }

    /// Ends the stream: passes on an incomplete block, which is content, and ends a file that is still open.
    package mutating func finish<Failure: Error>(_ sink: (Piece) throws(Failure) -> Void) throws(Failure) {
        if !partial.isEmpty {
            try partial.lend { bytes throws(Failure) in try sink(.content(bytes, endsFile: true)) }
            partial.removeAll()
        } else if fileIsOpen {
            try sink(.content(UnsafeRawBufferPointer(start: nil, count: 0), endsFile: true))
        }
        fileIsOpen = false
        phase = .rest
    }

    // MARK: Steps

    private var mapContinues = false

    /// Takes a whole block. False if it is none that a tar may have here.
    private mutating func take(_ block: UnsafeRawBufferPointer) -> Bool {
        let isFirst = isFirstBlock
        isFirstBlock = false
        guard let header = TarHeader(block) else {
            guard !isFirst, TarHeader.isZero(block) else { return false }
            announced = TarAnnouncement()
            if previousBlockWasZero { phase = .trailer }
            previousBlockWasZero = true
            return true
        }
        isTar = true
        previousBlockWasZero = false
        switch header.kind {
        case .paxRecord, .longName, .skippedRecord:
            recordKind = header.size <= Self.readableRecordBytes ? header.kind : .skippedRecord
            record.removeAll(keepingCapacity: true)
            remaining = header.size
            paddingAfter = Self.padding(header.size)
            phase = .record
            if remaining == 0 { endRecord() }
        case .entry:
            entryCount &+= 1
            let size = header.carriesData ? announced.size ?? header.size : 0
            let isBytecode =
                header.isRegularFile && size >= Self.prologueBytes
                && (announced.nameIsBytecode ?? TarHeader.nameIsBytecode(in: block))
            announced = TarAnnouncement()
            paddingAfter = Self.padding(size)
            if header.hasSparseMap {
                contentAfter = size
                beginSparseMap()
            } else if isBytecode {
                contentAfter = size - Self.prologueBytes
                remaining = Self.prologueBytes
                phase = .prologue
            } else {
                beginContent(size)
            }
        }
        return true
    }

    /// Parses the block that was put together from several pushes.
    private mutating func finishPartial<Failure: Error>(
        _ sink: (Piece) throws(Failure) -> Void
    ) throws(Failure) {
        var block: [UInt8] = []
        swap(&block, &partial)
        let isAccepted = block.lend { take($0) }
        if !isAccepted {
            phase = .rest
            fileIsOpen = true
        }
        try block.lend { bytes throws(Failure) in
            try sink(isAccepted ? .header(bytes) : .content(bytes, endsFile: false))
        }
        block.removeAll(keepingCapacity: true)
        swap(&block, &partial)
    }

    private mutating func endRecord() {
        record.lend { body in
            switch recordKind {
            case .paxRecord: announced.read(pax: body)
            case .longName: announced.read(longName: body)
            case .skippedRecord, .entry: break
            }
        }
        beginPadding()
    }

    private mutating func beginSparseMap() {
        mapContinues = false
        remaining = UInt64(Self.blockBytes)
        phase = .sparseMap
    }

    private mutating func endSparseMap() {
        if mapContinues { beginSparseMap() } else { beginContent(contentAfter) }
    }

    private mutating func beginContent(_ size: UInt64) {
        remaining = size
        phase = .content
        if size == 0 { beginPadding() }
    }

    private mutating func beginPadding() {
        remaining = paddingAfter
        phase = remaining == 0 ? .block : .padding
    }

    // MARK: Helpers

    private static func padding(_ size: UInt64) -> UInt64 {
        (0 &- size) & UInt64(blockBytes - 1)
    }

    private static func flush<Failure: Error>(
        _ input: UnsafeRawBufferPointer, _ range: Range<Int>, _ sink: (Piece) throws(Failure) -> Void
    ) throws(Failure) {
        if !range.isEmpty { try sink(.header(UnsafeRawBufferPointer(rebasing: input[range]))) }
    }
}
