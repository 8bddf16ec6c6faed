// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOCore
import VarveDrivers
import VarveModel

extension StorageDriverContract {
    static let listChecks: [Check] = [
        Check(
            description: "listings are what a plain look at all keys gives, for any prefix, delimiter, start and limit"
        ) {
            bench in
            var random = SeededBytes(201)
            var keys: Set<String> = []
            let letters = ["a", "b", "/", "-", "é", "\u{0}", "aa", "/a"]
            while keys.count < 200 {
                var key = ""
                for _ in 0..<random.int(1...6) { key += letters[random.int(0...letters.count - 1)] }
                keys.insert(key)
            }
            // Differently composed keys are different keys, though not different strings.
            let all = Set(keys.map { Array($0.utf8) }).sorted { $0.lexicographicallyPrecedes($1) }
            for key in all { try await bench.put(key, try bench.address(String(decoding: key, as: UTF8.self))) }
            for round in 0..<150 {
                var request = ListRequest(limit: random.int(1...40))
                if random.int(0...2) > 0 {
                    let key = all[random.int(0...all.count - 1)]
                    request.prefix = Array(key.prefix(random.int(0...key.count)))
                }
                if random.int(0...3) > 0 {
                    request.delimiter = [Array("/".utf8), Array("a".utf8), Array("/a".utf8)][random.int(0...2)]
                }
                switch random.int(0...3) {
                case 0: request.start = .after(all[random.int(0...all.count - 1)])
                case 1: request.start = .after(all[random.int(0...all.count - 1)] + [random.int(0...1) == 0 ? 0 : 0xff])
                default: break
                }
                try await bench.compare(request, with: all, "round \(round)")
            }
        },
        Check(description: "a page that is full says where the next one begins, and only if there is one") { bench in
            for key in ["a", "b/1", "b/2", "c"] { try await bench.put([], try bench.address(key)) }
            func page(_ request: ListRequest) async throws -> ObjectPage {
                try await bench.driver.list(bench.bucket, in: .objects, request)
            }
            let slash = Array("/".utf8)
            let first = try await page(ListRequest(delimiter: slash, limit: 2))
            try expect(first.objects.map(\.key.description) == ["a"], "\(first)")
            try expect(first.commonPrefixes == [Array("b/".utf8)], "\(first)")
            try expect(first.next == .afterPrefix(Array("b/".utf8)), "\(first)")
            let second = try await page(ListRequest(delimiter: slash, start: first.next ?? .beginning, limit: 2))
            try expect(second.objects.map(\.key.description) == ["c"] && second.next == nil, "\(second)")
            let exact = try await page(ListRequest(limit: 4))
            try expect(exact.objects.count == 4 && exact.next == nil, "a page that ends the listing goes on")
            try expect(try await page(ListRequest(limit: 0)) == ObjectPage(), "a page of nothing is not empty")
            let inside = try await page(ListRequest(delimiter: slash, start: .after(Array("b/1".utf8))))
            try expect(inside.commonPrefixes == [Array("b/".utf8)], "behind a key in the middle of a prefix: \(inside)")
        },
        Check(description: "a prefix without objects is no common prefix") { bench in
            let keys = ["x/1", "x/2/3", "y"]
            for key in keys { try await bench.put([], try bench.address(key)) }
            func prefixes() async throws -> [[UInt8]] {
                let request = ListRequest(delimiter: [0x2f])
                let page = try await bench.driver.list(bench.bucket, in: .objects, request)
                return page.commonPrefixes
            }
            try expect(try await prefixes() == [Array("x/".utf8)], "x/ is not listed")
            try await bench.driver.delete([try bench.address("x/1")])
            try expect(try await prefixes() == [Array("x/".utf8)], "x/ is not listed")
            _ = try await bench.driver.move(try bench.address("x/2/3"), to: try bench.address("z/2"))
            try expect(try await prefixes() == [Array("z/".utf8)], "a prefix whose objects went is listed")
            try await bench.driver.delete([try bench.address("z/2")])
            try expect(try await prefixes() == [], "a prefix whose objects went is listed")
        },
        Check(description: "namespaces are apart, and only objects are listed among objects") { bench in
            for namespace in ObjectNamespace.allCases {
                try await bench.put([namespace.rawValue], try bench.address("same", in: namespace))
            }
            for namespace in ObjectNamespace.allCases {
                try await bench.expectBytes(
                    [namespace.rawValue], at: try bench.address("same", in: namespace), "\(namespace)")
                try expect(try await bench.keys(namespace) == ["same"], "\(namespace) lists others")
            }
            try await bench.driver.delete([try bench.address("same", in: .uploads)])
            try expect(try await bench.keys(.objects) == ["same"], "deleting elsewhere deleted an object")
            try expect(try await bench.keys(.uploads) == [], "a deleted upload is listed")
        },
        Check(description: "walking gives every object once, in order, however many pages that takes") { bench in
            for index in 0..<2300 { try await bench.put([], try bench.address("w/\(index)")) }
            try await bench.put([], try bench.address("x"))
            var seen: [[UInt8]] = []
            try await bench.driver.walk(bench.bucket, in: .objects, prefix: Array("w/".utf8)) {
                (object: ObjectInfo) throws(VarveError) in
                seen.append(object.key.bytes)
            }
            let expected = (0..<2300).map { Array("w/\($0)".utf8) }.sorted { $0.lexicographicallyPrecedes($1) }
            try expect(seen == expected, "\(seen.count) of 2300 were seen, or in another order")
        },
    ]
}

extension Bench {
    /// Lists to the end and compares with what the rules say of these keys.
    fileprivate func compare(_ request: ListRequest, with keys: [[UInt8]], _ what: String) async throws {
        enum Entry: Equatable { case object([UInt8]), prefix([UInt8]) }
        var expected: [Entry] = []
        for key in keys where key.starts(with: request.prefix) {
            if case .after(let start) = request.start, !start.lexicographicallyPrecedes(key) { continue }
            var entry = Entry.object(key)
            if !request.delimiter.isEmpty, key.count >= request.prefix.count {
                var position = request.prefix.count
                while position + request.delimiter.count <= key.count {
                    if Array(key[position..<position + request.delimiter.count]) == request.delimiter {
                        entry = .prefix(Array(key[..<(position + request.delimiter.count)]))
                        break
                    }
                    position += 1
                }
            }
            if expected.last != entry { expected.append(entry) }
        }
        var found: [Entry] = []
        var next: ListRequest.Start? = request.start
        while let start = next {
            var step = request
            step.start = start
            let page = try await driver.list(bucket, in: .objects, step)
            let count = page.objects.count + page.commonPrefixes.count
            try expect(count <= request.limit, "\(what): a page of \(count) entries")
            try expect(page.next == nil || count == request.limit, "\(what): a page is short and goes on")
            let entries: [(key: [UInt8], entry: Entry)] =
                page.objects.map { ($0.key.bytes, .object($0.key.bytes)) }
                + page.commonPrefixes.map { ($0, .prefix($0)) }
            found += entries.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map(\.entry)
            next = page.next
            guard found.count <= keys.count else { break }
        }
        try expect(found == expected, "\(what): \(request) gives \(found) instead of \(expected)")
    }
}
