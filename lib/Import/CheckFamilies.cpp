//===- CheckFamilies.cpp - Whether family files are sound -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What can be found out about a family without a model: a configuration of its
// defaults and of the keys of its `example` has to import.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Checkpoint/TensorExpression.h"
#include "moe-mlir/Import/Import.h"

#include "Expression.h"
#include "FamilyFile.h"
#include "Layer.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/FormatVariadic.h"

using namespace moe;
using namespace moe::importer;

namespace {

class Checker {
public:
  Checker(mlir::MLIRContext &context, const FamilyFile &family,
          std::vector<std::string> &problems)
      : context(context), family(family), problems(problems) {}

  void checkExpressions();
  void checkLayers();

private:
  void fail(const llvm::Twine &message) {
    problems.push_back((family.path + ": " + message).str());
  }
  void checkExpression(llvm::StringRef text, const llvm::Twine &where);
  /// Those inside of a text, as `${...}`.
  void checkInside(llvm::StringRef text, const llvm::Twine &where);
  /// What is done with a tensor, whatever the values in it are.
  void checkSteps(llvm::StringRef name, const llvm::Twine &where);
  void checkNames(llvm::StringRef weight);

  mlir::MLIRContext &context;
  const FamilyFile &family;
  std::vector<std::string> &problems;
};

} // namespace

void Checker::checkExpression(llvm::StringRef text, const llvm::Twine &where) {
  std::string error;
  if (!Expression::parse(text, error))
    fail(where + ": " + error);
}

void Checker::checkInside(llvm::StringRef text, const llvm::Twine &where) {
  while (true) {
    auto [before, behind] = text.split("${");
    if (before.size() == text.size())
      return;
    llvm::StringRef expression = takeBalanced(behind, "}");
    checkExpression(expression, where);
    text = behind.drop_front(std::min(expression.size() + 1, behind.size()));
  }
}

void Checker::checkSteps(llvm::StringRef name, const llvm::Twine &where) {
  std::string text, error;
  while (!name.empty()) {
    auto [before, behind] = name.split("${");
    text += before;
    if (before.size() == name.size())
      break;
    llvm::StringRef expression = takeBalanced(behind, "}");
    text += "1";
    name = behind.drop_front(std::min(expression.size() + 1, behind.size()));
  }
  if (!TensorExpression::parse(llvm::StringRef(text).ltrim('/'), error))
    fail(where + ": '" + text + "': " + error);
}

void Checker::checkExpressions() {
  for (const auto &[name, text] : family.values)
    checkExpression(text, "value " + name);
  for (const CheckSpec &check : family.checks) {
    checkExpression(check.that, "check");
    checkInside(check.says, "check");
  }
  for (const auto &[name, text] : family.types)
    checkInside(text, "type " + name);
  for (const auto &[name, text] : family.inputs)
    checkInside(text, "input " + name);
  for (const KeySpec &key : family.keys)
    for (const std::optional<llvm::json::Value> *value :
         {&key.fallback, &key.ggufFallback, &key.null})
      if (*value && (*value)->getAsString() && key.type != "text" &&
          key.type != "activation")
        checkExpression(*(*value)->getAsString(), "key " + key.variable);
  for (const WeightSpec &weight : family.weights) {
    for (const std::string &size : weight.shape)
      checkExpression(size, "weight " + weight.name);
    for (const std::vector<std::string> *names :
         {&weight.names, &weight.ggufNames})
      for (const std::string &name : *names) {
        checkInside(name, "weight " + weight.name);
        checkSteps(name, "weight " + weight.name);
      }
  }
  for (const std::vector<std::string> *prefixes :
       {&family.prefixes, &family.ggufPrefixes})
    for (const std::string &prefix : *prefixes)
      checkInside(prefix, "prefix");
}

/// A weight that no checkpoint can have is a mistake in a name.
void Checker::checkNames(llvm::StringRef name) {
  for (const WeightSpec &weight : family.weights) {
    if (weight.name != name)
      continue;
    if (!family.modelTypes.empty() && weight.names.empty())
      fail("weight " + name + " of its layers has no 'names'");
    if (!family.architectures.empty() && weight.ggufNames.empty())
      fail("weight " + name + " of its layers has no 'gguf' names");
  }
}

void Checker::checkLayers() {
  llvm::json::Object config = family.example;
  config["model_type"] =
      family.modelTypes.empty() ? family.name : family.modelTypes.front();
  ImportOptions options;
  options.family = family.path;
  options.layers = "all";
  std::string error;
  mlir::OwningOpRef<mlir::ModuleOp> module = importConfig(
      context, llvm::formatv("{0}", llvm::json::Value(std::move(config))).str(),
      "its example", options, error);
  if (!module)
    return fail(error);
  llvm::StringSet<> seen;
  for (auto function : module->getOps<mlir::func::FuncOp>())
    for (unsigned i = 0; i < function.getNumArguments(); ++i)
      if (auto name =
              function.getArgAttrOfType<mlir::StringAttr>(i, "moe.name"))
        if (seen.insert(name.getValue()).second)
          checkNames(name.getValue());
}

std::vector<std::string> moe::checkFamilies(mlir::MLIRContext &context) {
  std::vector<std::string> problems;
  FamilyLibrary library(findFamilyFolder());
  std::string error;
  std::vector<std::string> paths = library.listFiles(error);
  if (!error.empty())
    return {error};
  std::map<std::string, std::string> types, architectures;
  for (const std::string &path : paths) {
    error.clear();
    const FamilyFile *family = library.load(path, error);
    if (!family) {
      problems.push_back(error);
      continue;
    }
    for (auto [names, owners, what] :
         {std::tuple{&family->modelTypes, &types, "model type"},
          std::tuple{&family->architectures, &architectures, "architecture"}})
      for (const std::string &name : *names) {
        auto [owner, isNew] = owners->try_emplace(name, family->name);
        if (!isNew)
          problems.push_back(path + ": the " + what + " '" + name +
                             "' is that of '" + owner->second + "', too");
      }
    Checker checker(context, *family, problems);
    checker.checkExpressions();
    if (!family->modelTypes.empty() || !family->architectures.empty())
      checker.checkLayers();
  }
  return problems;
}
