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

//===----------------------------------------------------------------------===//
// Planning
//===----------------------------------------------------------------------===//

static bool involves(AffineMap map, unsigned loop) {
  return map.isFunctionOfDim(loop);
}

/// Types whose vectors lie in memory as the elements of a memref do.
static bool isVectorElement(Type type) {
  if (type.isIndex())
    return true;
  return type.isIntOrFloat() && type.getIntOrFloatBitWidth() >= 8 &&
         llvm::isPowerOf2_64(type.getIntOrFloatBitWidth());
}

static bool hasUnitStride(Value memref) {
  auto type = dyn_cast<MemRefType>(memref.getType());
  SmallVector<int64_t> strides;
  int64_t offset;
  return type && type.getRank() > 0 &&
         succeeded(type.getStridesAndOffset(strides, offset)) &&
         strides.back() == 1;
}

/// Whether the elements that consecutive iterations of `loop` access are
/// neighbours in memory.
static bool isContiguous(Value memref, AffineMap map, unsigned loop) {
  if (!hasUnitStride(memref) ||
      !isVectorElement(cast<MemRefType>(memref.getType()).getElementType()))
    return false;
  unsigned last = map.getNumResults() - 1;
  for (unsigned i = 0; i < last; ++i)
    if (map.getResult(i).isFunctionOfDim(loop))
      return false;
  MLIRContext *context = map.getContext();
  AffineExpr expr = map.getResult(last);
  AffineExpr dim = getAffineDimExpr(loop, context);
  AffineExpr rest = expr.replace(dim, getAffineConstantExpr(0, context));
  return simplifyAffineExpr(expr - dim - rest, map.getNumDims(), 0) ==
         getAffineConstantExpr(0, context);
}

static bool isVectorLoad(memref::LoadOp load, unsigned loop,
                         function_ref<bool(Value)> varies) {
  if (varies(load.getMemRef()) || load.getIndices().empty() ||
      !hasUnitStride(load.getMemRef()) ||
      !isVectorElement(load.getMemRefType().getElementType()))
    return false;
  for (Value index : load.getIndices().drop_back())
    if (varies(index))
      return false;
  auto index = load.getIndices().back().getDefiningOp<linalg::IndexOp>();
  return index && index.getDim() == loop;
}

/// Whether the body can run on vectors along `loop`.
static bool canVectorizeBody(LinalgOp op, unsigned loop) {
  DenseSet<Value> varying;
  for (OpOperand &operand : op->getOpOperands())
    if (op.isDpsInit(&operand) ||
        involves(op.getMatchingIndexingMap(&operand), loop))
      varying.insert(op.getMatchingBlockArgument(&operand));
  auto varies = [&](Value value) { return varying.contains(value); };
  for (Operation &inner : op.getBlock()->without_terminator()) {
    if (auto index = dyn_cast<linalg::IndexOp>(inner)) {
      if (index.getDim() == loop)
        varying.insert(index.getResult());
      continue;
    }
    bool uses = llvm::any_of(inner.getOperands(), varies);
    // What a nested region captures is not looked at.
    if (inner.getNumRegions() != 0)
      return false;
    if (!uses)
      continue;
    if (auto load = dyn_cast<memref::LoadOp>(inner)) {
      if (!isVectorLoad(load, loop, varies))
        return false;
    } else {
      if (!OpTrait::hasElementwiseMappableTraits(&inner))
        return false;
      // Lanes beyond a tail hold anything, and zero would trap.
      if (isa<arith::DivSIOp, arith::DivUIOp, arith::RemSIOp, arith::RemUIOp,
              arith::CeilDivSIOp, arith::CeilDivUIOp, arith::FloorDivSIOp>(
              inner) &&
          varies(inner.getOperand(1)))
        return false;
      for (Type type : inner.getResultTypes())
        if (!type.isIntOrIndexOrFloat())
          return false;
    }
    varying.insert(inner.result_begin(), inner.result_end());
  }
  return true;
}

/// The op that combines partial results of output `i`, if there is one.
static Operation *getCombiner(LinalgOp op, unsigned i) {
  SmallVector<Operation *> combiners;
  if (!matchReduction(op.getRegionOutputArgs(), i, combiners) ||
      combiners.size() != 1)
    return nullptr;
  return combiners.front();
}

static std::optional<vector::CombiningKind> getKind(Operation *combiner) {
  using vector::CombiningKind;
  return llvm::TypeSwitch<Operation *, std::optional<CombiningKind>>(combiner)
      .Case<arith::AddFOp, arith::AddIOp>(
          [](auto) { return CombiningKind::ADD; })
      .Case<arith::MulFOp, arith::MulIOp>(
          [](auto) { return CombiningKind::MUL; })
      .Case([](arith::MaximumFOp) { return CombiningKind::MAXIMUMF; })
      .Case([](arith::MinimumFOp) { return CombiningKind::MINIMUMF; })
      .Case([](arith::MaxNumFOp) { return CombiningKind::MAXNUMF; })
      .Case([](arith::MinNumFOp) { return CombiningKind::MINNUMF; })
      .Case([](arith::MaxSIOp) { return CombiningKind::MAXSI; })
      .Case([](arith::MinSIOp) { return CombiningKind::MINSI; })
      .Case([](arith::MaxUIOp) { return CombiningKind::MAXUI; })
      .Case([](arith::MinUIOp) { return CombiningKind::MINUI; })
      .Case([](arith::AndIOp) { return CombiningKind::AND; })
      .Case([](arith::OrIOp) { return CombiningKind::OR; })
      .Case([](arith::XOrIOp) { return CombiningKind::XOR; })
      .Default([](Operation *) { return std::nullopt; });
}

/// What lanes start from.
static TypedAttr getIdentity(Operation *combiner) {
  Type type = combiner->getResult(0).getType();
  // Upstream's table leaves these out: the neutral element is NaN, but an
  // infinity changes nothing when the real initial value is combined last,
  // unless every element is NaN, when that value (or infinity) stays.
  if (isa<arith::MaxNumFOp, arith::MinNumFOp>(combiner)) {
    auto f = cast<FloatType>(type);
    return FloatAttr::get(type,
                          APFloat::getInf(f.getFloatSemantics(),
                                          isa<arith::MaxNumFOp>(combiner)));
  }
  return arith::getNeutralElement(combiner).value_or(TypedAttr());
}

static bool canVectorize(LinalgOp op, unsigned loop) {
  bool reduction =
      op.getIteratorTypesArray()[loop] == utils::IteratorType::reduction;
  for (OpOperand &operand : op->getOpOperands()) {
    bool isInit = op.isDpsInit(&operand);
    if (!isa<MemRefType>(operand.get().getType()))
      continue;
    if (!isInit && !op.payloadUsesValueFromOperand(&operand))
      continue;
    AffineMap map = op.getMatchingIndexingMap(&operand);
    if (involves(map, loop)) {
      if (!isContiguous(operand.get(), map, loop))
        return false;
    } else if (isInit && !reduction) {
      return false;
    }
  }
  if (reduction)
    for (unsigned i = 0, e = op.getNumDpsInits(); i < e; ++i) {
      Operation *combiner = getCombiner(op, i);
      if (!combiner || !getKind(combiner) || !getIdentity(combiner))
        return false;
    }
  return canVectorizeBody(op, loop);
}

bool moe::linalg_to_vector::isContraction(LinalgOp op) {
  if (op.getNumReductionLoops() == 0)
    return false;
  return llvm::count_if(op.getDpsInputs(), [](Value input) {
           return isa<MemRefType>(input.getType());
         }) >= 2;
}

NestPlan NestPlan::get(LinalgOp op, bool wide) {
  NestPlan plan;
  unsigned loops = op.getNumLoops();
  plan.blocks.assign(loops, 1);
  SmallVector<int64_t> extents = op.getStaticLoopRanges();
  auto types = op.getIteratorTypesArray();
  auto isParallel = [&](unsigned loop) {
    return types[loop] == utils::IteratorType::parallel;
  };
  // Dynamic sizes are the number of tokens or positions: mostly large.
  auto weight = [&](unsigned loop) -> int64_t {
    int64_t extent = extents[loop];
    return ShapedType::isDynamic(extent) ? 4 * kLanes : extent;
  };
  std::optional<unsigned> best[2];
  for (unsigned loop = 0; loop < loops; ++loop) {
    if (weight(loop) < 2 || !canVectorize(op, loop))
      continue;
    std::optional<unsigned> &chosen = best[isParallel(loop) ? 0 : 1];
    if (!chosen || weight(loop) >= weight(*chosen))
      chosen = loop;
  }
  plan.vectorLoop = best[0];
  if (best[1] && (!best[0] || (weight(*best[0]) < kLanes / 2 &&
                               weight(*best[1]) > weight(*best[0]))))
    plan.vectorLoop = best[1];
  if (!plan.vectorLoop || op.getNumReductionLoops() == 0)
    return plan;

  // Accumulators: enough to hide the latency, and to load each input for
  // several of them.
  unsigned vectorLoop = *plan.vectorLoop;
  int64_t side = wide ? 4 : 2;
  unsigned left = 2;
  auto block = [&](unsigned loop) {
    int64_t unit = loop == vectorLoop ? kLanes : 1;
    plan.blocks[loop] =
        std::max<int64_t>(1, std::min(side, weight(loop) / unit));
    --left;
  };
  bool contraction = isContraction(op);
  if (isParallel(vectorLoop) && contraction)
    block(vectorLoop);
  for (unsigned loop = loops; loop-- > 0 && left > 0;) {
    if (!isParallel(loop) || loop == vectorLoop)
      continue;
    bool reused = llvm::any_of(op.getDpsInputOperands(), [&](OpOperand *input) {
      return isa<MemRefType>(input->get().getType()) &&
             !involves(op.getMatchingIndexingMap(input), loop);
    });
    if (reused || !contraction)
      block(loop);
    if (!contraction)
      break;
  }
  return plan;
}

//===----------------------------------------------------------------------===//
// Writing the loops
//===----------------------------------------------------------------------===//

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
