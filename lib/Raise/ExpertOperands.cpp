//===- ExpertOperands.cpp - What the body of an expert reads ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Weights, as views of the function's, and the rows of tokens.
//
//===----------------------------------------------------------------------===//

#include "ExpertBody.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace moe::raise;

/// `expr` as scale * variable + offset; the variable is null if it is a number.
static bool matchAffine(const Expr *expr, const Expr *&variable, int64_t &scale,
                        int64_t &offset) {
  variable = nullptr;
  scale = 1;
  offset = 0;
  if (std::optional<int64_t> number = expr->getInteger()) {
    offset = *number;
    return true;
  }
  if (expr->kind == Expr::Linear && expr->operands.size() == 1) {
    scale = expr->coefficients[0];
    offset = expr->offset;
    expr = expr->operands[0];
  }
  variable = expr;
  return expr->kind == Expr::Variable && scale > 0;
}

/// The argument of one expert for the weight that `element` is of, with a
/// dimension for each of `variables`.
Value ExpertBody::writeWeight(const Expr *element,
                              ArrayRef<const Expr *> variables) {
  if (Value known = weightOf.lookup(element))
    return known;
  auto type = cast<RankedTensorType>(element->tensor.getType());
  Upstream up(outside, loc);
  Sizes offsets, sizes, kept;
  SmallVector<int64_t> strides, permutation;
  SmallVector<int64_t> dimOf(variables.size(), -1);
  int64_t expertDim = -1, next = 0;
  Builder &b = outside;
  bool isWhole = true;
  for (auto [d, index] : llvm::enumerate(element->operands)) {
    if (index == expertIndex) {
      offsets.push_back(b.getIndexAttr(0));
      sizes.push_back(b.getIndexAttr(numExperts));
      strides.push_back(1);
      kept.push_back(sizes.back());
      expertDim = next++;
      continue;
    }
    const Expr *variable;
    int64_t scale, offset;
    if (!matchAffine(index, variable, scale, offset)) {
      fail(element, "a weight is indexed in a way that no view is");
      return {};
    }
    auto which = llvm::find(variables, variable);
    int64_t size = 1;
    if (variable) {
      if (which == variables.end() || dimOf[which - variables.begin()] >= 0 ||
          ShapedType::isDynamic(variable->extent)) {
        fail(element, "a weight is not multiplied with rows as a matrix is");
        return {};
      }
      size = variable->extent;
      dimOf[which - variables.begin()] = next++;
      kept.push_back(b.getIndexAttr(size));
    }
    offsets.push_back(b.getIndexAttr(offset));
    sizes.push_back(b.getIndexAttr(size));
    strides.push_back(scale);
    isWhole &= size == type.getDimSize(d) && variable;
  }
  if (llvm::is_contained(dimOf, -1)) {
    fail(element, "a weight is the same along a dimension of a product");
    return {};
  }
  Value view = element->tensor;
  if (!isWhole) {
    view = up.slice(view, offsets, sizes, strides);
    if (kept.size() != sizes.size()) {
      // Dimensions with one index go.
      auto reduced = Upstream::getType(kept, type.getElementType());
      Sizes steps;
      for (int64_t stride : strides)
        steps.push_back(b.getIndexAttr(stride));
      view = tensor::ExtractSliceOp::create(
          outside, loc, reduced, element->tensor, offsets, sizes, steps);
    }
  }
  if (!isDense)
    permutation.push_back(expertDim);
  permutation.append(dimOf);
  view = up.transpose(view, permutation);
  weights.push_back(view);
  auto viewType = cast<RankedTensorType>(view.getType());
  Value argument = block->addArgument(
      RankedTensorType::get(viewType.getShape().drop_front(isDense ? 0 : 1),
                            viewType.getElementType()),
      loc);
  return weightOf[element] = argument;
}

/// The rows of the tokens, [N, columns].
std::optional<ExpertBody::Leaf> ExpertBody::writeToken(const Expr *element,
                                                       const Expr *column) {
  auto type = cast<RankedTensorType>(element->tensor.getType());
  const Expr *variable;
  int64_t scale, offset;
  // All dimensions but the last are tokens.
  const Expr *flat = exprs.number(0);
  ArrayRef<const Expr *> indices(element->operands);
  for (int64_t d = 0; d + 1 < type.getRank(); ++d) {
    // In front of it there may be dimensions of one.
    if (flat && flat->getInteger() == 0)
      flat = indices[d];
    else if (flat && !type.isDynamicDim(d))
      flat = exprs.linear(flat, type.getDimSize(d), indices[d], 1);
    else
      flat = nullptr;
  }
  if (dispatchedTokens && element->tensor == inputTensor)
    flat = element->operands[0] == loops.slot &&
                   element->operands[1] == loops.token
               ? loops.token
               : nullptr;
  if (type.getRank() < 2 || flat != loops.token ||
      !matchAffine(indices.back(), variable, scale, offset) ||
      (variable && variable != column) ||
      type.isDynamicDim(type.getRank() - 1)) {
    fail(element, "an expert reads something that is no row of its token");
    return std::nullopt;
  }
  if (inputTensor && inputTensor != element->tensor) {
    fail(element, isDense ? "it reads another tensor than the layer does"
                          : "an expert reads rows of two tensors");
    return std::nullopt;
  }
  int64_t width = type.getDimSize(type.getRank() - 1);
  if (!tokens) {
    inputTensor = element->tensor;
    tokens = dispatchedTokens ? dispatchedTokens : element->tensor;
    if (type.getRank() > 2 && !dispatchedTokens) {
      Upstream up(outside, loc);
      Sizes sizes = up.sizesOf(tokens);
      OpFoldResult count = sizes[0];
      for (int64_t d = 1; d + 1 < type.getRank(); ++d)
        count = up.multiply(count, sizes[d]);
      tokens = up.reshape(tokens, {count, sizes.back()});
    }
    block->insertArgument(0u,
                          RankedTensorType::get({ShapedType::kDynamic, width},
                                                type.getElementType()),
                          loc);
  }
  Value rows = block->getArgument(0);
  if (!variable) {
    Upstream up(inside, loc);
    Sizes sizes = up.sizesOf(rows);
    Value part = tensor::ExtractSliceOp::create(
        inside, loc,
        RankedTensorType::get(ShapedType::kDynamic, type.getElementType()),
        rows, Sizes{inside.getIndexAttr(0), inside.getIndexAttr(offset)},
        Sizes{sizes[0], inside.getIndexAttr(1)},
        Sizes{inside.getIndexAttr(1), inside.getIndexAttr(1)});
    return Leaf{part, true, false};
  }
  if (scale != 1 || offset || column->extent != width) {
    Upstream up(inside, loc);
    Sizes sizes = up.sizesOf(rows);
    rows =
        up.slice(rows, {inside.getIndexAttr(0), inside.getIndexAttr(offset)},
                 {sizes[0], inside.getIndexAttr(column->extent)}, {1, scale});
  }
  return Leaf{rows, true, true};
}
