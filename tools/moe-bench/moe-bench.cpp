//===- moe-bench.cpp - Compiled layers beside what is possible -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The command line of lib/Bench.
//
//===----------------------------------------------------------------------===//

#include "Options.h"

#include "moe-mlir/Bench/Routing.h"
#include "moe-mlir/InitAll.h"
#include "moe-mlir/Run/Compile.h"
#include "moe-mlir/Support/OutputSet.h"
#include "moe-mlir/Tool/ToolProcess.h"

#include "mlir/IR/DialectRegistry.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"

using namespace moe::bench;

/// Selection and packing on their own.
static bool runRouting(const CommandLine &given, mlir::MLIRContext &context,
                       std::string &error) {
  // A wrong path should not cost a run.
  moe::OutputSet outputs;
  if (!given.json.empty() && !outputs.add(given.json, error))
    return false;
  RoutingReport report;
  if (!runRoutingSuite(context, /*quick=*/given.suite != "routing",
                       llvm::outs(), report, error))
    return false;
  std::string text;
  llvm::raw_string_ostream os(text);
  printJson(os, report);
  return (given.json.empty() || outputs.append(given.json, text, error)) &&
         outputs.commit(error);
}

int main(int argc, char **argv) {
  moe::ToolProcess process(argc, argv, "moe-bench");
  mlir::registerAllPasses();
  moe::registerAllPasses();
  moe::registerAllTargets();
  CommandLine given;
  given.line.parse(argc, argv);
  if (given.list) {
    printSuites(llvm::outs(), findSuites());
    return 0;
  }

  auto fail = [&](const llvm::Twine &message) {
    return given.line.fail(message);
  };
  std::string error;
  Options options;
  mlir::DialectRegistry registry;
  moe::run::registerRunDialects(registry);
  mlir::registerAllExtensions(registry);
  if (!given.plugins.load(registry, error) ||
      !given.compilation.apply(options.compile, error))
    return fail(error);
  mlir::MLIRContext context(registry);
  if (given.input.empty() &&
      (given.suite == "routing" || given.suite == "routing-smoke")) {
    if (!given.device.device.empty())
      return fail("--suite=" + given.suite + " is for CPUs, not for --device");
    return runRouting(given, context, error) ? 0 : fail(error);
  }
  moe::tools::ModelFile module(context);
  if (given.input.empty()) {
    if (!readSuite(findSuites(), given.suite, options.suite, error))
      return fail(error);
  } else if (std::optional<BenchModel> own = given.readOwn(module, error)) {
    options.suite = makeOwnSuite(std::move(*own));
  } else {
    return error.empty() ? 1 : fail(error);
  }
  if (!given.read(options, error))
    return fail(error);

  Report report;
  // Written after each row, so that a run that is cut short leaves what it
  // measured.
  auto writeJson = [&]() -> bool {
    if (given.json.empty())
      return true;
    std::string text;
    llvm::raw_string_ostream os(text);
    printJson(os, report);
    moe::OutputSet outputs;
    return outputs.write(given.json, text, error) && outputs.commit(error);
  };
  // A wrong path should not cost a run.
  if (moe::OutputSet trial;
      !given.json.empty() && !trial.add(given.json, error))
    return fail(error);

  bool ok = runBench(
      context, options, llvm::errs(),
      [&](const Machine &machine) {
        printMachine(llvm::outs(), machine);
        llvm::outs() << "\n";
        printHeader(llvm::outs(), options.baselines);
        llvm::outs().flush();
      },
      [&](const Row &row) {
        printRow(llvm::outs(), row, options.baselines);
        llvm::outs().flush();
        writeJson();
      },
      report, error);
  printExpectations(llvm::outs(), report);
  return ok && writeJson() ? 0 : fail(error);
}
