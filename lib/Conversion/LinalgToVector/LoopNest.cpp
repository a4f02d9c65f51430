//===- LoopNest.cpp - One linalg op as loops over vectors -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Writes vectors of rank one directly: what upstream's vectoriser makes of the
// same op goes through vectors of higher rank, and its reductions combine the
// lanes in every step, where we do it once at the end.
//
//===----------------------------------------------------------------------===//

#include "LoopNest.h"

#include "mlir/Analysis/SliceAnalysis.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include "llvm/ADT/TypeSwitch.h"

#include <map>

using namespace mlir;
using namespace moe::linalg_to_vector;
using linalg::LinalgOp;

namespace {

/// Offsets of one computed iteration from the induction variables, one a loop.
using Point = SmallVector<int64_t>;

class Nest {
public:
  Nest(OpBuilder &b, LinalgOp op, ArrayRef<Span> spans, const NestPlan &plan,
       ArrayRef<Value> initials)
      : b(b), loc(op.getLoc()), op(op), spans(spans), plan(plan),
        initials(initials), variables(op.getNumLoops()),
        counts(op.getNumLoops(), 1), block(*op.getBlock()) {
    auto types = op.getIteratorTypesArray();
    auto isParallel = [&](unsigned loop) {
      return types[loop] == utils::IteratorType::parallel;
    };
    for (unsigned loop = 0; loop < op.getNumLoops(); ++loop)
      if (loop != plan.vectorLoop && plan.blocks[loop] == 1)
        (isParallel(loop) ? parallel : reduction).push_back(loop);
    for (unsigned loop = 0; loop < op.getNumLoops(); ++loop)
      if (loop != plan.vectorLoop && plan.blocks[loop] != 1)
        parallel.push_back(loop);
    if (plan.vectorLoop) {
      reducesLanes = !isParallel(*plan.vectorLoop);
      (reducesLanes ? reduction : parallel).push_back(*plan.vectorLoop);
    }
    if (!reduction.empty())
      findMultiplyAdds();
  }

  void emit() { emitParallel(0); }

private:
  // Small helpers on indices.
  Value constant(int64_t value) {
    return arith::ConstantIndexOp::create(b, loc, value);
  }
  Value materialize(OpFoldResult value) {
    return getValueOrCreateConstantIndexOp(b, loc, value);
  }
  Value add(Value base, int64_t offset) {
    return offset == 0
               ? base
               : b.createOrFold<arith::AddIOp>(loc, base, constant(offset));
  }
  Value add(Value base, OpFoldResult offset) {
    if (auto known = getConstantIntValue(offset))
      return add(base, *known);
    return b.createOrFold<arith::AddIOp>(loc, base, materialize(offset));
  }
  OpFoldResult subtract(OpFoldResult x, OpFoldResult y) {
    auto a = getConstantIntValue(x), c = getConstantIntValue(y);
    if (a && c)
      return b.getIndexAttr(*a - *c);
    return b.createOrFold<arith::SubIOp>(loc, materialize(x), materialize(y));
  }
  OpFoldResult roundDown(OpFoldResult size, int64_t unit) {
    if (auto known = getConstantIntValue(size))
      return b.getIndexAttr(*known / unit * unit);
    Value value = materialize(size);
    Value rest = b.createOrFold<arith::RemUIOp>(loc, value, constant(unit));
    return b.createOrFold<arith::SubIOp>(loc, value, rest);
  }
  static bool isZero(OpFoldResult size) {
    return getConstantIntValue(size) == 0;
  }
  int64_t getUnit(unsigned loop) const {
    return loop == plan.vectorLoop ? kLanes : 1;
  }

  /// Runs `body` for `size` iterations from `from`, `step` at a time.
  void emitLoop(Value from, OpFoldResult size, int64_t step,
                function_ref<void(Value)> body) {
    if (isZero(size))
      return;
    if (getConstantIntValue(size) == step)
      return body(from);
    auto loop =
        scf::ForOp::create(b, loc, from, add(from, size), constant(step));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(loop.getBody()->getTerminator());
    body(loop.getInductionVar());
  }
  SmallVector<Value>
  emitLoop(Value from, OpFoldResult size, int64_t step, ArrayRef<Value> carried,
           function_ref<SmallVector<Value>(Value, ArrayRef<Value>)> body) {
    if (isZero(size))
      return llvm::to_vector(carried);
    if (getConstantIntValue(size) == step)
      return body(from, carried);
    auto loop = scf::ForOp::create(b, loc, from, add(from, size),
                                   constant(step), carried);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToEnd(loop.getBody());
    SmallVector<Value> inner(loop.getRegionIterArgs());
    scf::YieldOp::create(b, loc, body(loop.getInductionVar(), inner));
    return llvm::to_vector(ValueRange(loop.getResults()));
  }

  void emitParallel(unsigned depth);
  void emitPoints();
  SmallVector<Value> emitReduction(unsigned depth, ArrayRef<Value> carried);
  SmallVector<Value> emitBody(const Point &point, ArrayRef<Value> accumulators);
  Value emitInner(Operation &inner, IRMapping &mapping);

  void findMultiplyAdds();

  SmallVector<Value> getIndices(AffineMap map, const Point &point);
  VectorType getVectorType(Type element) const {
    return VectorType::get({kLanes}, element);
  }
  Value broadcast(Value value) {
    if (isa<VectorType>(value.getType()))
      return value;
    return vector::BroadcastOp::create(b, loc, getVectorType(value.getType()),
                                       value);
  }
  Value splat(TypedAttr value) {
    auto type = getVectorType(value.getType());
    return arith::ConstantOp::create(
        b, loc, type, DenseElementsAttr::get(type, ArrayRef<Attribute>(value)));
  }
  Value combine(Operation *combiner, Value left, Value right) {
    OperationState state(loc, combiner->getName());
    state.addOperands({left, right});
    state.addTypes(left.getType());
    return b.create(state)->getResult(0);
  }
  /// Halves the vector step by step. A vector.reduction would leave the order
  /// to LLVM, whose orders for x86 and AArch64 differ.
  Value combineLanes(Operation *combiner, Value lanes) {
    int64_t width = kLanes;
    while ((width /= 2) > 1) {
      auto half = [&](int64_t from) -> Value {
        return vector::ExtractStridedSliceOp::create(
            b, loc, lanes, ArrayRef<int64_t>{from}, ArrayRef<int64_t>{width},
            ArrayRef<int64_t>{1});
      };
      Value low = half(0);
      lanes = combine(combiner, low, half(width));
    }
    Value first = vector::ExtractOp::create(b, loc, lanes, 0);
    return combine(combiner, first,
                   vector::ExtractOp::create(b, loc, lanes, 1));
  }
  Value getMask(OpFoldResult active) {
    return vector::CreateMaskOp::create(
        b, loc, VectorType::get({kLanes}, b.getI1Type()),
        ValueRange(materialize(active)));
  }
  Value loadVector(Value memref, ValueRange indices);
  Value load(OpOperand &operand, const Point &point);
  void store(Value value, OpOperand &operand, const Point &point);
  bool varies(OpOperand &operand) {
    return plan.vectorLoop &&
           op.getMatchingIndexingMap(&operand).isFunctionOfDim(
               *plan.vectorLoop);
  }

  OpBuilder &b;
  Location loc;
  LinalgOp op;
  ArrayRef<Span> spans;
  const NestPlan &plan;
  ArrayRef<Value> initials;
  /// Loops, outermost first.
  SmallVector<unsigned> parallel, reduction;
  bool reducesLanes = false;
  /// Sums in the body and the product that goes into each.
  DenseMap<Operation *, Operation *> multiplyAdds;
  DenseSet<Operation *> absorbed;

  // State while descending.
  SmallVector<Value> variables;
  SmallVector<int64_t> counts;
  SmallVector<Point> points;
  /// Lanes that exist; null when all do.
  Value mask;
  /// Loads shared by the points of one step.
  std::map<std::pair<unsigned, std::vector<int64_t>>, Value> loaded;
  Block &block;
};

} // namespace

void Nest::emitParallel(unsigned depth) {
  if (depth == parallel.size())
    return emitPoints();
  unsigned loop = parallel[depth];
  int64_t unit = getUnit(loop);
  Value from = spans[loop].lower;
  OpFoldResult left = spans[loop].size;
  auto run = [&](OpFoldResult size, int64_t count) {
    counts[loop] = count;
    emitLoop(from, size, count * unit, [&](Value variable) {
      variables[loop] = variable;
      emitParallel(depth + 1);
    });
    counts[loop] = 1;
  };
  // Whole blocks, whole vectors, the masked rest.
  for (int64_t count : {plan.blocks[loop], int64_t(1)}) {
    if (count == 1 && unit == 1)
      return run(left, 1);
    OpFoldResult size = roundDown(left, count * unit);
    run(size, count);
    left = subtract(left, size);
    if (isZero(left))
      return;
    from = add(from, size);
    if (count == 1)
      break;
  }
  auto tail = [&] {
    mask = getMask(left);
    variables[loop] = from;
    emitParallel(depth + 1);
    mask = nullptr;
  };
  if (getConstantIntValue(left))
    return tail();
  Value some = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ugt,
                                     materialize(left), constant(0));
  auto branch = scf::IfOp::create(b, loc, some, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(branch.thenBlock()->getTerminator());
  tail();
}

void Nest::emitPoints() {
  points.assign(1, Point(op.getNumLoops(), 0));
  for (unsigned loop : parallel) {
    if (counts[loop] == 1)
      continue;
    SmallVector<Point> more;
    for (const Point &point : points)
      for (int64_t i = 0; i < counts[loop]; ++i) {
        more.push_back(point);
        more.back()[loop] = i * getUnit(loop);
      }
    points = std::move(more);
  }
  unsigned outputs = op.getNumDpsInits();
  if (reduction.empty()) {
    loaded.clear();
    for (const Point &point : points) {
      SmallVector<Value> results = emitBody(point, {});
      for (unsigned i = 0; i < outputs; ++i)
        store(results[i], *op.getDpsInitOperand(i), point);
    }
    return;
  }

  SmallVector<Value> carried;
  loaded.clear();
  for (const Point &point : points)
    for (unsigned i = 0; i < outputs; ++i) {
      OpOperand &output = *op.getDpsInitOperand(i);
      if (reducesLanes)
        carried.push_back(splat(getIdentity(getCombiner(op, i))));
      else if (!initials[i])
        carried.push_back(load(output, point));
      else
        carried.push_back(plan.vectorLoop ? broadcast(initials[i])
                                          : initials[i]);
    }
  carried = emitReduction(0, carried);
  loaded.clear();
  for (auto [p, point] : llvm::enumerate(points))
    for (unsigned i = 0; i < outputs; ++i) {
      OpOperand &output = *op.getDpsInitOperand(i);
      Value result = carried[p * outputs + i];
      if (reducesLanes) {
        Operation *combiner = getCombiner(op, i);
        Value start = initials[i] ? initials[i] : load(output, point);
        result = combine(combiner, start, combineLanes(combiner, result));
      }
      store(result, output, point);
    }
}

SmallVector<Value> Nest::emitReduction(unsigned depth,
                                       ArrayRef<Value> carried) {
  unsigned outputs = op.getNumDpsInits();
  if (depth == reduction.size()) {
    loaded.clear();
    SmallVector<Value> next;
    for (auto [p, point] : llvm::enumerate(points))
      llvm::append_range(next,
                         emitBody(point, carried.slice(p * outputs, outputs)));
    return next;
  }
  unsigned loop = reduction[depth];
  int64_t unit = getUnit(loop);
  Value from = spans[loop].lower;
  OpFoldResult size = roundDown(spans[loop].size, unit);
  auto inner = [&](Value variable, ArrayRef<Value> values) {
    variables[loop] = variable;
    return emitReduction(depth + 1, values);
  };
  SmallVector<Value> results = emitLoop(from, size, unit, carried, inner);
  OpFoldResult left = subtract(spans[loop].size, size);
  if (unit == 1 || isZero(left))
    return results;
  // One masked step at most; as a loop, it needs no else.
  auto masked = [&](Value variable, ArrayRef<Value> values) {
    mask = getMask(left);
    SmallVector<Value> next = inner(variable, values);
    for (auto [value, old] : llvm::zip_equal(next, values))
      value = arith::SelectOp::create(b, loc, mask, value, old);
    mask = nullptr;
    return next;
  };
  from = add(from, size);
  if (getConstantIntValue(left))
    return masked(from, results);
  return emitLoop(from, left, unit, results, masked);
}

SmallVector<Value> Nest::getIndices(AffineMap map, const Point &point) {
  SmallVector<Value> indices;
  auto position = [&](unsigned loop) {
    return add(variables[loop], point[loop]);
  };
  for (AffineExpr expr : map.getResults()) {
    if (auto dim = dyn_cast<AffineDimExpr>(expr)) {
      indices.push_back(position(dim.getPosition()));
      continue;
    }
    SmallVector<OpFoldResult> dims;
    for (unsigned loop = 0; loop < op.getNumLoops(); ++loop)
      dims.push_back(expr.isFunctionOfDim(loop)
                         ? OpFoldResult(position(loop))
                         : OpFoldResult(b.getIndexAttr(0)));
    indices.push_back(materialize(affine::makeComposedFoldedAffineApply(
        b, loc, AffineMap::get(map.getNumDims(), 0, expr), dims)));
  }
  return indices;
}

Value Nest::loadVector(Value memref, ValueRange indices) {
  auto type =
      getVectorType(cast<MemRefType>(memref.getType()).getElementType());
  if (!mask)
    return vector::LoadOp::create(b, loc, type, memref, indices);
  Value zero = arith::ConstantOp::create(b, loc, type, b.getZeroAttr(type));
  return vector::MaskedLoadOp::create(b, loc, type, memref, indices, mask,
                                      zero);
}

Value Nest::load(OpOperand &operand, const Point &point) {
  if (!isa<MemRefType>(operand.get().getType()))
    return operand.get();
  AffineMap map = op.getMatchingIndexingMap(&operand);
  std::vector<int64_t> offsets(point.begin(), point.end());
  for (unsigned loop = 0; loop < op.getNumLoops(); ++loop)
    if (!map.isFunctionOfDim(loop))
      offsets[loop] = 0;
  Value &value = loaded[{operand.getOperandNumber(), std::move(offsets)}];
  if (!value) {
    SmallVector<Value> indices = getIndices(map, point);
    value = varies(operand)
                ? loadVector(operand.get(), indices)
                : memref::LoadOp::create(b, loc, operand.get(), indices)
                      .getResult();
  }
  return value;
}

void Nest::store(Value value, OpOperand &operand, const Point &point) {
  SmallVector<Value> indices =
      getIndices(op.getMatchingIndexingMap(&operand), point);
  if (!varies(operand))
    memref::StoreOp::create(b, loc, value, operand.get(), indices);
  else if (!mask)
    vector::StoreOp::create(b, loc, broadcast(value), operand.get(), indices);
  else
    vector::MaskedStoreOp::create(b, loc, operand.get(), indices, mask,
                                  broadcast(value));
}

/// The order of a sum is this lowering's choice, and so is its rounding:
/// products go into sums unrounded.
void Nest::findMultiplyAdds() {
  for (Operation &inner : block) {
    auto sum = dyn_cast<arith::AddFOp>(inner);
    if (!sum || !(sum.getType().isF32() || sum.getType().isF64()))
      continue;
    for (Value operand : {sum.getRhs(), sum.getLhs()}) {
      auto product = operand.getDefiningOp<arith::MulFOp>();
      if (!product || product->getBlock() != &block || !product->hasOneUse())
        continue;
      multiplyAdds[sum] = product;
      absorbed.insert(product);
      break;
    }
  }
}

Value Nest::emitInner(Operation &inner, IRMapping &mapping) {
  if (Operation *product = multiplyAdds.lookup(&inner)) {
    Value other = inner.getOperand(0) == product->getResult(0)
                      ? inner.getOperand(1)
                      : inner.getOperand(0);
    SmallVector<Value> operands = {
        mapping.lookupOrDefault(product->getOperand(0)),
        mapping.lookupOrDefault(product->getOperand(1)),
        mapping.lookupOrDefault(other)};
    if (llvm::none_of(ValueRange(operands).getTypes(),
                      llvm::IsaPred<VectorType>))
      return math::FmaOp::create(b, loc, operands[0], operands[1], operands[2]);
    for (Value &operand : operands)
      operand = broadcast(operand);
    return vector::FMAOp::create(b, loc, operands[0], operands[1], operands[2]);
  }
  SmallVector<Value> operands;
  for (Value operand : inner.getOperands())
    operands.push_back(mapping.lookupOrDefault(operand));
  bool isVector =
      inner.getNumRegions() == 0 &&
      llvm::any_of(ValueRange(operands).getTypes(), llvm::IsaPred<VectorType>);
  if (!isVector) {
    b.clone(inner, mapping);
    return nullptr;
  }
  if (auto load = dyn_cast<memref::LoadOp>(inner)) {
    // The last index is the vector of positions along the loop.
    Value &last = operands.back();
    last = vector::ExtractOp::create(b, loc, last, int64_t(0));
    return loadVector(operands[0], ArrayRef(operands).drop_front());
  }
  OperationState state(inner.getLoc(), inner.getName());
  for (Value operand : operands)
    state.operands.push_back(broadcast(operand));
  for (Type type : inner.getResultTypes())
    state.types.push_back(getVectorType(type));
  state.addAttributes(inner.getAttrs());
  Operation *created = b.create(state);
  mapping.map(inner.getResults(), created->getResults());
  return nullptr;
}

SmallVector<Value> Nest::emitBody(const Point &point,
                                  ArrayRef<Value> accumulators) {
  IRMapping mapping;
  for (OpOperand *input : op.getDpsInputOperands())
    if (op.payloadUsesValueFromOperand(input))
      mapping.map(op.getMatchingBlockArgument(input), load(*input, point));
  for (unsigned i = 0, e = op.getNumDpsInits(); i < e; ++i) {
    OpOperand &output = *op.getDpsInitOperand(i);
    if (!accumulators.empty())
      mapping.map(op.getMatchingBlockArgument(&output), accumulators[i]);
    else if (op.payloadUsesValueFromOperand(&output))
      mapping.map(op.getMatchingBlockArgument(&output), load(output, point));
  }
  for (Operation &inner : block.without_terminator()) {
    if (absorbed.contains(&inner))
      continue;
    if (auto index = dyn_cast<linalg::IndexOp>(inner)) {
      unsigned loop = index.getDim();
      Value position = add(variables[loop], point[loop]);
      if (loop == plan.vectorLoop) {
        Value step =
            vector::StepOp::create(b, loc, getVectorType(b.getIndexType()));
        position = arith::AddIOp::create(b, loc, broadcast(position), step);
      }
      mapping.map(index.getResult(), position);
      continue;
    }
    if (Value result = emitInner(inner, mapping))
      mapping.map(inner.getResult(0), result);
  }
  SmallVector<Value> results;
  for (auto [i, value] :
       llvm::enumerate(block.getTerminator()->getOperands())) {
    Value result = mapping.lookupOrDefault(value);
    // Carried values keep their type.
    if (!accumulators.empty() && isa<VectorType>(accumulators[i].getType()))
      result = broadcast(result);
    results.push_back(result);
  }
  return results;
}

void moe::linalg_to_vector::emitLoopNest(OpBuilder &b, LinalgOp op,
                                         ArrayRef<Span> spans,
                                         const NestPlan &plan,
                                         ArrayRef<Value> initials) {
  Nest(b, op, spans, plan, initials).emit();
}
