//===- OnnxNonZero.cpp - Lists of places that depend on data -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A loop over experts is exported as, for each, a NonZero of a mask, a gather
// of the rows that it lists, arithmetic on rows, and a scatter of the results.
// How many rows there are depends on data, so that no tensor of them has a
// size.
//
// All places are listed instead, and the scatter leaves those out that the mask
// does not have. That is the same if each row in between depends on its own
// alone, which is checked when all is upstream's: by the loop that goes over
// rows in each op.
//
//===----------------------------------------------------------------------===//

#include "Onnx.h"

#include "moe-mlir/Raise/Elements.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace mlir;
using namespace moe::raise;
using namespace moe::raise::onnx;

/// Of a scatter whose last input is a mask of the updates.
static constexpr StringLiteral kMaskedAttrName = "raise_masked";

/// The number of places, while rows are followed.
static constexpr StringLiteral kCountOpName = "onnx.moe.NumPlaces";

LogicalResult onnx::convertNonZero(ForeignOp &op) {
  if (failed(needInputs(op, 1)))
    return failure();
  if (op.getOperation()->hasAttr(kKeepPlacesAttrName))
    return op.leave("rows that it lists depend on each other before they are "
                    "scattered");
  Upstream &up = op.upstream;
  OpBuilder &b = up.getBuilder();
  Value input = op.getOperand(0);
  int64_t rank = Upstream::typeOf(input).getRank();
  if (rank == 0)
    return op.leave("its input is a scalar");
  Sizes sizes = up.sizesOf(input);
  OpFoldResult count = b.getIndexAttr(1);
  for (OpFoldResult size : sizes)
    count = multiply(up, count, size);
  Value mask = up.reshape(up.cast(input, b.getI1Type()), {count});
  // How many they are is no constant, even if it is known, as long as it has to
  // be seen who asks.
  OperationState state(op.getLoc(), kCountOpName);
  state.addOperands(toValue(up, count));
  state.addTypes(b.getIndexType());
  count = b.create(state)->getResult(0);
  mask = tensor::CastOp::create(
      b, op.getLoc(),
      RankedTensorType::get(ShapedType::kDynamic, b.getI1Type()), mask);
  AffineMap map = AffineMap::get(2, 0, b.getAffineDimExpr(1));
  Value places = up.map(
      mask, map, {b.getIndexAttr(rank), count}, b.getI64Type(),
      [&](OpBuilder &nested, ValueRange) -> Value {
        Location loc = op.getLoc();
        Value dim = linalg::IndexOp::create(nested, loc, 0),
              rest = linalg::IndexOp::create(nested, loc, 1), result;
        // The last dimension is the fastest.
        for (int64_t d = rank - 1; d >= 0; --d) {
          Value place = rest;
          if (d > 0) {
            Value size = getValueOrCreateConstantIndexOp(nested, loc, sizes[d]);
            place = arith::RemUIOp::create(nested, loc, rest, size);
            rest = arith::DivUIOp::create(nested, loc, rest, size);
          }
          Value isIt = arith::CmpIOp::create(
              nested, loc, arith::CmpIPredicate::eq, dim,
              arith::ConstantIndexOp::create(nested, loc, d));
          result =
              result ? arith::SelectOp::create(nested, loc, isIt, place, result)
                           .getResult()
                     : place;
        }
        return arith::IndexCastOp::create(nested, loc, nested.getI64Type(),
                                          result);
      });
  places.getDefiningOp()->setAttr(kPlacesAttrName, b.getUnitAttr());
  return op.replace(places);
}

Value onnx::findMask(Value indices) {
  SmallVector<Value> work = {indices};
  llvm::SmallDenseSet<Value> seen;
  Value mask;
  while (!work.empty()) {
    Value value = work.pop_back_val();
    Operation *op = value.getDefiningOp();
    auto type = dyn_cast<RankedTensorType>(value.getType());
    if (!op || !type || !type.getElementType().isIntOrIndex() ||
        !seen.insert(value).second)
      continue;
    if (op->hasAttr(kPlacesAttrName)) {
      if (mask && mask != op->getOperand(0))
        return {};
      mask = op->getOperand(0);
      continue;
    }
    work.append(op->operand_begin(), op->operand_end());
  }
  return mask;
}

void onnx::markMasked(Operation *scatter) {
  scatter->setAttr(kMaskedAttrName, UnitAttr::get(scatter->getContext()));
}

//===----------------------------------------------------------------------===//
// Whether rows stay alone
//===----------------------------------------------------------------------===//

namespace {

/// Follows the rows of one list of places.
class RowCheck {
public:
  RowCheck(Operation *places, llvm::DenseMap<Value, Operation *> &owners)
      : places(places), owners(owners) {}

  /// Whether each row depends on its own alone until it is scattered.
  bool run() {
    if (!add(places->getResult(0), 1) || !followSize(findCount()))
      return false;
    while (!work.empty()) {
      Value value = work.pop_back_val();
      for (OpOperand &use : value.getUses())
        if (!follow(use, rows[value]))
          return false;
    }
    return true;
  }

private:
  /// `value` has a row at each place of dimension `dim`.
  bool add(Value value, int64_t dim) {
    auto [it, isNew] = rows.try_emplace(value, dim);
    if (isNew)
      work.push_back(value);
    return it->second == dim &&
           owners.try_emplace(value, places).first->second == places;
  }
  bool follow(OpOperand &use, int64_t dim);
  bool followStructured(linalg::LinalgOp op, OpOperand &use, int64_t dim);
  bool followReshape(Value result, ArrayRef<ReassociationIndices> groups,
                     RankedTensorType wide, int64_t dim, bool isCollapse);
  bool followSlice(tensor::ExtractSliceOp op, int64_t dim);
  bool followSize(Value size);
  /// The size of the tensor that the places are written to.
  Value findCount() {
    auto empty = places->getOperand(1).getDefiningOp<tensor::EmptyOp>();
    return empty.getDynamicSizes().back();
  }

  Operation *places;
  llvm::DenseMap<Value, Operation *> &owners;
  llvm::DenseMap<Value, int64_t> rows;
  SmallVector<Value> work;
};

} // namespace

/// A size that is the number of places: it may be that of a tensor of rows, and
/// nothing else.
bool RowCheck::followSize(Value size) {
  for (OpOperand &use : size.getUses()) {
    Operation *user = use.getOwner();
    if (auto empty = dyn_cast<tensor::EmptyOp>(user)) {
      unsigned next = 0;
      for (int64_t d = 0; d < empty.getType().getRank(); ++d)
        if (empty.getType().isDynamicDim(d) &&
            empty.getDynamicSizes()[next++] == size && !add(empty, d))
          return false;
      continue;
    }
    if (isa<tensor::ExpandShapeOp, tensor::ExtractSliceOp>(user))
      continue;
    // Arithmetic of sizes that nobody reads any more is no use.
    bool isArithmetic =
        isa<arith::IndexCastOp, tensor::FromElementsOp, affine::AffineApplyOp>(
            user);
    if (!isOpTriviallyDead(user) &&
        !(isArithmetic && followSize(user->getResult(0))))
      return false;
  }
  return true;
}

bool RowCheck::followReshape(Value result,
                             ArrayRef<ReassociationIndices> groups,
                             RankedTensorType wide, int64_t dim,
                             bool isCollapse) {
  for (auto [i, group] : llvm::enumerate(groups)) {
    bool hasRows = isCollapse ? llvm::is_contained(group, dim)
                              : static_cast<int64_t>(i) == dim;
    if (!hasRows)
      continue;
    // Nothing beside the rows but dimensions of one.
    std::optional<int64_t> only;
    for (int64_t d : group)
      if (wide.getDimSize(d) != 1) {
        if (only)
          return false;
        only = d;
      }
    if (isCollapse)
      return (!only || *only == dim) && add(result, i);
    return add(result, only.value_or(group.front()));
  }
  return false;
}

bool RowCheck::followSlice(tensor::ExtractSliceOp op, int64_t dim) {
  // All of them, by their number or by that of other rows.
  auto size = dyn_cast<Value>(op.getMixedSizes()[dim]);
  bool isWhole = size == findCount();
  if (auto asked = size ? size.getDefiningOp<tensor::DimOp>() : nullptr) {
    auto rowsOf = rows.find(asked.getSource());
    isWhole =
        rowsOf != rows.end() && asked.getConstantIndex() == rowsOf->second;
  }
  if (!isWhole || op.getDroppedDims().test(dim) ||
      getConstantIntValue(op.getMixedOffsets()[dim]) != 0 ||
      getConstantIntValue(op.getMixedStrides()[dim]) != 1)
    return false;
  int64_t dropped = 0;
  for (int64_t d = 0; d < dim; ++d)
    dropped += op.getDroppedDims().test(d);
  return add(op, dim - dropped);
}

bool RowCheck::followStructured(linalg::LinalgOp op, OpOperand &use,
                                int64_t dim) {
  AffineMap map = op.getMatchingIndexingMap(&use);
  auto loop = dyn_cast<AffineDimExpr>(map.getResult(dim));
  if (!loop)
    return false;
  unsigned row = loop.getPosition();
  bool isMasked = op->hasAttr(kMaskedAttrName);
  if (op.getIteratorTypesArray()[row] == utils::IteratorType::reduction) {
    // The end of it: the mask is that of the places.
    Value mask = op.getDpsInputOperand(op.getNumDpsInputs() - 1)->get();
    return isMasked && mask == places->getOperand(0) && use.get() != mask &&
           use.getOperandNumber() < op.getNumDpsInputs();
  }
  // The number of a row is another one than in a list without holes.
  bool asksForRow = false;
  op->walk([&](linalg::IndexOp index) { asksForRow |= index.getDim() == row; });
  if (asksForRow)
    return false;
  for (OpOperand &init : op.getDpsInitsMutable()) {
    AffineMap out = op.getMatchingIndexingMap(&init);
    std::optional<unsigned> at = out.getResultPosition(loop);
    if (!at || !add(op.getTiedOpResult(&init), *at))
      return false;
  }
  return true;
}

bool RowCheck::follow(OpOperand &use, int64_t dim) {
  Operation *user = use.getOwner();
  if (user == places || isOpTriviallyDead(user))
    return true;
  if (auto op = dyn_cast<tensor::DimOp>(user))
    return op.getConstantIndex() != dim || followSize(op);
  if (auto op = dyn_cast<tensor::CastOp>(user))
    return add(op, dim);
  if (auto op = dyn_cast<tensor::CollapseShapeOp>(user))
    return followReshape(op, op.getReassociationIndices(), op.getSrcType(), dim,
                         true);
  if (auto op = dyn_cast<tensor::ExpandShapeOp>(user))
    return followReshape(op, op.getReassociationIndices(), op.getResultType(),
                         dim, false);
  if (auto op = dyn_cast<tensor::ExtractSliceOp>(user))
    return followSlice(op, dim);
  if (auto op = dyn_cast<tensor::ConcatOp>(user)) {
    if (static_cast<int64_t>(op.getDim()) == dim)
      return false;
    return add(op, dim);
  }
  if (auto op = dyn_cast<linalg::SoftmaxOp>(user))
    return static_cast<int64_t>(op.getDimension()) != dim &&
           add(op->getResult(0), dim);
  if (auto op = dyn_cast<linalg::LinalgOp>(user))
    return followStructured(op, use, dim);
  return false;
}

bool moe::raise::checkPlaces(func::FuncOp func) {
  // What nobody reads any more needs no proof.
  SmallVector<Operation *> all;
  func.walk([&](Operation *op) { all.push_back(op); });
  for (Operation *op : llvm::reverse(all))
    if (isOpTriviallyDead(op))
      op->erase();
  all.clear();
  func.walk([&](Operation *op) {
    if (op->hasAttr(kPlacesAttrName))
      all.push_back(op);
  });
  // Rows of two lists meet in no op: they are not each other's.
  llvm::DenseMap<Value, Operation *> owners;
  bool isGood = true;
  for (Operation *op : all)
    isGood = isGood && RowCheck(op, owners).run();
  func.walk([&](Operation *op) {
    op->removeAttr(kPlacesAttrName);
    op->removeAttr(kMaskedAttrName);
    if (op->getName().getStringRef() != kCountOpName)
      return;
    op->getResult(0).replaceAllUsesWith(op->getOperand(0));
    op->erase();
  });
  return isGood;
}
