// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors
import PackageDescription

/// Every Swift target of ours is built the same way: Swift 6 mode, warnings are errors, and a dependency shows in our
/// API only where `public import` says so.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

/// The modules whose work is arithmetic over every byte are optimised in debug builds too when
/// `VARVE_OPTIMIZED_KERNELS` is set, as `make test` does: their tests take minutes otherwise. What traps still does.
let kernels: [SwiftSetting] =
    Context.environment["VARVE_OPTIMIZED_KERNELS"] == nil
    ? strict
    : strict + [.unsafeFlags(["-O", "-whole-module-optimization", "-num-threads", "2"], .when(configuration: .debug))]

/// A module of the product. Dependencies point downwards only; `make test` builds with
/// `--explicit-target-dependency-import-check error`, so an undeclared edge fails.
func module(_ name: String, _ dependencies: [Target.Dependency], _ settings: [SwiftSetting] = strict) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name + "Tests", dependencies: [.byName(name: name)] + dependencies, swiftSettings: strict)
}

let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let concurrencyHelpers: Target.Dependency = .product(name: "NIOConcurrencyHelpers", package: "swift-nio")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let unixSignals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

/// Programs that measure. They join the package only when `VARVE_BENCHMARKS` is set, so that a plain build stays quick.
let benchmarks: [Target] =
    Context.environment["VARVE_BENCHMARKS"] == nil
    ? []
    : [
        .target(name: "CKernelReference", path: "Benchmarks/CKernelReference"),
        .executableTarget(
            name: "kernel-benchmark", dependencies: ["VarveCodec", "CVarveKernels", "CKernelReference", "COpenSSL"],
            path: "Benchmarks/Kernels", swiftSettings: strict),
        .executableTarget(
            name: "settle-benchmark",
            dependencies: ["VarveModel", "VarveCodec", "VarveEngine", "COpenSSL", nioCore, logging],
            path: "Benchmarks/Settle", swiftSettings: strict),
        .executableTarget(
            name: "compare", dependencies: ["VarveRig", arguments], path: "Benchmarks/Compare", swiftSettings: strict),
        .executableTarget(
            name: "s3-sink",
            dependencies: ["VarveHTTP", nioCore, nioHTTP1, concurrencyHelpers, logging],
            path: "Benchmarks/Sink", swiftSettings: strict),
        .executableTarget(
            name: "deflate-table", dependencies: ["VarveDeflate", "VarveZstd"], path: "Benchmarks/DeflateTable",
            swiftSettings: strict),
    ]

let package = Package(
    name: "varve",
    products: [
        .library(name: "Varve", targets: ["Varve"]),
        .executable(name: "varve", targets: ["varve"]),
    ],
    dependencies: [
        // Before 2.100 the HTTP/1 decoder took header blocks without a limit (CVE-2026-28980).
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.100.0"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.5.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.6.0"),
    ],
    targets: [
        // C libraries of the system, one wrapper module each.
        .systemLibrary(name: "CLMDB", pkgConfig: "lmdb", providers: [.apt(["liblmdb-dev"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        // Chunk cutting and SHA-256 lanes: the only C of ours, chosen at run time by what the CPU can do.
        .target(name: "CVarveKernels", dependencies: ["COpenSSL"]),

        module("VarveModel", []),
        module("VarveCodec", ["VarveModel", "CVarveKernels", "CZstd", "CZlib", "COpenSSL"], kernels),
        module("VarveIndex", ["VarveModel", "CVarveKernels", "CLMDB"]),
        module("VarveDrivers", ["VarveModel", "CVarveKernels", nioCore, nioPosix, concurrencyHelpers]),
        module(
            "VarveEngine",
            [
                "VarveModel", "VarveCodec", "VarveDeflate", "VarveZstd", "VarveIndex", "VarveDrivers", nioCore,
                nioPosix,
                concurrencyHelpers, logging,
            ]),
        module("VarveOCI", ["VarveModel"]),
        module("VarveHTTP", ["VarveModel", nioCore, nioPosix, nioHTTP1, logging, lifecycle]),
        module(
            "VarveRegistry",
            ["VarveModel", "VarveEngine", "VarveOCI", "VarveHTTP", nioCore, nioPosix, nioHTTP1, logging, lifecycle]),
        module(
            "VarveS3",
            [
                "VarveModel", "VarveCodec", "VarveDrivers", "VarveHTTP", "COpenSSL", "CZlib", nioCore, nioHTTP1,
                concurrencyHelpers, logging, lifecycle,
            ]),
        module("Varve", ["VarveModel", "VarveDrivers", "VarveEngine"]),
        module("VarveDeflate", [], kernels),
        module("VarveZstd", [], kernels),
        .executableTarget(
            name: "varve",
            dependencies: [
                "VarveModel", "VarveCodec", "VarveDrivers", "VarveEngine", "VarveOCI", "VarveHTTP", "VarveRegistry",
                "VarveS3", nioCore, nioPosix, logging, lifecycle, unixSignals, arguments,
            ],
            path: "Sources/varve-tool", swiftSettings: strict),

        // For tests and benchmarks only.
        module(
            "VarveTestKit", ["VarveModel", "VarveCodec", "VarveDrivers", "VarveEngine", nioCore, concurrencyHelpers]),
        .target(name: "VarveRig", dependencies: ["COpenSSL"], path: "Benchmarks/Rig", swiftSettings: strict),

        tests("VarveModel", []),
        tests("VarveCodec", ["VarveModel", "CVarveKernels", "COpenSSL", "CZlib", "CZstd"]),
        .testTarget(
            name: "VarveDeflateTests", dependencies: ["VarveDeflate"], exclude: ["Fixtures"],
            swiftSettings: strict),
        .testTarget(
            name: "VarveZstdTests", dependencies: ["VarveZstd"], exclude: ["Fixtures"], swiftSettings: strict),
        tests("VarveIndex", ["VarveModel"]),
        tests("VarveDrivers", ["VarveModel", "VarveTestKit", nioCore, concurrencyHelpers]),
        tests(
            "VarveEngine",
            [
                "CZlib", "VarveModel", "VarveCodec", "VarveIndex", "VarveDrivers", "VarveTestKit", nioCore,
                concurrencyHelpers,
                logging,
            ]),
        tests("VarveOCI", ["VarveModel"]),
        tests(
            "VarveS3",
            [
                "VarveModel", "VarveDrivers", "VarveHTTP", nioCore, nioPosix, nioHTTP1, concurrencyHelpers, logging,
            ]),
        tests("VarveHTTP", [nioCore, nioPosix, nioEmbedded, nioHTTP1, logging]),
        tests(
            "VarveRegistry",
            ["VarveModel", "VarveEngine", "VarveOCI", "VarveHTTP", nioCore, nioPosix, nioHTTP1, logging, lifecycle]),
        tests("VarveRig", ["varve"]),
        .testTarget(
            name: "VarveToolTests", dependencies: ["varve", "VarveModel", "VarveEngine", "VarveOCI"],
            swiftSettings: strict),
    ] + benchmarks
)
