// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The last text of a frame, in memory that slides along.
final class History {
    private var memory: LargeMemory
    private var base: UnsafeMutablePointer<UInt8>
    private var capacity: Int
    /// The place of the first byte kept, counted from the frame's start.
    private var origin = 0
    /// The place after the last byte.
    private(set) var end = 0
    private var window = 0
    /// Bytes behind the text that may be read, whatever they are: the models load words that reach over a block's end.
    private static let slack = 64
    private static let moreMax = 16 << 20

    init() {
        capacity = 4 << 20
        memory = LargeMemory(capacity + Self.slack)
        base = memory.bytes.assumingMemoryBound(to: UInt8.self)
    }

    /// Bytes that it comes to when the last `window` ones are kept: a third window, if that is not too large, so that what is kept
    /// is moved half as often.
    static func capacity(window: Int) -> Int { 2 * window + min(window, moreMax) + (1 << 20) }

    /// A frame begins of which the last `window` bytes are to be kept.
    func begin(window: Int) { begin(window: window, at: 0) }

    /// The same, but what comes next is the text from `place` on.
    func begin(window: Int, at place: Int) {
        self.window = window
        origin = place
        end = place
    }

    /// The frame's text: `text[place]` may be read for the places kept.
    var text: UnsafePointer<UInt8> { UnsafePointer(base) - origin }

    /// The place of the first byte kept.
    var start: Int { origin }

    /// Where the text from `place` on is, for who puts there what was left out.
    func room(at place: Int) -> UnsafeMutablePointer<UInt8> { base + (place - origin) }

    /// Makes room for `count` more bytes in one piece.
    /// - Returns: Where they go.
    func room(_ count: Int) -> UnsafeMutablePointer<UInt8> {
        let held = end - origin
        if held + count > capacity {
            if held > window, held >= 2 * window || capacity >= 2 * window + (1 << 20) {
                let keep = window
                base.update(from: base + (held - keep), count: keep)
                origin = end - keep
            }
            if end - origin + count > capacity { grow(max(Self.capacity(window: window), end - origin + count)) }
        }
        return base + (end - origin)
    }

    private func grow(_ wanted: Int) {
        let larger = LargeMemory(wanted + Self.slack)
        larger.bytes.copyMemory(from: base, byteCount: end - origin)
        memory = larger
        base = larger.bytes.assumingMemoryBound(to: UInt8.self)
        capacity = wanted
    }

    /// The bytes were put where `room` said.
    func filled(_ count: Int) { end += count }
}
