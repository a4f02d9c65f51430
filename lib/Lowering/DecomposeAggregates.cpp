//===- DecomposeAggregates.cpp - Softmax as generic ops ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Ops like linalg.softmax have no loops of their own, and those that move
// elements by a rule or by indices do not bufferize. Each becomes one loop nest
// over its result that asks where an element comes from; only a scatter goes
// over its source.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Lowering/Passes.h"

#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Tensor/Utils/Utils.h"

#include "llvm/ADT/TypeSwitch.h"

namespace moe {
#define GEN_PASS_DEF_DECOMPOSEAGGREGATESPASS
#include "moe-mlir/Lowering/Passes.h.inc"
} // namespace moe

using namespace mlir;

namespace {

/// Builds index arithmetic at one place.
class Indices {
public:
  Indices(OpBuilder &b, Location loc) : b(b), loc(loc) {}

  Value constant(int64_t value) {
    return arith::ConstantIndexOp::create(b, loc, value);
  }
  Value materialize(OpFoldResult size) {
    return getValueOrCreateConstantIndexOp(b, loc, size);
  }
  Value loop(int64_t dim) { return linalg::IndexOp::create(b, loc, dim); }
  template <typename OpTy> Value binary(Value x, Value y) {
    return b.createOrFold<OpTy>(loc, x, y);
  }
  /// An element of a tensor of integers.
  Value load(Value tensor, ValueRange at) {
    Value value = tensor::ExtractOp::create(b, loc, tensor, at);
    if (value.getType().isIndex())
      return value;
    return arith::IndexCastOp::create(b, loc, b.getIndexType(), value);
  }

private:
  OpBuilder &b;
  Location loc;
};

/// A loop nest over the elements of `init`, which `element` computes.
Value buildByResult(
    OpBuilder &b, Location loc, Value init,
    function_ref<Value(OpBuilder &, Location, Indices &)> element) {
  auto type = cast<RankedTensorType>(init.getType());
  return linalg::GenericOp::create(
             b, loc, TypeRange(type), ValueRange(), ValueRange(init),
             ArrayRef(b.getMultiDimIdentityMap(type.getRank())),
             SmallVector<utils::IteratorType>(type.getRank(),
                                              utils::IteratorType::parallel),
             [&](OpBuilder &nested, Location at, ValueRange) {
               Indices indices(nested, at);
               linalg::YieldOp::create(nested, at,
                                       element(nested, at, indices));
             })
      .getResult(0);
}

Value lowerGather(OpBuilder &b, tensor::GatherOp op) {
  Location loc = op.getLoc();
  RankedTensorType source = op.getSourceType(), type = op.getResultType();
  int64_t batch = op.getIndicesType().getRank() - 1;
  ArrayRef<int64_t> dims = op.getGatherDims();
  bool keepsDims = type.getRank() == batch + source.getRank();

  SmallVector<OpFoldResult> sizes =
      tensor::getMixedSizes(b, loc, op.getIndices());
  sizes.pop_back();
  // The dimension of the result that goes along each one of the source.
  SmallVector<int64_t> along(source.getRank(), -1);
  int64_t next = batch;
  for (int64_t d = 0; d < source.getRank(); ++d) {
    bool gathered = llvm::is_contained(dims, d);
    if (gathered && !keepsDims)
      continue;
    sizes.push_back(gathered ? OpFoldResult(b.getIndexAttr(1))
                             : tensor::getMixedSize(b, loc, op.getSource(), d));
    if (!gathered)
      along[d] = next;
    ++next;
  }
  Value empty = tensor::EmptyOp::create(b, loc, sizes, type.getElementType());
  Value result = buildByResult(
      b, loc, empty, [&](OpBuilder &nested, Location at, Indices &indices) {
        SmallVector<Value> row, from(source.getRank());
        for (int64_t d = 0; d < batch; ++d)
          row.push_back(indices.loop(d));
        for (auto [i, d] : llvm::enumerate(dims)) {
          row.push_back(indices.constant(i));
          from[d] = indices.load(op.getIndices(), row);
          row.pop_back();
        }
        for (auto [value, dim] : llvm::zip_equal(from, along))
          if (!value)
            value = indices.loop(dim);
        return tensor::ExtractOp::create(nested, at, op.getSource(), from);
      });
  return b.createOrFold<tensor::CastOp>(loc, type, result);
}

/// Slices of the source go into the destination one by one.
Value lowerScatter(OpBuilder &b, tensor::ScatterOp op) {
  Location loc = op.getLoc();
  Indices indices(b, loc);
  RankedTensorType source = op.getSourceType(), type = op.getDestType();
  // There is no slice of nothing.
  if (llvm::is_contained(source.getShape(), 0) ||
      llvm::is_contained(type.getShape(), 0))
    return op.getDest();
  int64_t batch = op.getIndicesType().getRank() - 1;
  ArrayRef<int64_t> dims = op.getScatterDims();
  bool keepsDims = source.getRank() == batch + type.getRank();
  OpFoldResult zero = b.getIndexAttr(0), one = b.getIndexAttr(1);

  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(b, loc, op.getDest());
  SmallVector<OpFoldResult> fromSizes(batch, one);
  SmallVector<int64_t> shape;
  for (auto [d, size] : llvm::enumerate(sizes)) {
    if (llvm::is_contained(dims, d)) {
      size = one;
      if (!keepsDims)
        continue;
    } else {
      shape.push_back(type.getDimSize(d));
    }
    fromSizes.push_back(size);
  }
  auto sliceType = RankedTensorType::get(shape, type.getElementType());

  SmallVector<Value> lower(batch, indices.constant(0)), upper;
  SmallVector<Value> steps(batch, indices.constant(1));
  for (int64_t d = 0; d < batch; ++d)
    upper.push_back(
        indices.materialize(tensor::getMixedSize(b, loc, op.getIndices(), d)));
  scf::LoopNest nest = scf::buildLoopNest(
      b, loc, lower, upper, steps, op.getDest(),
      [&](OpBuilder &nested, Location at, ValueRange row, ValueRange carried) {
        Indices inner(nested, at);
        SmallVector<OpFoldResult> from(row.begin(), row.end());
        from.resize(source.getRank(), zero);
        Value slice = tensor::ExtractSliceOp::create(
            nested, at, sliceType, op.getSource(), from, fromSizes,
            SmallVector<OpFoldResult>(source.getRank(), one));
        SmallVector<OpFoldResult> to(type.getRank(), zero);
        SmallVector<Value> entry(row);
        for (auto [i, d] : llvm::enumerate(dims)) {
          entry.push_back(inner.constant(i));
          to[d] = inner.load(op.getIndices(), entry);
          entry.pop_back();
        }
        return scf::ValueVector{tensor::InsertSliceOp::create(
            nested, at, slice, carried.front(), to, sizes,
            SmallVector<OpFoldResult>(type.getRank(), one))};
      });
  return nest.results.front();
}

/// Where dimension `d` of the unpacked tensor went: to which outer dimension
/// of the packed one, and if it was tiled, to which inner one.
struct PackedDim {
  int64_t outer, inner = -1;
};
template <typename OpTy>
SmallVector<PackedDim> getPackedDims(OpTy op, int64_t rank) {
  SmallVector<PackedDim> dims(rank);
  ArrayRef<int64_t> permutation = op.getOuterDimsPerm();
  for (int64_t i = 0; i < rank; ++i)
    dims[permutation.empty() ? i : permutation[i]].outer = i;
  for (auto [i, d] : llvm::enumerate(op.getInnerDimsPos()))
    dims[d].inner = rank + i;
  return dims;
}

Value lowerPack(OpBuilder &b, linalg::PackOp op) {
  Location loc = op.getLoc();
  Value source = op.getSource();
  auto type = cast<RankedTensorType>(source.getType());
  SmallVector<PackedDim> dims = getPackedDims(op, type.getRank());
  SmallVector<OpFoldResult> tiles = op.getMixedTiles();
  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(b, loc, source);
  return buildByResult(
      b, loc, op.getDest(),
      [&](OpBuilder &nested, Location at, Indices &indices) -> Value {
        SmallVector<Value> from;
        Value exists;
        for (auto [dim, size] : llvm::zip_equal(dims, sizes)) {
          Value index = indices.loop(dim.outer);
          if (dim.inner >= 0) {
            Value tile = indices.materialize(tiles[dim.inner - type.getRank()]);
            index = indices.binary<arith::AddIOp>(
                indices.binary<arith::MulIOp>(index, tile),
                indices.loop(dim.inner));
            Value inside = nested.createOrFold<arith::CmpIOp>(
                at, arith::CmpIPredicate::ult, index,
                indices.materialize(size));
            exists =
                exists ? indices.binary<arith::AndIOp>(exists, inside) : inside;
          }
          from.push_back(index);
        }
        // Without a padding value, tiles are full.
        if (!op.getPaddingValue() || !exists)
          return tensor::ExtractOp::create(nested, at, source, from);
        auto branch = scf::IfOp::create(
            nested, at, exists,
            [&](OpBuilder &then, Location in) {
              Value value = tensor::ExtractOp::create(then, in, source, from);
              scf::YieldOp::create(then, in, value);
            },
            [&](OpBuilder &other, Location in) {
              scf::YieldOp::create(other, in, op.getPaddingValue());
            });
        return branch.getResult(0);
      });
}

Value lowerUnpack(OpBuilder &b, linalg::UnPackOp op) {
  Location loc = op.getLoc();
  auto type = cast<RankedTensorType>(op.getDest().getType());
  SmallVector<PackedDim> dims = getPackedDims(op, type.getRank());
  SmallVector<OpFoldResult> tiles = op.getMixedTiles();
  int64_t packedRank =
      cast<RankedTensorType>(op.getSource().getType()).getRank();
  return buildByResult(
      b, loc, op.getDest(),
      [&](OpBuilder &nested, Location at, Indices &indices) -> Value {
        SmallVector<Value> from(packedRank);
        for (auto [d, dim] : llvm::enumerate(dims)) {
          Value index = indices.loop(d);
          if (dim.inner >= 0) {
            Value tile = indices.materialize(tiles[dim.inner - type.getRank()]);
            from[dim.inner] = indices.binary<arith::RemUIOp>(index, tile);
            index = indices.binary<arith::DivUIOp>(index, tile);
          }
          from[dim.outer] = index;
        }
        return tensor::ExtractOp::create(nested, at, op.getSource(), from);
      });
}

FailureOr<SmallVector<Value>> lowerSoftmax(OpBuilder &b, linalg::SoftmaxOp op) {
  // Neither the op's verifier nor its decomposition asks.
  Type element = getElementTypeOrSelf(op.getInput().getType());
  if (isa<FloatType>(element))
    return op.decomposeOperation(b);
  return op.emitOpError() << "is defined for floats, but its elements are "
                          << element << "; convert them first";
}

/// What `op` becomes, nothing if it stays, or a failure.
FailureOr<SmallVector<Value>> lower(OpBuilder &b, Operation *op) {
  using Result = FailureOr<SmallVector<Value>>;
  auto one = [](Value value) { return SmallVector<Value>{value}; };
  return llvm::TypeSwitch<Operation *, Result>(op)
      .Case([&](linalg::SoftmaxOp op) { return lowerSoftmax(b, op); })
      .Case([&](tensor::GatherOp op) { return one(lowerGather(b, op)); })
      .Case([&](tensor::ScatterOp op) { return one(lowerScatter(b, op)); })
      .Case([&](linalg::PackOp op) { return one(lowerPack(b, op)); })
      .Case([&](linalg::UnPackOp op) { return one(lowerUnpack(b, op)); })
      .Default([](Operation *) { return SmallVector<Value>(); });
}

struct DecomposeAggregates
    : moe::impl::DecomposeAggregatesPassBase<DecomposeAggregates> {
  void runOnOperation() override {
    SmallVector<Operation *> ops;
    getOperation().walk([&](Operation *op) {
      if (op->getNumResults() != 0 &&
          isa<RankedTensorType>(op->getResultTypes().front()))
        ops.push_back(op);
    });
    for (Operation *op : ops) {
      OpBuilder builder(op);
      FailureOr<SmallVector<Value>> values = lower(builder, op);
      if (failed(values))
        return signalPassFailure();
      if (values->empty())
        continue;
      op->replaceAllUsesWith(*values);
      op->erase();
    }
  }
};

} // namespace
