//===- TeamVectors.cpp - Vectors whose elements lanes share -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "TeamVectors.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace moe::gpu;

static int64_t getSize(Type type) {
  auto vector = dyn_cast<VectorType>(type);
  return vector ? TeamVectors::getNumRegisters(vector.getNumElements()) : 1;
}

LogicalResult TeamVectors::emit(Block &block) {
  for (Operation &op : block.without_terminator())
    if (failed(emit(&op)))
      return failure();
  return success();
}

LogicalResult TeamVectors::emit(Operation *op) {
  for (Type type : op->getResultTypes())
    if (auto vector = dyn_cast<VectorType>(type))
      if (vector.getRank() != 1 || vector.isScalable())
        return op->emitOpError("makes a vector that the lanes of a team cannot "
                               "share: ")
               << type;
  if (auto constant = dyn_cast<arith::ConstantOp>(op))
    return emitConstant(constant);
  if (auto reduction = dyn_cast<vector::ReductionOp>(op))
    return emitReduction(reduction);
  if (auto loop = dyn_cast<scf::ForOp>(op))
    return emitLoop(loop);
  if (auto broadcast = dyn_cast<vector::BroadcastOp>(op)) {
    Value source = broadcast.getSource();
    if (!isa<VectorType>(source.getType())) {
      set(op->getResult(0), Registers(getSize(op->getResult(0).getType()),
                                      registers[source].front()));
      return success();
    }
  }
  if (auto insert = dyn_cast<vector::InsertOp>(op)) {
    if (!isa<VectorType>(insert.getValueToStore().getType())) {
      Value at = getPosition(insert.getMixedPosition().front());
      Value value = registers[insert.getValueToStore()].front();
      Registers result = registers[insert.getDest()];
      for (auto [i, own] : llvm::enumerate(result))
        own = code.select(
            code.compare(arith::CmpIPredicate::eq, getElement(i), at), value,
            own);
      set(insert.getResult(), result);
      return success();
    }
  }
  if (auto extract = dyn_cast<vector::ExtractOp>(op)) {
    if (!isa<VectorType>(extract.getResult().getType()) &&
        !extract.getResult().getType().isInteger(1)) {
      Value at = getPosition(extract.getMixedPosition().front());
      Registers source = registers[extract.getSource()];
      Value own = source.front(), which = code.shr(at, 5);
      for (int64_t i = 1; i < int64_t(source.size()); ++i)
        own = code.select(code.isEqual(which, i), source[i], own);
      set(extract.getResult(), {code.broadcast(own, code.bitAnd(at, 31))});
      return success();
    }
  }
  if (auto slice = dyn_cast<vector::ExtractStridedSliceOp>(op)) {
    set(op->getResult(0),
        shift(registers[slice.getSource()],
              cast<IntegerAttr>(slice.getOffsets()[0]).getInt(),
              getSize(op->getResult(0).getType())));
    return success();
  }
  if (OpTrait::hasElementwiseMappableTraits(op))
    return emitElementwise(op);
  return op->emitOpError("has no form for the lanes of a team "
                         "yet");
}

TeamVectors::Registers TeamVectors::shift(ArrayRef<Value> source,
                                          int64_t offset, int64_t count) {
  int64_t distance = offset % 32;
  Value from = code.add(lane, distance);
  Value wraps = code.isLess(code.constant(31), from);
  Registers result;
  for (int64_t i = 0; i < count; ++i) {
    int64_t first = offset / 32 + i;
    if (distance == 0) {
      result.push_back(source[first]);
      continue;
    }
    Value at = code.bitAnd(from, 31);
    Value own = code.broadcast(source[first], at);
    if (first + 1 < int64_t(source.size()))
      own = code.select(wraps, code.broadcast(source[first + 1], at), own);
    result.push_back(own);
  }
  return result;
}

Value TeamVectors::getPosition(OpFoldResult position) {
  if (auto constant = getConstantIntValue(position))
    return code.constant(*constant);
  Value index = registers[cast<Value>(position)].front();
  return arith::IndexCastOp::create(code, code.i32(), index);
}

LogicalResult TeamVectors::emitConstant(arith::ConstantOp op) {
  auto dense = dyn_cast<DenseElementsAttr>(op.getValue());
  if (!dense) {
    set(op.getResult(), {code.clone(*op)->getResult(0)});
    return success();
  }
  auto constant = [&](Attribute value) -> Value {
    return arith::ConstantOp::create(code, cast<TypedAttr>(value));
  };
  Registers values;
  int64_t elements = dense.getNumElements();
  if (dense.isSplat()) {
    values.assign(getNumRegisters(elements),
                  constant(dense.getSplatValue<Attribute>()));
    set(op.getResult(), values);
    return success();
  }
  auto all = llvm::to_vector(dense.getValues<Attribute>());
  bool countsUp = dense.getElementType().isInteger(32);
  for (int64_t i = 0; countsUp && i < elements; ++i)
    countsUp = cast<IntegerAttr>(all[i]).getInt() == i;
  for (int64_t i = 0; i < getNumRegisters(elements); ++i) {
    if (countsUp) {
      values.push_back(getElement(i));
      continue;
    }
    Value own = constant(all[i * 32]);
    for (int64_t at = 1; at < 32 && i * 32 + at < elements; ++at)
      own =
          code.select(code.isEqual(lane, at), constant(all[i * 32 + at]), own);
    values.push_back(own);
  }
  set(op.getResult(), values);
  return success();
}

LogicalResult TeamVectors::emitElementwise(Operation *op) {
  if (op->getNumResults() != 1)
    return op->emitOpError("has no form for the lanes of a team yet");
  Type type = op->getResult(0).getType();
  Registers results;
  for (int64_t i = 0; i < getSize(type); ++i) {
    SmallVector<Value> operands;
    for (Value operand : op->getOperands()) {
      ArrayRef<Value> own = registers[operand];
      // Scalar conditions of selects are one for all.
      operands.push_back(own.size() == 1 ? own.front() : own[i]);
    }
    OperationState state(op->getLoc(), op->getName(), operands,
                         getElementTypeOrSelf(type), op->getAttrs());
    state.propertiesAttr = op->getPropertiesAsAttribute();
    results.push_back(
        static_cast<OpBuilder &>(code).create(state)->getResult(0));
  }
  set(op->getResult(0), results);
  return success();
}

TeamVectors::Registers TeamVectors::load(Value base, Type element, Value row,
                                         int64_t size) {
  Registers values;
  for (int64_t r = 0; r < getNumRegisters(size); ++r) {
    // Elements behind the last are never looked at.
    Value column = code.min(getElement(r), code.constant(size - 1));
    values.push_back(code.loadOf(base, element, row, column, size));
  }
  return values;
}

void TeamVectors::store(ArrayRef<Value> values, Value base, Value row,
                        int64_t size, int64_t columns) {
  for (auto [r, own] : llvm::enumerate(values)) {
    Value column = getElement(r);
    Value at = code.add(code.mul(code.widen(row), columns), code.widen(column));
    Value word = own.getType().isF32()
                     ? Value(LLVM::BitcastOp::create(code, code.i32(), own))
                     : own;
    code.storeIf(code.isLess(column, code.constant(size)), word,
                 code.at(base, code.mul(at, 4)));
  }
}

LogicalResult TeamVectors::emitReduction(vector::ReductionOp op) {
  Type type = op.getDest().getType();
  int64_t elements =
      cast<VectorType>(op.getVector().getType()).getNumElements();
  std::optional<arith::AtomicRMWKind> kind;
  switch (op.getKind()) {
  case vector::CombiningKind::ADD:
    kind = isa<FloatType>(type) ? arith::AtomicRMWKind::addf
                                : arith::AtomicRMWKind::addi;
    break;
  case vector::CombiningKind::MAXIMUMF:
    kind = arith::AtomicRMWKind::maximumf;
    break;
  case vector::CombiningKind::MINIMUMF:
    kind = arith::AtomicRMWKind::minimumf;
    break;
  case vector::CombiningKind::MAXSI:
    kind = arith::AtomicRMWKind::maxs;
    break;
  case vector::CombiningKind::MINSI:
    kind = arith::AtomicRMWKind::mins;
    break;
  case vector::CombiningKind::MAXUI:
    kind = arith::AtomicRMWKind::maxu;
    break;
  case vector::CombiningKind::MINUI:
    kind = arith::AtomicRMWKind::minu;
    break;
  default:
    break;
  }
  if (!kind || !(type.isF32() || type.isInteger(32)))
    return op.emitOpError("has no form for the lanes of a team yet");
  auto combine = [&](Value a, Value b) {
    return arith::getReductionOp(*kind, code, op.getLoc(), a, b);
  };
  Value none = arith::getIdentityValue(*kind, type, code, op.getLoc());
  Value result;
  for (auto [i, own] : llvm::enumerate(registers[op.getVector()])) {
    Value value = own;
    if (int64_t(i + 1) * 32 > elements)
      value = code.select(code.isLess(getElement(i), code.constant(elements)),
                          value, none);
    result = result ? combine(result, value) : value;
  }
  auto ofIntegers = [&]() -> std::optional<moegpu::ReduceKind> {
    switch (*kind) {
    case arith::AtomicRMWKind::addi:
      return moegpu::ReduceKind::Add;
    case arith::AtomicRMWKind::maxs:
      return moegpu::ReduceKind::Max;
    case arith::AtomicRMWKind::mins:
      return moegpu::ReduceKind::Min;
    default:
      return {};
    }
  }();
  if (ofIntegers)
    result = code.reduce(*ofIntegers, result);
  for (int64_t bits = ofIntegers ? 0 : 16; bits; bits /= 2)
    result = combine(result, code.exchange(result, bits));
  if (Value start = op.getAcc())
    result = combine(result, registers[start].front());
  set(op.getDest(), {result});
  return success();
}

LogicalResult TeamVectors::emitLoop(scf::ForOp op) {
  Registers initial;
  for (Value value : op.getInitArgs())
    llvm::append_range(initial, registers[value]);
  auto loop = scf::ForOp::create(code, registers[op.getLowerBound()].front(),
                                 registers[op.getUpperBound()].front(),
                                 registers[op.getStep()].front(), initial);
  OpBuilder::InsertionGuard guard(code);
  code.setInsertionPointToStart(loop.getBody());
  auto take = [&](ValueRange all, ValueRange wholes) {
    for (Value whole : wholes) {
      int64_t size = getSize(whole.getType());
      set(whole, Registers(all.take_front(size)));
      all = all.drop_front(size);
    }
  };
  set(op.getInductionVar(), {loop.getInductionVar()});
  take(loop.getRegionIterArgs(), op.getRegionIterArgs());
  if (failed(emit(*op.getBody())))
    return failure();
  Registers next;
  for (Value value : op.getBody()->getTerminator()->getOperands())
    llvm::append_range(next, registers[value]);
  scf::YieldOp::create(code, next);
  take(loop.getResults(), op.getResults());
  return success();
}
