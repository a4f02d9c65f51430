//===- OnnxMaskedRows.cpp - Rows that are written by a mask ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// PyTorch's y[mask] = rows is exported element by element: the mask is expanded
// to the shape of y, its places are listed, and as many of the elements of rows
// are scattered there. Rows that another list of the same mask has are put
// where that list says, instead.
//
//===----------------------------------------------------------------------===//

#include "Onnx.h"

#include "moe-mlir/Raise/Elements.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace moe::raise;
using namespace moe::raise::onnx;

/// Whether each element of `mask` is in `wide` `width` times in a row.
static bool isRepeated(Value mask, Value wide, int64_t width) {
  Elements elements(mask.getContext());
  Exprs &exprs = elements.exprs;
  Value source = mask;
  while (auto cast = source.getDefiningOp<tensor::CastOp>())
    source = cast.getSource();
  const Expr *place =
      exprs.variable(cast<RankedTensorType>(source.getType()).getDimSize(0));
  const Expr *column = exprs.variable(width);
  return elements.element(mask, place) ==
         elements.element(wide, exprs.linear(place, width, column, 1));
}

/// The list that `indices` [places, rank] is the transpose of; null if it is
/// none.
static Operation *findList(Value indices) {
  auto transpose = indices.getDefiningOp<linalg::TransposeOp>();
  if (!transpose || transpose.getPermutation() != ArrayRef<int64_t>{1, 0})
    return nullptr;
  Operation *list = transpose.getInput().getDefiningOp();
  return list && list->hasAttr(kPlacesAttrName) ? list : nullptr;
}

void onnx::readMaskedRows(ForeignOp &op, Value data, Value &indices,
                          Value &updates) {
  Upstream &up = op.upstream;
  Operation *list = findList(indices);
  RankedTensorType type = Upstream::typeOf(data);
  if (!list || type.getRank() < 2 ||
      Upstream::typeOf(list->getResult(0)).getDimSize(0) != type.getRank() ||
      type.isDynamicDim(type.getRank() - 1))
    return;
  int64_t width = type.getDimSize(type.getRank() - 1);
  // There are as many updates as places, so that it needs no proof that the end
  // of the slice is that. Traced sizes hold for as many rows as there were.
  Value flat = updates;
  if (auto slice = flat.getDefiningOp<tensor::ExtractSliceOp>()) {
    if (slice.getType().getRank() != 1 || !slice.hasUnitStride() ||
        !llvm::all_of(slice.getMixedOffsets(), isZeroInteger))
      return;
    flat = slice.getSource();
  }
  while (auto cast = flat.getDefiningOp<tensor::CastOp>())
    flat = cast.getSource();
  auto collapse = flat.getDefiningOp<tensor::CollapseShapeOp>();
  if (!collapse || collapse.getType().getRank() != 1 ||
      collapse.getSrcType().getRank() != 2 ||
      collapse.getSrcType().getDimSize(1) != width)
    return;
  // That the rows are those of this list is checked with all others.
  for (Operation *other = list->getPrevNode(); other;
       other = other->getPrevNode()) {
    if (!other->hasAttr(kPlacesAttrName) ||
        Upstream::typeOf(other->getResult(0)).getDimSize(0) !=
            type.getRank() - 1 ||
        !isRepeated(other->getOperand(0), list->getOperand(0), width))
      continue;
    indices = up.transpose(other->getResult(0), {1, 0});
    updates = collapse.getSrc();
    return;
  }
}
