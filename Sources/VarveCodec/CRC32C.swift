// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import CVarveKernels

/// CRC-32C (RFC 3720, appendix B.4) of `bytes`, continued from `crc`: over parts of a message in turn it gives the CRC of
/// the whole.
package func crc32c(_ bytes: UnsafeRawBufferPointer, continuing crc: UInt32 = 0) -> UInt32 {
    guard let base = bytes.baseAddress else { return crc }
    return varve_crc32c(crc, base.assumingMemoryBound(to: UInt8.self), bytes.count)
}
