// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing

@testable import VarveOCI

@Suite("JSON reader")
struct JSONReaderTests {
    /// Whether the text is taken as one value.
    private func accepts(_ text: String) -> Bool { accepts(Array(text.utf8)) }

    private func accepts(_ bytes: [UInt8]) -> Bool {
        do {
            var reader = try JSONReader(bytes)
            try reader.skip()
            try reader.finish()
            return true
        } catch {
            return false
        }
    }

    @Test(
        "takes what RFC 8259 allows",
        arguments: [
            "{}", "[]", "0", "-0", "10", "-1.5e+10", "1E2", "0.25", "true", "false", "null", #""""#, #" [ 1 , "a" ] "#,
            #"{"a":{"b":[{}]},"c":null}"#, #""\u00e9\n\\\/\"""#, #""\ud83d\ude00""#, "\"é\"", "\t{\r\n}\n",
        ])
    func valid(_ text: String) { #expect(accepts(text)) }

    @Test(
        "refuses what it does not",
        arguments: [
            "", " ", "{", "}", "[", "]", "{]", "[}", "01", "+1", "1.", ".5", "1e", "--1", "tru", "True", "nul", "'a'",
            #""a"#, #""\x""#, #""\u12""#, #""\u12g4""#, #"{"a"}"#, #"{"a":}"#, #"{"a":1,}"#, "[1,]", "[,1]", "[1 2]",
            #"{a:1}"#, "{} {}", "1 2", "\"\u{1}\"", "\"\n\"", "{}x", "\u{feff}{}", "NaN", "// {}",
        ])
    func invalid(_ text: String) { #expect(!accepts(text)) }

    @Test(
        "refuses a key twice in one object, however it is written",
        arguments: [#"{"a":1,"a":1}"#, #"{"a":1,"\u0061":2}"#])
    func duplicates(_ text: String) { #expect(!accepts(text)) }

    @Test("takes the same key in different objects")
    func sameKeyElsewhere() { #expect(accepts(#"{"a":{"a":1},"b":{"a":1}}"#)) }

    @Test("refuses lone surrogates", arguments: [#""\ud800""#, #""\udc00""#, #""\ud800\u0041""#, #""\ud800x""#])
    func surrogates(_ text: String) { #expect(!accepts(text)) }

    @Test("refuses bytes that are not UTF-8")
    func encoding() {
        #expect(!accepts([0x22, 0xFF, 0x22]))
        #expect(!accepts([0x22, 0xC0, 0x80, 0x22]))
        #expect(!accepts([0x22, 0xED, 0xA0, 0x80, 0x22]))
    }

    @Test("goes down 32 levels and no further")
    func depth() {
        #expect(accepts(String(repeating: "[", count: 32) + String(repeating: "]", count: 32)))
        #expect(!accepts(String(repeating: "[", count: 33) + String(repeating: "]", count: 33)))
        #expect(!accepts(String(repeating: "[", count: 1_000_000)))
        #expect(!accepts(String(repeating: #"{"a":"#, count: 100_000)))
    }

    @Test("gives up on more members than a manifest ever has")
    func members() {
        let many = "{" + (0..<100_001).map { "\"\($0)\":0" }.joined(separator: ",") + "}"
        #expect(!accepts(many))
    }

    @Test("reads integers exactly, or not at all")
    func integers() throws {
        func integer(_ text: String) -> Int64? {
            var reader = try? JSONReader(Array(text.utf8))
            return try? reader?.integer()
        }
        #expect(integer("9223372036854775807") == .max)
        #expect(integer("-9223372036854775808") == .min)
        #expect(integer("9223372036854775808") == nil)
        #expect(integer("1.0") == nil)
        #expect(integer("1e3") == nil)
        #expect(integer(String(repeating: "9", count: 1000)) == nil)
    }

    @Test(
        "the writer's strings are read back as they were",
        arguments: ["", "a\"b\\c/d", "\u{0}\u{1f}\n\r\t", "é😀\u{7f}"])
    func writing(_ text: String) throws {
        var json = JSONWriter()
        json.value(text)
        var reader = try JSONReader(json.bytes)
        #expect(try reader.string() == text)
        try reader.finish()
    }
}
