//===- Selection.cpp - What of a model is imported --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Selection.h"

#include "llvm/ADT/StringExtras.h"

using namespace moe::importer;

std::string moe::importer::keepExperts(Variables &variables, int64_t experts) {
  std::string error;
  int64_t all = variables.getInteger("E", error),
          slots = variables.getInteger("K", error);
  int64_t groups =
      variables.has("groups")
          ? std::max<int64_t>(1, variables.getInteger("groups", error))
          : 1;
  int64_t kept = groups > 1 ? variables.getInteger("kept_groups", error) : 1;
  std::string option = "--experts=" + std::to_string(experts);
  if (!error.empty())
    return option + ": " + error;
  if (experts < 0 || experts > all)
    return option + " is not between 1 and " + std::to_string(all) +
           ", the experts of this model";
  if (experts < slots)
    return option + " is less than the " + std::to_string(slots) +
           " experts chosen per token";
  variables.set("E", experts);
  // Two members a group are what the sum of the two best needs.
  if (groups == 1 || (experts / groups >= 2 &&
                      checkGroups(experts, slots, groups, kept).empty()))
    return {};
  if (std::string bad = checkGroups(all, slots, groups, kept); !bad.empty())
    return option + ": " + bad;
  int64_t groupSize = all / groups;
  if (experts % groupSize == 0) {
    groups = experts / groupSize;
    kept = std::min(kept, groups);
    variables.set("groups", groups);
    variables.set("kept_groups", kept);
    if (checkGroups(experts, slots, groups, kept).empty())
      return {};
  }
  return option + " does not fit the model's groups of " +
         std::to_string(groupSize) + " experts; use a multiple of " +
         std::to_string(groupSize);
}

/// Layer numbers as ranges, such as `3-60` or `1, 3, 5`.
static std::string listLayers(llvm::ArrayRef<int64_t> layers) {
  std::vector<std::string> runs;
  for (size_t first = 0, last; first < layers.size(); first = last + 1) {
    last = first;
    while (last + 1 < layers.size() && layers[last + 1] == layers[last] + 1)
      ++last;
    std::string run = std::to_string(layers[first]);
    if (last != first)
      run += "-" + std::to_string(layers[last]);
    runs.push_back(run);
  }
  constexpr size_t longest = 8;
  if (runs.size() > longest) {
    std::string final = runs.back();
    runs.resize(longest - 2);
    runs.push_back("...");
    runs.push_back(final);
  }
  return llvm::join(runs, ", ");
}

/// No published model comes near. The module of so many layers still prints in
/// seconds.
constexpr int64_t mostLayers = 4096;

/// The layers that have experts.
static std::vector<int64_t> findMoELayers(Variables &variables, int64_t layers,
                                          std::string &problem) {
  std::vector<int64_t> found;
  for (int64_t layer = 0; layer < layers && problem.empty(); ++layer) {
    variables.setLayer(layer);
    Value holds = variables.evaluate("moe_layer", problem);
    if (problem.empty() && !holds.getFlag())
      problem = "is " + holds.describe().str() + ", not a flag";
    if (!problem.empty())
      problem = variables.getFamily().path + ": 'moe_layer' of layer " +
                std::to_string(layer) + ": " + problem;
    if (problem.empty() && *holds.getFlag())
      found.push_back(layer);
  }
  return found;
}

std::string moe::importer::chooseLayers(Variables &variables,
                                        llvm::StringRef choice,
                                        std::vector<int64_t> &chosen) {
  std::string problem;
  int64_t layers = variables.getInteger("L", problem);
  Value dense = variables.evaluate("dense", problem);
  std::vector<int64_t> all;
  if (problem.empty() && dense.print().empty())
    all = findMoELayers(variables, layers, problem);
  if (!problem.empty())
    return problem;
  if (all.empty()) {
    std::string why = variables.substitute(dense.print(), variables, problem);
    return "none of its " + std::to_string(layers) + " layers is a MoE layer" +
           (why.empty() ? "" : ": " + why);
  }
  if (choice == "all") {
    if (all.size() > mostLayers)
      return "--layers=all is " + std::to_string(all.size()) +
             " layers, and one import has at most " +
             std::to_string(mostLayers) +
             "; name the layers, such as --layers=" +
             std::to_string(all.front());
    chosen = all;
    return {};
  }
  if (choice == "first") {
    chosen = {all.front()};
    return {};
  }

  auto [firstText, lastText] = choice.split('-');
  int64_t first, last;
  if (firstText.getAsInteger(10, first) || first < 0 ||
      (choice.contains('-') ? lastText.getAsInteger(10, last)
                            : (last = first, false)) ||
      last < first)
    return "--layers=" + choice.str() +
           " is neither a layer (3), a range (0-7) nor 'all'";
  if (last >= layers)
    return "there is no layer " + std::to_string(std::max(first, layers)) +
           ": the model has layers 0-" + std::to_string(layers - 1) +
           ", of which MoE: " + listLayers(all);
  if (last - first >= mostLayers)
    return "--layers=" + choice.str() + " is " +
           std::to_string(last - first + 1) +
           " layers, and one import has at most " + std::to_string(mostLayers);
  for (int64_t layer = first; layer <= last; ++layer) {
    if (!std::binary_search(all.begin(), all.end(), layer))
      return "layer " + std::to_string(layer) +
             " is dense; the MoE layers are " + listLayers(all);
    chosen.push_back(layer);
  }
  return {};
}
