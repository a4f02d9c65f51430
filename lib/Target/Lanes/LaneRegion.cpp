//===- LaneRegion.cpp - Regions of rows, one token a lane ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The body is cut into stages: what a reduction gives is there only after all
// entries were seen once, so its users run in a later loop over the entries.
// Values that a later stage needs are kept in a buffer.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/Lanes/LaneRegion.h"

#include "moe-mlir/Target/Lanes/RegionStages.h"

#include "mlir/Dialect/Utils/StructuredOpsUtils.h"
#include "mlir/Dialect/Vector/Utils/VectorUtils.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace moe;

TypedAttr moe::getIdentity(OpBuilder &b, vector::CombiningKind kind,
                           Type element) {
  using Kind = vector::CombiningKind;
  if (auto floatType = dyn_cast<FloatType>(element)) {
    double inf = std::numeric_limits<double>::infinity();
    bool isMax = kind == Kind::MAXIMUMF || kind == Kind::MAXNUMF;
    double value = kind == Kind::MUL   ? 1.0
                   : kind == Kind::ADD ? -0.0
                   : isMax             ? -inf
                                       : inf;
    return FloatAttr::get(floatType, value);
  }
  unsigned width = element.getIntOrFloatBitWidth();
  APInt value(width, 0);
  switch (kind) {
  case Kind::MUL:
    value = APInt(width, 1);
    break;
  case Kind::AND:
  case Kind::MINUI:
    value = APInt::getAllOnes(width);
    break;
  case Kind::MINSI:
    value = APInt::getSignedMaxValue(width);
    break;
  case Kind::MAXSI:
    value = APInt::getSignedMinValue(width);
    break;
  default:
    break;
  }
  return IntegerAttr::get(element, value);
}

bool moe::canEmitInLanes(Block &body) {
  return llvm::all_of(body.without_terminator(), [](Operation &op) {
    return moek::whyNotOnRows(op).empty();
  });
}

namespace {
class Stages {
public:
  Stages(Block &body, int64_t rows, int64_t lanes,
         ArrayRef<LaneLoader> arguments)
      : body(body), stages(body), rows(rows), lanes(lanes),
        arguments(arguments) {}

  void emit(Emitter &e,
            function_ref<void(Emitter &, unsigned, Value, Value)> store) {
    for (unsigned stage = 0; stage <= stages.getLast(); ++stage)
      emitStage(e, stage, store);
  }

private:
  Block &body;
  RegionStages stages;
  int64_t rows, lanes;
  ArrayRef<LaneLoader> arguments;
  /// Values that are the same for all entries: vectors of lanes.
  DenseMap<Value, Value> uniform;
  /// Buffers of values of earlier stages, and of constants, by entry.
  DenseMap<Value, Value> kept, tables;

  Type laneType(Type type) {
    return VectorType::get({lanes}, getElementTypeOrSelf(type));
  }

  static bool isPerEntry(Value value) {
    return isa<VectorType>(value.getType());
  }

  Value splat(Emitter &e, Attribute element, Type type) {
    auto vector = cast<VectorType>(laneType(type));
    return arith::ConstantOp::create(e,
                                     SplatElementsAttr::get(vector, element));
  }

  /// The lanes of `value`, for `row` if it has entries. `local` holds what this
  /// round of the loop has computed.
  Value read(Emitter &e, Value value, Value row, IRMapping &local) {
    if (Value known = local.lookupOrNull(value))
      return known;
    if (Value known = uniform.lookup(value))
      return known;
    Value result;
    if (auto argument = dyn_cast<BlockArgument>(value)) {
      result = arguments[argument.getArgNumber()](e, row);
    } else if (Value buffer = kept.lookup(value)) {
      result = vector::LoadOp::create(e, laneType(value.getType()), buffer,
                                      ValueRange{row, e.idx(0)});
    } else if (Value table = tables.lookup(value)) {
      result = e.splat(e.load(table, ValueRange{row}),
                       cast<VectorType>(laneType(value.getType())));
    } else {
      llvm_unreachable("a value of this stage is used before it is computed");
    }
    local.map(value, result);
    return result;
  }

  Value emitOp(Emitter &e, Operation &op, Value row, IRMapping &local) {
    if (moek::isRowBroadcast(op))
      return read(e, op.getOperand(0), row, local);
    SmallVector<Value> operands;
    for (Value operand : op.getOperands())
      operands.push_back(read(e, operand, row, local));
    return clone(e, &op, laneType(op.getResult(0).getType()), operands)
        ->getResult(0);
  }

  void emitStage(Emitter &e, unsigned stage,
                 function_ref<void(Emitter &, unsigned, Value, Value)> store) {
    // What is the same for all entries, and what the loop has to make.
    llvm::SetVector<Value> roots;
    SmallVector<vector::ReductionOp> reductions;
    SmallVector<Value> spills;
    IRMapping none;
    for (Operation &op : body.without_terminator()) {
      if (moek::isRowReduction(op)) {
        if (stages.get(op.getResult(0)) == stage + 1) {
          reductions.push_back(cast<vector::ReductionOp>(op));
          roots.insert(op.getOperand(0));
        }
        continue;
      }
      Value result = op.getResult(0);
      if (stages.get(result) != stage)
        continue;
      if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
        emitConstant(e, constant);
        continue;
      }
      // A broadcast is the scalar.
      if (moek::isRowBroadcast(op) || !isPerEntry(result)) {
        uniform[result] = emitOp(e, op, Value(), none);
        continue;
      }
      if (llvm::any_of(op.getUsers(), [&](Operation *user) {
            return !user->hasTrait<OpTrait::IsTerminator>() &&
                   stages.get(user->getResult(0)) -
                           (moek::isRowReduction(*user) ? 1 : 0) >
                       stage;
          })) {
        spills.push_back(result);
        roots.insert(result);
      }
    }
    SmallVector<std::pair<unsigned, Value>> yields;
    for (auto [i, value] : llvm::enumerate(body.getTerminator()->getOperands()))
      if (stages.get(value) == stage) {
        yields.emplace_back(i, value);
        roots.insert(value);
      }
    if (roots.empty())
      return;
    // What they need of this stage.
    llvm::SetVector<Operation *> needed;
    SmallVector<Value> pending(roots.begin(), roots.end());
    while (!pending.empty()) {
      Value value = pending.pop_back_val();
      Operation *def = value.getDefiningOp();
      if (!def || uniform.count(value) || tables.count(value) ||
          kept.count(value) || !needed.insert(def))
        continue;
      llvm::append_range(pending, def->getOperands());
    }
    for (Value value : spills) {
      Type element = getElementTypeOrSelf(value.getType());
      kept[value] = memref::AllocaOp::create(
          e, MemRefType::get({rows, lanes}, element), e.getI64IntegerAttr(64));
    }

    SmallVector<Value> init;
    for (vector::ReductionOp reduction : reductions)
      init.push_back(
          splat(e, getIdentity(e, reduction.getKind(), reduction.getType()),
                reduction.getType()));
    auto loop = scf::ForOp::create(e, e.idx(0), e.idx(rows), e.idx(1), init);
    {
      OpBuilder::InsertionGuard guard(e);
      e.setInsertionPointToStart(loop.getBody());
      Value row = loop.getInductionVar();
      IRMapping local;
      for (Operation &op : body.without_terminator())
        if (needed.contains(&op))
          local.map(op.getResult(0), emitOp(e, op, row, local));
      for (Value value : spills)
        vector::StoreOp::create(e, local.lookup(value), kept.lookup(value),
                                ValueRange{row, e.idx(0)});
      for (auto [i, value] : yields)
        store(e, i, row, read(e, value, row, local));
      SmallVector<Value> next;
      for (auto [reduction, acc] :
           llvm::zip(reductions, loop.getRegionIterArgs()))
        next.push_back(vector::makeArithReduction(
            e, e.getLoc(), reduction.getKind(), acc,
            read(e, reduction.getVector(), row, local)));
      if (!init.empty())
        scf::YieldOp::create(e, next);
    }
    for (auto [reduction, result] : llvm::zip(reductions, loop.getResults()))
      uniform[reduction.getResult()] = result;
  }

  void emitConstant(Emitter &e, arith::ConstantOp constant) {
    Attribute value = constant.getValue();
    auto dense = dyn_cast<DenseElementsAttr>(value);
    if (!dense) {
      uniform[constant] = splat(e, value, constant.getType());
      return;
    }
    if (dense.isSplat()) {
      uniform[constant] =
          splat(e, dense.getSplatValue<Attribute>(), constant.getType());
      return;
    }
    auto type = cast<VectorType>(constant.getType());
    Value table = memref::AllocaOp::create(
        e, MemRefType::get(type.getShape(), type.getElementType()),
        e.getI64IntegerAttr(64));
    Value copy = arith::ConstantOp::create(e, dense);
    vector::StoreOp::create(e, copy, table, ValueRange{e.idx(0)});
    tables[constant] = table;
  }
};
} // namespace

void moe::emitRegionInLanes(
    Emitter &e, Block &body, int64_t rows, int64_t lanes,
    ArrayRef<LaneLoader> arguments,
    function_ref<void(Emitter &, unsigned, Value, Value)> store) {
  Stages(body, rows, lanes, arguments).emit(e, store);
}
