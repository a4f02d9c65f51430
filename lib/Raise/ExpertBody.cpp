//===- ExpertBody.cpp - The body of an expert from index notation -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "ExpertBody.h"
#include "WriteExpr.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace moe::raise;

ExpertBody::ExpertBody(Elements &elements, LayerLoops loops, OpBuilder &outside,
                       Block *block, Location loc)
    : elements(elements), exprs(elements.exprs), loops(loops), outside(outside),
      block(block), inside(outside.getContext()), loc(loc) {
  inside.setInsertionPointToEnd(block);
}

void ExpertBody::fail(const Expr *at, const Twine &why) {
  if (obstacle)
    return;
  Location where = loc;
  if (at && at->kind == Expr::Element)
    where = at->tensor.getLoc();
  obstacle = {where, why.str()};
}

//===----------------------------------------------------------------------===//
// What an element is
//===----------------------------------------------------------------------===//

bool ExpertBody::isOfToken(const Expr *expr) const {
  if (isDense || dispatchedTokens)
    return expr->tensor == inputTensor;
  return expr->dependsOn(loops.token) && !expr->dependsOn(loops.slot);
}

/// The integers in `expr` that are read from tensors.
static void collectLoaded(const Expr *expr,
                          llvm::SmallSetVector<const Expr *, 4> &loaded) {
  if (expr->kind == Expr::Element) {
    loaded.insert(expr);
    return;
  }
  for (const Expr *operand : expr->operands)
    collectLoaded(operand, loaded);
}

/// Whether `value` is computed from `source`.
static bool dependsOn(Value value, Value source) {
  SmallVector<Value> open = {value};
  llvm::SmallPtrSet<Operation *, 16> seen;
  while (!open.empty()) {
    Value next = open.pop_back_val();
    if (next == source)
      return true;
    Operation *op = next.getDefiningOp();
    if (!op || !seen.insert(op).second)
      continue;
    llvm::append_range(open, op->getOperands());
    op->walk([&](Operation *inner) {
      llvm::append_range(open, inner->getOperands());
    });
  }
  return false;
}

/// The same of code that has no experts: an argument or a constant.
bool ExpertBody::isDenseWeight(const Expr *element) {
  return element->tensor != inputTensor && !element->operands.empty() &&
         !element->dependsOn(loops.token) && !elements.unfold(element);
}

/// Whether it is a weight of the expert of a token and slot: one of its indices
/// says which expert, the others neither depend on the token nor on the slot.
/// What clamps and wraps the index is evaluated for each expert.
bool ExpertBody::isWeight(const Expr *element) {
  if (element->kind != Expr::Element || !isa<FloatType>(element->type))
    return false;
  if (isDense)
    return isDenseWeight(element);
  const Expr *index = nullptr;
  int64_t size = 0;
  for (auto [d, operand] : llvm::enumerate(element->operands)) {
    if (!operand->dependsOn(loops.slot)) {
      if (operand->dependsOn(loops.token))
        return false;
      continue;
    }
    if (index)
      return false;
    index = operand;
    size = cast<RankedTensorType>(element->tensor.getType()).getDimSize(d);
  }
  if (!index || ShapedType::isDynamic(size))
    return false;
  if (index == expertIndex)
    return size == numExperts;
  llvm::SmallSetVector<const Expr *, 4> loaded;
  collectLoaded(index, loaded);
  // Rows that are sorted by expert are gathered, too.
  for (const Expr *part : loaded)
    if (part->operands.empty() || dependsOn(element->tensor, part->tensor))
      return false;
  if (loaded.empty())
    return false;
  const Expr *chosen = index;
  if (loaded.size() == 1 && index != loaded.front()) {
    chosen = loaded.front();
    for (int64_t e = 0; e < size; ++e)
      if (exprs.substitute(index, chosen, exprs.number(e))->getInteger() != e)
        return false;
  } else if (loaded.size() > 1) {
    // Of several choices it has to be known that they are experts.
    std::optional<Interval> range = exprs.getRange(index);
    if (!range || range->low < 0 || range->high >= size)
      return false;
  }
  if (expert && (chosen != expert || size != numExperts))
    return false;
  expert = chosen;
  expertIndex = index;
  numExperts = size;
  return true;
}

//===----------------------------------------------------------------------===//
// Leaves
//===----------------------------------------------------------------------===//

std::optional<ExpertBody::Leaf> ExpertBody::writeProduct(const Expr *expr,
                                                         const Expr *column,
                                                         const Expr *rows,
                                                         const Expr *weight) {
  const Expr *depth = expr->operands[0];
  Value input = writeRows(rows, depth);
  if (!input)
    return std::nullopt;
  SmallVector<const Expr *> variables = {depth};
  if (column)
    variables.insert(variables.begin(), column);
  Value matrix = writeWeight(weight, variables);
  if (!matrix)
    return std::nullopt;
  Upstream up(inside, loc);
  ContractionDims dims;
  dims.lhsContracting = {1};
  dims.rhsContracting = {column ? 1 : 0};
  return Leaf{up.contract(input, matrix, dims), true, column != nullptr};
}

/// What `product` is beside a weight that depends on `depth`; null if there is
/// no such factor.
const Expr *ExpertBody::splitWeight(const Expr *product, const Expr *depth,
                                    const Expr *&weight) {
  const Expr *code = unfoldCode(product);
  if (!code->is("arith.mulf"))
    return nullptr;
  for (unsigned i = 0; i < 2; ++i)
    if (const Expr *factor = (*code)[i];
        factor->dependsOn(depth) && isWeight(factor)) {
      weight = factor;
      return (*code)[1 - i];
    }
  for (unsigned i = 0; i < 2; ++i)
    if (const Expr *rest = splitWeight((*code)[i], depth, weight))
      return exprs.apply("arith.mulf", code->type, {rest, (*code)[1 - i]});
  return nullptr;
}

/// A reduction of rows, or a product.
std::optional<ExpertBody::Leaf> ExpertBody::writeReduction(const Expr *expr,
                                                           const Expr *column) {
  const Expr *depth = expr->operands[0];
  const Expr *body = unfoldCode(expr->operands[1]);
  const Expr *weight = nullptr;
  if (expr->name == "arith.addf")
    if (const Expr *rest = splitWeight(body, depth, weight))
      return writeProduct(expr, column, rest, weight);
  if (body->dependsOn(column)) {
    fail(nullptr, "a sum over rows is no product with a weight of the expert");
    return std::nullopt;
  }
  Value rows = writeRows(expr->operands[1], depth);
  if (!rows)
    return std::nullopt;
  double neutral = 0;
  if (expr->name == "arith.maximumf" || expr->name == "arith.maxnumf")
    neutral = -std::numeric_limits<double>::infinity();
  else if (expr->name == "arith.minimumf" || expr->name == "arith.minnumf")
    neutral = std::numeric_limits<double>::infinity();
  else if (expr->name == "arith.mulf")
    neutral = 1;
  else if (expr->name != "arith.addf") {
    fail(nullptr, "rows are reduced by " + expr->name);
    return std::nullopt;
  }
  Upstream up(inside, loc);
  Type element = getElementTypeOrSelf(rows.getType());
  Value result =
      up.reduce(rows, up.scalar(element, neutral), 1,
                [&](OpBuilder &b, ValueRange v) -> Value {
                  OperationState state(loc, expr->name, {v[1], v[0]}, element);
                  return b.create(state)->getResult(0);
                });
  return Leaf{result, true, false};
}

std::optional<ExpertBody::Leaf> ExpertBody::writeLeaf(const Expr *expr,
                                                      const Expr *column) {
  if (expr->kind == Expr::Reduce)
    return writeReduction(expr, column);
  if (isWeight(expr)) {
    SmallVector<const Expr *> variables;
    if (expr->dependsOn(column))
      variables.push_back(column);
    Value vector = writeWeight(expr, variables);
    if (!vector)
      return std::nullopt;
    return Leaf{vector, false, !variables.empty()};
  }
  readsPlainTokens = true;
  return writeToken(expr, column);
}

//===----------------------------------------------------------------------===//
// Elementwise code
//===----------------------------------------------------------------------===//

/// What `expr` is computed by, unless it is an element of tokens or weights.
const Expr *ExpertBody::unfoldCode(const Expr *expr) {
  while (expr->kind == Expr::Element && !isWeight(expr) && !isOfToken(expr)) {
    const Expr *next = elements.unfold(expr);
    if (!next)
      break;
    expr = next;
  }
  return expr;
}

/// Whether a weight of the expert has a part in `expr`.
bool ExpertBody::readsWeights(const Expr *expr) {
  const Expr *code = unfoldCode(expr);
  if (isWeight(code))
    return true;
  bool isInside = code->kind == Expr::Apply || code->kind == Expr::Reduce;
  return isInside && isa<FloatType>(code->type) &&
         llvm::any_of(code->operands, [&](const Expr *operand) {
           return isa<FloatType>(operand->type) && readsWeights(operand);
         });
}

/// The row of a token times a number of its assignment: the row. Its factor is
/// the weight of all of them.
const Expr *ExpertBody::matchWeightedToken(const Expr *product,
                                           const Expr *column) {
  if (isDense || dispatchedTokens || !column || !product->is("arith.mulf"))
    return nullptr;
  for (unsigned i = 0; i < 2; ++i) {
    const Expr *row = unfoldCode((*product)[i]), *factor = (*product)[1 - i];
    if (row->kind != Expr::Element || isWeight(row) || !isOfToken(row) ||
        !row->dependsOn(column) || factor->dependsOn(column) ||
        !factor->dependsOn(loops.token) || !factor->dependsOn(loops.slot) ||
        readsWeights(factor))
      continue;
    factor = elements.unfoldDeep(factor);
    if (inputWeight && inputWeight != factor) {
      fail(row, "rows are weighted in two ways");
      return nullptr;
    }
    inputWeight = factor;
    return row;
  }
  return nullptr;
}

bool ExpertBody::collectLeaves(const Expr *given, const Expr *column,
                               llvm::MapVector<const Expr *, Leaf> &leaves) {
  const Expr *expr = unfoldCode(given);
  if (expr->kind == Expr::Constant || leaves.contains(expr))
    return true;
  if (const Expr *row = matchWeightedToken(expr, column)) {
    std::optional<Leaf> leaf = writeToken(row, column);
    if (leaf)
      leaves.insert({expr, *leaf});
    return leaf.has_value();
  }
  if (expr->kind == Expr::Apply) {
    // What all experts have in common and does not depend on the token would be
    // a constant.
    for (const Expr *operand : expr->operands)
      if (!collectLeaves(operand, column, leaves))
        return false;
    return true;
  }
  if (expr->kind == Expr::Variable || expr->kind == Expr::Linear) {
    fail(given, "what an expert computes depends on the place in its row");
    return false;
  }
  std::optional<Leaf> leaf = writeLeaf(expr, column);
  if (!leaf)
    return false;
  leaves.insert({expr, *leaf});
  return true;
}

/// `expr` with unfolded code, so that leaves are met as they were collected.
static const Expr *
rebuild(Exprs &exprs, const Expr *expr,
        llvm::function_ref<const Expr *(const Expr *)> unfold,
        llvm::function_ref<bool(const Expr *)> isLeaf,
        llvm::DenseMap<const Expr *, const Expr *> &done) {
  if (const Expr *known = done.lookup(expr))
    return known;
  const Expr *result = unfold(expr);
  if (result->kind == Expr::Apply && !isLeaf(result)) {
    SmallVector<const Expr *> operands;
    for (const Expr *operand : result->operands)
      operands.push_back(rebuild(exprs, operand, unfold, isLeaf, done));
    result = exprs.apply(result->name, result->type, operands, result->value);
  }
  return done[expr] = result;
}

Value ExpertBody::writeRows(const Expr *given, const Expr *column) {
  // One variable for each size, so that equal rows are written once.
  if (column) {
    const Expr *&same = columnOf[column->extent];
    if (!same)
      same = exprs.variable(column->extent);
    given = exprs.substitute(given, column, same);
    column = same;
  }
  if (Value known = rowsOf.lookup(given))
    return known;
  llvm::MapVector<const Expr *, Leaf> leaves;
  if (!collectLeaves(given, column, leaves))
    return {};
  llvm::DenseMap<const Expr *, const Expr *> done;
  const Expr *code = rebuild(
      exprs, given, [&](const Expr *expr) { return unfoldCode(expr); },
      [&](const Expr *expr) { return leaves.contains(expr); }, done);
  auto own = leaves.find(code);
  if (own != leaves.end() && own->second.hasRows &&
      own->second.hasColumns == (column != nullptr))
    return rowsOf[given] = own->second.tensor;
  if (!block->getNumArguments() || !tokens) {
    fail(given, "an expert does not read its tokens");
    return {};
  }
  Upstream up(inside, loc);
  Sizes sizes = {up.sizesOf(block->getArgument(0))[0]};
  if (column)
    sizes.push_back(inside.getIndexAttr(column->extent));
  SmallVector<Value> inputs;
  SmallVector<AffineMap> maps;
  for (auto &[expr, leaf] : leaves) {
    SmallVector<AffineExpr> dims;
    if (leaf.hasRows)
      dims.push_back(inside.getAffineDimExpr(0));
    if (leaf.hasColumns)
      dims.push_back(inside.getAffineDimExpr(1));
    inputs.push_back(leaf.tensor);
    maps.push_back(AffineMap::get(sizes.size(), 0, dims, inside.getContext()));
  }
  bool isGood = true;
  Value result = up.map(
      inputs, maps, sizes, code->type, [&](OpBuilder &b, ValueRange values) {
        ScalarWriter writer(b, loc);
        for (auto [leaf, value] : llvm::zip_equal(leaves, values))
          writer.set(leaf.first, value);
        Value value = writer.write(code);
        isGood &= value != nullptr;
        Upstream scalars(b, loc);
        return value ? value : scalars.scalar(code->type, 0);
      });
  if (!isGood) {
    fail(given, "an expert computes something that is not known");
    return {};
  }
  return rowsOf[given] = result;
}

Value ExpertBody::write(const Expr *expr, const Expr *column) {
  Value result = writeRows(expr, column);
  if (result && inputWeight && readsPlainTokens) {
    fail(nullptr, "rows are weighted, and read as they are, too");
    return {};
  }
  return result;
}
