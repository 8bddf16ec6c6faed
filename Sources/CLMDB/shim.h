// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors
#pragma once
#include <lmdb.h>
