//===- MemoryPatterns.cpp - Addresses and arrays in SPIR-V ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Patterns.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace moe::vulkan;

static bool isShared(Value pointer) {
  return cast<LLVM::LLVMPointerType>(pointer.getType()).getAddressSpace() ==
         moegpu::kSharedSpace;
}

static int64_t getBytes(Type type) {
  int64_t count = 1;
  if (auto vector = dyn_cast<VectorType>(type))
    count = vector.getNumElements();
  return count * getElementTypeOrSelf(type).getIntOrFloatBitWidth() / 8;
}

/// Whether shared memory has it.
static bool isWord(Type type) { return type.isInteger(32) || type.isF32(); }

namespace {
struct ConvertAddress : OpConversionPattern<LLVM::GEPOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(LLVM::GEPOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    if (!op.getElemType().isInteger(8) || op.getIndices().size() != 1)
      return rewriter.notifyMatchFailure(op, "wants one index of bytes");
    Code code{rewriter, op.getLoc(), op};
    Type type = adaptor.getBase().getType();
    Value offset;
    if (adaptor.getDynamicIndices().empty()) {
      offset = code.constant(type, op.getRawConstantIndices().front());
    } else {
      offset = adaptor.getDynamicIndices().front();
      if (offset.getType() != type)
        offset = spirv::SConvertOp::create(rewriter, op.getLoc(), type, offset);
    }
    rewriter.replaceOpWithNewOp<spirv::IAddOp>(op, adaptor.getBase(), offset);
    return success();
  }
};

struct ConvertLoad : OpConversionPattern<LLVM::LoadOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(LLVM::LoadOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Type type = getTypeConverter()->convertType(op.getType());
    bool shared = isShared(op.getAddr());
    if (!type || (shared && !isWord(type)))
      return rewriter.notifyMatchFailure(op, "wants words of shared memory");
    Code code{rewriter, op.getLoc(), op};
    Value from = code.getPointer(type, adaptor.getAddr(), shared);
    if (shared) {
      Value word = spirv::LoadOp::create(rewriter, op.getLoc(), from);
      rewriter.replaceOp(op, code.bitcast(type, word));
      return success();
    }
    rewriter.replaceOpWithNewOp<spirv::LoadOp>(
        op, from,
        spirv::MemoryAccessAttr::get(getContext(),
                                     spirv::MemoryAccess::Aligned),
        rewriter.getI32IntegerAttr(getBytes(type)));
    return success();
  }
};

struct ConvertStore : OpConversionPattern<LLVM::StoreOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(LLVM::StoreOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Value value = adaptor.getValue();
    bool shared = isShared(op.getAddr());
    if (shared && !isWord(value.getType()))
      return rewriter.notifyMatchFailure(op, "wants words of shared memory");
    Code code{rewriter, op.getLoc(), op};
    Value to = code.getPointer(value.getType(), adaptor.getAddr(), shared);
    if (shared) {
      rewriter.replaceOpWithNewOp<spirv::StoreOp>(
          op, to, code.bitcast(code.i32(), value));
      return success();
    }
    rewriter.replaceOpWithNewOp<spirv::StoreOp>(
        op, to, value,
        spirv::MemoryAccessAttr::get(getContext(),
                                     spirv::MemoryAccess::Aligned),
        rewriter.getI32IntegerAttr(getBytes(value.getType())));
    return success();
  }
};

/// Of any type whose bits another can be.
struct ConvertBitcast : OpConversionPattern<LLVM::BitcastOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(LLVM::BitcastOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Type type = getTypeConverter()->convertType(op.getType());
    if (!type)
      return failure();
    Code code{rewriter, op.getLoc(), op};
    rewriter.replaceOp(op, code.bitcast(type, adaptor.getArg()));
    return success();
  }
};

struct ConvertInsert : OpConversionPattern<LLVM::InsertElementOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(LLVM::InsertElementOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    APInt at;
    if (!matchPattern(op.getPosition(), m_ConstantInt(&at)))
      return rewriter.notifyMatchFailure(op, "wants a constant position");
    rewriter.replaceOpWithNewOp<spirv::CompositeInsertOp>(
        op, adaptor.getValue(), adaptor.getVector(),
        ArrayRef<int32_t>{static_cast<int32_t>(at.getZExtValue())});
    return success();
  }
};

struct ConvertExtract : OpConversionPattern<LLVM::ExtractElementOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(LLVM::ExtractElementOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    APInt at;
    if (!matchPattern(op.getPosition(), m_ConstantInt(&at)))
      return rewriter.notifyMatchFailure(op, "wants a constant position");
    rewriter.replaceOpWithNewOp<spirv::CompositeExtractOp>(
        op, adaptor.getVector(),
        ArrayRef<int32_t>{static_cast<int32_t>(at.getZExtValue())});
    return success();
  }
};

struct ConvertPoison : OpConversionPattern<LLVM::PoisonOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(LLVM::PoisonOp op, OpAdaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Type type = getTypeConverter()->convertType(op.getType());
    if (!type)
      return failure();
    rewriter.replaceOpWithNewOp<spirv::UndefOp>(op, type);
    return success();
  }
};

/// An op with the same operands and result.
template <typename From, typename To>
struct ConvertSame : OpConversionPattern<From> {
  using OpConversionPattern<From>::OpConversionPattern;
  LogicalResult
  matchAndRewrite(From op, typename From::Adaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Type type = this->getTypeConverter()->convertType(op.getType());
    if (!type)
      return failure();
    rewriter.template replaceOpWithNewOp<To>(op, TypeRange{type},
                                             adaptor.getOperands());
    return success();
  }
};

//===----------------------------------------------------------------------===//
// Arrays of a thread
//===----------------------------------------------------------------------===//

struct ConvertAlloca : OpConversionPattern<memref::AllocaOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(memref::AllocaOp op, OpAdaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Type type = getTypeConverter()->convertType(op.getType());
    if (!type)
      return failure();
    rewriter.replaceOpWithNewOp<spirv::VariableOp>(
        op, type, spirv::StorageClass::Function, /*initializer=*/Value());
    return success();
  }
};

struct ConvertArrayLoad : OpConversionPattern<memref::LoadOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(memref::LoadOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<spirv::LoadOp>(
        op,
        spirv::AccessChainOp::create(rewriter, op.getLoc(), adaptor.getMemref(),
                                     adaptor.getIndices()));
    return success();
  }
};

struct ConvertArrayStore : OpConversionPattern<memref::StoreOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(memref::StoreOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<spirv::StoreOp>(
        op,
        spirv::AccessChainOp::create(rewriter, op.getLoc(), adaptor.getMemref(),
                                     adaptor.getIndices()),
        adaptor.getValue());
    return success();
  }
};

struct ConvertReturn : OpConversionPattern<LLVM::ReturnOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(LLVM::ReturnOp op, OpAdaptor,
                  ConversionPatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<spirv::ReturnOp>(op);
    return success();
  }
};
} // namespace

void moe::vulkan::populateMemoryPatterns(const SPIRVTypeConverter &types,
                                         RewritePatternSet &patterns) {
  patterns.add<ConvertAddress, ConvertAlloca, ConvertArrayLoad,
               ConvertArrayStore, ConvertBitcast, ConvertExtract, ConvertInsert,
               ConvertLoad, ConvertPoison, ConvertReturn, ConvertStore,
               ConvertSame<LLVM::CtPopOp, spirv::BitCountOp>,
               ConvertSame<LLVM::FMAOp, spirv::GLFmaOp>>(types,
                                                         patterns.getContext());
}
