//===- ExpandSimilarity.cpp - moe.similarity as linalg ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Transforms/Passes.h"

#include "moe/Moe.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"

namespace moe {
#define GEN_PASS_DEF_EXPANDSIMILARITY
#include "moe-mlir/Transforms/Passes.h.inc"
} // namespace moe

using namespace mlir;

namespace {
struct ExpandSimilarity : moe::impl::ExpandSimilarityBase<ExpandSimilarity> {
  void runOnOperation() override {
    SmallVector<moe::SimilarityOp> ops;
    getOperation()->walk([&](moe::SimilarityOp op) { ops.push_back(op); });
    IRRewriter rewriter(&getContext());
    for (moe::SimilarityOp op : ops) {
      rewriter.setInsertionPoint(op);
      rewriter.replaceOp(op, op.generalize(rewriter));
    }
  }
};
} // namespace
