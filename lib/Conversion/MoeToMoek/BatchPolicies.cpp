//===- BatchPolicies.cpp - Routers that see all tokens ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "BatchPolicies.h"
#include "Patterns.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/DialectRegistry.h"

#include "moe-mlir/Conversion/MoeToMoek/BatchPolicyInterface.cpp.inc"

using namespace mlir;
using namespace moe;

void moe::registerBatchPolicyLowerings(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, MoeDialect *) {
    attachExpertChoiceLowering(context);
  });
}

/// The values of the chosen experts, `[T, K]`: their places of `weigh`, 1
/// without it, and 0 in unused slots.
static Value buildChosenValues(OpBuilder &b, Location loc, Value indices,
                               Value weigh, bool byMask) {
  int64_t slots = cast<RankedTensorType>(indices.getType()).getDimSize(1);
  Value empty =
      buildEmptyRows(b, loc, getDim(b, loc, indices, 0), slots, b.getF32Type());
  SmallVector<Value> inputs{indices};
  if (weigh && byMask)
    inputs.push_back(weigh);
  SmallVector<AffineMap> maps(inputs.size() + 1, b.getMultiDimIdentityMap(2));
  return linalg::GenericOp::create(
             b, loc, empty.getType(), inputs, ValueRange{empty}, maps,
             SmallVector<utils::IteratorType>(2, utils::IteratorType::parallel),
             [&](OpBuilder &nb, Location nl, ValueRange args) {
               Value none =
                   arith::ConstantOp::create(nb, nl, nb.getI32IntegerAttr(0));
               Value zero =
                   arith::ConstantOp::create(nb, nl, nb.getF32FloatAttr(0.0f));
               Value used = arith::CmpIOp::create(
                   nb, nl, arith::CmpIPredicate::sge, args[0], none);
               Value value;
               if (!weigh) {
                 value = arith::ConstantOp::create(nb, nl,
                                                   nb.getF32FloatAttr(1.0f));
               } else if (byMask) {
                 value = args[1];
               } else {
                 Value token = linalg::IndexOp::create(nb, nl, 0);
                 Value expert = arith::IndexCastOp::create(
                     nb, nl, nb.getIndexType(),
                     arith::MaxSIOp::create(nb, nl, args[0], none));
                 value = tensor::ExtractOp::create(nb, nl, weigh,
                                                   ValueRange{token, expert});
               }
               Value chosen =
                   arith::SelectOp::create(nb, nl, used, value, zero);
               linalg::YieldOp::create(nb, nl, chosen);
             })
      .getResult(0);
}

/// The weights of all tokens from the values of their chosen experts; null on
/// failure.
static Value buildAllWeights(OpBuilder &b, RouterOp op, Value indices,
                             Value values) {
  Location loc = op.getLoc();
  int64_t slots = op.getNumSlots();
  bool full = op.getPolicy().fillsAllSlots(op.getNumExperts());
  VectorType floats = VectorType::get({slots}, b.getF32Type());
  VectorType ints = VectorType::get({slots}, b.getI32Type());
  auto splat = [&](VectorType type, TypedAttr value) -> Value {
    return arith::ConstantOp::create(b, loc,
                                     DenseElementsAttr::get(type, value));
  };
  Value zero = arith::ConstantIndexOp::create(b, loc, 0);
  Value one = arith::ConstantIndexOp::create(b, loc, 1);
  Value noExpert = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(-1));
  Value noWeight = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(0.0f));
  Value out =
      buildEmptyRows(b, loc, getDim(b, loc, values, 0), slots, b.getF32Type());
  auto loop = scf::ForOp::create(b, loc, zero, getDim(b, loc, values, 0), one,
                                 ValueRange{out});
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Value token = loop.getInductionVar();
  SmallVector<Value> place{token, zero};
  AffineMap row = AffineMap::get(2, 0, b.getAffineDimExpr(1));
  auto read = [&](VectorType type, Value from, Value padding) -> Value {
    return vector::TransferReadOp::create(b, loc, type, from, place, padding,
                                          row, ArrayRef<bool>{true});
  };
  Value chosen = read(floats, values, noWeight), used;
  if (!full)
    used = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sge,
                                 read(ints, indices, noExpert),
                                 splat(ints, b.getI32IntegerAttr(0)));
  Value weights = op.buildWeights(b, loc, chosen, used);
  if (!weights)
    return {};
  if (used)
    weights = arith::SelectOp::create(b, loc, used, weights,
                                      splat(floats, b.getF32FloatAttr(0.0f)));
  Value written =
      vector::TransferWriteOp::create(b, loc, weights, loop.getRegionIterArg(0),
                                      place, row, ArrayRef<bool>{true})
          .getResult();
  scf::YieldOp::create(b, loc, written);
  return loop.getResult(0);
}

namespace {
struct ConvertBatchRouter : MoePattern<RouterOp> {
  using MoePattern::MoePattern;
  LogicalResult matchAndRewrite(RouterOp op, Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    SelectionPolicyAttrInterface policy = op.getPolicy();
    if (!policy.seesAllTokens())
      return failure();
    auto lowering = dyn_cast<BatchPolicyLoweringAttrInterface>(policy);
    if (!lowering || !op.getSelect() || policy.providesValues())
      return op.emitOpError("cannot be compiled: ")
             << policy
             << (lowering ? " sees all tokens, and such a policy has to select "
                            "by scores and leave values to the router"
                          : " sees all tokens and has no lowering; its dialect "
                            "has to implement or attach "
                            "moe::BatchPolicyLoweringAttrInterface");
    Value select = withDynamicRows(b, loc, adaptor.getSelect().front());
    Value weigh;
    if (op.getWeigh())
      weigh = withDynamicRows(b, loc, adaptor.getWeigh().front());
    SmallVector<Value> operands;
    for (ValueRange operand : adaptor.getPolicyOperands())
      operands.push_back(operand.front());
    Value indices =
        lowering.buildIndices(b, loc, select, operands, op.getNumSlots());
    Value weights =
        buildChosenValues(b, loc, indices, weigh, policy.selectsByMask());
    if (op.getWeighing() || !op.getWeightsRegion().empty())
      weights = buildAllWeights(b, op, indices, weights);
    if (!weights)
      return failure();
    replaceRouting(b, op,
                   buildIndex(b, loc, indices, weights,
                              op.getRouting().getType(), /*traced=*/true));
    return success();
  }
};
} // namespace

void moe::populateBatchRouterPatterns(const TypeConverter &converter,
                                      RewritePatternSet &patterns) {
  patterns.add<ConvertBatchRouter>(converter, patterns.getContext());
}
