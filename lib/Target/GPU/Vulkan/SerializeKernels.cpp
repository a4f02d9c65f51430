//===- SerializeKernels.cpp - Modules of kernels become SPIR-V --*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/Vulkan/Passes.h"

#include "SPIRV.h"

#include "moe-mlir/Target/GPU/Common/GPUTarget.h"

#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/SCF/Transforms/Passes.h"
#include "mlir/Dialect/SPIRV/Transforms/Passes.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/SPIRV/Deserialization.h"
#include "mlir/Target/SPIRV/Serialization.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/Support/raw_ostream.h"

namespace moe {
#define GEN_PASS_DEF_SERIALIZEVULKANKERNELS
#include "moe-mlir/Target/GPU/Vulkan/Passes.h.inc"
} // namespace moe

using namespace mlir;

/// Before the words of a module: these letters, and its bytes as u32.
static constexpr StringLiteral kMagic = "MOEV";
static constexpr size_t kHeaderBytes = 8;

std::string moe::vulkan::makeImage(spirv::ModuleOp module) {
  SmallVector<uint32_t> words;
  if (failed(spirv::serialize(module, words)))
    return "";
  uint32_t bytes = words.size() * sizeof(uint32_t);
  std::string image = kMagic.str();
  image.append(reinterpret_cast<const char *>(&bytes), sizeof(bytes));
  image.append(reinterpret_cast<const char *>(words.data()), bytes);
  return image;
}

StringRef moe::vulkan::getModule(StringRef image) {
  return image.drop_front(kHeaderBytes);
}

OwningOpRef<spirv::ModuleOp> moe::vulkan::readImage(StringRef image,
                                                    MLIRContext &context,
                                                    std::string &error) {
  StringRef bytes = getModule(image);
  SmallVector<uint32_t> words(bytes.size() / sizeof(uint32_t));
  memcpy(words.data(), bytes.data(), words.size() * sizeof(uint32_t));
  context.loadDialect<spirv::SPIRVDialect>();
  OwningOpRef<spirv::ModuleOp> module = spirv::deserialize(words, &context);
  if (!module)
    error = "the module of the kernels cannot be read back";
  return module;
}

bool moe::vulkan::printImage(StringRef image, SmallVectorImpl<char> &output,
                             std::string &error) {
  MLIRContext context;
  OwningOpRef<spirv::ModuleOp> module = readImage(image, context, error);
  if (!module)
    return false;
  llvm::raw_svector_ostream os(output);
  module->print(os);
  os << '\n';
  return true;
}

/// Polynomials for what devices compute with no bound worth having.
static LogicalResult expandMath(ModuleOp kernels) {
  auto isNative = [](StringRef name) {
    return name == math::SqrtOp::getOperationName() ||
           name == math::RsqrtOp::getOperationName() ||
           name == math::FmaOp::getOperationName();
  };
  RewritePatternSet expand(kernels.getContext());
  math::populateExpansionPatterns(
      expand, {"exp2", "powf", "sinh", "cosh", "asinh", "acosh", "atanh"});
  if (failed(applyPatternsGreedily(kernels, std::move(expand))))
    return failure();
  RewritePatternSet patterns(kernels.getContext());
  populateMathPolynomialApproximationPatterns(
      patterns, [&](StringRef name) { return !isNative(name); });
  return applyPatternsGreedily(kernels, std::move(patterns));
}

namespace {
struct SerializeVulkanKernels
    : moe::impl::SerializeVulkanKernelsBase<SerializeVulkanKernels> {
  void getDependentDialects(DialectRegistry &registry) const override {
    Base::getDependentDialects(registry);
    registry.insert<arith::ArithDialect, math::MathDialect, scf::SCFDialect,
                    ub::UBDialect, vector::VectorDialect>();
  }

  void runOnOperation() override {
    ModuleOp module = getOperation();
    OpPassManager before(ModuleOp::getOperationName());
    before.addPass(createCanonicalizerPass());
    before.addPass(createCSEPass());
    // SPIR-V's form of scf.for gives what a loop without trips carries no
    // value.
    before.addPass(createForToWhileLoopPass());
    OpPassManager after(spirv::ModuleOp::getOperationName());
    after.addPass(spirv::createSPIRVCanonicalizeGLPass());
    after.addPass(createCSEPass());
    for (ModuleOp kernels :
         llvm::make_early_inc_range(module.getOps<ModuleOp>())) {
      if (failed(expandMath(kernels)) || failed(runPipeline(before, kernels)))
        return signalPassFailure();
      OwningOpRef<spirv::ModuleOp> code = moe::vulkan::convertKernels(kernels);
      if (!code)
        return signalPassFailure();
      module.push_back(code.get());
      spirv::ModuleOp inner = code.release();
      if (failed(runPipeline(after, inner)))
        return signalPassFailure();
      std::string image = moe::vulkan::makeImage(inner);
      if (image.empty())
        return signalPassFailure();
      inner.erase();
      moe::replaceByImage(kernels, image);
    }
  }
};
} // namespace
