//===- Functions.cpp - Functions of expressions -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Functions.h"

#include "llvm/ADT/STLExtras.h"

#include <cmath>

using namespace moe::importer;

Value moe::importer::fail(std::string &error, const llvm::Twine &message) {
  if (error.empty())
    error = message.str();
  return {};
}

std::optional<Value> moe::importer::callFunction(
    llvm::StringRef name, llvm::ArrayRef<Value> arguments, std::string &error) {
  auto number = [&](size_t i) { return arguments[i].getNumber(); };
  size_t count = arguments.size();
  // list(a, b, ...): the texts that are not empty, separated by commas.
  if (name == "list") {
    std::string text;
    for (const Value &argument : arguments)
      if (std::string part = argument.print(); !part.empty())
        text += (text.empty() ? "" : ", ") + part;
    return Value(text);
  }
  if ((name == "min" || name == "max") && count == 2 && number(0) && number(1))
    return arguments[(*number(0) < *number(1)) == (name == "min") ? 0 : 1];
  if (name == "sqrt" && count == 1 && number(0) && *number(0) >= 0)
    return Value(std::sqrt(*number(0)));
  if (name == "len" && count == 1) {
    if (const std::string *text = arguments[0].getText())
      return Value(static_cast<int64_t>(text->size()));
    if (const Value::List *list = arguments[0].getList())
      return Value(static_cast<int64_t>(list->size()));
  }
  if (name == "contains" && count == 2) {
    if (const Value::List *list = arguments[0].getList())
      return Value(llvm::is_contained(*list, arguments[1]));
    const std::string *text = arguments[0].getText(),
                      *part = arguments[1].getText();
    if (text && part)
      return Value(text->find(*part) != std::string::npos);
  }
  if (name == "quoted" && count == 1)
    return Value("'" + arguments[0].print() + "'");
  bool areTexts =
      count == 2 && arguments[0].getText() && arguments[1].getText();
  if (name == "starts_with" && areTexts)
    return Value(llvm::StringRef(*arguments[0].getText())
                     .starts_with(*arguments[1].getText()));
  // behind('gated-relu', 'gated-'): what is behind the first one there.
  if (name == "behind" && areTexts)
    return Value(llvm::StringRef(*arguments[0].getText())
                     .split(*arguments[1].getText())
                     .second.str());
  // split('3,4', ','): a list of texts.
  if (name == "split" && areTexts && !arguments[1].getText()->empty()) {
    llvm::SmallVector<llvm::StringRef> parts;
    llvm::StringRef(*arguments[0].getText())
        .split(parts, *arguments[1].getText());
    Value::List list;
    for (llvm::StringRef part : parts)
      list.emplace_back(part.trim().str());
    return Value(std::move(list));
  }
  for (llvm::StringRef known : {"min", "max", "sqrt", "len", "contains",
                                "quoted", "starts_with", "behind", "split"})
    if (name == known)
      return fail(error, name + "() cannot take these arguments");
  return std::nullopt;
}
