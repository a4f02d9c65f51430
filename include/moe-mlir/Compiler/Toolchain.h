//===- Toolchain.h - What links compiled code -------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Objects and archives need no tools but this library. Shared libraries and
// programs are linked by the system's compiler driver, for other architectures
// by GNU's cross compiler.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_COMPILER_TOOLCHAIN_H
#define MOE_MLIR_COMPILER_TOOLCHAIN_H

#include "moe-mlir/Target/Target.h"

#include <string>

namespace moe {

/// The path of a file that was built for the platform and lies in the
/// build tree or installed beside the program, such as libmoe_rt.a; empty when
/// there is none.
std::string findRuntimeFile(const HostPlatform &platform,
                            llvm::StringRef fileName);

/// Runs the compiler driver of the platform. `what` is named if there is
/// none; a failing command comes back in `error` with what it printed.
bool runDriver(const HostPlatform &platform, llvm::StringRef what,
               llvm::ArrayRef<llvm::StringRef> arguments, std::string &error);

} // namespace moe

#endif // MOE_MLIR_COMPILER_TOOLCHAIN_H
