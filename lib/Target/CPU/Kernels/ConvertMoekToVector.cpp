//===- ConvertMoekToVector.cpp - moek on memrefs to scf and vector -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/CPU/Passes.h"

#include "Lowerings.h"

#include "llvm/ADT/TypeSwitch.h"

namespace moe {
#define GEN_PASS_DEF_CONVERTMOEKTOVECTOR
#include "moe-mlir/Target/CPU/Passes.h.inc"
} // namespace moe

using namespace mlir;

namespace {
struct ConvertMoekToVector
    : public moe::impl::ConvertMoekToVectorBase<ConvertMoekToVector> {
  void runOnOperation() override {
    SmallVector<DestinationStyleOpInterface> ops;
    getOperation().walk([&](DestinationStyleOpInterface op) {
      if (isa_and_nonnull<moek::MoekDialect>(op->getDialect()))
        ops.push_back(op);
    });
    SmallVector<moek::VerifyRoutingOp> verifications;
    getOperation().walk(
        [&](moek::VerifyRoutingOp op) { verifications.push_back(op); });
    for (moek::VerifyRoutingOp op : verifications) {
      moe::Emitter e(op->getLoc(), OpBuilder(op));
      if (failed(moe::lowerVerifyRouting(e, op)))
        return signalPassFailure();
      op->erase();
    }
    for (DestinationStyleOpInterface op : ops) {
      if (!op.hasPureBufferSemantics()) {
        op->emitOpError("is still on tensors; bufferize before this pass");
        return signalPassFailure();
      }
      // The kernel's name goes along with its loops; as a location's name, it
      // would be that of their values in printed IR.
      StringAttr name =
          OpBuilder(op).getStringAttr(op->getName().stripDialect());
      moe::Emitter e(FusedLoc::get(op->getContext(), op->getLoc(), name),
                     OpBuilder(op));
      LogicalResult result =
          TypeSwitch<Operation *, LogicalResult>(op)
              .Case([&](moek::RouteOp op) { return moe::lowerRoute(e, op); })
              .Case([&](moek::IndexOp op) { return moe::lowerIndex(e, op); })
              .Case([&](moek::WindowOp op) { return moe::lowerWindow(e, op); })
              .Case([&](moek::LimitOp op) { return moe::lowerLimit(e, op); })
              .Case([&](moek::SinkhornOp op) {
                return moe::lowerSinkhorn(e, op);
              })
              .Case([&](moek::ExpertChoiceOp op) {
                return moe::lowerExpertChoice(e, op);
              })
              .Case([&](moek::GroupedMatmulOp op) {
                return moe::lowerGroupedMatmul(e, op);
              })
              .Case([&](moek::GatherOp op) { return moe::lowerGather(e, op); })
              .Case(
                  [&](moek::CombineOp op) { return moe::lowerCombine(e, op); })
              .Case([&](moek::RowMapOp op) { return moe::lowerRowMap(e, op); })
              .Case([&](moek::ExternalCallOp op) {
                return moe::lowerExternalCall(e, op);
              })
              .Default([](Operation *op) {
                return op->emitOpError("has no lowering to vector");
              });
      if (failed(result))
        return signalPassFailure();
      op->erase();
    }
  }
};
} // namespace
