//===- LoopPlan.cpp - Which loops of a linalg op are vectors ----- -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "LoopNest.h"

#include "mlir/Analysis/SliceAnalysis.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace moe::linalg_to_vector;
using linalg::LinalgOp;

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

Operation *moe::linalg_to_vector::getCombiner(LinalgOp op, unsigned i) {
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

TypedAttr moe::linalg_to_vector::getIdentity(Operation *combiner) {
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
