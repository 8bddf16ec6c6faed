// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

public import VarveModel

import VarveDrivers

extension Store {
    /// What an image (a manifest, or an index with every image that it names) takes, shares, and would give back.
    ///
    /// Images are compared by chunks, so what is equal inside layers is shared however the layers were made. A blob that
    /// is not settled counts as one piece. Reads every recipe of the store; works on a store opened `readOnly`.
    /// - Throws: `manifestUnknown`, `repositoryUnknown`; `corrupted` if a recipe of the image can not be read.
    public func usage(
        of reference: ManifestReference, in repository: RepositoryName
    ) async throws(VarveError) -> ImageUsage {
        try await core.pool.run { [core] () throws(VarveError) in
            try UsageReckoner(core: core).usage(of: reference, in: repository)
        }
    }
}
