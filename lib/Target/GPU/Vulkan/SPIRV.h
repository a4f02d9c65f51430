//===- SPIRV.h - The code of kernels ----------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_TARGET_GPU_VULKAN_SPIRV_H
#define MOE_MLIR_LIB_TARGET_GPU_VULKAN_SPIRV_H

#include "mlir/Dialect/SPIRV/IR/SPIRVOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <string>
#include <vector>

namespace moe {
struct KernelFacts;
} // namespace moe

namespace moe::vulkan {

/// The kernels of a module, in the form of the `moe_gpu` dialect, as one module
/// with an entry point for each; takes them apart. Null, with an error at what
/// has no form in SPIR-V.
mlir::OwningOpRef<mlir::spirv::ModuleOp> convertKernels(mlir::ModuleOp kernels);

/// What artifacts have of a module (see moe_vulkan.h). An empty result comes
/// with an error of `module`.
std::string makeImage(mlir::spirv::ModuleOp module);

/// The bytes of the module of an image.
llvm::StringRef getModule(llvm::StringRef image);

/// The module of an image. Null with `error` if it is none.
mlir::OwningOpRef<mlir::spirv::ModuleOp> readImage(llvm::StringRef image,
                                                   mlir::MLIRContext &context,
                                                   std::string &error);

/// Says of the kernels of an image what its code does; those that are not in
/// `facts` by their names are added.
bool describeImage(llvm::StringRef image, std::vector<KernelFacts> &facts,
                   std::string &error);

/// Appends the module of an image as text.
bool printImage(llvm::StringRef image, llvm::SmallVectorImpl<char> &output,
                std::string &error);

} // namespace moe::vulkan

#endif // MOE_MLIR_LIB_TARGET_GPU_VULKAN_SPIRV_H
