// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The streams that a recipe rebuilds and weaves together. The raw value is the stream's place in a recipe.
package enum StreamKind: UInt8, Sendable, CaseIterable {
    /// The contents of files, or all of a blob that is no tar.
    case content = 0
    /// Tar headers and whatever else carries times and owners.
    case headers = 1
    /// What an outer encoding needs beside the plain bytes.
    case corrections = 2

    /// The kind of frame that holds chunks of this stream.
    package var frameKind: FrameKind {
        switch self {
        case .content: .content
        case .headers: .headers
        case .corrections: .correction
        }
    }
}
