//===- SomeExperts.cpp - Some of the experts of a layer -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Transforms/SomeExperts.h"

#include "moe/Placement.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace moe;

/// Consecutive numbers of a list: the first and how many.
static SmallVector<std::pair<int64_t, int64_t>>
findRuns(ArrayRef<int64_t> numbers) {
  SmallVector<std::pair<int64_t, int64_t>> runs;
  for (int64_t number : numbers)
    if (!runs.empty() && runs.back().first + runs.back().second == number)
      ++runs.back().second;
    else
      runs.emplace_back(number, 1);
  return runs;
}

std::string moe::describeExperts(ArrayRef<int64_t> which) {
  std::string list;
  for (auto [first, size] : findRuns(which)) {
    list += (list.empty() ? "" : ", ") + std::to_string(first);
    if (size > 1)
      list += (size > 2 ? " .. " : ", ") + std::to_string(first + size - 1);
  }
  return list;
}

Value moe::buildParts(OpBuilder &b, Location loc, Value tensor, int64_t dim,
                      ArrayRef<int64_t> kept) {
  auto type = cast<RankedTensorType>(tensor.getType());
  if (static_cast<int64_t>(kept.size()) == type.getDimSize(dim))
    return tensor;
  SmallVector<int64_t> shape(type.getShape());
  // Small ones; those of weights may be gigabytes, and are packed in parts.
  DenseElementsAttr constant;
  if (type.getRank() <= 2 && matchPattern(tensor, m_Constant(&constant))) {
    shape[dim] = kept.size();
    auto small = RankedTensorType::get(shape, type.getElementType());
    if (constant.isSplat())
      return arith::ConstantOp::create(b, loc, constant.resizeSplat(small));
    int64_t inner = dim + 1 < type.getRank() ? type.getDimSize(1) : 1;
    int64_t outer = dim > 0 ? type.getDimSize(0) : 1;
    SmallVector<Attribute> elements;
    auto all = constant.getValues<Attribute>();
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t k : kept)
        for (int64_t i = 0; i < inner; ++i)
          elements.push_back(all[(o * type.getDimSize(dim) + k) * inner + i]);
    return arith::ConstantOp::create(b, loc,
                                     DenseElementsAttr::get(small, elements));
  }
  SmallVector<Value> parts;
  for (auto [first, size] : findRuns(kept)) {
    SmallVector<OpFoldResult> offsets(type.getRank(), b.getIndexAttr(0)),
        strides(type.getRank(), b.getIndexAttr(1));
    shape[dim] = size;
    offsets[dim] = b.getIndexAttr(first);
    SmallVector<OpFoldResult> sizes;
    for (auto [d, n] : llvm::enumerate(shape))
      sizes.push_back(
          ShapedType::isDynamic(n)
              ? OpFoldResult(tensor::DimOp::create(b, loc, tensor, d))
              : OpFoldResult(b.getIndexAttr(n)));
    parts.push_back(tensor::ExtractSliceOp::create(b, loc, tensor, offsets,
                                                   sizes, strides));
  }
  if (parts.size() == 1)
    return parts.front();
  return tensor::ConcatOp::create(b, loc, dim, parts);
}

ExpertOp moe::buildSomeExperts(OpBuilder &b, ExpertOp op, Value rows,
                               Value routing, ValueRange others,
                               ArrayRef<int64_t> kept) {
  SmallVector<Value> weights;
  SmallVector<int64_t> bounds{0}, counts;
  SmallVector<unsigned> groups;
  for (unsigned g = 0; g < op.getNumGroups(); ++g) {
    SmallVector<int64_t> own;
    for (int64_t expert : kept)
      if (expert >= op.getGroupBegin(g) && expert < op.getGroupEnd(g))
        own.push_back(expert - op.getGroupBegin(g));
    if (own.empty())
      continue;
    for (Value weight : op.getGroupWeights(g))
      weights.push_back(buildParts(b, op.getLoc(), weight, 0, own));
    groups.push_back(g);
    bounds.push_back(bounds.back() + own.size());
    counts.push_back(op.getGroupWeights(g).size());
  }
  auto some = ExpertOp::create(b, op.getLoc(), op.getResult().getType(), rows,
                               routing, weights, others, bounds, counts);
  some->setDiscardableAttrs(op->getDiscardableAttrDictionary());
  dropPlacements(some);
  for (auto [region, group] : llvm::zip_equal(some.getGroups(), groups))
    region.takeBody(op.getGroups()[group]);
  return some;
}
