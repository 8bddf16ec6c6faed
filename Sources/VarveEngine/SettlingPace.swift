// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import Synchronization
import VarveModel

/// Keeps settling out of the way of requests.
///
/// A low priority is not enough: where cores are few, a thread that only takes what others leave still takes caches,
/// memory bandwidth and the disk from them. So while the process serves, the thread that settles works a tenth of the
/// time, and all of it again when nothing was served for a moment. A tenth is enough for a queue to get shorter in the
/// end, and too little to be felt.
///
/// Serving is measured by what the process's other threads take of the processors: that needs nobody's help, finds bytes
/// that the kernel sends by itself, and takes a client that sends slowly for what it is, next to nothing.
final class SettlingPace: @unchecked Sendable {  // for the one thread that settles
    /// Times in nanoseconds.
    struct Clock {
        /// Of a clock that only goes forward.
        var now: () -> UInt64
        /// Processor time of the process.
        var process: () -> UInt64
        /// Of that, the time of all threads that settle and compress.
        var background: () -> UInt64
        var sleep: (UInt64) -> Void
    }

    private let clock: Clock
    /// Nanoseconds of others' processor time in a second from which on they count as serving.
    private let busyShare: UInt64
    private let isHurried: @Sendable () -> Bool
    private let isStopped: @Sendable () -> Bool
    private var last: (now: UInt64, others: UInt64)?
    /// When others were last seen at work.
    private var served: UInt64?

    /// Shorter pieces of work than this are not looked at.
    private static let measured: UInt64 = 5_000_000
    private static let nap: UInt64 = 10_000_000
    /// Requests are over when nothing was served for so long. A registry in front of this one works between its requests,
    /// and what it needs then is not to be taken from it either.
    private static let quiet: UInt64 = 1_000_000_000
    /// Rest for each nanosecond of work.
    private static let restFactor: UInt64 = 9
    private static let restMax: UInt64 = 2_000_000_000

    /// - Parameters:
    ///   - cores: Where there are more than two, a quarter of the others may be busy before settling is felt.
    ///   - isHurried: Whether somebody waits for what the thread does.
    ///   - isStopped: Whether nobody wants it any more.
    init(
        cores: Int, clock: Clock = .system, isStopped: @escaping @Sendable () -> Bool = { false },
        isHurried: @escaping @Sendable () -> Bool
    ) {
        self.clock = clock
        self.isHurried = isHurried
        self.isStopped = isStopped
        busyShare = max(20_000_000, UInt64(max(0, cores - 2)) * 250_000_000)
    }

    /// Called between pieces of work of some milliseconds; rests if others are served.
    /// - Throws: `cancelled` if the work is to end here.
    func breathe() throws(VarveError) {
        rest()
        if isStopped() { throw VarveError(.cancelled, "settling ends: the store is being closed") }
    }

    private func rest() {
        guard !isHurried() else { return last = nil }
        let others = self.others
        let now = clock.now()
        guard let last else { return self.last = (now, others) }
        let worked = now &- last.now
        guard worked >= Self.measured else { return }
        self.last = (now, others)
        if isBusy(others &- last.others, in: worked) { served = now }
        guard let served, now &- served < Self.quiet else { return }
        rest(for: min(worked &* Self.restFactor, Self.restMax))
    }

    private func rest(for time: UInt64) {
        guard var last else { return }
        let start = last.now
        while !isHurried() && !isStopped() {
            clock.sleep(Self.nap)
            let (now, others) = (clock.now(), self.others)
            if isBusy(others &- last.others, in: now &- last.now) { served = now }
            last = (now, others)
            if now &- start >= time || now &- (served ?? start) >= Self.quiet { break }
        }
        self.last = last
    }

    private func isBusy(_ others: UInt64, in time: UInt64) -> Bool {
        // The clocks are not read at one moment: a difference may be just below zero.
        others <= UInt64(Int64.max) && others >= time / 1_000_000 * (busyShare / 1000)
    }

    private var others: UInt64 { clock.process() &- clock.background() }
}

extension SettlingPace.Clock {
    static var system: Self {
        Self(
            now: { nanoseconds(CLOCK_MONOTONIC) }, process: { nanoseconds(CLOCK_PROCESS_CPUTIME_ID) },
            background: {
                BackgroundTime.note()
                return BackgroundTime.total
            },
            sleep: { usleep(UInt32(clamping: $0 / 1000)) })
    }
}

/// Processor time of the threads that settle and compress, of all stores in the process.
enum BackgroundTime {
    private static let sum = Atomic<UInt64>(0)

    static var total: UInt64 { sum.load(ordering: .relaxed) }

    /// Adds what the calling thread has taken since it called last. For threads that do nothing else.
    static func note() {
        let now = nanoseconds(CLOCK_THREAD_CPUTIME_ID)
        sum.wrappingAdd(now &- noted, ordering: .relaxed)
        noted = now
    }

    /// What the calling thread has added, in a place of its own.
    private static var noted: UInt64 {
        get { UInt64(UInt(bitPattern: pthread_getspecific(key))) }
        set { pthread_setspecific(key, UnsafeRawPointer(bitPattern: UInt(newValue))) }
    }

    private static let key: pthread_key_t = {
        var key = pthread_key_t()
        pthread_key_create(&key, nil)
        return key
    }()
}

private func nanoseconds(_ clock: clockid_t) -> UInt64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return UInt64(clamping: time.tv_sec) &* 1_000_000_000 &+ UInt64(clamping: time.tv_nsec)
}
