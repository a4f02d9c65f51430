//===- UnshareFills.cpp - A fill for every user -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Filling again is cheaper than copying what was filled, and free when the
// user's loops start from the value.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Conversion/LinalgToVector/Passes.h"

namespace moe {
#define GEN_PASS_DEF_UNSHAREFILLS
#include "moe-mlir/Conversion/LinalgToVector/Passes.h.inc"
} // namespace moe

using namespace mlir;

namespace {
struct UnshareFills : moe::impl::UnshareFillsBase<UnshareFills> {
  void runOnOperation() override {
    SmallVector<linalg::FillOp> fills;
    getOperation().walk([&](linalg::FillOp fill) {
      // One that fills part of something else is no value of its own.
      if (fill.hasPureTensorSemantics() &&
          fill.output().getDefiningOp<tensor::EmptyOp>())
        fills.push_back(fill);
    });
    for (linalg::FillOp fill : fills) {
      Value result = fill.getResult(0);
      SmallVector<OpOperand *> writers;
      for (OpOperand &use : result.getUses())
        if (auto user = dyn_cast<DestinationStyleOpInterface>(use.getOwner());
            user && user.isDpsInit(&use))
          writers.push_back(&use);
      if (writers.empty() || result.hasOneUse())
        continue;
      for (OpOperand *writer : writers) {
        OpBuilder b(writer->getOwner());
        writer->set(b.clone(*fill)->getResult(0));
      }
      if (result.use_empty())
        fill.erase();
    }
  }
};
} // namespace
