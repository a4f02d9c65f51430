//===- Lanes.cpp - Selection for a vector of tokens ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What the policies' lanes forms have in common: the order of scores as
// integers, and the K first of them by insertion.
//
//===----------------------------------------------------------------------===//

#include "moe/Lanes.h"

#include "moe/Moe.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

#include <limits>

using namespace mlir;
using namespace moe;

/// Slots up to which the best so far stay in registers.
static constexpr int64_t kRegisterSlots = 16;

static constexpr int64_t kBlank = std::numeric_limits<int32_t>::min();

Value LaneBuilder::index(int64_t v) {
  return arith::ConstantIndexOp::create(b, v);
}

Value LaneBuilder::f32(double v) {
  return buildFloatConstant(b, b.getLoc(), f32Type(), v);
}

Value LaneBuilder::i32(int64_t v) {
  return arith::ConstantOp::create(
      b, SplatElementsAttr::get(i32Type(), b.getI32IntegerAttr(v)));
}

Value LaneBuilder::splat(Value scalar) {
  return vector::BroadcastOp::create(
      b, VectorType::get({lanes}, scalar.getType()), scalar);
}

Value LaneBuilder::splatIndex(Value index) {
  return splat(arith::IndexCastOp::create(b, b.getI32Type(), index));
}

Value LaneSelection::load(Value memref, Value row) {
  auto type = cast<MemRefType>(memref.getType());
  return vector::LoadOp::create(b,
                                VectorType::get({lanes}, type.getElementType()),
                                memref, ValueRange{row, index(0)});
}

void LaneSelection::store(Value vector, Value memref, Value row) {
  vector::StoreOp::create(b, vector, memref, ValueRange{row, index(0)});
}

Value LaneSelection::scratch(int64_t rows, Type element) {
  return memref::AllocaOp::create(b, MemRefType::get({rows, lanes}, element),
                                  b.getI64IntegerAttr(64));
}

SmallVector<Value> LaneBuilder::loop(int64_t from, int64_t to, ValueRange state,
                                     LoopBody body, int64_t step) {
  auto op = scf::ForOp::create(b, index(from), index(to), index(step), state);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(op.getBody());
  SmallVector<Value> next = body(op.getInductionVar(), op.getRegionIterArgs());
  if (!state.empty())
    scf::YieldOp::create(b, next);
  return llvm::to_vector_of<Value>(op.getResults());
}

Value LaneBuilder::buildKeys(Value scores) {
  // -0 + 0 is +0; everything else stays as it is.
  Value sum = arith::AddFOp::create(b, scores, f32(0.0));
  Value bits = arith::BitcastOp::create(b, i32Type(), sum);
  // Two's complement orders positive floats; negative ones need all bits but
  // the sign flipped.
  Value sign = arith::ShRSIOp::create(b, bits, i32(31));
  Value flip = arith::ShRUIOp::create(b, sign, i32(1));
  Value keys = arith::XOrIOp::create(b, bits, flip);
  Value isNaN = arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, sum, sum);
  return arith::SelectOp::create(b, isNaN, i32(kBlank + 1), keys);
}

Value LaneBuilder::blankKey() { return i32(kBlank); }

Value LaneBuilder::buildScores(Value keys) {
  Value sign = arith::ShRSIOp::create(b, keys, i32(31));
  Value flip = arith::ShRUIOp::create(b, sign, i32(1));
  return arith::BitcastOp::create(b, f32Type(),
                                  arith::XOrIOp::create(b, keys, flip));
}

/// One slot of an insertion: what it holds after the expert with key `x` came.
/// `above` says where x goes before this slot's neighbour already, so that the
/// neighbour moves here. Experts ascend: an equal key stays behind.
static std::pair<Value, Value> insertSlot(LaneSelection &l, Value x, Value e,
                                          Value key, Value id, Value before,
                                          Value keyAbove, Value idAbove,
                                          Value beforeAbove) {
  OpBuilder &b = l.b;
  Location loc = l.b.getLoc();
  auto select = [&](Value c, Value x, Value y) -> Value {
    return arith::SelectOp::create(b, loc, c, x, y);
  };
  Value newKey = x, newId = e;
  if (keyAbove) {
    newKey = select(beforeAbove, keyAbove, x);
    newId = select(beforeAbove, idAbove, e);
  }
  return {select(before, newKey, key), select(before, newId, id)};
}

void LaneSelection::buildTopK(int64_t k, function_ref<Value(Value)> key,
                              Value indices, Value keys) {
  auto isBefore = [&](Value x, Value key) -> Value {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::sgt, x, key);
  };
  if (k <= kRegisterSlots) {
    SmallVector<Value> state(k, blankKey());
    state.append(k, i32(-1));
    state = loop(0, experts, state, [&](Value expert, ValueRange state) {
      Value x = key(expert), e = splatIndex(expert);
      SmallVector<Value> before, next(2 * k);
      for (int64_t j = 0; j < k; ++j)
        before.push_back(isBefore(x, state[j]));
      for (int64_t j = 0; j < k; ++j)
        std::tie(next[j], next[k + j]) = insertSlot(
            *this, x, e, state[j], state[k + j], before[j],
            j ? state[j - 1] : Value(), j ? state[k + j - 1] : Value(),
            j ? before[j - 1] : Value());
      return next;
    });
    for (int64_t j = 0; j < k; ++j) {
      store(state[k + j], indices, index(j));
      if (keys)
        store(state[j], keys, index(j));
    }
    return;
  }
  // Too many for registers: the slots are in memory.
  if (!keys)
    keys = scratch(k, b.getI32Type());
  loop(0, k, {}, [&](Value j, ValueRange) -> SmallVector<Value> {
    store(blankKey(), keys, j);
    store(i32(-1), indices, j);
    return {};
  });
  Value no = arith::ConstantOp::create(
      b, SplatElementsAttr::get(maskType(), b.getBoolAttr(false)));
  Value blank = blankKey(), none = i32(-1);
  loop(0, experts, {}, [&](Value expert, ValueRange) -> SmallVector<Value> {
    Value x = key(expert), e = splatIndex(expert);
    loop(0, k, ValueRange{blank, none, no},
         [&](Value j, ValueRange above) -> SmallVector<Value> {
           Value key = load(keys, j), id = load(indices, j);
           Value before = isBefore(x, key);
           auto [newKey, newId] = insertSlot(*this, x, e, key, id, before,
                                             above[0], above[1], above[2]);
           store(newKey, keys, j);
           store(newId, indices, j);
           return {key, id, before};
         });
    return {};
  });
}
