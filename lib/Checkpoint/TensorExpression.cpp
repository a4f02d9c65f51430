//===- TensorExpression.cpp - Weights out of a checkpoint ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The text of expressions.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Checkpoint/TensorExpression.h"

#include "llvm/ADT/StringExtras.h"

using namespace moe;
using Kind = TensorStep::Kind;

namespace {

struct StepName {
  Kind kind;
  llvm::StringLiteral name;
  /// How many numbers it takes; 0: one or more.
  size_t numbers;
  llvm::StringLiteral usage;
};

constexpr StepName stepNames[] = {
    {Kind::Transpose, "transpose", 2, "transpose(A, B)"},
    {Kind::Part, "part", 3, "part(AXIS, I, N)"},
    {Kind::Every, "every", 3, "every(AXIS, I, N)"},
    {Kind::First, "first", 2, "first(AXIS, COUNT)"},
    {Kind::Reshape, "reshape", 0, "reshape(SIZE, ...)"},
    {Kind::GPTQ, "gptq", 1, "gptq(OFFSET)"},
};

/// No tensor has more.
constexpr size_t maxRank = 64;
constexpr llvm::StringLiteral expertMark = "{e}";

class Parser {
public:
  Parser(llvm::StringRef text, std::string &error) : text(text), error(error) {}

  bool parseName(std::string &name, size_t &expertAt);
  /// The next `| step`, or nothing at the end.
  std::optional<TensorStep> parseStep();
  bool atEnd() {
    skipSpace();
    return at == text.size();
  }

private:
  bool fail(const std::string &what, size_t where) {
    error = what + " (column " + std::to_string(where + 1) + ")";
    return false;
  }
  void skipSpace() {
    while (at < text.size() && llvm::isSpace(text[at]))
      ++at;
  }
  bool expect(char c) {
    skipSpace();
    if (at < text.size() && text[at] == c) {
      ++at;
      return true;
    }
    return fail(std::string("expected '") + c + "'", at);
  }
  bool parseNumber(int64_t &number);
  bool check(const TensorStep &step, size_t where);

  llvm::StringRef text;
  std::string &error;
  size_t at = 0;
};

} // namespace

bool Parser::parseName(std::string &name, size_t &expertAt) {
  skipSpace();
  size_t begin = at;
  while (at < text.size() && text[at] != '|' && !llvm::isSpace(text[at]))
    ++at;
  llvm::StringRef own = text.slice(begin, at);
  if (own.empty())
    return fail("expected the name of a tensor", begin);
  expertAt = own.find(expertMark);
  for (size_t i = 0; i < own.size(); ++i) {
    bool isBrace = own[i] == '{' || own[i] == '}';
    if (isBrace && expertAt != std::string::npos &&
        (i == expertAt || i == expertAt + expertMark.size() - 1))
      continue;
    if (isBrace)
      return fail("a name may have one '{e}' and no other braces", begin + i);
    if (static_cast<unsigned char>(own[i]) < 0x20)
      return fail("a control character in a name", begin + i);
  }
  name = own.str();
  return true;
}

bool Parser::parseNumber(int64_t &number) {
  skipSpace();
  size_t begin = at;
  while (at < text.size() && llvm::isDigit(text[at]))
    ++at;
  llvm::StringRef digits = text.slice(begin, at);
  if (digits.empty())
    return fail("expected a number", begin);
  return !digits.getAsInteger(10, number) ||
         fail("a number beyond 2^63 - 1", begin);
}

/// What is wrong whatever the tensor.
bool Parser::check(const TensorStep &step, size_t where) {
  llvm::ArrayRef<int64_t> numbers = step.numbers;
  int64_t bytes;
  if (step.kind == Kind::Reshape)
    return checkedByteSize(step.numbers, 1, bytes) ||
           fail("a shape whose size overflows", where);
  if (step.kind == Kind::GPTQ)
    return numbers[0] <= 1 || fail("zeros are stored less 0 or 1", where);
  size_t axes = step.kind == Kind::Transpose ? 2 : 1;
  for (int64_t axis : numbers.take_front(axes))
    if (axis >= static_cast<int64_t>(maxRank))
      return fail("an axis of " + std::to_string(axis), where);
  if (step.kind != Kind::Part && step.kind != Kind::Every)
    return true;
  return numbers[1] < numbers[2] ||
         fail("part " + std::to_string(numbers[1]) + " of " +
                  std::to_string(numbers[2]) + "; they count from 0",
              where);
}

std::optional<TensorStep> Parser::parseStep() {
  if (!expect('|'))
    return std::nullopt;
  skipSpace();
  size_t begin = at;
  while (at < text.size() && llvm::isAlpha(text[at]))
    ++at;
  llvm::StringRef word = text.slice(begin, at);
  const StepName *found = llvm::find_if(
      stepNames, [&](const StepName &step) { return step.name == word; });
  if (found == std::end(stepNames)) {
    std::string known;
    for (const StepName &step : stepNames)
      known += (known.empty() ? "" : ", ") + step.usage.str();
    fail("expected one of " + known, begin);
    return std::nullopt;
  }
  TensorStep step{found->kind, {}};
  if (!expect('('))
    return std::nullopt;
  do {
    int64_t number;
    if (!parseNumber(number))
      return std::nullopt;
    step.numbers.push_back(number);
    skipSpace();
  } while (step.numbers.size() <= maxRank && at < text.size() &&
           text[at] == ',' && ++at);
  if (!expect(')'))
    return std::nullopt;
  size_t count = step.numbers.size();
  if (found->numbers ? count != found->numbers : count > maxRank) {
    fail("expected " + found->usage.str(), begin);
    return std::nullopt;
  }
  if (!check(step, begin))
    return std::nullopt;
  return step;
}

std::optional<TensorExpression> TensorExpression::parse(llvm::StringRef text,
                                                        std::string &error) {
  Parser parser(text, error);
  TensorExpression expression;
  if (!parser.parseName(expression.name, expression.expertAt))
    return std::nullopt;
  while (!parser.atEnd()) {
    std::optional<TensorStep> step = parser.parseStep();
    if (!step)
      return std::nullopt;
    if (step->kind == Kind::GPTQ && !expression.steps.empty()) {
      error = "'gptq' is of a tensor as it is stored, so it is the first step";
      return std::nullopt;
    }
    expression.steps.push_back(std::move(*step));
  }
  return expression;
}

std::string TensorExpression::print() const {
  std::string text = name;
  for (const TensorStep &step : steps) {
    const StepName *found = llvm::find_if(
        stepNames, [&](const StepName &row) { return row.kind == step.kind; });
    text += " | " + found->name.str() + "(";
    for (size_t i = 0; i < step.numbers.size(); ++i)
      text += (i ? ", " : "") + std::to_string(step.numbers[i]);
    text += ")";
  }
  return text;
}

std::string TensorExpression::nameOf(int64_t expert) const {
  if (!isStack())
    return name;
  std::string own = name;
  return own.replace(expertAt, expertMark.size(), std::to_string(expert));
}

std::vector<std::string> TensorExpression::names(int64_t experts) const {
  std::vector<std::string> all;
  for (int64_t e = 0; e < (isStack() ? experts : 1); ++e)
    all.push_back(nameOf(e));
  return all;
}
