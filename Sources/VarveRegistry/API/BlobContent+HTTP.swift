// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

package import NIOCore
package import VarveEngine
import VarveHTTP

extension BlobFile: FileContent {}

extension BlobStream: StreamContent {
    package func nextPiece() async throws -> ByteBuffer? { try await next() }
}

extension HTTPContent {
    /// A blob as the engine opened it.
    init(_ content: BlobContent) {
        switch content {
        case .bytes(let bytes): self = .bytes(bytes)
        case .file(let file): self = .file(file)
        case .stream(let stream): self = .stream(stream)
        }
    }
}
