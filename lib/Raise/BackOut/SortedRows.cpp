//===- SortedRows.cpp - Layers on rows sorted by expert ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// As many rows as there are assignments, and a loop over experts: any body, and
// no work but that of the assignments, for dynamic sizes.
//
//===----------------------------------------------------------------------===//

#include "BackOut.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace moe;
using namespace moe::raise;

using IntPredicate = arith::CmpIPredicate;

Type raise::getSumType(Type element) {
  return isa<FloatType>(element) && element.getIntOrFloatBitWidth() < 32
             ? Type(Float32Type::get(element.getContext()))
             : element;
}

Value raise::weighElement(Upstream &up, Value weight, Value element) {
  Type type = getSumType(element.getType());
  element = up.castScalar(element, type);
  if (!weight)
    return element;
  return arith::MulFOp::create(up.getBuilder(), up.getLoc(),
                               up.castScalar(weight, type), element);
}

Value raise::finishCombine(Upstream &up, CombineOp op, Value sums) {
  Location loc = up.getLoc();
  Type sumType = Upstream::typeOf(sums).getElementType();
  if (op.getInit())
    sums = up.elementwise({sums, op.getInit()}, sumType,
                          [&](OpBuilder &b, ValueRange v) -> Value {
                            Value init =
                                Upstream(b, loc).castScalar(v[1], sumType);
                            if (isa<FloatType>(sumType))
                              return arith::AddFOp::create(b, loc, v[0], init);
                            return arith::AddIOp::create(b, loc, v[0], init);
                          });
  return up.cast(sums, op.getResult().getType().getElementType());
}

Value raise::writeSortedDispatch(Upstream &up, DispatchOp op,
                                 const RoutingTensors &routing) {
  Location loc = up.getLoc();
  RankedTensorType type = op.getX().getType();
  Type element = type.getElementType();
  SmallVector<Value> inputs = {routing.tokens};
  if (op.getWeighted())
    inputs.push_back(routing.rowWeights);
  SmallVector<AffineMap> maps(inputs.size(), readDims(up, 2, {0}));
  Sizes sizes = {routing.numRows, up.sizesOf(op.getX())[1]};
  return up.map(
      inputs, maps, sizes, element, [&](OpBuilder &b, ValueRange v) -> Value {
        Upstream scalars(b, loc);
        Value token = scalars.castScalar(v[0], b.getIndexType());
        Value x = tensor::ExtractOp::create(
            b, loc, op.getX(), ValueRange{token, loopIndex(b, loc, 1)});
        if (!op.getWeighted())
          return x;
        return scalars.castScalar(weighElement(scalars, v[1], x), element);
      });
}

Value raise::writeSortedCombine(Upstream &up, CombineOp op,
                                const RoutingTensors &routing) {
  Location loc = up.getLoc();
  Type element = op.getRows().getType().getElementType();
  Type sumType = getSumType(element);
  Sizes sizes = {up.sizesOf(routing.indices)[0], up.sizesOf(op.getRows())[1]};
  AffineMap slot = readDims(up, 3, {0, 2});
  SmallVector<Value> inputs = {routing.positions};
  if (!op.getUnweighted())
    inputs.push_back(routing.weights);
  // Without rows there is nothing that a position could be clamped to.
  Value rows = op.getRows();
  Value sums = sumTerms(
      up, sizes, inputs, SmallVector<AffineMap>(inputs.size(), slot), sumType,
      [&](OpBuilder &b, ValueRange v) -> Value {
        Value zero = Upstream(b, loc).scalar(v[0].getType(), 0);
        Value isUsed =
            arith::CmpIOp::create(b, loc, IntPredicate::sge, v[0], zero);
        Value column = loopIndex(b, loc, 1);
        auto choice = scf::IfOp::create(
            b, loc, isUsed,
            [&](OpBuilder &inner, Location) {
              Upstream scalars(inner, loc);
              Value row = scalars.castScalar(v[0], inner.getIndexType());
              Value y = tensor::ExtractOp::create(inner, loc, rows,
                                                  ValueRange{row, column});
              scf::YieldOp::create(
                  inner, loc,
                  weighElement(scalars, v.size() > 1 ? v[1] : Value(), y));
            },
            [&](OpBuilder &inner, Location) {
              scf::YieldOp::create(inner, loc,
                                   Upstream(inner, loc).scalar(sumType, 0));
            });
        return choice.getResult(0);
      });
  return finishCombine(up, op, sums);
}

//===----------------------------------------------------------------------===//
// Experts
//===----------------------------------------------------------------------===//

/// Rows `begin` to `begin + count` of a matrix.
static Value sliceRows(Upstream &up, Value rows, OpFoldResult begin,
                       OpFoldResult count) {
  OpBuilder &b = up.getBuilder();
  return up.slice(rows, {begin, b.getIndexAttr(0)},
                  {count, up.sizesOf(rows)[1]}, {1, 1});
}

/// Row after row: each state from the one before it, or from where its sequence
/// begins.
static Value writeScan(Upstream &up, ScanOp op, IRMapping &map);

/// Clones the ops of a body; the value that it yields.
static Value cloneBodyOps(Upstream &up, Block &body, IRMapping &map) {
  OpBuilder &b = up.getBuilder();
  for (Operation &op : body.without_terminator()) {
    if (auto scan = dyn_cast<ScanOp>(op))
      map.map(scan.getStates(), writeScan(up, scan, map));
    else
      b.clone(op, map);
  }
  return map.lookupOrDefault(body.getTerminator()->getOperand(0));
}

static Value castTo(Upstream &up, Type type, Value value) {
  if (value.getType() == type)
    return value;
  return tensor::CastOp::create(up.getBuilder(), up.getLoc(), type, value);
}

static Value writeScan(Upstream &up, ScanOp op, IRMapping &outer) {
  Location loc = op.getLoc();
  OpBuilder &builder = up.getBuilder();
  auto find = [&](Value value) { return outer.lookupOrDefault(value); };
  Value rows = find(op.getRows()), sequences = find(op.getSequences());
  Value init = op.getInit() ? find(op.getInit()) : Value();
  RankedTensorType type = op.getStates().getType();
  Sizes sizes = {up.sizesOf(rows)[0], builder.getIndexAttr(type.getDimSize(1))};
  Type index = builder.getIndexType();
  Value zero = up.scalar(index, 0), one = up.scalar(index, 1);
  Value count = getValueOrCreateConstantIndexOp(builder, loc, sizes[0]);
  Value start = up.empty(sizes, type.getElementType());
  OpFoldResult single = builder.getIndexAttr(1);
  auto loop = scf::ForOp::create(
      builder, loc, zero, count, one, start,
      [&](OpBuilder &b, Location, Value a, ValueRange states) {
        Upstream inner(b, loc);
        // Row 0 has none before it, and is not asked of.
        Value isLater =
            arith::CmpIOp::create(b, loc, IntPredicate::ugt, a, zero);
        Value previous = arith::SubIOp::create(b, loc, a, one);
        previous = arith::MaxSIOp::create(b, loc, previous, zero);
        auto number = [&](Value row) -> Value {
          return tensor::ExtractOp::create(b, loc, sequences,
                                           ValueRange{row, zero});
        };
        Value isSame = arith::CmpIOp::create(b, loc, IntPredicate::eq,
                                             number(a), number(previous));
        Value goesOn = arith::AndIOp::create(b, loc, isLater, isSame);
        Value first = init ? sliceRows(inner, init, a, single)
                           : inner.fill({single, sizes[1]},
                                        inner.scalar(type.getElementType(), 0));
        Value before = sliceRows(inner, states[0], previous, single);
        Value state = arith::SelectOp::create(
            b, loc, goesOn, before, castTo(inner, before.getType(), first));
        IRMapping map(outer);
        Block &body = op.getBody().front();
        Value row = sliceRows(inner, rows, a, single);
        map.map(body.getArgument(0),
                castTo(inner, body.getArgument(0).getType(), row));
        map.map(body.getArgument(1),
                castTo(inner, body.getArgument(1).getType(), state));
        Value next = cloneBodyOps(inner, body, map);
        OpFoldResult unit = b.getIndexAttr(1);
        next = castTo(inner,
                      RankedTensorType::get({1, type.getDimSize(1)},
                                            type.getElementType()),
                      next);
        Value all = tensor::InsertSliceOp::create(
            b, loc, next, states[0], Sizes{a, b.getIndexAttr(0)},
            Sizes{single, sizes[1]}, Sizes{unit, unit});
        scf::YieldOp::create(b, loc, all);
      });
  return castTo(up, type, loop.getResult(0));
}

FailureOr<Value> raise::writeSortedExpert(Upstream &up, ExpertOp op,
                                          const RoutingTensors &routing) {
  Location loc = up.getLoc();
  OpBuilder &builder = up.getBuilder();
  Type index = builder.getIndexType();
  RankedTensorType type = op.getResult().getType();
  if (type.isDynamicDim(1))
    return op.emitOpError("has results of a dynamic width, which no tensor of "
                          "all rows can be made for");
  Value one = up.scalar(index, 1);
  Value out =
      up.empty({routing.numRows, builder.getIndexAttr(type.getDimSize(1))},
               type.getElementType());
  for (unsigned g = 0; g < op.getNumGroups(); ++g) {
    Value begin = up.scalar(index, op.getGroupBegin(g));
    Value end = up.scalar(index, op.getGroupEnd(g));
    auto loop = scf::ForOp::create(
        builder, loc, begin, end, one, out,
        [&](OpBuilder &b, Location, Value e, ValueRange carried) {
          Upstream inner(b, loc);
          auto offset = [&](Value expert) {
            Value number =
                tensor::ExtractOp::create(b, loc, routing.offsets, expert);
            return inner.castScalar(number, index);
          };
          Value first = offset(e);
          Value next = offset(arith::AddIOp::create(b, loc, e, one));
          Value count = arith::SubIOp::create(b, loc, next, first);
          Block &body = op.getGroupBody(g);
          IRMapping map;
          auto set = [&](Value argument, Value value) {
            map.map(argument, castTo(inner, argument.getType(), value));
          };
          set(body.getArgument(0),
              sliceRows(inner, op.getRows(), first, count));
          Value own = arith::SubIOp::create(b, loc, e, begin);
          for (auto [argument, weight] : llvm::zip_equal(
                   op.getWeightArguments(g), op.getGroupWeights(g))) {
            Sizes sizes = inner.sizesOf(weight);
            sizes[0] = b.getIndexAttr(1);
            Sizes offsets(sizes.size(), b.getIndexAttr(0)),
                strides(sizes.size(), b.getIndexAttr(1));
            offsets[0] = own;
            map.map(argument,
                    tensor::ExtractSliceOp::create(
                        b, loc, cast<RankedTensorType>(argument.getType()),
                        weight, offsets, sizes, strides));
          }
          for (auto [argument, other] :
               llvm::zip_equal(op.getOtherArguments(g), op.getOthers()))
            set(argument, sliceRows(inner, other, first, count));
          Value yielded = cloneBodyOps(inner, body, map);
          Value all = tensor::InsertSliceOp::create(
              b, loc, yielded, carried[0], Sizes{first, b.getIndexAttr(0)},
              Sizes{count, b.getIndexAttr(type.getDimSize(1))},
              Sizes{b.getIndexAttr(1), b.getIndexAttr(1)});
          scf::YieldOp::create(b, loc, all);
        });
    out = loop.getResult(0);
  }
  return out;
}
