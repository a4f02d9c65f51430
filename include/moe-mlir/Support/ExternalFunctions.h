//===- ExternalFunctions.h - C functions of experts, from files -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Shared libraries with the functions that `moe.external` declares. They are for
// the whole process: compiled layers that are loaded later find them, too.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_SUPPORT_EXTERNALFUNCTIONS_H
#define MOE_MLIR_SUPPORT_EXTERNALFUNCTIONS_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <cstdint>
#include <string>

namespace moe {

/// Loads a shared library, for good.
bool loadExternals(llvm::StringRef file, std::string &error);

/// `int (const moe_rt *, int64_t expert, int64_t rows, ...)`, with pointers
/// behind; null if no library that was loaded has it.
void *findExternal(llvm::StringRef name);

/// The most pointers that `callExternal` passes.
inline constexpr unsigned kMaxExternalPointers = 12;

/// Calls what `findExternal` found, with a null runtime.
int callExternal(void *function, int64_t expert, int64_t rows,
                 llvm::ArrayRef<void *> pointers);

} // namespace moe

#endif // MOE_MLIR_SUPPORT_EXTERNALFUNCTIONS_H
