//===- ThreadCode.cpp - Code in lanes, on the lane of a thread --*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "ThreadCode.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace moe::gpu;

/// Whether it is a vector of the lane of a thread.
static bool isLane(Type type) {
  auto vector = dyn_cast<VectorType>(type);
  return !vector || vector.getNumElements() == 1;
}

void ThreadCode::setMemory(Value memref, Value base, Value size) {
  arrays[memref] = {cast<MemRefType>(memref.getType()), base, size};
}

LogicalResult ThreadCode::emit(Block &block) {
  for (Operation &op : block.without_terminator())
    if (failed(emit(&op)))
      return failure();
  return success();
}

LogicalResult ThreadCode::emit(Operation *op) {
  if (auto loop = dyn_cast<scf::ForOp>(op))
    return emitFor(loop);
  if (auto branch = dyn_cast<scf::IfOp>(op))
    return emitIf(branch);
  if (auto alloca = dyn_cast<memref::AllocaOp>(op)) {
    emitAlloca(alloca);
    return success();
  }
  if (auto loadOp = dyn_cast<memref::LoadOp>(op)) {
    set(op->getResult(0), load(loadOp.getMemRef(), loadOp.getIndices()));
    return success();
  }
  if (auto storeOp = dyn_cast<memref::StoreOp>(op)) {
    store(get(storeOp.getValue()), storeOp.getMemRef(), storeOp.getIndices());
    return success();
  }
  if (auto loadOp = dyn_cast<vector::LoadOp>(op);
      loadOp && isLane(loadOp.getType())) {
    set(op->getResult(0), load(loadOp.getBase(), loadOp.getIndices()));
    return success();
  }
  if (auto storeOp = dyn_cast<vector::StoreOp>(op)) {
    DenseElementsAttr table;
    if (isLane(storeOp.getVectorType())) {
      store(get(storeOp.getValueToStore()), storeOp.getBase(),
            storeOp.getIndices());
      return success();
    }
    if (matchPattern(storeOp.getValueToStore(), m_Constant(&table))) {
      storeTable(table, storeOp.getBase());
      return success();
    }
  }
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    auto dense = dyn_cast<DenseElementsAttr>(constant.getValue());
    // Tables are written where they are stored.
    if (dense && !dense.isSplat())
      return success();
    set(op->getResult(0),
        arith::ConstantOp::create(
            code, dense ? cast<TypedAttr>(dense.getSplatValue<Attribute>())
                        : constant.getValue()));
    return success();
  }
  if (isa<vector::BroadcastOp, vector::ExtractOp>(op) &&
      isLane(op->getOperand(0).getType()) &&
      isLane(op->getResult(0).getType())) {
    set(op->getResult(0), get(op->getOperand(0)));
    return success();
  }
  if (OpTrait::hasElementwiseMappableTraits(op) && op->getNumResults() == 1 &&
      isLane(op->getResult(0).getType()))
    return clone(op);
  return op->emitOpError("has no form for the lane of a thread yet");
}

LogicalResult ThreadCode::clone(Operation *op) {
  SmallVector<Value> operands;
  for (Value operand : op->getOperands())
    operands.push_back(get(operand));
  OperationState state(op->getLoc(), op->getName(), operands,
                       getElementTypeOrSelf(op->getResult(0).getType()),
                       op->getAttrs());
  state.propertiesAttr = op->getPropertiesAsAttribute();
  set(op->getResult(0),
      static_cast<OpBuilder &>(code).create(state)->getResult(0));
  return success();
}

LogicalResult ThreadCode::emitFor(scf::ForOp op) {
  SmallVector<Value> initial;
  for (Value value : op.getInitArgs())
    initial.push_back(get(value));
  LogicalResult result = success();
  SmallVector<Value> last = code.loop(
      get(op.getLowerBound()), get(op.getUpperBound()), get(op.getStep()),
      initial, [&](Value at, ValueRange state) {
        set(op.getInductionVar(), at);
        for (auto [from, to] : llvm::zip(op.getRegionIterArgs(), state))
          set(from, to);
        result = emit(*op.getBody());
        SmallVector<Value> next(initial);
        if (succeeded(result))
          for (auto [to, value] :
               llvm::zip(next, op.getBody()->getTerminator()->getOperands()))
            to = get(value);
        return next;
      });
  for (auto [from, to] : llvm::zip(op.getResults(), last))
    set(from, to);
  return result;
}

LogicalResult ThreadCode::emitIf(scf::IfOp op) {
  if (op.getNumResults())
    return op.emitOpError("has results, and no form for the lane of a thread "
                          "yet");
  LogicalResult result = success();
  auto emitBlock = [&](Block *block) {
    if (block && failed(emit(*block)))
      result = failure();
  };
  code.when(
      get(op.getCondition()), [&] { emitBlock(op.thenBlock()); },
      op.elseBlock() ? [&] { emitBlock(op.elseBlock()); }
                     : function_ref<void()>());
  return result;
}

void ThreadCode::emitAlloca(memref::AllocaOp op) {
  MemRefType type = op.getType();
  OpBuilder::InsertionGuard guard(code);
  auto func = code.getInsertionBlock()
                  ->getParentOp()
                  ->getParentOfType<LLVM::LLVMFuncOp>();
  if (!func)
    func = cast<LLVM::LLVMFuncOp>(code.getInsertionBlock()->getParentOp());
  code.setInsertionPointToStart(&func.getBody().front());
  Value own = memref::AllocaOp::create(
      code, MemRefType::get({type.getNumElements()}, type.getElementType()));
  arrays[op.getResult()] = {type, own, Value()};
}

void ThreadCode::storeTable(DenseElementsAttr values, Value memref) {
  Value base = arrays.lookup(memref).base;
  for (auto [i, value] : llvm::enumerate(values.getValues<Attribute>()))
    memref::StoreOp::create(
        code, arith::ConstantOp::create(code, cast<TypedAttr>(value)), base,
        ValueRange{arith::ConstantIndexOp::create(code, i)});
}

Value ThreadCode::getNumber(const Array &array, ValueRange at) {
  auto convert = [&](Value index) -> Value {
    return array.isPrivate()
               ? index
               : arith::IndexCastOp::create(code, code.getI64Type(), index);
  };
  Value number;
  for (auto [dim, index] : llvm::enumerate(at)) {
    Value own = convert(get(index));
    // Numbers that a token brings may be any: none leads out of a table.
    if (!array.isPrivate() && array.type.hasStaticShape() &&
        !isa<BlockArgument>(index) && !matchPattern(index, m_Constant()))
      own = arith::MinUIOp::create(
          code, own, code.constant64(array.type.getDimSize(dim) - 1));
    if (number) {
      int64_t size = array.type.getDimSize(dim);
      number = ShapedType::isDynamic(size) ? code.mul(number, array.size)
                                           : code.mul(number, size);
      own = code.add(number, own);
    }
    number = own;
  }
  return number;
}

Value ThreadCode::load(Value memref, ValueRange at) {
  Array array = arrays.lookup(memref);
  Value number = getNumber(array, at);
  if (array.isPrivate())
    return memref::LoadOp::create(code, array.base, ValueRange{number});
  Type element = array.type.getElementType();
  return code.load(
      element, code.at(array.base,
                       code.mul(number, element.getIntOrFloatBitWidth() / 8)));
}

void ThreadCode::store(Value value, Value memref, ValueRange at) {
  Array array = arrays.lookup(memref);
  Value number = getNumber(array, at);
  if (array.isPrivate()) {
    memref::StoreOp::create(code, value, array.base, ValueRange{number});
    return;
  }
  int64_t bytes = array.type.getElementType().getIntOrFloatBitWidth() / 8;
  code.store(value, code.at(array.base, code.mul(number, bytes)));
}
