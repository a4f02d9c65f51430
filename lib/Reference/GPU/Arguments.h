//===- Arguments.h - A model's tensors as a host function's memory -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_REFERENCE_GPU_ARGUMENTS_H
#define MOE_MLIR_LIB_REFERENCE_GPU_ARGUMENTS_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "moe-mlir/Support/HostTensor.h"
#include "llvm/ADT/StringMap.h"
#include <map>

namespace moe::reference::simt {

/// Whether an argument of a host function is a result of its model.
bool isResult(mlir::func::FuncOp host, unsigned argument);

/// An argument of a host function, of tensors of the model by name: as the
/// element type of the argument says, and packed where it is. Fails with an
/// error at the function.
llvm::FailureOr<HostTensor>
makeArgument(mlir::func::FuncOp host, unsigned argument,
             const llvm::StringMap<HostTensor> &tensors);

/// The shape of an argument with `sizes` by the names of its dimensions; adds
/// those that `tensor` has, if there is one.
llvm::FailureOr<std::vector<int64_t>>
getShape(mlir::func::FuncOp host, unsigned argument, const HostTensor *tensor,
         std::map<std::string, int64_t> &sizes);

} // namespace moe::reference::simt

#endif // MOE_MLIR_LIB_REFERENCE_GPU_ARGUMENTS_H
