// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// The one error that crosses module boundaries: a code, a sentence, a cause.
public struct VarveError: Error, Sendable, CustomStringConvertible {
    /// What kind of failure it is: one row of each front end's status table.
    public var code: Code
    /// What was done to what, for a person; no trailing period, no secrets.
    public var message: String
    /// What a lower module said, if there is more to know.
    public var cause: (any Error)?

    /// An error of a kind, with a sentence.
    public init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    /// Code, sentence and cause in one line.
    public var description: String {
        "\(code): \(message)" + (cause.map { " (\($0))" } ?? "")
    }

    /// The kinds of failure. A struct, so that kinds can be added without breaking a `switch` elsewhere.
    public struct Code: Hashable, Sendable, CustomStringConvertible, CaseIterable {
        private enum Value: String, CaseIterable {
            case notFound, blobUnknown, manifestUnknown, repositoryUnknown, uploadUnknown, bucketUnknown
            case manifestBlobUnknown, manifestInvalid, nameInvalid, digestInvalid, digestMismatch, sizeMismatch
            case rangeNotSatisfiable, offsetMismatch, uploadBusy, invalidArgument, tooLarge, preconditionFailed
            case corrupted, outOfSpace, poisoned, readOnly, inUse, notAStore, unsupported, io, cancelled
        }
        private let value: Value

        /// A thing that none of the more exact codes names is not there.
        public static let notFound = Code(value: .notFound)
        /// No such blob in that repository.
        public static let blobUnknown = Code(value: .blobUnknown)
        /// No such manifest or tag in that repository.
        public static let manifestUnknown = Code(value: .manifestUnknown)
        /// No such repository.
        public static let repositoryUnknown = Code(value: .repositoryUnknown)
        /// No such upload in that repository.
        public static let uploadUnknown = Code(value: .uploadUnknown)
        /// No such bucket.
        public static let bucketUnknown = Code(value: .bucketUnknown)
        /// A manifest names a blob or manifest that the repository does not hold.
        public static let manifestBlobUnknown = Code(value: .manifestBlobUnknown)
        /// A manifest that can not be understood or contradicts itself.
        public static let manifestInvalid = Code(value: .manifestInvalid)
        /// A repository name or a tag outside the grammar.
        public static let nameInvalid = Code(value: .nameInvalid)
        /// A digest outside the grammar or of an algorithm not supported.
        public static let digestInvalid = Code(value: .digestInvalid)
        /// The bytes do not have the digest that was promised for them.
        public static let digestMismatch = Code(value: .digestMismatch)
        /// The bytes do not have the length that was promised for them.
        public static let sizeMismatch = Code(value: .sizeMismatch)
        /// A byte range outside the object (RFC 9110, section 15.5.17).
        public static let rangeNotSatisfiable = Code(value: .rangeNotSatisfiable)
        /// A piece of an upload that does not begin where the upload ends.
        public static let offsetMismatch = Code(value: .offsetMismatch)
        /// Another request is writing to the same upload.
        public static let uploadBusy = Code(value: .uploadBusy)
        /// A parameter outside what is allowed.
        public static let invalidArgument = Code(value: .invalidArgument)
        /// More bytes than a bound allows.
        public static let tooLarge = Code(value: .tooLarge)
        /// What is there is not what the caller made the write depend on (RFC 9110, section 15.5.13).
        public static let preconditionFailed = Code(value: .preconditionFailed)
        /// Bytes on disk are not what they were when they were written.
        public static let corrupted = Code(value: .corrupted)
        /// The disk, the quota or the index map is full.
        public static let outOfSpace = Code(value: .outOfSpace)
        /// An earlier write failed, so nothing is written until the store is opened again; reads go on.
        public static let poisoned = Code(value: .poisoned)
        /// The store was opened for reading only.
        public static let readOnly = Code(value: .readOnly)
        /// Another process holds the store, or the object is held by a reference.
        public static let inUse = Code(value: .inUse)
        /// There is no store there.
        public static let notAStore = Code(value: .notAStore)
        /// Not done by this version.
        public static let unsupported = Code(value: .unsupported)
        /// The operating system refused.
        public static let io = Code(value: .io)
        /// The caller went away, or the store is closing.
        public static let cancelled = Code(value: .cancelled)

        /// Every code, for the tests that walk the front ends' tables.
        public static var allCases: [Code] { Value.allCases.map(Code.init(value:)) }
        /// The code's name.
        public var description: String { value.rawValue }
    }

    /// Whether trying the same again can not help.
    public var isPermanent: Bool {
        switch code {
        case .io, .outOfSpace, .uploadBusy, .inUse, .cancelled, .poisoned: false
        default: true
        }
    }
}
