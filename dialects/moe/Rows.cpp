//===- Rows.cpp - Selection for one token ----------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The K first of a row, one after another. Chunks of consecutive experts have
// their largest keys in one vector, so that a round looks at that vector and at
// one chunk. The first lane that holds the largest key is the lowest expert, in
// both: ties need nothing of their own.
//
//===----------------------------------------------------------------------===//

#include "moe/Rows.h"

#include "moe/Moe.h"

using namespace mlir;
using namespace moe;

/// Vectors that are searched at once: their masks are one word.
static constexpr int64_t kVectors = 4;

static_assert(RowSelection::kMaxExperts == kVectors * kVectors *
                                               RowSelection::kLanes *
                                               RowSelection::kLanes,
              "experts are chunks of vectors, and chunks lanes of vectors");

Value moe::buildExchange(OpBuilder &b, Location loc, Value vector,
                         int64_t distance) {
  SmallVector<int64_t> partners(
      cast<VectorType>(vector.getType()).getNumElements());
  for (auto [i, partner] : llvm::enumerate(partners))
    partner = i ^ distance;
  return vector::ShuffleOp::create(b, loc, vector, vector, partners);
}

Value moe::buildAcrossLanes(OpBuilder &b, Location loc, Value vector,
                            function_ref<Value(Value, Value)> combine) {
  int64_t lanes = cast<VectorType>(vector.getType()).getNumElements();
  for (int64_t distance = lanes / 2; distance >= 1; distance /= 2)
    vector = combine(vector, buildExchange(b, loc, vector, distance));
  return vector;
}

Value RowSelection::load(Value memref, Value first) {
  auto type = cast<MemRefType>(memref.getType());
  return vector::LoadOp::create(b,
                                VectorType::get({lanes}, type.getElementType()),
                                memref, ValueRange{first});
}

void RowSelection::store(Value vector, Value memref, Value first) {
  vector::StoreOp::create(b, vector, memref, ValueRange{first});
}

Value RowSelection::scratch(int64_t entries, Type element) {
  int64_t room = (entries + lanes - 1) / lanes * lanes + lanes;
  return memref::AllocaOp::create(b, MemRefType::get({room}, element),
                                  b.getI64IntegerAttr(64));
}

Value RowSelection::iota(int64_t first) {
  SmallVector<int32_t> ids(lanes);
  std::iota(ids.begin(), ids.end(), first);
  return arith::ConstantOp::create(
      b, DenseElementsAttr::get(i32Type(), ArrayRef(ids)));
}

Value RowSelection::exchange(Value vector, int64_t distance) {
  return buildExchange(b, b.getLoc(), vector, distance);
}

SmallVector<Value> RowSelection::loopVectors(int64_t entries, ValueRange state,
                                             VectorBody body) {
  int64_t whole = entries / lanes * lanes;
  SmallVector<Value> last(state);
  if (whole)
    last = loop(
        0, whole, state,
        [&](Value first, ValueRange state) {
          return body(first, Value(), state);
        },
        lanes);
  if (whole < entries) {
    Value mask = vector::CreateMaskOp::create(
        b, maskType(), ValueRange{index(entries - whole)});
    last = body(index(whole), mask, last);
  }
  return last;
}

/// The first entry of `vectors` that is `wanted`, as an index.
Value RowSelection::findFirst(ValueRange vectors, Value wanted) {
  Type bits = b.getIntegerType(lanes), word = b.getI64Type();
  Value found;
  for (auto [i, vector] : llvm::enumerate(vectors)) {
    Value isIt =
        arith::CmpIOp::create(b, arith::CmpIPredicate::eq, vector, wanted);
    Value own = vector::ExtractOp::create(
        b, vector::BitCastOp::create(b, VectorType::get({1}, bits), isIt), 0);
    own = arith::ExtUIOp::create(b, word, own);
    if (i == 0) {
      found = own;
      continue;
    }
    Value distance =
        arith::ConstantOp::create(b, b.getI64IntegerAttr(i * lanes));
    found =
        arith::OrIOp::create(b, found, arith::ShLIOp::create(b, own, distance));
  }
  return arith::IndexCastOp::create(
      b, b.getIndexType(), math::CountTrailingZerosOp::create(b, found));
}

/// Sets entry `place` of `vectors`.
void RowSelection::put(MutableArrayRef<Value> vectors, Value place,
                       Value value) {
  Value at = splatIndex(place);
  for (auto [i, vector] : llvm::enumerate(vectors)) {
    Value isIt =
        arith::CmpIOp::create(b, arith::CmpIPredicate::eq, iota(i * lanes), at);
    vector = arith::SelectOp::create(b, isIt, value, vector);
  }
}

/// The largest entry of `vectors`, in every lane.
Value RowSelection::maxOf(ValueRange vectors) {
  auto max = [&](Value x, Value y) -> Value {
    return arith::MaxSIOp::create(b, x, y);
  };
  Value most = vectors.front();
  for (Value vector : vectors.drop_front())
    most = max(most, vector);
  return buildAcrossLanes(b, b.getLoc(), most, max);
}

void RowSelection::buildTopK(int64_t k, function_ref<Value(Value)> key,
                             Value indices) {
  auto toI32 = [&](Value index) {
    return arith::IndexCastOp::create(b, b.getI32Type(), index);
  };
  int64_t vectors = (experts + lanes - 1) / lanes;
  Value blank = blankKey();
  auto keysAt = [&](Value first, Value mask) -> Value {
    Value keys = key(first);
    return mask ? arith::SelectOp::create(b, mask, keys, blank) : keys;
  };

  if (vectors <= kVectors) {
    SmallVector<Value> state;
    for (int64_t i = 0; i < vectors; ++i) {
      int64_t left = experts - i * lanes;
      Value mask = left < lanes ? vector::CreateMaskOp::create(
                                      b, maskType(), ValueRange{index(left)})
                                : Value();
      state.push_back(keysAt(index(i * lanes), mask));
    }
    loop(0, k, state, [&](Value slot, ValueRange state) {
      SmallVector<Value> keys(state);
      Value place = findFirst(keys, maxOf(keys));
      put(keys, place, blank);
      memref::StoreOp::create(b, toI32(place), indices, ValueRange{slot});
      return keys;
    });
    return;
  }

  int64_t ofChunk = std::min(kVectors, (vectors + lanes - 1) / lanes);
  int64_t chunks = (vectors + ofChunk - 1) / ofChunk, size = ofChunk * lanes;
  Value buffer = scratch(chunks * size, b.getI32Type());
  loopVectors(experts, {}, [&](Value first, Value mask, ValueRange) {
    store(keysAt(first, mask), buffer, first);
    return SmallVector<Value>();
  });
  for (int64_t i = vectors; i < chunks * ofChunk; ++i)
    store(blank, buffer, index(i * lanes));
  auto firstOf = [&](Value chunk) -> Value {
    return arith::MulIOp::create(b, chunk, index(size));
  };
  auto at = [&](Value first, int64_t i) -> Value {
    return arith::AddIOp::create(b, first, index(i * lanes));
  };
  auto loadChunk = [&](Value first) {
    SmallVector<Value> keys;
    for (int64_t i = 0; i < ofChunk; ++i)
      keys.push_back(load(buffer, at(first, i)));
    return keys;
  };
  SmallVector<Value> best((chunks + lanes - 1) / lanes, blank);
  best = loop(0, chunks, best, [&](Value chunk, ValueRange state) {
    SmallVector<Value> best(state);
    put(best, chunk, maxOf(loadChunk(firstOf(chunk))));
    return best;
  });
  loop(0, k, best, [&](Value slot, ValueRange state) {
    SmallVector<Value> best(state);
    Value most = maxOf(best);
    Value chunk = findFirst(best, most);
    Value first = firstOf(chunk);
    SmallVector<Value> keys = loadChunk(first);
    Value place = findFirst(keys, most);
    put(keys, place, blank);
    for (int64_t i = 0; i < ofChunk; ++i)
      store(keys[i], buffer, at(first, i));
    put(best, chunk, maxOf(keys));
    memref::StoreOp::create(b, toI32(arith::AddIOp::create(b, first, place)),
                            indices, ValueRange{slot});
    return best;
  });
}
