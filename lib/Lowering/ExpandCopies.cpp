//===- ExpandCopies.cpp - Strided copies as loops ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Writes copies that are no memcpy as loops.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Lowering/Passes.h"

#include "mlir/Dialect/MemRef/Utils/MemRefUtils.h"

namespace moe {
#define GEN_PASS_DEF_EXPANDCOPIESPASS
#include "moe-mlir/Lowering/Passes.h.inc"
} // namespace moe

using namespace mlir;

namespace {

/// Mirrors the test of the conversion to LLVM.
bool isContiguous(Value value) {
  auto type = dyn_cast<MemRefType>(value.getType());
  return type && (type.getLayout().isIdentity() ||
                  (type.hasStaticShape() && type.getNumElements() > 0 &&
                   memref::isStaticShapeAndContiguousRowMajor(type)));
}

struct ExpandCopies : moe::impl::ExpandCopiesPassBase<ExpandCopies> {
  void runOnOperation() override {
    SmallVector<memref::CopyOp> copies;
    getOperation().walk([&](memref::CopyOp copy) {
      if (!isContiguous(copy.getSource()) || !isContiguous(copy.getTarget()))
        copies.push_back(copy);
    });
    for (memref::CopyOp copy : copies) {
      auto type = dyn_cast<MemRefType>(copy.getSource().getType());
      if (!type || !isa<MemRefType>(copy.getTarget().getType())) {
        copy.emitError("copies between unranked memrefs cannot be compiled; "
                       "cast them to ranked types");
        return signalPassFailure();
      }
      OpBuilder b(copy);
      Location loc = copy.getLoc();
      Value zero = arith::ConstantIndexOp::create(b, loc, 0);
      Value one = arith::ConstantIndexOp::create(b, loc, 1);
      SmallVector<Value> indices;
      for (int64_t d = 0; d < type.getRank(); ++d) {
        Value extent = memref::DimOp::create(b, loc, copy.getSource(), d);
        auto loop = scf::ForOp::create(b, loc, zero, extent, one);
        indices.push_back(loop.getInductionVar());
        b.setInsertionPointToStart(loop.getBody());
      }
      Value element = memref::LoadOp::create(b, loc, copy.getSource(), indices);
      memref::StoreOp::create(b, loc, element, copy.getTarget(), indices);
      copy.erase();
    }
  }
};

} // namespace
