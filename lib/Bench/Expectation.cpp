//===- Expectation.cpp - What a row is expected to take ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Expectation.h"

#include "moe-mlir/Lowering/EntryPoints.h"
#include "moe-mlir/Target/Cost.h"

using namespace moe;
using namespace moe::bench;

std::optional<Expectation> Expectation::create(mlir::ModuleOp module,
                                               llvm::StringRef function,
                                               llvm::StringRef variant,
                                               const CompileOptions &options) {
  mlir::FailureOr<TargetList> targets = resolveTargets(module, options);
  if (failed(targets))
    return std::nullopt;
  Expectation own;
  for (moek::TargetAttrInterface target : *targets)
    if (target.getChipName() == variant)
      own.chip = target;
  if (!own.chip)
    return std::nullopt;
  own.planned = compileToStage(module, options, own.chip, Stage::Planned);
  if (!own.planned)
    return std::nullopt;
  own.name = function.str();
  return own;
}

double Expectation::getSeconds(int64_t tokens, int threads,
                               const Machine &machine, double dram) const {
  TargetRegistry &registry = TargetRegistry::get();
  llvm::json::Object described = registry.find(chip)->describeChip(chip);
  llvm::json::Object *rates = described.getObject("rates");
  if (!rates)
    return -1;
  const Limits *all = machine.find(threads), *one = machine.find(1);
  std::optional<int64_t> fma = rates->getInteger("fma");
  if (all && fma && all->f32 > 0)
    (*rates)["clock"] = std::llround(all->f32 * 1e3 / threads / *fma);
  (*rates)["dram"] = std::llround(dram * 1e3);
  if (threads == 1)
    (*rates)["dram_core"] = std::llround(dram * 1e3);
  else if (one)
    (*rates)["dram_core"] =
        std::llround(std::max(one->dram, dram / threads) * 1e3);
  std::string error;
  moek::TargetAttrInterface now =
      registry.find(chip)->parseChip(chip.getContext(), described, error);
  if (!now)
    return -1;
  for (auto function : planned.get().getOps<mlir::func::FuncOp>()) {
    if (!isEntryFunction(function) || getEntryName(function) != name)
      continue;
    return estimateCall(function, now, getAllSizes(function, tokens), threads)
        .seconds();
  }
  return -1;
}
