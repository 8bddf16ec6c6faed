// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors

/// Varve as a library: a layer-deduplicating, content-addressed store that gives back the very bytes it was given.
@_exported public import VarveDrivers
@_exported public import VarveEngine
@_exported public import VarveModel
