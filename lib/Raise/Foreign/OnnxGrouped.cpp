//===- OnnxGrouped.cpp - Products of groups of rows in ONNX ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Exporters write a product of rows, sorted by expert, and the weights of each
// one's expert as a product for each expert: of the rows from where the last
// expert's end to where its own end, by running sums of how many each has. The
// products follow one another in a Concat. How many rows each has depends on
// data, and how many all have does not.
//
//===----------------------------------------------------------------------===//

#include "Onnx.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/ValueBoundsOpInterface.h"

using namespace mlir;
using namespace moe::raise;
using namespace moe::raise::onnx;

namespace {
/// Rows from `begin` to `end` of a matrix times `weights` [K, N].
struct Group {
  Value rows, weights;
  OpFoldResult begin, end;
};
} // namespace

/// The place that a size is the distance to from `begin`: the size is max(end -
/// begin, 0), or end where that begins at 0.
static Value getEnd(OpFoldResult size, OpFoldResult begin) {
  auto value = dyn_cast<Value>(size);
  if (!value)
    return {};
  if (getConstantIntValue(begin) == 0)
    return value;
  auto max = value.getDefiningOp<affine::AffineMaxOp>();
  if (!max || max.getMap().getNumResults() != 2 || max.getNumOperands() != 2)
    return {};
  AffineExpr s0 = getAffineSymbolExpr(0, max.getContext()),
             s1 = getAffineSymbolExpr(1, max.getContext()),
             zero = getAffineConstantExpr(0, max.getContext());
  ArrayRef<AffineExpr> results = max.getMap().getResults();
  for (auto [end, start, difference] :
       {std::tuple(0, 1, s0 - s1), std::tuple(1, 0, s1 - s0)})
    if (OpFoldResult(max.getOperand(start)) == begin && results[1] == zero &&
        results[0] == difference)
      return max.getOperand(end);
  return {};
}

/// The size that a tensor of as many elements was made with.
static OpFoldResult skipDims(OpFoldResult size) {
  auto value = dyn_cast<Value>(size);
  auto dim = value ? value.getDefiningOp<tensor::DimOp>() : nullptr;
  auto made = dim ? dim.getSource().getDefiningOp<linalg::LinalgOp>() : nullptr;
  if (!made || made.getNumDpsInits() != 1)
    return size;
  auto empty =
      made.getDpsInitOperand(0)->get().getDefiningOp<tensor::EmptyOp>();
  if (!empty || !dim.getConstantIndex() ||
      *dim.getConstantIndex() >= empty.getType().getRank())
    return size;
  return empty.getMixedSizes()[*dim.getConstantIndex()];
}

static std::optional<Group> readGroup(Value product) {
  auto generic = product.getDefiningOp<linalg::LinalgOp>();
  if (!generic || generic.getNumDpsInputs() != 2 ||
      generic.getNumLoops() != 3 || !linalg::isaContractionOpInterface(generic))
    return std::nullopt;
  MLIRContext *context = generic.getContext();
  AffineExpr m = getAffineDimExpr(0, context), n = getAffineDimExpr(1, context),
             k = getAffineDimExpr(2, context);
  if (generic.getIndexingMapsArray() !=
      ArrayRef<AffineMap>{AffineMap::get(3, 0, {m, k}, context),
                          AffineMap::get(3, 0, {k, n}, context),
                          AffineMap::get(3, 0, {m, n}, context)})
    return std::nullopt;
  auto slice = generic.getDpsInputOperand(0)
                   ->get()
                   .getDefiningOp<tensor::ExtractSliceOp>();
  if (!slice || slice.getSourceType().getRank() != 2 ||
      slice.getType().getRank() != 2 || !slice.hasUnitStride() ||
      getConstantIntValue(slice.getMixedOffsets()[1]) != 0 ||
      slice.getType().isDynamicDim(1) ||
      slice.getType().getDimSize(1) != slice.getSourceType().getDimSize(1))
    return std::nullopt;
  OpFoldResult begin = slice.getMixedOffsets()[0];
  Value end = getEnd(skipDims(slice.getMixedSizes()[0]), begin);
  if (!end)
    return std::nullopt;
  return Group{slice.getSource(), generic.getDpsInputOperand(1)->get(), begin,
               end};
}

/// What is converted to other integers, or a view of all of it.
static Value skipCasts(Value tensor) {
  while (Operation *op = tensor.getDefiningOp()) {
    if (isa<tensor::CastOp>(op)) {
      tensor = op->getOperand(0);
      continue;
    }
    auto generic = dyn_cast<linalg::GenericOp>(op);
    if (!generic || generic.getNumDpsInputs() != 1 ||
        generic.getNumLoops() != generic.getNumParallelLoops() ||
        !llvm::all_of(generic.getIndexingMapsArray(),
                      [](AffineMap map) { return map.isIdentity(); }))
      break;
    // One conversion of its element.
    Block *body = generic.getBody();
    if (!llvm::hasNItems(body->getOperations(), 2) ||
        !isa<arith::ExtSIOp, arith::TruncIOp, arith::FPToSIOp, arith::SIToFPOp,
             arith::IndexCastOp>(body->front()))
      break;
    tensor = generic.getDpsInputOperand(0)->get();
  }
  return tensor;
}

/// The tensor [E] whose element `e` the index is; null if it is of none.
static Value getElementOf(OpFoldResult index, int64_t e) {
  auto end = dyn_cast<Value>(index);
  if (!end)
    return {};
  auto cast = end.getDefiningOp<arith::IndexCastOp>();
  auto extract =
      cast ? cast.getIn().getDefiningOp<tensor::ExtractOp>() : nullptr;
  Value tensor = extract ? extract.getTensor() : Value();
  while (tensor) {
    if (auto collapse = tensor.getDefiningOp<tensor::CollapseShapeOp>()) {
      tensor = collapse.getSrc();
      continue;
    }
    auto slice = tensor.getDefiningOp<tensor::ExtractSliceOp>();
    if (slice && slice.getSourceType().getRank() == 1 &&
        slice.getType().getNumElements() == 1 &&
        getConstantIntValue(slice.getMixedOffsets()[0]) == e)
      return slice.getSource();
    return {};
  }
  return {};
}

/// The tensor whose running sums `sums` are, as Upstream::runningSum makes
/// them; null if they are none.
static Value getSummed(Value sums) {
  auto generic = sums.getDefiningOp<linalg::GenericOp>();
  if (!generic || generic.getNumLoops() != 2)
    return {};
  Block *body = generic.getBody();
  auto isIndex = [](Value value, uint64_t dim) {
    auto index = value.getDefiningOp<linalg::IndexOp>();
    return index && index.getDim() == dim;
  };
  auto sum =
      body->getTerminator()->getOperand(0).getDefiningOp<arith::AddIOp>();
  auto select = sum ? sum.getRhs().getDefiningOp<arith::SelectOp>() : nullptr;
  auto isBefore =
      select ? select.getCondition().getDefiningOp<arith::CmpIOp>() : nullptr;
  auto extract = select
                     ? select.getTrueValue().getDefiningOp<tensor::ExtractOp>()
                     : nullptr;
  if (!isBefore || !extract || extract.getIndices().size() != 1 ||
      sum.getLhs() != body->getArguments().back() ||
      isBefore.getPredicate() != arith::CmpIPredicate::sle ||
      !isIndex(isBefore.getLhs(), 1) || !isIndex(isBefore.getRhs(), 0) ||
      !isIndex(extract.getIndices()[0], 1) ||
      !matchPattern(select.getFalseValue(), m_Zero()))
    return {};
  return extract.getTensor();
}

/// Whether `counts` are how many there are of each place in a list of as many
/// places as `rows` has rows.
static bool countsRows(Value counts, Value rows) {
  auto scatter = skipCasts(counts).getDefiningOp<linalg::GenericOp>();
  if (!scatter || scatter.getNumLoops() != 2 || scatter.getNumDpsInputs() != 2)
    return false;
  // It adds: to each element, what is scattered there or 0.
  Block *body = scatter.getBody();
  Operation *sum = body->getTerminator()->getOperand(0).getDefiningOp();
  if (!sum || !isa<arith::AddFOp, arith::AddIOp>(sum) ||
      sum->getOperand(0) != body->getArgument(2))
    return false;
  auto select = sum->getOperand(1).getDefiningOp<arith::SelectOp>();
  if (!select || select.getTrueValue() != body->getArgument(1))
    return false;
  auto isSplat = [](Value tensor, double value) {
    TypedAttr splat = getSplat(tensor);
    if (auto fill = tensor.getDefiningOp<linalg::FillOp>())
      matchPattern(fill.getInputs()[0], m_Constant(&splat));
    if (auto number = dyn_cast_or_null<FloatAttr>(splat))
      return number.getValueAsDouble() == value;
    auto integer = dyn_cast_or_null<IntegerAttr>(splat);
    return integer && integer.getInt() == static_cast<int64_t>(value);
  };
  if (!isSplat(scatter.getDpsInputOperand(1)->get(), 1) ||
      !isSplat(scatter.getDpsInitOperand(0)->get(), 0))
    return false;
  FailureOr<bool> isSame = ValueBoundsConstraintSet::areEqual(
      {scatter.getDpsInputOperand(0)->get(), 0}, {rows, 0});
  return succeeded(isSame) && *isSame;
}

/// The tensor [E, K, N] that the matrices are all of, in their order; null if
/// there is none.
static Value findStack(ArrayRef<Value> matrices) {
  Value stack;
  for (auto [e, matrix] : llvm::enumerate(matrices)) {
    auto collapse = matrix.getDefiningOp<tensor::CollapseShapeOp>();
    auto slice = collapse
                     ? collapse.getSrc().getDefiningOp<tensor::ExtractSliceOp>()
                     : nullptr;
    if (!slice || slice.getSourceType().getRank() != 3 ||
        (stack && stack != slice.getSource()) || !slice.hasUnitStride() ||
        slice.getSourceType().getDimSize(0) !=
            static_cast<int64_t>(matrices.size()) ||
        slice.getSourceType().getShape().drop_front() !=
            Upstream::typeOf(matrix).getShape() ||
        getConstantIntValue(slice.getMixedOffsets()[0]) != e ||
        getConstantIntValue(slice.getMixedOffsets()[1]) != 0 ||
        getConstantIntValue(slice.getMixedOffsets()[2]) != 0)
      return {};
    stack = slice.getSource();
  }
  return stack;
}

Value onnx::matchGroupedProduct(ForeignOp &op) {
  SmallVector<Value> weights;
  Value rows, ends;
  Upstream &up = op.upstream;
  for (auto [e, product] : llvm::enumerate(op.getOperands())) {
    std::optional<Group> group = readGroup(product);
    if (!group)
      return {};
    Value of = getElementOf(group->end, e);
    bool follows = e == 0 ? getConstantIntValue(group->begin) == 0
                          : of == ends && group->rows == rows &&
                                getElementOf(group->begin, e - 1) == ends;
    if (!of || !follows)
      return {};
    rows = group->rows;
    ends = of;
    weights.push_back(group->weights);
  }
  if (!rows || Upstream::typeOf(ends).getDimSize(0) !=
                   static_cast<int64_t>(weights.size()))
    return {};
  // The ends are running sums.
  Value counts = getSummed(skipCasts(ends));
  if (!counts || !countsRows(counts, rows))
    return {};
  OpBuilder &b = up.getBuilder();
  Value stack = findStack(weights);
  if (!stack) {
    for (Value &matrix : weights) {
      Sizes sizes = up.sizesOf(matrix);
      sizes.insert(sizes.begin(), b.getIndexAttr(1));
      matrix = up.reshape(matrix, sizes);
    }
    stack = up.concat(weights, 0);
  }
  return up.groupedProduct(rows, stack,
                           up.cast(skipCasts(counts), b.getI64Type()),
                           /*isTransposed=*/false);
}
