//===- StableHLO.cpp - stablehlo and chlo upstream ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What JAX, Keras, PyTorch/XLA and torch-mlir write around MoE layers. Gathers,
// scatters and sorts are in StableHLOIndexing.cpp. Semantics: the StableHLO
// specification, version 1.
//
//===----------------------------------------------------------------------===//

#include "StableHLO.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace moe::raise;

//===----------------------------------------------------------------------===//
// Scalars
//===----------------------------------------------------------------------===//

/// `FloatOp`, or `IntOp` on integers.
template <typename FloatOp, typename IntOp>
static Value numeric(ForeignOp &op, OpBuilder &b, ValueRange v) {
  if (isa<FloatType>(v[0].getType()))
    return FloatOp::create(b, op.getLoc(), v);
  return IntOp::create(b, op.getLoc(), v);
}

template <typename Op>
static Value floatOnly(ForeignOp &op, OpBuilder &b, ValueRange v) {
  if (!isa<FloatType>(v[0].getType()))
    return {};
  return Op::create(b, op.getLoc(), v);
}

template <typename Op>
static Value integerOnly(ForeignOp &op, OpBuilder &b, ValueRange v) {
  if (isa<FloatType>(v[0].getType()))
    return {};
  return Op::create(b, op.getLoc(), v);
}

static Value number(ForeignOp &op, OpBuilder &b, Type type, double value) {
  Upstream upstream(b, op.getLoc());
  return upstream.scalar(type, value);
}

static Value negate(ForeignOp &op, OpBuilder &b, ValueRange v) {
  if (isa<FloatType>(v[0].getType()))
    return arith::NegFOp::create(b, op.getLoc(), v[0]);
  return arith::SubIOp::create(b, op.getLoc(), number(op, b, v[0].getType(), 0),
                               v[0]);
}

static Value logistic(ForeignOp &op, OpBuilder &b, ValueRange v) {
  if (!isa<FloatType>(v[0].getType()))
    return {};
  return Upstream(b, op.getLoc()).sigmoid(v[0]);
}

/// -1, 0 or 1; NaN and zeros as they are.
static Value sign(ForeignOp &op, OpBuilder &b, ValueRange v) {
  Type type = v[0].getType();
  Location loc = op.getLoc();
  Value zero = number(op, b, type, 0), one = number(op, b, type, 1),
        minus = number(op, b, type, -1);
  Value above, below;
  if (isa<FloatType>(type)) {
    above =
        arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGT, v[0], zero);
    below =
        arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OLT, v[0], zero);
  } else {
    above =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sgt, v[0], zero);
    below =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, v[0], zero);
  }
  Value rest = arith::SelectOp::create(b, loc, below, minus, v[0]);
  return arith::SelectOp::create(b, loc, above, one, rest);
}

static Value compare(ForeignOp &op, OpBuilder &b, ValueRange v) {
  StringRef direction = op.getKeyword("comparison_direction");
  int which = llvm::StringSwitch<int>(direction)
                  .Case("EQ", 0)
                  .Case("NE", 1)
                  .Case("LT", 2)
                  .Case("LE", 3)
                  .Case("GT", 4)
                  .Case("GE", 5)
                  .Default(-1);
  if (which < 0)
    return {};
  if (isa<FloatType>(v[0].getType())) {
    static const arith::CmpFPredicate floats[] = {
        arith::CmpFPredicate::OEQ, arith::CmpFPredicate::UNE,
        arith::CmpFPredicate::OLT, arith::CmpFPredicate::OLE,
        arith::CmpFPredicate::OGT, arith::CmpFPredicate::OGE};
    return arith::CmpFOp::create(b, op.getLoc(), floats[which], v[0], v[1]);
  }
  static const arith::CmpIPredicate integers[] = {
      arith::CmpIPredicate::eq,  arith::CmpIPredicate::ne,
      arith::CmpIPredicate::slt, arith::CmpIPredicate::sle,
      arith::CmpIPredicate::sgt, arith::CmpIPredicate::sge};
  static const arith::CmpIPredicate bits[] = {
      arith::CmpIPredicate::eq,  arith::CmpIPredicate::ne,
      arith::CmpIPredicate::ult, arith::CmpIPredicate::ule,
      arith::CmpIPredicate::ugt, arith::CmpIPredicate::uge};
  bool isUnsigned = v[0].getType().isInteger(1) ||
                    (op.getKeyword("compare_type") == "UNSIGNED" &&
                     v[0].getType().getIntOrFloatBitWidth() == 64);
  return arith::CmpIOp::create(
      b, op.getLoc(), (isUnsigned ? bits : integers)[which], v[0], v[1]);
}

static Value select(ForeignOp &op, OpBuilder &b, ValueRange v) {
  return arith::SelectOp::create(b, op.getLoc(), v[0], v[1], v[2]);
}

/// clamp(low, x, high).
static Value clamp(ForeignOp &op, OpBuilder &b, ValueRange v) {
  Value atLeast =
      numeric<arith::MaximumFOp, arith::MaxSIOp>(op, b, {v[1], v[0]});
  return numeric<arith::MinimumFOp, arith::MinSIOp>(op, b, {atLeast, v[2]});
}

static Value negated(ForeignOp &op, OpBuilder &b, ValueRange v) {
  Type type = v[0].getType();
  if (isa<FloatType>(type))
    return {};
  Value ones = number(op, b, type, type.isInteger(1) ? 1 : -1);
  return arith::XOrIOp::create(b, op.getLoc(), v[0], ones);
}

//===----------------------------------------------------------------------===//
// Tensors
//===----------------------------------------------------------------------===//

Type moe::raise::getSignless(Type element) {
  if (!element.isUnsignedInteger())
    return element;
  // What it can hold shows in a wider type of signed numbers.
  unsigned width = element.getIntOrFloatBitWidth();
  return IntegerType::get(element.getContext(), std::min(2 * width, 64u));
}

Sizes moe::raise::getStaticSizes(RankedTensorType type) {
  Builder b(type.getContext());
  Sizes sizes;
  for (int64_t size : type.getShape())
    sizes.push_back(b.getIndexAttr(size));
  return sizes;
}

LogicalResult moe::raise::needStatic(ForeignOp &op) {
  RankedTensorType type = op.getResultType();
  if (type && type.hasStaticShape())
    return success();
  return op.leave("its result has a size that is known at run time only");
}

static LogicalResult constant(ForeignOp &op) {
  auto value = dyn_cast_or_null<ElementsAttr>(op.getAttr("value"));
  if (!value || !op.getResultType())
    return op.leave("its value is no dense constant");
  Type element = value.getElementType(), signless = getSignless(element);
  auto dense = dyn_cast<DenseElementsAttr>(value);
  if (signless != element) {
    auto integers = dyn_cast<DenseIntElementsAttr>(value);
    if (!integers)
      return op.leave("its value is no dense constant");
    unsigned width = signless.getIntOrFloatBitWidth();
    dense = integers.mapValues(
        signless, [&](const APInt &number) { return number.zext(width); });
  }
  TypedAttr typed = dense ? TypedAttr(dense) : TypedAttr(value);
  Value result =
      arith::ConstantOp::create(op.upstream.getBuilder(), op.getLoc(), typed);
  return op.replace(result);
}

static LogicalResult convert(ForeignOp &op) {
  return op.replace(
      op.upstream.cast(op.getOperand(0), getSignless(op.getElementType())));
}

static LogicalResult reshape(ForeignOp &op) {
  if (failed(needStatic(op)))
    return failure();
  return op.replace(op.upstream.reshape(op.getOperand(0),
                                        getStaticSizes(op.getResultType())));
}

static LogicalResult broadcastInDim(ForeignOp &op) {
  auto dims = op.getInts("broadcast_dimensions");
  if (!dims || failed(needStatic(op)))
    return failure();
  return op.replace(op.upstream.broadcast(
      op.getOperand(0), getStaticSizes(op.getResultType()), *dims));
}

static LogicalResult transpose(ForeignOp &op) {
  auto permutation = op.getInts("permutation");
  if (!permutation)
    return op.leave("it has no permutation");
  return op.replace(op.upstream.transpose(op.getOperand(0), *permutation));
}

static LogicalResult iota(ForeignOp &op) {
  auto dim = op.getInt("iota_dimension");
  if (!dim || failed(needStatic(op)))
    return failure();
  return op.replace(op.upstream.iota(getStaticSizes(op.getResultType()), *dim,
                                     getSignless(op.getElementType())));
}

static LogicalResult slice(ForeignOp &op) {
  auto starts = op.getInts("start_indices"),
       limits = op.getInts("limit_indices"), strides = op.getInts("strides");
  if (!starts || !limits || !strides || failed(needStatic(op)))
    return op.leave("its bounds are no constants");
  Builder &b = op.upstream.getBuilder();
  Sizes offsets;
  for (int64_t start : *starts)
    offsets.push_back(b.getIndexAttr(start));
  return op.replace(op.upstream.slice(
      op.getOperand(0), offsets, getStaticSizes(op.getResultType()), *strides));
}

static LogicalResult concatenate(ForeignOp &op) {
  auto dim = op.getInt("dimension");
  if (!dim)
    return op.leave("it has no dimension");
  return op.replace(op.upstream.concat(op.getOperands(), *dim));
}

static LogicalResult dotGeneral(ForeignOp &op) {
  StringRef numbers = "dot_dimension_numbers";
  ContractionDims dims;
  dims.lhsBatch = op.getField(numbers, "lhs_batching_dimensions");
  dims.rhsBatch = op.getField(numbers, "rhs_batching_dimensions");
  dims.lhsContracting = op.getField(numbers, "lhs_contracting_dimensions");
  dims.rhsContracting = op.getField(numbers, "rhs_contracting_dimensions");
  if (dims.lhsBatch.size() != dims.rhsBatch.size() ||
      dims.lhsContracting.size() != dims.rhsContracting.size())
    return op.leave("its dimension numbers do not fit");
  Type element = op.getElementType();
  Value lhs = op.upstream.cast(op.getOperand(0), element);
  Value rhs = op.upstream.cast(op.getOperand(1), element);
  return op.replace(op.upstream.contract(lhs, rhs, dims));
}

static LogicalResult reduce(ForeignOp &op) {
  auto dims = op.getInts("dimensions");
  if (!dims || op.getOperation()->getNumRegions() != 1)
    return op.leave("it has no dimensions");
  if (op.getNumOperands() == 4)
    return convertArgMax(op, *dims);
  if (op.getNumOperands() != 2)
    return op.leave("it reduces several tensors at once");
  Value init = op.upstream.extractOnly(op.getOperand(1));
  bool isGood = true;
  Value result = op.upstream.reduce(
      op.getOperand(0), init, *dims, [&](OpBuilder &b, ValueRange v) {
        // The accumulator first, as in the text.
        auto values =
            op.inlineScalars(op.getOperation()->getRegion(0), b, {v[1], v[0]});
        isGood &= succeeded(values) && values->size() == 1;
        return isGood ? values->front() : v[1];
      });
  if (isGood)
    return op.replace(result);
  result.getDefiningOp()->erase();
  return op.leave("nothing is known of an op in its region");
}

/// Only running sums: a window of all that is before an element.
static LogicalResult reduceWindow(ForeignOp &op) {
  auto window = op.getInts("window_dimensions"),
       padding = op.getInts("padding"), strides = op.getInts("window_strides"),
       base = op.getInts("base_dilations"),
       dilations = op.getInts("window_dilations");
  RankedTensorType type = op.getResultType();
  if (!window || !padding || op.getNumOperands() != 2 ||
      failed(needStatic(op)) || op.getOperation()->getNumRegions() != 1)
    return op.leave("its window is no constant");
  auto isOnes = [](std::optional<SmallVector<int64_t>> &values) {
    return !values || llvm::all_of(*values, [](int64_t v) { return v == 1; });
  };
  std::optional<int64_t> dim;
  bool isRunning = isOnes(strides) && isOnes(base) && isOnes(dilations);
  for (int64_t d = 0; d < type.getRank(); ++d) {
    int64_t low = (*padding)[2 * d], high = (*padding)[2 * d + 1];
    if ((*window)[d] == 1 && low == 0 && high == 0)
      continue;
    isRunning &= !dim && (*window)[d] == type.getDimSize(d) &&
                 low == (*window)[d] - 1 && high == 0;
    dim = d;
  }
  Block &body = op.getOperation()->getRegion(0).front();
  isRunning &= dim && llvm::hasSingleElement(getBodyOps(body)) &&
               body.front().getName().getStringRef() == "stablehlo.add";
  if (!isRunning)
    return op.leave("only windows that sum all elements up to each are known");
  return op.replace(op.upstream.runningSum(op.getOperand(0), *dim));
}

static LogicalResult forward(ForeignOp &op) {
  return op.replace(op.getOperands());
}

void moe::raise::addStableHLO(ForeignTable &table) {
  for (StringRef dialect : {"stablehlo", "chlo"})
    table.addDialect(dialect);

  using namespace arith;
  table.addScalar("stablehlo.add", numeric<AddFOp, AddIOp>);
  table.addScalar("stablehlo.subtract", numeric<SubFOp, SubIOp>);
  table.addScalar("stablehlo.multiply", numeric<MulFOp, MulIOp>);
  table.addScalar("stablehlo.divide", numeric<DivFOp, DivSIOp>);
  table.addScalar("stablehlo.remainder", numeric<RemFOp, RemSIOp>);
  table.addScalar("stablehlo.maximum", numeric<MaximumFOp, MaxSIOp>);
  table.addScalar("stablehlo.minimum", numeric<MinimumFOp, MinSIOp>);
  table.addScalar("stablehlo.power", floatOnly<math::PowFOp>);
  table.addScalar("stablehlo.exponential", floatOnly<math::ExpOp>);
  table.addScalar("stablehlo.exponential_minus_one", floatOnly<math::ExpM1Op>);
  table.addScalar("stablehlo.log", floatOnly<math::LogOp>);
  table.addScalar("stablehlo.log_plus_one", floatOnly<math::Log1pOp>);
  table.addScalar("stablehlo.sqrt", floatOnly<math::SqrtOp>);
  table.addScalar("stablehlo.rsqrt", floatOnly<math::RsqrtOp>);
  table.addScalar("stablehlo.tanh", floatOnly<math::TanhOp>);
  table.addScalar("stablehlo.cosine", floatOnly<math::CosOp>);
  table.addScalar("stablehlo.sine", floatOnly<math::SinOp>);
  table.addScalar("stablehlo.floor", floatOnly<math::FloorOp>);
  table.addScalar("stablehlo.ceil", floatOnly<math::CeilOp>);
  table.addScalar("stablehlo.round_nearest_even", floatOnly<math::RoundEvenOp>);
  table.addScalar("stablehlo.abs", numeric<math::AbsFOp, math::AbsIOp>);
  table.addScalar("chlo.erf", floatOnly<math::ErfOp>);
  table.addScalar("stablehlo.negate", negate);
  table.addScalar("stablehlo.logistic", logistic);
  table.addScalar("stablehlo.sign", sign);
  table.addScalar("stablehlo.compare", compare);
  table.addScalar("stablehlo.select", select);
  table.addScalar("stablehlo.clamp", clamp);
  table.addScalar("stablehlo.and", integerOnly<AndIOp>);
  table.addScalar("stablehlo.or", integerOnly<OrIOp>);
  table.addScalar("stablehlo.xor", integerOnly<XOrIOp>);
  table.addScalar("stablehlo.not", negated);

  table.add("stablehlo.constant", constant);
  table.add("stablehlo.convert", convert);
  table.add("stablehlo.reshape", reshape);
  table.add("stablehlo.broadcast_in_dim", broadcastInDim);
  table.add("stablehlo.transpose", transpose);
  table.add("stablehlo.iota", iota);
  table.add("stablehlo.slice", slice);
  table.add("stablehlo.concatenate", concatenate);
  table.add("stablehlo.dot_general", dotGeneral);
  table.add("stablehlo.reduce", reduce);
  table.add("stablehlo.reduce_window", reduceWindow);
  table.add("stablehlo.optimization_barrier", forward);
  addStableHLOIndexing(table);
}
