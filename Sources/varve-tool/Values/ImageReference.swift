// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import ArgumentParser
import VarveModel

/// What a user names an image by: `NAME:TAG`, `NAME` (tag `latest`), or `NAME@sha256:…`.
struct ImageReference: Hashable, Sendable, CustomStringConvertible {
    var repository: RepositoryName
    var reference: ManifestReference

    init(repository: RepositoryName, reference: ManifestReference) {
        self.repository = repository
        self.reference = reference
    }

    /// Parses a reference; nil if the name, the tag or the digest does not fit its grammar.
    init?(_ text: some StringProtocol) {
        if let at = text.firstIndex(of: "@") {
            guard let repository = RepositoryName(text[..<at]), let digest = Digest(text[text.index(after: at)...])
            else { return nil }
            self.init(repository: repository, reference: .digest(digest))
            return
        }
        let slash = text.lastIndex(of: "/") ?? text.startIndex
        let name: Substring
        let tagText: Substring
        if let colon = text[slash...].lastIndex(of: ":") {
            name = Substring(text[..<colon])
            tagText = Substring(text[text.index(after: colon)...])
        } else {
            name = Substring(text)
            tagText = "latest"
        }
        guard let repository = RepositoryName(name), let tag = Tag(tagText) else { return nil }
        self.init(repository: repository, reference: .tag(tag))
    }

    /// `NAME:TAG` or `NAME@DIGEST`.
    var description: String {
        switch reference {
        case .tag(let tag): "\(repository):\(tag)"
        case .digest(let digest): "\(repository)@\(digest)"
        }
    }

    /// What is wrong with a text that is no reference, for a person.
    static func refusal(of text: String) -> String {
        let hint =
            text.contains("/") && text.prefix { $0 != "/" }.contains(":")
            ? "; leave out the registry's address, the store is named by --store" : ""
        return "'\(text)' is not an image: expected NAME:TAG or NAME@sha256:…, lower-case\(hint)"
    }
}

/// `NAME:TAG`, as something new is to be called.
struct ImageName: Hashable, Sendable, ExpressibleByArgument, CustomStringConvertible {
    var repository: RepositoryName
    var tag: Tag

    init(repository: RepositoryName, tag: Tag) {
        self.repository = repository
        self.tag = tag
    }

    /// Parses `NAME:TAG` or `NAME` (tag `latest`); nil for anything else.
    init?(argument: String) {
        guard let parsed = ImageReference(argument), case .tag(let tag) = parsed.reference else { return nil }
        self.init(repository: parsed.repository, tag: tag)
    }

    var description: String { "\(repository):\(tag)" }
}

/// What `export` and `inspect` take: an image, or any blob or manifest by its digest alone.
enum Subject: Hashable, Sendable, ExpressibleByArgument, CustomStringConvertible {
    case image(ImageReference)
    case digest(Digest)

    init?(argument: String) {
        if let digest = Digest(argument) {
            self = .digest(digest)
        } else if let image = ImageReference(argument) {
            self = .image(image)
        } else {
            return nil
        }
    }

    var description: String {
        switch self {
        case .image(let image): image.description
        case .digest(let digest): digest.description
        }
    }
}
