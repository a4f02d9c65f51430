//===- Toolchain.h - What links compiled code -------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Objects and archives need no tools but this library. Shared libraries and
// programs are linked by the system's compiler driver, for other architectures
// by GNU's cross compiler. Platforms have GNU's names, such as
// aarch64-linux-gnu.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_COMPILER_TOOLCHAIN_H
#define MOE_MLIR_COMPILER_TOOLCHAIN_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <string>

namespace moe {

/// The path of a file that was built for the platform and lies in the
/// build tree or installed beside the program, such as libmoe_rt.a; empty when
/// there is none.
std::string findRuntimeFile(llvm::StringRef platform, llvm::StringRef fileName);

/// Runs the compiler driver of the platform. `what` is named if there is
/// none; a failing command comes back in `error` with what it printed.
bool runDriver(llvm::StringRef platform, llvm::StringRef what,
               llvm::ArrayRef<llvm::StringRef> arguments, std::string &error);

} // namespace moe

#endif // MOE_MLIR_COMPILER_TOOLCHAIN_H
