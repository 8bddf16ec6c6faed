// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import COpenSSL
import CVarveKernels
import VarveCodec

/// Chunk-sized pieces of a window, hashed in every way that there is.
final class Hashing {
    private var offsets: [UInt64] = []
    private var lengths: [UInt32] = []
    private var digests: [ChunkDigest] = []
    private var out: [UInt8] = []
    private var stream = SHA256State()
    private let context = EVP_MD_CTX_new()
    private let function = EVP_MD_fetch(nil, "SHA256", nil)

    deinit {
        EVP_MD_CTX_free(context)
        EVP_MD_free(function)
    }

    /// Pieces of 4 to 16 KiB that cover a window. They are the same in every window: cutting is not what is measured.
    private func prepare(_ window: UnsafeRawBufferPointer) {
        guard offsets.isEmpty || window.count != Race.windowBytes else { return }
        offsets.removeAll()
        lengths.removeAll()
        var position = 0
        var state: UInt64 = 7
        while position < window.count {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let length = min(4096 + Int(state >> 33) % 12_288, window.count - position)
            offsets.append(UInt64(position))
            lengths.append(UInt32(length))
            position += length
        }
        out = [UInt8](repeating: 0, count: 32 * lengths.count)
    }

    private func openSSLWhole(_ window: UnsafeRawBufferPointer) {
        EVP_DigestInit_ex(context, function, nil)
        EVP_DigestUpdate(context, window.baseAddress, window.count)
        EVP_DigestFinal_ex(context, &out, nil)
    }

    private func pieces(_ kernel: varve_sha256_kernel, _ window: UnsafeRawBufferPointer) {
        guard let base = window.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
        _ = varve_sha256_pieces_with(kernel, base, offsets, lengths, lengths.count, &out)
    }

    private func contestant(_ name: String, _ run: @escaping (UnsafeRawBufferPointer) -> Void) -> Contestant {
        Contestant(name: name) { [self] window in
            prepare(window)
            run(window)
            sink &+= Int(out[0])
        }
    }

    var streams: [Contestant] {
        [
            contestant("OpenSSL, one stream") { [self] in openSSLWhole($0) },
            contestant("ours, one stream") { [self] in stream.update($0) },
        ]
    }

    var manyPieces: [Contestant] {
        [
            contestant("OpenSSL, pieces") { [self] in pieces(varve_sha256_openssl, $0) },
            contestant("ours, pieces, plain C") { [self] in pieces(varve_sha256_portable, $0) },
            contestant("ours, pieces, one lane") { [self] in pieces(varve_sha256_one_lane, $0) },
            contestant("ours, pieces, all lanes") { [self] in pieces(varve_sha256_best, $0) },
        ]
    }

    var both: [Contestant] {
        [
            contestant("OpenSSL, stream, then pieces") { [self] in
                openSSLWhole($0)
                pieces(varve_sha256_openssl, $0)
            },
            contestant("ours, stream and pieces side by side") { [self] in
                SHA256Pieces.digests(
                    of: $0, offsets: offsets, lengths: lengths, into: &digests, absorbing: $0, into: &stream)
            },
        ]
    }

    var checksums: [Contestant] {
        [
            Contestant(name: "CRC-32C by tables") { window in
                guard let base = window.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
                sink &+= Int(varve_crc32c_portable(0, base, window.count))
            },
            Contestant(name: "CRC-32C") { sink &+= Int(crc32c($0)) },
        ]
    }
}
