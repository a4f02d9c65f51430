//===- EliminateDeadExperts.cpp - Experts that nobody chooses ---*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The experts that are left keep their order, and so do the rows of a token:
// every sum has the bits that it had.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Sparsity/Passes.h"

#include "Layer.h"
#include "ReachableExperts.h"
#include "RenumberRouting.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Remarks.h"

namespace moe {
#define GEN_PASS_DEF_ELIMINATEDEADEXPERTS
#include "moe-mlir/Sparsity/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;

static constexpr llvm::StringLiteral kPassName = "moe-eliminate-dead-experts";

namespace {
struct EliminateDeadExperts
    : moe::impl::EliminateDeadExpertsBase<EliminateDeadExperts> {
  using EliminateDeadExpertsBase::EliminateDeadExpertsBase;

  void runOnOperation() override {
    SmallVector<ExpertOp> experts;
    getOperation()->walk([&](ExpertOp op) { experts.push_back(op); });
    for (ExpertOp op : experts)
      eliminate(op);
  }

  void eliminate(ExpertOp op) {
    auto opts = [](StringRef name) {
      return remark::RemarkOpts::name(name).category(kPassName);
    };
    ReachableExperts reachable = ReachableExperts::get(op.getRouting(), strict);
    if (!reachable.whyNot.empty())
      remark::missed(op.getLoc(), opts("not-eliminated"))
          << ("experts that may never be chosen stay: " + reachable.whyNot);
    if (reachable.experts.all())
      return;
    // A layer has at least one expert.
    if (reachable.experts.none())
      reachable.experts.set(0);
    SmallVector<int64_t> kept, dead;
    for (unsigned e = 0; e < reachable.experts.size(); ++e)
      (reachable.experts.test(e) ? kept : dead).push_back(e);
    if (dead.empty())
      return;
    std::string why;
    FailureOr<Layer> layer = Layer::get(op, why);
    std::string which = "experts " + describeExperts(dead) + " of " +
                        std::to_string(reachable.experts.size()) +
                        " are never chosen: " + reachable.why;
    if (failed(layer)) {
      remark::missed(op.getLoc(), opts("not-eliminated"))
          << (which + "; they stay, as " + why);
      return;
    }
    IRRewriter b(&getContext());
    Value routing;
    if (layer->ownsRouting())
      routing = buildSmallerRouting(b, op.getRouting(), kept, why);
    else
      why = "its routing has other uses";
    std::string how = "; they and their columns of the router are gone";
    if (!routing) {
      how = "; their weights are gone, and the routing is renumbered behind "
            "the router: " +
            why;
      SmallVector<int64_t> table(reachable.experts.size(), -1);
      for (auto [now, old] : llvm::enumerate(kept))
        table[old] = now;
      b.setInsertionPointAfterValue(op.getRouting());
      routing =
          buildRenumbered(b, op.getLoc(), op.getRouting(), table, kept.size());
    }
    remark::passed(op.getLoc(), opts("eliminated")) << (which + how);
    layer->replace(b, routing, kept);
  }
};
} // namespace
