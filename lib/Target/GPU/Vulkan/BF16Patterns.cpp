//===- BF16Patterns.cpp - bf16 in SPIR-V, as its bits -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Patterns.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace moe::vulkan;

namespace {
struct WidenBF16 : OpConversionPattern<arith::ExtFOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(arith::ExtFOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    if (!op.getIn().getType().isBF16() || !op.getType().isF32())
      return failure();
    Code code{rewriter, op.getLoc(), op};
    Value bits = spirv::UConvertOp::create(rewriter, op.getLoc(), code.i32(),
                                           adaptor.getIn());
    Value high = spirv::ShiftLeftLogicalOp::create(rewriter, op.getLoc(), bits,
                                                   code.constant(16));
    rewriter.replaceOp(op, code.bitcast(op.getType(), high));
    return success();
  }
};

struct RoundToBF16 : OpConversionPattern<arith::TruncFOp> {
  using OpConversionPattern::OpConversionPattern;

  /// To nearest even; NaN stays one.
  static Value round(Code &code, Value value) {
    auto &b = code.b;
    Location loc = code.loc;
    Value bits = code.bitcast(code.i32(), value);
    Value high =
        spirv::ShiftRightLogicalOp::create(b, loc, bits, code.constant(16));
    Value odd = spirv::BitwiseAndOp::create(b, loc, high, code.constant(1));
    Value up = spirv::IAddOp::create(b, loc, odd, code.constant(0x7fff));
    Value rounded = spirv::ShiftRightLogicalOp::create(
        b, loc, spirv::IAddOp::create(b, loc, bits, up), code.constant(16));
    Value quiet = spirv::BitwiseOrOp::create(b, loc, high, code.constant(0x40));
    Value own = spirv::SelectOp::create(
        b, loc, spirv::IsNanOp::create(b, loc, value), quiet, rounded);
    return spirv::UConvertOp::create(b, loc, b.getI16Type(), own);
  }

  LogicalResult
  matchAndRewrite(arith::TruncFOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    if (!getElementTypeOrSelf(op.getType()).isBF16() ||
        !getElementTypeOrSelf(op.getIn().getType()).isF32())
      return failure();
    Code code{rewriter, op.getLoc(), op};
    auto vector = dyn_cast<VectorType>(op.getType());
    if (!vector) {
      rewriter.replaceOp(op, round(code, adaptor.getIn()));
      return success();
    }
    SmallVector<Value> values;
    for (int32_t i = 0; i < vector.getNumElements(); ++i)
      values.push_back(round(code, spirv::CompositeExtractOp::create(
                                       rewriter, op.getLoc(), adaptor.getIn(),
                                       ArrayRef<int32_t>{i})));
    rewriter.replaceOpWithNewOp<spirv::CompositeConstructOp>(
        op, getTypeConverter()->convertType(vector), values);
    return success();
  }
};

struct ConvertConstantBF16 : OpConversionPattern<arith::ConstantOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(arith::ConstantOp op, OpAdaptor,
                  ConversionPatternRewriter &rewriter) const override {
    if (!op.getType().isBF16())
      return failure();
    APInt bits = cast<FloatAttr>(op.getValue()).getValue().bitcastToAPInt();
    rewriter.replaceOpWithNewOp<spirv::ConstantOp>(
        op, rewriter.getI16Type(),
        rewriter.getI16IntegerAttr(bits.getSExtValue()));
    return success();
  }
};
} // namespace

void moe::vulkan::populateBF16Patterns(const SPIRVTypeConverter &types,
                                       RewritePatternSet &patterns) {
  patterns.add<ConvertConstantBF16, RoundToBF16, WidenBF16>(
      types, patterns.getContext(), /*benefit=*/2);
}
