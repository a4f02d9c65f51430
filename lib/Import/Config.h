//===- Config.h - Typed reading of a model configuration --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What a model family reads its keys with. A key that is missing or of the
// wrong type is remembered as the first failure and reading goes on with a
// harmless value, so that families need no error handling of their own.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_IMPORT_CONFIG_H
#define MOE_MLIR_LIB_IMPORT_CONFIG_H

#include "llvm/ADT/StringRef.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/JSON.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace moe::importer {

class Config {
public:
  /// `failure` stays empty while all is well and outlives the configuration.
  Config(const llvm::json::Object &object, std::string &failure,
         std::string prefix = {})
      : object(object), failure(failure), prefix(std::move(prefix)) {}

  /// True when the key is there and not null.
  bool has(llvm::StringRef key) const;
  bool isNull(llvm::StringRef key) const;

  /// An integer of at least `least`. Without a fallback the key is required.
  int64_t integer(llvm::StringRef key, int64_t least = 1,
                  std::optional<int64_t> fallback = std::nullopt);
  double number(llvm::StringRef key, double fallback);
  bool flag(llvm::StringRef key, bool fallback);
  std::string text(llvm::StringRef key,
                   std::optional<llvm::StringRef> fallback = std::nullopt);
  /// A list of integers, sorted; nothing when the key is absent or null.
  std::optional<std::vector<int64_t>> integers(llvm::StringRef key);
  /// The configuration under a required key that holds an object.
  Config nested(llvm::StringRef key);

  /// The activation attribute that the key names, such as `#moe.silu`.
  std::string activation(llvm::StringRef key, llvm::StringRef fallback);

  /// Records a failure about a key; only the first one counts.
  void fail(llvm::StringRef key, const llvm::Twine &message);
  bool failed() const { return !failure.empty(); }

private:
  const llvm::json::Value *find(llvm::StringRef key) const;
  void failType(llvm::StringRef key, const llvm::Twine &expected,
                const llvm::json::Value &value);

  const llvm::json::Object &object;
  std::string &failure;
  /// The path of this object inside the file, such as `text_config.`.
  std::string prefix;
};

/// The activation attribute for an upstream activation name; empty when there
/// is none.
std::string getActivation(llvm::StringRef name);

/// The upstream activation names that are understood, for messages.
std::string listActivations();

} // namespace moe::importer

#endif // MOE_MLIR_LIB_IMPORT_CONFIG_H
