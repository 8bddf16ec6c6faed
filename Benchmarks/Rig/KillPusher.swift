// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// One client of a kill test: pushes blobs and images of all kinds over one connection until the connection breaks.
struct KillPusher {
    let index: Int
    let round: Int
    let layers: SampleLayers
    let ledger: KillLedger

    func run(_ server: (host: String, port: UInt16), random seed: SeededRandom) {
        var random = seed
        guard let connection = try? HTTPConnection(host: server.host, port: server.port, timeoutSeconds: 120) else {
            ledger.failed("round \(round), client \(index): the server takes no connection")
            return
        }
        let client = RegistryClient(connection)
        var count = 0
        do {
            while true {
                count += 1
                if Int.random(in: 0..<3, using: &random) == 0 {
                    guard try pushImage(client, number: count, &random) else { return }
                } else {
                    let repository = "kill/client-\(index)"
                    guard try pushBlob(client, blob(&random), to: repository, &random) != nil else { return }
                }
            }
        } catch {
            ledger.failed("round \(round), client \(index): \(error)")
        }
    }

    /// Small, middling or a layer; about a third each.
    private func blob(_ random: inout SeededRandom) -> [UInt8] {
        switch Int.random(in: 0..<3, using: &random) {
        case 0: random.bytes(Int.random(in: 1...65_536, using: &random))
        case 1: random.bytes(Int.random(in: 65_537...1_500_000, using: &random))
        default: layers.layer(files: Int.random(in: 2...160, using: &random), &random)
        }
    }

    /// Pushes a blob by one of the three ways.
    /// - Returns: Its digest and size once it is acknowledged; nil when it was refused, which is noted.
    private func pushBlob(
        _ client: RegistryClient, _ bytes: [UInt8], to repository: String, _ random: inout SeededRandom
    ) throws -> (String, Int)? {
        let digest = try sha256(bytes)
        let promise = KillLedger.Promise(repository: repository, digest: digest, size: bytes.count)
        let method = RegistryClient.PushMethod.allCases.randomElement(using: &random) ?? .monolithic
        let cut = Int.random(in: 0...bytes.count, using: &random)
        let status: Int
        do {
            status = try bytes.withUnsafeBytes { whole in
                let pieces = [whole[..<cut], whole[cut...]].map { UnsafeRawBufferPointer(rebasing: $0) }
                return try client.pushBlob(digest, pieces, to: repository, by: method)
            }
        } catch {
            ledger.leftInDoubt(promise)
            throw error
        }
        guard status == 201 else {
            ledger.failed("round \(round), client \(index): a push (\(method)) was answered \(status)")
            return nil
        }
        ledger.acknowledged(promise)
        return (digest, bytes.count)
    }

    /// Pushes layers, a configuration and the manifest that names them, under a tag of its own.
    private func pushImage(_ client: RegistryClient, number: Int, _ random: inout SeededRandom) throws -> Bool {
        let repository = "kill/image-\(index)"
        var parts: [(String, Int)] = []
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            let layer = layers.layer(files: Int.random(in: 2...120, using: &random), &random)
            guard let part = try pushBlob(client, layer, to: repository, &random) else { return false }
            parts.append(part)
        }
        let text = #"{"architecture":"amd64","os":"linux","note":"\#(random.next())","rootfs":{"type":"layers"}}"#
        guard let configuration = try pushBlob(client, Array(text.utf8), to: repository, &random) else { return false }
        let manifest = RegistryClient.manifest(configuration: configuration, layers: parts)
        let tag = "r\(round)-\(number)"
        let promise = KillLedger.Promise(
            repository: repository, digest: try sha256(manifest), size: manifest.count, tag: tag)
        let status: Int
        do {
            status = try client.pushManifest(manifest, to: repository, reference: tag)
        } catch {
            ledger.leftInDoubt(promise)
            throw error
        }
        guard status == 201 else {
            ledger.failed("round \(round), client \(index): a manifest was answered \(status)")
            return false
        }
        ledger.acknowledged(promise)
        return true
    }
}
