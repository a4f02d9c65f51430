//===- moe-lsp-server.cpp - Model IR in editors -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// MLIR's language server with our dialects.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/InitAll.h"
#include "moe-mlir/Tool/CommandLine.h"

#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/Tools/mlir-lsp-server/MlirLspServerMain.h"
#include "llvm/Support/InitLLVM.h"

int main(int argc, char **argv) {
  llvm::InitLLVM initialized(argc, argv);
  moe::tools::CommandLine line(
      {"moe-lsp-server",
       "Tells editors of errors, definitions, uses and types in IR, by the "
       "language server protocol.",
       "",
       {{"What an editor starts for .mlir files, with dialects of its own",
         "moe-lsp-server --load-dialect-plugin=AcmePlugin.so"}},
       "It talks on standard input and output. The options --input-style, "
       "--lit-test, --log and --pretty are those of mlir-lsp-server."});
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  moe::registerAllDialects(registry);
  moe::tools::EagerPluginOptions plugins(
      line, [&](mlir::DialectRegistry &more) { more.appendTo(registry); });
  line.answer(argc, argv);
  return mlir::failed(mlir::MlirLspServerMain(argc, argv, registry));
}
