//===- ConvertKernelsToSPIRV.cpp - Kernels become SPIR-V --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Pointers become numbers: addresses of 64 bits in the device's memory, offsets
// of 32 bits in shared memory, which is an array of words. A block whose
// threads exchange values is one team, and they do so through shared memory, as
// subgroups may be of any width. bf16 is its bits.
//
//===----------------------------------------------------------------------===//

#include "SPIRV.h"

#include "moe_gpu/MoeGpu.h"

#include "mlir/Conversion/ArithToSPIRV/ArithToSPIRV.h"
#include "mlir/Conversion/MathToSPIRV/MathToSPIRV.h"
#include "mlir/Conversion/SCFToSPIRV/SCFToSPIRV.h"
#include "mlir/Conversion/UBToSPIRV/UBToSPIRV.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SPIRV/IR/TargetAndABI.h"
#include "mlir/Dialect/SPIRV/Transforms/SPIRVConversion.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Transforms/DialectConversion.h"

using namespace mlir;

static constexpr StringLiteral kThread = "thread", kBlock = "block",
                               kNumBlocks = "num_blocks";

//===----------------------------------------------------------------------===//
// What the modules of kernels have
//===----------------------------------------------------------------------===//

static spirv::TargetEnvAttr getEnvironment(MLIRContext *context) {
  using spirv::Capability;
  using spirv::Extension;
  auto triple = spirv::VerCapExtAttr::get(
      spirv::Version::V_1_3,
      {Capability::Shader, Capability::Int64, Capability::Int16,
       Capability::Int8, Capability::Float16,
       Capability::PhysicalStorageBufferAddresses,
       Capability::StorageBuffer16BitAccess,
       Capability::StorageBuffer8BitAccess,
       Capability::SignedZeroInfNanPreserve},
      {Extension::SPV_KHR_physical_storage_buffer,
       Extension::SPV_KHR_8bit_storage, Extension::SPV_KHR_float_controls},
      context);
  return spirv::TargetEnvAttr::get(triple,
                                   spirv::getDefaultResourceLimits(context));
}

/// Only what its kernels use is asked of a device.
static spirv::VerCapExtAttr getNeeds(spirv::ModuleOp module) {
  using spirv::Capability;
  using spirv::Extension;
  bool bytes = false, halves = false, floats16 = false;
  auto look = [&](Type type) {
    Type element = getElementTypeOrSelf(type);
    bytes |= element.isInteger(8);
    halves |= element.isInteger(16);
    floats16 |= element.isF16();
  };
  module.walk([&](Operation *op) {
    for (Type type : op->getResultTypes()) {
      look(type);
      if (auto pointer = dyn_cast<spirv::PointerType>(type))
        look(pointer.getPointeeType());
    }
  });
  SmallVector<Capability> capabilities{
      Capability::Shader, Capability::Int64,
      Capability::PhysicalStorageBufferAddresses,
      Capability::SignedZeroInfNanPreserve};
  SmallVector<Extension> extensions{Extension::SPV_KHR_physical_storage_buffer,
                                    Extension::SPV_KHR_float_controls};
  if (bytes) {
    capabilities.append(
        {Capability::Int8, Capability::StorageBuffer8BitAccess});
    extensions.push_back(Extension::SPV_KHR_8bit_storage);
  }
  if (halves)
    capabilities.push_back(Capability::Int16);
  if (floats16)
    capabilities.push_back(Capability::Float16);
  if (halves || floats16)
    capabilities.push_back(Capability::StorageBuffer16BitAccess);
  return spirv::VerCapExtAttr::get(spirv::Version::V_1_3, capabilities,
                                   extensions, module.getContext());
}

/// What a kernel's threads share: words, and the values that lanes exchange.
static std::string getSharedName(StringRef kernel) {
  return (kernel + "_shared").str();
}
static std::string getLanesName(StringRef kernel) {
  return (kernel + "_lanes").str();
}
static std::string getArgumentsName(StringRef kernel) {
  return (kernel + "_arguments").str();
}

static constexpr int64_t kLaneWords = 4;

static Type getWorkgroup(Type element, int64_t count) {
  return spirv::PointerType::get(spirv::ArrayType::get(element, count),
                                 spirv::StorageClass::Workgroup);
}

/// The arguments of `kernel`: each at the next multiple of its size.
static spirv::StructType getArguments(LLVM::LLVMFuncOp kernel) {
  SmallVector<Type> types;
  SmallVector<spirv::StructType::OffsetInfo> offsets;
  MLIRContext *context = kernel.getContext();
  uint32_t at = 0;
  for (Type type : kernel.getArgumentTypes()) {
    uint32_t bytes = isa<LLVM::LLVMPointerType>(type) ? 8 : 4;
    types.push_back(IntegerType::get(context, bytes * 8));
    at = llvm::alignTo(at, bytes);
    offsets.push_back(at);
    at += bytes;
  }
  return spirv::StructType::get(types, offsets);
}

//===----------------------------------------------------------------------===//
// Patterns
//===----------------------------------------------------------------------===//

namespace {
/// A builder of what several patterns need.
struct Code {
  ConversionPatternRewriter &b;
  Location loc;
  Operation *op;

  Type i32() { return b.getI32Type(); }
  Value constant(Type type, int64_t value) {
    return spirv::ConstantOp::create(b, loc, type,
                                     b.getIntegerAttr(type, value));
  }
  Value constant(int64_t value) { return constant(i32(), value); }

  StringRef kernel() { return op->getParentOfType<spirv::FuncOp>().getName(); }
  Value addressOf(StringRef name) {
    auto module = op->getParentOfType<spirv::ModuleOp>();
    auto variable = cast<spirv::GlobalVariableOp>(module.lookupSymbol(name));
    return spirv::AddressOfOp::create(b, loc, variable);
  }
  Value getBuiltin(StringRef name, int32_t dimension) {
    Value all = spirv::LoadOp::create(b, loc, addressOf(name));
    return spirv::CompositeExtractOp::create(b, loc, all,
                                             ArrayRef<int32_t>{dimension});
  }
  Value getThread() { return getBuiltin(kThread, 0); }

  Value bitcast(Type type, Value value) {
    return value.getType() == type
               ? value
               : Value(spirv::BitcastOp::create(b, loc, type, value));
  }
  void barrier() {
    spirv::ControlBarrierOp::create(
        b, loc, spirv::Scope::Workgroup, spirv::Scope::Workgroup,
        spirv::MemorySemantics::AcquireRelease |
            spirv::MemorySemantics::UniformMemory |
            spirv::MemorySemantics::WorkgroupMemory);
  }

  /// Word number `index` that a lane gives.
  Value getLane(Value index) {
    Value four = constant(kLaneWords);
    Value vector = spirv::UDivOp::create(b, loc, index, four);
    Value element = spirv::UModOp::create(b, loc, index, four);
    return spirv::AccessChainOp::create(
        b, loc, addressOf(getLanesName(kernel())), ValueRange{vector, element});
  }

  /// The pointer to a value of `type`: at an address in the device's memory, or
  /// at an offset in shared memory, where there are words alone.
  Value getPointer(Type type, Value address, bool isShared) {
    if (!isShared)
      return spirv::ConvertUToPtrOp::create(
          b, loc,
          spirv::PointerType::get(type,
                                  spirv::StorageClass::PhysicalStorageBuffer),
          address);
    Value index =
        spirv::ShiftRightLogicalOp::create(b, loc, address, constant(2));
    return spirv::AccessChainOp::create(
        b, loc, addressOf(getSharedName(kernel())), ValueRange{index});
  }
};

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

//===----------------------------------------------------------------------===//
// bf16, as its bits
//===----------------------------------------------------------------------===//

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

//===----------------------------------------------------------------------===//
// Threads
//===----------------------------------------------------------------------===//

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

//===----------------------------------------------------------------------===//
// Modules
//===----------------------------------------------------------------------===//

/// Makes a function without arguments of `kernel`, which reads them.
static LogicalResult moveKernel(OpBuilder &b, LLVM::LLVMFuncOp kernel) {
  Location loc = kernel.getLoc();
  moegpu::KernelAttr how = moegpu::getKernel(kernel);
  if (!how)
    return kernel.emitOpError("has no ") << moegpu::kKernelAttrName;
  bool exchanges = false;
  SmallVector<moegpu::StoreIfOp> stores;
  kernel.walk([&](Operation *op) {
    exchanges |= isa<moegpu::ShuffleOp, moegpu::BallotOp>(op);
    if (auto store = dyn_cast<moegpu::StoreIfOp>(op))
      stores.push_back(store);
  });
  if (exchanges && how.getThreads() != moegpu::kTeam)
    return kernel.emitOpError(
               "has threads that exchange values, and blocks of ")
           << how.getThreads() << " threads where Vulkan wants one team of "
           << moegpu::kTeam;
  for (moegpu::StoreIfOp store : stores) {
    OpBuilder at(store);
    auto when = scf::IfOp::create(at, store.getLoc(), store.getCondition(),
                                  /*withElseRegion=*/false);
    at.setInsertionPointToStart(when.thenBlock());
    LLVM::StoreOp::create(at, store.getLoc(), store.getValue(),
                          store.getAddress());
    store.erase();
  }

  StringRef name = kernel.getName();
  Type i32 = b.getI32Type();
  auto create = [&](Type type, StringRef variable) {
    return spirv::GlobalVariableOp::create(b, loc, type, variable);
  };
  if (how.getShared())
    create(getWorkgroup(i32, how.getShared() / 4), getSharedName(name));
  if (exchanges)
    create(getWorkgroup(VectorType::get({kLaneWords}, i32),
                        moegpu::kTeam / kLaneWords),
           getLanesName(name));
  spirv::GlobalVariableOp arguments;
  if (kernel.getNumArguments())
    arguments =
        create(spirv::PointerType::get(getArguments(kernel),
                                       spirv::StorageClass::PushConstant),
               getArgumentsName(name));
  auto func = spirv::FuncOp::create(b, loc, name, b.getFunctionType({}, {}));
  func.getBody().takeBody(kernel.getBody());

  Block &entry = func.getBody().front();
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(&entry);
  for (BlockArgument argument : entry.getArguments()) {
    Value base = spirv::AddressOfOp::create(b, loc, arguments);
    Value at = spirv::ConstantOp::create(
        b, loc, i32, b.getI32IntegerAttr(argument.getArgNumber()));
    Value value = spirv::LoadOp::create(
        b, loc, spirv::AccessChainOp::create(b, loc, base, ValueRange{at}));
    argument.replaceAllUsesWith(value.getType() == argument.getType()
                                    ? value
                                    : UnrealizedConversionCastOp::create(
                                          b, loc, argument.getType(), value)
                                          .getResult(0));
  }
  entry.eraseArguments(0, entry.getNumArguments());
  return success();
}

static LogicalResult convertBodies(spirv::ModuleOp module) {
  MLIRContext *context = module.getContext();
  SPIRVConversionOptions options;
  options.emulateUnsupportedFloatTypes = false;
  options.emulateLT32BitScalarTypes = false;
  SPIRVTypeConverter types(getEnvironment(context), options);
  types.addConversion([](BFloat16Type type) -> Type {
    return IntegerType::get(type.getContext(), 16);
  });
  types.addConversion([](VectorType type) -> std::optional<Type> {
    if (!type.getElementType().isBF16())
      return std::nullopt;
    return VectorType::get(type.getShape(),
                           IntegerType::get(type.getContext(), 16));
  });
  types.addConversion([](MemRefType type) -> std::optional<Type> {
    if (type.getRank() != 1 || !type.hasStaticShape() || type.getMemorySpace())
      return std::nullopt;
    return spirv::PointerType::get(
        spirv::ArrayType::get(type.getElementType(), type.getDimSize(0)),
        spirv::StorageClass::Function);
  });
  types.addConversion([](LLVM::LLVMPointerType type) -> Type {
    bool isShared = type.getAddressSpace() == moegpu::kSharedSpace;
    return IntegerType::get(type.getContext(), isShared ? 32 : 64);
  });
  RewritePatternSet patterns(context);
  ScfToSPIRVContext loops;
  populateSCFToSPIRVPatterns(types, loops, patterns);
  arith::populateArithToSPIRVPatterns(types, patterns);
  populateMathToSPIRVPatterns(types, patterns);
  ub::populateUBToSPIRVConversionPatterns(types, patterns);
  patterns.add<ConvertAddress, ConvertAlloca, ConvertArrayLoad,
               ConvertArrayStore, ConvertBarrier, ConvertBallot, ConvertBitcast,
               ConvertBlock, ConvertExtract, ConvertInsert, ConvertLoad,
               ConvertLookUp, ConvertNumBlocks, ConvertPoison, ConvertReturn,
               ConvertShared, ConvertShuffle, ConvertStore, ConvertThread,
               ConvertSame<LLVM::CtPopOp, spirv::BitCountOp>,
               ConvertSame<LLVM::FMAOp, spirv::GLFmaOp>>(types, context);
  patterns.add<ConvertConstantBF16, RoundToBF16, WidenBF16>(types, context,
                                                            /*benefit=*/2);
  // Refuses, too, what asks for capabilities that shaders do not have.
  std::unique_ptr<ConversionTarget> target =
      SPIRVConversionTarget::get(getEnvironment(context));
  target->addIllegalDialect<arith::ArithDialect, LLVM::LLVMDialect,
                            math::MathDialect, memref::MemRefDialect,
                            moegpu::MoeGpuDialect, scf::SCFDialect,
                            ub::UBDialect>();
  target->addLegalOp<UnrealizedConversionCastOp>();
  SmallVector<Operation *> funcs;
  for (auto func : module.getOps<spirv::FuncOp>())
    funcs.push_back(func);
  if (failed(applyFullConversion(funcs, *target, std::move(patterns))))
    return failure();
  SmallVector<UnrealizedConversionCastOp> casts, left;
  module.walk([&](UnrealizedConversionCastOp op) { casts.push_back(op); });
  reconcileUnrealizedCasts(casts, &left);
  for (UnrealizedConversionCastOp op : left)
    return op.emitOpError("is left of a value that SPIR-V has no form of");
  return success();
}

/// Some drivers (gallivm) fold x + 0 to x, and 0 * x and 0 / x to 0, where a
/// sign or a NaN would come out. A zero that they do not see is safe: one less
/// than the blocks of the dimension that is never used.
static void hideZeros(spirv::ModuleOp module, spirv::FuncOp func) {
  DenseMap<uint32_t, Value> zeros;
  auto getZero = [&](uint32_t sign) {
    Value &zero = zeros[sign];
    if (zero)
      return zero;
    OpBuilder b(func.getContext());
    // Behind the variables, which come first.
    Block &entry = func.getBody().front();
    b.setInsertionPointToStart(&entry);
    while (isa<spirv::VariableOp>(*b.getInsertionPoint()))
      b.setInsertionPointAfter(&*b.getInsertionPoint());
    Location loc = func.getLoc();
    auto variable =
        cast<spirv::GlobalVariableOp>(module.lookupSymbol(kNumBlocks));
    Value all = spirv::LoadOp::create(
        b, loc, spirv::AddressOfOp::create(b, loc, variable));
    Value one =
        spirv::CompositeExtractOp::create(b, loc, all, ArrayRef<int32_t>{2});
    auto constant = [&](uint32_t value) {
      return spirv::ConstantOp::create(
          b, loc, b.getI32Type(),
          b.getI32IntegerAttr(static_cast<int32_t>(value)));
    };
    Value bits = spirv::ISubOp::create(b, loc, one, constant(1));
    if (sign)
      bits = spirv::BitwiseOrOp::create(b, loc, bits, constant(sign));
    zero = spirv::BitcastOp::create(b, loc, b.getF32Type(), bits);
    return zero;
  };
  func.walk([&](Operation *op) {
    if (!isa<spirv::FAddOp, spirv::FSubOp, spirv::FMulOp, spirv::FDivOp>(op))
      return;
    for (OpOperand &operand : op->getOpOperands()) {
      auto constant = operand.get().getDefiningOp<spirv::ConstantOp>();
      auto value =
          constant ? dyn_cast<FloatAttr>(constant.getValue()) : FloatAttr();
      if (value && value.getType().isF32() && value.getValue().isZero())
        operand.set(getZero(value.getValue().isNegative() ? 0x80000000 : 0));
    }
  });
}

/// The entry point, and how floats are computed.
static void finishKernel(OpBuilder &b, spirv::FuncOp func, int64_t threads) {
  SmallVector<Attribute> inputs;
  for (StringRef name : {kThread, kBlock, kNumBlocks})
    inputs.push_back(FlatSymbolRefAttr::get(b.getContext(), name));
  Location loc = func.getLoc();
  spirv::EntryPointOp::create(b, loc, spirv::ExecutionModel::GLCompute, func,
                              inputs);
  spirv::ExecutionModeOp::create(b, loc, func, spirv::ExecutionMode::LocalSize,
                                 {static_cast<int32_t>(threads), 1, 1});
  spirv::ExecutionModeOp::create(
      b, loc, func, spirv::ExecutionMode::SignedZeroInfNanPreserve, {32});
  func.walk([&](Operation *op) {
    if (isa<spirv::FAddOp, spirv::FSubOp, spirv::FMulOp>(op))
      op->setAttr("no_contraction", b.getUnitAttr());
  });
}

OwningOpRef<spirv::ModuleOp> moe::vulkan::convertKernels(ModuleOp kernels) {
  Location loc = kernels.getLoc();
  OpBuilder b(kernels.getContext());
  OwningOpRef<spirv::ModuleOp> module = spirv::ModuleOp::create(
      b, loc, spirv::AddressingModel::PhysicalStorageBuffer64,
      spirv::MemoryModel::GLSL450);
  b.setInsertionPointToEnd(module->getBody());
  auto input = spirv::PointerType::get(VectorType::get({3}, b.getI32Type()),
                                       spirv::StorageClass::Input);
  spirv::GlobalVariableOp::create(b, loc, input, kThread,
                                  spirv::BuiltIn::LocalInvocationId);
  spirv::GlobalVariableOp::create(b, loc, input, kBlock,
                                  spirv::BuiltIn::WorkgroupId);
  spirv::GlobalVariableOp::create(b, loc, input, kNumBlocks,
                                  spirv::BuiltIn::NumWorkgroups);
  llvm::StringMap<int64_t> threads;
  for (auto kernel : kernels.getOps<LLVM::LLVMFuncOp>()) {
    if (failed(moveKernel(b, kernel)))
      return {};
    threads[kernel.getName()] = moegpu::getKernel(kernel).getThreads();
  }
  if (failed(convertBodies(*module)))
    return {};
  b.setInsertionPointToEnd(module->getBody());
  for (auto func :
       llvm::make_early_inc_range(module->getOps<spirv::FuncOp>())) {
    hideZeros(*module, func);
    finishKernel(b, func, threads[func.getName()]);
  }
  (*module)->setAttr(module->getVCETripleAttrName(), getNeeds(*module));
  return module;
}
