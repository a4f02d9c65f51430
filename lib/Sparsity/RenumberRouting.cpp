//===- RenumberRouting.cpp - Routings of other experts ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "RenumberRouting.h"

#include "RoutingMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace moe;

/// `values` `[T, K]` in the order of `ranks`, which are the numbers 0 to K - 1
/// in each row.
static Value buildPermuted(RoutingMath &m, Value ranks, Value values) {
  OpBuilder &b = m.b;
  MLIRContext *ctx = b.getContext();
  AffineExpr t = b.getAffineDimExpr(0), s = b.getAffineDimExpr(1),
             from = b.getAffineDimExpr(2);
  Value init = m.buildEmpty(getElementTypeOrSelf(values.getType()));
  auto map = [&](AffineExpr slot) {
    return AffineMap::get(3, 0, {t, slot}, ctx);
  };
  return linalg::GenericOp::create(
             b, m.loc, init.getType(), ValueRange{ranks, values},
             ValueRange{init},
             ArrayRef<AffineMap>{map(from), map(from), map(s)},
             ArrayRef<utils::IteratorType>{utils::IteratorType::parallel,
                                           utils::IteratorType::parallel,
                                           utils::IteratorType::reduction},
             [](OpBuilder &nb, Location nl, ValueRange args) {
               Value slot = linalg::IndexOp::create(nb, nl, 1);
               slot = arith::IndexCastOp::create(nb, nl, nb.getI32Type(), slot);
               Value isHere = arith::CmpIOp::create(
                   nb, nl, arith::CmpIPredicate::eq, args[0], slot);
               Value value =
                   arith::SelectOp::create(nb, nl, isHere, args[1], args[2]);
               linalg::YieldOp::create(nb, nl, value);
             })
      .getResult(0);
}

/// How many slots of the token have a lower expert, or the same in a lower
/// slot. Unused slots come last.
static Value buildRanks(RoutingMath &m, Value indices) {
  return m.buildPerSlotCount(
      indices,
      [](OpBuilder &nb, Location nl, Value own, Value other,
         Value isBefore) -> Value {
        // As unsigned numbers, -1 is above all.
        Value less = arith::CmpIOp::create(nb, nl, arith::CmpIPredicate::ult,
                                           other, own);
        Value same =
            arith::CmpIOp::create(nb, nl, arith::CmpIPredicate::eq, other, own);
        Value tie = arith::AndIOp::create(nb, nl, same, isBefore);
        return arith::OrIOp::create(nb, nl, less, tie);
      });
}

Value moe::buildRenumbered(OpBuilder &b, Location loc, Value routing,
                           ArrayRef<int64_t> table, int64_t experts,
                           bool byExpert) {
  RoutingMath m(b, loc, routing);
  Value indices = m.getIndices(), weights = m.getWeights();
  if (byExpert && m.slots > 1) {
    Value ranks = buildRanks(m, indices);
    indices = buildPermuted(m, ranks, indices);
    weights = buildPermuted(m, ranks, weights);
  }
  SmallVector<int32_t> numbers(table.begin(), table.end());
  bool drops = llvm::is_contained(numbers, -1);
  auto type = RankedTensorType::get({int64_t(table.size())}, b.getI32Type());
  Value numbersOf = arith::ConstantOp::create(
      b, loc, DenseElementsAttr::get(type, ArrayRef(numbers)));
  Value now = m.buildElementwise(
      indices, b.getI32Type(),
      [&](OpBuilder &nb, Location nl, ValueRange args) -> Value {
        Value zero = arith::ConstantOp::create(nb, nl, nb.getI32IntegerAttr(0));
        Value isUsed = arith::CmpIOp::create(nb, nl, arith::CmpIPredicate::sge,
                                             args[0], zero);
        Value place = arith::MaxSIOp::create(nb, nl, args[0], zero);
        place = arith::IndexCastOp::create(nb, nl, nb.getIndexType(), place);
        Value number = tensor::ExtractOp::create(nb, nl, numbersOf, place);
        return arith::SelectOp::create(nb, nl, isUsed, number, args[0]);
      });
  if (drops)
    weights = m.buildKept(now, weights);
  // A routing has no more slots than experts: those that are used come first.
  if (m.slots > experts) {
    Value ranks = buildRanks(m, now);
    now = m.buildFirstSlots(buildPermuted(m, ranks, now), experts);
    weights = m.buildFirstSlots(buildPermuted(m, ranks, weights), experts);
  }
  auto to =
      RoutingType::get(b.getContext(), experts, std::min(m.slots, experts));
  return RoutingMakeOp::create(b, loc, to, now, weights, /*trusted=*/true);
}

Value moe::buildJoined(OpBuilder &b, Location loc, Value routing,
                       ArrayRef<int64_t> now, SmallVectorImpl<int64_t> &kept,
                       bool byExpert) {
  int64_t experts = now.size(), spare = 0;
  for (int64_t e = 0; e < experts; ++e)
    spare -= now[e] == e;
  spare += cast<RoutingType>(routing.getType()).getSlots();
  SmallVector<int64_t> table;
  for (int64_t e = 0; e < experts; ++e) {
    if (now[e] == e || spare-- > 0)
      kept.push_back(e);
    table.push_back(llvm::lower_bound(kept, now[e]) - kept.begin());
  }
  return buildRenumbered(b, loc, routing, table, kept.size(), byExpert);
}
