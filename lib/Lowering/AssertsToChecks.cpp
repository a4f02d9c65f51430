//===- AssertsToChecks.cpp - What has to hold in a call ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Exporters assert that dynamic sizes fit together. The program that calls a
// layer is told, and goes on.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Lowering/EntryPoints.h"
#include "moe-mlir/Lowering/Passes.h"
#include "moe_rt/MoeRt.h"

#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"

namespace moe {
#define GEN_PASS_DEF_ASSERTSTOCHECKSPASS
#include "moe-mlir/Lowering/Passes.h.inc"
} // namespace moe

using namespace mlir;

namespace {

struct AssertsToChecks : moe::impl::AssertsToChecksPassBase<AssertsToChecks> {
  void runOnOperation() override {
    SmallVector<cf::AssertOp> asserts;
    getOperation().walk([&](cf::AssertOp op) { asserts.push_back(op); });
    for (cf::AssertOp op : asserts) {
      auto function = op->getParentOfType<func::FuncOp>();
      Operation *obstacle = moert::CheckOp::findObstacle(op->getBlock());
      if (!function || !moe::isEntryFunction(function))
        obstacle = function;
      if (obstacle) {
        op.emitError("'cf.assert' ends a call when it fails, which it cannot "
                     "do from '")
            << obstacle->getName()
            << "'; assert in an entry function or in sequential scf there";
        return signalPassFailure();
      }
      OpBuilder b(op);
      moert::CheckOp::create(b, op.getLoc(), op.getArg(), moert::Status::BadValue,
                            op.getMsg());
      op.erase();
    }
  }
};

} // namespace
