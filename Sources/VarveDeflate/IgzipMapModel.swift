// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// igzip (ISA-L) at level 3, as its code for x86-64 with AVX2 does it since 2.25, or that with AVX-512.
///
/// The encoder takes its input in pieces of some 3800 bytes and first finds out for every position of a piece what match
/// there is, then goes through what it found. A table holds the newest position for each hash of four bytes. Eight positions
/// (with AVX-512 sixteen) are looked up before any of them enters the table, and the entry behind each of theirs is written
/// as well, with what it was before. A match gives way to a longer one at the next position, as far as eight bytes tell;
/// those of eight bytes are followed to their end, and what is left of one takes the place of shorter ones at the positions
/// it runs over (with AVX-512 in a way of its own, `IgzipMapModel+Wide.swift`). Two literals that come together take one
/// entry of the token buffer, and a full buffer ends the block. The last bytes of the input are done by simpler code.
///
/// Everything depends on where pieces begin, and that on all tokens before: a segment in the middle of a stream is run up to
/// from a place where one did (``restart(before:)``). They end early where the input does that the encoder has: the tool
/// hands it over by the mebibyte, others otherwise, and the encoder first copies some to have it behind the text before.
final class IgzipMapModel: TokenModel {
    /// Entries of the token buffer that end a block.
    private static let entriesMost = 65_088
    /// Stands for no position.
    private static let never = Int32.min
    private static let tableSize = 32768
    /// Plain bytes that a piece is made from, and those at its end that are left for the next one.
    private static let pieceMost = 4096
    private static let lookahead = 288
    /// Positions looked up together, and how many at most.
    let width: Int
    static let widthMost = 16
    /// Input that the encoder is given at once; what it copies of it first, with what was left before.
    private let handed: Int
    private static let copied = 32768 + 288
    private static let history = 32768
    private static let lastBytes = 3
    /// Places kept for ``restart(before:)``.
    private static let placesMost = 128

    private let table: UnsafeMutablePointer<Int32>
    /// A match for each position of the piece: length and distance, length 0 for none.
    let map: UnsafeMutablePointer<UInt32>
    /// What the table has for positions that are looked up together.
    private let found: UnsafeMutablePointer<Found>
    private let places: UnsafeMutablePointer<Int>
    private var placeCount = 0
    private let nothing: UnsafeMutablePointer<UInt8>
    private var mask = tableSize - 1
    var plain: UnsafePointer<UInt8>
    private var at = 0
    private var origin = 0
    private var textStart = 0
    /// Whether the member's first byte is still to come: it is never looked at.
    private var isFirst = false
    private(set) var steps = 0

    // The piece in progress.
    var pieceStart = 0
    var pieceCount = 0

    // The input as the encoder gets it.
    private var inputEnd = 0
    private var callStart = 0
    private var callEnd = 0
    /// Where the stretch ends that is worked on: the end of the call's input or of what was copied.
    private var stretchEnd = 0
    private var isFinishing = false

    // The block in progress.
    private(set) var isBetweenBlocks = true
    private var entries = 0
    /// Whether the next position is a literal that shares the entry of the one before.
    private var sharesEntry = false

    init(_ parameters: IgzipModel.Parameters) {
        width = parameters.isWide ? 16 : 8
        handed = parameters.handed == 0 ? 1 << 40 : parameters.handed
        table = .allocate(capacity: Self.tableSize + 1)
        table.initialize(repeating: Self.never, count: Self.tableSize + 1)
        map = .allocate(capacity: Self.pieceMost)
        map.initialize(repeating: 0, count: Self.pieceMost)
        found = .allocate(capacity: Self.widthMost)
        found.initialize(repeating: Found(), count: Self.widthMost)
        places = .allocate(capacity: Self.placesMost)
        places.initialize(repeating: 0, count: Self.placesMost)
        nothing = .allocate(capacity: 16)
        nothing.initialize(repeating: 0, count: 16)
        plain = UnsafePointer(nothing)
    }

    deinit {
        table.deallocate()
        map.deallocate()
        found.deallocate()
        places.deallocate()
        nothing.deallocate()
    }

    private struct Found {
        var slot = 0
        var own = Int32(0)
        var behind = Int32(0)
    }

    var position: Int { at }

    func begin(_ plain: UnsafePointer<UInt8>, at: Int, history: Int, origin: Int) {
        self.plain = plain
        self.at = at
        self.origin = origin
        textStart = at - history
        isFirst = at == origin
        // At the start of the input all entries are position 0; in the middle nothing is known of them.
        table.update(repeating: isFirst ? Int32(truncatingIfNeeded: at) : Self.never, count: Self.tableSize + 1)
        mask = Self.tableSize - 1
        pieceStart = at
        pieceCount = 0
        placeCount = 0
        inputEnd = -1
        callStart = at - (at - origin) % handed
        callEnd = callStart + handed
        stretchEnd = callEnd
        isFinishing = false
        endBlock()
    }

    func endBlock() {
        isBetweenBlocks = true
        sharesEntry = false
    }

    func restart(before limit: Int) -> Int? {
        var index = placeCount
        while index > max(placeCount - Self.placesMost, 0) {
            index -= 1
            let place = places[index & (Self.placesMost - 1)]
            if place <= limit { return place }
        }
        return nil
    }

    func run<O: TokenOracle>(_ oracle: inout O, maxTokens: Int, stopAt: Int, inputEnd: Int) {
        if inputEnd != self.inputEnd {
            self.inputEnd = inputEnd
            isFinishing = false
        }
        var left = maxTokens
        while left > 0 && at < stopAt && at < inputEnd {
            if isBetweenBlocks {
                isBetweenBlocks = false
                entries = 0
            }
            if at >= pieceStart &+ pieceCount { nextPiece() }
            let token = next()
            let real = oracle.next(token, literal: plain[at], limit: stopAt &- at)
            left &-= 1
            at &+= Token.span(real)
            if real != token && sharesEntry { sharesEntry = false }
            if !sharesEntry && entries >= Self.entriesMost {
                isBetweenBlocks = true
                return
            }
        }
    }

    /// The token at the position, counted.
    @inline(__always)
    private func next() -> UInt32 {
        let literal = UInt32(plain[at])
        if sharesEntry {
            sharesEntry = false
            return literal
        }
        entries &+= 1
        let index = at &- pieceStart
        let found = index < pieceCount ? map[index] : atEnd()
        if found != 0 { return Token.match(length: Int(found &>> 16), distance: Int(found & 0xffff)) }
        sharesEntry = index &+ 1 < pieceCount && entries < Self.entriesMost && map[index &+ 1] == 0
        return literal
    }

    // MARK: input

    /// Begins a piece at the position, or finds that the input's last bytes are reached.
    private func nextPiece() {
        pieceStart = at
        pieceCount = 0
        while !isFinishing {
            let end = min(stretchEnd, inputEnd)
            if end &- at > Self.lookahead {
                makePiece(min(end &- at, Self.pieceMost))
                return
            }
            if end == inputEnd {
                isFinishing = true
                // All of a short input is done by the simpler code.
                if isFirst { shrinkTable() }
            } else {
                nextStretch()
            }
        }
    }

    /// Goes on to what the encoder has of the input once it has done all but the last bytes.
    private func nextStretch() {
        let kept = stretchEnd &- at
        if stretchEnd >= callEnd {
            callStart = callEnd
            callEnd &+= handed
        } else if stretchEnd &- callStart >= Self.history &+ kept {
            stretchEnd = callEnd
            return
        }
        stretchEnd = min(at &+ Self.copied, callEnd)
    }

    private func shrinkTable() {
        let size = min(max(inputEnd &- origin, 1), Self.tableSize)
        if mask > 2 &* size { mask = 1 &<< (Int.bitWidth &- (2 &* size).leadingZeroBitCount) &- 1 }
    }

    // MARK: pieces

    @inline(__always)
    private static func word(_ text: UnsafePointer<UInt8>) -> UInt32 {
        UnsafeRawPointer(text).loadUnaligned(as: UInt32.self)
    }

    @inline(__always)
    private static func long(_ text: UnsafePointer<UInt8>) -> UInt64 {
        UnsafeRawPointer(text).loadUnaligned(as: UInt64.self)
    }

    @inline(__always)
    private static func mix(_ value: UInt32) -> UInt32 {
        let low = Int32(Int16(truncatingIfNeeded: value))
        let high = Int32(truncatingIfNeeded: value) &>> 16
        return UInt32(truncatingIfNeeded: low &* -6069 &+ high &* -26703)
    }

    @inline(__always)
    private func slot(_ position: Int) -> Int { Int(Self.mix(Self.mix(Self.word(plain + position)))) & mask }

    /// The distance that a table's entry means at `position`, 0 if that is no text known.
    @inline(__always)
    private func distance(_ entry: Int32, _ position: Int) -> Int {
        if entry == Self.never { return 0 }
        let distance = (position &- 1 &- Int(entry)) & 32767 &+ 1
        return position &- distance >= textStart ? distance : 0
    }

    /// How long a match is by its first eight bytes, with its distance; 0 for none.
    @inline(__always)
    private func opening(_ position: Int, _ distance: Int) -> UInt32 {
        if distance == 0 { return 0 }
        let here = plain + position
        let differs = Self.long(here) ^ Self.long(here - distance)
        let length = differs == 0 ? 8 : differs.trailingZeroBitCount &>> 3
        return UInt32(length &<< 16 | distance)
    }

    /// Finds the matches of the piece at the position, made from `size` bytes of text.
    private func makePiece(_ size: Int) {
        if stretchEnd == callEnd {
            places[placeCount & (Self.placesMost - 1)] = at
            placeCount &+= 1
        }
        if isFirst { shrinkTable() }
        let start = at
        let groups = max(0, (size &- Self.lookahead &- 1) / width) &+ 1
        let count = groups &* width
        steps &+= count &>> 1
        let first = slot(start)
        var before = isFirst ? 0 : opening(start, distance(table[first], start))
        table[first] = Int32(truncatingIfNeeded: start)
        isFirst = false
        for group in 0..<groups { before = lookUp(start, group, before) }
        // The last position looked up is the first of the next piece: it has not been there yet.
        let last = start &+ count
        let from = Int(before & 0xffff)
        table[slot(last)] = from == 0 ? Self.never : Int32(truncatingIfNeeded: last &- from)
        pieceCount = count
        if width == Self.widthMost { lengthenWide(min(size, count &+ 258)) } else { lengthen(min(size, count &+ 258)) }
    }

    /// Looks up the positions after a group's own, and decides about those before each of them.
    /// - Parameter before: The match at the position before.
    /// - Returns: The match at the last of them.
    @inline(__always)
    private func lookUp(_ start: Int, _ group: Int, _ before: UInt32) -> UInt32 {
        let from = start &+ 1 &+ group &* width
        let entries = map + group &* width
        for lane in 0..<width {
            let slot = slot(from &+ lane)
            found[lane] = Found(slot: slot, own: table[slot], behind: table[slot &+ 1])
        }
        for lane in 0..<width {
            let slot = found[lane].slot
            table[slot] = Int32(truncatingIfNeeded: from &+ lane)
            table[slot &+ 1] = found[lane].behind
        }
        var previous = before
        for lane in 0..<width {
            let here = opening(from &+ lane, distance(found[lane].own, from &+ lane))
            let length = previous &>> 16
            entries[lane] = length > 3 && here &>> 16 <= length ? previous : 0
            previous = here
        }
        return previous
    }

    /// Follows the matches that eight bytes were not enough for.
    /// - Parameter limit: Text from the piece's start that may be compared.
    private func lengthen(_ limit: Int) {
        let last = pieceCount &- width &+ 1
        var index = 0
        while index < pieceCount {
            // The last positions are gone over once more, all but those that a whole group is left for.
            let end = index < last ? min(index &+ width, pieceCount) : pieceCount
            let stop = index < last ? last : pieceCount
            var found = index
            while found < end && map[found] &>> 16 < 8 { found &+= 1 }
            if found == end {
                index &+= width
                continue
            }
            let distance = Int(map[found] & 0xffff)
            let here = plain + (pieceStart &+ found)
            let length = 8 &+ Matching.length(here + 8, here + 8 - distance, limit &- found &- 8)
            spread(found, length, distance)
            index = found &+ min(length, stop &- found)
        }
    }

    /// Lets a match take the place of what is shorter where it runs over.
    @inline(__always)
    private func spread(_ from: Int, _ length: Int, _ distance: Int) {
        var index = from
        var isUsed = true
        while isUsed && index < pieceCount {
            isUsed = false
            let end = min(index &+ width, pieceCount)
            while index < end {
                let left = length &- (index &- from)
                if left > 2 && left > Int(map[index] &>> 16) {
                    map[index] = UInt32(min(left, 258) &<< 16 | distance)
                    isUsed = true
                }
                index &+= 1
            }
        }
    }

    // MARK: the end

    /// Looks at a position among the input's last bytes.
    private func atEnd() -> UInt32 {
        steps &+= 1
        if at >= inputEnd &- Self.lastBytes { return 0 }
        let slot = slot(at)
        let entry = table[slot]
        table[slot] = Int32(truncatingIfNeeded: at)
        if entry == Self.never { return 0 }
        let distance = (at &- Int(entry)) & 0xffff
        if distance == 0 || distance >= 32768 || at &- distance < textStart { return 0 }
        let length = Matching.length(plain + at, plain + (at &- distance), min(inputEnd &- at, 258))
        return length < 4 ? 0 : UInt32(length &<< 16 | distance)
    }
}
