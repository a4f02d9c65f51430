//===- Variables.cpp - The values of a family for one model -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Variables.h"

#include "llvm/ADT/STLExtras.h"

using namespace moe::importer;

/// Of one layer. A family that needs more has no end.
static constexpr int64_t mostSteps = 1'000'000;
static constexpr size_t mostLayers = 8192;

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

static Value convert(const llvm::json::Value &value) {
  if (std::optional<bool> flag = value.getAsBoolean())
    return *flag;
  if (std::optional<int64_t> integer = value.getAsInteger())
    return *integer;
  if (std::optional<double> number = value.getAsNumber())
    return *number;
  if (std::optional<llvm::StringRef> text = value.getAsString())
    return text->str();
  Value::List list;
  if (const llvm::json::Array *array = value.getAsArray()) {
    for (const llvm::json::Value &element : *array)
      list.push_back(convert(element));
    return list;
  }
  return {};
}

static bool isText(const KeySpec &key) {
  return key.type == "text" || key.type == "activation";
}

void Variables::assume(const KeySpec &key, const llvm::json::Value &value,
                       Config &config) {
  std::optional<llvm::StringRef> text = value.getAsString();
  if (std::optional<double> number = value.getAsNumber();
      number && key.type == "number")
    known[key.variable] = *number;
  else if (!text)
    known[key.variable] = convert(value);
  else if (key.type == "activation")
    known[key.variable] = config.findActivation(spell(key.variable), *text);
  else if (isText(key))
    known[key.variable] = text->str();
  else
    assumed[key.variable] = text->str();
}

/// One value, by the type of its key.
static Value readOne(const KeySpec &key, Config &config, llvm::StringRef name,
                     const llvm::json::Value &value) {
  if (key.type == "size" || key.type == "integer")
    return config.integer(name, value, key.least);
  if (key.type == "number")
    return config.number(name, value);
  if (key.type == "flag")
    return config.flag(name, value);
  if (key.type == "text")
    return config.text(name, value);
  if (key.type == "activation")
    return config.findActivation(name, config.text(name, value));
  return convert(config.list(name, value, key.type));
}

void Variables::readKey(Config &config, const KeySpec &key) {
  // Keys of a GGUF file that the format has no place for.
  const std::vector<std::string> &names = getNames(key);
  const llvm::json::Value *value = nullptr;
  std::string used;
  for (const std::string &name : names) {
    const llvm::json::Value *other = config.find(name);
    if (!other)
      continue;
    // Those of a GGUF file may mean several things: the first one counts.
    if (value && *value != *other && !isGGUF)
      config.fail(used, "is " + quote(*value) + ", but '" + name +
                            "', another name of it, is " + quote(*other));
    if (!value) {
      value = other;
      used = name;
    }
  }
  if (!used.empty())
    spellings[key.variable] = used;
  const std::string name = spell(key.variable);
  if (key.only) {
    if (value && value->kind() != llvm::json::Value::Null &&
        *value != *key.only)
      config.fail(name, "is " + quote(*value) + "; this model type supports " +
                            quote(*key.only));
    known[key.variable] = convert(*key.only);
    return;
  }
  if (!value) {
    const std::optional<llvm::json::Value> &fallback =
        isGGUF && key.ggufFallback ? key.ggufFallback : key.fallback;
    if (!fallback || key.required)
      return config.fail(name, "is missing");
    assume(key, *fallback, config);
    if (key.type == "size" && !fallback->getAsString() && !names.empty())
      config.noteDefault(name, quote(*fallback));
    return;
  }
  if (value->kind() == llvm::json::Value::Null) {
    if (!key.null)
      return config.fail(
          name, "is null, which means nothing for it; without the key, the "
                "default of the model type is used");
    return assume(key, *key.null, config);
  }
  const llvm::json::Array *array = value->getAsArray();
  if (!key.perLayer || !array) {
    known[key.variable] = readOne(key, config, name, *value);
    return;
  }
  if (array->size() > mostLayers)
    return config.fail(name, "has " + llvm::Twine(array->size()) +
                                 " values, and no model as many layers");
  Value::List list;
  for (const llvm::json::Value &element : *array)
    list.push_back(element.kind() == llvm::json::Value::Null && key.null
                       ? convert(*key.null)
                       : readOne(key, config, name, element));
  known[key.variable] = std::move(list);
}

void Variables::read(Config &config) {
  for (const KeySpec &key : family.keys)
    readKey(config, key);
  for (const std::string &name : family.ignored)
    config.find(name);
}

std::string Variables::spell(llvm::StringRef variable) const {
  if (auto used = spellings.find(variable.str()); used != spellings.end())
    return used->second;
  const KeySpec *key = family.findKey(variable);
  if (key && !getNames(*key).empty())
    return getNames(*key).front();
  return key && !key->names.empty() ? key->names.front() : variable.str();
}

void Variables::check(Config &config) {
  for (const CheckSpec &check : family.checks) {
    if (config.failed())
      return;
    std::string error;
    std::optional<bool> holds = evaluate(check.that, error).getFlag();
    if (error.empty() && holds && *holds)
      continue;
    std::string says =
        error.empty() ? substitute(check.says, *this, error) : "";
    if (!error.empty())
      says = "cannot be checked: " + family.path + ": '" + check.that +
             "': " + error;
    // A key of several that mean the same is chosen by an expression.
    std::string variable = check.key;
    if (!family.findKey(variable))
      variable = evaluate(check.key, error).print();
    config.fail(spell(variable), says);
  }
}

//===----------------------------------------------------------------------===//
// Expressions
//===----------------------------------------------------------------------===//

Value Variables::evaluateIn(Scope &scope, llvm::StringRef expression,
                            std::string &error) {
  if (++steps > mostSteps) {
    if (error.empty())
      error = "an evaluation without end";
    return {};
  }
  auto known = parsed.find(expression);
  if (known == parsed.end()) {
    std::string problem;
    std::unique_ptr<Expression> made = Expression::parse(expression, problem);
    if (!made) {
      if (error.empty())
        error = problem;
      return {};
    }
    known = parsed.emplace(expression.str(), std::move(made)).first;
  }
  return known->second->evaluate(scope, error);
}

Value Variables::evaluate(llvm::StringRef expression, std::string &error) {
  return evaluateIn(*this, expression, error);
}

int64_t Variables::getInteger(llvm::StringRef expression, std::string &error) {
  Value value = evaluate(expression, error);
  std::optional<int64_t> integer = value.getInteger();
  if (!integer && error.empty())
    error = "'" + expression.str() + "' is " + value.describe().str() +
            ", not an integer";
  return integer.value_or(0);
}

std::string Variables::substitute(llvm::StringRef text, Scope &scope,
                                  std::string &error) {
  std::string result;
  while (error.empty()) {
    auto [before, behind] = text.split("${");
    result += before;
    if (before.size() == text.size())
      break;
    llvm::StringRef expression = takeBalanced(behind, "}");
    if (expression.size() == behind.size()) {
      error = "'${' without '}'";
      break;
    }
    result += evaluateIn(scope, expression, error).print();
    text = behind.drop_front(expression.size() + 1);
  }
  return result;
}

Value Variables::lookup(llvm::StringRef name, std::string &error) {
  if (name == "layer")
    return layer;
  auto found = known.find(name.str());
  if (found != known.end()) {
    const Value::List *list = found->second.getList();
    const KeySpec *key = list ? family.findKey(name) : nullptr;
    if (!key || !key->perLayer)
      return found->second;
    if (layer < static_cast<int64_t>(list->size()))
      return (*list)[layer];
    if (error.empty())
      error = "'" + spell(name) + "' has " + std::to_string(list->size()) +
              " values, and none for layer " + std::to_string(layer);
    return {};
  }
  const std::string *expression = nullptr;
  if (auto entry = assumed.find(name.str()); entry != assumed.end())
    expression = &entry->second;
  if (auto entry = family.values.find(name.str());
      !expression && entry != family.values.end())
    expression = &entry->second;
  if (!expression || depth > 50) {
    if (error.empty())
      error = (expression ? "'" + name.str() + "' depends on itself"
                          : "there is no '" + name.str() + "'");
    return {};
  }
  ++depth;
  Value value = evaluate(*expression, error);
  --depth;
  return value;
}

/// Empty when a router can choose `slots` of `experts` in groups, else why not.
std::string moe::importer::checkGroups(int64_t experts, int64_t slots,
                                       int64_t groups, int64_t kept) {
  if (groups <= 1)
    return {};
  std::string text = std::to_string(groups) + " groups";
  if (experts % groups)
    return std::to_string(experts) + " experts cannot be split evenly into " +
           text;
  if (kept > groups)
    return "cannot keep " + std::to_string(kept) + " of " + text;
  int64_t reachable = kept * (experts / groups);
  if (reachable < slots)
    return "the " + std::to_string(kept) + " kept of " + text + " hold " +
           std::to_string(reachable) + " experts, but " +
           std::to_string(slots) + " are chosen per token";
  return {};
}

Value Variables::call(llvm::StringRef name, llvm::ArrayRef<Value> arguments,
                      std::string &error) {
  if (name == "activations" && arguments.empty())
    return listActivations();
  if (name == "problem_of_groups" && arguments.size() == 4 &&
      llvm::all_of(arguments, [](const Value &argument) {
        return argument.getInteger().has_value();
      }))
    return checkGroups(*arguments[0].getInteger(), *arguments[1].getInteger(),
                       *arguments[2].getInteger(), *arguments[3].getInteger());
  const std::string *text =
      arguments.empty() ? nullptr : arguments.front().getText();
  if (!text)
    return Scope::call(name, arguments, error);
  // The key of a variable, as the file spells it, and whether it has it.
  if (name == "spelling" && arguments.size() == 1)
    return spell(*text);
  if (name == "given" && arguments.size() == 1)
    return spellings.count(*text) != 0;
  if (name == "activation_of" && arguments.size() == 1)
    return getActivation(*text);
  // stored('weight', otherwise): whether the checkpoint at hand has it.
  if (name == "stored" && arguments.size() == 2)
    return stored ? Value(stored(*text)) : arguments[1];
  return Scope::call(name, arguments, error);
}
