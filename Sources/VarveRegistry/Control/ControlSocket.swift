// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import NIOCore
import VarveModel

/// The socket `control.sock` in a store's directory, by which the tool reaches the process that serves it. Only its owner
/// may connect (mode 0600), so there is no further authentication.
enum ControlSocket {
    static let name = "control.sock"

    /// Calls `body` with an address for `path`/control.sock. The system takes 107 bytes of path; a longer one is reached
    /// through a descriptor of its directory.
    static func withAddress<Value>(
        in path: String, _ body: (SocketAddress) async throws -> Value
    ) async throws -> Value {
        let whole = path + "/" + name
        if whole.utf8.count <= 100 { return try await body(try SocketAddress(unixDomainSocketPath: whole)) }
        let directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { throw IOError(errnoCode: errno, reason: "open \(path)") }
        defer { close(directory) }
        return try await body(try SocketAddress(unixDomainSocketPath: "/proc/self/fd/\(directory)/\(name)"))
    }

    /// A bound socket with mode 0600 from its first moment on. What an earlier process left is removed first: the caller
    /// holds the store's lock, so nobody listens there.
    static func bound(to address: SocketAddress, in path: String) throws -> CInt {
        remove(in: path)
        let descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw IOError(errnoCode: errno, reason: "socket") }
        // Linux takes the mode of the name from the unbound socket.
        _ = fchmod(descriptor, 0o600)
        let result = address.withSockAddr { pointer, size in bind(descriptor, pointer, socklen_t(size)) }
        guard result == 0, chmod(path + "/" + name, 0o600) == 0 else {
            let error = IOError(errnoCode: errno, reason: "bind \(path)/\(name)")
            close(descriptor)
            throw error
        }
        return descriptor
    }

    /// Removes the name if it is a socket's.
    static func remove(in path: String) {
        var status = stat()
        let whole = path + "/" + name
        if lstat(whole, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK { unlink(whole) }
    }
}
