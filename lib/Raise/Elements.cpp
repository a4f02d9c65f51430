//===- Elements.cpp - From tensors to expressions of elements ----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Raise/Elements.h"

#include "moe/Moe.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace moe;
using namespace moe::raise;

bool Elements::isIndexLike(Value tensor) {
  return getElementTypeOrSelf(tensor.getType()).isIntOrIndex();
}

//===----------------------------------------------------------------------===//
// Structured ops
//===----------------------------------------------------------------------===//

const Expr *Elements::evaluate(AffineExpr expr, Indices dims) {
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return number(constant.getValue());
  if (auto dim = dyn_cast<AffineDimExpr>(expr))
    return dims[dim.getPosition()];
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!binary)
    return nullptr;
  const Expr *l = evaluate(binary.getLHS(), dims),
             *r = evaluate(binary.getRHS(), dims);
  if (!l || !r)
    return nullptr;
  std::optional<int64_t> c = r->getInteger();
  switch (expr.getKind()) {
  case AffineExprKind::Add:
    return exprs.add(l, r);
  case AffineExprKind::Mul:
    return c ? exprs.scale(l, *c) : nullptr;
  case AffineExprKind::FloorDiv:
    return c && *c > 0 ? exprs.floorDiv(l, *c) : nullptr;
  case AffineExprKind::Mod:
    return c && *c > 0 ? exprs.mod(l, *c) : nullptr;
  default:
    return nullptr;
  }
}

const Expr *Elements::evaluateScalar(Value value,
                                     llvm::DenseMap<Value, const Expr *> &known,
                                     Indices loops) {
  if (const Expr *done = known.lookup(value))
    return done;
  Operation *op = value.getDefiningOp();
  const Expr *result = nullptr;
  TypedAttr constant;
  if (!op) {
    result = exprs.load(value, {});
  } else if (matchPattern(op, m_Constant(&constant))) {
    result = isa<FloatAttr, IntegerAttr>(constant) ? exprs.constant(constant)
                                                   : exprs.load(value, {});
  } else if (isa<tensor::DimOp, affine::AffineApplyOp>(op)) {
    result = readSize(value);
  } else if (auto index = dyn_cast<linalg::IndexOp>(op)) {
    result = index.getDim() < loops.size() ? loops[index.getDim()] : nullptr;
    if (result && isRowMajor(result))
      return nullptr;
  } else {
    SmallVector<const Expr *> operands;
    auto extract = dyn_cast<tensor::ExtractOp>(op);
    for (Value operand : op->getOperands()) {
      if (extract && operand == extract.getTensor())
        continue;
      const Expr *part = evaluateScalar(operand, known, loops);
      if (!part)
        return nullptr;
      operands.push_back(part);
    }
    if (extract) {
      result = element(extract.getTensor(), operands);
    } else if (op->getNumResults() != 1 || op->getNumRegions() ||
               !isMemoryEffectFree(op)) {
      result = nullptr;
    } else {
      // Integers are read at once.
      if (isa<arith::FPToSIOp>(op))
        operands.front() = unfoldDeep(operands.front());
      Attribute detail;
      if (auto compare = dyn_cast<arith::CmpIOp>(op))
        detail = compare.getPredicateAttr();
      else if (auto floats = dyn_cast<arith::CmpFOp>(op))
        detail = floats.getPredicateAttr();
      result = exprs.apply(op->getName().getStringRef(), value.getType(),
                           operands, detail);
      if (isa<IndexType>(result->type))
        result = exprs.simplifyByValues(result);
      if (result->is("arith.andi"))
        if (const Expr *membership = readMembership(result))
          result = membership;
    }
  }
  if (result)
    known[value] = result;
  return result;
}

/// Splits what a reduction yields into the op that joins and what it joins the
/// accumulator with; `last` for a select between the two.
static bool matchAccumulation(Value yielded, Value accumulator, StringRef &op,
                              Value &joined, Value &condition) {
  Operation *def = yielded.getDefiningOp();
  if (!def || def->getNumOperands() < 2)
    return false;
  if (auto select = dyn_cast<arith::SelectOp>(def)) {
    if (select.getFalseValue() != accumulator)
      return false;
    op = "last";
    joined = select.getTrueValue();
    condition = select.getCondition();
    return true;
  }
  if (!isa<arith::AddFOp, arith::AddIOp, arith::MaximumFOp, arith::MinimumFOp,
           arith::MaxNumFOp, arith::MinNumFOp, arith::MaxSIOp, arith::MinSIOp,
           arith::MulFOp, arith::MulIOp, arith::AndIOp, arith::OrIOp>(def))
    return false;
  if (def->getOperand(0) != accumulator && def->getOperand(1) != accumulator)
    return false;
  op = def->getName().getStringRef();
  joined = def->getOperand(def->getOperand(0) == accumulator ? 1 : 0);
  return true;
}

const Expr *Elements::readStructured(linalg::LinalgOp op, unsigned result,
                                     Indices indices) {
  if (!op.hasPureTensorSemantics())
    return nullptr;
  OpOperand *init = op.getDpsInitOperand(result);
  AffineMap outMap = op.getMatchingIndexingMap(init);
  if (!outMap.isProjectedPermutation())
    return nullptr;
  SmallVector<const Expr *> loop(op.getNumLoops());
  for (auto [expr, index] : llvm::zip_equal(outMap.getResults(), indices))
    loop[cast<AffineDimExpr>(expr).getPosition()] = index;
  SmallVector<int64_t> extents = op.getStaticLoopRanges();
  SmallVector<const Expr *> reduced;
  for (unsigned i = 0; i < loop.size(); ++i) {
    if (loop[i])
      continue;
    if (op.getIteratorTypesArray()[i] != utils::IteratorType::reduction)
      return nullptr;
    const Expr *&variable = loops[{op, i}];
    if (!variable) {
      variable = exprs.variable(extents[i]);
      noteRows(op, i, variable);
    }
    loop[i] = variable;
    reduced.push_back(variable);
  }

  Block &body = *op.getBlock();
  llvm::DenseMap<Value, const Expr *> known;
  for (OpOperand *input : op.getDpsInputOperands()) {
    Value argument = body.getArgument(input->getOperandNumber());
    if (argument.use_empty())
      continue;
    if (!isa<RankedTensorType>(input->get().getType())) {
      llvm::DenseMap<Value, const Expr *> none;
      known[argument] = evaluateScalar(input->get(), none, {});
      continue;
    }
    SmallVector<const Expr *> at;
    for (AffineExpr expr : op.getMatchingIndexingMap(input).getResults()) {
      at.push_back(evaluate(expr, loop));
      if (!at.back())
        return nullptr;
    }
    known[argument] = element(input->get(), at);
  }
  Value accumulator = body.getArgument(init->getOperandNumber());
  Value yielded = body.getTerminator()->getOperand(result);
  auto readInit = [&]() -> const Expr * {
    return element(init->get(), indices);
  };
  if (reduced.empty()) {
    if (!accumulator.use_empty())
      known[accumulator] = readInit();
    return evaluateScalar(yielded, known, loop);
  }
  if (yielded == accumulator)
    return readInit();
  StringRef join;
  Value joined, condition;
  if (!matchAccumulation(yielded, accumulator, join, joined, condition))
    return nullptr;
  // Other results' accumulators are nothing that an expression has.
  for (OpOperand &other : op.getDpsInitsMutable()) {
    Value argument = body.getArgument(other.getOperandNumber());
    known[argument] = nullptr;
    SetVector<Operation *> slice;
    for (Operation *user : argument.getUsers())
      if (user != yielded.getDefiningOp() &&
          (other.getOperandNumber() == init->getOperandNumber()))
        return nullptr;
  }
  known.erase(accumulator);
  SmallVector<const Expr *> parts;
  if (condition) {
    parts.push_back(evaluateScalar(condition, known, loop));
    if (!parts.back())
      return nullptr;
  }
  const Expr *value = evaluateScalar(joined, known, loop);
  if (!value)
    return nullptr;
  const Expr *start = readInit();
  if (join == "last") {
    parts.append({value, start});
    for (const Expr *variable : llvm::reverse(reduced))
      parts = {exprs.reduce(join, variable, parts)};
    return parts.front();
  }
  // Sums over what one term of each is left of come first, those over slots
  // that they are replaced by last: these are the outermost.
  SmallVector<const Expr *> slots;
  if (join == "arith.addf")
    llvm::erase_if(reduced, [&](const Expr *variable) {
      return pickTerm(value, variable, slots);
    });
  reduced.insert(reduced.begin(), slots.begin(), slots.end());
  for (const Expr *variable : llvm::reverse(reduced))
    value = exprs.reduce(join, variable, value);
  if (join == "arith.addi" && start->getInteger() == 0)
    return value;
  return exprs.apply(join, value->type, {start, value});
}

//===----------------------------------------------------------------------===//
// Elements
//===----------------------------------------------------------------------===//

/// What the op of an element makes of it.
const Expr *Elements::readOp(Value tensor, Indices indices) {
  Operation *op = tensor.getDefiningOp();
  unsigned result = cast<OpResult>(tensor).getResultNumber();
  if (auto structured = dyn_cast<linalg::LinalgOp>(op))
    return readStructured(structured, result, indices);
  // Arithmetic on whole tensors.
  if (OpTrait::hasElementwiseMappableTraits(op) && op->getNumResults() == 1) {
    SmallVector<const Expr *> operands;
    for (Value operand : op->getOperands()) {
      llvm::DenseMap<Value, const Expr *> none;
      const Expr *part = isa<RankedTensorType>(operand.getType())
                             ? element(operand, indices)
                             : evaluateScalar(operand, none, {});
      if (!part)
        return nullptr;
      operands.push_back(part);
    }
    Attribute detail;
    if (auto compare = dyn_cast<arith::CmpIOp>(op))
      detail = compare.getPredicateAttr();
    else if (auto floats = dyn_cast<arith::CmpFOp>(op))
      detail = floats.getPredicateAttr();
    return exprs.apply(op->getName().getStringRef(),
                       getElementTypeOrSelf(tensor.getType()), operands,
                       detail);
  }
  return nullptr;
}

/// Whether a structured op only moves what it reads.
static bool isMove(linalg::LinalgOp op) {
  if (op.getNumDpsInits() != 1 || op.getNumLoops() != op.getNumParallelLoops())
    return false;
  Value yielded = op.getBlock()->getTerminator()->getOperand(0);
  return isa<BlockArgument>(yielded) ||
         yielded.getDefiningOp<tensor::ExtractOp>();
}

const Expr *Elements::getOnlySlot() {
  if (!onlySlot)
    onlySlot = variable(1);
  return onlySlot;
}

const Expr *Elements::element(Value tensor, Indices indices) {
  Operation *op = tensor.getDefiningOp();
  if (!op)
    return exprs.load(tensor, indices);
  // One name for the one slot, so that it may stand for a variable.
  SmallVector<const Expr *> ofOnlySlot;
  if (isa<RoutingIndicesOp, RoutingWeightsOp>(op) &&
      cast<RankedTensorType>(tensor.getType()).getDimSize(1) == 1) {
    ofOnlySlot = {indices[0], getOnlySlot()};
    indices = ofOnlySlot;
  }
  DenseElementsAttr constant;
  if (matchPattern(op, m_Constant(&constant))) {
    if (constant.isSplat() &&
        isa<FloatType, IntegerType>(constant.getElementType()))
      return exprs.constant(constant.getSplatValue<TypedAttr>());
    if (const Expr *flat = flatten(indices, constant.getType().getShape()))
      if (std::optional<int64_t> at = flat->getInteger();
          at && *at >= 0 && *at < constant.getNumElements() &&
          isa<FloatType, IntegerType>(constant.getElementType()))
        return exprs.constant(constant.getValues<TypedAttr>()[*at]);
    return exprs.load(tensor, indices);
  }
  if (auto indicesOp = dyn_cast<RoutingIndicesOp>(op)) {
    auto routing = cast<RoutingType>(indicesOp.getRouting().getType());
    auto router = indicesOp.getRouting().getDefiningOp<RouterOp>();
    bool isFull = router && isa<TopKAttr, GroupTopKAttr>(router.getPolicy());
    return exprs.load(tensor, indices,
                      Interval{isFull ? 0 : -1, routing.getExperts() - 1});
  }
  if (auto meaning = op->getAttrOfType<StringAttr>(kMeaningAttrName)) {
    if (meaning == "groups")
      return readGroup(tensor, indices);
    int64_t size = cast<RankedTensorType>(tensor.getType()).getDimSize(0);
    Interval places{0, ShapedType::isDynamic(size) ? INT32_MAX : size - 1};
    // The order of what is an order already is its ranks.
    if (meaning == "order") {
      Value ranks = op->getOperand(0);
      // Of a list of places it is where each of them is.
      if (hasMeaning(ranks, "order"))
        return element(ranks.getDefiningOp()->getOperand(0), indices);
      exprs.addInverse(tensor, ranks);
      Operation *source = ranks.getDefiningOp();
      Value sorted = source ? source->getOperand(0) : Value();
      if (sorted && hasMeaning(sorted, "order"))
        return element(sorted.getDefiningOp()->getOperand(0), indices);
    }
    return exprs.load(tensor, indices, places);
  }
  if (const Expr *viewed = readView(tensor, indices))
    return viewed;
  auto structured = dyn_cast<linalg::LinalgOp>(op);
  bool isNow = isIndexLike(tensor) || (structured && isMove(structured)) ||
               isa<linalg::FillOp>(op);
  if (isNow)
    if (const Expr *read = readOp(tensor, indices))
      return read;
  return exprs.load(tensor, indices);
}

const Expr *Elements::unfold(const Expr *element) {
  if (element->kind != Expr::Element || !element->tensor.getDefiningOp())
    return nullptr;
  auto [known, isNew] = unfolded.try_emplace(element, nullptr);
  if (!isNew)
    return known->second;
  const Expr *result = isa<RankedTensorType>(element->tensor.getType())
                           ? readOp(element->tensor, element->operands)
                           : nullptr;
  if (result == element)
    result = nullptr;
  return unfolded[element] = result;
}

const Expr *Elements::unfoldAll(const Expr *expr) {
  while (const Expr *next = unfold(expr))
    expr = next;
  return expr;
}

const Expr *Elements::unfoldDeep(const Expr *expr) {
  expr = unfoldAll(expr);
  if (expr->kind != Expr::Apply || !isa<FloatType>(expr->type))
    return expr;
  SmallVector<const Expr *> operands;
  for (const Expr *operand : expr->operands)
    operands.push_back(isa<FloatType>(operand->type) ? unfoldDeep(operand)
                                                     : operand);
  return exprs.apply(expr->name, expr->type, operands, expr->value);
}
