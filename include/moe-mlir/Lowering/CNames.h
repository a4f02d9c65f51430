//===- CNames.h - Names that C and its libraries leave ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Functions of an artifact meet all others of a program, and its header is read
// as C99 to C23 and as any C++.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LOWERING_CNAMES_H
#define MOE_MLIR_LOWERING_CNAMES_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <string>

namespace moe {

/// Letters, digits and '_', and no digit in front.
bool isCIdentifier(llvm::StringRef name);

/// Keywords, names that begin as the implementation's do, and what stdint.h,
/// stddef.h and moe_rt.h declare or compilers define: of no use even for a
/// parameter.
bool isReservedWord(llvm::StringRef name);

/// Also `main` and the functions of libc, libm, libpthread, OpenMP and moe_rt:
/// of no use for a function.
bool isReservedFunction(llvm::StringRef name);

/// The name in C of the function `name` of a model: behind `prefix`, and behind
/// `moe_` if it is reserved.
std::string getCName(llvm::StringRef name, llvm::StringRef prefix);

/// What else is declared for the C function `name`, as endings.
llvm::ArrayRef<llvm::StringLiteral> getCNameEndings();

} // namespace moe

#endif // MOE_MLIR_LOWERING_CNAMES_H
