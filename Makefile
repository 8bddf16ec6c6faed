# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: Varve contributors
#
# make demo   two versions of a small real image through an unmodified client and back, byte for byte
# make test   everything that must hold before a change may land: packages, layout of the source, build, tests
# make fuzz   coverage-guided runs over what reads gzip and zstd files and plans, FUZZ_SECONDS=60 each

SWIFT ?= swift
# How many files the compiler works on at once; empty lets SwiftPM decide.
JOBS ?=
# More arguments for `swift test`, for instance TESTFLAGS='--filter VarveCodecTests'.
TESTFLAGS ?=

# What the C wrappers link with, and what SwiftPM needs to fetch packages and find those libraries.
LIBRARIES := liblmdb-dev libzstd-dev libssl-dev zlib1g-dev
TOOLS := git ca-certificates pkg-config

# Tests that run at once. Without a limit all of them do, and what waits for a time limit of its own is starved.
# Swift before 6.3 does not know the option.
WIDTH = $(shell $(SWIFT) test --help-hidden 2>&1 | grep -q -e --experimental-maximum-parallelization-width && echo --experimental-maximum-parallelization-width 3)

# A module may import only what Package.swift lists for it.
BUILDFLAGS := --explicit-target-dependency-import-check error $(if $(JOBS),-j $(JOBS))

LINTED := Package.swift $(wildcard Sources Tests Benchmarks)

# Tests, and nothing else, are built with the modules optimised that Package.swift says.
test build-tests: export VARVE_OPTIMIZED_KERNELS := 1

# Seconds of each coverage-guided run of `make fuzz`.
FUZZ_SECONDS ?= 60

.PHONY: help test demo fuzz packages lint build-tests release clean
.NOTPARALLEL:
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# make /make /p' Makefile

test: packages lint build-tests
	$(SWIFT) test --skip-build $(WIDTH) $(BUILDFLAGS) $(TESTFLAGS)

demo:
	@.ci/demo

fuzz: packages
	.ci/fuzz deflate $(FUZZ_SECONDS)
	.ci/fuzz zstd $(FUZZ_SECONDS)

packages:
	@.ci/install-packages $(TOOLS) $(LIBRARIES)

lint:
	$(SWIFT) format lint --strict --recursive --parallel $(LINTED)

build-tests: packages
	$(SWIFT) build --build-tests $(BUILDFLAGS)

release: packages
	$(SWIFT) build -c release --product varve $(BUILDFLAGS)

clean:
	rm -rf .build .build-fuzz .demo
