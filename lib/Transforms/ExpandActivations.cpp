//===- ExpandActivations.cpp - Named activations as regions ----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Turns sugar into the regions it stands for.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Transforms/Passes.h"

#include "moe/Moe.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/PatternMatch.h"

namespace moe {
#define GEN_PASS_DEF_EXPANDACTIVATIONS
#include "moe-mlir/Transforms/Passes.h.inc"
} // namespace moe

using namespace mlir;

namespace {
struct ExpandActivations : moe::impl::ExpandActivationsBase<ExpandActivations> {
  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    WalkResult result = getOperation()->walk([&](Operation *op) {
      LogicalResult expanded = success();
      if (auto ffn = dyn_cast<moe::FFNOp>(op); ffn && ffn.getActivation())
        expanded = ffn.expandActivation(rewriter);
      else if (auto router = dyn_cast<moe::RouterOp>(op);
               router && router.getWeighing())
        expanded = router.expandWeighing(rewriter);
      return failed(expanded) ? WalkResult::interrupt() : WalkResult::advance();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }
};
} // namespace
