//===- run.cpp - A layer in somebody else's tests ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// usage: run MODEL BASE RUNTIME_FOLDER
//
// Compiles a model to BASE.so, calls it, verifies and measures what it gave.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Run/Bench.h"
#include "moe-mlir/Run/Compile.h"
#include "moe-mlir/Run/Targets.h"
#include "moe-mlir/Run/Verify.h"

#include "mlir/Parser/Parser.h"

using namespace moe;

static int fail(const std::string &error) {
  llvm::errs() << error << "\n";
  return 1;
}

int main(int, char **argv) {
  mlir::DialectRegistry registry;
  run::registerRunDialects(registry);
  mlir::MLIRContext context(registry);
  auto module = mlir::parseSourceFile<mlir::ModuleOp>(argv[1], &context);
  CompileOptions options;
  options.targets = {"native"};
  options.runtimeDirectory = argv[3];
  std::string base = argv[2], error;
  if (!module || failed(run::compileToRun(*module, options, base,
                                          /*isEmulated=*/false)))
    return fail("cannot compile");

  auto artifact = run::Artifact::open(base + ".so", /*emulator=*/{}, error);
  FunctionInputs inputs;
  inputs.seed = 1;
  // The wrong size is an error, and no more than that.
  inputs.sizes["N"] = 5;
  if (!artifact || run::Call::prepare(*artifact, "", inputs, 1, error))
    return fail(error);
  llvm::outs() << error << "\n";

  inputs.sizes = {{"T", 5}};
  auto call = run::Call::prepare(*artifact, "", inputs, /*threads=*/1, error);
  if (!call)
    return fail(error);
  run::RoutingTrace trace;
  call->setTrace([&](const moe_trace_event &event) { trace.record(event); });
  if (!call->invoke(error))
    return fail(error);
  call->setTrace({});
  auto function =
      module->lookupSymbol<mlir::func::FuncOp>(call->function().name);
  run::VerifyOptions how;
  how.narrowsRows = run::narrowsRows(artifact->manifest(), call->variant());
  run::Verification verification;
  if (!run::verify(function, call->function(), call->sizes(), inputs,
                   call->results(), trace, how, verification, error))
    return fail(error);
  llvm::outs() << (verification.passed() ? "verified " : "wrong ")
               << verification.results.front().name << ", "
               << verification.results.front().rows << " tokens\n";

  run::BenchResult result;
  if (!run::bench(*call, function, trace, /*repeats=*/3, result, error))
    return fail(error);
  llvm::outs() << result.seconds.size() << " times "
               << result.work->operations() << " operations\n";
}
