// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import Synchronization

/// Dates as HTTP writes them (RFC 9110, section 5.6.7), made once a second.
package enum HTTPDate {
    private static let last = Mutex<(second: Int, text: String)>((-1, ""))

    /// The present time.
    package static func now() -> String {
        let second = time(nil)
        return last.withLock { last in
            if last.second != second { last = (second, text(of: second)) }
            return last.text
        }
    }

    /// `Sun, 06 Nov 1994 08:49:37 GMT` for seconds since 1970.
    package static func text(of second: Int) -> String {
        var second = second
        var parts = tm()
        gmtime_r(&second, &parts)
        let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let two = { (number: CInt) in number < 10 ? "0\(number)" : "\(number)" }
        let day = days[Int(parts.tm_wday) % 7]
        let month = months[Int(parts.tm_mon) % 12]
        return "\(day), \(two(parts.tm_mday)) \(month) \(parts.tm_year + 1900) "
            + "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)) GMT"
    }

    /// Seconds since 1970 of a date in the form that ``text(of:)`` writes, or in one of the two old ones (RFC 9110, section
    /// 5.6.7); nil for anything else.
    package static func seconds(_ text: String) -> Int? {
        guard text.utf8.count <= 64 else { return nil }
        var words = text.split { ", :-".contains($0) }.map(String.init)
        if words.count == 7 {
            // Sun Nov  6 08:49:37 1994
            words = [words[0], words[2], words[1], words[6], words[3], words[4], words[5], "GMT"]
        }
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        guard words.count == 8, words[7] == "GMT", let month = months.firstIndex(of: words[2]) else { return nil }
        let numbers = [1, 3, 4, 5, 6].compactMap { index in
            words[index].utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(words[index]) : nil
        }
        guard numbers.count == 5, (1...31).contains(numbers[0]), numbers[1] < 10_000, numbers[2] < 24, numbers[3] < 60,
            numbers[4] < 61
        else { return nil }
        var year = numbers[1]
        if words[3].utf8.count == 2 { year += year < 70 ? 2000 : 1900 }
        guard year >= 1970 else { return nil }
        var parts = tm()
        parts.tm_year = CInt(year - 1900)
        parts.tm_mon = CInt(month)
        parts.tm_mday = CInt(numbers[0])
        parts.tm_hour = CInt(numbers[2])
        parts.tm_min = CInt(numbers[3])
        parts.tm_sec = CInt(numbers[4])
        return timegm(&parts)
    }
}
