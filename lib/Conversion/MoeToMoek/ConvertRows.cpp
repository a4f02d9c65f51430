//===- ConvertRows.cpp - moe.dispatch and moe.combine -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Rows of f64 keep their bits, which kernels, in f32, would not.
//
//===----------------------------------------------------------------------===//

#include "Patterns.h"

#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace moe;
using moek::RoutingParts;

Value moe::castTo(OpBuilder &b, Location loc, Value value, Type type) {
  if (value.getType() == type)
    return value;
  return tensor::CastOp::create(b, loc, type, value);
}

Value moe::withDynamicRows(OpBuilder &b, Location loc, Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<int64_t> shape(type.getShape());
  shape[0] = ShapedType::kDynamic;
  return castTo(b, loc, value, type.clone(shape));
}

Value moe::convertElements(OpBuilder &b, Location loc, Value value,
                           Type element) {
  auto type = cast<RankedTensorType>(value.getType());
  if (type.getElementType() == element)
    return value;
  SmallVector<Value> sizes;
  for (int64_t d = 0; d < type.getRank(); ++d)
    if (type.isDynamicDim(d))
      sizes.push_back(getDim(b, loc, value, d));
  Value empty =
      tensor::EmptyOp::create(b, loc, type.getShape(), element, sizes);
  AffineMap identity = b.getMultiDimIdentityMap(type.getRank());
  bool widen = element.getIntOrFloatBitWidth() >
               type.getElementType().getIntOrFloatBitWidth();
  // bf16 and f16 have the same width and no direct conversion.
  return linalg::GenericOp::create(
             b, loc, empty.getType(), ValueRange{value}, ValueRange{empty},
             ArrayRef<AffineMap>{identity, identity},
             SmallVector<utils::IteratorType>(type.getRank(),
                                              utils::IteratorType::parallel),
             [&](OpBuilder &nb, Location nl, ValueRange args) {
               Value v = widen
                             ? arith::ExtFOp::create(nb, nl, element, args[0])
                                   .getResult()
                             : arith::TruncFOp::create(nb, nl, element, args[0])
                                   .getResult();
               linalg::YieldOp::create(nb, nl, v);
             })
      .getResult(0);
}

Value moe::buildOffset(OpBuilder &b, Location loc, Value list,
                       OpFoldResult at) {
  Value index = getValueOrCreateConstantIndexOp(b, loc, at);
  Value offset = tensor::ExtractOp::create(b, loc, list, index);
  return arith::IndexCastOp::create(b, loc, b.getIndexType(), offset);
}

Value moe::widenElements(OpBuilder &b, Location loc, Value value) {
  Value source = value;
  while (auto cast = source.getDefiningOp<tensor::CastOp>())
    source = cast.getSource();
  auto rounding = source.getDefiningOp<linalg::GenericOp>();
  if (rounding && rounding.getNumDpsInputs() == 1 &&
      isa<arith::TruncFOp>(rounding.getBody()->front())) {
    Value wide = rounding.getInputs().front();
    auto gather = wide.getDefiningOp<moek::GatherOp>();
    if ((gather && !gather.getRowWeights()) ||
        wide.getDefiningOp<moek::GroupedMatmulOp>())
      return wide;
  }
  return convertElements(b, loc, value, b.getF32Type());
}

namespace {

/// Elementwise `body` over `result`, which it gets with its iteration.
Value buildGeneric(OpBuilder &b, Location loc, ValueRange inputs, Value result,
                   ArrayRef<AffineMap> maps,
                   ArrayRef<utils::IteratorType> iterators,
                   function_ref<Value(OpBuilder &, ValueRange)> body) {
  return linalg::GenericOp::create(
             b, loc, TypeRange(result.getType()), inputs, ValueRange(result),
             maps, iterators,
             [&](OpBuilder &nested, Location at, ValueRange args) {
               linalg::YieldOp::create(nested, at, body(nested, args));
             })
      .getResult(0);
}

/// Whether kernels have rows like `value`: floats that they compute in f32.
bool isForKernels(Value value) {
  Type element = getElementTypeOrSelf(value.getType());
  return isa<FloatType>(element) && !element.isF64();
}

struct ConvertDispatch : MoePattern<DispatchOp> {
  using MoePattern::MoePattern;

  /// Kernels move f32; rows of f64 and of integers keep their bits.
  static Value gatherElements(OpBuilder &b, DispatchOp op, Value x,
                              const RoutingParts &routing) {
    Location loc = op.getLoc();
    Type element = op.getX().getType().getElementType();
    int64_t hidden = op.getX().getType().getDimSize(1);
    Value rows = getDim(b, loc, routing.tokens, 0);
    Value out = buildEmptyRows(b, loc, rows, hidden, element);
    // The list has room for every slot; entries beyond the last are no tokens.
    Value used =
        buildOffset(b, loc, routing.offsets,
                    b.getIndexAttr(op.getRouting().getType().getExperts()));
    return buildGeneric(
        b, loc, ValueRange(), out, b.getMultiDimIdentityMap(2),
        {utils::IteratorType::parallel, utils::IteratorType::parallel},
        [&](OpBuilder &nested, ValueRange) {
          Value row = linalg::IndexOp::create(nested, loc, 0);
          Value column = linalg::IndexOp::create(nested, loc, 1);
          Value exists = arith::CmpIOp::create(
              nested, loc, arith::CmpIPredicate::slt, row, used);
          auto branch = scf::IfOp::create(
              nested, loc, exists,
              [&](OpBuilder &then, Location) {
                Value token = buildOffset(then, loc, routing.tokens, row);
                Value value = tensor::ExtractOp::create(
                    then, loc, x, ValueRange{token, column});
                if (op.getWeighted()) {
                  Value weight = tensor::ExtractOp::create(
                      then, loc, routing.rowWeights, row);
                  weight = arith::ExtFOp::create(then, loc, element, weight);
                  value = arith::MulFOp::create(then, loc, value, weight);
                }
                scf::YieldOp::create(then, loc, value);
              },
              [&](OpBuilder &other, Location) {
                Value zero = arith::ConstantOp::create(
                    other, loc, other.getZeroAttr(element));
                scf::YieldOp::create(other, loc, zero);
              });
          return branch.getResult(0);
        });
  }

  LogicalResult matchAndRewrite(DispatchOp op, Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    RoutingParts routing(adaptor.getRouting());
    if (!isForKernels(op.getX())) {
      Value rows = gatherElements(b, op, adaptor.getX().front(), routing);
      b.replaceOp(op, castTo(b, loc, rows, op.getRows().getType()));
      return success();
    }
    Value x = convertElements(b, loc, adaptor.getX().front(), b.getF32Type());
    int64_t hidden = op.getX().getType().getDimSize(1);
    Value rows = getDim(b, loc, routing.tokens, 0);
    Value out = buildEmptyRows(b, loc, rows, hidden, b.getF32Type());
    Value gathered =
        moek::GatherOp::create(b, loc, TypeRange{out.getType()}, x,
                               routing.tokens, routing.offsets,
                               op.getWeighted() ? routing.rowWeights : Value(),
                               ValueRange{out})
            .getResult(0);
    auto type = op.getRows().getType();
    gathered = convertElements(b, loc, gathered, type.getElementType());
    b.replaceOp(op, castTo(b, loc, gathered, type));
    return success();
  }
};

struct ConvertCombine : MoePattern<CombineOp> {
  using MoePattern::MoePattern;

  /// The sum of each token's rows in f64 or integers, in the order of its
  /// slots.
  static Value combineElements(OpBuilder &b, CombineOp op, Value rows,
                               Value init, const RoutingParts &routing) {
    Location loc = op.getLoc();
    Type element = getElementTypeOrSelf(op.getResult().getType());
    int64_t hidden =
        cast<RankedTensorType>(op.getResult().getType()).getDimSize(1);
    Value sum = init;
    if (!sum) {
      Value tokens = getDim(b, loc, routing.positions, 0);
      Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(element));
      Value empty = buildEmptyRows(b, loc, tokens, hidden, element);
      sum = linalg::FillOp::create(b, loc, zero, empty).getResult(0);
    }
    AffineExpr t = b.getAffineDimExpr(0), h = b.getAffineDimExpr(1),
               k = b.getAffineDimExpr(2);
    AffineMap slots = AffineMap::get(3, 0, {t, k}, b.getContext());
    AffineMap out = AffineMap::get(3, 0, {t, h}, b.getContext());
    return buildGeneric(
        b, loc, ValueRange{routing.positions, routing.weights}, sum,
        {slots, slots, out},
        {utils::IteratorType::parallel, utils::IteratorType::parallel,
         utils::IteratorType::reduction},
        [&](OpBuilder &nested, ValueRange args) {
          Value column = linalg::IndexOp::create(nested, loc, 1);
          Value zero = arith::ConstantOp::create(nested, loc,
                                                 nested.getI32IntegerAttr(0));
          Value used = arith::CmpIOp::create(
              nested, loc, arith::CmpIPredicate::sge, args[0], zero);
          auto branch = scf::IfOp::create(
              nested, loc, used,
              [&](OpBuilder &then, Location) {
                Value row = arith::IndexCastOp::create(
                    then, loc, then.getIndexType(), args[0]);
                Value value = tensor::ExtractOp::create(
                    then, loc, rows, ValueRange{row, column});
                if (!op.getUnweighted()) {
                  Value weight =
                      arith::ExtFOp::create(then, loc, element, args[1]);
                  value = arith::MulFOp::create(then, loc, weight, value);
                }
                if (isa<FloatType>(element))
                  value = arith::AddFOp::create(then, loc, args[2], value);
                else
                  value = arith::AddIOp::create(then, loc, args[2], value);
                scf::YieldOp::create(then, loc, value);
              },
              [&](OpBuilder &other, Location) {
                scf::YieldOp::create(other, loc, args[2]);
              });
          return branch.getResult(0);
        });
  }

  LogicalResult matchAndRewrite(CombineOp op, Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    Type f32 = b.getF32Type();
    RoutingParts routing(adaptor.getRouting());
    if (!isForKernels(op.getResult())) {
      Value init;
      if (!adaptor.getInit().empty())
        init = withDynamicRows(b, loc, adaptor.getInit().front());
      Value sum =
          combineElements(b, op, adaptor.getRows().front(), init, routing);
      b.replaceOp(op, castTo(b, loc, sum, op.getResult().getType()));
      return success();
    }
    Value rows = widenElements(b, loc, adaptor.getRows().front());
    Value init;
    if (!adaptor.getInit().empty())
      init = withDynamicRows(
          b, loc, convertElements(b, loc, adaptor.getInit().front(), f32));
    auto type = cast<RankedTensorType>(op.getResult().getType());
    Value tokens = getDim(b, loc, routing.positions, 0);
    Value out = buildEmptyRows(b, loc, tokens, type.getDimSize(1), f32);
    Value sum = moek::CombineOp::create(
                    b, loc, TypeRange{out.getType()}, rows, routing.positions,
                    /*first_row=*/Value(), /*num_rows=*/Value(),
                    op.getUnweighted() ? Value() : routing.weights, init,
                    ValueRange{out})
                    .getResult(0);
    sum = convertElements(b, loc, sum, type.getElementType());
    b.replaceOp(op, castTo(b, loc, sum, type));
    return success();
  }
};

} // namespace

void moe::populateRowPatterns(const TypeConverter &converter,
                              RewritePatternSet &patterns) {
  patterns.add<ConvertDispatch, ConvertCombine>(converter,
                                                patterns.getContext());
}
