//===- ElementViews.cpp - Elements of what only moves them -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Reshapes, slices, concatenations: where an element comes from.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Raise/Elements.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace moe::raise;

/// Places of [n, ?] in one dimension: those of the same [n, ?] are found in
/// them again, whatever the size.
static constexpr llvm::StringLiteral kRowMajor = "rowmajor";

bool Elements::isRowMajor(const Expr *index) { return index->is(kRowMajor); }

/// The two sizes of `group` that are not 1, if the first is static and the
/// second is not.
static bool isOfUnknownRows(ArrayRef<int64_t> sizes) {
  return sizes.size() == 2 && !ShapedType::isDynamic(sizes[0]) &&
         ShapedType::isDynamic(sizes[1]);
}

const Expr *Elements::flatten(Indices indices, ArrayRef<int64_t> shape) {
  const Expr *flat = number(0);
  for (auto [d, index] : llvm::enumerate(indices)) {
    if (d && ShapedType::isDynamic(shape[d]))
      return nullptr;
    flat = exprs.linear(flat, d ? shape[d] : 1, index, 1);
  }
  return flat;
}

/// Reads through an op that only says where elements are; null if it does more,
/// or if that depends on sizes that are not known.
const Expr *Elements::readView(Value tensor, Indices indices) {
  Operation *op = tensor.getDefiningOp();
  if (auto cast = dyn_cast<tensor::CastOp>(op))
    return isa<RankedTensorType>(cast.getSource().getType())
               ? element(cast.getSource(), indices)
               : nullptr;
  if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op)) {
    ArrayRef<int64_t> shape = collapse.getSrcType().getShape();
    SmallVector<const Expr *> from;
    SmallVector<ReassociationIndices> groups =
        collapse.getReassociationIndices();
    if (groups.empty())
      from.assign(shape.size(), number(0));
    for (auto [group, index] : llvm::zip(groups, indices)) {
      SmallVector<int64_t> sizes;
      for (int64_t d : group)
        if (shape[d] != 1)
          sizes.push_back(shape[d]);
      if (isRowMajor(index) && isOfUnknownRows(sizes) &&
          cast<IntegerAttr>(index->value).getInt() == sizes[0]) {
        unsigned next = 0;
        for (int64_t d : group)
          from.push_back(shape[d] == 1 ? number(0) : (*index)[next++]);
        continue;
      }
      // The last ones of a group have to be known.
      SmallVector<const Expr *> parts;
      const Expr *rest = index;
      for (int64_t d : llvm::reverse(group)) {
        bool isFirst = d == group.front();
        if (shape[d] == 1) {
          parts.push_back(number(0));
          continue;
        }
        // Nothing but dimensions of one in front.
        bool isLast = llvm::all_of(group, [&](int64_t other) {
          return other >= d || shape[other] == 1;
        });
        if (isFirst || isLast) {
          parts.push_back(rest);
          rest = number(0);
          continue;
        }
        if (ShapedType::isDynamic(shape[d])) {
          const Expr *size =
              isIndexLike(tensor) ? this->size(collapse.getSrc(), d) : nullptr;
          if (!size)
            return nullptr;
          parts.push_back(exprs.apply("arith.remui", size->type, {rest, size}));
          rest = exprs.apply("arith.divui", size->type, {rest, size});
          continue;
        }
        parts.push_back(exprs.mod(rest, shape[d]));
        rest = exprs.floorDiv(rest, shape[d]);
      }
      from.append(parts.rbegin(), parts.rend());
    }
    return element(collapse.getSrc(), from);
  }
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op)) {
    ArrayRef<int64_t> shape = expand.getResultType().getShape();
    SmallVector<const Expr *> from;
    for (const ReassociationIndices &group : expand.getReassociationIndices()) {
      SmallVector<const Expr *> own;
      SmallVector<int64_t> sizes;
      for (int64_t d : group)
        if (shape[d] != 1 || group.size() == 1) {
          own.push_back(indices[d]);
          sizes.push_back(shape[d]);
        }
      const Expr *flat = flatten(own, sizes);
      if (!flat && isOfUnknownRows(sizes))
        flat = exprs.apply(
            kRowMajor, IndexType::get(exprs.getContext()), own,
            IntegerAttr::get(IndexType::get(exprs.getContext()), sizes[0]));
      if (!flat)
        return nullptr;
      from.push_back(flat);
    }
    return element(expand.getSrc(), from);
  }
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
    SmallVector<const Expr *> from;
    llvm::SmallBitVector dropped = slice.getDroppedDims();
    unsigned next = 0;
    for (int64_t d = 0; d < slice.getSourceType().getRank(); ++d) {
      std::optional<int64_t> offset = getConstantIntValue(
                                 slice.getMixedOffsets()[d]),
                             stride = getConstantIntValue(
                                 slice.getMixedStrides()[d]);
      if (!offset || !stride)
        return nullptr;
      const Expr *index = dropped.test(d) ? number(0) : indices[next++];
      // Of another size they would be other places.
      if (isRowMajor(index))
        return nullptr;
      from.push_back(exprs.linear(index, *stride, number(*offset), 1));
    }
    return element(slice.getSource(), from);
  }
  if (auto concat = dyn_cast<tensor::ConcatOp>(op)) {
    // Of floats only where it is known which part it is.
    const Expr *index = indices[concat.getDim()];
    std::optional<Interval> range = exprs.getRange(index);
    int64_t begin = 0;
    SmallVector<std::pair<int64_t, const Expr *>> parts;
    for (Value part : concat.getInputs()) {
      int64_t size =
          cast<RankedTensorType>(part.getType()).getDimSize(concat.getDim());
      if (!range || ShapedType::isDynamic(size))
        return nullptr;
      int64_t end = begin + size;
      bool isAll = range->low >= begin && range->high < end;
      bool isSome = range->low < end && range->high >= begin;
      if (isAll || (isSome && isIndexLike(tensor))) {
        SmallVector<const Expr *> from(indices);
        from[concat.getDim()] = exprs.linear(index, 1, number(-begin), 1);
        parts.push_back({end, element(part, from)});
      }
      begin = end;
    }
    if (parts.empty())
      return nullptr;
    const Expr *result = parts.back().second;
    for (auto [end, part] : llvm::reverse(ArrayRef(parts).drop_back()))
      result =
          exprs.apply("arith.select", part->type,
                      {compare(arith::CmpIPredicate::slt, index, number(end)),
                       part, result});
    return result;
  }
  if (auto splat = dyn_cast<tensor::SplatOp>(op)) {
    llvm::DenseMap<Value, const Expr *> none;
    return evaluateScalar(splat.getInput(), none, {});
  }
  if (auto elements = dyn_cast<tensor::FromElementsOp>(op)) {
    auto type = elements.getType();
    const Expr *flat = flatten(indices, type.getShape());
    std::optional<int64_t> at = flat ? flat->getInteger() : std::nullopt;
    if (!at || *at < 0 ||
        *at >= static_cast<int64_t>(elements.getElements().size()))
      return nullptr;
    llvm::DenseMap<Value, const Expr *> none;
    return evaluateScalar(elements.getElements()[*at], none, {});
  }
  return nullptr;
}
