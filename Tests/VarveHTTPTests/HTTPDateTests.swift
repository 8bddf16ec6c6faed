// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing

@testable import VarveHTTP

@Suite("dates")
struct HTTPDateTests {
    @Test("RFC 9110, section 5.6.7")
    func format() {
        #expect(HTTPDate.text(of: 784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT")
        #expect(HTTPDate.text(of: 951_782_400) == "Tue, 29 Feb 2000 00:00:00 GMT")
    }

    @Test("all three forms are read")
    func reading() {
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            #expect(HTTPDate.seconds(text) == 784_111_777)
        }
        for text in ["", "now", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 28:49:37 GMT", "784111777"] {
            #expect(HTTPDate.seconds(text) == nil, "\(text)")
        }
        #expect(HTTPDate.seconds(HTTPDate.text(of: 4_102_444_800)) == 4_102_444_800)
    }
}
