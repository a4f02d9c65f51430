//===- Emitter.h - Index and address arithmetic for kernel builders -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The kernels are built directly as IR; these helpers keep the builders
// readable. Addresses are `index` values (bytes), so that one tile's operands
// are one pointer and displacements whatever memref they came from.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TARGET_LANES_EMITTER_H
#define MOE_MLIR_TARGET_LANES_EMITTER_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace moe {

class Emitter : public mlir::ImplicitLocOpBuilder {
public:
  using ImplicitLocOpBuilder::ImplicitLocOpBuilder;
  using Value = mlir::Value;

  Value idx(int64_t v) {
    return mlir::arith::ConstantIndexOp::create(*this, v);
  }
  Value i32(int64_t v) {
    return mlir::arith::ConstantIntOp::create(*this, getI32Type(), v);
  }
  Value f32(double v) {
    return mlir::arith::ConstantOp::create(*this, getF32FloatAttr(v));
  }
  Value add(Value a, Value b) {
    return mlir::arith::AddIOp::create(*this, a, b);
  }
  Value add(Value a, int64_t b) { return b == 0 ? a : add(a, idx(b)); }
  Value sub(Value a, Value b) {
    return mlir::arith::SubIOp::create(*this, a, b);
  }
  Value mul(Value a, Value b) {
    return mlir::arith::MulIOp::create(*this, a, b);
  }
  Value mul(Value a, int64_t b) { return b == 1 ? a : mul(a, idx(b)); }
  /// Sizes are never negative, so all divisions are unsigned.
  Value div(Value a, Value b) {
    return mlir::arith::DivUIOp::create(*this, a, b);
  }
  Value div(Value a, int64_t b) { return b == 1 ? a : div(a, idx(b)); }
  Value rem(Value a, Value b) {
    return mlir::arith::RemUIOp::create(*this, a, b);
  }
  Value ceilDiv(Value a, Value b) { return div(sub(add(a, b), idx(1)), b); }
  Value ceilDiv(Value a, int64_t b) { return div(add(a, b - 1), idx(b)); }
  Value min(Value a, Value b) {
    return mlir::arith::MinUIOp::create(*this, a, b);
  }
  Value max(Value a, Value b) {
    return mlir::arith::MaxUIOp::create(*this, a, b);
  }
  Value cmp(mlir::arith::CmpIPredicate predicate, Value a, Value b) {
    return mlir::arith::CmpIOp::create(*this, predicate, a, b);
  }
  Value lt(Value a, Value b) {
    return cmp(mlir::arith::CmpIPredicate::ult, a, b);
  }
  Value eq(Value a, Value b) {
    return cmp(mlir::arith::CmpIPredicate::eq, a, b);
  }
  /// Of single floats, the bits are selected: x86 without mask registers has no
  /// conditional move of floats, and code generation would jump.
  Value select(Value c, Value a, Value b) {
    auto type = mlir::dyn_cast<mlir::FloatType>(a.getType());
    if (!type)
      return mlir::arith::SelectOp::create(*this, c, a, b);
    auto bits = getIntegerType(type.getWidth());
    Value chosen = mlir::arith::SelectOp::create(
        *this, c, mlir::arith::BitcastOp::create(*this, bits, a),
        mlir::arith::BitcastOp::create(*this, bits, b));
    return mlir::arith::BitcastOp::create(*this, type, chosen);
  }
  Value toIndex(Value i) {
    return mlir::arith::IndexCastOp::create(*this, getIndexType(), i);
  }
  Value toI32(Value i) {
    return mlir::arith::IndexCastOp::create(*this, getI32Type(), i);
  }
  Value toI64(Value i) {
    return mlir::arith::IndexCastOp::create(*this, getI64Type(), i);
  }
  Value load(Value memref, mlir::ValueRange at) {
    return mlir::memref::LoadOp::create(*this, memref, at);
  }
  void store(Value v, Value memref, mlir::ValueRange at) {
    mlir::memref::StoreOp::create(*this, v, memref, at);
  }
  /// An i32 of a memref as an index.
  Value loadIndex(Value memref, mlir::ValueRange at) {
    return toIndex(load(memref, at));
  }
  Value dim(Value memref, int64_t d) {
    return mlir::memref::DimOp::create(*this, memref, d);
  }

  mlir::VectorType vec(int64_t n, mlir::Type element) {
    return mlir::VectorType::get({n}, element);
  }
  mlir::VectorType vecF32(int64_t n = 16) { return vec(n, getF32Type()); }
  Value splat(Value scalar, mlir::VectorType type) {
    return mlir::vector::BroadcastOp::create(*this, type, scalar);
  }
  /// The number at `pointer`, wherever that is, in all lanes.
  Value splatAt(Value pointer, mlir::VectorType type) {
    return splat(mlir::LLVM::LoadOp::create(*this, type.getElementType(),
                                            pointer, /*alignment=*/1),
                 type);
  }
  Value zeros(mlir::VectorType type) {
    return mlir::arith::ConstantOp::create(*this, getZeroAttr(type));
  }

  /// The address of a memref's first element, in bytes.
  Value address(Value memref) {
    return mlir::memref::ExtractAlignedPointerAsIndexOp::create(*this, memref);
  }
  mlir::Type ptrType() {
    return mlir::LLVM::LLVMPointerType::get(getContext());
  }
  Value toPtr(Value address) {
    return mlir::LLVM::IntToPtrOp::create(*this, ptrType(), toI64(address));
  }

  /// A pointer some bytes further on.
  Value displace(Value pointer, int64_t bytes) {
    if (bytes == 0)
      return pointer;
    return mlir::LLVM::GEPOp::create(
        *this, ptrType(), getI8Type(), pointer,
        llvm::ArrayRef<mlir::LLVM::GEPArg>{static_cast<int32_t>(bytes)});
  }
  Value displace(Value pointer, Value bytes) {
    return mlir::LLVM::GEPOp::create(*this, ptrType(), getI8Type(), pointer,
                                     llvm::ArrayRef<mlir::LLVM::GEPArg>{bytes});
  }

  using LoopBody = llvm::function_ref<void(Emitter &, Value)>;
  /// for (i = from; i < to; i += step) body(i), without results.
  void loop(Value from, Value to, int64_t step, LoopBody body) {
    auto op = mlir::scf::ForOp::create(*this, from, to, idx(step));
    mlir::OpBuilder::InsertionGuard guard(*this);
    setInsertionPointToStart(op.getBody());
    body(*this, op.getInductionVar());
  }
  void loop(Value to, LoopBody body) { loop(idx(0), to, 1, body); }
  /// Independent items for the threads of the runtime.
  void parallel(Value items, LoopBody body) {
    auto op = mlir::scf::ParallelOp::create(
        *this, mlir::ValueRange{idx(0)}, mlir::ValueRange{items},
        mlir::ValueRange{idx(1)},
        [](mlir::OpBuilder &, mlir::Location, mlir::ValueRange) {});
    mlir::OpBuilder::InsertionGuard guard(*this);
    setInsertionPointToStart(op.getBody());
    body(*this, op.getInductionVars()[0]);
  }
  void ifThen(Value condition, llvm::function_ref<void(Emitter &)> body) {
    auto op = mlir::scf::IfOp::create(*this, condition, /*withElse=*/false);
    mlir::OpBuilder::InsertionGuard guard(*this);
    setInsertionPointToStart(op.thenBlock());
    body(*this);
  }
};

} // namespace moe

#endif // MOE_MLIR_TARGET_LANES_EMITTER_H
