//===- AttentionTiles.cpp - Tiles of ops and of what they read --*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "AttentionTiles.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace moe::linalg_to_vector;
using linalg::LinalgOp;

std::optional<CopyMaps> moe::linalg_to_vector::matchCopy(Operation *op) {
  auto copy = dyn_cast_or_null<LinalgOp>(op);
  if (!copy || copy.getNumDpsInputs() != 1 || copy->getNumResults() != 1 ||
      copy.getNumParallelLoops() != copy.getNumLoops() ||
      !copy.hasPureTensorSemantics())
    return std::nullopt;
  Block &body = *copy.getBlock();
  CopyMaps maps{copy.getIndexingMapsArray()[0], copy.getIndexingMapsArray()[1]};
  if (!isa<RankedTensorType>(copy->getOperand(0).getType()) ||
      !body.without_terminator().empty() ||
      body.getTerminator()->getOperand(0) != body.getArgument(0) ||
      !maps.to.isPermutation() ||
      !maps.from.isProjectedPermutation(/*allowZeroInResults=*/true))
    return std::nullopt;
  return maps;
}

bool moe::linalg_to_vector::leadsToProduct(Value scores) {
  auto op = scores.getDefiningOp<LinalgOp>();
  if (!op || !scores.hasOneUse())
    return false;
  if (op.getNumReductionLoops())
    return linalg::isaContractionOpInterface(op);
  return llvm::any_of(op.getDpsInputOperands(), [&](OpOperand *operand) {
    return op.getMatchingIndexingMap(operand).isPermutation() &&
           leadsToProduct(operand->get());
  });
}

AffineMap TileBuilder::getMap(AffineMap map, const TilePlace &place) {
  SmallVector<AffineExpr> results;
  for (AffineExpr result : map.getResults())
    if (auto dim = dyn_cast<AffineDimExpr>(result);
        dim && place.kept[dim.getPosition()])
      results.push_back(b.getAffineDimExpr(llvm::count(
          ArrayRef(place.kept).take_front(dim.getPosition()), true)));
  return AffineMap::get(llvm::count(place.kept, true), 0, results,
                        b.getContext());
}

/// `kept` has for each dimension of `value` the dimension of the operand that
/// it stands for, or -1 where the tile has one element and loses the dimension.
TileBuilder::Part TileBuilder::take(Location loc, Value value,
                                    SmallVector<OpFoldResult> offsets,
                                    SmallVector<OpFoldResult> sizes,
                                    SmallVector<int64_t> kept) {
  OpFoldResult zero = b.getIndexAttr(0), one = b.getIndexAttr(1);
  auto apply = [&](AffineExpr expr, ArrayRef<OpFoldResult> operands) {
    return affine::makeComposedFoldedAffineApply(b, loc, expr, operands);
  };
  while (Operation *def = value.getDefiningOp()) {
    SmallVector<OpFoldResult> newOffsets, newSizes;
    SmallVector<int64_t> newKept;
    auto push = [&](OpFoldResult offset, OpFoldResult size, int64_t dim) {
      newOffsets.push_back(offset);
      newSizes.push_back(size);
      newKept.push_back(dim);
    };
    if (std::optional<CopyMaps> copy = matchCopy(def)) {
      AffineMap map = copy->from.compose(inversePermutation(copy->to));
      for (AffineExpr result : map.getResults()) {
        auto dim = dyn_cast<AffineDimExpr>(result);
        if (!dim)
          push(zero, one, -1);
        else
          push(offsets[dim.getPosition()], sizes[dim.getPosition()],
               kept[dim.getPosition()]);
      }
    } else if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(def)) {
      auto from = cast<RankedTensorType>(collapse.getSrcType());
      bool fits = true;
      for (auto [d, group] :
           llvm::enumerate(collapse.getReassociationIndices())) {
        if (group.size() == 1) {
          push(offsets[d], sizes[d], kept[d]);
          continue;
        }
        // One element of the group: from the last dimension to the first.
        fits &= kept[d] < 0;
        SmallVector<OpFoldResult> parts(group.size());
        OpFoldResult rest = offsets[d];
        for (size_t i = group.size(); fits && i-- > 0;) {
          int64_t size = from.getDimSize(group[i]);
          if (i == 0) {
            parts[i] = rest;
            break;
          }
          fits &= !ShapedType::isDynamic(size);
          if (!fits)
            break;
          parts[i] = apply(b.getAffineDimExpr(0) % size, rest);
          rest = apply(b.getAffineDimExpr(0).floorDiv(size), rest);
        }
        for (OpFoldResult part : parts)
          push(part, one, -1);
      }
      if (!fits)
        break;
    } else if (auto expand = dyn_cast<tensor::ExpandShapeOp>(def)) {
      auto to = cast<RankedTensorType>(expand.getResultType());
      bool fits = true;
      for (const ReassociationIndices &group :
           expand.getReassociationIndices()) {
        // All dimensions but the last that is kept are of one element.
        OpFoldResult offset = zero;
        bool isFirst = true;
        for (int64_t d : group) {
          int64_t size = to.getDimSize(d);
          if (isFirst) {
            // In front of it there are only dimensions of one.
            offset = offsets[d];
          } else if (ShapedType::isDynamic(size)) {
            fits = false;
            break;
          } else {
            offset = apply(b.getAffineDimExpr(0) * size + b.getAffineDimExpr(1),
                           {offset, offsets[d]});
          }
          isFirst &= size == 1;
        }
        OpFoldResult size = one;
        int64_t dim = -1;
        for (int64_t d : group) {
          // Behind a kept dimension there are no others.
          fits &= dim < 0 || to.getDimSize(d) == 1;
          if (kept[d] >= 0) {
            fits &= dim < 0;
            dim = kept[d];
            size = sizes[d];
          }
        }
        push(offset, size, dim);
      }
      if (!fits)
        break;
    } else {
      break;
    }
    value = def->getOperand(0);
    offsets = newOffsets;
    sizes = newSizes;
    kept = newKept;
  }

  Part part;
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<int64_t> shape;
  for (auto [size, dim] : llvm::zip_equal(sizes, kept)) {
    if (dim < 0)
      continue;
    part.dims.push_back(dim);
    shape.push_back(getConstantIntValue(size).value_or(ShapedType::kDynamic));
  }
  part.tile = tensor::ExtractSliceOp::create(
      b, loc, type.clone(shape), value, offsets, sizes,
      SmallVector<OpFoldResult>(sizes.size(), one));
  return part;
}

Value TileBuilder::build(LinalgOp op, const TilePlace &place) {
  Location loc = op.getLoc();
  SmallVector<Value> operands;
  SmallVector<AffineMap> maps;
  OpFoldResult zero = b.getIndexAttr(0), one = b.getIndexAttr(1);
  unsigned numKept = llvm::count(place.kept, true);
  for (OpOperand &operand : op->getOpOperands()) {
    AffineMap map = op.getMatchingIndexingMap(&operand);
    if (Tile known = tiles.lookup(operand.get()); known.value) {
      operands.push_back(known.value);
      maps.push_back(getMap(known.map ? known.map : map, place));
      continue;
    }
    auto type = dyn_cast<RankedTensorType>(operand.get().getType());
    if (!type) {
      operands.push_back(operand.get());
      maps.push_back(AffineMap::get(numKept, 0, b.getContext()));
      continue;
    }
    SmallVector<OpFoldResult> offsets, sizes;
    SmallVector<int64_t> kept;
    for (auto [d, result] : llvm::enumerate(map.getResults())) {
      auto dim = dyn_cast<AffineDimExpr>(result);
      bool isKept = dim && place.kept[dim.getPosition()];
      offsets.push_back(dim ? place.offsets[dim.getPosition()] : zero);
      sizes.push_back(isKept ? place.sizes[dim.getPosition()] : one);
      kept.push_back(isKept ? d : -1);
    }
    if (op.isDpsInit(&operand)) {
      // Room, or zeros: not what the op had there.
      SmallVector<OpFoldResult> own;
      for (auto [size, dim] : llvm::zip_equal(sizes, kept))
        if (dim >= 0)
          own.push_back(size);
      Value room = tensor::EmptyOp::create(b, loc, own, type.getElementType());
      if (op.getNumReductionLoops()) {
        Value number = arith::ConstantOp::create(
            b, loc, b.getZeroAttr(type.getElementType()));
        room = linalg::FillOp::create(b, loc, number, room).getResult(0);
      }
      operands.push_back(room);
      maps.push_back(getMap(map, place));
      continue;
    }
    Part part = take(loc, operand.get(), offsets, sizes, kept);
    SmallVector<AffineExpr> results;
    for (unsigned d : part.dims)
      results.push_back(map.getResult(d));
    operands.push_back(part.tile);
    maps.push_back(getMap(
        AffineMap::get(map.getNumDims(), 0, results, b.getContext()), place));
  }

  SmallVector<utils::IteratorType> kinds;
  for (auto [kind, kept] :
       llvm::zip_equal(op.getIteratorTypesArray(), place.kept))
    if (kept)
      kinds.push_back(kind);
  ValueRange all(operands);
  unsigned numInputs = op.getNumDpsInputs();
  auto tile = linalg::GenericOp::create(
      b, loc, all.back().getType(), all.take_front(numInputs),
      all.drop_front(numInputs), maps, kinds,
      [&](OpBuilder &nested, Location at, ValueRange arguments) {
        Block &body = *op.getBlock();
        IRMapping mapping;
        mapping.map(body.getArguments(), arguments);
        for (Operation &inner : body.without_terminator()) {
          auto index = dyn_cast<linalg::IndexOp>(inner);
          if (!index) {
            nested.clone(inner, mapping);
            continue;
          }
          unsigned loop = index.getDim();
          Value own =
              getValueOrCreateConstantIndexOp(nested, at, place.offsets[loop]);
          if (place.kept[loop]) {
            unsigned number =
                llvm::count(ArrayRef(place.kept).take_front(loop), true);
            own = arith::AddIOp::create(
                nested, at, own, linalg::IndexOp::create(nested, at, number));
          }
          mapping.map(index.getResult(), own);
        }
        linalg::YieldOp::create(
            nested, at,
            mapping.lookupOrDefault(body.getTerminator()->getOperand(0)));
      });
  return tile.getResult(0);
}
