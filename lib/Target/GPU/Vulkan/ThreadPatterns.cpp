//===- ThreadPatterns.cpp - Threads and teams in SPIR-V ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A block whose threads exchange values is one team, and they do so through
// shared memory, as subgroups may be of any width.
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

struct ConvertShuffle : OpConversionPattern<moegpu::ShuffleOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(moegpu::ShuffleOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    Code code{rewriter, loc, op};
    Value thread = code.getThread(), lane = adaptor.getLane(), from = lane;
    switch (op.getKind()) {
    case moegpu::ShuffleKind::Index:
      break;
    case moegpu::ShuffleKind::Xor:
      from = spirv::BitwiseXorOp::create(rewriter, loc, thread, lane);
      break;
    case moegpu::ShuffleKind::Up: {
      Value has =
          spirv::UGreaterThanEqualOp::create(rewriter, loc, thread, lane);
      from = spirv::SelectOp::create(
          rewriter, loc, has,
          spirv::ISubOp::create(rewriter, loc, thread, lane), thread);
      break;
    }
    }
    spirv::StoreOp::create(rewriter, loc, code.getLane(thread),
                           code.bitcast(code.i32(), adaptor.getValue()));
    code.barrier();
    Value word = spirv::LoadOp::create(rewriter, loc, code.getLane(from));
    // Before a next exchange writes there.
    code.barrier();
    rewriter.replaceOp(op, code.bitcast(op.getType(), word));
    return success();
  }
};

struct ConvertBallot : OpConversionPattern<moegpu::BallotOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(moegpu::BallotOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    Code code{rewriter, loc, op};
    Value thread = code.getThread();
    Value bit = spirv::ShiftLeftLogicalOp::create(rewriter, loc,
                                                  code.constant(1), thread);
    Value own = spirv::SelectOp::create(rewriter, loc, adaptor.getCondition(),
                                        bit, code.constant(0));
    spirv::StoreOp::create(rewriter, loc, code.getLane(thread), own);
    code.barrier();
    auto combine = [&](Value a, Value b) -> Value {
      return a ? spirv::BitwiseOrOp::create(rewriter, loc, a, b) : b;
    };
    Value four, all, lanes = code.addressOf(getLanesName(code.kernel()));
    for (int64_t i = 0; i < moegpu::kTeam / kLaneWords; ++i) {
      Value from = spirv::AccessChainOp::create(rewriter, loc, lanes,
                                                ValueRange{code.constant(i)});
      four = combine(four, spirv::LoadOp::create(rewriter, loc, from));
    }
    code.barrier();
    for (int32_t i = 0; i < kLaneWords; ++i)
      all = combine(all, spirv::CompositeExtractOp::create(
                             rewriter, loc, four, ArrayRef<int32_t>{i}));
    rewriter.replaceOp(op, all);
    return success();
  }
};
} // namespace

void moe::vulkan::populateThreadPatterns(const SPIRVTypeConverter &types,
                                         RewritePatternSet &patterns) {
  patterns.add<ConvertBallot, ConvertBarrier, ConvertBlock, ConvertLookUp,
               ConvertNumBlocks, ConvertShared, ConvertShuffle, ConvertThread>(
      types, patterns.getContext());
}
