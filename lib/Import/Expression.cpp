//===- Expression.cpp - Expressions of family files -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A parser by precedence, and the operators.
//
//===----------------------------------------------------------------------===//

#include "Expression.h"
#include "Functions.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

#include <cmath>
#include <cstdlib>
#include <limits>

using namespace moe::importer;

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

std::string moe::importer::floatLiteral(double value) {
  std::string text;
  for (int digits = 1; digits <= 17; ++digits) {
    text.clear();
    llvm::raw_string_ostream(text) << llvm::format("%.*g", digits, value);
    if (std::strtod(text.c_str(), nullptr) == value)
      break;
  }
  if (text.find('.') == std::string::npos)
    text.insert(std::min(text.find('e'), text.size()), ".0");
  return text;
}

std::optional<double> Value::getNumber() const {
  if (std::optional<int64_t> integer = getInteger())
    return static_cast<double>(*integer);
  return get<double>();
}

bool Value::operator==(const Value &other) const {
  if (std::optional<double> number = getNumber())
    return number == other.getNumber();
  return held == other.held;
}

std::string Value::print() const {
  if (const std::string *text = getText())
    return *text;
  if (std::optional<bool> flag = getFlag())
    return *flag ? "true" : "false";
  if (std::optional<int64_t> integer = getInteger())
    return std::to_string(*integer);
  if (std::optional<double> number = getNumber())
    return floatLiteral(*number);
  std::string text;
  if (const List *list = getList())
    for (const Value &element : *list)
      text += (text.empty() ? "" : ", ") + element.print();
  return text;
}

llvm::StringRef Value::describe() const {
  static constexpr llvm::StringLiteral kinds[] = {
      "null", "a flag", "an integer", "a number", "a text", "a list"};
  return kinds[held.index()];
}

Value Scope::call(llvm::StringRef name, llvm::ArrayRef<Value>,
                  std::string &error) {
  if (error.empty())
    error = "there is no function '" + name.str() + "'";
  return {};
}

//===----------------------------------------------------------------------===//
// Parsing
//===----------------------------------------------------------------------===//

namespace moe::importer {

class ExpressionParser {
public:
  using Node = std::unique_ptr<Expression>;

  ExpressionParser(llvm::StringRef text, std::string &error)
      : text(text), error(error) {}

  Node parseAll() {
    Node node = parseChoice();
    skipSpace();
    if (error.empty() && position != text.size())
      fail("expected the end");
    return error.empty() ? std::move(node) : nullptr;
  }

private:
  /// A hostile file must not reach the end of the stack.
  static constexpr int deepest = 100;
  static constexpr int mostNodes = 2000;
  static constexpr size_t longestShown = 80;

  Node fail(const llvm::Twine &message) {
    if (error.empty())
      error = ("column " + llvm::Twine(position + 1) + " of '" +
               text.take_front(longestShown) +
               (text.size() > longestShown ? "..." : "") + "': " + message)
                  .str();
    return nullptr;
  }

  void skipSpace() {
    while (position < text.size() && llvm::isSpace(text[position]))
      ++position;
  }

  bool accept(llvm::StringRef token) {
    skipSpace();
    if (!text.substr(position).starts_with(token))
      return false;
    position += token.size();
    return true;
  }

  Node make(Expression::Kind kind, llvm::StringRef symbol) {
    // What is nested is counted by depth, what is long by this.
    if (++nodes > mostNodes)
      fail("an expression that is too long");
    auto node = std::make_unique<Expression>();
    node->kind = kind;
    node->symbol = symbol.str();
    return node;
  }

  Node makeLiteral(Value value) {
    Node node = make(Expression::Kind::Literal, "");
    node->literal = std::move(value);
    return node;
  }

  Node parseChoice() {
    if (++depth > deepest)
      return fail("nested too deeply");
    Node condition = parseBinary(0);
    if (condition && accept("?")) {
      Node node = make(Expression::Kind::Choice, "?");
      node->operands.push_back(std::move(condition));
      for (bool last : {false, true}) {
        Node operand = parseChoice();
        if (!operand || (!last && !accept(":")))
          return fail("expected ':'");
        node->operands.push_back(std::move(operand));
      }
      condition = std::move(node);
    }
    --depth;
    return condition;
  }

  /// Operators by precedence, longer ones before those that they start with.
  Node parseBinary(unsigned level) {
    static const std::vector<std::vector<llvm::StringLiteral>> levels = {
        {"||"},     {"&&"},         {"==", "!="}, {"<=", ">=", "<", ">"},
        {"+", "-"}, {"*", "/", "%"}};
    if (level == levels.size())
      return parseUnary();
    Node left = parseBinary(level + 1);
    while (left && error.empty()) {
      auto found = llvm::find_if(
          levels[level], [&](llvm::StringRef token) { return accept(token); });
      if (found == levels[level].end())
        break;
      Node right = parseBinary(level + 1);
      if (!right)
        return nullptr;
      Node node = make(Expression::Kind::Binary, *found);
      node->operands.push_back(std::move(left));
      node->operands.push_back(std::move(right));
      left = std::move(node);
    }
    return left;
  }

  Node parseUnary() {
    if (++depth > deepest)
      return fail("nested too deeply");
    Node result;
    llvm::StringRef sign = accept("!") ? "!" : accept("-") ? "-" : "";
    if (sign.empty()) {
      result = parseIndexed();
    } else if (Node operand = parseUnary()) {
      result = make(Expression::Kind::Unary, sign);
      result->operands.push_back(std::move(operand));
    }
    --depth;
    return result;
  }

  Node parseIndexed() {
    Node node = parsePrimary();
    while (node && error.empty() && accept("[")) {
      Node index = parseChoice();
      if (!index || !accept("]"))
        return fail("expected ']'");
      Node access = make(Expression::Kind::Index, "[");
      access->operands.push_back(std::move(node));
      access->operands.push_back(std::move(index));
      node = std::move(access);
    }
    return node;
  }

  bool parseList(Node &into, llvm::StringRef close) {
    if (accept(close))
      return true;
    do {
      Node element = parseChoice();
      if (!element)
        return false;
      into->operands.push_back(std::move(element));
    } while (accept(","));
    return accept(close) || (fail("expected '" + close + "'"), false);
  }

  llvm::StringRef takeWord() {
    llvm::StringRef word = text.substr(position).take_while(
        [](char c) { return llvm::isAlnum(c) || c == '_' || c == '.'; });
    position += word.size();
    return word;
  }

  Node parsePrimary() {
    skipSpace();
    if (accept("(")) {
      Node inner = parseChoice();
      return inner && accept(")") ? std::move(inner) : fail("expected ')'");
    }
    if (accept("[")) {
      Node list = make(Expression::Kind::List, "[");
      return parseList(list, "]") ? std::move(list) : nullptr;
    }
    if (accept("'")) {
      size_t end = text.find('\'', position);
      if (end == llvm::StringRef::npos)
        return fail("a text without an end");
      std::string content = text.slice(position, end).str();
      position = end + 1;
      return makeLiteral(std::move(content));
    }
    // The name of a value of the IR is a text.
    if (accept("%"))
      return makeLiteral("%" + takeWord().str());
    llvm::StringRef word = text.substr(position);
    if (!word.empty() && llvm::isDigit(word.front()))
      return parseNumber();
    word = takeWord();
    if (word.empty())
      return fail("expected a value");
    if (word == "true" || word == "false")
      return makeLiteral(word == "true");
    if (word == "null")
      return makeLiteral(Value());
    if (!accept("("))
      return make(Expression::Kind::Name, word);
    Node call = make(Expression::Kind::Call, word);
    return parseList(call, ")") ? std::move(call) : nullptr;
  }

  Node parseNumber() {
    llvm::StringRef rest = text.substr(position);
    size_t length = 0;
    bool isInteger = true;
    while (length < rest.size() &&
           (llvm::isAlnum(rest[length]) || rest[length] == '.' ||
            (length && (rest[length] == '-' || rest[length] == '+') &&
             rest[length - 1] == 'e'))) {
      isInteger &= llvm::isDigit(rest[length]);
      ++length;
    }
    llvm::StringRef digits = rest.take_front(length);
    int64_t integer;
    double number;
    if (isInteger ? digits.getAsInteger(10, integer)
                  : digits.getAsDouble(number) || !std::isfinite(number))
      return fail("'" + digits + "' is no number");
    position += length;
    return makeLiteral(isInteger ? Value(integer) : Value(number));
  }

  llvm::StringRef text;
  std::string &error;
  size_t position = 0;
  int depth = 0, nodes = 0;
};

} // namespace moe::importer

std::unique_ptr<Expression> Expression::parse(llvm::StringRef text,
                                              std::string &error) {
  return ExpressionParser(text, error).parseAll();
}

llvm::StringRef moe::importer::takeBalanced(llvm::StringRef text,
                                            llvm::StringRef ends) {
  int depth = 0;
  bool inText = false;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '\'')
      inText = !inText;
    if (inText)
      continue;
    if (depth == 0 && ends.contains(c))
      return text.take_front(i);
    if (c == '(' || c == '[' || c == '{')
      ++depth;
    else if (c == ')' || c == ']' || c == '}')
      --depth;
  }
  return text;
}

//===----------------------------------------------------------------------===//
// Evaluation
//===----------------------------------------------------------------------===//

/// Doubling a text again and again must not fill the memory.
static constexpr size_t longestText = 1 << 20;

static Value computeIntegers(char op, int64_t a, int64_t b,
                             std::string &error) {
  int64_t result = 0;
  bool overflows = false;
  switch (op) {
  case '+':
    overflows = __builtin_add_overflow(a, b, &result);
    break;
  case '-':
    overflows = __builtin_sub_overflow(a, b, &result);
    break;
  case '*':
    overflows = __builtin_mul_overflow(a, b, &result);
    break;
  default:
    if (b == 0)
      return fail(error, "a division by zero");
    overflows = a == std::numeric_limits<int64_t>::min() && b == -1;
    if (!overflows)
      result = op == '/' ? a / b : a % b;
  }
  if (overflows)
    return fail(error, "an integer that is too large");
  return result;
}

static Value compute(char op, const Value &a, const Value &b,
                     std::string &error) {
  if (op == '+' && (a.getText() || b.getText())) {
    std::string text = a.print() + b.print();
    return text.size() > longestText ? fail(error, "a text without end")
                                     : Value(std::move(text));
  }
  std::optional<int64_t> m = a.getInteger(), n = b.getInteger();
  if (m && n)
    return computeIntegers(op, *m, *n, error);
  std::optional<double> x = a.getNumber(), y = b.getNumber();
  if (!x || !y || op == '%')
    return fail(error, "'" + llvm::Twine(op) + "' of " + a.describe() +
                           " and " + b.describe());
  double result = op == '+'   ? *x + *y
                  : op == '-' ? *x - *y
                  : op == '*' ? *x * *y
                              : *x / *y;
  if (!std::isfinite(result))
    return fail(error, "a number that is not finite");
  return result;
}

static Value compare(llvm::StringRef op, const Value &a, const Value &b,
                     std::string &error) {
  std::optional<double> x = a.getNumber(), y = b.getNumber();
  if (!x || !y)
    return fail(error,
                "'" + op + "' of " + a.describe() + " and " + b.describe());
  return op == "<"    ? *x < *y
         : op == ">"  ? *x > *y
         : op == "<=" ? *x <= *y
                      : *x >= *y;
}

static std::optional<bool>
evaluateFlag(const Value &value, llvm::StringRef where, std::string &error) {
  std::optional<bool> flag = value.getFlag();
  if (!flag)
    fail(error, where + " wants a flag, and has " + value.describe());
  return flag;
}

static Value getElement(const Value &value, const Value &index,
                        std::string &error) {
  std::optional<int64_t> at = index.getInteger();
  const Value::List *list = value.getList();
  const std::string *text = value.getText();
  if (!at || (!list && !text))
    return fail(error, "no element of " + value.describe() + " by " +
                           index.describe());
  int64_t size = list ? list->size() : text->size();
  if (*at < 0 || *at >= size)
    return fail(error,
                "element " + llvm::Twine(*at) + " of " + llvm::Twine(size));
  return list ? (*list)[*at] : Value(std::string(1, (*text)[*at]));
}

Value Expression::evaluateBinary(Scope &scope, std::string &error) const {
  Value left = operands[0]->evaluate(scope, error);
  if (!error.empty())
    return {};
  if (symbol == "||" || symbol == "&&") {
    std::optional<bool> flag = evaluateFlag(left, symbol, error);
    if (!flag || *flag == (symbol == "||"))
      return left;
    Value right = operands[1]->evaluate(scope, error);
    if (error.empty())
      evaluateFlag(right, symbol, error);
    return right;
  }
  Value right = operands[1]->evaluate(scope, error);
  if (!error.empty())
    return {};
  if (symbol == "==" || symbol == "!=")
    return (left == right) == (symbol == "==");
  if (symbol[0] == '<' || symbol[0] == '>')
    return compare(symbol, left, right, error);
  return compute(symbol[0], left, right, error);
}

Value Expression::evaluate(Scope &scope, std::string &error) const {
  if (!error.empty())
    return {};
  switch (kind) {
  case Kind::Literal:
    return literal;
  case Kind::Name:
    return scope.lookup(symbol, error);
  case Kind::Binary:
    return evaluateBinary(scope, error);
  case Kind::Choice: {
    Value condition = operands[0]->evaluate(scope, error);
    if (!error.empty())
      return {};
    std::optional<bool> flag = evaluateFlag(condition, "?", error);
    return flag ? operands[*flag ? 1 : 2]->evaluate(scope, error) : Value();
  }
  case Kind::Call:
  case Kind::List:
  case Kind::Index:
  case Kind::Unary:
    break;
  }
  Value::List values;
  for (const std::unique_ptr<Expression> &operand : operands)
    values.push_back(operand->evaluate(scope, error));
  if (!error.empty())
    return {};
  if (kind == Kind::List)
    return values;
  if (kind == Kind::Index)
    return getElement(values[0], values[1], error);
  if (kind == Kind::Call) {
    if (std::optional<Value> result = callFunction(symbol, values, error))
      return *result;
    return scope.call(symbol, values, error);
  }
  if (symbol == "-")
    return compute('-', int64_t(0), values[0], error);
  std::optional<bool> flag = evaluateFlag(values[0], "!", error);
  return flag ? Value(!*flag) : Value();
}
