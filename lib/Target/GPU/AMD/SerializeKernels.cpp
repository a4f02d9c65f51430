//===- SerializeKernels.cpp - Modules of kernels become assembly -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/AMD/Passes.h"

#include "CodeObject.h"

#include "moe-mlir/Target/GPU/Common/GPUTarget.h"

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "mlir/Transforms/Passes.h"

namespace moe {
#define GEN_PASS_DEF_SERIALIZEAMDKERNELS
#include "moe-mlir/Target/GPU/AMD/Passes.h.inc"
} // namespace moe

using namespace mlir;

/// Address spaces of what the host passes beside the arguments, and of a
/// thread's own memory.
static constexpr unsigned kConstantSpace = 4, kPrivateSpace = 5;

/// Polynomials for what the code generator would call a library for; it expands
/// exponentials, logarithms and roots itself.
static LogicalResult expandMath(ModuleOp kernels) {
  auto isNative = [](StringRef name) {
    return name == math::ExpOp::getOperationName() ||
           name == math::Exp2Op::getOperationName() ||
           name == math::LogOp::getOperationName() ||
           name == math::Log2Op::getOperationName() ||
           name == math::SqrtOp::getOperationName() ||
           name == math::RsqrtOp::getOperationName() ||
           name == math::FmaOp::getOperationName();
  };
  RewritePatternSet expand(kernels.getContext());
  math::populateExpansionPatterns(
      expand, {"powf", "sinh", "cosh", "asinh", "acosh", "atanh"});
  if (failed(applyPatternsGreedily(kernels, std::move(expand))))
    return failure();
  RewritePatternSet patterns(kernels.getContext());
  populateMathPolynomialApproximationPatterns(
      patterns, [&](StringRef name) { return !isNative(name); });
  return applyPatternsGreedily(kernels, std::move(patterns));
}

/// The number of blocks, which is the first of what drivers pass beside the
/// arguments from version 5 of code objects on: no library has to be asked.
static void expandGridSizes(ModuleOp kernels) {
  IRRewriter b(kernels.getContext());
  SmallVector<ROCDL::GridDimXOp> ops;
  kernels.walk([&](ROCDL::GridDimXOp op) { ops.push_back(op); });
  for (ROCDL::GridDimXOp op : ops) {
    b.setInsertionPoint(op);
    auto pointer = LLVM::LLVMPointerType::get(b.getContext(), kConstantSpace);
    Value hidden =
        LLVM::CallIntrinsicOp::create(
            b, op.getLoc(), pointer,
            b.getStringAttr("llvm.amdgcn.implicitarg.ptr"), ValueRange())
            .getResults();
    Value number = LLVM::LoadOp::create(b, op.getLoc(), b.getI32Type(), hidden);
    b.replaceOpWithNewOp<arith::ExtUIOp>(op, op.getType(), number);
  }
}

/// Arrays of a thread have an address space of their own.
static void moveArrays(ModuleOp kernels) {
  kernels.walk([](memref::AllocaOp op) {
    MemRefType type = op.getType();
    auto space =
        IntegerAttr::get(IntegerType::get(op.getContext(), 64), kPrivateSpace);
    op.getResult().setType(MemRefType::get(
        type.getShape(), type.getElementType(), type.getLayout(), space));
  });
}

namespace {
struct SerializeAMDKernels
    : moe::impl::SerializeAMDKernelsBase<SerializeAMDKernels> {
  void getDependentDialects(DialectRegistry &registry) const override {
    Base::getDependentDialects(registry);
    registry.insert<cf::ControlFlowDialect, math::MathDialect,
                    vector::VectorDialect>();
  }

  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto chip = dyn_cast_or_null<moeamd::TargetAttr>(
        Attribute(moek::getTarget(module)));
    if (!chip) {
      module.emitError("is not for one of AMD's GPUs");
      return signalPassFailure();
    }
    OpPassManager pm(ModuleOp::getOperationName());
    pm.addPass(createCanonicalizerPass());
    pm.addPass(createCSEPass());
    pm.addPass(createSCFToControlFlowPass());
    pm.addPass(createFinalizeMemRefToLLVMConversionPass());
    pm.addPass(createConvertMathToLLVMPass());
    pm.addPass(createArithToLLVMConversionPass());
    pm.addPass(createConvertControlFlowToLLVMPass());
    pm.addPass(createReconcileUnrealizedCastsPass());
    for (ModuleOp kernels :
         llvm::make_early_inc_range(module.getOps<ModuleOp>())) {
      std::string text, error;
      expandGridSizes(kernels);
      moveArrays(kernels);
      if (failed(expandMath(kernels)) || failed(runPipeline(pm, kernels)))
        return signalPassFailure();
      if (!moe::amd::emitAssembly(kernels, chip.getCpu(), text, error)) {
        kernels.emitError() << error;
        return signalPassFailure();
      }
      moe::replaceByImage(kernels, text);
    }
  }
};
} // namespace
