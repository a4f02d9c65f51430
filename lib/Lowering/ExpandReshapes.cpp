//===- ExpandReshapes.cpp - Dimensions split by sizes ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// `memref.expand_shape` names the sizes of its result, so that the strides
// follow from them whatever is dynamic. Upstream's expand-strided-metadata
// computes the one unknown size of a group from the others instead, and has no
// answer when there are two.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Lowering/Passes.h"

#include "mlir/Dialect/Arith/Utils/Utils.h"

namespace moe {
#define GEN_PASS_DEF_EXPANDRESHAPESPASS
#include "moe-mlir/Lowering/Passes.h.inc"
} // namespace moe

using namespace mlir;

namespace {

struct ExpandReshapes : moe::impl::ExpandReshapesPassBase<ExpandReshapes> {
  void runOnOperation() override {
    SmallVector<memref::ExpandShapeOp> ops;
    getOperation().walk([&](memref::ExpandShapeOp op) { ops.push_back(op); });
    for (memref::ExpandShapeOp op : ops)
      rewrite(op);
  }

  static void rewrite(memref::ExpandShapeOp op) {
    OpBuilder b(op);
    Location loc = op.getLoc();
    MemRefType type = op.getResultType();
    auto source = memref::ExtractStridedMetadataOp::create(b, loc, op.getSrc());
    SmallVector<int64_t> known;
    int64_t knownOffset;
    // Cannot fail: the verifier computed the same layout.
    (void)type.getStridesAndOffset(known, knownOffset);
    auto choose = [&](int64_t constant, OpFoldResult computed) -> OpFoldResult {
      return ShapedType::isDynamic(constant) ? computed
                                             : b.getIndexAttr(constant);
    };
    SmallVector<OpFoldResult> sizes = op.getMixedOutputShape();
    SmallVector<OpFoldResult> strides(sizes.size());
    for (auto [group, sourceStride] :
         llvm::zip_equal(op.getReassociationIndices(),
                         source.getConstifiedMixedStrides())) {
      OpFoldResult stride = sourceStride;
      for (int64_t d : llvm::reverse(group)) {
        strides[d] = stride = choose(known[d], stride);
        if (d != group.front())
          stride = b.createOrFold<arith::MulIOp>(
              loc, getValueOrCreateConstantIndexOp(b, loc, stride),
              getValueOrCreateConstantIndexOp(b, loc, sizes[d]));
      }
    }
    Value result = memref::ReinterpretCastOp::create(
        b, loc, type, source.getBaseBuffer(),
        choose(knownOffset, source.getConstifiedMixedOffset()), sizes, strides);
    op.replaceAllUsesWith(result);
    op.erase();
  }
};

} // namespace
