//===- VerifyStage.cpp - What must be gone after each stage -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The verifiers between the stages of the pipeline.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Lowering/Passes.h"
#include "moek/Moek.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

namespace moe {
#define GEN_PASS_DEF_VERIFYSTAGEPASS
#include "moe-mlir/Lowering/Passes.h.inc"
} // namespace moe

using namespace mlir;

namespace {

bool hasTensor(TypeRange types) {
  return llvm::any_of(types, [](Type type) { return isa<TensorType>(type); });
}

// Each returns why `op` may not be there, or nothing.

std::optional<StringRef> checkFused(Operation *op) {
  if (isa_and_nonnull<moe::MoeDialect>(op->getDialect()))
    return "was not turned into a kernel (--remarks-filter=.* tells which "
           "pattern it missed)";
  return std::nullopt;
}

std::optional<StringRef> checkPlanned(Operation *op) {
  if (isa<moek::PackOp>(op))
    return "packs weights at run time";
  return checkFused(op);
}

std::optional<StringRef> checkBufferized(Operation *op) {
  if (isa_and_nonnull<bufferization::BufferizationDialect,
                      tensor::TensorDialect>(op->getDialect()) ||
      hasTensor(op->getResultTypes()) || hasTensor(op->getOperandTypes()))
    return "still computes on tensors: it does not implement "
           "BufferizableOpInterface, or not for these operands";
  return checkPlanned(op);
}

std::optional<StringRef> checkVector(Operation *op) {
  if (isa_and_nonnull<moek::MoekDialect>(op->getDialect()) &&
      !isa<moek::NumThreadsOp, moek::TraceOp, moek::CheckOp>(op))
    return "has no lowering to loops and vectors";
  if (isa_and_nonnull<linalg::LinalgDialect>(op->getDialect()))
    return "has no loops";
  return checkBufferized(op);
}

std::optional<StringRef> checkRuntime(Operation *op) {
  auto check = dyn_cast<moek::CheckOp>(op);
  if (isa_and_nonnull<moek::MoekDialect>(op->getDialect()) &&
      !(check && check.getRuntime()))
    return "needs the runtime";
  if (isa<memref::AllocOp, memref::DeallocOp, memref::ReallocOp>(op))
    return "allocates; entry points get all memory from their caller";
  return checkVector(op);
}

std::optional<StringRef> checkLLVM(Operation *op) {
  if (!isa<ModuleOp>(op) &&
      !isa_and_nonnull<LLVM::LLVMDialect>(op->getDialect()))
    return "has no conversion to LLVM";
  return std::nullopt;
}

struct VerifyStage : moe::impl::VerifyStagePassBase<VerifyStage> {
  using VerifyStagePassBase::VerifyStagePassBase;

  void runOnOperation() override {
    using Check = std::optional<StringRef> (*)(Operation *);
    Check check = llvm::StringSwitch<Check>(stage)
                      .Case("fused", checkFused)
                      .Case("planned", checkPlanned)
                      .Case("bufferized", checkBufferized)
                      .Case("vector", checkVector)
                      .Case("runtime", checkRuntime)
                      .Case("llvm", checkLLVM)
                      .Default(nullptr);
    if (!check) {
      getOperation().emitError() << "unknown stage '" << stage << "'";
      return signalPassFailure();
    }
    // Outer operations first: they say more than their terminators.
    WalkResult result =
        getOperation().walk<WalkOrder::PreOrder>([&](Operation *op) {
          std::optional<StringRef> reason = check(op);
          if (!reason)
            return WalkResult::advance();
          op->emitError() << "is left after stage '" << stage << "': it "
                          << *reason;
          return WalkResult::interrupt();
        });
    if (result.wasInterrupted())
      signalPassFailure();
    else
      markAllAnalysesPreserved();
  }
};

} // namespace
