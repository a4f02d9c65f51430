//===- ThreadPatterns.cpp - Threads and blocks in SPIR-V --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Numbers, barriers, shared memory and tables. What threads exchange goes
// through shared memory (ExpandExchanges.cpp).
//
//===----------------------------------------------------------------------===//

#include "Patterns.h"

using namespace mlir;
using namespace moe::vulkan;

namespace {
struct ConvertThread : OpConversionPattern<moegpu::ThreadOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(moegpu::ThreadOp op, OpAdaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Code code{rewriter, op.getLoc(), op};
    rewriter.replaceOp(op, code.getThread());
    return success();
  }
};

/// Blocks are spread over two dimensions, as devices have a bound for one.
struct ConvertBlock : OpConversionPattern<moegpu::BlockOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(moegpu::BlockOp op, OpAdaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Code code{rewriter, op.getLoc(), op};
    Value before =
        spirv::IMulOp::create(rewriter, op.getLoc(), code.getBuiltin(kBlock, 1),
                              code.getBuiltin(kNumBlocks, 0));
    rewriter.replaceOpWithNewOp<spirv::IAddOp>(op, before,
                                               code.getBuiltin(kBlock, 0));
    return success();
  }
};

struct ConvertNumBlocks : OpConversionPattern<moegpu::NumBlocksOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(moegpu::NumBlocksOp op, OpAdaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Code code{rewriter, op.getLoc(), op};
    rewriter.replaceOpWithNewOp<spirv::IMulOp>(
        op, code.getBuiltin(kNumBlocks, 0), code.getBuiltin(kNumBlocks, 1));
    return success();
  }
};

struct ConvertBarrier : OpConversionPattern<moegpu::BarrierOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(moegpu::BarrierOp op, OpAdaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Code{rewriter, op.getLoc(), op}.barrier();
    rewriter.eraseOp(op);
    return success();
  }
};

struct ConvertShared : OpConversionPattern<moegpu::SharedOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(moegpu::SharedOp op, OpAdaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Code code{rewriter, op.getLoc(), op};
    rewriter.replaceOp(op, code.constant(0));
    return success();
  }
};

/// A table is an array of the thread, with its values from the start on.
/// Compilers keep what is only read as constants.
struct ConvertLookUp : OpConversionPattern<moegpu::LookUpOp> {
  using OpConversionPattern::OpConversionPattern;

  static Value getTable(ConversionPatternRewriter &rewriter,
                        moegpu::LookUpOp op) {
    ArrayRef<int32_t> entries = op.getTable();
    auto size = static_cast<int64_t>(entries.size());
    Type i32 = rewriter.getI32Type();
    auto values =
        DenseElementsAttr::get(RankedTensorType::get({size}, i32), entries);
    Block &entry = op->getParentOfType<spirv::FuncOp>().getBody().front();
    for (auto variable : entry.getOps<spirv::VariableOp>()) {
      Value initial = variable.getInitializer();
      auto constant =
          initial ? initial.getDefiningOp<spirv::ConstantOp>() : nullptr;
      if (constant && constant.getValue() == values)
        return variable;
    }
    OpBuilder::InsertionGuard guard(rewriter);
    rewriter.setInsertionPointToStart(&entry);
    Type type = spirv::ArrayType::get(i32, size);
    Value all = spirv::ConstantOp::create(rewriter, op.getLoc(), type, values);
    return spirv::VariableOp::create(
        rewriter, op.getLoc(),
        spirv::PointerType::get(type, spirv::StorageClass::Function),
        spirv::StorageClass::Function, all);
  }

  LogicalResult
  matchAndRewrite(moegpu::LookUpOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Value from = spirv::AccessChainOp::create(rewriter, op.getLoc(),
                                              getTable(rewriter, op),
                                              ValueRange{adaptor.getIndex()});
    rewriter.replaceOpWithNewOp<spirv::LoadOp>(op, from);
    return success();
  }
};

} // namespace

void moe::vulkan::populateThreadPatterns(const SPIRVTypeConverter &types,
                                         RewritePatternSet &patterns) {
  patterns.add<ConvertBarrier, ConvertBlock, ConvertLookUp, ConvertNumBlocks,
               ConvertShared, ConvertThread>(types, patterns.getContext());
}
