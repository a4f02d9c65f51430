//===- FamilyFile.h - Files of model families -------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A family is a YAML file: how the keys of a configuration are spelled, which
// layers have experts, the IR of one, and what its weights are called in
// checkpoints. docs/families.md describes it. This is the file as it is
// written, its `base` merged in, before any model is read.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_IMPORT_FAMILYFILE_H
#define MOE_MLIR_LIB_IMPORT_FAMILYFILE_H

#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/JSON.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace moe::importer {

/// A variable that is read from a configuration.
struct KeySpec {
  std::string variable;
  /// Spellings in a config.json; a dot leads into an object.
  std::vector<std::string> names;
  /// Spellings in the metadata of a GGUF file, without the architecture.
  std::vector<std::string> ggufNames;
  /// size, integer, number, flag, text, activation, integers, numbers or texts.
  std::string type = "integer";
  /// What no key means: an expression, or for texts and activations the text
  /// itself. A key without it is required.
  std::optional<llvm::json::Value> fallback, ggufFallback;
  /// What null means, likewise.
  std::optional<llvm::json::Value> null;
  /// The least integer.
  int64_t least = 1;
  /// A list has a value for each layer.
  bool perLayer = false;
  /// Whatever the base says that no key means, one has to be there.
  bool required = false;
  /// The only value that the family has a formula for.
  std::optional<llvm::json::Value> only;
};

/// A weight that the IR of a layer may use, as `%name`.
struct WeightSpec {
  std::string name;
  /// Expressions.
  std::vector<std::string> shape;
  /// f32, i32, i64, or `stored`: that of --weights-type.
  std::string type = "f32";
  /// Alternatives: the text of a tensor expression behind the prefix, or
  /// without it after a slash. `${...}` is replaced.
  std::vector<std::string> names, ggufNames;
};

/// A condition that has to hold of a configuration.
struct CheckSpec {
  std::string that;
  /// The variable whose key is named by the message.
  std::string key;
  /// Behind the key; `${...}` is replaced.
  std::string says;
};

struct SnippetSpec {
  std::vector<std::string> parameters;
  std::string text;
};

struct FamilyFile {
  std::string name;
  /// Where it was read, for messages.
  std::string path;
  std::vector<std::string> modelTypes, architectures;
  std::vector<KeySpec> keys;
  std::vector<WeightSpec> weights;
  std::vector<CheckSpec> checks;
  /// Names for expressions.
  std::map<std::string, std::string> values;
  /// Types of the IR, `!name`.
  std::map<std::string, std::string> types;
  /// Inputs of a layer beside `x`, under their names, and their types, whose
  /// first dimension is the tokens. A layer has those that its IR uses.
  std::map<std::string, std::string> inputs;
  std::map<std::string, SnippetSpec> snippets;
  /// Keys that upstream does not look at either.
  std::vector<std::string> ignored;
  std::vector<std::string> prefixes, ggufPrefixes;
  /// Keys that a configuration has to have, for a check of the family.
  llvm::json::Object example;

  const KeySpec *findKey(llvm::StringRef variable) const;
};

/// The family that a file with its bases says; null with `error` set.
std::unique_ptr<FamilyFile> readFamily(llvm::StringRef path,
                                       const llvm::json::Object &object,
                                       std::string &error);

/// The families of one folder, and files of a user.
class FamilyLibrary {
public:
  /// `folder` is where bases are looked for.
  explicit FamilyLibrary(std::string folder) : folder(std::move(folder)) {}

  /// The family of a file, or of `NAME.yaml` in the folder if `nameOrFile` is
  /// no path. Null with `error` set.
  const FamilyFile *load(llvm::StringRef nameOrFile, std::string &error);
  /// Finds out which models the families of the folder are for; false with
  /// `error`. What follows knows of these, and of those that were loaded.
  bool readIndex(std::string &error);
  /// The files of the folder, sorted; empty with `error` set when it has none.
  std::vector<std::string> listFiles(std::string &error) const;
  /// The family that reads this model type, or this architecture of GGUF files.
  /// Null if there is none, or with `error` set if its file is wrong.
  const FamilyFile *findModelType(llvm::StringRef type, std::string &error);
  const FamilyFile *findArchitecture(llvm::StringRef name, std::string &error);
  std::vector<std::string> getModelTypes() const;
  std::vector<std::string> getNames() const;

private:
  /// What a file is for.
  struct Entry {
    std::string path;
    std::vector<std::string> modelTypes, architectures;
  };

  const FamilyFile *find(std::vector<std::string> Entry::*names,
                         llvm::StringRef name, std::string &error);
  const llvm::json::Object *loadObject(llvm::StringRef path,
                                       std::string &error);

  std::string folder;
  std::vector<Entry> index;
  std::map<std::string, std::unique_ptr<FamilyFile>> families;
  std::map<std::string, llvm::json::Object> objects;
  /// Files whose bases are being read.
  std::vector<std::string> loading;
};

/// Where the families that come with the compiler are: beside the program, as
/// installed or in a build folder, or $MOE_MLIR_FAMILIES.
std::string findFamilyFolder();

} // namespace moe::importer

#endif // MOE_MLIR_LIB_IMPORT_FAMILYFILE_H
