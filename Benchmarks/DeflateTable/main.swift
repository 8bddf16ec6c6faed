// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

//  deflate-table FILE...            a table of gzip files, and one of zstd files: encoder found, cost, speed, exactness
//  deflate-table race FILE [COMMAND...]
//                                   encoders against their rebuild, over the plain FILE. A command compresses its standard
//                                   input to its standard output; without any, those of this machine are run.

let arguments = Array(CommandLine.arguments.dropFirst())
if arguments.first == "race", arguments.count > 1 {
    try Race(file: arguments[1]).run(arguments.count > 2 ? Array(arguments[2...]) : Race.commands)
} else {
    let zstd = arguments.filter { readFile($0, most: 4)?.elementsEqual([0x28, 0xb5, 0x2f, 0xfd]) == true }
    let gzip = arguments.filter { !zstd.contains($0) }
    if !gzip.isEmpty { try printTable(gzip) }
    if !zstd.isEmpty { try printZstdTable(zstd) }
}
