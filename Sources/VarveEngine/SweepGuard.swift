// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import NIOConcurrencyHelpers
import VarveDrivers
import VarveIndex
import VarveModel

/// Keeps what is being pushed from what is being swept.
///
/// Two things may happen between what a collection has read and what it does. A push gives its file the name under which
/// a blob was just removed, and commits later: the file must stay. And a manifest is put that names a blob of which
/// nothing spoke before: the blob must stay, and its link. So pushes say which digest they are about to land, manifests
/// say what they name while a collection runs, and whatever is removed is looked up here once more, in the same breath.
/// Nobody waits for longer than a file's removal takes.
final class SweepGuard: Sendable {
    /// Blobs that pushes are bringing to their places, with how many of them.
    private let landing = NIOLockedValueBox([Digest: Int]())
    /// What was named since the collection began; nil while there is none.
    private let named = NIOLockedValueBox(Set<Digest>?.none)

    /// A push is about to look whether the blob is known, and to land it. To be followed by `ended`, after its commit.
    func began(_ digest: Digest) { landing.withLockedValue { $0[digest, default: 0] += 1 } }

    func ended(_ digest: Digest) {
        landing.withLockedValue { landing in
            guard let count = landing[digest] else { return }
            landing[digest] = count > 1 ? count - 1 : nil
        }
    }

    /// Runs `body`, which removes the blob's file, while no push can come in between; not at all if one is about to land
    /// the blob.
    func withoutLanding<Value>(
        _ digest: Digest, _ body: () throws(VarveError) -> Value
    ) throws(VarveError) -> Value? {
        let result: Result<Value, VarveError>? = landing.withLockedValue { landing in
            guard landing[digest] == nil else { return nil }
            do throws(VarveError) { return .success(try body()) } catch { return .failure(error) }
        }
        return try result?.get()
    }

    /// A collection begins: from now on names are noted.
    func collectionBegan() { named.withLockedValue { $0 = [] } }

    func collectionEnded() { named.withLockedValue { $0 = nil } }

    /// To be called within the transaction that names them: what it removes, a later one sees; what a later one would
    /// remove, it finds here.
    func names(_ digests: some Sequence<Digest>) { named.withLockedValue { $0?.formUnion(digests) } }

    func isNamed(_ digest: Digest) -> Bool { named.withLockedValue { $0?.contains(digest) ?? false } }
}

extension Core {
    /// Removes the raw file of a blob, unless the index says that there is one, or a push is about to.
    /// - Returns: Bytes that were given back.
    func removeRawFile(_ digest: Digest) throws(VarveError) -> UInt64 {
        let path = StoreLayout.raw(digest).path
        return try sweeps.withoutLanding(digest) { () throws(VarveError) in
            guard try read({ try $0.blob(digest)?.flags.contains(.rawFile) }) != true else { return 0 }
            do throws(DriverError) {
                let bytes = try files.length(of: path) ?? 0
                try files.remove(path)
                return bytes
            } catch {
                throw error.asVarveError
            }
        } ?? 0
    }
}
