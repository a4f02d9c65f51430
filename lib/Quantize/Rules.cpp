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

/// Takes "@0-15" or "@3" from the end of a pattern.
static bool parseExperts(StringRef text, WeightRule &rule, std::string &error) {
  auto [name, experts] = StringRef(rule.pattern).rsplit('@');
  if (name.size() == rule.pattern.size())
    return true;
  auto [firstText, lastText] = experts.split('-');
  int64_t first = 0, last = 0;
  if (firstText.getAsInteger(10, first) ||
      (experts.contains('-') ? lastText : firstText).getAsInteger(10, last) ||
      first < 0 || last < first) {
    error = "--to: '" + text.str() +
            "': expected experts behind the @, such as 3 or 0-15";
    return false;
  }
  rule.experts = {first, last};
  rule.pattern = name.str();
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
    if (!parseExperts(part, rule, error))
      return false;
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

/// What experts become that no rule before said anything of.
static bool applyRule(const WeightRule &rule, const ModelWeight &weight,
                      std::vector<bool> &isRuled,
                      std::vector<std::optional<WeightType>> &types,
                      std::string &error) {
  auto [first, last] = rule.experts.value_or(
      std::make_pair(int64_t(0), weight.numExperts() - 1));
  if (last >= weight.numExperts()) {
    error = "--to: '" + weight.name + "' has no expert " +
            std::to_string(last) + ": there are " +
            std::to_string(weight.numExperts());
    return false;
  }
  for (int64_t expert = first; expert <= last; ++expert)
    if (!isRuled[expert]) {
      isRuled[expert] = true;
      types[expert] = rule.to;
    }
  return true;
}

/// `weight`, or its ranges.
static std::vector<ModelWeight>
splitByTypes(ModelWeight weight,
             ArrayRef<std::optional<WeightType>> typesOfExperts) {
  WeightRanges ranges;
  bool isKept = true;
  for (auto [expert, type] : llvm::enumerate(typesOfExperts)) {
    WeightType to = type.value_or(weight.from);
    isKept &= !type;
    if (ranges.empty() || ranges.back().type != to)
      ranges.push_back({static_cast<int64_t>(expert), to});
  }
  // One that is a range already becomes something else as a whole.
  if (weight.isRange())
    weight.to = ranges.front().type;
  else if (isKept)
    weight.to = std::nullopt;
  if (isKept || weight.isRange())
    return {weight};
  return splitWeight(weight, ranges);
}

bool quantize::applyRules(ArrayRef<WeightRule> rules,
                          std::vector<ModelWeight> &weights,
                          std::string &error) {
  std::vector<llvm::GlobPattern> globs;
  for (const WeightRule &rule : rules)
    globs.push_back(llvm::cantFail(llvm::GlobPattern::create(rule.pattern)));
  std::vector<bool> isUsed(rules.size());
  std::vector<ModelWeight> all;
  for (ModelWeight &weight : weights) {
    std::string full = (weight.function.getSymName() + "/" + weight.name).str();
    std::vector<bool> isRuled(weight.numExperts());
    std::vector<std::optional<WeightType>> types(weight.numExperts(),
                                                 weight.to);
    for (auto [i, glob] : llvm::enumerate(globs)) {
      if ((!glob.match(weight.name) && !glob.match(full)) ||
          (rules[i].experts && weight.isRange()))
        continue;
      isUsed[i] = true;
      if (!applyRule(rules[i], weight, isRuled, types, error))
        return false;
    }
    for (ModelWeight &part : splitByTypes(weight, types)) {
      std::string why;
      if (part.to && !checkStorage(part, *part.to, why)) {
        error =
            "'" + part.name + "': " + why +
            "; say in front what it becomes instead, or to keep it: --to='" +
            part.ownName() + "=keep,*=" + part.to->name() + "'";
        return false;
      }
      all.push_back(std::move(part));
    }
  }
  for (auto [rule, used] : llvm::zip_equal(rules, isUsed))
    if (!used) {
      error = "--to: no weight is called '" + rule.pattern + "'; there are " +
              (weights.empty() ? "none" : listNames(weights));
      return false;
    }
  weights = std::move(all);
  return true;
}
