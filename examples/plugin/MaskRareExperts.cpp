//===- MaskRareExperts.cpp - Decides by a routing profile -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// -acme-mask-rare-experts: reads what moe-run --profile-out saw, and makes
// experts that few tokens want unable to be chosen. moe-eliminate-dead-experts
// takes them out of the layer.
//
//===----------------------------------------------------------------------===//

#include "Acme.h"

#include "moe-mlir/Artifact/Profile.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"

#include <limits>

using namespace mlir;

namespace acme {
#define GEN_PASS_DEF_MASKRAREEXPERTS
#include "Passes.h.inc"
} // namespace acme

namespace {

struct MaskRareExperts : acme::impl::MaskRareExpertsBase<MaskRareExperts> {
  using MaskRareExpertsBase::MaskRareExpertsBase;

  void runOnOperation() override {
    moe::Profile seen;
    std::string error;
    if (!moe::readProfile(profile, seen, error)) {
      emitError(getOperation().getLoc()) << error;
      return signalPassFailure();
    }
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      // Before routers change: profiles count them in the order of the
      // function.
      SmallVector<moe::RouterOp> routers;
      function.walk([&](moe::RouterOp router) { routers.push_back(router); });
      for (auto [i, router] : llvm::enumerate(routers)) {
        const moe::RoutingProfile *routing = seen.findRouting(
            function.getSymName().str(), i, router.getNumExperts(),
            router.getNumSlots(), error);
        if (!routing) {
          router.emitError() << error;
          return signalPassFailure();
        }
        mask(router, *routing);
      }
    }
  }

  void mask(moe::RouterOp router, const moe::RoutingProfile &seen) {
    Value select = router.getSelect();
    if (!select || !isa<moe::TopKAttr>(Attribute(router.getPolicy())))
      return;
    SmallVector<float> bias;
    int64_t left = 0;
    for (int64_t count : seen.counts) {
      bool isRare = count < share * seen.tokens;
      bias.push_back(isRare ? -std::numeric_limits<float>::infinity() : 0);
      left += !isRare;
    }
    auto type = cast<RankedTensorType>(select.getType());
    if (left < router.getNumSlots() || left == router.getNumExperts() ||
        !type.getElementType().isF32())
      return;
    OpBuilder b(router);
    Location loc = router.getLoc();
    auto biasType =
        RankedTensorType::get({router.getNumExperts()}, type.getElementType());
    Value biases = arith::ConstantOp::create(
        b, loc, DenseElementsAttr::get(biasType, ArrayRef<float>(bias)));
    AffineMap rows = b.getMultiDimIdentityMap(2);
    AffineMap columns = AffineMap::get(2, 0, b.getAffineDimExpr(1));
    auto parallel = utils::IteratorType::parallel;
    auto masked = linalg::GenericOp::create(
        b, loc, type, ValueRange{select, biases}, ValueRange{select},
        ArrayRef<AffineMap>{rows, columns, rows}, {parallel, parallel},
        [](OpBuilder &b, Location loc, ValueRange values) {
          Value sum = arith::AddFOp::create(b, loc, values[0], values[1]);
          linalg::YieldOp::create(b, loc, sum);
        });
    router.getSelectMutable().assign(masked.getResult(0));
  }
};

} // namespace
