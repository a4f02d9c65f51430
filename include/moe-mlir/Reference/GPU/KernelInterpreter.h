//===- KernelInterpreter.h - Run kernels without a device -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Runs what `moe-compile --compile-to=vector` prints for a GPU: a function of
// the host that starts kernels, and the kernels as they are before they become
// the device's code. Instructions do what the vendor's manual says, and what
// only goes well by chance is an error: races, reads of what nobody wrote,
// copies and products that nobody waited for.
//
// It shares nothing with the lowerings: it is what they are checked by.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_REFERENCE_GPU_KERNELINTERPRETER_H
#define MOE_MLIR_REFERENCE_GPU_KERNELINTERPRETER_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "moe-mlir/Support/HostTensor.h"
#include "llvm/ADT/ArrayRef.h"
#include <vector>

namespace mlir {
class DialectRegistry;
} // namespace mlir

namespace moe::reference {

struct KernelOptions {
  /// In which order warps and blocks take turns. Copies and products that are
  /// asynchronous happen as late as may be with seeds 0, 3, 6, ..., at once
  /// with 1, 4, 7, ..., and at any moment with the others.
  uint64_t seed = 0;
  /// Of the device: a kernel that limits its blocks by them runs in so few that
  /// they have several tiles each.
  int64_t multiprocessors = 2;
  /// Threads that a Vulkan device runs in step, 4 to 64: a power of two.
  unsigned subgroup = 8;
};

/// The dialects of host functions and kernels.
void registerKernelDialects(mlir::DialectRegistry &registry);

/// Declares, beside a host function, the function of the model that it comes
/// from: arguments and results as tensors by their names, weights as the model
/// has them. Fails with an error if the function does not say what those are.
llvm::FailureOr<mlir::func::FuncOp> declareModel(mlir::func::FuncOp host);

/// Calls a host function on the arguments of its model and returns the results.
/// Errors are emitted as diagnostics at the operation that failed; those of a
/// kernel name it, the block, the thread, and the address or whom it waits for.
llvm::FailureOr<std::vector<HostTensor>>
interpretKernels(mlir::func::FuncOp host, mlir::func::FuncOp model,
                 llvm::ArrayRef<HostTensor> arguments,
                 const KernelOptions &options = {});

} // namespace moe::reference

#endif // MOE_MLIR_REFERENCE_GPU_KERNELINTERPRETER_H
