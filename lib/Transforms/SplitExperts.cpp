//===- SplitExperts.cpp - Groups for ranges of experts ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "SplitExperts.h"

#include "moe-mlir/Analysis/WeightUse.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace moe;

/// The experts of a group of `value`'s users, counted from its first, where a
/// range of `parts` begins.
static SmallVector<int64_t> findBounds(Value weight, Value root,
                                       ArrayRef<ModelWeight> parts) {
  std::string why;
  SmallVector<int64_t> bounds;
  FailureOr<WeightUse> use = WeightUse::get(weight, why);
  if (failed(use))
    return bounds;
  ArrayRef<int64_t> shape = parts.front().type.getShape();
  int64_t size = shape[1] * shape[2];
  for (const WeightPiece &piece : use->pieces)
    if (piece.root == root && piece.strides[0] == size)
      for (const ModelWeight &part : parts) {
        int64_t expert = part.begin - piece.offset / size;
        if (expert > 0 && expert < piece.sizes[0])
          bounds.push_back(piece.begin[0] + expert);
      }
  return bounds;
}

/// Splits a group of experts; `bounds` has the beginnings of the new ones and
/// the end of each old one.
static void splitGroups(ExpertOp op, ArrayRef<SmallVector<int64_t>> bounds) {
  OpBuilder b(op);
  SmallVector<Value> weights;
  SmallVector<int64_t> counts, ends = {0};
  SmallVector<unsigned> groups;
  for (unsigned group = 0; group < op.getNumGroups(); ++group) {
    int64_t first = 0;
    for (int64_t end : bounds[group]) {
      groups.push_back(group);
      counts.push_back(op.getGroupWeights(group).size());
      ends.push_back(op.getGroupBegin(group) + end);
      for (Value weight : op.getGroupWeights(group)) {
        auto type = cast<RankedTensorType>(weight.getType());
        SmallVector<OpFoldResult> offsets(type.getRank(), b.getIndexAttr(0)),
            strides(type.getRank(), b.getIndexAttr(1)), sizes;
        for (int64_t size : type.getShape())
          sizes.push_back(b.getIndexAttr(size));
        offsets.front() = b.getIndexAttr(first);
        sizes.front() = b.getIndexAttr(end - first);
        weights.push_back(bounds[group].size() == 1
                              ? weight
                              : tensor::ExtractSliceOp::create(b, op.getLoc(),
                                                               weight, offsets,
                                                               sizes, strides));
      }
      first = end;
    }
  }
  auto split =
      ExpertOp::create(b, op.getLoc(), op.getResult().getType(), op.getRows(),
                       op.getRouting(), weights, op.getOthers(), ends, counts);
  split->setDiscardableAttrs(op->getDiscardableAttrDictionary());
  for (auto [region, group] : llvm::zip(split.getGroups(), groups)) {
    IRMapping mapping;
    op.getGroups()[group].cloneInto(&region, mapping);
  }
  op->replaceAllUsesWith(split);
  op.erase();
}

void moe::splitExperts(Value value, ArrayRef<ModelWeight> parts) {
  func::FuncOp function = parts.front().function;
  SmallVector<ExpertOp> experts;
  function.walk([&](ExpertOp op) { experts.push_back(op); });
  for (ExpertOp op : experts) {
    SmallVector<SmallVector<int64_t>> bounds;
    bool isSplit = false;
    for (unsigned group = 0; group < op.getNumGroups(); ++group) {
      SmallVector<int64_t> &own = bounds.emplace_back();
      for (Value weight : op.getGroupWeights(group))
        llvm::append_range(own, findBounds(weight, value, parts));
      own.push_back(op.getGroupSize(group));
      llvm::sort(own);
      own.erase(llvm::unique(own), own.end());
      isSplit |= own.size() > 1;
    }
    if (isSplit)
      splitGroups(op, bounds);
  }
}
