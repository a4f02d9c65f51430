//===- Template.cpp - The IR of a family, filled in -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Template.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/Twine.h"

using namespace moe::importer;

namespace {

constexpr int deepest = 30;
constexpr int mostSnippets = 100'000;
constexpr size_t largest = 16 << 20;

/// The parameters of a snippet around the names of the family.
struct SnippetScope : Scope {
  explicit SnippetScope(Variables &variables) : variables(variables) {}

  Value lookup(llvm::StringRef name, std::string &error) override {
    auto own = parameters.find(name.str());
    return own != parameters.end() ? own->second
                                   : variables.lookup(name, error);
  }
  Value call(llvm::StringRef name, llvm::ArrayRef<Value> arguments,
             std::string &error) override {
    return variables.call(name, arguments, error);
  }

  Variables &variables;
  std::map<std::string, Value> parameters;
};

class Expander {
public:
  Expander(const FamilyFile &family, Variables &variables, std::string &error)
      : family(family), variables(variables), error(error) {}

  void expand(llvm::StringRef name, const SnippetSpec &snippet, Scope &scope,
              int depth);

  std::string result;

private:
  /// An #if that is open.
  struct Condition {
    /// Whether lines count here, and whether a branch before was taken.
    bool active, taken, outer;
  };

  void handleDirective(llvm::StringRef line, Scope &scope);
  bool isActive() const {
    return conditions.empty() || conditions.back().active;
  }
  bool evaluateFlag(llvm::StringRef expression, Scope &scope);
  /// False when `line` calls no snippet.
  bool handleCall(llvm::StringRef line, Scope &scope, int depth);

  const FamilyFile &family;
  Variables &variables;
  std::string &error;
  std::vector<Condition> conditions;
  int expanded = 0;
};

} // namespace

bool Expander::evaluateFlag(llvm::StringRef expression, Scope &scope) {
  Value value = variables.evaluateIn(scope, expression, error);
  if (!value.getFlag() && error.empty())
    error = "#if wants a flag, and has " + value.describe().str();
  return value.getFlag().value_or(false);
}

void Expander::handleDirective(llvm::StringRef line, Scope &scope) {
  auto [word, rest] = line.split(' ');
  if (word == "#if") {
    bool outer = isActive();
    bool holds = outer && evaluateFlag(rest.trim(), scope);
    conditions.push_back({holds, holds, outer});
    return;
  }
  if (conditions.empty()) {
    error = "'" + word.str() + "' without '#if'";
    return;
  }
  Condition &condition = conditions.back();
  if (word == "#endif") {
    conditions.pop_back();
    return;
  }
  bool mayHold = condition.outer && !condition.taken;
  condition.active =
      mayHold && (word == "#else" || evaluateFlag(rest.trim(), scope));
  condition.taken |= condition.active;
}

static bool isDirective(llvm::StringRef line) {
  llvm::StringRef word = line.split(' ').first;
  return word == "#if" || word == "#elif" || word == "#else" ||
         word == "#endif";
}

bool Expander::handleCall(llvm::StringRef line, Scope &scope, int depth) {
  // `$name...` or `%result = $name...`; `${` is a value and no call.
  auto [result, call] = line.split(" = $");
  if (call.empty()) {
    call = line;
    result = "";
    if (!call.consume_front("$"))
      return false;
  }
  if (call.empty() || !llvm::isAlpha(call.front()) || result.contains(' '))
    return false;
  llvm::StringRef name =
      call.take_while([](char c) { return llvm::isAlnum(c) || c == '_'; });
  llvm::StringRef rest = call.drop_front(name.size());
  auto snippet = family.snippets.find(name.str());
  if (snippet == family.snippets.end()) {
    error = "there is no snippet '" + name.str() + "'";
    return true;
  }
  SnippetScope inner(variables);
  if (!result.empty())
    inner.parameters["result"] = variables.substitute(result, scope, error);
  std::vector<Value> arguments;
  if (!rest.empty()) {
    if (!rest.consume_front("(") || !rest.consume_back(")")) {
      error = "expected '$" + name.str() + "(...)' and nothing else";
      return true;
    }
    while (!rest.trim().empty()) {
      llvm::StringRef argument = takeBalanced(rest, ",");
      arguments.push_back(variables.evaluateIn(scope, argument.trim(), error));
      rest = rest.drop_front(std::min(argument.size() + 1, rest.size()));
    }
  }
  const std::vector<std::string> &parameters = snippet->second.parameters;
  if (error.empty() && arguments.size() != parameters.size())
    error = "'" + name.str() + "' takes " + std::to_string(parameters.size()) +
            " arguments, not " + std::to_string(arguments.size());
  if (!error.empty())
    return true;
  for (size_t i = 0; i < arguments.size(); ++i)
    inner.parameters[parameters[i]] = std::move(arguments[i]);
  // Conditions of a snippet are its own.
  std::vector<Condition> saved;
  std::swap(saved, conditions);
  expand(name, snippet->second, inner, depth + 1);
  std::swap(saved, conditions);
  return true;
}

void Expander::expand(llvm::StringRef name, const SnippetSpec &snippet,
                      Scope &scope, int depth) {
  if (depth > deepest || ++expanded > mostSnippets) {
    error = "snippets that use each other without end";
    return;
  }
  llvm::StringRef text = snippet.text;
  for (int number = 1; !text.empty() && error.empty(); ++number) {
    auto [whole, rest] = text.split('\n');
    text = rest;
    llvm::StringRef line = whole.trim();
    if (isDirective(line))
      handleDirective(line, scope);
    else if (isActive() && !handleCall(line, scope, depth))
      result += "  " + variables.substitute(whole, scope, error) + "\n";
    if (result.size() > largest)
      error = "text without end";
    // The innermost snippet has said where.
    if (!error.empty() && !llvm::StringRef(error).starts_with("snippet "))
      error = "snippet '" + name.str() + "', line " + std::to_string(number) +
              ": " + error;
  }
  if (error.empty() && !conditions.empty())
    error = "snippet '" + name.str() + "': '#if' without '#endif'";
}

std::string moe::importer::expandSnippet(const FamilyFile &family,
                                         Variables &variables,
                                         llvm::StringRef name,
                                         std::string &error) {
  auto snippet = family.snippets.find(name.str());
  if (snippet == family.snippets.end()) {
    error = "there is no snippet '" + name.str() + "'";
    return {};
  }
  Expander expander(family, variables, error);
  expander.expand(name, snippet->second, variables, 0);
  return error.empty() ? std::move(expander.result) : std::string();
}
