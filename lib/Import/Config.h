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
// Which keys were read is remembered too. What is left when the family is done
// is looked up in Keys.h: no key of a file is passed over without a word.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_IMPORT_CONFIG_H
#define MOE_MLIR_LIB_IMPORT_CONFIG_H

#include "llvm/ADT/StringRef.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/JSON.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace moe::importer {

/// What is found out about one file while it is read; all of its levels share
/// it. Keys are named by their full path, such as `text_config.hidden_size`.
struct ConfigLog {
  /// The first failure; empty while all is well.
  std::string failure;
  /// Keys that were read, and those of them that hold a level of keys.
  llvm::StringSet<> read, opened;
  /// Sizes that the file does not give, with upstream's value.
  std::vector<std::string> defaulted;
  /// Keys that are neither read nor known.
  std::vector<std::string> unknown;
  /// Whether a checkpoint may be quantised, and the key that says it is.
  bool ignoreQuantization = false;
  std::string quantization;
};

class Config {
public:
  Config(const llvm::json::Object &object, ConfigLog &log,
         std::string prefix = {})
      : object(object), log(log), prefix(std::move(prefix)) {}

  /// True when the key is there and not null.
  bool has(llvm::StringRef key) const;
  /// True when the key is there and null. No accessor takes null: what it means
  /// differs from key to key, and is asked for with this.
  bool isNull(llvm::StringRef key) const;

  /// An integer of at least `least`. Without a fallback the key is required.
  int64_t integer(llvm::StringRef key, int64_t least = 1,
                  std::optional<int64_t> fallback = std::nullopt);
  /// An integer that the shapes of the layer depend on: that it came from
  /// upstream's defaults is worth a note.
  int64_t size(llvm::StringRef key, std::optional<int64_t> fallback,
               int64_t least = 1);
  double number(llvm::StringRef key, double fallback);
  bool flag(llvm::StringRef key, bool fallback);
  std::string text(llvm::StringRef key,
                   std::optional<llvm::StringRef> fallback = std::nullopt);
  /// A list of integers, sorted; nothing when the key is absent or null.
  std::optional<std::vector<int64_t>> integers(llvm::StringRef key);
  /// The configuration under a key that holds an object; without one, an empty
  /// one, of which every key has its default.
  Config nested(llvm::StringRef key);

  /// The activation attribute that the key names, such as `#moe.silu`.
  std::string activation(llvm::StringRef key,
                         std::optional<llvm::StringRef> fallback);

  /// `key` may also be spelled `other`, as in upstream's attribute_map.
  void alias(llvm::StringRef other, llvm::StringRef key);
  /// The formula of the family is the one of this value, and has no other.
  void expect(llvm::StringRef key, const llvm::json::Value &only);
  /// A key that upstream does not look at either.
  void skip(llvm::StringRef key);

  /// Records a failure about a key; only the first one counts.
  void fail(llvm::StringRef key, const llvm::Twine &message);
  bool failed() const { return !log.failure.empty(); }

  /// Fails for every key of this level that was not read.
  void failUnread(const llvm::Twine &message);
  /// Judges the keys that nobody has read, of this level and those in it.
  void checkUnread();

private:
  const llvm::json::Value *find(llvm::StringRef key) const;
  /// As `find`, for a value that is wanted now: null is a failure.
  const llvm::json::Value *get(llvm::StringRef key);
  /// How the file spells a key.
  llvm::StringRef spell(llvm::StringRef key) const;
  void failType(llvm::StringRef key, const llvm::Twine &expected,
                const llvm::json::Value &value);
  void checkUnread(llvm::StringRef key, const llvm::json::Value &value);
  void checkPerLayer(llvm::StringRef key, const llvm::json::Value &value);

  const llvm::json::Object &object;
  ConfigLog &log;
  /// The path of this object inside the file, such as `text_config.`.
  std::string prefix;
  /// Pairs of a key and another spelling.
  std::vector<std::pair<llvm::StringRef, llvm::StringRef>> aliases;
};

/// The activation attribute for an upstream activation name; empty when there
/// is none.
std::string getActivation(llvm::StringRef name);

/// The upstream activation names that are understood, for messages.
std::string listActivations();

/// A value of a file for a message: on one line, printable and not long.
std::string quote(const llvm::json::Value &value);
/// The same for a key or a name.
std::string printable(llvm::StringRef text);

} // namespace moe::importer

#endif // MOE_MLIR_LIB_IMPORT_CONFIG_H
