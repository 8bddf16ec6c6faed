// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Testing

@testable import VarveDrivers

@Suite("names of objects")
struct ObjectNamesTests {
    @Test(
        "bucket names outside the grammar are refused",
        arguments: [
            "", "ab", "Abc", "a_b", "a..b", ".abc", "abc.", "-abc", "abc-", "a/b", "äbc", "a b", "../x",
            String(repeating: "a", count: 64),
        ])
    func badBuckets(_ name: String) { #expect(BucketName(name) == nil) }

    @Test("bucket names within it are taken", arguments: ["abc", "1-2", "a.b-c", String(repeating: "a", count: 63)])
    func goodBuckets(_ name: String) { #expect(BucketName(name)?.description == name) }

    @Test("keys are 1 to 1,024 bytes of UTF-8, equal and ordered by bytes")
    func keys() {
        #expect(ObjectKey("") == nil)
        #expect(ObjectKey(String(repeating: "a", count: 1024)) != nil)
        #expect(ObjectKey(String(repeating: "a", count: 1025)) == nil)
        #expect(ObjectKey(String(repeating: "€", count: 342)) == nil)
        #expect(ObjectKey(utf8: [0xff]) == nil)
        #expect(ObjectKey(utf8: [0xed, 0xa0, 0x80]) == nil, "a surrogate")
        #expect(ObjectKey(utf8: [0]) != nil)
        #expect(ObjectKey("\u{e9}") != ObjectKey("e\u{301}"))
        #expect(
            [ObjectKey("b"), ObjectKey("\u{e9}"), ObjectKey("e\u{301}")].compactMap(\.self).sorted().map(\.bytes)
                == [[0x62], [0x65, 0xcc, 0x81], [0xc3, 0xa9]])
    }

    @Test("an upload's name is read back, and nothing else is taken for one")
    func uploads() throws {
        for text in ["a", "\u{0}", "a\u{0}\u{1}b\u{0}\u{2}", String(repeating: "\u{0}", count: 1024)] {
            let key = try #require(ObjectKey(text))
            let upload = UploadName(startingAt: .max, key: key)
            #expect(UploadName(uploadKey: upload.uploadKey) == upload)
            #expect(UploadName.isID(upload.id))
            let part = try #require(upload.partKey(10_000))
            #expect(UploadName.partNumber(of: part) == 10_000)
            #expect(upload.partKey(0) == nil && upload.partKey(10_001) == nil)
            for index in upload.uploadKey.bytes.indices.suffix(52) {
                var bytes = upload.uploadKey.bytes
                bytes[index] = 0xff
                #expect(ObjectKey(derived: bytes).flatMap { UploadName(uploadKey: $0) } != upload)
            }
        }
        #expect(try UploadName(uploadKey: #require(ObjectKey(String(repeating: "a", count: 60)))) == nil)
    }
}
