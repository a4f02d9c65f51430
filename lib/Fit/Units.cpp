//===- Units.cpp - Matrices that have one format together ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Units.h"

#include "moe-mlir/Analysis/WeightUse.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "llvm/ADT/EquivalenceClasses.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace moe;
using namespace moe::fit;

namespace {

class UnitFinder {
public:
  UnitFinder(func::FuncOp function, ArrayRef<ModelWeight> weights)
      : weights(weights) {
    for (auto [i, weight] : llvm::enumerate(weights))
      if (weight.function == function && !weight.to && !weight.from.format)
        tied.insert(i);
    function.walk([&](Operation *op) {
      if (auto ffn = dyn_cast<FFNOp>(op)) {
        if (ffn.getGate())
          tie(ffn.getGate(), ffn.getUp());
      } else if (auto product = dyn_cast<linalg::ContractionOpInterface>(op);
                 product && op->getParentOfType<ExpertOp>()) {
        auto [it, isNew] = byRows.try_emplace(product.lhs(), product.rhs());
        if (!isNew)
          tie(it->second, product.rhs());
      }
    });
  }

  std::vector<Unit> get() {
    std::vector<Unit> units;
    for (size_t i = 0; i < weights.size(); ++i) {
      auto it = tied.findLeader(i);
      if (it == tied.member_end() || *it != i)
        continue;
      Unit &unit = units.emplace_back(it, tied.member_end());
      llvm::sort(unit);
    }
    llvm::sort(units);
    return units;
  }

private:
  /// The weights that `value` is made of, where experts have it in their body
  /// or outside.
  SmallVector<size_t> getRoots(Value value) {
    while (Operation *op = value.getDefiningOp()) {
      if (!WeightUse::isView(op) || op->getNumOperands() != 1)
        break;
      value = op->getOperand(0);
    }
    if (auto argument = dyn_cast<BlockArgument>(value))
      if (auto expert = dyn_cast<ExpertOp>(argument.getOwner()->getParentOp()))
        for (unsigned group = 0; group < expert.getNumGroups(); ++group)
          if (&expert.getGroupBody(group) == argument.getOwner() &&
              argument.getArgNumber() > 0)
            value = expert.getGroupWeights(group)[argument.getArgNumber() - 1];
    std::string why;
    FailureOr<WeightUse> use = WeightUse::get(value, why);
    SmallVector<size_t> roots;
    if (succeeded(use))
      for (const WeightPiece &piece : use->pieces)
        for (auto [i, weight] : llvm::enumerate(weights))
          if (weight.value == piece.root && tied.contains(i))
            roots.push_back(i);
    return roots;
  }

  void tie(Value a, Value b) {
    SmallVector<size_t> all = getRoots(a);
    llvm::append_range(all, getRoots(b));
    for (size_t i : all)
      if (weights[i].from == weights[all.front()].from)
        tied.unionSets(all.front(), i);
  }

  ArrayRef<ModelWeight> weights;
  llvm::EquivalenceClasses<size_t> tied;
  /// The first weight that some rows are multiplied by.
  llvm::MapVector<Value, Value> byRows;
};

} // namespace

std::vector<Unit> fit::findUnits(func::FuncOp function,
                                 ArrayRef<ModelWeight> weights) {
  return UnitFinder(function, weights).get();
}
