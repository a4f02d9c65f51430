//===- ExpandSmallFloats.cpp - 16-bit floats as integers --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What a CPU has no instruction for, LLVM leaves to functions that not every
// compiler's library has, one call a lane. And it converts where the IR does
// not: a masked store of bf16 goes through f32. So conversions are written out,
// and elsewhere the values are the integers that hold their bits.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Lowering/Passes.h"

#include "SmallFloats.h"

#include "moek/Moek.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/AttrTypeSubElements.h"
#include "mlir/IR/DialectResourceBlobManager.h"

namespace moe {
#define GEN_PASS_DEF_EXPANDSMALLFLOATSPASS
#include "moe-mlir/Lowering/Passes.h.inc"
} // namespace moe

using namespace mlir;
using moe::isSmallFloat;

namespace {

/// Scalars or vectors, whichever the operand is.
class Builder {
public:
  Builder(Operation *op)
      : b(op), loc(op->getLoc()), like(op->getOperand(0).getType()) {}

  Type type(Type element) const {
    auto vector = dyn_cast<VectorType>(like);
    return vector ? Type(vector.clone(element)) : element;
  }
  Type integer(unsigned width) { return type(b.getIntegerType(width)); }
  Type f32() { return type(b.getF32Type()); }
  Type f64() { return type(b.getF64Type()); }

  Value constant(Type type, int64_t value) {
    TypedAttr attr = b.getIntegerAttr(getElementTypeOrSelf(type), value);
    if (auto vector = dyn_cast<VectorType>(type))
      attr = DenseElementsAttr::get(vector, ArrayRef<Attribute>(attr));
    return arith::ConstantOp::create(b, loc, attr);
  }
  template <typename OpTy> Value unary(Type type, Value value) {
    return OpTy::create(b, loc, type, value);
  }
  template <typename OpTy> Value binary(Value x, int64_t y) {
    return OpTy::create(b, loc, x, constant(x.getType(), y));
  }
  template <typename OpTy> Value binary(Value x, Value y) {
    return OpTy::create(b, loc, x, y);
  }
  Value compare(arith::CmpFPredicate predicate, Value x, Value y) {
    return arith::CmpFOp::create(b, loc, predicate, x, y);
  }
  Value select(Value condition, Value x, Value y) {
    return arith::SelectOp::create(b, loc, condition, x, y);
  }
  template <typename OpTy> Value bitcast(Type type, Value value) {
    return unary<OpTy>(type, value);
  }
  Value bits(Value value, unsigned width) {
    return unary<arith::BitcastOp>(integer(width), value);
  }

  Value fma(ValueRange operands) {
    SmallVector<Value> wide;
    for (Value operand : operands)
      wide.push_back(unary<arith::ExtFOp>(f32(), operand));
    return math::FmaOp::create(b, loc, wide[0], wide[1], wide[2]);
  }

  /// f64 as f32, with the last bit set if anything was cut off: rounding the
  /// result to fewer bits is then like rounding the f64.
  Value roundToOdd(Value value) {
    Type wide = value.getType();
    Value near = unary<arith::TruncFOp>(f32(), value);
    Value back = unary<arith::ExtFOp>(wide, near);
    Value inexact = compare(arith::CmpFPredicate::ONE, back, value);
    Value larger =
        compare(arith::CmpFPredicate::OGT,
                bitcast<arith::BitcastOp>(
                    wide, binary<arith::AndIOp>(bits(back, 64), INT64_MAX)),
                bitcast<arith::BitcastOp>(
                    wide, binary<arith::AndIOp>(bits(value, 64), INT64_MAX)));
    Value toZero = binary<arith::SubIOp>(
        bits(near, 32), unary<arith::ExtUIOp>(integer(32), larger));
    Value odd = binary<arith::OrIOp>(
        toZero, unary<arith::ExtUIOp>(integer(32), inexact));
    return bitcast<arith::BitcastOp>(f32(), odd);
  }

  /// f32 as the upper half of its bits, rounded to nearest even.
  Value roundToBF16(Value value) {
    Value all = bits(value, 32);
    Value upper = binary<arith::ShRUIOp>(all, 16);
    Value bias = binary<arith::AddIOp>(binary<arith::AndIOp>(upper, 1), 0x7fff);
    Value rounded =
        binary<arith::ShRUIOp>(binary<arith::AddIOp>(all, bias), 16);
    Value quiet = binary<arith::OrIOp>(upper, 0x40);
    Value isNaN = compare(arith::CmpFPredicate::UNO, value, value);
    return unary<arith::TruncIOp>(integer(16), select(isNaN, quiet, rounded));
  }
  Value widenBF16(Value half) {
    Value wide = unary<arith::ExtUIOp>(integer(32), half);
    return bitcast<arith::BitcastOp>(f32(), binary<arith::ShLIOp>(wide, 16));
  }

private:
  OpBuilder b;
  Location loc;
  Type like;
};

struct ExpandSmallFloats
    : moe::impl::ExpandSmallFloatsPassBase<ExpandSmallFloats> {
  using ExpandSmallFloatsPassBase::ExpandSmallFloatsPassBase;

  void runOnOperation() override {
    convertOthers();
    splitDoubles();
    if (!native && failed(storeBF16AsIntegers()))
      signalPassFailure();
  }

  /// What arith-emulate-unsupported-floats leaves, or folding made again. An
  /// integer is rounded once: f64 holds more of them than f32.
  void convertOthers() {
    SmallVector<Operation *> ops;
    getOperation().walk([&](Operation *op) {
      if (isa<arith::SIToFPOp, arith::UIToFPOp, arith::FPToSIOp,
              arith::FPToUIOp, math::FmaOp>(op) &&
          (isSmallFloat(op->getResult(0).getType()) ||
           isSmallFloat(op->getOperand(0).getType())))
        ops.push_back(op);
    });
    for (Operation *op : ops) {
      Builder b(op);
      Value value = op->getOperand(0), result;
      Type to = op->getResult(0).getType();
      if (isa<math::FmaOp>(op))
        result = b.unary<arith::TruncFOp>(to, b.fma(op->getOperands()));
      else if (isa<arith::SIToFPOp>(op))
        result = b.unary<arith::TruncFOp>(
            to, b.unary<arith::SIToFPOp>(b.f64(), value));
      else if (isa<arith::UIToFPOp>(op))
        result = b.unary<arith::TruncFOp>(
            to, b.unary<arith::UIToFPOp>(b.f64(), value));
      else if (isa<arith::FPToSIOp>(op))
        result = b.unary<arith::FPToSIOp>(
            to, b.unary<arith::ExtFOp>(b.f32(), value));
      else
        result = b.unary<arith::FPToUIOp>(
            to, b.unary<arith::ExtFOp>(b.f32(), value));
      op->getResult(0).replaceAllUsesWith(result);
      op->erase();
    }
  }

  /// f64 to and from 16 bits goes by f32.
  void splitDoubles() {
    SmallVector<Operation *> ops;
    getOperation().walk([&](Operation *op) {
      if (!isa<arith::TruncFOp, arith::ExtFOp>(op))
        return;
      Type from = op->getOperand(0).getType(), to = op->getResult(0).getType();
      auto isDouble = [](Type type) {
        return getElementTypeOrSelf(type).isF64();
      };
      if ((isDouble(from) && isSmallFloat(to)) ||
          (isSmallFloat(from) && isDouble(to)))
        ops.push_back(op);
    });
    for (Operation *op : ops) {
      Builder b(op);
      Value value = op->getOperand(0);
      Type to = op->getResult(0).getType();
      Value result = isa<arith::TruncFOp>(op)
                         ? b.unary<arith::TruncFOp>(to, b.roundToOdd(value))
                         : b.unary<arith::ExtFOp>(
                               to, b.unary<arith::ExtFOp>(b.f32(), value));
      op->getResult(0).replaceAllUsesWith(result);
      op->erase();
    }
  }

  LogicalResult storeBF16AsIntegers() {
    SmallVector<Operation *> conversions;
    bool some = false;
    WalkResult checked = getOperation().walk([&](Operation *op) {
      auto isBF16 = [](Type type) {
        return getElementTypeOrSelf(type).isBF16();
      };
      if (!llvm::any_of(op->getOperandTypes(), isBF16) &&
          !llvm::any_of(op->getResultTypes(), isBF16))
        return WalkResult::advance();
      auto isTensor = [](Type type) { return isa<TensorType>(type); };
      if (isa<moek::MoekDialect>(op->getDialect()) ||
          llvm::any_of(op->getOperandTypes(), isTensor) ||
          llvm::any_of(op->getResultTypes(), isTensor)) {
        op->emitOpError("takes bf16 as it is; moek-expand-small-floats comes "
                        "after kernels are lowered and tensors are buffers");
        return WalkResult::interrupt();
      }
      some = true;
      if (isa<arith::ExtFOp, arith::TruncFOp, arith::BitcastOp>(op)) {
        conversions.push_back(op);
        return WalkResult::advance();
      }
      // Everything that computes was to be done in f32.
      if (isa<arith::ArithDialect, math::MathDialect>(op->getDialect())
              ? isa<arith::ConstantOp, arith::SelectOp>(op)
              : !isa<vector::ReductionOp, vector::MultiDimReductionOp,
                     vector::ContractionOp, vector::OuterProductOp,
                     vector::FMAOp, vector::ScanOp>(op))
        return WalkResult::advance();
      op->emitOpError("computes with bf16, which has no lowering for this CPU; "
                      "extend its operands to f32");
      return WalkResult::interrupt();
    });
    if (checked.wasInterrupted())
      return failure();
    if (!some)
      return success();

    MLIRContext *context = &getContext();
    Type half = IntegerType::get(context, 16);
    AttrTypeReplacer replacer;
    replacer.addReplacement([&](BFloat16Type) -> Type { return half; });
    replacer.addReplacement([&](FloatAttr attr) -> std::optional<Attribute> {
      if (!attr.getType().isBF16())
        return std::nullopt;
      return IntegerAttr::get(half, attr.getValue().bitcastToAPInt());
    });
    replacer.addReplacement(
        [&](DenseElementsAttr attr) -> std::optional<Attribute> {
          if (!attr.getElementType().isBF16())
            return std::nullopt;
          return attr.bitcast(half);
        });
    replacer.addReplacement(
        [&](DenseResourceElementsAttr attr) -> std::optional<Attribute> {
          if (!attr.getType().getElementType().isBF16())
            return std::nullopt;
          return DenseResourceElementsAttr::get(attr.getType().clone(half),
                                                attr.getRawHandle());
        });
    replacer.recursivelyReplaceElementsIn(getOperation(), /*replaceAttrs=*/true,
                                          /*replaceLocs=*/false,
                                          /*replaceTypes=*/true);
    for (Operation *op : conversions) {
      Builder b(op);
      Value value = op->getOperand(0), result;
      Type to = op->getResult(0).getType();
      if (isa<arith::TruncFOp>(op))
        result = b.roundToBF16(value);
      else if (isa<arith::ExtFOp>(op))
        result = b.widenBF16(value);
      else if (value.getType() == to)
        result = value;
      else
        continue;
      op->getResult(0).replaceAllUsesWith(result);
      op->erase();
    }
    return success();
  }
};

} // namespace
