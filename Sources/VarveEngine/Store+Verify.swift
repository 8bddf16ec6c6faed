// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

public import VarveModel

extension Store {
    /// Reads everything again and compares it with its digests: every row of the index, every pack and each frame in it,
    /// every blob in each way in which it is kept (raw file, index, recipe), and the journal.
    ///
    /// Works on a store opened `readOnly` beside a process that writes: what is removed or replaced meanwhile is not
    /// damage. Nothing is changed, whatever is found.
    /// - Returns: What was read, and a line for each thing that is damaged: what it is, where, and which blobs and images
    ///   it touches.
    /// - Throws: `cancelled`; `io` or `corrupted` only if the index can not be read at all. Damage is reported, not thrown.
    public func verify(
        progress: (@Sendable (Progress) -> Void)? = nil
    ) async throws(VarveError) -> VerifyReport {
        let verifier = Verifier(core: core, progress: progress)
        return try await outcome { try await verifier.run() }
    }
}
