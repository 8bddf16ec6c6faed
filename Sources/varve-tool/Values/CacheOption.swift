// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

import ArgumentParser
import VarveEngine

/// The hot cache's budget as people write it: `10%` of what settled blobs were pushed with, a size, or `0` for none.
struct CacheOption: Hashable, Sendable, ExpressibleByArgument, CustomStringConvertible {
    var budget: StoreSettings.CacheBudget

    init(_ budget: StoreSettings.CacheBudget) { self.budget = budget }

    init?(argument: String) {
        if argument.hasSuffix("%") {
            guard let percent = Int(argument.dropLast()), (0...1000).contains(percent) else { return nil }
            budget = .percentOfSettled(percent)
        } else {
            guard let size = ByteSize(argument) else { return nil }
            budget = .bytes(size.bytes)
        }
    }

    var description: String {
        switch budget {
        case .percentOfSettled(let percent): "\(percent)%"
        case .bytes(let bytes): ByteSize(bytes).description
        }
    }

    var defaultValueDescription: String { description }
}
