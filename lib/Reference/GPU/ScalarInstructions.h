//===- ScalarInstructions.h - Operations lane by lane -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_REFERENCE_GPU_SCALARINSTRUCTIONS_H
#define MOE_MLIR_LIB_REFERENCE_GPU_SCALARINSTRUCTIONS_H

#include "Program.h"

namespace moe::reference::simt {

/// An operation of arith or math by what the interpreter of model IR knows of
/// it, with its result rounded to its type. Fails for others.
llvm::LogicalResult decodeScalar(Decoder &decoder, mlir::Operation *op);

/// An inline lop3; fails if the text is another one.
llvm::LogicalResult decodeBitLogic(Decoder &decoder, mlir::Operation *op);

} // namespace moe::reference::simt

#endif // MOE_MLIR_LIB_REFERENCE_GPU_SCALARINSTRUCTIONS_H
