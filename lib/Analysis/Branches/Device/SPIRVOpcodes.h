//===- SPIRVOpcodes.h - The form of operations in SPIR-V --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_ANALYSIS_BRANCHES_DEVICE_SPIRVOPCODES_H
#define MOE_MLIR_LIB_ANALYSIS_BRANCHES_DEVICE_SPIRVOPCODES_H

#include "llvm/ADT/StringRef.h"

#include <cstdint>

namespace moe::branchcheck::device::spirv {

/// Of the operations that kernels may have; all others are not known.
struct Opcode {
  uint16_t number;
  bool hasType, hasResult;
  /// A letter each: % a name, # a literal, S a storage class, " a string, and
  /// at the end v for names, l for literals, p for pairs of a literal and a
  /// name, as many as there are.
  llvm::StringLiteral operands;
  llvm::StringLiteral name;
};

const Opcode *findOpcode(uint16_t number);
const Opcode *findOpcode(llvm::StringRef name);
/// As disassemblers call it; a number for one that is not known.
llvm::StringRef getStorageName(uint32_t storage);

} // namespace moe::branchcheck::device::spirv

#endif // MOE_MLIR_LIB_ANALYSIS_BRANCHES_DEVICE_SPIRVOPCODES_H
