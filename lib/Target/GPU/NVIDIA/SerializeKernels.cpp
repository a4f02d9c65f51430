//===- SerializeKernels.cpp - Modules of kernels become PTX -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/NVIDIA/Passes.h"

#include "Image.h"
#include "PTX.h"

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
#define GEN_PASS_DEF_SERIALIZEKERNELS
#include "moe-mlir/Target/GPU/NVIDIA/Passes.h.inc"
} // namespace moe

using namespace mlir;

/// Of what expert bodies and routers compute: e^x by the chip's 2^x, quotients
/// by its reciprocal, both within 2 units in the last place of f32; polynomials
/// for the rest, as there is no library to call.
static LogicalResult expandMath(ModuleOp kernels) {
  IRRewriter rewriter(kernels.getContext());
  SmallVector<Operation *> ops;
  kernels.walk([&](Operation *op) {
    if (isa<math::ExpOp, arith::DivFOp>(op))
      ops.push_back(op);
  });
  auto approximate = arith::FastMathFlags::afn;
  for (Operation *op : ops) {
    rewriter.setInsertionPoint(op);
    if (auto quotient = dyn_cast<arith::DivFOp>(op)) {
      quotient.setFastmath(approximate);
      continue;
    }
    Type type = op->getResult(0).getType();
    if (!type.isF32())
      continue;
    Value log2e = arith::ConstantOp::create(
        rewriter, op->getLoc(), rewriter.getF32FloatAttr(1.44269504f));
    Value scaled =
        arith::MulFOp::create(rewriter, op->getLoc(), op->getOperand(0), log2e);
    rewriter.replaceOpWithNewOp<math::Exp2Op>(op, scaled, approximate);
  }
  RewritePatternSet patterns(kernels.getContext());
  auto isNative = [](StringRef name) {
    return name == math::Exp2Op::getOperationName() ||
           name == math::SqrtOp::getOperationName() ||
           name == math::RsqrtOp::getOperationName() ||
           name == math::FmaOp::getOperationName();
  };
  populateMathPolynomialApproximationPatterns(
      patterns, [&](StringRef name) { return !isNative(name); });
  return applyPatternsGreedily(kernels, std::move(patterns));
}

namespace {
struct SerializeKernels : moe::impl::SerializeKernelsBase<SerializeKernels> {
  void getDependentDialects(DialectRegistry &registry) const override {
    Base::getDependentDialects(registry);
    registry.insert<cf::ControlFlowDialect, math::MathDialect,
                    vector::VectorDialect>();
  }

  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto chip = dyn_cast_or_null<moenvidia::TargetAttr>(
        Attribute(moek::getTarget(module)));
    if (!chip) {
      module.emitError("is not for one of NVIDIA's GPUs");
      return signalPassFailure();
    }
    OpPassManager pm(ModuleOp::getOperationName());
    pm.addPass(createCanonicalizerPass());
    pm.addPass(createCSEPass());
    pm.addPass(createSCFToControlFlowPass());
    pm.addPass(createFinalizeMemRefToLLVMConversionPass());
    pm.addPass(createConvertNVVMToLLVMPass());
    pm.addPass(createConvertMathToLLVMPass());
    pm.addPass(createArithToLLVMConversionPass());
    pm.addPass(createConvertControlFlowToLLVMPass());
    pm.addPass(createReconcileUnrealizedCastsPass());
    for (ModuleOp kernels :
         llvm::make_early_inc_range(module.getOps<ModuleOp>())) {
      std::string ptx, error;
      if (failed(expandMath(kernels)) || failed(runPipeline(pm, kernels)))
        return signalPassFailure();
      if (!moe::nvidia::emitPTX(kernels, chip.getCpu(), ptx, error)) {
        kernels.emitError() << error;
        return signalPassFailure();
      }
      moe::replaceByImage(kernels, moe::nvidia::makeImage(ptx, /*cubin=*/""));
    }
  }
};
} // namespace
