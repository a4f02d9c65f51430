//===- SameExperts.cpp - Experts that compute the same ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A weight of one expert is followed up to the tensor that it is a slice of.
// Two are the same if they are the same slice of one tensor, or of constants
// with the same bits.
//
//===----------------------------------------------------------------------===//

#include "SameExperts.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/OperationSupport.h"
#include "llvm/Support/xxhash.h"

#include <map>

using namespace mlir;
using namespace moe;

namespace {
/// Numbers what weights are, so that the same ones have the same number.
class WeightNumbers {
public:
  /// That of `weight[index]`.
  int64_t get(Value weight, int64_t index);

private:
  int64_t getOfConstant(Value value, int64_t index);
  int64_t number(ArrayRef<int64_t> key) {
    return numbers.try_emplace(SmallVector<int64_t>(key), numbers.size())
        .first->second;
  }

  std::map<SmallVector<int64_t>, int64_t> numbers;
  /// By their hash; a bucket has different ones.
  std::map<uint64_t, SmallVector<ArrayRef<char>>> contents;
};

enum Kind : int64_t { Part, Slice, Splat, Bytes };
} // namespace

/// The bytes of a constant, if they are known and whole.
static ArrayRef<char> getBytes(Attribute constant) {
  if (auto dense = dyn_cast<DenseIntOrFPElementsAttr>(constant))
    if (!dense.isSplat() &&
        dense.getElementType().getIntOrFloatBitWidth() % 8 == 0)
      return dense.getRawData();
  if (auto resource = dyn_cast<DenseResourceElementsAttr>(constant))
    if (AsmResourceBlob *blob = resource.getRawHandle().getBlob())
      return blob->getData();
  return {};
}

int64_t WeightNumbers::getOfConstant(Value value, int64_t index) {
  auto address = [](const void *p) { return reinterpret_cast<int64_t>(p); };
  auto type = cast<RankedTensorType>(value.getType());
  ElementsAttr constant;
  if (!matchPattern(value, m_Constant(&constant)))
    return number({Part, address(value.getAsOpaquePointer()), index});
  // Its type, but for the number of experts.
  Type own = type.clone(type.getShape().drop_front());
  if (auto dense = dyn_cast<DenseElementsAttr>(constant))
    if (dense.isSplat())
      return number(
          {Splat, address(own.getAsOpaquePointer()),
           address(dense.getSplatValue<Attribute>().getAsOpaquePointer())});
  ArrayRef<char> bytes = getBytes(constant);
  size_t size = bytes.size() / type.getDimSize(0);
  if (bytes.empty() || bytes.size() % type.getDimSize(0) != 0)
    return number({Part, address(constant.getAsOpaquePointer()), index});
  ArrayRef<char> part = bytes.slice(index * size, size);
  uint64_t hash = llvm::xxh3_64bits(
      ArrayRef(reinterpret_cast<const uint8_t *>(part.data()), part.size()));
  SmallVector<ArrayRef<char>> &bucket = contents[hash];
  size_t place = llvm::find(bucket, part) - bucket.begin();
  if (place == bucket.size())
    bucket.push_back(part);
  return number({Bytes, address(own.getAsOpaquePointer()),
                 static_cast<int64_t>(hash), static_cast<int64_t>(place)});
}

int64_t WeightNumbers::get(Value weight, int64_t index) {
  Operation *def = weight.getDefiningOp();
  if (auto slice = dyn_cast_or_null<tensor::ExtractSliceOp>(def)) {
    bool isStatic = slice.getOffsets().empty() && slice.getSizes().empty() &&
                    slice.getStrides().empty();
    if (!isStatic || slice.getDroppedDims().any())
      return getOfConstant(weight, index);
    int64_t from = get(slice.getSource(), slice.getStaticOffset(0) +
                                              index * slice.getStaticStride(0));
    SmallVector<int64_t> key{Slice, from};
    bool isWhole = true;
    for (int64_t d = 1; d < slice.getType().getRank(); ++d) {
      key.append({slice.getStaticOffset(d), slice.getStaticSize(d),
                  slice.getStaticStride(d)});
      isWhole &= slice.getStaticSize(d) == slice.getSourceType().getDimSize(d);
    }
    return isWhole ? from : number(key);
  }
  if (auto concat = dyn_cast_or_null<tensor::ConcatOp>(def);
      concat && concat.getDim() == 0) {
    for (Value input : concat.getInputs()) {
      int64_t size = cast<RankedTensorType>(input.getType()).getDimSize(0);
      if (index < size)
        return get(input, index);
      index -= size;
    }
  }
  return getOfConstant(weight, index);
}

SmallVector<int64_t> moe::findSameBodies(ExpertOp op) {
  SmallVector<int64_t> same;
  for (unsigned i = 0; i < op.getNumGroups(); ++i) {
    auto isLike = [&](int64_t j) {
      return same[j] == j && OperationEquivalence::isRegionEquivalentTo(
                                 &op.getGroups()[j], &op.getGroups()[i],
                                 OperationEquivalence::IgnoreLocations);
    };
    int64_t first = i;
    for (int64_t j = 0; j < i && first == i; ++j)
      if (isLike(j))
        first = j;
    same.push_back(first);
  }
  return same;
}

SmallVector<int64_t> moe::findSameExperts(ExpertOp op) {
  SmallVector<int64_t> bodies = findSameBodies(op), same;
  WeightNumbers numbers;
  std::map<SmallVector<int64_t>, int64_t> first;
  for (unsigned g = 0; g < op.getNumGroups(); ++g)
    for (int64_t e = op.getGroupBegin(g); e < op.getGroupEnd(g); ++e) {
      SmallVector<int64_t> key{bodies[g]};
      for (auto [weight, argument] :
           llvm::zip(op.getGroupWeights(g), op.getWeightArguments(g)))
        // What the body does not read may be any.
        key.push_back(argument.use_empty()
                          ? -1
                          : numbers.get(weight, e - op.getGroupBegin(g)));
      // An expert without weights costs nothing that could be shared.
      bool hasWeights =
          llvm::any_of(ArrayRef(key).drop_front(),
                       [](int64_t number) { return number >= 0; });
      same.push_back(hasWeights ? first.try_emplace(key, e).first->second : e);
    }
  return same;
}

bool moe::seesNeighbours(ExpertOp op) {
  return op->walk([](ScanOp) { return WalkResult::interrupt(); })
      .wasInterrupted();
}
