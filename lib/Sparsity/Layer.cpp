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

void Layer::replace(RewriterBase &b, Value routing, ArrayRef<int64_t> kept) {
  b.setInsertionPoint(expert);
  auto dispatch = [&](Value rows) -> Value {
    auto old = rows.getDefiningOp<DispatchOp>();
    auto own = cast<DispatchOp>(b.clone(*old));
    own.getRoutingMutable().assign(routing);
    return own.getRows();
  };
  Value rows = dispatch(expert.getRows());
  SmallVector<Value> others;
  for (Value other : expert.getOthers())
    others.push_back(dispatch(other));
  ExpertOp now = buildSomeExperts(b, expert, rows, routing, others, kept);
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
