// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

package import VarveModel

import VarveCodec
import VarveDrivers
import VarveIndex

/// What the benchmarks look at from outside.
extension Store {
    /// Runs the proof of a settled blob once more.
    /// - Throws: `blobUnknown`, `invalidArgument` if it is not settled, `corrupted`.
    package func proveAgain(_ digest: Digest) async throws(VarveError) {
        try await core.pool.run { [core] () throws(VarveError) in
            let row = try core.row(of: digest, in: nil)
            guard let place = row.recipe else { throw VarveError(.invalidArgument, "blob \(digest) is not settled") }
            try core.rebuild(digest, size: row.size, recipe: place, range: 0..<row.size).prove()
        }
    }

    /// Raw bytes of chunks that the blob brought and no other had: those in frames behind the recipe before it.
    package func newChunkBytes(of digest: Digest) async throws(VarveError) -> UInt64 {
        try await core.pool.run { [core] () throws(VarveError) in
            let row = try core.row(of: digest, in: nil)
            guard let place = row.recipe else { throw VarveError(.invalidArgument, "blob \(digest) is not settled") }
            var bytes: UInt64 = 0
            for entry in try core.packs.reader(place.pack).directory.entries where entry.offset < place.offset {
                bytes = entry.kind.holdsChunks ? bytes + UInt64(entry.rawBytes) : 0
            }
            return bytes
        }
    }
}
