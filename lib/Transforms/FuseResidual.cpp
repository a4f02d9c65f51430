//===- FuseResidual.cpp - Residuals added by the layer ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A residual that is added behind a layer writes the layer's result and reads
// it again. moe.combine adds `init` after its sum, which is the same addition.
//
//===----------------------------------------------------------------------===//

#include "MatchBinary.h"

#include "moe-mlir/Analysis/MissedFusion.h"
#include "moe-mlir/Transforms/Passes.h"
#include "moe/Moe.h"

#include "mlir/IR/PatternMatch.h"
#include "mlir/IR/Remarks.h"

namespace moe {
#define GEN_PASS_DEF_FUSERESIDUAL
#include "moe-mlir/Transforms/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;

static constexpr llvm::StringLiteral kPassName = "moe-fuse-residual";

namespace {
/// A sum of a layer's result and another tensor of its shape.
struct Residual {
  Operation *sum;
  Value other;
};
} // namespace

/// The sum that reads the result of `combine` at `use`, if that is what it is.
static std::optional<Residual> match(CombineOp combine, OpOperand &use) {
  Operation *user = use.getOwner();
  Value operands[2];
  AffineMap maps[2];
  if (user->getNumResults() != 1 ||
      !matchBinary<arith::AddFOp>(user, operands, maps) ||
      !maps[0].isIdentity() || !maps[1].isIdentity() ||
      operands[0] == operands[1])
    return std::nullopt;
  if (operands[0] != combine.getResult() && operands[1] != combine.getResult())
    return std::nullopt;
  return Residual{user, operands[operands[0] == combine.getResult()]};
}

/// Why `residual` cannot be the init of `combine`, and what would change that;
/// nothing if it can.
static std::optional<MissedFusion> whyNot(CombineOp combine,
                                          const Residual &residual) {
  auto type = cast<RankedTensorType>(combine.getResult().getType());
  MissedFusion missed{"a residual is added in a pass of its own",
                      "",
                      "",
                      {combine.getResult()}};
  auto because = [&](StringRef why, StringRef remedy) {
    missed.why = why.str();
    missed.remedy = remedy.str();
    return missed;
  };
  if (!combine->hasOneUse())
    return because("something else reads the layer's result, too",
                   "a result that only the sum reads is not stored");
  if (combine.getInit())
    return because("the layer adds another tensor already",
                   "a shared expert that becomes experts of the layer leaves "
                   "room, and so does one sum of both tensors");
  if (!type.getElementType().isF32())
    return because("the layer's result is rounded before the sum, which is "
                   "rounded again",
                   "a sum in f32 has the same bits in the layer");
  if (residual.other.getType() != type)
    return because("it has another type than the layer's result",
                   "a tensor.cast to that type would do");
  if (residual.sum->getBlock() != combine->getBlock())
    return because("the sum is in another block",
                   "beside the layer it would be a part of it");
  return std::nullopt;
}

namespace {
struct FuseResidual : moe::impl::FuseResidualBase<FuseResidual> {
  void runOnOperation() override {
    SmallVector<CombineOp> combines;
    getOperation()->walk([&](CombineOp op) { combines.push_back(op); });
    IRRewriter rewriter(&getContext());
    for (CombineOp combine : combines)
      for (OpOperand &use : llvm::make_early_inc_range(combine->getUses())) {
        std::optional<Residual> residual = match(combine, use);
        if (!residual)
          continue;
        if (fuse(rewriter, combine, *residual))
          break;
      }
  }

  static bool fuse(RewriterBase &b, CombineOp combine,
                   const Residual &residual) {
    if (std::optional<MissedFusion> missed = whyNot(combine, residual)) {
      reportMissed(residual.sum, kPassName, *missed);
      return false;
    }
    remark::passed(residual.sum->getLoc(),
                   remark::RemarkOpts::name("fused").category(kPassName))
        << "the residual is added by the layer's combine";
    b.setInsertionPoint(residual.sum);
    auto fused = CombineOp::create(
        b, combine.getLoc(), combine.getResult().getType(), combine.getRows(),
        combine.getRouting(), residual.other, combine.getUnweighted());
    fused->setDiscardableAttrs(combine->getDiscardableAttrDictionary());
    b.replaceOp(residual.sum, fused.getResult());
    b.eraseOp(combine);
    return true;
  }
};
} // namespace
