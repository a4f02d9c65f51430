//===- Generated.h - Functions by another code generator --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What a kernel op's `moek.codegen` asks for: tiles and elementwise bodies are
// declared with their programs, and called with buffers as Halide has them.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_TARGET_CPU_KERNELS_GENERATED_H
#define MOE_LIB_TARGET_CPU_KERNELS_GENERATED_H

#include "MicroKernel.h"

namespace moe {

/// The generator that a kernel asks for; null for this one.
mlir::StringAttr getCodegen(mlir::Operation *kernel);

/// Whether `codegen` makes the tiles of `schedule`; says in a remark at
/// `kernel` why it does not, or, where nothing else is wanted, in an error.
/// Nothing on an error.
std::optional<bool> makesTiles(mlir::Operation *kernel,
                               moecpu::ScheduleAttr schedule, int64_t pitch);
/// The same of the body of an epilogue.
std::optional<bool> makesElements(mlir::Operation *kernel, mlir::Block &body);

/// Calls a tile, declared with `name`, which has the arguments of
/// `MicroKernels::alone` or `shared` after the number of rows.
void emitGeneratedTile(Emitter &e, llvm::StringRef name,
                       mlir::StringAttr codegen, moecpu::ScheduleAttr schedule,
                       int64_t rows, int64_t pitch, bool fetchesNext,
                       mlir::ValueRange arguments);

/// Computes the elementwise `body` on vectors of `kRowLanes`, by a function
/// that is declared if there is none of the same body.
llvm::SmallVector<mlir::Value>
emitGeneratedElements(Emitter &e, mlir::StringAttr codegen, mlir::Block &body,
                      mlir::ValueRange arguments);

} // namespace moe

#endif // MOE_LIB_TARGET_CPU_KERNELS_GENERATED_H
