//===- ModelArguments.h - What the interpreter is given --------- -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_RUN_MODELARGUMENTS_H
#define MOE_LIB_RUN_MODELARGUMENTS_H

#include "moe-mlir/Artifact/FunctionInputs.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace moe::run {

HostTensor takeRows(const HostTensor &tensor, llvm::ArrayRef<int64_t> rows);

/// The arguments of the model's `function`, which a call of `desc` has; rows of
/// the chosen tokens only where `tokenSize` is their first dimension, or all if
/// that is empty.
bool makeModelArguments(mlir::func::FuncOp function, const FunctionDesc &desc,
                        const std::vector<int64_t> &sizeValues,
                        const FunctionInputs &inputs, llvm::StringRef tokenSize,
                        llvm::ArrayRef<int64_t> chosen,
                        std::vector<HostTensor> &arguments, std::string &error);

} // namespace moe::run

#endif // MOE_LIB_RUN_MODELARGUMENTS_H
