// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import VarveCodec
import VarveDeflate
import VarveDrivers
import VarveIndex
import VarveModel
import VarveZstd

/// Turns one landed blob into chunks and a recipe. For the one thread that settles.
///
/// Raw bytes → (what is inside) → header stream and content stream → chunks → known or new → frames → recipe.
struct BlobSettling: ~Copyable {
    /// What became of a blob.
    enum Outcome {
        /// Written, not yet proven, not yet committed.
        case settled(RecipePlace, storedBytes: UInt64, plainBytes: UInt64)
        /// Stays raw, for that reason.
        case raw(String)
    }

    /// Header records repeat themselves; cutting them small would cost more in tables than it finds.
    static let headerCutter = ContentCutter(average: 64 << 10)
    private static let windowBytes = 1 << 20
    /// Header bytes are kept together up to here before they go into frames between the contents.
    private static let headerBatchBytes = 1 << 20
    /// After this many new bytes a blob that saves nothing is given up.
    private static let trialBytes: UInt64 = 16 << 20
    /// A plan up to here lies in the recipe; a longer one, of an encoder that is not known well, in chunks.
    private static let inlinePlanBytes = 256 << 10
    /// Plain bytes that a compressed file may stand for: this many for each of its own, beyond these that are free. Layers
    /// come to 2 to 10.
    private static let ratioMax: UInt64 = 50
    private static let plainBytesFree: UInt64 = 1 << 20

    private let core: Core
    private let digest: Digest
    private let size: UInt64
    private let writer: PackWriter
    private let pace: SettlingPace
    private let account = PackWriter.Account()

    private let content = ChunkStream(cutter: .standard)
    private let headerChunks = ChunkStream(cutter: Self.headerCutter)
    private var headerBytes: [UInt8] = []
    private var contentRuns = RecipeRuns()
    private var headerRuns = RecipeRuns()
    private var correctionRuns = RecipeRuns()
    private var weave = WeaveBuilder()
    private var packs: [PackID] = []
    private var packIndexes: [UInt32: UInt32] = [:]
    private var newBytes: UInt64 = 0
    private var knownBytes: UInt64 = 0
    private var wasTried = false

    init(core: Core, digest: Digest, size: UInt64, writer: PackWriter, pace: SettlingPace) {
        self.core = core
        self.digest = digest
        self.size = size
        self.writer = writer
        self.pace = pace
    }

    /// Settles the raw file.
    /// - Throws: `io` and the like when the raw file can not be read (code `corrupted`) or the packs not written.
    consuming func run(_ matcher: inout ChunkMatcher) throws(VarveError) -> Outcome {
        let file: File
        do throws(DriverError) {
            file = try core.files.open(StoreLayout.raw(digest).path, .read)
            guard try file.length() == size else { throw DriverError("fstat", file.path, ENODATA) }
        } catch {
            throw VarveError(
                error.isTransient ? .io : .corrupted, "the raw bytes of blob \(digest) can not be read", cause: error)
        }
        try writer.makeRoom(for: 2 * Self.windowBytes)
        let mark = try writer.mark()
        let outer: Outer
        switch try kind(of: file) {
        case .plain: outer = try settlePlain(file, &matcher, mark)
        case .gzip: outer = try settleGzip(file, &matcher)
        case .zstd: outer = try settleZstd(file, &matcher)
        }
        let encoding: Recipe.OuterEncoding
        var plan: [UInt8] = []
        switch outer {
        case .raw(let reason):
            // What was added for it belongs to nobody now; if it is too late to take back, collection finds it.
            if try writer.rollBack(to: mark) { matcher.forgetFresh(behind: mark.place) }
            return .raw(reason)
        case .none:
            encoding = .none
        case .deflate(let bytes):
            encoding = .deflate
            plan = bytes
        case .zstd(let bytes):
            encoding = .zstd
            plan = bytes
        }
        try flushContent(&matcher, atEnd: true)
        try flushHeaders(&matcher, atEnd: true)
        if plan.count > Self.inlinePlanBytes {
            try storeCorrections(plan, &matcher)
            plan = []
        }

        let recipe = Recipe(
            digest: digest, blobBytes: size, outerEncoding: encoding, outerPlan: plan, packs: packs,
            content: contentRuns, headers: headerRuns, corrections: correctionRuns, weave: weave.finish())
        let plainBytes = recipe.plainBytes
        let place = try writer.add(recipe: recipe, account: account)
        if savesNothing(stored: account.storedBytes, of: size), try writer.rollBack(to: mark) {
            matcher.forgetFresh(behind: mark.place)
            return .raw(RawReason.noSaving)
        }
        return .settled(place, storedBytes: account.storedBytes, plainBytes: plainBytes)
    }

    /// What lies around the plain bytes, known when they have all been seen.
    private enum Outer {
        case none
        /// The plan that makes the gzip file again.
        case deflate([UInt8])
        /// The plan that makes the zstd file again.
        case zstd([UInt8])
        /// Nothing that can be made again.
        case raw(String)
    }

    private mutating func settlePlain(
        _ file: File, _ matcher: inout ChunkMatcher, _ mark: PackWriter.Mark
    ) throws(VarveError) -> Outer {
        let window = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.windowBytes, alignment: 4096)
        defer { window.deallocate() }
        var splitter = TarSplitter()
        var position: UInt64 = 0
        while position < size {
            try pace.breathe()
            let count = try read(file, at: position, into: window)
            guard count > 0 else { throw VarveError(.corrupted, "the raw file of blob \(digest) has become shorter") }
            try splitter.push(UnsafeRawBufferPointer(rebasing: window[..<count])) { (piece) throws(VarveError) in
                try take(piece, &matcher)
            }
            position += UInt64(count)
            if !wasTried, newBytes >= Self.trialBytes {
                wasTried = true
                try writer.drain()
                if savesNothing(stored: account.storedBytes, of: account.writtenRawBytes) {
                    return .raw(RawReason.noSaving)
                }
            }
        }
        try splitter.finish { (piece) throws(VarveError) in try take(piece, &matcher) }
        return .none
    }

    /// Decodes the gzip file with its encoder's decisions kept, and settles what is inside.
    private mutating func settleGzip(_ file: File, _ matcher: inout ChunkMatcher) throws(VarveError) -> Outer {
        if let reason = try reasonNotToTakeApart(file) { return .raw(reason) }
        var splitter = TarSplitter()
        var plainBytes: UInt64 = 0
        let result: DeflateAnalyzer.Result
        do {
            let analyzer = DeflateAnalyzer { (offset, room) in try file.read(at: UInt64(offset), into: room) }
            result = try analyzer.analyze { plain in
                try pace.breathe()
                plainBytes += UInt64(plain.count)
                try splitter.push(plain) { (piece) throws(VarveError) in try take(piece, &matcher) }
            }
        } catch let error as VarveError {
            throw error
        } catch {
            throw VarveError(.corrupted, "the raw bytes of blob \(digest) can not be read", cause: error)
        }
        switch result {
        case .unsupported(let reason):
            return .raw(String("\(RawReason.gzip)-\(reason)".prefix(BlobRow.reasonMaximumBytes)))
        case .plan(let bytes, let summary):
            guard UInt64(summary.compressedBytes) == size, UInt64(summary.plainBytes) == plainBytes else {
                return .raw("\(RawReason.gzip)-incomplete")
            }
            try splitter.finish { (piece) throws(VarveError) in try take(piece, &matcher) }
            return .deflate(bytes)
        }
    }

    /// The same for a zstd file. Nothing is decoded beforehand: as its blocks are short, what it stands for is counted while
    /// it is taken apart.
    private mutating func settleZstd(_ file: File, _ matcher: inout ChunkMatcher) throws(VarveError) -> Outer {
        var splitter = TarSplitter()
        var plainBytes: UInt64 = 0
        let plainMax = size.multipliedReportingOverflow(by: Self.ratioMax).partialValue &+ Self.plainBytesFree
        let result: ZstdAnalyzer.Result
        do {
            let analyzer = ZstdAnalyzer { (offset, room) in try file.read(at: UInt64(offset), into: room) }
            result = try analyzer.analyze { plain in
                try pace.breathe()
                plainBytes += UInt64(plain.count)
                if plainBytes > plainMax { throw ZstdError(RawReason.ratio) }
                try splitter.push(plain) { (piece) throws(VarveError) in try take(piece, &matcher) }
            }
        } catch let error as VarveError {
            throw error
        } catch {
            throw VarveError(.corrupted, "the raw bytes of blob \(digest) can not be read", cause: error)
        }
        switch result {
        case .unsupported(RawReason.ratio):
            return .raw(RawReason.ratio)
        case .unsupported(let reason):
            return .raw(String("\(RawReason.zstd)-\(reason)".prefix(BlobRow.reasonMaximumBytes)))
        case .plan(let bytes, let summary):
            guard UInt64(summary.compressedBytes) == size, UInt64(summary.plainBytes) == plainBytes else {
                return .raw("\(RawReason.zstd)-incomplete")
            }
            try splitter.finish { (piece) throws(VarveError) in try take(piece, &matcher) }
            return .zstd(bytes)
        }
    }

    /// Decodes the gzip file once, without keeping anything: looking for its encoder takes a hundred times as long, and
    /// longest for what a few bytes blow up to. Those stay raw: they would cost every reader much and save little.
    private func reasonNotToTakeApart(_ file: File) throws(VarveError) -> String? {
        let window = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.windowBytes, alignment: 4096)
        defer { window.deallocate() }
        let limits = DecodeLimits(maximumOutput: .max, maximumRatio: Self.ratioMax, freeOutput: Self.plainBytesFree)
        do {
            var decoder = try GzipDecoder(limits: limits)
            var position: UInt64 = 0
            while position < size {
                try pace.breathe()
                let count = try read(file, at: position, into: window)
                guard count > 0 else { break }
                try decoder.push(UnsafeRawBufferPointer(rebasing: window[..<count])) { _ in }
                position += UInt64(count)
            }
            _ = try decoder.finish()
            return nil
        } catch let error as VarveError {
            throw error
        } catch let error as CodecError where error.code == .limitExceeded {
            return RawReason.ratio
        } catch {
            // What this decoder calls damage, the other one names more exactly.
            return nil
        }
    }

    private func read(
        _ file: File, at position: UInt64, into room: UnsafeMutableRawBufferPointer
    ) throws(VarveError) -> Int {
        do throws(DriverError) {
            return try file.read(at: position, into: room)
        } catch {
            throw VarveError(.corrupted, "the raw bytes of blob \(digest) can not be read", cause: error)
        }
    }

    /// Compressed blobs are known by their first bytes, never by a media type.
    private func kind(of file: File) throws(VarveError) -> StreamFormat {
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 512, alignment: 16)
        defer { room.deallocate() }
        let count = try read(file, at: 0, into: room)
        return StreamRecognizer.recognise(UnsafeRawBufferPointer(rebasing: room[..<count]))
    }

    private func savesNothing(stored: UInt64, of raw: UInt64) -> Bool {
        knownBytes < newBytes / 100 && stored >= raw - raw / 100
    }

    private mutating func take(_ piece: TarSplitter.Piece, _ matcher: inout ChunkMatcher) throws(VarveError) {
        switch piece {
        case .header(let bytes):
            weave.append(header: UInt64(bytes.count))
            headerBytes.append(contentsOf: bytes)
            if headerBytes.count >= Self.headerBatchBytes { try flushHeaders(&matcher, atEnd: false) }
        case .content(let bytes, let endsFile):
            weave.append(content: UInt64(bytes.count))
            var rest = bytes
            while true {
                let taken = content.append(rest, endsFile: endsFile)
                rest = UnsafeRawBufferPointer(rebasing: rest[taken...])
                if content.isFull || !rest.isEmpty { try flushContent(&matcher, atEnd: false) }
                if rest.isEmpty { return }
            }
        }
    }

    private mutating func flushContent(_ matcher: inout ChunkMatcher, atEnd: Bool) throws(VarveError) {
        content.cut(atEnd: atEnd)
        try store(content, .content, &matcher)
        content.advance()
    }

    private mutating func flushHeaders(_ matcher: inout ChunkMatcher, atEnd: Bool) throws(VarveError) {
        var start = 0
        while start < headerBytes.count || atEnd {
            let taken = headerBytes.withUnsafeBytes {
                headerChunks.append(UnsafeRawBufferPointer(rebasing: $0[start...]), endsFile: false)
            }
            start += taken
            let isLast = start == headerBytes.count
            headerChunks.cut(atEnd: atEnd && isLast)
            try store(headerChunks, .headers, &matcher)
            headerChunks.advance()
            if isLast { break }
        }
        headerBytes.removeAll(keepingCapacity: true)
    }

    private mutating func storeCorrections(_ plan: [UInt8], _ matcher: inout ChunkMatcher) throws(VarveError) {
        var start = 0
        while start < plan.count {
            start += plan.withUnsafeBytes {
                headerChunks.append(UnsafeRawBufferPointer(rebasing: $0[start...]), endsFile: false)
            }
            headerChunks.cut(atEnd: start == plan.count)
            try store(headerChunks, .corrections, &matcher)
            headerChunks.advance()
        }
    }

    /// Looks every chunk of the batch up and adds the new ones.
    private mutating func store(
        _ chunks: ChunkStream, _ stream: StreamKind, _ matcher: inout ChunkMatcher
    ) throws(VarveError) {
        let count = chunks.lengths.count
        guard count > 0 else { return }
        // Sealing a full pack commits, which must not happen inside the snapshot below.
        try writer.makeRoom(for: 2 * Self.windowBytes)
        let base = chunks.base
        try core.read { transaction in
            for index in 0..<count {
                let digest = chunks.digests[index]
                let length = Int(chunks.lengths[index])
                let place: PackStore.ChunkPlace
                if let known = try matcher.find(digest, length: length, in: transaction) {
                    place = known
                    knownBytes += UInt64(length)
                } else {
                    let start = Int(chunks.offsets[index])
                    place = try writer.add(
                        UnsafeRawBufferPointer(rebasing: base[start..<start + length]), digest: digest,
                        kind: stream.frameKind, account: account)
                    matcher.added(digest, at: place)
                    newBytes += UInt64(length)
                }
                let pack = try packIndex(place.pack)
                switch stream {
                case .content: contentRuns.append(pack: pack, ordinal: place.ordinal, byteCount: UInt32(length))
                case .headers: headerRuns.append(pack: pack, ordinal: place.ordinal, byteCount: UInt32(length))
                case .corrections: correctionRuns.append(pack: pack, ordinal: place.ordinal, byteCount: UInt32(length))
                }
            }
        }
    }

    private mutating func packIndex(_ number: UInt32) throws(VarveError) -> UInt32 {
        if let index = packIndexes[number] { return index }
        let index = UInt32(packs.count)
        packs.append(try core.packs.reader(number).id)
        packIndexes[number] = index
        return index
    }
}
