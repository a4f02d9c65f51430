//===- Disassembly.h - Jumps in the bytes of an object ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What counts is what the processor decodes: this reads an object file without
// knowing where it comes from.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_ANALYSIS_BRANCHES_DISASSEMBLY_H
#define MOE_MLIR_ANALYSIS_BRANCHES_DISASSEMBLY_H

#include "llvm/ADT/StringMap.h"
#include "llvm/Support/MemoryBufferRef.h"
#include "llvm/Target/TargetMachine.h"

#include <string>

namespace moe::branchcheck {

struct DisassembledFunction {
  std::string bytes;
  unsigned instructions = 0, conditional = 0, indirect = 0;
  /// Bytes that are no instruction.
  unsigned undecoded = 0;
  /// Symbols of this name; a local name may be in an object twice.
  unsigned definitions = 0;
};

/// Functions of an object by their symbol.
bool disassemble(llvm::MemoryBufferRef object,
                 const llvm::TargetMachine &machine,
                 llvm::StringMap<DisassembledFunction> &functions,
                 std::string &error);

} // namespace moe::branchcheck

#endif // MOE_MLIR_ANALYSIS_BRANCHES_DISASSEMBLY_H
