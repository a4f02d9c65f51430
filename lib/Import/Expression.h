//===- Expression.h - Expressions of family files ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What a family file computes with: sizes, flags, texts and lists, C's
// operators, and no loops, so that evaluation ends. docs/families.md has the
// grammar.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_IMPORT_EXPRESSION_H
#define MOE_MLIR_LIB_IMPORT_EXPRESSION_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace moe::importer {

/// Null, a flag, an integer, a number, a text or a list.
class Value {
public:
  using List = std::vector<Value>;

  Value() = default;
  Value(bool flag) : held(flag) {}
  Value(int64_t integer) : held(integer) {}
  Value(double number) : held(number) {}
  Value(std::string text) : held(std::move(text)) {}
  Value(List list) : held(std::move(list)) {}
  // A literal would become a flag.
  Value(const char *) = delete;

  bool isNull() const { return std::holds_alternative<std::monostate>(held); }
  std::optional<bool> getFlag() const { return get<bool>(); }
  std::optional<int64_t> getInteger() const { return get<int64_t>(); }
  /// Of an integer, too.
  std::optional<double> getNumber() const;
  const std::string *getText() const { return std::get_if<std::string>(&held); }
  const List *getList() const { return std::get_if<List>(&held); }

  bool operator==(const Value &other) const;
  /// As a text holds it: integers in decimals, numbers as literals of the IR,
  /// lists separated by commas.
  std::string print() const;
  /// What kind of value it is, for messages.
  llvm::StringRef describe() const;

private:
  template <typename T> std::optional<T> get() const {
    if (const T *value = std::get_if<T>(&held))
      return *value;
    return std::nullopt;
  }

  std::variant<std::monostate, bool, int64_t, double, std::string, List> held;
};

/// What the names in an expression stand for. A lookup that fails says why in
/// `error`, once for all of an evaluation.
class Scope {
public:
  virtual ~Scope() = default;
  virtual Value lookup(llvm::StringRef name, std::string &error) = 0;
  /// A function that is none of those of Expression.cpp.
  virtual Value call(llvm::StringRef name, llvm::ArrayRef<Value> arguments,
                     std::string &error);
};

class Expression {
public:
  /// Null with `error` set, which names the column.
  static std::unique_ptr<Expression> parse(llvm::StringRef text,
                                           std::string &error);

  /// Null with `error` set when there is no value.
  Value evaluate(Scope &scope, std::string &error) const;

private:
  friend class ExpressionParser;

  enum class Kind { Literal, Name, Call, List, Index, Unary, Binary, Choice };

  Value evaluateBinary(Scope &scope, std::string &error) const;

  Kind kind = Kind::Literal;
  Value literal;
  /// The name, or the operator.
  std::string symbol;
  std::vector<std::unique_ptr<Expression>> operands;
};

/// What stands at the start of `text` up to the first of `ends` that is within
/// no brackets and no quotes; all of `text` when there is none.
llvm::StringRef takeBalanced(llvm::StringRef text, llvm::StringRef ends);

/// The shortest decimal that reads back as the same double, in MLIR's form,
/// which wants a point.
std::string floatLiteral(double value);

} // namespace moe::importer

#endif // MOE_MLIR_LIB_IMPORT_EXPRESSION_H
