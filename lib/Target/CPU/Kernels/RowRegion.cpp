//===- RowRegion.cpp - Regions of rows, columns in lanes -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What a reduction gives is there only after all columns were seen once, so its
// users run in a later loop. What both loops need is computed in both: a row is
// in the first-level cache, and its values need no buffer then. Only what has
// to be summed in the order of columns is in one, where later loops find it.
//
//===----------------------------------------------------------------------===//

#include "RowRegion.h"

#include "moe-mlir/Target/Lanes/LaneRegion.h"
#include "moe-mlir/Target/Lanes/RegionStages.h"

#include "moe/Rows.h"

#include "mlir/Dialect/Utils/StructuredOpsUtils.h"
#include "mlir/Dialect/Vector/Utils/VectorUtils.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/MapVector.h"

#include <limits>

using namespace mlir;
using namespace moe;

Value moe::emitLoadColumns(Emitter &e, Value matrix, ValueRange row,
                           Columns columns) {
  VectorType type =
      e.vec(kRowLanes, cast<MemRefType>(matrix.getType()).getElementType());
  SmallVector<Value> at(row);
  at.push_back(columns.first);
  if (!columns.mask)
    return vector::LoadOp::create(e, type, matrix, at);
  return vector::MaskedLoadOp::create(e, type, matrix, at, columns.mask,
                                      e.zeros(type));
}

void moe::emitStoreMasked(Emitter &e, Value value, Value matrix, ValueRange row,
                          Columns columns) {
  SmallVector<Value> at(row);
  at.push_back(columns.first);
  if (columns.mask)
    vector::MaskedStoreOp::create(e, matrix, at, columns.mask, value);
  else
    vector::StoreOp::create(e, value, matrix, at);
}

/// Whether `reduction` gives the same bits in whatever order: all but sums and
/// products of floats, unless each term is zero or one same NaN.
static bool isOrderFree(vector::ReductionOp reduction) {
  using Kind = vector::CombiningKind;
  if (!isa<FloatType>(reduction.getType()) ||
      (reduction.getKind() != Kind::ADD && reduction.getKind() != Kind::MUL))
    return true;
  auto choice = reduction.getVector().getDefiningOp<arith::SelectOp>();
  auto isZeroOrNaN = [](Value value) {
    return matchPattern(value, m_PosZeroFloat()) ||
           matchPattern(value, m_NaNFloat());
  };
  return choice && reduction.getKind() == Kind::ADD &&
         isZeroOrNaN(choice.getTrueValue()) &&
         isZeroOrNaN(choice.getFalseValue());
}

/// One op of a region, on values of the row and on vectors of its columns.
static Value emitOp(Emitter &e, Operation &op, ValueRange operands) {
  bool anyVector = llvm::any_of(
      operands, [](Value v) { return isa<VectorType>(v.getType()); });
  SmallVector<Value> own(operands);
  for (Value &operand : own)
    if (anyVector && !isa<VectorType>(operand.getType()))
      operand = e.splat(operand, e.vec(kRowLanes, operand.getType()));
  Type element = getElementTypeOrSelf(op.getResult(0).getType());
  Type type = anyVector ? e.vec(kRowLanes, element) : element;
  return clone(e, &op, type, own)->getResult(0);
}

SmallVector<Value> moe::emitRegionOnElements(Emitter &e, Block &body,
                                             ValueRange arguments) {
  IRMapping map;
  map.map(body.getArguments(), arguments);
  for (Operation &op : body.without_terminator()) {
    if (op.hasTrait<OpTrait::ConstantLike>()) {
      e.clone(op, map);
      continue;
    }
    SmallVector<Value> operands;
    for (Value operand : op.getOperands())
      operands.push_back(map.lookupOrDefault(operand));
    map.map(op.getResult(0), emitOp(e, op, operands));
  }
  SmallVector<Value> yielded;
  for (Value v : body.getTerminator()->getOperands()) {
    Value mapped = map.lookupOrDefault(v);
    if (!isa<VectorType>(mapped.getType()))
      mapped = e.splat(mapped, e.vec(kRowLanes, mapped.getType()));
    yielded.push_back(mapped);
  }
  return yielded;
}

namespace {
class RowEmitter {
public:
  RowEmitter(Block &body, int64_t length, ArrayRef<ColumnLoader> arguments,
             bool inOrder)
      : body(body), stages(body), length(length), arguments(arguments),
        inOrder(inOrder) {}

  void emit(Emitter &e,
            function_ref<void(Emitter &, unsigned, Columns, Value)> store) {
    for (unsigned stage = 0; stage <= stages.getLast(); ++stage)
      emitStage(e, stage, store);
    for (auto [i, value] : llvm::enumerate(body.getTerminator()->getOperands()))
      if (!isa<VectorType>(value.getType())) {
        IRMapping none;
        store(e, i, Columns(), read(e, value, Columns(), none));
      }
  }

private:
  Block &body;
  RegionStages stages;
  int64_t length;
  ArrayRef<ColumnLoader> arguments;
  bool inOrder;
  /// The values of which a row has one, the tables of constant rows, and the
  /// buffers of what was summed in order.
  DenseMap<Value, Value> uniform, tables, summed;

  /// `value` at `columns`. `local` has what is known of these already.
  Value read(Emitter &e, Value value, Columns columns, IRMapping &local) {
    if (Value known = uniform.lookup(value))
      return known;
    if (Value known = local.lookupOrNull(value))
      return known;
    Value result;
    if (Value buffer = summed.lookup(value)) {
      result = emitLoadColumns(e, buffer, {}, {columns.first, Value()});
    } else if (auto argument = dyn_cast<BlockArgument>(value)) {
      result = arguments[argument.getArgNumber()](e, columns);
    } else if (Operation *op = value.getDefiningOp();
               moek::isRowBroadcast(*op)) {
      Value scalar = read(e, op->getOperand(0), columns, local);
      result = inOrder ? scalar
                       : e.splat(scalar, e.vec(kRowLanes, scalar.getType()));
    } else if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
      result = emitConstant(e, constant, columns);
    } else {
      SmallVector<Value> operands;
      for (Value operand : op->getOperands())
        operands.push_back(read(e, operand, columns, local));
      result = emitOp(e, *op, operands);
    }
    local.map(value, result);
    return result;
  }

  Value emitConstant(Emitter &e, arith::ConstantOp constant, Columns columns) {
    auto dense = dyn_cast<DenseElementsAttr>(constant.getValue());
    if (!dense) {
      Value scalar = arith::ConstantOp::create(e, constant.getValue());
      return inOrder ? e.splat(scalar, e.vec(kRowLanes, scalar.getType()))
                     : scalar;
    }
    VectorType type = e.vec(kRowLanes, dense.getElementType());
    if (dense.isSplat())
      return arith::ConstantOp::create(
          e, SplatElementsAttr::get(type, dense.getSplatValue<Attribute>()));
    return emitLoadColumns(e, tables.lookup(constant), e.idx(0), columns);
  }

  /// The columns of a constant row are read from memory.
  void emitTable(Emitter &e, arith::ConstantOp constant) {
    auto dense = dyn_cast<DenseElementsAttr>(constant.getValue());
    if (!dense || dense.isSplat())
      return;
    auto type =
        MemRefType::get({1, dense.getNumElements()}, dense.getElementType());
    Operation *module = SymbolTable::getNearestSymbolTable(constant);
    SymbolTable symbols(module);
    OpBuilder global(module->getContext());
    auto table = memref::GlobalOp::create(
        global, constant.getLoc(), "row_constant",
        global.getStringAttr("private"), type,
        dense.reshape(
            RankedTensorType::get(type.getShape(), type.getElementType())),
        /*constant=*/true, global.getI64IntegerAttr(64));
    symbols.insert(table);
    tables[constant] = memref::GetGlobalOp::create(e, type, table.getSymName());
  }

  void
  emitStage(Emitter &e, unsigned stage,
            function_ref<void(Emitter &, unsigned, Columns, Value)> store) {
    IRMapping none;
    SmallVector<vector::ReductionOp> reductions, ordered;
    for (Operation &op : body.without_terminator()) {
      Value result = op.getResult(0);
      if (auto constant = dyn_cast<arith::ConstantOp>(op);
          constant && stage == 0)
        emitTable(e, constant);
      if (moek::isRowReduction(op)) {
        auto reduction = cast<vector::ReductionOp>(op);
        if (stages.get(result) == stage + 1)
          (inOrder && !isOrderFree(reduction) ? ordered : reductions)
              .push_back(reduction);
        continue;
      }
      if (!isa<VectorType>(result.getType()) && stages.get(result) == stage)
        uniform[result] = read(e, result, Columns(), none);
    }
    SmallVector<std::pair<unsigned, Value>> yields;
    for (auto [i, value] : llvm::enumerate(body.getTerminator()->getOperands()))
      if (isa<VectorType>(value.getType()) && stages.get(value) == stage)
        yields.emplace_back(i, value);
    if (reductions.empty() && ordered.empty() && yields.empty())
      return;
    // Filled by this stage, and read by later ones.
    llvm::MapVector<Value, Value> buffers;
    for (vector::ReductionOp reduction : ordered) {
      Value &buffer = buffers[reduction.getVector()];
      if (!buffer)
        buffer = memref::AllocaOp::create(
            e,
            MemRefType::get(
                {static_cast<int64_t>(llvm::alignTo(length, kRowLanes))},
                reduction.getType()),
            e.getI64IntegerAttr(64));
    }

    auto step = [&](Emitter &e, Columns columns, ValueRange sums) {
      IRMapping local;
      for (auto [i, value] : yields)
        store(e, i, columns, read(e, value, columns, local));
      for (auto [value, buffer] : buffers)
        emitStoreMasked(e, read(e, value, columns, local), buffer, {},
                        {columns.first, Value()});
      SmallVector<Value> next;
      for (auto [reduction, sum] : llvm::zip(reductions, sums)) {
        Value value = read(e, reduction.getVector(), columns, local);
        if (columns.mask)
          value = arith::SelectOp::create(e, columns.mask, value,
                                          emitIdentity(e, reduction));
        next.push_back(vector::makeArithReduction(
            e, e.getLoc(), reduction.getKind(), sum, value));
      }
      return next;
    };
    SmallVector<Value> sums;
    for (vector::ReductionOp reduction : reductions)
      sums.push_back(emitIdentity(e, reduction));
    int64_t whole = length / kRowLanes * kRowLanes;
    if (whole) {
      auto loop =
          scf::ForOp::create(e, e.idx(0), e.idx(whole), e.idx(kRowLanes), sums);
      OpBuilder::InsertionGuard guard(e);
      e.setInsertionPointToStart(loop.getBody());
      SmallVector<Value> next =
          step(e, {loop.getInductionVar(), Value()}, loop.getRegionIterArgs());
      if (!sums.empty())
        scf::YieldOp::create(e, next);
      sums.assign(loop.getResults().begin(), loop.getResults().end());
    }
    if (whole < length) {
      Value mask =
          vector::CreateMaskOp::create(e, e.vec(kRowLanes, e.getI1Type()),
                                       ValueRange{e.idx(length - whole)});
      sums = step(e, {e.idx(whole), mask}, sums);
    }
    for (auto [reduction, sum] : llvm::zip(reductions, sums)) {
      vector::CombiningKind kind = reduction.getKind();
      // The order within the last vector is the target's, the same for all
      // rows.
      if (!inOrder) {
        uniform[reduction.getResult()] = vector::ReductionOp::create(
            e, kind, sum, arith::FastMathFlags::reassoc);
        continue;
      }
      uniform[reduction.getResult()] =
          buildAcrossLanes(e, e.getLoc(), sum, [&](Value x, Value y) {
            return vector::makeArithReduction(e, e.getLoc(), kind, x, y);
          });
    }
    for (auto [value, buffer] : buffers)
      summed[value] = buffer;
    for (vector::ReductionOp reduction : ordered)
      uniform[reduction.getResult()] = emitSumInOrder(e, reduction);
  }

  /// The sum of a buffer, one column after another, in every lane.
  Value emitSumInOrder(Emitter &e, vector::ReductionOp reduction) {
    Value buffer = summed.lookup(reduction.getVector());
    Type element = reduction.getType();
    auto add = [&](Value sum, Value first, int64_t columns) {
      for (int64_t i = 0; i < columns; ++i)
        sum = vector::makeArithReduction(
            e, e.getLoc(), reduction.getKind(), sum,
            e.load(buffer, ValueRange{e.add(first, i)}));
      return sum;
    };
    Value sum = arith::ConstantOp::create(
        e, getIdentity(e, reduction.getKind(), element));
    int64_t whole = length / kRowLanes * kRowLanes;
    if (whole) {
      auto loop =
          scf::ForOp::create(e, e.idx(0), e.idx(whole), e.idx(kRowLanes), sum);
      OpBuilder::InsertionGuard guard(e);
      e.setInsertionPointToStart(loop.getBody());
      scf::YieldOp::create(
          e, add(loop.getRegionIterArg(0), loop.getInductionVar(), kRowLanes));
      sum = loop.getResult(0);
    }
    sum = add(sum, e.idx(whole), length - whole);
    return e.splat(sum, e.vec(kRowLanes, element));
  }

  Value emitIdentity(Emitter &e, vector::ReductionOp reduction) {
    Type element = reduction.getType();
    return arith::ConstantOp::create(
        e, SplatElementsAttr::get(
               e.vec(kRowLanes, element),
               Attribute(getIdentity(e, reduction.getKind(), element))));
  }
};
} // namespace

void moe::emitRegionOnRow(
    Emitter &e, Block &body, int64_t length, ArrayRef<ColumnLoader> arguments,
    function_ref<void(Emitter &, unsigned, Columns, Value)> store) {
  RowEmitter(body, length, arguments, /*inOrder=*/false).emit(e, store);
}

void moe::emitRegionInOrder(
    Emitter &e, Block &body, int64_t length, ArrayRef<ColumnLoader> arguments,
    function_ref<void(Emitter &, unsigned, Columns, Value)> store) {
  RowEmitter(body, length, arguments, /*inOrder=*/true).emit(e, store);
}
