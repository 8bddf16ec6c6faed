// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

internal import CLMDB
internal import Glibc

/// Commits what many threads want to write in few transactions.
///
/// A commit costs two waits for the disk, whatever is in it. So one thread takes all bodies that wait, runs each in a
/// transaction nested in one, commits that one, and then answers all of them; bodies that come meanwhile are the next
/// batch. A body that throws leaves no trace, and only its caller hears of it.
///
/// Order: bodies → journal records of all of them, `fdatasync` → commit of the index → answers. If the journal or the
/// commit fails, in whatever way, nothing of the batch is acknowledged and nothing is written any more
/// (`IndexError.isPoisoned`): neither the kernel nor LMDB remembers that an earlier write was lost.
///
/// Bodies run on the committer's thread, one after the other, and once more from the start if the map was full: they
/// change nothing but their transaction, and wait for nothing. Every waiting body has a caller that waits, so the queue
/// is bounded by the callers.
package final class Committer: @unchecked Sendable {  // the queue is guarded by `monitor`
    /// How much has been done.
    package struct Statistics: Sendable, Equatable {
        /// Commits of the index.
        package var commits: UInt64 = 0
        /// Bodies in them.
        package var bodies: UInt64 = 0
        /// Times that a batch had to run again because the map was full.
        package var repeats: UInt64 = 0
    }

    /// A body and whom to answer.
    struct Item {
        let body: (borrowing WriteTransaction) throws -> Void
        let completion: ((any Error)?) -> Void
    }

    let environment: IndexEnvironment
    let journal: Journal?
    /// What a commit answers instead of being tried: for tests.
    let commitFault: (@Sendable () -> Int32)?

    private let monitor = Monitor()
    private var waiting: [Item] = []
    private var isClosing = false
    private var hasEnded = false
    private var counts = Statistics()
    private var thread: pthread_t?

    /// Bodies in a batch, at most.
    private static let batchMax = 512

    /// Starts the thread. The journal and the index are put together first: see `Journal`.
    /// - Throws: `journalAhead` if the index is older than the journal; what opening the journal failed with.
    package convenience init(environment: IndexEnvironment, journal: Journal?) throws(IndexError) {
        try self.init(environment: environment, journal: journal, commitFault: nil)
    }

    init(
        environment: IndexEnvironment, journal: Journal?, commitFault: (@Sendable () -> Int32)?
    ) throws(IndexError) {
        try environment.checkWritable()
        try journal?.attach(to: environment)
        self.environment = environment
        self.journal = journal
        self.commitFault = commitFault
        try CommitterThread.start(self)
    }

    /// Takes no more bodies, runs those that wait, and ends the thread. A second call waits for the same.
    package func close() {
        monitor.lock()
        isClosing = true
        monitor.wakeAll()
        while !hasEnded { monitor.wait() }
        monitor.unlock()
    }

    /// How much has been done so far.
    package var statistics: Statistics { monitor.locked { counts } }

    // MARK: Asking for a commit

    /// Adds a body to the next batch; `completion` is called when it is durable, or with the error, on the committer's
    /// thread, where it must not block.
    package func enqueue(
        _ body: @escaping @Sendable (borrowing WriteTransaction) throws -> Void,
        completion: @escaping @Sendable ((any Error)?) -> Void
    ) {
        add(Item(body: body, completion: completion))
    }

    private func add(_ item: Item) {
        let isRefused = monitor.locked {
            if isClosing { return true }
            waiting.append(item)
            if waiting.count == 1 { monitor.wakeAll() }
            return false
        }
        if isRefused { item.completion(IndexError(.closed, call: "committer")) }
    }

    /// Runs `body` in the next batch and returns when it is durable; blocks the calling thread.
    ///
    /// Not to be called from a body, nor inside a read: either would wait for itself. `body` runs on another thread while
    /// this one waits, so it is not to be written where it would belong to an actor: the runtime stops the process.
    @discardableResult
    package func commit<Value>(_ body: (borrowing WriteTransaction) throws -> Value) throws -> Value {
        precondition(environment.readDepth.current == 0, "a commit inside a read could wait for itself")
        precondition(!isCommitterThread, "a commit inside a body waits for itself")
        let answer = Answer<Value>()
        // The body only seems to escape: the committer's thread lets go of it before it wakes this one.
        try withoutActuallyEscaping(body) { body in
            answer.body = body
            add(
                Item(
                    body: { (transaction) in answer.value = try answer.body?(transaction) },
                    completion: { error in answer.end(error) }))
            if let error = answer.wait() { throw error }
        }
        guard let value = answer.value else { throw IndexError(.closed, call: "committer") }
        return value
    }

    /// Runs `body` in the next batch; returns when it is durable.
    @discardableResult
    package func submit<Value: Sendable>(
        _ body: @escaping @Sendable (borrowing WriteTransaction) throws -> Value
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            let answer = Answer<Value>()
            add(
                Item(
                    body: { (transaction) in answer.value = try body(transaction) },
                    completion: { error in
                        if let error {
                            continuation.resume(throwing: error)
                        } else if let value = answer.value {
                            continuation.resume(returning: value)
                        } else {
                            continuation.resume(throwing: IndexError(.closed, call: "committer"))
                        }
                    }))
        }
    }

    // MARK: The thread

    private var isCommitterThread: Bool {
        guard let thread = monitor.locked({ thread }) else { return false }
        return pthread_equal(thread, pthread_self()) != 0
    }

    fileprivate func run() {
        monitor.locked { thread = pthread_self() }
        while let batch = nextBatch() {
            var rest = batch[...]
            while !rest.isEmpty {
                let errors = commit(Array(rest))
                for (item, error) in zip(rest, errors) { item.completion(error) }
                rest = rest.dropFirst(errors.count)
            }
        }
        monitor.locked {
            hasEnded = true
            thread = nil
            monitor.wakeAll()
        }
    }

    private func nextBatch() -> [Item]? {
        monitor.locked {
            while waiting.isEmpty && !isClosing { monitor.wait() }
            if waiting.isEmpty { return nil }
            let batch = Array(waiting.prefix(Committer.batchMax))
            waiting.removeFirst(batch.count)
            return batch
        }
    }

    func count(bodies: Int, repeats: UInt64) {
        monitor.locked {
            counts.commits &+= 1
            counts.bodies &+= UInt64(bodies)
            counts.repeats &+= repeats
        }
    }
}

/// What a caller waits for.
private final class Answer<Value>: @unchecked Sendable {  // handed from thread to thread under the monitor
    private let monitor = Monitor()
    private var isDone = false
    private var error: (any Error)?
    var value: Value?
    var body: ((borrowing WriteTransaction) throws -> Value)?

    func end(_ error: (any Error)?) {
        body = nil
        monitor.locked {
            self.error = error
            isDone = true
            monitor.wakeAll()
        }
    }

    func wait() -> (any Error)? {
        monitor.locked {
            while !isDone { monitor.wait() }
            return error
        }
    }
}

/// The committer's thread. It keeps the committer alive: only `close()` ends it.
private enum CommitterThread {
    static func start(_ committer: Committer) throws(IndexError) {
        var thread = pthread_t()
        let argument = Unmanaged.passRetained(committer)
        let code = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Committer>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, argument.toOpaque())
        guard code == 0 else {
            argument.release()
            throw IndexError(.returnCode(code), call: "pthread_create")
        }
        pthread_detach(thread)
    }
}
