//===- DedupeExperts.cpp - One expert for several alike ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The rows of a token are added in the order of its experts. Neighbours that
// become one leave that order alone; so does whatever becomes one if a token
// has a single expert.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Sparsity/Passes.h"

#include "Layer.h"
#include "RenumberRouting.h"
#include "SameExperts.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Remarks.h"

namespace moe {
#define GEN_PASS_DEF_DEDUPEEXPERTS
#include "moe-mlir/Sparsity/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;

static constexpr llvm::StringLiteral kPassName = "moe-dedupe-experts";

/// Whether the slots of a token are in the order of its experts.
static bool hasSlotsByExpert(Value routing) {
  while (isa_and_present<RoutingLimitOp, RoutingReweighOp>(
      routing.getDefiningOp()))
    routing = routing.getDefiningOp()->getOperand(0);
  auto router = routing.getDefiningOp<RouterOp>();
  return router && router.getPolicy().selectsByMask();
}

namespace {
struct DedupeExperts : moe::impl::DedupeExpertsBase<DedupeExperts> {
  using DedupeExpertsBase::DedupeExpertsBase;

  void runOnOperation() override {
    SmallVector<ExpertOp> experts;
    getOperation()->walk([&](ExpertOp op) { experts.push_back(op); });
    for (ExpertOp op : experts)
      dedupe(op);
  }

  void dedupe(ExpertOp op) {
    auto opts = [](StringRef name) {
      return remark::RemarkOpts::name(name).category(kPassName);
    };
    SmallVector<int64_t> same = findSameExperts(op);
    int64_t slots = op.getRouting().getType().getSlots();
    bool anyOrder = reorderSums || slots == 1;
    // The expert that each becomes.
    SmallVector<int64_t> now, gone, apart;
    for (auto [e, first] : llvm::enumerate(same)) {
      int64_t own = e;
      bool isAlike = first != own;
      int64_t before = own > 0 ? now.back() : 0;
      // In the order of sums there may be no other between the two.
      if (isAlike && !anyOrder && first != same[before]) {
        apart.push_back(own);
        isAlike = false;
      }
      now.push_back(!isAlike ? own : anyOrder ? first : before);
      if (isAlike)
        gone.push_back(own);
    }
    if (!apart.empty())
      remark::missed(op.getLoc(), opts("not-deduped"))
          << ("experts " + describeExperts(apart) +
              " are like earlier ones and stay, as others are between them: as "
              "one expert, they would change the order in which the " +
              std::to_string(slots) +
              " rows of a token are added; reorder-sums=true allows that");
    if (gone.empty())
      return;
    std::string which = "experts " + describeExperts(gone) + " of " +
                        std::to_string(same.size()) + " are like earlier ones";
    std::string why;
    FailureOr<Layer> layer = Layer::get(op, why);
    if (succeeded(layer) && seesNeighbours(op)) {
      why = "a body has a moe.scan, which would see the rows of both";
      layer = failure();
    }
    if (failed(layer)) {
      remark::missed(op.getLoc(), opts("not-deduped"))
          << (which + "; they stay, as " + why);
      return;
    }
    IRRewriter b(&getContext());
    b.setInsertionPointAfterValue(op.getRouting());
    SmallVector<int64_t> kept;
    Value routing =
        buildJoined(b, op.getLoc(), op.getRouting(), now, kept,
                    !anyOrder && !hasSlotsByExpert(op.getRouting()));
    remark::passed(op.getLoc(), opts("deduped"))
        << (which + ": these get their rows" +
            (kept.size() == same.size()
                 ? ", and as a token has as many slots as there are experts, "
                   "no weights go"
                 : ""));
    layer->replace(b, routing, kept);
  }
};
} // namespace
