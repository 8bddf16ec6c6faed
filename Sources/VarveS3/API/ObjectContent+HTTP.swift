// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

package import NIOCore
package import VarveDrivers
import VarveHTTP

extension ObjectFile: FileContent {}

extension ObjectStream: StreamContent {
    package func nextPiece() async throws -> ByteBuffer? { try await next() }
}

extension HTTPContent {
    /// An object as the driver opened it.
    init(_ content: ObjectContent) {
        switch content {
        case .bytes(let bytes): self = .bytes(bytes)
        case .file(let file): self = .file(file)
        case .stream(let stream): self = .stream(stream)
        }
    }
}
