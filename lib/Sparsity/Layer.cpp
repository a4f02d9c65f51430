//===- Layer.cpp - The ops of one layer, and its routing --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Layer.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace mlir;
using namespace moe;

FailureOr<Layer> Layer::get(ExpertOp op, std::string &why) {
  Layer layer{op, {}};
  SmallVector<Value> rows{op.getRows()};
  llvm::append_range(rows, op.getOthers());
  for (Value value : rows) {
    auto dispatch = value.getDefiningOp<DispatchOp>();
    if (!dispatch || dispatch.getRouting() != op.getRouting()) {
      why = "its rows are not those of a moe.dispatch by its routing";
      return failure();
    }
    for (Operation *user : dispatch->getUsers())
      if (user != op) {
        why = ("its rows are also read by " + user->getName().getStringRef())
                  .str();
        return failure();
      }
  }
  for (Operation *user : op->getUsers()) {
    auto combine = dyn_cast<CombineOp>(user);
    if (!combine || combine.getRouting() != op.getRouting() ||
        combine.getInit() == op.getResult()) {
      why = ("its result is read by " + user->getName().getStringRef() +
             (combine ? " in another way than as rows of its routing" : ""))
                .str();
      return failure();
    }
    layer.combines.push_back(combine);
  }
  return layer;
}

bool Layer::ownsRouting() {
  return llvm::all_of(getRouting().getUsers(), [&](Operation *user) {
    if (user == expert)
      return true;
    if (auto dispatch = dyn_cast<DispatchOp>(user))
      return llvm::is_contained(dispatch->getUsers(), expert);
    auto combine = dyn_cast<CombineOp>(user);
    return combine && llvm::is_contained(combines, combine);
  });
}

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

void Layer::replace(RewriterBase &b, Value routing, ArrayRef<int64_t> kept) {
  b.setInsertionPoint(expert);
  auto dispatch = [&](Value rows) -> Value {
    auto old = rows.getDefiningOp<DispatchOp>();
    auto own = cast<DispatchOp>(b.clone(*old));
    own.getRoutingMutable().assign(routing);
    return own.getRows();
  };
  Value rows = dispatch(expert.getRows());
  SmallVector<Value> others, weights;
  for (Value other : expert.getOthers())
    others.push_back(dispatch(other));
  SmallVector<int64_t> bounds{0}, counts;
  SmallVector<unsigned> groups;
  for (unsigned g = 0; g < expert.getNumGroups(); ++g) {
    SmallVector<int64_t> own;
    for (int64_t e : kept)
      if (e >= expert.getGroupBegin(g) && e < expert.getGroupEnd(g))
        own.push_back(e - expert.getGroupBegin(g));
    if (own.empty())
      continue;
    for (Value weight : expert.getGroupWeights(g))
      weights.push_back(buildParts(b, expert.getLoc(), weight, 0, own));
    groups.push_back(g);
    bounds.push_back(bounds.back() + own.size());
    counts.push_back(expert.getGroupWeights(g).size());
  }
  auto now = ExpertOp::create(b, expert.getLoc(), expert.getResult().getType(),
                              rows, routing, weights, others, bounds, counts);
  now->setDiscardableAttrs(expert->getDiscardableAttrDictionary());
  for (auto [region, group] : llvm::zip(now.getGroups(), groups))
    region.takeBody(expert.getGroups()[group]);
  for (CombineOp combine : combines)
    b.modifyOpInPlace(combine, [&] {
      combine.getRowsMutable().assign(now.getResult());
      combine.getRoutingMutable().assign(routing);
    });
  // What is left without users, from the layer up to where its scores are.
  SmallVector<Value> unused(expert->getOperands());
  b.eraseOp(expert);
  expert = now;
  while (!unused.empty()) {
    Operation *def = unused.pop_back_val().getDefiningOp();
    if (!def || !isOpTriviallyDead(def))
      continue;
    llvm::append_range(unused, def->getOperands());
    // An operand may be listed twice, but its op is erased once.
    llvm::erase_if(unused, [&](Value v) { return v.getDefiningOp() == def; });
    b.eraseOp(def);
  }
}
