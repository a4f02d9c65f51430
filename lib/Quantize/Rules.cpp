//===- Rules.cpp - Which weights are to be stored how ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Quantize/Quantize.h"

#include "moe-mlir/Analysis/StoredWeights.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/GlobPattern.h"

using namespace mlir;
using namespace moe;
using namespace moe::quantize;

/// Splits at commas that are in no parameters of a format.
static SmallVector<StringRef> splitRules(StringRef text) {
  SmallVector<StringRef> parts;
  size_t begin = 0;
  int depth = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    depth += text[i] == '<' ? 1 : text[i] == '>' ? -1 : 0;
    if (text[i] != ',' || depth != 0)
      continue;
    parts.push_back(text.slice(begin, i).trim());
    begin = i + 1;
  }
  parts.push_back(text.drop_front(begin).trim());
  return parts;
}

static bool parseType(MLIRContext &context, StringRef text, StringRef option,
                      std::optional<WeightType> &type, std::string &error) {
  if (text == "keep")
    return true;
  type.emplace();
  if (text == "f32" || text == "bf16")
    return parseDType(text.str(), type->number);
  std::string problem;
  type->format = parseWeightFormat(context, text, problem);
  if (type->format)
    return true;
  std::vector<std::string> known = {"keep", "f32", "bf16"};
  llvm::append_range(known, getWeightFormatNames());
  error = option.str() + ": " +
          (problem.empty() ? "unknown format '" + text.str() + "'; known are " +
                                 llvm::join(known, ", ")
                           : text.str() + ": " + problem);
  return false;
}

bool quantize::parseTypes(MLIRContext &context, StringRef text,
                          StringRef option,
                          std::vector<std::optional<WeightType>> &types,
                          std::string &error) {
  for (StringRef part : splitRules(text))
    if (!parseType(context, part, option, types.emplace_back(), error))
      return false;
  return true;
}

bool quantize::parseRules(MLIRContext &context, StringRef text,
                          std::vector<WeightRule> &rules, std::string &error) {
  for (StringRef part : splitRules(text)) {
    WeightRule rule{"*", std::nullopt};
    StringRef type = part;
    // Formats have equal signs of their own, within their parameters.
    size_t equal = part.find('=');
    if (equal != StringRef::npos && equal < part.find('<')) {
      rule.pattern = part.take_front(equal).trim().str();
      type = part.drop_front(equal + 1).trim();
    }
    llvm::Expected<llvm::GlobPattern> glob =
        llvm::GlobPattern::create(rule.pattern);
    if (!glob) {
      error = "--to: bad pattern '" + rule.pattern +
              "': " + llvm::toString(glob.takeError());
      return false;
    }
    if (!parseType(context, type, "--to", rule.to, error))
      return false;
    rules.push_back(std::move(rule));
  }
  return true;
}

static std::string listNames(ArrayRef<ModelWeight> weights) {
  SmallVector<std::string> names;
  for (const ModelWeight &weight : weights)
    if (!llvm::is_contained(names, weight.name))
      names.push_back(weight.name);
  constexpr size_t most = 12;
  bool isCut = names.size() > most;
  names.resize(std::min(names.size(), most));
  return llvm::join(names, ", ") + (isCut ? ", ..." : "");
}

bool quantize::applyRules(ArrayRef<WeightRule> rules,
                          MutableArrayRef<ModelWeight> weights,
                          std::string &error) {
  std::vector<llvm::GlobPattern> globs;
  for (const WeightRule &rule : rules)
    globs.push_back(llvm::cantFail(llvm::GlobPattern::create(rule.pattern)));
  std::vector<bool> isUsed(rules.size());
  for (ModelWeight &weight : weights) {
    std::string full = (weight.function.getSymName() + "/" + weight.name).str();
    bool isRuled = false;
    for (auto [i, glob] : llvm::enumerate(globs)) {
      if (!glob.match(weight.name) && !glob.match(full))
        continue;
      isUsed[i] = true;
      if (isRuled)
        continue;
      isRuled = true;
      weight.to = rules[i].to;
    }
    std::string why;
    if (weight.to && !checkStorage(weight, *weight.to, why)) {
      error = "'" + weight.name + "': " + why +
              "; say in front what it becomes instead, or to keep it: --to='" +
              weight.name + "=keep,*=" + weight.to->name() + "'";
      return false;
    }
  }
  for (auto [rule, used] : llvm::zip_equal(rules, isUsed))
    if (!used) {
      error = "--to: no weight is called '" + rule.pattern + "'; there are " +
              (weights.empty() ? "none" : listNames(weights));
      return false;
    }
  return true;
}
