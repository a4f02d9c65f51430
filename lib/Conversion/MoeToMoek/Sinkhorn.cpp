//===- Sinkhorn.cpp - #moe.sinkhorn to its kernel ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Only the plan needs all tokens: with it as the scores to select by, the
// router is one of #moe.top_k, and fuses like any other.
//
//===----------------------------------------------------------------------===//

#include "BatchPolicies.h"

#include "mlir/Transforms/DialectConversion.h"

using namespace mlir;
using namespace moe;

namespace {
struct ConvertSinkhorn : OpConversionPattern<RouterOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult matchAndRewrite(RouterOp op, OneToNOpAdaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    auto policy = dyn_cast<SinkhornAttr>(Attribute(op.getPolicy()));
    if (!policy)
      return failure();
    Location loc = op.getLoc();
    Value select = withDynamicRows(b, loc, adaptor.getSelect().front());
    Value weigh;
    if (op.getWeigh())
      weigh = withDynamicRows(b, loc, adaptor.getWeigh().front());
    Value out = buildEmptyRows(b, loc, getDim(b, loc, select, 0),
                               op.getNumExperts(), b.getF32Type());
    Value plan = moek::SinkhornOp::create(
                     b, loc, TypeRange{out.getType()}, select, ValueRange{out},
                     static_cast<uint64_t>(policy.getIterations()),
                     APFloat(policy.getTolerance()))
                     .getResult(0);
    auto topK = TopKAttr::get(b.getContext(), policy.getK());
    auto router =
        RouterOp::create(b, loc, op.getRouting().getType(),
                         cast<SelectionPolicyAttrInterface>(Attribute(topK)),
                         plan, weigh, ValueRange(), op.getWeighingAttr());
    b.inlineRegionBefore(op.getWeightsRegion(), router.getWeightsRegion(),
                         router.getWeightsRegion().end());
    b.replaceOp(op, router);
    return success();
  }
};
} // namespace

void moe::populateSinkhornPatterns(const TypeConverter &converter,
                                   RewritePatternSet &patterns) {
  // Before the pattern for all policies that see all tokens.
  patterns.add<ConvertSinkhorn>(converter, patterns.getContext(),
                                /*benefit=*/2);
}
