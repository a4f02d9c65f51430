//===- Variables.h - The values of a family for one model -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What the names in a family's expressions stand for: keys of the
// configuration, `values` of the family, and `layer`, the number of the layer
// at hand.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_IMPORT_VARIABLES_H
#define MOE_MLIR_LIB_IMPORT_VARIABLES_H

#include "Config.h"
#include "Expression.h"
#include "FamilyFile.h"

#include <functional>
#include <map>

namespace moe::importer {

class Variables : public Scope {
public:
  /// `isGGUF`: keys are those of a GGUF file's metadata.
  Variables(const FamilyFile &family, bool isGGUF)
      : family(family), isGGUF(isGGUF) {}

  /// Reads all keys; failures are left in `config`.
  void read(Config &config);
  /// Checks what the family says of its keys; likewise.
  void check(Config &config);

  void setLayer(int64_t number) {
    layer = number;
    steps = 0;
  }
  /// Takes the place of what was read.
  void set(llvm::StringRef name, Value value) {
    known[name.str()] = std::move(value);
  }
  bool has(llvm::StringRef name) const {
    return known.count(name.str()) || family.values.count(name.str());
  }
  const FamilyFile &getFamily() const { return family; }
  /// How the file spells the key of a variable, or would.
  std::string spell(llvm::StringRef variable) const;

  /// The value of an expression. Null with `error` set when there is none.
  Value evaluate(llvm::StringRef expression, std::string &error);
  /// The same for a name, an integer that has to be there.
  int64_t getInteger(llvm::StringRef expression, std::string &error);
  /// `text` with the value of each `${expression}` in its place, looked up in
  /// `scope`.
  std::string substitute(llvm::StringRef text, Scope &scope,
                         std::string &error);

  Value lookup(llvm::StringRef name, std::string &error) override;
  Value call(llvm::StringRef name, llvm::ArrayRef<Value> arguments,
             std::string &error) override;
  /// The same in a scope of its own, such as that of a snippet.
  Value evaluateIn(Scope &scope, llvm::StringRef expression,
                   std::string &error);

  /// Whether a checkpoint has a weight; null without a checkpoint.
  std::function<bool(llvm::StringRef weight)> stored;

private:
  void readKey(Config &config, const KeySpec &key);
  /// What no key, or null, means.
  void assume(const KeySpec &key, const llvm::json::Value &value,
              Config &config);
  const std::vector<std::string> &getNames(const KeySpec &key) const {
    return isGGUF ? key.ggufNames : key.names;
  }

  const FamilyFile &family;
  bool isGGUF;
  std::map<std::string, Value> known;
  /// Expressions that stand for keys that are not there.
  std::map<std::string, std::string> assumed;
  std::map<std::string, std::string> spellings;
  std::map<std::string, std::unique_ptr<Expression>, std::less<>> parsed;
  int64_t layer = 0;
  int depth = 0;
  /// Evaluations since the layer was set.
  int64_t steps = 0;
};

/// Empty when a router can choose `slots` of `experts` in groups, else why not.
std::string checkGroups(int64_t experts, int64_t slots, int64_t groups,
                        int64_t kept);

} // namespace moe::importer

#endif // MOE_MLIR_LIB_IMPORT_VARIABLES_H
