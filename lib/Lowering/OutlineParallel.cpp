//===- OutlineParallel.cpp - Parallel loops for the runtime -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What a body uses from outside is passed in a struct on the caller's stack.
// Constants are copied into the body, and of a memref only what its type does
// not say is passed, so that the body's address arithmetic stays as static as
// it was.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Lowering/EntryPoints.h"
#include "moe-mlir/Lowering/Passes.h"
#include "moe-mlir/Runtime/moe_rt_layout.h"

#include "mlir/Conversion/LLVMCommon/MemRefBuilder.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/Transforms/Transforms.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Transforms/RegionUtils.h"

#include <cstddef>

namespace moe {
#define GEN_PASS_DEF_OUTLINEPARALLELPASS
#include "moe-mlir/Lowering/Passes.h.inc"
} // namespace moe

using namespace mlir;

namespace {

/// How one captured value travels: the fields it takes and how it is rebuilt.
class Capture {
public:
  static FailureOr<Capture> get(Value value, const LLVMTypeConverter &types) {
    Capture capture;
    capture.value = value;
    Type type = value.getType();
    if (auto memref = dyn_cast<MemRefType>(type)) {
      int64_t offset;
      if (!memref.isStrided() ||
          failed(memref.getStridesAndOffset(capture.strides, offset)) ||
          !types.convertType(memref))
        return failure();
      capture.offset = offset;
      capture.memref = memref;
      return capture;
    }
    capture.fieldType =
        type.isIndex() ? types.getIndexType() : types.convertType(type);
    if (!capture.fieldType || (capture.fieldType != type && !type.isIndex()))
      return failure();
    return capture;
  }

  /// The values to store, at the caller.
  void pack(OpBuilder &b, Location loc, const LLVMTypeConverter &types,
            SmallVectorImpl<Value> &fields) {
    if (!memref) {
      fields.push_back(
          value.getType().isIndex()
              ? arith::IndexCastOp::create(b, loc, fieldType, value).getResult()
              : value);
      return;
    }
    Value cast = UnrealizedConversionCastOp::create(
                     b, loc, types.convertType(memref), value)
                     .getResult(0);
    MemRefDescriptor descriptor(cast);
    fields.push_back(descriptor.alignedPtr(b, loc));
    if (ShapedType::isDynamic(offset))
      fields.push_back(descriptor.offset(b, loc));
    for (int64_t d = 0; d < memref.getRank(); ++d) {
      if (memref.isDynamicDim(d))
        fields.push_back(descriptor.size(b, loc, d));
      if (ShapedType::isDynamic(strides[d]))
        fields.push_back(descriptor.stride(b, loc, d));
    }
  }

  /// The value again, in the body; `next` yields the fields in order.
  Value unpack(OpBuilder &b, Location loc, const LLVMTypeConverter &types,
               function_ref<Value()> next) {
    if (!memref) {
      Value field = next();
      if (!value.getType().isIndex())
        return field;
      return arith::IndexCastOp::create(b, loc, b.getIndexType(), field);
    }
    auto descriptor =
        MemRefDescriptor::poison(b, loc, types.convertType(memref));
    Value pointer = next();
    descriptor.setAllocatedPtr(b, loc, pointer);
    descriptor.setAlignedPtr(b, loc, pointer);
    if (ShapedType::isDynamic(offset))
      descriptor.setOffset(b, loc, next());
    else
      descriptor.setConstantOffset(b, loc, offset);
    for (int64_t d = 0; d < memref.getRank(); ++d) {
      if (memref.isDynamicDim(d))
        descriptor.setSize(b, loc, d, next());
      else
        descriptor.setConstantSize(b, loc, d, memref.getDimSize(d));
      if (ShapedType::isDynamic(strides[d]))
        descriptor.setStride(b, loc, d, next());
      else
        descriptor.setConstantStride(b, loc, d, strides[d]);
    }
    return UnrealizedConversionCastOp::create(b, loc, memref, Value(descriptor))
        .getResult(0);
  }

  Value value;

private:
  MemRefType memref;
  SmallVector<int64_t> strides;
  int64_t offset = 0;
  Type fieldType;
};

struct OutlineParallel : moe::impl::OutlineParallelPassBase<OutlineParallel> {
  void runOnOperation() override {
    SmallVector<func::FuncOp> entries;
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (moe::isEntryFunction(function))
        entries.push_back(function);
    for (func::FuncOp function : entries) {
      // Inner loops first: a body runs on one thread.
      SmallVector<scf::ParallelOp> outer, inner;
      function.walk([&](scf::ParallelOp loop) {
        if (loop.getNumReductions() != 0)
          return; // Lowered sequentially with the other control flow.
        if (loop->getParentOfType<scf::ParallelOp>())
          inner.push_back(loop);
        else
          outer.push_back(loop);
      });
      IRRewriter rewriter(&getContext());
      for (scf::ParallelOp loop : inner) {
        rewriter.setInsertionPoint(loop);
        if (failed(scf::parallelForToNestedFors(rewriter, loop))) {
          loop.emitOpError("cannot become sequential loops");
          return signalPassFailure();
        }
      }
      unsigned number = 0;
      for (scf::ParallelOp loop : outer)
        if (failed(outline(function, loop, number++)))
          return signalPassFailure();
      hoistStackSlots(function);
    }
  }

  /// The kernel a loop is part of, if its location names one: profiles and
  /// proofs then tell the bodies of one function apart.
  static std::string getPhase(Location loc) {
    auto kernel = dyn_cast<FusedLocWith<StringAttr>>(loc);
    return kernel ? (kernel.getMetadata().getValue() + "_").str() : "";
  }

  /// Stack slots of constant size belong into the entry block: in a loop, each
  /// iteration would take more stack.
  void hoistStackSlots(func::FuncOp function) {
    if (function.isExternal())
      return;
    Block &front = function.getBody().front();
    SmallVector<memref::AllocaOp> slots;
    function.walk([&](memref::AllocaOp slot) {
      if (slot.getType().hasStaticShape() && slot->getBlock() != &front &&
          slot.getSymbolOperands().empty())
        slots.push_back(slot);
    });
    for (memref::AllocaOp slot : llvm::reverse(slots))
      slot->moveBefore(&front, front.begin());
  }

  LogicalResult outline(func::FuncOp function, scf::ParallelOp loop,
                        unsigned number) {
    MLIRContext *context = &getContext();
    Location loc = loop.getLoc();
    Value rt = moe::getOrAddRuntimeArgument(function);
    LowerToLLVMOptions options(context);
    options.overrideIndexBitwidth(64);
    LLVMTypeConverter types(context, options);
    auto pointerType = LLVM::LLVMPointerType::get(context);
    OpBuilder b(loop);
    auto i64 = b.getI64Type();

    // Items of each dimension.
    SmallVector<Value> extents;
    for (auto [lower, upper, step] : llvm::zip_equal(
             loop.getLowerBound(), loop.getUpperBound(), loop.getStep())) {
      Value extent = upper;
      if (!matchPattern(lower, m_Zero()))
        extent = b.createOrFold<arith::SubIOp>(loc, upper, lower);
      if (!matchPattern(step, m_One()))
        extent = b.createOrFold<arith::CeilDivSIOp>(loc, extent, step);
      extents.push_back(extent);
    }
    Value items = extents.front();
    if (extents.size() > 1) {
      // Two empty dimensions of negative extent would make a positive product.
      Value zero = arith::ConstantIndexOp::create(b, loc, 0);
      for (Value &extent : extents)
        extent = b.createOrFold<arith::MaxSIOp>(loc, extent, zero);
      items = extents.front();
      for (Value extent : llvm::drop_begin(extents))
        items = b.createOrFold<arith::MulIOp>(loc, items, extent);
    }

    // Captures, with what the body computes its induction variables from.
    llvm::SetVector<Value> used;
    getUsedValuesDefinedAbove(loop.getRegion(), used);
    for (Value value :
         llvm::concat<Value>(SmallVector<Value>(loop.getLowerBound()),
                             SmallVector<Value>(loop.getStep()),
                             SmallVector<Value>(llvm::drop_begin(extents))))
      used.insert(value);
    SmallVector<Value> constants;
    SmallVector<Capture> captures;
    for (Value value : used) {
      Operation *op = value.getDefiningOp();
      if (op &&
          (matchPattern(op, m_Constant()) || isa<LLVM::AddressOfOp>(op))) {
        constants.push_back(value);
        continue;
      }
      FailureOr<Capture> capture = Capture::get(value, types);
      if (failed(capture))
        return loop.emitOpError()
               << "uses a value of type " << value.getType()
               << ", which cannot be handed to threads; values of memref, "
                  "integer, float and vector types can";
      captures.push_back(*capture);
    }

    // The struct on the caller's stack.
    SmallVector<Value> fields;
    for (Capture &capture : captures)
      capture.pack(b, loc, types, fields);
    auto structType = LLVM::LLVMStructType::getLiteral(
        context, llvm::to_vector(ValueRange(fields).getTypes()));
    Value environment;
    if (fields.empty()) {
      environment = LLVM::ZeroOp::create(b, loc, pointerType);
    } else {
      OpBuilder front = OpBuilder::atBlockBegin(&function.getBody().front());
      Value one = LLVM::ConstantOp::create(front, loc, front.getI32Type(), 1);
      environment = LLVM::AllocaOp::create(front, loc, pointerType, structType,
                                           one, moe::kBufferAlignment);
      for (auto [i, field] : llvm::enumerate(fields))
        LLVM::StoreOp::create(
            b, loc, field,
            LLVM::GEPOp::create(
                b, loc, pointerType, structType, environment,
                ArrayRef<LLVM::GEPArg>{0, static_cast<int32_t>(i)}));
    }

    // The body.
    OpBuilder top(context);
    top.setInsertionPoint(function);
    auto bodyType = top.getFunctionType({pointerType, i64}, {});
    auto body = func::FuncOp::create(
        top, loc,
        (function.getName() + "__" + getPhase(loc) + "parallel_" +
         Twine(number))
            .str(),
        bodyType);
    body.setPrivate();
    symbols().insert(body);
    OpBuilder in = OpBuilder::atBlockBegin(body.addEntryBlock());
    IRMapping mapping;
    for (Value constant : constants)
      mapping.map(constant, in.clone(*constant.getDefiningOp())->getResult(0));
    unsigned index = 0;
    for (Capture &capture : captures)
      mapping.map(capture.value, capture.unpack(in, loc, types, [&]() -> Value {
        Value address = LLVM::GEPOp::create(
            in, loc, pointerType, structType, body.getArgument(0),
            ArrayRef<LLVM::GEPArg>{0, static_cast<int32_t>(index)});
        return LLVM::LoadOp::create(in, loc, fields[index++].getType(),
                                    address);
      }));
    Value item = arith::IndexCastOp::create(in, loc, in.getIndexType(),
                                            body.getArgument(1));
    for (int64_t d = loop.getNumLoops() - 1; d >= 0; --d) {
      Value position = item;
      if (d > 0) {
        Value extent = mapping.lookup(extents[d]);
        position = arith::RemUIOp::create(in, loc, item, extent);
        item = arith::DivUIOp::create(in, loc, item, extent);
      }
      Value step = mapping.lookup(loop.getStep()[d]);
      Value lower = mapping.lookup(loop.getLowerBound()[d]);
      if (!matchPattern(step, m_One()))
        position = arith::MulIOp::create(in, loc, position, step);
      if (!matchPattern(lower, m_Zero()))
        position = arith::AddIOp::create(in, loc, position, lower);
      mapping.map(loop.getInductionVars()[d], position);
    }
    for (Operation &op : loop.getBody()->without_terminator())
      in.clone(op, mapping);
    func::ReturnOp::create(in, loc);
    hoistStackSlots(body);

    // The call. One item needs no threads.
    Value one = arith::ConstantIndexOp::create(b, loc, 1);
    Value isOne = b.createOrFold<arith::CmpIOp>(loc, arith::CmpIPredicate::eq,
                                                items, one);
    auto branch = scf::IfOp::create(b, loc, isOne, /*withElseRegion=*/true);
    {
      OpBuilder then = branch.getThenBodyBuilder();
      Value zero = arith::ConstantIntOp::create(then, loc, i64, 0);
      func::CallOp::create(then, loc, body, ValueRange{environment, zero});
    }
    OpBuilder other = branch.getElseBodyBuilder();
    Value isMany = other.createOrFold<arith::CmpIOp>(
        loc, arith::CmpIPredicate::sgt, items, one);
    auto many = scf::IfOp::create(other, loc, isMany, /*withElseRegion=*/false);
    other = many.getThenBodyBuilder();
    Value hook = LLVM::LoadOp::create(
        other, loc, pointerType,
        LLVM::GEPOp::create(other, loc, pointerType, other.getI8Type(), rt,
                            ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(
                                offsetof(moe_rt, parallel_for))}));
    Value reference = func::ConstantOp::create(other, loc, bodyType,
                                               SymbolRefAttr::get(body));
    Value address =
        UnrealizedConversionCastOp::create(other, loc, pointerType, reference)
            .getResult(0);
    Value count = arith::IndexCastOp::create(other, loc, i64, items);
    auto hookType = LLVM::LLVMFunctionType::get(
        LLVM::LLVMVoidType::get(context),
        {pointerType, i64, pointerType, pointerType});
    LLVM::CallOp::create(other, loc, hookType,
                         ValueRange{hook, rt, count, address, environment});
    loop.erase();
    return success();
  }

  SymbolTable &symbols() {
    if (!symbolTable)
      symbolTable.emplace(getOperation());
    return *symbolTable;
  }

  std::optional<SymbolTable> symbolTable;
};

} // namespace
