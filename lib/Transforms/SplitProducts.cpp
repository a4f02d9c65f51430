//===- SplitProducts.cpp - Parts of a product's columns ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Models that store gate and up in one tensor multiply once, and take the
// columns apart. Columns of a product are a product with those rows of the
// weight; such products meet in one kernel, with both values in registers.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Transforms/Passes.h"

#include "moe-mlir/Analysis/RowProduct.h"
#include "moe/Moe.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"

namespace moe {
#define GEN_PASS_DEF_SPLITPRODUCTS
#include "moe-mlir/Transforms/Passes.h.inc"
} // namespace moe

using namespace mlir;
using moe::RowProduct;

/// Whether `use` takes columns, the same for all rows.
static bool takesColumns(OpOperand &use) {
  auto slice = dyn_cast<tensor::ExtractSliceOp>(use.getOwner());
  if (!slice || &use != &slice.getSourceMutable() ||
      slice.getType().getRank() != 2 || slice.getStaticOffset(0) != 0 ||
      slice.getStaticStride(0) != 1 || !slice.isDynamicSize(0) ||
      slice.isDynamicOffset(1) || slice.isDynamicSize(1) ||
      slice.isDynamicStride(1))
    return false;
  // All rows: the product's own, or those that it has of its operand.
  auto dim = slice.getDynamicSize(0).getDefiningOp<tensor::DimOp>();
  auto product = cast<linalg::LinalgOp>(use.get().getDefiningOp());
  return dim && dim.getConstantIndex() == 0 &&
         (dim.getSource() == use.get() ||
          llvm::is_contained(product->getOperands(), dim.getSource()));
}

/// `value`, `[rows, N]`, of the columns that `slice` takes.
static Value takeColumns(OpBuilder &b, tensor::ExtractSliceOp slice,
                         Value value) {
  Location loc = slice.getLoc();
  auto type = cast<RankedTensorType>(value.getType());
  auto own = type.clone(slice.getType().getShape());
  Value rows = slice.getDynamicSize(0);
  if (auto fill = value.getDefiningOp<linalg::FillOp>()) {
    Value empty = tensor::EmptyOp::create(b, loc, own, ValueRange{rows});
    return linalg::FillOp::create(b, loc, fill.getInputs(), ValueRange{empty})
        .getResult(0);
  }
  return tensor::ExtractSliceOp::create(
      b, loc, own, value, slice.getMixedOffsets(), slice.getMixedSizes(),
      slice.getMixedStrides());
}

/// The columns that `slice` takes of `op`.
static Value splitProduct(OpBuilder &b, linalg::LinalgOp op, RowProduct product,
                          tensor::ExtractSliceOp slice) {
  Location loc = op.getLoc();
  b.setInsertionPoint(slice);
  SmallVector<Value> operands(op->getOperands());
  Value &matrix = operands[product.matrix];
  auto type = cast<RankedTensorType>(matrix.getType());
  unsigned n = product.isTransposed ? 1 : 0;
  SmallVector<OpFoldResult> offsets(2, b.getIndexAttr(0));
  SmallVector<OpFoldResult> strides(2, b.getIndexAttr(1));
  SmallVector<OpFoldResult> sizes{b.getIndexAttr(type.getDimSize(0)),
                                  b.getIndexAttr(type.getDimSize(1))};
  offsets[n] = slice.getMixedOffsets()[1];
  sizes[n] = slice.getMixedSizes()[1];
  strides[n] = slice.getMixedStrides()[1];
  matrix =
      tensor::ExtractSliceOp::create(b, loc, matrix, offsets, sizes, strides);
  Value init = takeColumns(b, slice, operands.back());
  operands.back() = init;
  Operation *own = clone(b, op, init.getType(), operands);
  return own->getResult(0);
}

namespace {
struct SplitProducts : moe::impl::SplitProductsBase<SplitProducts> {
  void runOnOperation() override {
    OpBuilder b(&getContext());
    SmallVector<std::pair<linalg::LinalgOp, RowProduct>> products;
    getOperation()->walk([&](linalg::LinalgOp op) {
      if (!op.hasPureTensorSemantics() ||
          !op->getParentOfType<moe::ExpertOp>() || op->use_empty() ||
          !llvm::all_of(op->getUses(),
                        [](OpOperand &use) { return takesColumns(use); }))
        return;
      std::optional<RowProduct> product = RowProduct::match(op);
      if (product && cast<ShapedType>(op->getOperand(product->matrix).getType())
                         .hasStaticShape())
        products.emplace_back(op, *product);
    });
    for (auto [op, product] : products) {
      for (Operation *user : llvm::to_vector(op->getUsers())) {
        auto slice = cast<tensor::ExtractSliceOp>(user);
        Value own = splitProduct(b, op, product, slice);
        slice.replaceAllUsesWith(own);
        slice.erase();
      }
      op.erase();
    }
  }
};
} // namespace
