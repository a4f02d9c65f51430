//===- DescribeMachine.cpp - This machine as a chip -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Run/DescribeMachine.h"

#include "moe-mlir/Compiler/Compiler.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/JSON.h"

using namespace mlir;
using namespace moe;

bool run::describeMachine(MLIRContext *context, const std::string &name,
                          const MachineRates &rates, std::string &text,
                          std::string &error) {
  // What messages say becomes the error.
  ScopedDiagnosticHandler handler(context, [&](Diagnostic &diagnostic) {
    error = diagnostic.str();
    return success();
  });
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(context));
  CompileOptions options;
  options.targets = {"native"};
  FailureOr<TargetList> native = resolveTargets(*module, options);
  if (failed(native))
    return false;

  TargetRegistry &registry = TargetRegistry::get();
  llvm::Expected<llvm::json::Value> parsed =
      llvm::json::parse(registry.describeChip(native->front()));
  if (!parsed) {
    error = llvm::toString(parsed.takeError());
    return false;
  }
  llvm::json::Object &chip = *parsed->getAsObject();
  chip["name"] = name;
  chip["l1"] = rates.l1;
  chip["l2"] = rates.l2;
  llvm::json::Array models;
  if (!rates.model.empty())
    models.push_back(rates.model);
  chip["models"] = std::move(models);
  llvm::json::Object measured;
  for (const MachineRate &rate : rates.rates)
    measured[rate.name] = rate.value;
  chip["rates"] = std::move(measured);
  llvm::json::Array rules;
  for (const PrefetchRule &rule : rates.prefetch)
    rules.push_back(
        llvm::json::Object{{"rows", rule.rows},
                           {"ahead", llvm::json::Array(rule.ahead)},
                           {"levels", llvm::json::Array(rule.levels)}});
  chip["prefetch"] = std::move(rules);

  // As the one who reads it understands it.
  std::string changed;
  llvm::raw_string_ostream(changed) << *parsed;
  moek::TargetAttrInterface described =
      registry.parseChip(context, changed, error);
  if (!described)
    return false;
  text = registry.describeChip(described);
  return true;
}
