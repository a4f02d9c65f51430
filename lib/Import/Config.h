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

/// The levels of a configuration that may hold the language model of a model
/// of several parts.
inline constexpr llvm::StringLiteral languageModelKeys[] = {
    "text_config", "language_config", "llm_config", "thinker_config"};

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

  /// The value of a key, null if it is not there. A dot in `key` leads into an
  /// object. The key counts as read.
  const llvm::json::Value *find(llvm::StringRef key);
  /// The configuration under a key that holds an object; without one, an empty
  /// one.
  Config nested(llvm::StringRef key);

  // `value` as what a key holds. Where it is something else that is a failure,
  // and a harmless value is returned.

  /// An integer of at least `least`.
  int64_t integer(llvm::StringRef key, const llvm::json::Value &value,
                  int64_t least);
  double number(llvm::StringRef key, const llvm::json::Value &value);
  bool flag(llvm::StringRef key, const llvm::json::Value &value);
  std::string text(llvm::StringRef key, const llvm::json::Value &value);
  /// A list of `type`: integers, numbers or texts.
  const llvm::json::Value &list(llvm::StringRef key,
                                const llvm::json::Value &value,
                                llvm::StringRef type);
  /// The activation attribute of an upstream name, such as `#moe.silu`.
  std::string findActivation(llvm::StringRef key, llvm::StringRef name);

  /// A size that the shapes of a layer depend on came from upstream's defaults,
  /// which is worth a note.
  void noteDefault(llvm::StringRef key, llvm::StringRef value) {
    log.defaulted.push_back(prefix + key.str() + " = " + value.str());
  }

  /// Records a failure about a key; only the first one counts.
  void fail(llvm::StringRef key, const llvm::Twine &message);
  bool failed() const { return !log.failure.empty(); }

  /// Judges the keys that nobody has read, of this level and those in it.
  void checkUnread();

private:
  void failType(llvm::StringRef key, const llvm::Twine &expected,
                const llvm::json::Value &value);
  void checkUnread(llvm::StringRef key, const llvm::json::Value &value);
  void checkPerLayer(llvm::StringRef key, const llvm::json::Value &value);

  const llvm::json::Object &object;
  ConfigLog &log;
  /// The path of this object inside the file, such as `text_config.`.
  std::string prefix;
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
