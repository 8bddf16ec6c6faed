// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Foundation
import Glibc

/// A folder for one run of a rig, gone when the value goes. `KEEP_TEST_DIRS=1` leaves it to look at.
package struct TemporaryFolder: ~Copyable {
    package let path: String

    /// Leaves the folder behind: what went wrong in it has to be looked at.
    package var isKept = ProcessInfo.processInfo.environment["KEEP_TEST_DIRS"] != nil

    /// - Parameter parent: Where to make it; the disk that is measured is the one this lies on. Default: `TMPDIR` or `/tmp`.
    package init(in parent: String? = nil, prefix: String = "varve-rig") throws {
        let folder = parent ?? FileManager.default.temporaryDirectory.path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        var template = Array("\(folder)/\(prefix)-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw RigError.system("mkdtemp in \(folder)") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        if !isKept {
            try? FileManager.default.removeItem(atPath: path)
        }
    }

    /// The path of something in the folder.
    package func path(of name: String) -> String { path + "/" + name }

    /// Makes a folder in it.
    package func makeFolder(_ name: String) throws -> String {
        let folder = path(of: name)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        return folder
    }
}
