//===- RoutingProfiler.cpp - Routings for a profile --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Run/RoutingProfiler.h"

#include "moe-mlir/Analysis/Routings.h"

using namespace mlir;
using namespace moe;
using namespace moe::run;

RoutingProfiler::RoutingProfiler(func::FuncOp function) {
  function.walk([&](RouterOp router) {
    numbers.try_emplace(getRoutingOf(router), routings.size());
    routings.emplace_back(router.getNumExperts(), router.getNumSlots());
  });
}

void RoutingProfiler::onRouting(Value routing,
                                const reference::Decision &decision) {
  auto it = numbers.find(routing);
  if (it == numbers.end() || !error.empty())
    return;
  std::string why;
  if (!routings[it->second].add(decision.tokens, decision.expertOf.data(),
                                decision.weightOf.data(), why))
    error = "router " + std::to_string(it->second) + ": " + why;
}

static const HostTensor *findResult(const std::vector<HostTensor> &results,
                                    const std::string &name) {
  for (const HostTensor &result : results)
    if (result.name == name)
      return &result;
  return nullptr;
}

/// What the results of router number `i` are called behind their names.
static std::string getSuffix(bool isOnly, size_t i) {
  return isOnly ? "" : "." + std::to_string(i);
}

bool moe::run::recordsRoutings(const FunctionDesc &function) {
  return llvm::any_of(function.results, [](const auto &result) {
    return result.name == "routing.indices" ||
           result.name == "routing.indices.0";
  });
}

bool moe::run::profileRecorded(const FunctionDesc &function,
                               const std::vector<HostTensor> &results,
                               Profile &profile, std::string &error) {
  Profile::Function &seen = profile.functions.emplace_back();
  seen.name = function.name;
  bool isOnly = findResult(results, "routing.indices") != nullptr;
  for (size_t i = 0;; ++i) {
    std::string suffix = getSuffix(isOnly, i);
    const HostTensor *indices = findResult(results, "routing.indices" + suffix);
    const HostTensor *weights = findResult(results, "routing.weights" + suffix);
    const HostTensor *counts = findResult(results, "routing.counts" + suffix);
    if ((isOnly && i > 0) || !indices)
      return true;
    if (!weights || !counts || indices->shape.size() != 2 ||
        weights->shape != indices->shape || counts->shape.size() != 1) {
      error = "'" + function.name + "' returns 'routing.indices" + suffix +
              "' [T, K] without 'routing.weights" + suffix +
              "' [T, K] and 'routing.counts" + suffix + "' [E]";
      return false;
    }
    RoutingProfile &routing =
        seen.routings.emplace_back(counts->shape[0], indices->shape[1]);
    std::vector<int32_t> chosen(indices->numElements());
    std::vector<double> values(weights->numElements());
    for (size_t j = 0; j < chosen.size(); ++j) {
      chosen[j] = static_cast<int32_t>(indices->get(j));
      values[j] = weights->get(j);
    }
    std::string why;
    if (!routing.add(indices->shape[0], chosen.data(), values.data(), why)) {
      error =
          "'" + function.name + "', router " + std::to_string(i) + ": " + why;
      return false;
    }
  }
}
