//===- PackRouting.h - From chosen experts to lists ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Counting, prefix sums and packing. The lists are in canonical order, by
// expert and then by token, without sorting and without atomics.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_TARGET_CPU_KERNELS_PACKROUTING_H
#define MOE_LIB_TARGET_CPU_KERNELS_PACKROUTING_H

#include "moe-mlir/Target/Lanes/Emitter.h"
#include "moe_cpu/MoeCpu.h"

namespace moe {

/// Whether `output` is a buffer of the function that nothing but the op that
/// writes it uses.
bool isUnread(mlir::Value output);

/// Keeps the first `capacity` arrivals of each expert, slot by slot and inside
/// a slot token by token, among the first `limited` slots.
void emitCapacity(Emitter &e, const moek::RoutingParts &out, int64_t experts,
                  int64_t limited, int64_t capacity);

/// Builds everything else from indices and weights `[T, K]`. Indices outside
/// of [0, E) are unused slots.
void emitPackLists(Emitter &e, const moek::RoutingParts &out, int64_t experts,
                   int64_t slots);

/// Builds offsets, active and tokens from the words `bits` `[E, blocks]` of
/// `lanes` tokens each. `tokens` has room for 64 more entries than there are
/// assignments.
void emitPackBits(Emitter &e, const moek::RoutingParts &out, mlir::Value bits,
                  mlir::Value tokens, int64_t experts, int64_t lanes,
                  moecpu::PackBy by);

/// Builds positions and row weights from indices, weights and offsets.
void emitPositions(Emitter &e, const moek::RoutingParts &out, int64_t experts,
                   int64_t slots);

/// The assignments that every token has, of `token`.
void emitAlways(Emitter &e, moek::RouteOp op, mlir::Value token);

/// Whether moek.route, all of whose regions have a form in lanes, can route
/// tokens one after another.
bool canRouteRows(moek::RouteOp op);
/// Scores, selects and weighs one token, its experts in lanes; `logits` may be
/// null.
void emitRouteRow(Emitter &e, moek::RouteOp op, mlir::Value logits,
                  mlir::Value token);

/// moek.route for policies without a form in lanes.
mlir::LogicalResult emitRouteTokens(Emitter &e, moek::RouteOp op,
                                    mlir::Value logits);

} // namespace moe

#endif // MOE_LIB_TARGET_CPU_KERNELS_PACKROUTING_H
