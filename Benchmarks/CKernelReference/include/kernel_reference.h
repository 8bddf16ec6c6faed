// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors
//
// What our cutter is measured against: FastCDC with a gear hash, byte after byte, as fast as we could write it. All three
// loops cut at the same places.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// As in `varve_cut_limits`: two bits more than log2(average) must be zero before the average, two less after it.
typedef struct {
    size_t minimum, average, maximum;
} gear_limits;

/// One byte a step, one test a byte.
size_t gear_cut_one(gear_limits limits, const uint8_t *data, size_t length);
/// Two bytes a step; the first of them is looked up in a table of doubled values.
size_t gear_cut_two(gear_limits limits, const uint8_t *data, size_t length);
/// Eight bytes with one load, the steps unrolled.
size_t gear_cut_eight(gear_limits limits, const uint8_t *data, size_t length);
