//===- moe-opt.cpp - Runs any pass on any IR -------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// mlir-opt with our dialects and passes beside upstream's. Plugins load with
// --load-dialect-plugin and --load-pass-plugin.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/InitAll.h"

#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"

#ifdef MOE_INCLUDE_TESTS
namespace moe::test {
void registerTestMoeDialect();
} // namespace moe::test
#endif

int main(int argc, char **argv) {
  mlir::registerAllPasses();
  moe::registerAllPasses();
#ifdef MOE_INCLUDE_TESTS
  moe::test::registerTestMoeDialect();
#endif

  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  moe::registerAllDialects(registry);

  return mlir::asMainReturnCode(mlir::MlirOptMain(
      argc, argv, "The optimizer driver of MoE-MLIR\n", registry));
}
