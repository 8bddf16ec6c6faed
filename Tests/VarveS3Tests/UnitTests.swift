// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOHTTP1
import Testing
import VarveDrivers
import VarveModel

@testable import VarveS3

@Suite("S3 error table")
struct S3ErrorTests {
    @Test("every code of the engine has a row", arguments: VarveError.Code.allCases)
    func rows(_ code: VarveError.Code) throws {
        let row = try #require(S3Code.rows[code])
        #expect((400..<600).contains(row.status.code))
        // What is not the client's fault says so, and tells nothing of us.
        let failure = S3Failure(VarveError(code, "open /secret/place failed"))
        if row.status.code >= 500, row != .notImplemented { #expect(!failure.message.contains("secret")) }
    }

    @Test("codes that registries look for have their status")
    func statuses() {
        let expected: [(S3Code, UInt)] = [
            (.noSuchKey, 404), (.noSuchUpload, 404), (.noSuchBucket, 404), (.invalidRange, 416), (.badDigest, 400),
            (.contentSHA256Mismatch, 400), (.signatureDoesNotMatch, 403), (.requestTimeTooSkewed, 403),
            (.missingContentLength, 411), (.preconditionFailed, 412), (.slowDown, 503), (.notImplemented, 501),
            (.methodNotAllowed, 405), (.bucketNotEmpty, 409), (.internalError, 500), (.entityTooSmall, 400),
        ]
        for (code, status) in expected { #expect(code.status.code == status) }
    }
}

@Suite("XML that clients send")
struct XMLReaderTests {
    @Test("elements, texts, entities, comments and sections")
    func reading() throws {
        let text = """
            <?xml version="1.0" encoding="UTF-8"?><!-- c --><Delete xmlns="http://x/">
            <Object><Key>a&amp;b&#x20;&lt;<![CDATA[<c>]]></Key></Object><s:Quiet a='>'>true</s:Quiet><E/></Delete>
            """
        let root = try XMLReader.read(Array(text.utf8))
        #expect(root.name == "Delete")
        #expect(root.child("Object")?.child("Key")?.text == "a&b <<c>")
        #expect(root.child("Quiet")?.text == "true")
        #expect(root.child("E") != nil)
    }

    @Test(
        "what is no document, or wants more than one",
        arguments: [
            "", " ", "x", "<", "<a", "<a>", "<a></b>", "<a/><b/>", "<a>&x;</a>", "<a>&#0;</a>", "<a>&amp</a>",
            "<!DOCTYPE a><a/>", "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>", "<a><!ENTITY></a>",
            "<a b></a>", "<a b=c/>", "<a b='<'/>", "<a b='1'c='2'>", "<a>\u{FFFE}", "<a><![CDATA[</a>", "<a><!--</a>",
            "< a/>",
            "<a><b><c><d><e><f><g><h><i/></h></g></f></e></d></c></b></a>",
        ])
    func refused(_ text: String) {
        #expect(throws: XMLFault.self) { try XMLReader.read(Array(text.utf8)) }
    }

    @Test("references beside plain text, and at the end", arguments: ["&amp;", "&#38;", "&#x26;", "&#x0000026;"])
    func references(_ reference: String) throws {
        let root = try XMLReader.read(Array("<a>\(reference)b\(reference)\(reference)c<d/>é\(reference)</a>".utf8))
        #expect(root.text == "&b&&cé&")
        for text in ["<a>\(reference.dropLast())</a>", "<a>x\(reference.dropLast())", "<a>&", "<a>&#x00000000026;</a>"]
        {
            #expect(throws: XMLFault.self) { try XMLReader.read(Array(text.utf8)) }
        }
    }

    @Test("too much text, too many elements, and bytes that are not UTF-8")
    func bounds() throws {
        func document(_ count: Int) -> [UInt8] {
            let half = String(repeating: "x", count: XMLReader.textBytesMax / 2)
            return Array("<a>\(half)<b>\(String(repeating: "&#x78;", count: count))</b>\(half.dropFirst(9))</a>".utf8)
        }
        #expect(try XMLReader.read(document(9)).text.utf8.count == XMLReader.textBytesMax - 9)
        #expect(throws: XMLFault.self) { try XMLReader.read(document(10)) }
        let many = "<a>" + String(repeating: "<b/>", count: XMLReader.elementsMax) + "</a>"
        #expect(throws: XMLFault.self) { try XMLReader.read(Array(many.utf8)) }
        #expect(throws: XMLFault.self) { try XMLReader.read(Array("<a>".utf8) + [0xFF] + Array("</a>".utf8)) }
    }

    @Test("10,000 mutated documents are read or refused, never more")
    func mutations() {
        var generator = SystemRandomNumberGenerator()
        let seed = Array("<D><O><K>a&amp;b</K></O><!-- c --><![CDATA[x]]><?p?></D>".utf8)
        for _ in 0..<10_000 {
            var bytes = seed
            for _ in 0..<Int.random(in: 1...4) {
                bytes[Int.random(in: 0..<bytes.count)] =
                    seed.randomElement(using: &generator) ?? 0
            }
            if let root = try? XMLReader.read(bytes) { #expect(!root.name.isEmpty) }
        }
    }

    @Test("what is written is read")
    func roundTrip() throws {
        var xml = XMLWriter()
        xml.element("A", namespace: XMLWriter.namespace) { $0.element("B", "a<b>&\"c'\nd é") }
        #expect(try XMLReader.read(xml.bytes).child("B")?.text == "a<b>&\"c'\nd é")
    }
}

@Suite("checksums and codings")
struct CodingTests {
    @Test(
        "check values of the algorithms' definitions",
        arguments: [
            (ChecksumAlgorithm.crc32, "cbf43926"), (.crc32c, "e3069283"), (.crc64nvme, "ae8b14860a799888"),
            (.sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
            (.sha256, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
        ])
    func values(_ algorithm: ChecksumAlgorithm, _ hex: String) throws {
        var running = try RunningChecksum(algorithm)
        Array("123456789".utf8).withUnsafeBytes { running.update($0) }
        #expect(Hashing.hex(running.finish()) == hex)
    }

    @Test(
        "linear checksums of parts make that of the whole", arguments: [ChecksumAlgorithm.crc32, .crc32c, .crc64nvme])
    func combining(_ algorithm: ChecksumAlgorithm) throws {
        let bytes = pattern(100_003)
        func sum(_ part: ArraySlice<UInt8>) throws -> [UInt8] {
            var running = try RunningChecksum(algorithm)
            part.withUnsafeBytes { running.update($0) }
            return running.finish()
        }
        for cut in [0, 1, 8, 4096, 99_999, 100_003] {
            let joined = algorithm.combine(
                try sum(bytes[..<cut]), try sum(bytes[cut...]), secondLength: UInt64(bytes.count - cut))
            #expect(joined == (try sum(bytes[...])), "cut at \(cut)")
        }
    }

    @Test("HMAC-SHA-256 (RFC 4231, cases 2 and 6)")
    func hmac() {
        #expect(
            Hashing.hex(Hashing.hmac(Array("Jefe".utf8), Array("what do ya want for nothing?".utf8)))
                == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        #expect(
            Hashing.hex(
                Hashing.hmac(
                    [UInt8](repeating: 0xAA, count: 131),
                    Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8)))
                == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
    }

    @Test("Base64 (RFC 4648, section 10), strictly")
    func base64() {
        for (text, coded) in [
            ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
        ] {
            #expect(Base64.encode(Array(text.utf8)) == coded)
            #expect(Base64.decode(coded) == Array(text.utf8))
        }
        for text in ["Z", "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Zm9v\n", "Zm 9", "Zm-_"] {
            #expect(Base64.decode(text) == nil, "\(text)")
        }
    }

    @Test("targets: keys stay as they are, buckets come from path or host")
    func targets() throws {
        let path = try #require(S3Target("/b/a//./../%20%2F+x?list-type=2&a=b+c%2B", host: "h:1", domain: "d"))
        #expect(path.bucket == "b")
        #expect(String(decoding: path.key, as: UTF8.self) == "a//./../ /+x")
        #expect(path.value("a") == "b c+")
        let host = try #require(S3Target("/k", host: "b.c.s3.test:9000", domain: "s3.test"))
        #expect(host.bucket == "b.c")
        #expect(String(decoding: host.key, as: UTF8.self) == "k")
        #expect(try #require(S3Target("/", host: "s3.test", domain: "s3.test")).bucket == nil)
        for text in ["", "x", "/%", "/%zz", "/%ff", "/b/k?a=%", "/b#x"] {
            #expect(S3Target(text, host: nil, domain: nil) == nil, "\(text)")
        }
    }

    @Test("continuation tokens are ours or none")
    func tokens() {
        for start in [ListRequest.Start.after(Array("k".utf8)), .afterPrefix(Array("a/é".utf8))] {
            #expect(ContinuationToken.read(ContinuationToken.text(start)) == start)
        }
        for text in ["", "x", "AAAA", "AAAAAAFr", ContinuationToken.text(.after([1])) + "AAAA"] {
            #expect(ContinuationToken.read(text) == nil)
        }
    }

    @Test("credentials files")
    func credentials() throws {
        let file = try S3Credentials(parsing: "# keys\n\nA s/1+= one,two\r\nB t *\n  C\tu\n")
        #expect(file.keys.count == 3)
        #expect(file.buckets.map(\.description) == ["one", "two"])
        #expect(file.keys["A"]?.secretKey == "s/1+=")
        for text in ["A", "A s b c", "A s UPPER", "A s one,", "A s\nA t"] {
            let error = #expect(throws: VarveError.self) { try S3Credentials(parsing: text) }
            #expect(error?.code == .invalidArgument)
        }
    }
}

@Suite("checksums of parts")
struct PartChecksumsTests {
    @Test("are kept as a text and read again", arguments: ChecksumAlgorithm.allCases)
    func roundTrip(_ algorithm: ChecksumAlgorithm) throws {
        let values = (0..<150).map { pattern(algorithm.byteCount, salt: UInt64($0)) }
        let text = try #require(PartChecksums(values, algorithm).text)
        let read = try #require(PartChecksums(text, algorithm, count: values.count))
        #expect(read == PartChecksums(values, algorithm))
        for (index, value) in values.enumerated() { #expect(read.value(of: index + 1) == Base64.encode(value)) }
        for part in [0, -1, values.count + 1, .max] { #expect(read.value(of: part) == nil) }
        for count in [values.count - 1, values.count + 1, 0, -1] {
            #expect(PartChecksums(text, algorithm, count: count) == nil)
        }
        #expect(PartChecksums(String(text.dropLast()), algorithm, count: values.count) == nil)
    }

    @Test("of very many parts are not kept, nor those of none")
    func long() {
        let value = [UInt8](repeating: 7, count: 4)
        #expect(PartChecksums(Array(repeating: value, count: 1536), .crc32).text?.utf8.count == 8192)
        #expect(PartChecksums(Array(repeating: value, count: 1537), .crc32).text == nil)
        #expect(PartChecksums([], .crc32).text == nil)
    }
}

@Suite("lengths of parts")
struct PartSizesTests {
    @Test(
        "are kept as a short text and read again",
        arguments: [
            ([7], "7"), ([5, 5, 5, 2], "5*3,2"), ([0], "0"), ([1, 2, 1, 2], "1,2,1,2"),
            (Array(repeating: 5 << 20, count: 10_000), "5242880*10000"),
        ] as [([UInt64], String)])
    func roundTrip(_ sizes: [UInt64], _ text: String) throws {
        #expect(PartSizes(sizes).text == text)
        let read = try #require(PartSizes(text, total: sizes.reduce(0, +)))
        #expect(read == PartSizes(sizes))
        #expect(read.count == sizes.count)
        var start: UInt64 = 0
        for (index, size) in sizes.enumerated() {
            #expect(read.range(of: UInt64(index) + 1) == start..<start + size)
            start += size
        }
        #expect(read.range(of: UInt64(sizes.count) + 1) == nil)
        #expect(read.range(of: 0) == nil)
        #expect(read.range(of: .max) == nil)
    }

    @Test("of very different parts are not kept, nor those of none")
    func long() {
        #expect(PartSizes((0..<500).map { $0 * 1000 }).text == nil)
        #expect(PartSizes([]).text == nil)
    }

    @Test(
        "that can not be are none",
        arguments: [
            "", ",", "1,", "x", "-1", "1*", "*1", "1*0", "1*2*3", "3*10001", "1*9999,1*2", "5",
            "18446744073709551615*2",
            "9999999999999999999*2,1", String(repeating: "0,", count: 600) + "4",
        ])
    func damaged(_ text: String) { #expect(PartSizes(text, total: 4) == nil) }
}
