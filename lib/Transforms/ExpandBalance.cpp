//===- ExpandBalance.cpp - Metrics of routings as ordinary IR --*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Asks each metric for its IR.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Transforms/Passes.h"

#include "moe/Moe.h"

#include "mlir/IR/PatternMatch.h"

namespace moe {
#define GEN_PASS_DEF_EXPANDBALANCE
#include "moe-mlir/Transforms/Passes.h.inc"
} // namespace moe

using namespace mlir;

namespace {
struct ExpandBalance : moe::impl::ExpandBalanceBase<ExpandBalance> {
  void runOnOperation() override {
    SmallVector<moe::BalanceOp> ops;
    getOperation()->walk([&](moe::BalanceOp op) { ops.push_back(op); });
    for (moe::BalanceOp op : ops)
      if (failed(expand(op)))
        return signalPassFailure();
  }

  static LogicalResult expand(moe::BalanceOp op) {
    IRRewriter rewriter(op);
    for (auto [attr, result] :
         llvm::zip_equal(op.getMetrics(), op.getResults())) {
      if (result.use_empty())
        continue;
      auto metric = cast<moe::BalanceMetricAttrInterface>(attr);
      SmallVector<Value> inputs = op.getInputsOf(metric);
      Value value =
          metric.buildMetric(rewriter, op.getLoc(), op.getRouting(), inputs);
      if (!value || value.getType() != result.getType())
        return op.emitOpError("cannot be written out: ")
               << attr << " builds "
               << (value ? "a value of another type than " : "nothing for ")
               << result.getType();
      rewriter.replaceAllUsesWith(result, value);
    }
    rewriter.eraseOp(op);
    return success();
  }
};
} // namespace
