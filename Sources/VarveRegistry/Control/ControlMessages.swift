// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import VarveEngine
import VarveModel
import VarveOCI

/// What goes over the control socket: JSON texts, one a line where there are several.
///
/// A long operation answers with lines of `{"progress":{…}}` and ends with one `{"result":{…}}` or
/// `{"error":{"code":…,"message":…}}`; an answer without such an end was cut off.
enum ControlMessage {
    case progress(Progress)
    case stats(StoreStats)
    case verified(VerifyReport)
    case settled
    case failed(VarveError)

    /// The line, with its newline.
    var line: [UInt8] {
        var json = JSONWriter()
        json.object { json in
            switch self {
            case .progress(let progress):
                json.key("progress")
                json.object { json in
                    json.key("activity")
                    json.value(progress.activity)
                    json.key("done")
                    json.value(progress.done)
                    json.key("total")
                    json.value(progress.total)
                }
            case .stats(let stats):
                json.key("result")
                ControlMessage.write(stats, &json)
            case .verified(let report):
                json.key("result")
                json.object { json in
                    for (name, path) in ControlMessage.verifyFields {
                        json.key(name)
                        json.value(report[keyPath: path])
                    }
                    json.key("damage")
                    json.array { json in for line in report.damage { json.value(line) } }
                }
            case .settled:
                json.key("result")
                json.object { _ in }
            case .failed(let error):
                json.key("error")
                json.object { json in
                    json.key("code")
                    json.value(error.code.description)
                    json.key("message")
                    json.value(error.cause.map { "\(error.message) (\($0))" } ?? error.message)
                }
            }
        }
        return json.bytes + [UInt8(ascii: "\n")]
    }

    /// What the last line's result is expected to be.
    enum Expectation { case stats, verified, settled }

    /// Reads a line; keys that are not known are passed over, so that either side may be the newer one.
    init(line: [UInt8], expecting: Expectation) throws(JSONFault) {
        var reader = try JSONReader(line)
        var found: ControlMessage?
        try reader.object { (reader, key) throws(JSONFault) in
            switch key {
            case "progress": found = .progress(try ControlMessage.progress(&reader))
            case "error": found = .failed(try ControlMessage.error(&reader))
            case "result":
                switch expecting {
                case .stats: found = .stats(try ControlMessage.stats(&reader))
                case .verified: found = .verified(try ControlMessage.verified(&reader))
                case .settled:
                    try reader.skip()
                    found = .settled
                }
            default: try reader.skip()
            }
        }
        try reader.finish()
        guard let found else { throw reader.fault("neither progress nor result nor error") }
        self = found
    }

    private static func progress(_ reader: inout JSONReader) throws(JSONFault) -> Progress {
        var activity = ""
        var done: UInt64 = 0
        var total: UInt64 = 0
        try reader.object { (reader, key) throws(JSONFault) in
            switch key {
            case "activity": activity = try reader.string()
            case "done": done = try number(&reader)
            case "total": total = try number(&reader)
            default: try reader.skip()
            }
        }
        return Progress(activity: activity, done: done, total: total)
    }

    private static func error(_ reader: inout JSONReader) throws(JSONFault) -> VarveError {
        var code = ""
        var message = ""
        try reader.object { (reader, key) throws(JSONFault) in
            switch key {
            case "code": code = try reader.string()
            case "message": message = try reader.string()
            default: try reader.skip()
            }
        }
        return VarveError(VarveError.Code.allCases.first { $0.description == code } ?? .io, message)
    }

    private static func verified(_ reader: inout JSONReader) throws(JSONFault) -> VerifyReport {
        var report = VerifyReport()
        try reader.object { (reader, key) throws(JSONFault) in
            if key == "damage" {
                try reader.array { (reader) throws(JSONFault) in report.damage.append(try reader.string()) }
            } else if let path = verifyFields.first(where: { $0.name == key })?.path {
                report[keyPath: path] = try number(&reader)
            } else {
                try reader.skip()
            }
        }
        return report
    }

    private static func stats(_ reader: inout JSONReader) throws(JSONFault) -> StoreStats {
        var stats = StoreStats()
        try reader.object { (reader, key) throws(JSONFault) in
            if key == "rawReasons" {
                try reader.object { (reader, reason) throws(JSONFault) in
                    stats.rawReasons[reason] = try number(&reader)
                }
            } else if let path = statsFields.first(where: { $0.name == key })?.path {
                stats[keyPath: path] = try number(&reader)
            } else {
                try reader.skip()
            }
        }
        return stats
    }

    private static func write(_ stats: StoreStats, _ json: inout JSONWriter) {
        json.object { json in
            for (name, path) in statsFields {
                json.key(name)
                json.value(stats[keyPath: path])
            }
            json.key("rawReasons")
            json.object { json in
                for (reason, count) in stats.rawReasons.sorted(by: { $0.key < $1.key }) {
                    json.key(reason)
                    json.value(count)
                }
            }
        }
    }

    private static func number(_ reader: inout JSONReader) throws(JSONFault) -> UInt64 {
        let value = try reader.integer()
        guard let number = UInt64(exactly: value) else { throw reader.fault("negative number") }
        return number
    }

    private static let statsFields: [(name: String, path: any WritableKeyPath<StoreStats, UInt64> & Sendable)] = [
        ("blobsCount", \.blobsCount), ("blobsBytes", \.blobsBytes), ("settledCount", \.settledCount),
        ("settledBytes", \.settledBytes), ("rawCount", \.rawCount), ("rawBytes", \.rawBytes),
        ("inlineCount", \.inlineCount), ("inlineBytes", \.inlineBytes), ("cacheBytes", \.cacheBytes),
        ("chunksCount", \.chunksCount), ("packsCount", \.packsCount), ("packsBytes", \.packsBytes),
        ("indexBytes", \.indexBytes), ("journalBytes", \.journalBytes), ("storedBytes", \.storedBytes),
        ("queuedCount", \.queuedCount), ("repositoriesCount", \.repositoriesCount),
        ("manifestsCount", \.manifestsCount), ("tagsCount", \.tagsCount),
        ("bucketsCount", \.bucketsCount), ("spoolBytes", \.spoolBytes), ("adoptingCount", \.adoptingCount),
    ]

    private static let verifyFields: [(name: String, path: any WritableKeyPath<VerifyReport, UInt64> & Sendable)] = [
        ("blobsChecked", \.blobsChecked), ("chunksChecked", \.chunksChecked), ("bytesChecked", \.bytesChecked),
    ]
}
