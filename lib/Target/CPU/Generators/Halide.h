//===- Halide.h - Halide as a code generator --------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_TARGET_CPU_GENERATORS_HALIDE_H
#define MOE_LIB_TARGET_CPU_GENERATORS_HALIDE_H

#include "moe-mlir/Target/CPU/CodeGenerator.h"

namespace llvm {
class Function;
} // namespace llvm

namespace moe {

/// `halide`: Halide's IR, compiled by this LLVM; `halide-only`: the same, and
/// an error where it cannot; `halide-object`: Halide's own code.
llvm::ArrayRef<const CodeGenerator *> getHalideGenerators();

/// Lets the sums of a tile's products be contracted to multiply-adds, which
/// Halide cannot ask for where it keeps floats strict, and puts prefetches into
/// its loop: ahead of each line of the panel, and at the address that it is
/// given.
void finishTile(llvm::Function &tile, const GeneratedFunction &function);

} // namespace moe

#endif // MOE_LIB_TARGET_CPU_GENERATORS_HALIDE_H
