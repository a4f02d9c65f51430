//===- VerifyStage.cpp - What must be gone after each stage -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The verifiers between the stages of the pipeline.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Analysis/Dims.h"
#include "moe-mlir/Analysis/WeightUse.h"
#include "moe-mlir/Lowering/Passes.h"
#include "moe_rt/MoeRt.h"
#include "moek/Moek.h"

#include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"

namespace moe {
#define GEN_PASS_DEF_VERIFYSTAGEPASS
#include "moe-mlir/Lowering/Passes.h.inc"
} // namespace moe

using namespace mlir;

namespace {

bool hasTensor(TypeRange types) {
  return llvm::any_of(types, [](Type type) { return isa<TensorType>(type); });
}

/// Types that have a lowering, by their elements.
bool isComputable(Type type) {
  Type element = getElementTypeOrSelf(type);
  if (auto integer = dyn_cast<IntegerType>(element))
    return integer.getWidth() <= 64;
  if (isa<FloatType>(element))
    return element.isF64() || element.isF32() || element.isF16() ||
           element.isBF16();
  return !isa<ComplexType>(element);
}

// Each returns why `op` may not be there, or nothing.

std::optional<StringRef> checkModel(Operation *op) {
  if (!op->isRegistered())
    return "is of a dialect that is not registered; load its plugin, or lower "
           "it to linalg, tensor, arith, math and scf first";
  if (auto call = dyn_cast<func::CallOp>(op)) {
    auto callee = SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(
        op, call.getCalleeAttr());
    if (!callee || (callee.isExternal() && !moe::getExternal(callee)))
      return "calls a function without a body, and artifacts contain all that "
             "they call; give it one, or declare it as a C function that "
             "experts call with moe.external";
  }
  if (isa<func::CallIndirectOp>(op))
    return "calls a function that is not known; call it by name";
  if (isa<math::IPowIOp>(op))
    return "has no instruction; multiply in a loop, or use math.powf";
  if (moe::isDimOutOfRange(op))
    return moe::kDimOutOfRange;
  // Weights are stored in numbers that nothing else computes with.
  if (isa<moe::DequantizeOp>(op))
    return std::nullopt;
  for (TypeRange types :
       {TypeRange(op->getOperandTypes()), TypeRange(op->getResultTypes())})
    if (!llvm::all_of(types, isComputable))
      return "has values of a type that has no lowering; f64, f32, bf16, f16, "
             "index and integers of up to 64 bits have one";
  return std::nullopt;
}

std::optional<StringRef> checkFused(Operation *op) {
  if (isa_and_nonnull<moe::MoeDialect>(op->getDialect()) &&
      !isa<moe::DequantizeOp>(op))
    return "was not turned into a kernel (--remarks-filter=.* tells which "
           "pattern it missed)";
  if (isa<func::CallOp>(op) &&
      (hasTensor(op->getOperandTypes()) || hasTensor(op->getResultTypes())))
    return "calls a function that cannot be inlined: it calls itself, or is "
           "marked no_inline";
  return std::nullopt;
}

std::optional<StringRef> checkPlanned(Operation *op) {
  if (isa<moek::PackOp>(op))
    return "packs weights at run time";
  if (isa<moe::DequantizeOp>(op))
    return "makes weights that no kernel reads as they are stored";
  return checkFused(op);
}

std::optional<StringRef> checkTensors(Operation *op) {
  bool onTensors =
      hasTensor(op->getResultTypes()) || hasTensor(op->getOperandTypes());
  if (onTensors && !isa<bufferization::BufferizableOpInterface>(op))
    return "has no lowering from tensors to buffers; write it with linalg, "
           "tensor, arith and math, or lower it to them first";
  return checkPlanned(op);
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
  if (isa_and_nonnull<moek::MoekDialect>(op->getDialect()))
    return "has no lowering to loops and vectors";
  if (isa_and_nonnull<linalg::LinalgDialect>(op->getDialect()))
    return "has no loops";
  return checkBufferized(op);
}

std::optional<StringRef> checkRuntime(Operation *op) {
  auto check = dyn_cast<moert::CheckOp>(op);
  if (isa_and_nonnull<moert::MoeRtDialect>(op->getDialect()) &&
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

/// Notes of `diag` what the weights of `op` are made into that keeps kernels from
/// reading them.
void explainUnpacked(moe::DequantizeOp op, InFlightDiagnostic &diag) {
  SmallVector<Value> views{op.getWeights()};
  while (!views.empty())
    for (Operation *user : views.pop_back_val().getUsers()) {
      std::string why;
      if (!moe::WeightUse::isView(user)) {
        diag.attachNote(user->getLoc())
            << "read here, by no product of experts; pass the weights as f32";
        return;
      }
      if (failed(moe::WeightUse::get(user->getResult(0), why))) {
        diag.attachNote(user->getLoc())
            << "this cannot be packed ahead of time: " << why;
        return;
      }
      views.push_back(user->getResult(0));
    }
}

struct VerifyStage : moe::impl::VerifyStagePassBase<VerifyStage> {
  using VerifyStagePassBase::VerifyStagePassBase;

  void runOnOperation() override {
    using Check = std::optional<StringRef> (*)(Operation *);
    Check check = llvm::StringSwitch<Check>(stage)
                      .Case("model", checkModel)
                      .Case("fused", checkFused)
                      .Case("planned", checkPlanned)
                      .Case("tensors", checkTensors)
                      .Case("bufferized", checkBufferized)
                      .Case("vector", checkVector)
                      .Case("runtime", checkRuntime)
                      .Case("llvm", checkLLVM)
                      .Default(nullptr);
    if (!check) {
      getOperation().emitError()
          << "unknown stage '" << stage
          << "'; known are model, fused, planned, tensors, bufferized, vector, "
             "runtime and llvm";
      return signalPassFailure();
    }
    // Outer operations first: they say more than their terminators.
    WalkResult result =
        getOperation().walk<WalkOrder::PreOrder>([&](Operation *op) {
          std::optional<StringRef> reason = check(op);
          if (!reason)
            return WalkResult::advance();
          InFlightDiagnostic diag = op->emitOpError();
          if (check == checkModel)
            diag << "cannot be compiled: it " << *reason;
          else
            diag << "is left after stage '" << stage << "': it " << *reason;
          if (auto dequantize = dyn_cast<moe::DequantizeOp>(op))
            explainUnpacked(dequantize, diag);
          return WalkResult::interrupt();
        });
    if (result.wasInterrupted())
      signalPassFailure();
    else
      markAllAnalysesPreserved();
  }
};

} // namespace
