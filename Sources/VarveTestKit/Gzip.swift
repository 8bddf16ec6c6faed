// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc

/// Bytes as the system's `gzip` compresses them.
public enum Gzip {
    /// The gzip file of `bytes`, without name and time in its header; empty if there is no `gzip` to be run.
    public static func compress(_ bytes: [UInt8], level: Int = 6) -> [UInt8] {
        let directory = TestDirectory()
        directory.write(bytes, to: "plain")
        guard let pipe = popen("gzip -n -\(level) -c '\(directory.path)/plain'", "r") else { return [] }
        defer { pclose(pipe) }
        var output: [UInt8] = []
        while true {
            let part = [UInt8](unsafeUninitializedCapacity: 1 << 16) { buffer, count in
                count = fread(buffer.baseAddress, 1, buffer.count, pipe)
            }
            if part.isEmpty { return output }
            output += part
        }
    }
}
