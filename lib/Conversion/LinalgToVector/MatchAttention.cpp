//===- MatchAttention.cpp - The ops of an attention -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// From softmax forwards to the sum of values, and backwards through what is
// done to each score to the product of queries and keys.
//
//===----------------------------------------------------------------------===//

#include "Attention.h"

#include "mlir/IR/Matchers.h"

#include <limits>

using namespace mlir;
using namespace moe::linalg_to_vector;
using linalg::LinalgOp;

static bool isF32(Value value) {
  return getElementTypeOrSelf(value.getType()).isF32();
}

/// Whether all of `value` is zero.
static bool isZero(Value value) {
  auto fill = value.getDefiningOp<linalg::FillOp>();
  return fill && matchPattern(fill.getInputs()[0], m_AnyZeroFloat());
}

/// Sums of products of f32 that start from zero.
static bool isPlainContraction(LinalgOp op) {
  return op && linalg::isaContractionOpInterface(op) &&
         op.hasPureTensorSemantics() && op->getNumResults() == 1 &&
         llvm::all_of(op->getOperands(), isF32) &&
         isZero(op.getDpsInits()[0]) &&
         llvm::all_of(op.getBlock()->without_terminator(),
                      llvm::IsaPred<arith::MulFOp, arith::AddFOp>) &&
         llvm::all_of(op.getIndexingMapsArray(), [](AffineMap map) {
           return map.isProjectedPermutation();
         });
}

static unsigned getLoop(AffineExpr result) {
  return cast<AffineDimExpr>(result).getPosition();
}

bool Attention::matchSums(std::string &why) {
  if (!softmax->hasOneUse())
    return false;
  OpOperand &use = *softmax->use_begin();
  auto op = dyn_cast<LinalgOp>(use.getOwner());
  if (!isPlainContraction(op) || !op.isDpsInput(&use) ||
      op->getBlock() != softmax->getBlock())
    return false;
  AffineMap map = op.getMatchingIndexingMap(&use);
  AffineMap out = op.getIndexingMapsArray().back();
  sums = {op, SmallVector<int64_t>(op.getNumLoops(), -1)};
  for (auto [role, loop] : llvm::enumerate(map.getResults())) {
    sums.roles[getLoop(loop)] = role;
    if (out.isFunctionOfDim(getLoop(loop)) == (role == key)) {
      why = "the product behind softmax sums over something else than keys";
      return false;
    }
  }
  std::optional<unsigned> columns;
  for (auto [loop, role] : llvm::enumerate(sums.roles)) {
    if (role >= 0)
      continue;
    if (columns || !out.isFunctionOfDim(loop)) {
      why = "values have more than one dimension of columns";
      return false;
    }
    columns = loop;
  }
  if (!columns ||
      ShapedType::isDynamic(numColumns = op.getStaticLoopRanges()[*columns])) {
    why = "the number of columns of values is not known";
    return false;
  }
  column = *columns;
  return true;
}

/// What is done to scores, element by element, between the product and softmax.
bool Attention::matchChain(std::string &why) {
  Value scores = softmax.getInput();
  SmallVector<int64_t> roles = llvm::to_vector(
      llvm::seq<int64_t>(0, cast<ShapedType>(scores.getType()).getRank()));
  while (true) {
    auto op = scores.getDefiningOp<LinalgOp>();
    if (!op || !scores.hasOneUse() || op->getNumResults() != 1 ||
        op->getBlock() != softmax->getBlock() || !op.hasPureTensorSemantics()) {
      why = "scores are made by something else than a product, or read twice";
      return false;
    }
    AffineMap out = op.getIndexingMapsArray().back();
    if (!out.isProjectedPermutation()) {
      why = "scores are not written in order";
      return false;
    }
    Step step{op, SmallVector<int64_t>(op.getNumLoops(), -1)};
    for (auto [loop, role] : llvm::zip_equal(out.getResults(), roles))
      step.roles[getLoop(loop)] = role;
    if (op.getNumReductionLoops()) {
      products = step;
      return true;
    }
    if (!isF32(scores) ||
        op.payloadUsesValueFromOperand(op.getDpsInitOperand(0))) {
      why = "scores are added to something";
      return false;
    }
    // The operand that has all dimensions of the scores and is made here.
    OpOperand *next = nullptr;
    for (OpOperand *operand : op.getDpsInputOperands()) {
      AffineMap map = op.getMatchingIndexingMap(operand);
      if (!map.isProjectedPermutation(/*allowZeroInResults=*/true)) {
        why = "what is done to scores reads an operand in another way than "
              "element by element";
        return false;
      }
      auto def = operand->get().getDefiningOp<LinalgOp>();
      if (!next && map.isPermutation() && def && operand->get().hasOneUse() &&
          leadsToProduct(operand->get()))
        next = operand;
    }
    if (!next) {
      why = "scores are made by something else than a product";
      return false;
    }
    chain.push_back(step);
    SmallVector<int64_t> from;
    for (AffineExpr loop : op.getMatchingIndexingMap(next).getResults())
      from.push_back(step.roles[getLoop(loop)]);
    roles = from;
    scores = next->get();
  }
}

bool Attention::matchProducts(std::string &why) {
  LinalgOp op = products.op;
  if (!isPlainContraction(op)) {
    why = "scores are no plain product of f32";
    return false;
  }
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  SmallVector<int64_t> ranges = op.getStaticLoopRanges();
  unsigned numDepths = 0;
  std::optional<unsigned> keyLoop;
  for (auto [loop, role] : llvm::enumerate(products.roles)) {
    if (role == static_cast<int64_t>(key))
      keyLoop = loop;
    if (role >= 0)
      continue;
    ++numDepths;
    if (ShapedType::isDynamic(ranges[loop])) {
      why = "the length of keys is not known";
      return false;
    }
  }
  unsigned keys = maps[0].isFunctionOfDim(*keyLoop) ? 0 : 1;
  if (numDepths != 1 || maps[1 - keys].isFunctionOfDim(*keyLoop)) {
    why = "scores are no products of queries and keys";
    return false;
  }
  // Of the dimensions that keys have not, the one with most queries.
  std::optional<unsigned> chosen;
  for (auto [loop, role] : llvm::enumerate(products.roles)) {
    if (role < 0 || loop == *keyLoop || maps[keys].isFunctionOfDim(loop))
      continue;
    auto size = [&](unsigned loop) {
      return ShapedType::isDynamic(ranges[loop])
                 ? std::numeric_limits<int64_t>::max()
                 : ranges[loop];
    };
    if (!chosen || size(loop) > size(*chosen))
      chosen = loop;
  }
  if (!chosen) {
    why = "each query has keys of its own";
    return false;
  }
  query = products.roles[*chosen];
  return true;
}

/// Heads go behind tokens afterwards: the tiles can be put there at once.
void Attention::followResult() {
  result = sums.op;
  for (AffineExpr loop : sums.op.getIndexingMapsArray().back().getResults())
    resultLoops.push_back(getLoop(loop));
  while (result->hasOneUse()) {
    Operation *user = *result->user_begin();
    std::optional<CopyMaps> copy = matchCopy(user);
    if (!copy || !copy->from.isPermutation() ||
        user->getOperand(0) != result->getResult(0) ||
        user->getBlock() != result->getBlock())
      return;
    AffineMap map = copy->from.compose(inversePermutation(copy->to));
    // Dimension d of the copy is dimension map^-1(d) of what it reads.
    SmallVector<unsigned> loops(resultLoops.size());
    for (auto [i, d] : llvm::enumerate(map.getResults()))
      loops[getLoop(d)] = resultLoops[i];
    resultLoops = loops;
    result = user;
  }
}

bool Attention::match(std::string &why) {
  key = softmax.getDimension();
  if (!softmax.hasPureTensorSemantics() || !isF32(softmax.getInput()) ||
      !matchSums(why) || !matchChain(why) || !matchProducts(why))
    return false;
  followResult();
  return true;
}
