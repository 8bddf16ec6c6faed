// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import Glibc

/// Memory of megabytes that is looked at here and there, in large pages where the system has some: small ones cost a search that is at
/// another page with each look half its time, and as much again to be filled for the first time.
final class LargeMemory {
    let bytes: UnsafeMutableRawPointer
    private let mapped: UnsafeMutableRawPointer
    private let mappedCount: Int

    private static let pageBytes = 2 << 20

    /// - Parameter count: Bytes, all 0 at first.
    init(_ count: Int) {
        mappedCount = count + Self.pageBytes
        guard
            let mapped = mmap(nil, mappedCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
            mapped != MAP_FAILED
        else {
            // As any allocation does that there is no memory for. No file decides over `count`: tables have a model's size, text that of
            // a window, which is 32 MiB at most.
            fatalError("out of memory")
        }
        self.mapped = mapped
        bytes = mapped.alignedUp(toMultipleOf: Self.pageBytes)
        // Without large pages all is as slow as it was.
        _ = madvise(bytes, count, MADV_HUGEPAGE)
    }

    deinit { munmap(mapped, mappedCount) }
}
