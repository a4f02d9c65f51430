//===- BatchBody.cpp - A body for many experts at once -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Gives the tensors of a body one dimension more, in front: that of experts or
// of assignments. What depends on no batched value stays as it is, and is read
// by all.
//
//===----------------------------------------------------------------------===//

#include "BackOut.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace moe;
using namespace moe::raise;

namespace {
class Batcher {
public:
  Batcher(Upstream &up, OpFoldResult count)
      : up(up), b(up.getBuilder()), count(count) {}

  void set(Value value, Value by, bool isBatched) {
    map.map(value, by);
    if (isBatched)
      batched.insert(value);
  }
  LogicalResult write(Operation &op);
  /// What became of a tensor, with the dimension in front.
  Value getBatched(Value value);

private:
  Value get(Value value) { return map.lookupOrDefault(value); }
  bool isBatched(Value value) { return batched.contains(value); }
  Sizes withCount(const Sizes &sizes) {
    Sizes all = {count};
    all.append(sizes.begin(), sizes.end());
    return all;
  }
  /// Sizes of an op in terms of what is written; constants as attributes, so
  /// that types become static.
  Sizes getSizes(ArrayRef<OpFoldResult> sizes) {
    Sizes all;
    for (OpFoldResult size : sizes) {
      if (auto value = dyn_cast<Value>(size))
        size = get(value);
      std::optional<int64_t> constant = getConstantIntValue(size);
      all.push_back(constant ? OpFoldResult(b.getIndexAttr(*constant)) : size);
    }
    return all;
  }
  /// With `first` in front.
  Sizes getSizes(OpFoldResult first, ArrayRef<OpFoldResult> sizes) {
    SmallVector<OpFoldResult> all = {first};
    all.append(sizes.begin(), sizes.end());
    return getSizes(all);
  }
  SmallVector<ReassociationIndices>
  shift(ArrayRef<ReassociationIndices> groups) {
    SmallVector<ReassociationIndices> all = {{0}};
    for (ReassociationIndices group : groups) {
      for (int64_t &dim : group)
        ++dim;
      all.push_back(group);
    }
    return all;
  }
  LogicalResult writeGeneric(linalg::GenericOp op);
  LogicalResult writeSlice(tensor::ExtractSliceOp op);
  LogicalResult writeInsertion(tensor::InsertSliceOp op);
  LogicalResult writeElementwise(Operation &op);
  LogicalResult writeUnbatched(Operation &op);

  Upstream &up;
  OpBuilder &b;
  OpFoldResult count;
  IRMapping map;
  llvm::DenseSet<Value> batched;
};
} // namespace

Value Batcher::getBatched(Value value) {
  Value tensor = get(value);
  if (isBatched(value))
    return tensor;
  Sizes sizes = withCount(up.sizesOf(tensor));
  Type element = Upstream::typeOf(tensor).getElementType();
  // What has no values, or one, needs no copy.
  if (tensor.getDefiningOp<tensor::EmptyOp>())
    return up.empty(sizes, element);
  if (auto fill = tensor.getDefiningOp<linalg::FillOp>())
    return up.fill(sizes, fill.getInputs().front());
  return up.broadcast(tensor, sizes,
                      llvm::to_vector(llvm::seq<int64_t>(1, sizes.size())));
}

LogicalResult Batcher::writeGeneric(linalg::GenericOp op) {
  Location loc = op.getLoc();
  bool reads = false;
  WalkResult inside = op.getRegion().walk([&](Operation *nested) {
    for (Value operand : nested->getOperands())
      if (isBatched(operand)) {
        reads = true;
        if (!isa<tensor::ExtractOp>(nested))
          return WalkResult::interrupt();
      }
    return WalkResult::advance();
  });
  if (inside.wasInterrupted())
    return failure();
  reads |= llvm::any_of(op->getOperands(),
                        [&](Value operand) { return isBatched(operand); });
  if (!reads)
    return writeUnbatched(*op);
  unsigned loops = op.getNumLoops() + 1;
  SmallVector<Value> inputs, outputs;
  SmallVector<AffineMap> maps;
  AffineExpr first = b.getAffineDimExpr(0);
  auto addMap = [&](OpOperand &operand, bool isOfAll) {
    AffineMap own = op.getMatchingIndexingMap(&operand).shiftDims(1);
    SmallVector<AffineExpr> exprs;
    if (isOfAll)
      exprs.push_back(first);
    exprs.append(own.getResults().begin(), own.getResults().end());
    maps.push_back(AffineMap::get(loops, 0, exprs, b.getContext()));
  };
  for (OpOperand *operand : op.getDpsInputOperands()) {
    inputs.push_back(get(operand->get()));
    addMap(*operand, isBatched(operand->get()));
  }
  SmallVector<Type> types;
  for (OpOperand &operand : op.getDpsInitsMutable()) {
    outputs.push_back(getBatched(operand.get()));
    types.push_back(outputs.back().getType());
    addMap(operand, true);
  }
  SmallVector<utils::IteratorType> iterators = {utils::IteratorType::parallel};
  iterators.append(op.getIteratorTypesArray());
  auto generic = linalg::GenericOp::create(b, loc, types, inputs, outputs, maps,
                                           iterators);
  OpBuilder::InsertionGuard guard(b);
  IRMapping inner(map);
  b.cloneRegionBefore(op.getRegion(), generic.getRegion(),
                      generic.getRegion().end(), inner);
  SmallVector<std::pair<tensor::ExtractOp, tensor::ExtractOp>> extracts;
  op.getRegion().walk([&](tensor::ExtractOp extract) {
    if (isBatched(extract.getTensor()))
      extracts.emplace_back(
          extract, cast<tensor::ExtractOp>(
                       inner.lookup(extract.getResult()).getDefiningOp()));
  });
  generic.getRegion().walk(
      [&](linalg::IndexOp index) { index.setDim(index.getDim() + 1); });
  for (auto [before, after] : extracts) {
    b.setInsertionPoint(after);
    SmallVector<Value> at = {linalg::IndexOp::create(b, loc, 0)};
    llvm::append_range(at, after.getIndices());
    Value element = tensor::ExtractOp::create(b, loc, after.getTensor(), at);
    after.getResult().replaceAllUsesWith(element);
    after.erase();
  }
  for (auto [before, after] :
       llvm::zip_equal(op.getResults(), generic.getResults()))
    set(before, after, true);
  return success();
}

LogicalResult Batcher::writeSlice(tensor::ExtractSliceOp op) {
  OpFoldResult zero = b.getIndexAttr(0), one = b.getIndexAttr(1);
  Sizes sizes = getSizes(count, op.getMixedSizes());
  RankedTensorType type = op.getType();
  SmallVector<int64_t> shape;
  shape.push_back(getConstantIntValue(count).value_or(ShapedType::kDynamic));
  // Dimensions of one that the slice drops are those that its type lacks.
  llvm::SmallBitVector dropped = op.getDroppedDims();
  for (auto [d, size] : llvm::enumerate(ArrayRef(sizes).drop_front()))
    if (!dropped.test(d))
      shape.push_back(getConstantIntValue(size).value_or(ShapedType::kDynamic));
  Value slice = tensor::ExtractSliceOp::create(
      b, op.getLoc(), RankedTensorType::get(shape, type.getElementType()),
      get(op.getSource()), getSizes(zero, op.getMixedOffsets()), sizes,
      getSizes(one, op.getMixedStrides()));
  set(op, slice, true);
  return success();
}

LogicalResult Batcher::writeInsertion(tensor::InsertSliceOp op) {
  OpFoldResult zero = b.getIndexAttr(0), one = b.getIndexAttr(1);
  Value all = tensor::InsertSliceOp::create(
      b, op.getLoc(), getBatched(op.getSource()), getBatched(op.getDest()),
      getSizes(zero, op.getMixedOffsets()), getSizes(count, op.getMixedSizes()),
      getSizes(one, op.getMixedStrides()));
  set(op, all, true);
  return success();
}

LogicalResult Batcher::writeElementwise(Operation &op) {
  if (!OpTrait::hasElementwiseMappableTraits(&op) || op.getNumResults() != 1 ||
      !isa<RankedTensorType>(op.getResult(0).getType()))
    return failure();
  SmallVector<Value> operands;
  Sizes sizes;
  for (Value operand : op.getOperands())
    if (isa<RankedTensorType>(operand.getType())) {
      operands.push_back(getBatched(operand));
      sizes = up.sizesOf(operands.back());
    } else {
      operands.push_back(get(operand));
    }
  Type element = getElementTypeOrSelf(op.getResult(0).getType());
  OperationState state(op.getLoc(), op.getName(), operands,
                       Upstream::getType(sizes, element), op.getAttrs());
  set(op.getResult(0), b.create(state)->getResult(0), true);
  return success();
}

LogicalResult Batcher::writeUnbatched(Operation &op) {
  // Types may have become static.
  if (auto generic = dyn_cast<linalg::LinalgOp>(op)) {
    SmallVector<Value> operands;
    for (Value operand : op.getOperands())
      operands.push_back(get(operand));
    SmallVector<Type> types;
    for (OpOperand &init : generic.getDpsInitsMutable())
      types.push_back(get(init.get()).getType());
    IRMapping inner(map);
    Operation *copy = clone(b, &op, types, operands);
    // Regions refer to what is outside of them.
    for (auto [from, to] :
         llvm::zip_equal(op.getRegions(), copy->getRegions())) {
      to.getBlocks().clear();
      b.cloneRegionBefore(from, to, to.end(), inner);
    }
    for (auto [before, after] :
         llvm::zip_equal(op.getResults(), copy->getResults()))
      set(before, after, false);
    return success();
  }
  b.clone(op, map);
  return success();
}

LogicalResult Batcher::write(Operation &op) {
  Location loc = op.getLoc();
  up.setLoc(loc);
  bool any = llvm::any_of(op.getOperands(),
                          [&](Value operand) { return isBatched(operand); });
  return llvm::TypeSwitch<Operation *, LogicalResult>(&op)
      .Case([&](linalg::GenericOp generic) { return writeGeneric(generic); })
      .Case([&](tensor::EmptyOp empty) {
        set(empty,
            up.empty(getSizes(empty.getMixedSizes()),
                     empty.getType().getElementType()),
            false);
        return success();
      })
      .Case([&](tensor::DimOp dim) -> LogicalResult {
        std::optional<int64_t> at = dim.getConstantIndex();
        if (!at)
          return failure();
        OpFoldResult size =
            up.sizesOf(get(dim.getSource()))[*at + isBatched(dim.getSource())];
        set(dim, getValueOrCreateConstantIndexOp(b, loc, size), false);
        return success();
      })
      .Case([&](tensor::CastOp cast) {
        // Types are as static as they can be already.
        set(cast, get(cast.getSource()), isBatched(cast.getSource()));
        return success();
      })
      .Case([&](linalg::FillOp fill) -> LogicalResult {
        if (isa<ShapedType>(fill.getInputs().front().getType()))
          return failure();
        Value tensor = get(fill.getOutputs().front());
        set(fill.getResult(0),
            up.fill(up.sizesOf(tensor), get(fill.getInputs().front())),
            isBatched(fill.getOutputs().front()));
        return success();
      })
      .Case([&](linalg::SoftmaxOp softmax) -> LogicalResult {
        bool isOfAll = isBatched(softmax.getInput());
        set(softmax->getResult(0),
            up.softmax(get(softmax.getInput()),
                       softmax.getDimension() + isOfAll),
            isOfAll);
        return success();
      })
      .Case([&](tensor::ExpandShapeOp expand) {
        bool isOfAll = isBatched(expand.getSrc());
        Sizes sizes = getSizes(getMixedValues(expand.getStaticOutputShape(),
                                              expand.getOutputShape(), b));
        set(expand,
            up.reshape(get(expand.getSrc()),
                       isOfAll ? withCount(sizes) : sizes),
            isOfAll);
        return success();
      })
      .Case([&](tensor::CollapseShapeOp collapse) {
        bool isOfAll = isBatched(collapse.getSrc());
        SmallVector<ReassociationIndices> groups =
            collapse.getReassociationIndices();
        set(collapse,
            tensor::CollapseShapeOp::create(b, loc, get(collapse.getSrc()),
                                            isOfAll ? shift(groups) : groups),
            isOfAll);
        return success();
      })
      .Case([&](tensor::ConcatOp concat) {
        SmallVector<Value> inputs;
        for (Value input : concat.getInputs())
          inputs.push_back(any ? getBatched(input) : get(input));
        set(concat, up.concat(inputs, concat.getDim() + any), any);
        return success();
      })
      .Case([&](tensor::ExtractSliceOp slice) {
        return any ? writeSlice(slice) : writeUnbatched(op);
      })
      .Case([&](tensor::InsertSliceOp insert) {
        return any ? writeInsertion(insert) : writeUnbatched(op);
      })
      .Default([&](Operation *) -> LogicalResult {
        bool reads = any;
        op.walk([&](Operation *nested) {
          reads |= llvm::any_of(nested->getOperands(), [&](Value operand) {
            return isBatched(operand);
          });
        });
        return reads ? writeElementwise(op) : writeUnbatched(op);
      });
}

FailureOr<Value> raise::writeBatched(Upstream &up, Block &body,
                                     OpFoldResult count, ValueRange arguments,
                                     ArrayRef<bool> isBatched) {
  Location loc = up.getLoc();
  Batcher batcher(up, count);
  for (auto [argument, value, isOfAll] :
       llvm::zip_equal(body.getArguments(), arguments, isBatched))
    batcher.set(argument, value, isOfAll);
  for (Operation &op : body.without_terminator())
    if (failed(batcher.write(op)))
      return op.emitError("'")
             << op.getName()
             << "' has no form for all experts at once; form=sorted writes it";
  up.setLoc(loc);
  return batcher.getBatched(body.getTerminator()->getOperand(0));
}
