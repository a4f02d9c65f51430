//===- PruneExperts.cpp - Drops the last experts of layers ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// -acme-prune-experts, a pass that changes `moe` IR. The function keeps its
// interface: slices say which part of each tensor is used, and of a weight they
// say it to whoever packs it.
//
//===----------------------------------------------------------------------===//

#include "Acme.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;

namespace acme {
#define GEN_PASS_DEF_PRUNEEXPERTS
#include "Passes.h.inc"
} // namespace acme

namespace {

struct PruneExperts : acme::impl::PruneExpertsBase<PruneExperts> {
  using PruneExpertsBase::PruneExpertsBase;

  void runOnOperation() override {
    if (keep < 1) {
      getOperation()->emitError("acme-prune-experts: keep is at least 1, not ")
          << keep;
      return signalPassFailure();
    }
    SmallVector<moe::RouterOp> routers;
    SmallVector<moe::ExpertOp> layers;
    getOperation()->walk([&](Operation *op) {
      if (auto router = dyn_cast<moe::RouterOp>(op))
        routers.push_back(router);
      else if (auto layer = dyn_cast<moe::ExpertOp>(op))
        layers.push_back(layer);
    });
    llvm::erase_if(routers, [&](moe::RouterOp router) {
      return router.getRouting().getType().getExperts() <= keep;
    });
    for (moe::RouterOp router : routers)
      if (failed(check(router)))
        return signalPassFailure();
    // A layer has as many experts as its routing, which is about to change.
    for (moe::ExpertOp layer : layers)
      if (layer.getRouting().getType().getExperts() > keep)
        prune(layer);
    for (moe::RouterOp router : routers)
      prune(router);
  }

  LogicalResult check(moe::RouterOp router) {
    auto emitError = [&] { return router.emitOpError(); };
    if (!router.getPolicyOperands().empty())
      return emitError() << "selects by more than scores, and what belongs to "
                            "which expert there is not known";
    return router.getPolicy().verifyPolicy(emitError, keep);
  }

  /// The first `count` slices of `value` along `dim`.
  static Value take(OpBuilder &b, Location loc, Value value, int64_t dim,
                    int64_t count) {
    SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(b, loc, value);
    sizes[dim] = b.getIndexAttr(count);
    SmallVector<OpFoldResult> zeros(sizes.size(), b.getIndexAttr(0));
    SmallVector<OpFoldResult> ones(sizes.size(), b.getIndexAttr(1));
    return tensor::ExtractSliceOp::create(b, loc, value, zeros, sizes, ones);
  }

  void prune(moe::RouterOp router) {
    OpBuilder b(router);
    Location loc = router.getLoc();
    Value select = router.getSelect(), weigh = router.getWeigh(), kept;
    if (select) {
      kept = take(b, loc, select, 1, keep);
      router.getSelectMutable().assign(kept);
    }
    if (weigh)
      router.getWeighMutable().assign(
          weigh == select ? kept : take(b, loc, weigh, 1, keep));
    router.getRouting().setType(moe::RoutingType::get(
        &getContext(), keep, router.getPolicy().getNumSlots(keep)));
  }

  void prune(moe::ExpertOp layer) {
    OpBuilder b(layer);
    Location loc = layer.getLoc();
    SmallVector<int64_t> bounds = {0}, counts;
    SmallVector<Value> weights;
    // Groups behind the last expert that stays go as a whole.
    for (unsigned i = 0; layer.getGroupBegin(i) < keep; ++i) {
      bounds.push_back(std::min<int64_t>(layer.getGroupEnd(i), keep));
      counts.push_back(layer.getGroupWeights(i).size());
      for (Value weight : layer.getGroupWeights(i))
        weights.push_back(
            bounds.back() == layer.getGroupEnd(i)
                ? weight
                : take(b, loc, weight, 0, keep - layer.getGroupBegin(i)));
    }
    auto kept = moe::ExpertOp::create(b, loc, layer.getType(), layer.getRows(),
                                      layer.getRouting(), weights,
                                      layer.getOthers(), bounds, counts);
    for (auto [region, old] : llvm::zip(kept.getGroups(), layer.getGroups()))
      region.takeBody(old);
    layer->replaceAllUsesWith(kept);
    layer->erase();
  }
};

} // namespace
