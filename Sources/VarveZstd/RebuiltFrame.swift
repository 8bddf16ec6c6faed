// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// A frame that a rebuild stream is making: how far it came, and what comes next.
struct RebuiltFrame {
    var plainStart: Int
    var plainCount: Int
    /// Nil if only the series it belongs to says.
    var compressedCount: Int?
    /// Nil if it has to be made.
    var checksum: Range<Int>?
    var hash = XXHash()
    var wires = WireCursor()
    /// The next restart point.
    var restart = 0
    var input: PlanInput
    var next: PlacedException?
    var usualLeft = 0
    var position = 0
    var made = 0
    var isDone = false

    mutating func advance() throws(ZstdError) {
        if input.isAtEnd {
            next = nil
            return
        }
        let exception = try PlacedException(&input)
        usualLeft = exception.usualBlocks
        next = exception
    }

    /// Goes on from a restart point.
    mutating func take(_ point: RestartPoint, number: Int, _ content: ZstdPlan.Frame, _ bytes: [UInt8])
        throws(ZstdError)
    {
        position = point.mark.plain
        made = point.mark.compressed
        restart = number + 1
        let exceptions = content.exceptions
        guard point.exceptions <= exceptions.count else { throw .planDamaged }
        input = PlanInput(bytes: bytes, range: (exceptions.lowerBound + point.exceptions)..<exceptions.upperBound)
        try advance()
        usualLeft -= point.usualBlocks
        guard next == nil || usualLeft >= 0 else { throw .planDamaged }
    }
}
