//===- Codegen.h - Who makes the functions of kernels -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOEK_CODEGEN_H
#define MOEK_CODEGEN_H

#include "llvm/ADT/StringRef.h"

namespace moek {

/// The name, a string, of the code generator that makes the innermost functions
/// of a kernel; on a module, of the kernels that name none. Without it they are
/// the target's own. Which there are is the target's to say.
inline constexpr llvm::StringLiteral kCodegenAttrName = "moek.codegen";

} // namespace moek

#endif // MOEK_CODEGEN_H
