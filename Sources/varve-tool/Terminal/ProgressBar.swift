// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import Glibc
import Synchronization
import VarveEngine

/// How far something has come.
struct ProgressStep: Sendable {
    /// What is being done, in two or three words.
    var activity: String
    /// Bytes done.
    var done: UInt64
    /// Bytes in all, 0 if not known.
    var total: UInt64
}

/// A line on standard error that shows how far long work has come; silent unless standard error is a terminal.
///
/// Fed from any thread, drawn at most ten times a second, and wiped away by `finish()`: results are on standard output and
/// nothing of the bar stays on the screen.
final class ProgressBar: Sendable {
    private struct State {
        var isDrawn = false
        var lastDrawn: ContinuousClock.Instant?
        var meter = RateMeter()
    }

    private let state = Mutex(State())
    private let isEnabled: Bool
    private let clock = ContinuousClock()

    /// A bar for the terminal, if there is one and it can move the cursor.
    init(isEnabled: Bool = isatty(2) == 1 && getenv("TERM").map { strcmp($0, "dumb") != 0 } ?? true) {
        self.isEnabled = isEnabled
    }

    /// Shows `progress`, if the last drawing is long enough ago.
    func update(_ progress: ProgressStep) {
        guard isEnabled else { return }
        let now = clock.now
        state.withLock { state in
            state.meter.add(activity: progress.activity, done: progress.done, at: now)
            if let last = state.lastDrawn, now - last < .milliseconds(100) { return }
            state.lastDrawn = now
            state.isDrawn = true
            let line = ProgressLine(
                progress, bytesPerSecond: state.meter.bytesPerSecond, width: Self.columns)
            Self.emit("\r\u{1B}[K" + line.text)
        }
    }

    /// Wipes the bar away; a later update draws it again.
    func finish() {
        guard isEnabled else { return }
        state.withLock { state in
            if state.isDrawn { Self.emit("\r\u{1B}[K") }
            state = State()
        }
    }

    /// The closure that the engine's long operations take.
    var sink: @Sendable (VarveEngine.Progress) -> Void {
        { self.update(ProgressStep(activity: $0.activity, done: $0.done, total: $0.total)) }
    }

    private static func emit(_ text: String) {
        let bytes = Array(text.utf8)
        _ = bytes.withUnsafeBytes { Glibc.write(2, $0.baseAddress, $0.count) }
    }

    private static var columns: Int {
        var size = winsize()
        guard ioctl(2, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }
}

/// Bytes a second over the last few seconds, so that the figure follows a change of pace without jumping about.
struct RateMeter {
    private var activity = ""
    private var samples: [(instant: ContinuousClock.Instant, done: UInt64)] = []

    init() {}

    /// Notes that `done` bytes of `activity` are done; another activity, or less than before, begins anew.
    mutating func add(activity: String, done: UInt64, at instant: ContinuousClock.Instant) {
        if activity != self.activity || done < samples.last?.done ?? 0 {
            samples.removeAll()
            self.activity = activity
        }
        if let last = samples.last, instant - last.instant < .milliseconds(100), samples.count > 1 {
            samples[samples.count - 1].done = done
        } else {
            samples.append((instant, done))
        }
        while samples.count > 2, instant - samples[1].instant > .seconds(5) { samples.removeFirst() }
    }

    /// nil until there is something to reckon from.
    var bytesPerSecond: Double? {
        guard let first = samples.first, let last = samples.last else { return nil }
        let span = (last.instant - first.instant).components
        let seconds = Double(span.seconds) + Double(span.attoseconds) / 1e18
        guard seconds >= 0.2, last.done > first.done else { return nil }
        return Double(last.done - first.done) / seconds
    }
}

/// One drawing of the bar.
struct ProgressLine {
    let text: String

    /// `settling  [=====>     ]  43 %  512.3 MB of 1.2 GB  310.0 MB/s  ETA 0:02`, cut to `width` columns; without a total
    /// there is no bar, share or remaining time.
    init(_ progress: ProgressStep, bytesPerSecond: Double?, width: Int) {
        var tail = "  \(Units.bytes(progress.done))"
        let isBounded = progress.total > 0
        let done = isBounded ? min(progress.done, progress.total) : progress.done
        if isBounded { tail += " of \(Units.bytes(progress.total))" }
        if let rate = bytesPerSecond, rate >= 1, rate < 1e15 {
            tail += "  \(Units.decimal(rate / 1e6, digits: 1)) MB/s"
            if isBounded {
                let left = (Double(progress.total - done) / rate).rounded(.up)
                if left < 360_000 { tail += "  ETA \(Units.clock(seconds: UInt64(left)))" }
            }
        }
        var line = progress.activity
        if isBounded {
            let share = Double(done) / Double(progress.total)
            let percent = String(Int(share * 100))
            let label = "  \(String(repeating: " ", count: max(0, 3 - percent.count)))\(percent) %"
            let room = min(40, width - 1 - line.count - label.count - tail.count - 4)
            if room >= 10 {
                let filled = Int(share * Double(room))
                let head = filled < room ? ">" : ""
                let bar =
                    String(repeating: "=", count: filled) + head
                    + String(repeating: " ", count: room - filled - head.count)
                line += "  [\(bar)]"
            }
            line += label
        }
        line += tail
        text = String(line.prefix(max(1, width - 1)))
    }
}
