//===- RaiseSoftmax.cpp - Softmax out of what it is spelled by ---*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Raise/Elements.h"
#include "moe-mlir/Raise/Passes.h"
#include "moe-mlir/Raise/Upstream.h"

#include "moe/Moe.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace moe {
#define GEN_PASS_DEF_RAISESOFTMAX
#include "moe-mlir/Raise/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe::raise;

/// What can be one yields a quotient.
static bool hasDivision(linalg::LinalgOp op) {
  Operation *terminator = op.getBlock()->getTerminator();
  return terminator->getNumOperands() == 1 &&
         terminator->getOperand(0).getDefiningOp<arith::DivFOp>();
}

/// The tensor that `op` is the softmax of along `dim`; null if it is none.
static Value matchSoftmax(linalg::LinalgOp op, int64_t &dim) {
  auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType());
  if (!type || !isa<FloatType>(type.getElementType()))
    return {};
  Elements elements(op.getContext());
  Exprs &exprs = elements.exprs;
  SmallVector<const Expr *> indices;
  for (int64_t size : type.getShape())
    indices.push_back(exprs.variable(size));
  const Expr *quotient = elements.unfold(exprs.load(op->getResult(0), indices));
  if (!quotient || !quotient->is("arith.divf"))
    return {};
  const Expr *power = elements.unfoldAll((*quotient)[0]);
  const Expr *sum = elements.unfoldAll((*quotient)[1]);
  if (!power->is("math.exp") || !sum->isReduce("arith.addf"))
    return {};
  const Expr *difference = elements.unfoldAll((*power)[0]);
  if (!difference->is("arith.subf"))
    return {};
  const Expr *value = (*difference)[0];
  const Expr *largest = elements.unfoldAll((*difference)[1]);
  if (value->kind != Expr::Element ||
      value->operands.size() != indices.size() ||
      !llvm::equal(value->operands, indices) ||
      !(largest->isReduce("arith.maximumf") ||
        largest->isReduce("arith.maxnumf")))
    return {};
  for (auto [d, index] : llvm::enumerate(indices)) {
    if (sum->dependsOn(index) || largest->dependsOn(index))
      continue;
    auto isOver = [&](const Expr *reduction, const Expr *term) {
      const Expr *there = exprs.substitute(term, index, reduction->operands[0]);
      return reduction->operands[0]->extent == index->extent &&
             elements.unfoldAll(reduction->operands[1]) ==
                 elements.unfoldAll(there);
    };
    if (!isOver(largest, value) || !isOver(sum, (*quotient)[0]))
      continue;
    dim = d;
    return value->tensor;
  }
  return {};
}

namespace {
struct RaiseSoftmax : moe::impl::RaiseSoftmaxBase<RaiseSoftmax> {
  void runOnOperation() override {
    SmallVector<linalg::LinalgOp> ops;
    getOperation()->walk([&](linalg::LinalgOp op) {
      if (op->getNumResults() == 1 && !op.getNumReductionLoops() &&
          hasDivision(op))
        ops.push_back(op);
    });
    for (linalg::LinalgOp op : ops) {
      int64_t dim = 0;
      Value source = matchSoftmax(op, dim);
      if (!source)
        continue;
      OpBuilder b(op);
      Upstream upstream(b, op.getLoc());
      Value softmax = upstream.softmax(source, dim);
      if (softmax.getType() != op->getResult(0).getType())
        softmax = tensor::CastOp::create(b, op.getLoc(),
                                         op->getResult(0).getType(), softmax);
      op->getResult(0).replaceAllUsesWith(softmax);
    }
  }
};
} // namespace
