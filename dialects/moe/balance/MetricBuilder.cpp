//===- MetricBuilder.cpp - IR that metrics are made of ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// linalg where the loops are over data in order, scf where an expert's number
// says which element changes: counting by comparison would take E times as
// long.
//
//===----------------------------------------------------------------------===//

#include "MetricBuilder.h"

#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

#include <limits>

using namespace mlir;
using namespace moe;

//===----------------------------------------------------------------------===//
// Scalars
//===----------------------------------------------------------------------===//

Value MetricBuilder::index(int64_t value) {
  return arith::ConstantIndexOp::create(*this, value);
}

Value MetricBuilder::i32(int64_t value) {
  return arith::ConstantIntOp::create(*this, getI32Type(), value);
}

Value MetricBuilder::f32(double value) {
  return arith::ConstantOp::create(*this, getF32FloatAttr(value));
}

Value MetricBuilder::toF32(Value value) {
  if (value.getType().isIndex())
    value = arith::IndexCastOp::create(*this, getI64Type(), value);
  return arith::SIToFPOp::create(*this, getF32Type(), value);
}

Value MetricBuilder::add(Value a, Value b) {
  if (isa<FloatType>(a.getType()))
    return arith::AddFOp::create(*this, a, b);
  return arith::AddIOp::create(*this, a, b);
}

Value MetricBuilder::sub(Value a, Value b) {
  if (isa<FloatType>(a.getType()))
    return arith::SubFOp::create(*this, a, b);
  return arith::SubIOp::create(*this, a, b);
}

Value MetricBuilder::mul(Value a, Value b) {
  if (isa<FloatType>(a.getType()))
    return arith::MulFOp::create(*this, a, b);
  return arith::MulIOp::create(*this, a, b);
}

Value MetricBuilder::div(Value a, Value b) {
  return arith::DivFOp::create(*this, a, b);
}

Value MetricBuilder::divByCount(Value a, Value b) {
  return div(a, arith::MaximumFOp::create(*this, b, f32(1.0)));
}

Value MetricBuilder::toTensor(Value scalar) {
  return tensor::FromElementsOp::create(
      *this, RankedTensorType::get({}, scalar.getType()), scalar);
}

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

static AffineMap makeMap(ArrayRef<unsigned> dims, unsigned numLoops,
                         MLIRContext *context) {
  SmallVector<AffineExpr> exprs;
  for (unsigned dim : dims)
    exprs.push_back(getAffineDimExpr(dim, context));
  return AffineMap::get(numLoops, 0, exprs, context);
}

Value MetricBuilder::combineValues(Value a, Value b, Combine combine) {
  if (combine == Combine::Add)
    return add(a, b);
  if (isa<FloatType>(a.getType()))
    return arith::MaximumFOp::create(*this, a, b);
  return arith::MaxSIOp::create(*this, a, b);
}

Value MetricBuilder::map(ArrayRef<Value> inputs,
                         ArrayRef<ArrayRef<unsigned>> maps,
                         ArrayRef<OpFoldResult> shape, Type element,
                         Body body) {
  unsigned numLoops = shape.size();
  SmallVector<AffineMap> all;
  for (ArrayRef<unsigned> dims : maps)
    all.push_back(makeMap(dims, numLoops, getContext()));
  all.push_back(getMultiDimIdentityMap(numLoops));
  SmallVector<utils::IteratorType> iterators(numLoops,
                                             utils::IteratorType::parallel);
  Value out = tensor::EmptyOp::create(*this, shape, element);
  auto generic = linalg::GenericOp::create(
      *this, out.getType(), inputs, out, all, iterators,
      [&](OpBuilder &, Location, ValueRange args) {
        linalg::YieldOp::create(*this, body(args.drop_back()));
      });
  return generic.getResult(0);
}

Value MetricBuilder::reduce(ArrayRef<Value> inputs,
                            ArrayRef<ArrayRef<unsigned>> maps,
                            ArrayRef<unsigned> kept, unsigned numLoops,
                            ArrayRef<OpFoldResult> shape, Type element,
                            Combine combine, Body body) {
  SmallVector<AffineMap> all;
  for (ArrayRef<unsigned> dims : maps)
    all.push_back(makeMap(dims, numLoops, getContext()));
  all.push_back(makeMap(kept, numLoops, getContext()));
  SmallVector<utils::IteratorType> iterators(numLoops,
                                             utils::IteratorType::reduction);
  for (unsigned loop : kept)
    iterators[loop] = utils::IteratorType::parallel;

  TypedAttr start = getZeroAttr(element);
  if (combine == Combine::Max) {
    if (auto type = dyn_cast<FloatType>(element))
      start = getFloatAttr(type, -std::numeric_limits<double>::infinity());
    else
      start = getIntegerAttr(
          element, APInt::getSignedMinValue(element.getIntOrFloatBitWidth()));
  }
  Value empty = tensor::EmptyOp::create(*this, shape, element);
  Value first = arith::ConstantOp::create(*this, start);
  Value out = linalg::FillOp::create(*this, first, empty).getResult(0);
  auto generic = linalg::GenericOp::create(
      *this, out.getType(), inputs, out, all, iterators,
      [&](OpBuilder &, Location, ValueRange args) {
        Value term = body(args.drop_back());
        linalg::YieldOp::create(*this,
                                combineValues(args.back(), term, combine));
      });
  return generic.getResult(0);
}

Value MetricBuilder::reduceAll(ArrayRef<Value> inputs,
                               ArrayRef<ArrayRef<unsigned>> maps,
                               unsigned numLoops, Type element, Combine combine,
                               Body body) {
  Value sum = reduce(inputs, maps, {}, numLoops, {}, element, combine, body);
  return tensor::ExtractOp::create(*this, sum, ValueRange{});
}

Value MetricBuilder::readF32(Value element) {
  Type f32Type = getF32Type();
  unsigned width = element.getType().getIntOrFloatBitWidth();
  if (width > 32)
    return arith::TruncFOp::create(*this, f32Type, element);
  if (width < 32)
    return arith::ExtFOp::create(*this, f32Type, element);
  return element;
}

//===----------------------------------------------------------------------===//
// Routings
//===----------------------------------------------------------------------===//

Value MetricBuilder::numTokens(Value routing) {
  return createOrFold<RoutingNumTokensOp>(routing);
}

Value MetricBuilder::counts(Value routing, Value given) {
  if (given)
    return given;
  int64_t experts = cast<RoutingType>(routing.getType()).getExperts();
  Value offsets = RoutingOffsetsOp::create(
      *this, RankedTensorType::get({experts + 1}, getI32Type()), routing);
  auto part = [&](int64_t begin) -> Value {
    return tensor::ExtractSliceOp::create(
        *this, offsets, ArrayRef<OpFoldResult>{getIndexAttr(begin)},
        ArrayRef<OpFoldResult>{getIndexAttr(experts)},
        ArrayRef<OpFoldResult>{getIndexAttr(1)});
  };
  return map({part(1), part(0)}, {{0}, {0}}, {getIndexAttr(experts)},
             getI32Type(),
             [&](ValueRange args) { return sub(args[0], args[1]); });
}

Value MetricBuilder::countIndices(Value indices, int64_t slots, int64_t experts,
                                  TokenRange range) {
  Value empty = tensor::EmptyOp::create(
      *this, ArrayRef<OpFoldResult>{getIndexAttr(experts)}, getI32Type());
  Value zeros = linalg::FillOp::create(*this, i32(0), empty).getResult(0);
  Value end = add(range.offset, range.size);
  Value one = index(1);
  auto tokenLoop = scf::ForOp::create(
      *this, range.offset, end, one, zeros,
      [&](OpBuilder &, Location, Value token, ValueRange outer) {
        auto slotLoop = scf::ForOp::create(
            *this, index(0), index(slots), one, outer,
            [&](OpBuilder &, Location, Value slot, ValueRange inner) {
              Value expert = tensor::ExtractOp::create(*this, indices,
                                                       ValueRange{token, slot});
              // An unused slot adds 0 to expert 0: no branch.
              Value isUsed = arith::CmpIOp::create(
                  *this, arith::CmpIPredicate::sge, expert, i32(0));
              Value place = arith::IndexCastOp::create(
                  *this, getIndexType(),
                  arith::MaxSIOp::create(*this, expert, i32(0)));
              Value count =
                  tensor::ExtractOp::create(*this, inner.front(), place);
              count = add(count,
                          arith::ExtUIOp::create(*this, getI32Type(), isUsed));
              Value next =
                  tensor::InsertOp::create(*this, count, inner.front(), place);
              scf::YieldOp::create(*this, next);
            });
        scf::YieldOp::create(*this, slotLoop.getResults());
      });
  return tokenLoop.getResult(0);
}

TokenRange MetricBuilder::allRows(Value tensor) {
  return {index(0), createOrFold<tensor::DimOp>(tensor, 0)};
}

Value MetricBuilder::rowsOf(Value tensor, TokenRange range) {
  auto type = cast<RankedTensorType>(tensor.getType());
  SmallVector<OpFoldResult> offsets{range.offset}, sizes{range.size};
  for (int64_t size : type.getShape().drop_front()) {
    offsets.push_back(getIndexAttr(0));
    sizes.push_back(getIndexAttr(size));
  }
  SmallVector<OpFoldResult> strides(offsets.size(), getIndexAttr(1));
  return tensor::ExtractSliceOp::create(*this, tensor, offsets, sizes, strides);
}

Value MetricBuilder::dotCounts(Value counts, Value values) {
  return reduceAll(
      {counts, values}, {{0}, {0}}, 1, getF32Type(), Combine::Add,
      [&](ValueRange args) { return mul(toF32(args[0]), readF32(args[1])); });
}

Value MetricBuilder::total(Value counts) {
  Value sum =
      reduceAll({counts}, {{0}}, 1, getI64Type(), Combine::Add,
                [&](ValueRange args) -> Value {
                  return arith::ExtSIOp::create(*this, getI64Type(), args[0]);
                });
  return toF32(sum);
}

Value MetricBuilder::meanOverGroups(
    Value tensor, int64_t length, llvm::function_ref<Value(TokenRange)> build) {
  TokenRange all = allRows(tensor);
  if (length == 0)
    return build(all);
  Value step = index(length);
  Value one = index(1);
  auto loop = scf::ForOp::create(
      *this, all.offset, all.size, step, ValueRange{f32(0.0), all.offset},
      [&](OpBuilder &, Location, Value begin, ValueRange args) {
        Value left = sub(all.size, begin);
        Value size = arith::MinSIOp::create(*this, left, step);
        Value sum = add(args[0], build({begin, size}));
        scf::YieldOp::create(*this, ValueRange{sum, add(args[1], one)});
      });
  return divByCount(loop.getResult(0), toF32(loop.getResult(1)));
}
