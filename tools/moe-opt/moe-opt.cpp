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
#include "moe-mlir/Support/OutputSet.h"
#include "moe-mlir/Tool/ToolProcess.h"

#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Support/FileUtilities.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"

#ifdef MOE_INCLUDE_TESTS
namespace moe::test {
void registerTestMoeDialect();
} // namespace moe::test
#endif

/// As upstream's does, but the output is complete when it gets its name.
static int processFile(const std::string &input, const std::string &output,
                       mlir::DialectRegistry &registry,
                       const mlir::MlirOptMainConfig &config) {
  std::string error, text;
  llvm::raw_string_ostream os(text);
  std::unique_ptr<llvm::MemoryBuffer> file = mlir::openInputFile(input, &error);
  bool isGood = file && mlir::succeeded(mlir::MlirOptMain(os, std::move(file),
                                                          registry, config));
  moe::OutputSet outputs;
  // Parts of a split file that were good are printed in any case.
  if ((isGood || output == "-") &&
      !(outputs.write(output, text, error) && outputs.commit(error)))
    isGood = false;
  if (!error.empty())
    llvm::errs() << "moe-opt: error: " << error << "\n";
  return isGood ? 0 : 1;
}

int main(int argc, char **argv) {
  moe::ToolProcess process(argc, argv, "moe-opt");
  mlir::registerAllPasses();
  moe::registerAllPasses();
#ifdef MOE_INCLUDE_TESTS
  moe::test::registerTestMoeDialect();
#endif

  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  moe::registerAllDialects(registry);

  auto [input, output] = mlir::registerAndParseCLIOptions(
      argc, argv, "The optimizer driver of MoE-MLIR\n", registry);
  auto config = mlir::MlirOptMainConfig::createFromCLOptions();
  if (config.shouldShowDialects() || config.shouldListPasses())
    return mlir::asMainReturnCode(
        mlir::MlirOptMain(argc, argv, input, output, registry));
  return processFile(input, output, registry, config);
}
