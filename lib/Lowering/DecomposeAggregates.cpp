//===- DecomposeAggregates.cpp - Softmax as generic ops ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Ops like linalg.softmax have no loops of their own.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Lowering/Passes.h"

namespace moe {
#define GEN_PASS_DEF_DECOMPOSEAGGREGATESPASS
#include "moe-mlir/Lowering/Passes.h.inc"
} // namespace moe

using namespace mlir;

namespace {

struct DecomposeAggregates
    : moe::impl::DecomposeAggregatesPassBase<DecomposeAggregates> {
  void runOnOperation() override {
    SmallVector<linalg::AggregatedOpInterface> ops;
    getOperation().walk([&](linalg::AggregatedOpInterface op) {
      // Others, such as linalg.pack, have conversions of their own.
      if (isa<linalg::SoftmaxOp>(op))
        ops.push_back(op);
    });
    for (auto op : ops) {
      OpBuilder builder(op);
      FailureOr<SmallVector<Value>> values = op.decomposeOperation(builder);
      if (failed(values)) {
        op.emitError("cannot be decomposed into linalg.generic");
        return signalPassFailure();
      }
      op->replaceAllUsesWith(*values);
      op->erase();
    }
  }
};

} // namespace
