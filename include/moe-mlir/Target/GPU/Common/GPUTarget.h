//===- GPUTarget.h - What targets of GPUs do alike --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The code of a chip is a function for the host, which chooses kernels and
// their sizes and starts them by a hook of the runtime, and the kernels as a
// constant in it.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TARGET_GPU_COMMON_GPUTARGET_H
#define MOE_MLIR_TARGET_GPU_COMMON_GPUTARGET_H

#include "moe-mlir/Target/Target.h"

namespace moe {

/// Replaces `kernels` by the constant with their code (Lowering/Images.h), which
/// is aligned to 8 bytes.
void replaceByImage(mlir::ModuleOp kernels, llvm::StringRef image);

class GPUTarget : public Target {
public:
  void getDependentDialects(mlir::DialectRegistry &registry) const override;
  ChipCode getCode(moek::TargetAttrInterface chip) const override;
  void buildCodePipeline(mlir::OpPassManager &pm,
                         moek::TargetAttrInterface chip) const override;
  /// A roofline by the rates of the chip: `memory` in MB/s, `fma` and those of
  /// `getProductRate` in GFLOP/s.
  std::optional<KernelCost> estimate(mlir::Operation *kernel,
                                     moek::TargetAttrInterface chip,
                                     const CostContext &context) const override;
  bool describeKernels(mlir::ModuleOp module, moek::TargetAttrInterface chip,
                       const CodeOptions &options,
                       std::vector<KernelFacts> &facts,
                       std::string &error) const override;
  bool emit(mlir::ModuleOp module, moek::TargetAttrInterface chip,
            const CodeOptions &options, CodeKind kind,
            llvm::SmallVectorImpl<char> &output,
            std::string &error) const override;

protected:
  /// The pass that makes modules of kernels images.
  virtual std::unique_ptr<mlir::Pass> createSerializer() const = 0;
  /// Appends the kernels of an image as text, for `--emit=asm`.
  virtual bool printImage(llvm::StringRef image,
                          llvm::SmallVectorImpl<char> &output,
                          std::string &error) const = 0;
  /// Appends the kernels of an image as their tools read them; not all targets
  /// have such a form.
  virtual bool writeImage(llvm::StringRef image,
                          llvm::SmallVectorImpl<char> &output,
                          std::string &error) const;
  /// Adds to an image what the vendor's assembler makes of it, if `options`
  /// name one.
  virtual bool assembleImage(std::string &image, moek::TargetAttrInterface chip,
                             const CodeOptions &options,
                             std::string &error) const {
    return true;
  }
  /// What the code in an image says of its kernels.
  virtual bool describeImage(llvm::StringRef image,
                             moek::TargetAttrInterface chip,
                             const CodeOptions &options,
                             std::vector<KernelFacts> &facts,
                             std::string &error) const {
    return true;
  }
  /// The chips that run its code, as ChipCode has them.
  virtual std::vector<moe_cpu_models>
  getModels(moek::TargetAttrInterface chip) const {
    return {};
  }
  /// The rate at which `matmul`, which has its schedule, multiplies many rows.
  virtual llvm::StringRef getProductRate(moek::GroupedMatmulOp matmul) const {
    return "tensor_bf16";
  }
  /// Whether kernels round rows to bf16 where they multiply with bf16.
  virtual bool narrowsRows() const { return false; }
};

} // namespace moe

#endif // MOE_MLIR_TARGET_GPU_COMMON_GPUTARGET_H
