//===- TopK.cpp - The K experts with the largest scores --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// #moe.top_k, and the ordered selection that other policies build on.
//
// Scores become signed integers with the same order (rule M1), so that one
// integer maximum decides between numbers, infinities and NaN alike. Each of K
// rounds takes the largest key and the lowest index that has it, and blanks it.
// There is no branch on data anywhere.
//
//===----------------------------------------------------------------------===//

#include "moe/Moe.h"

#include "mlir/IR/ImplicitLocOpBuilder.h"

#include <limits>

using namespace mlir;
using namespace moe;

/// More rounds than this become a loop instead of straight-line code.
static constexpr int64_t kMostUnrolledRounds = 16;

static Value buildIntSplat(ImplicitLocOpBuilder &b, VectorType type,
                           int64_t value) {
  return arith::ConstantOp::create(
      b, SplatElementsAttr::get(
             type, b.getIntegerAttr(type.getElementType(), value)));
}

/// Turns floats into integers of the same width and order: -0 equals +0, and
/// NaN is below -infinity but above `blank`.
static Value buildSortKeys(ImplicitLocOpBuilder &b, Value scores,
                           int64_t &blank) {
  auto type = cast<VectorType>(scores.getType());
  unsigned width = type.getElementTypeBitWidth();
  VectorType keyType = type.clone(b.getIntegerType(width));
  blank = width == 64 ? std::numeric_limits<int64_t>::min()
                      : std::numeric_limits<int32_t>::min();
  // -0 + 0 is +0; everything else stays as it is.
  Value zero = buildFloatConstant(b, b.getLoc(), type, 0.0);
  Value sum = arith::AddFOp::create(b, scores, zero);
  Value bits = arith::BitcastOp::create(b, keyType, sum);
  // Two's complement orders positive floats; negative ones need all bits but
  // the sign flipped.
  Value sign =
      arith::ShRSIOp::create(b, bits, buildIntSplat(b, keyType, width - 1));
  Value flip =
      arith::AndIOp::create(b, sign, buildIntSplat(b, keyType, ~blank));
  Value keys = arith::XOrIOp::create(b, bits, flip);
  Value isNaN = arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, sum, sum);
  return arith::SelectOp::create(b, isNaN, buildIntSplat(b, keyType, blank + 1),
                                 keys);
}

Value moe::buildTopK(OpBuilder &builder, Location loc, Value scores,
                     int64_t k) {
  ImplicitLocOpBuilder b(loc, builder);
  auto type = cast<VectorType>(scores.getType());
  int64_t numExperts = type.getNumElements();
  int64_t blank;
  Value keys = buildSortKeys(b, scores, blank);
  auto keyType = cast<VectorType>(keys.getType());
  VectorType indexType = type.clone(b.getI32Type());
  VectorType resultType = VectorType::get(k, b.getI32Type());

  SmallVector<int32_t> ids(numExperts);
  std::iota(ids.begin(), ids.end(), 0);
  Value iota = arith::ConstantOp::create(
      b, DenseElementsAttr::get(indexType, ArrayRef(ids)));
  Value none = buildIntSplat(b, indexType, numExperts);
  Value blanks = buildIntSplat(b, keyType, blank);
  Value result = buildIntSplat(b, resultType, -1);

  // One round: returns the winner and updates `keys`.
  auto round = [&](ImplicitLocOpBuilder &b, Value &keys) -> Value {
    Value best =
        vector::ReductionOp::create(b, vector::CombiningKind::MAXSI, keys);
    Value isBest =
        arith::CmpIOp::create(b, arith::CmpIPredicate::eq, keys,
                              vector::BroadcastOp::create(b, keyType, best));
    Value candidates = arith::SelectOp::create(b, isBest, iota, none);
    Value winner = vector::ReductionOp::create(b, vector::CombiningKind::MINSI,
                                               candidates);
    Value isWinner = arith::CmpIOp::create(
        b, arith::CmpIPredicate::eq, iota,
        vector::BroadcastOp::create(b, indexType, winner));
    keys = arith::SelectOp::create(b, isWinner, blanks, keys);
    return winner;
  };

  if (k <= kMostUnrolledRounds) {
    for (int64_t slot = 0; slot < k; ++slot) {
      Value winner = round(b, keys);
      result = vector::InsertOp::create(b, winner, result, slot);
    }
    return result;
  }

  Value begin = arith::ConstantIndexOp::create(b, 0);
  Value end = arith::ConstantIndexOp::create(b, k);
  Value step = arith::ConstantIndexOp::create(b, 1);
  auto loop = scf::ForOp::create(
      b, begin, end, step, ValueRange{keys, result},
      [&](OpBuilder &nested, Location loc, Value slot, ValueRange state) {
        ImplicitLocOpBuilder b(loc, nested);
        Value keys = state[0];
        Value winner = round(b, keys);
        Value result =
            vector::InsertOp::create(b, winner, state[1], OpFoldResult(slot));
        scf::YieldOp::create(b, ValueRange{keys, result});
      });
  return loop.getResult(1);
}

int64_t TopKAttr::getNumSlots(int64_t) const { return getK(); }

LogicalResult
TopKAttr::verifyPolicy(function_ref<InFlightDiagnostic()> emitError,
                       int64_t numExperts) const {
  if (getK() > numExperts)
    return emitError() << "expects #moe.top_k to select at most all "
                       << numExperts << " experts, but it selects " << getK();
  return success();
}

SelectedExperts TopKAttr::buildSelect(OpBuilder &builder, Location loc,
                                      Value scores, ValueRange) const {
  return buildTopK(builder, loc, scores, getK());
}

void TopKAttr::buildSelectLanes(LaneSelection &lanes) const {
  lanes.buildTopK(
      getK(),
      [&](Value expert) {
        return lanes.buildKeys(lanes.load(lanes.scores, expert));
      },
      lanes.indices);
}

void TopKAttr::buildSelectRow(RowSelection &row) const {
  row.buildTopK(
      getK(),
      [&](Value first) { return row.buildKeys(row.load(row.scores, first)); },
      row.indices);
}
