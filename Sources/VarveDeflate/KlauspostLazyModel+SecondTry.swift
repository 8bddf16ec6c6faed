// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

extension KlauspostLazyModel {
    /// Looks at the end of the match held back for one that begins up to two bytes later and ends farther on.
    /// - Returns: How many bytes before it go out as literals.
    @inline(__always)
    func lookFarther(
        _ bestLength: inout Int, _ bestDistance: inout Int, _ lookahead: Int, _ lowest: Int, _ insertEnd: Int
    ) -> Int {
        if !triesLater {
            lookAtEnd(&bestLength, &bestDistance, lookahead, lowest, insertEnd)
            return 0
        }
        let start = at &- 1
        if bestLength >= 256 || start &+ bestLength >= insertEnd { return 0 }
        let end = min(lookahead, 260) &+ start
        let candidate = newest(start &+ bestLength) &- bestLength
        if start &- candidate == bestDistance || candidate <= lowest &+ 2 || candidate >= start {
            return 0
        }
        if candidate < floor { return 0 }
        let n = Matching.length(plain + start + 2, plain + candidate + 2, end &- start &- 2)
        if n <= bestLength { return 0 }
        bestLength = n
        bestDistance = start &- candidate
        if n >= 258 || plain[start &+ 1] != plain[candidate &+ 1] { return 2 }
        bestLength &+= 1
        if bestLength >= 258 || plain[start] != plain[candidate] { return 1 }
        bestLength &+= 1
        return 0
    }

    /// Looks at the last two bytes of the match held back and two more for a match that begins with it and ends farther on.
    private func lookAtEnd(
        _ bestLength: inout Int, _ bestDistance: inout Int, _ lookahead: Int, _ lowest: Int, _ insertEnd: Int
    ) {
        let start = at &- 1
        if start &+ bestLength &+ 2 >= insertEnd { return }
        let candidate = newest(start &+ bestLength &- 2) &- bestLength &+ 2
        if candidate <= lowest || candidate < floor || candidate >= start { return }
        let n = Matching.length(plain + start, plain + candidate, min(lookahead, 258))
        if n <= bestLength { return }
        bestLength = n
        bestDistance = start &- candidate
    }
}
