//===- moe-reduce.cpp - The part of IR that shows a fault -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// MLIR's reducer with our dialects and passes.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/InitAll.h"
#include "moe-mlir/Tool/CommandLine.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Tools/mlir-reduce/MlirReduceMain.h"
#include "llvm/Support/InitLLVM.h"

int main(int argc, char **argv) {
  llvm::InitLLVM initialized(argc, argv);
  moe::tools::CommandLine line(
      {"moe-reduce",
       "Makes IR smaller as long as a script finds in it what is looked for.",
       "[input.mlir]",
       {{"What is left of a module when only the fault is",
         "moe-reduce --reduction-tree='traversal-mode=0 test=fault.sh' "
         "big.mlir -o small.mlir"}},
       "The script is given the name of a file, and exits with 1 if the fault "
       "is in there, with 0 if not. Options and passes are those of "
       "mlir-reduce, the passes of moe-opt among them."});
  line.describe("Reduction", "reduction-tree",
                "The pass that reduces, with its options: a traversal-mode and "
                "the test");
  line.describe("Reduction", "o", "Write what is left to a file");
  mlir::registerAllPasses();
  moe::registerAllPasses();
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  moe::registerAllDialects(registry);
  mlir::MLIRContext context(registry);
  context.printOpOnDiagnostic(false);
  moe::tools::EagerPluginOptions plugins(line,
                                         [&](mlir::DialectRegistry &more) {
                                           context.appendDialectRegistry(more);
                                         });
  line.answer(argc, argv);
  return mlir::failed(mlir::mlirReduceMain(argc, argv, context));
}
