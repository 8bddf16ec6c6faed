// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import Logging
import VarveCodec
import VarveDrivers
import VarveIndex
import VarveModel

extension Collector {
    /// Removes files that the index does not know, and uploads that nobody goes on with. Names that are not the store's own
    /// are left alone.
    ///
    /// Raw files go once they are as old as the grace period: a push gives its file a name before it commits. Packs go at
    /// once: whoever makes them waits for this thread.
    func sweepStrayFiles() throws(VarveError) {
        for algorithm in Digest.Algorithm.allCases {
            for directory in try names(in: "\(StoreLayout.raw)/\(algorithm.name)") {
                try sweepRaw(algorithm, "\(StoreLayout.raw)/\(algorithm.name)/\(directory)")
                try stop.check()
            }
        }
        for directory in try names(in: StoreLayout.packs) { try sweepPackFiles("\(StoreLayout.packs)/\(directory)") }
        try sweepUploads()
    }

    private func sweepRaw(_ algorithm: Digest.Algorithm, _ directory: String) throws(VarveError) {
        let files = try names(in: directory).compactMap { name -> Digest? in
            guard let digest = Digest("\(algorithm.name):\(name)") else { return nil }
            return StoreLayout.raw(digest).path == "\(directory)/\(name)" ? digest : nil
        }
        let stray = try core.read { transaction in
            try files.filter { try transaction.blob($0)?.flags.contains(.rawFile) != true }
        }
        for digest in stray {
            let path = StoreLayout.raw(digest).path
            if try isPastGrace(changeTime(of: path)) { report.bytesFreed += try core.removeRawFile(digest) }
        }
    }

    private func sweepPackFiles(_ directory: String) throws(VarveError) {
        for name in try names(in: directory) where name.hasSuffix(".pack") {
            let path = "\(directory)/\(name)"
            guard let id = PackID(hex: name.dropLast(5)), StoreLayout.pack(id.hex).path == path,
                try core.read({ try $0.packNumber(of: id.vector) }) == nil
            else { continue }
            if try isStrayPack(path, id) {
                try remove(path)
            } else {
                // It may be the only copy of something that a repair could still read.
                core.logger.warning(
                    "a damaged pack that the index does not know is left alone", metadata: ["pack": "\(id)"])
            }
        }
    }

    /// Whether a pack that the index does not know is one that was begun and not finished, and not one whose beginning
    /// is damaged so that making the index anew passed it over.
    private func isStrayPack(_ path: String, _ id: PackID) throws(VarveError) -> Bool {
        do throws(DriverError) {
            guard let length = try core.files.length(of: path), length > UInt64(PackHeader.byteCount) else {
                return true
            }
            let start = try core.files.open(path, .read).read(at: 0, count: PackHeader.byteCount)
            let header = try? start.lend { bytes throws(CodecError) in try PackHeader(decoding: bytes) }
            return header?.id == id
        } catch {
            throw error.asVarveError
        }
    }

    private func sweepUploads() throws(VarveError) {
        var newest: [String: UInt64] = [:]
        for name in try names(in: StoreLayout.landing) {
            let parts = name.split(separator: ".", omittingEmptySubsequences: false)
            guard parts.count == 2, parts[1] == "data" || parts[1] == "meta", parts[0].utf8.count == 32 else {
                continue
            }
            let id = String(parts[0])
            newest[id] = max(newest[id] ?? 0, try changeTime(of: "\(StoreLayout.landing)/\(name)"))
        }
        for (id, time) in newest where time <= startedAt && startedAt - time >= Self.uploadSeconds {
            try remove(StoreLayout.landingData(id))
            try remove(StoreLayout.landingMeta(id))
        }
    }

    private func names(in directory: String) throws(VarveError) -> [String] {
        do throws(DriverError) {
            return try core.files.list(directory).sorted()
        } catch {
            throw error.number == ENOTDIR ? VarveError(.io, "\(directory) is no directory") : error.asVarveError
        }
    }

    /// When a file was last written to or renamed, in seconds since 1970; the present for one that is not there.
    private func changeTime(of path: String) throws(VarveError) -> UInt64 {
        var status = stat()
        guard stat(core.files.absolute(path), &status) == 0 else {
            guard errno == ENOENT else { throw DriverError("stat", path, errno).asVarveError }
            return startedAt
        }
        return UInt64(clamping: max(status.st_mtim.tv_sec, status.st_ctim.tv_sec))
    }
}
