//===- Compile.cpp - Artifacts that are made to be run ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Run/Compile.h"

#include "moe-mlir/InitAll.h"
#include "moe-mlir/Reference/Interpreter.h"
#include "moe-mlir/Support/ExternalFunctions.h"
#include "moe/Moe.h"

#include "mlir/IR/DialectRegistry.h"
#include "mlir/InitAllDialects.h"

using namespace mlir;

void moe::run::registerRunDialects(DialectRegistry &registry) {
  mlir::registerAllDialects(registry);
  moe::registerAllDialects(registry);
  moe::registerCompilerDialects(registry);
  moe::reference::registerReferenceModels(registry);
}

LogicalResult moe::run::compileToRun(ModuleOp module, CompileOptions options,
                                     const std::string &base, bool isEmulated) {
  // In an emulator it is the linker who misses them.
  for (auto function : module.getOps<func::FuncOp>())
    if (!isEmulated && getExternal(function) &&
        !findExternal(function.getName()))
      return function.emitError("'")
             << function.getName()
             << "' is in no library; say which has it with --external=FILE";
  options.object = options.header = false;
  options.library = isEmulated;
  options.shared = !isEmulated;
  options.manifest = true;
  return compileToArtifact(module, options, base);
}
