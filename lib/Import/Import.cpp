//===- Import.cpp - Models to moe IR ----------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Finding the family of a model, reading its keys, choosing layers, and writing
// each of them.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Import/Import.h"

#include "Layer.h"
#include "Selection.h"

#include "moe-mlir/Analysis/StoredWeights.h"
#include "moe-mlir/Checkpoint/Checkpoint.h"
#include "moe-mlir/Checkpoint/ConfigText.h"
#include "moe/Moe.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Path.h"

#include <limits>

using namespace moe;
using namespace moe::importer;

//===----------------------------------------------------------------------===//
// Families
//===----------------------------------------------------------------------===//

std::vector<std::string> moe::getSupportedModelTypes() {
  FamilyLibrary library(findFamilyFolder());
  std::string error;
  // Without its files the program knows none; importing says why.
  (void)library.readIndex(error);
  return library.getModelTypes();
}

std::vector<std::string> moe::getFamilies() {
  FamilyLibrary library(findFamilyFolder());
  std::string error;
  (void)library.readIndex(error);
  return library.getNames();
}

namespace {

/// A model, and the level of its configuration that its family reads.
struct Reading {
  FamilyLibrary library{findFamilyFolder()};
  const FamilyFile *family = nullptr;
  /// By the user, whatever the type is.
  bool isNamed = false;
  std::string modelType;
  /// Of the file of a family.
  std::string problem;
  /// Model types of levels that no family reads.
  std::vector<std::string> tried;
  ConfigLog log;
};

} // namespace

/// The innermost level that may hold a language model; nothing when no family
/// reads it. A level without a type of its own, or of one that is not known, is
/// read by the family of the level around it.
static std::optional<Config> findLevel(Config config, Reading &reading) {
  const llvm::json::Value *type = config.find("model_type");
  if (type) {
    std::string name = config.text("model_type", *type);
    const FamilyFile *known =
        reading.library.findModelType(name, reading.problem);
    if (!reading.problem.empty())
      return std::nullopt;
    if (known || reading.modelType.empty() || !reading.family)
      reading.modelType = name;
    if (!known)
      reading.tried.push_back("'" + printable(name) + "'");
    if (known && !reading.isNamed)
      reading.family = known;
  } else if (!reading.family) {
    config.fail("model_type", "is missing");
  }
  if (config.failed())
    return std::nullopt;
  for (llvm::StringRef key : languageModelKeys)
    if (const llvm::json::Value *inner = config.find(key);
        inner && inner->kind() != llvm::json::Value::Null) {
      Config level = config.nested(key);
      return config.failed() ? std::nullopt : findLevel(level, reading);
    }
  if (!reading.family)
    return std::nullopt;
  return config;
}

/// The metadata of a GGUF file that are of its architecture.
static llvm::json::Object takeArchitecture(const llvm::json::Object &metadata,
                                           llvm::StringRef architecture) {
  llvm::json::Object own;
  std::string prefix = architecture.str() + ".";
  for (const auto &entry : metadata)
    if (llvm::StringRef key = entry.first; key.consume_front(prefix))
      own[key.str()] = entry.second;
  return own;
}

/// Many files are called config.json: their folder then names the model. The
/// name goes into comments, file names and JSON: characters that mean something
/// there are left out of it.
static std::string nameModel(llvm::StringRef fileName,
                             llvm::StringRef modelType) {
  llvm::StringRef stem = llvm::sys::path::stem(fileName);
  if (stem == "config")
    stem = llvm::sys::path::filename(llvm::sys::path::parent_path(fileName));
  if (stem.empty() || stem == "-" || stem == ".")
    stem = modelType;
  std::string name;
  for (char c : stem)
    name +=
        llvm::isAlnum(c) || llvm::StringRef(" +-._()").contains(c) ? c : '_';
  return name;
}

//===----------------------------------------------------------------------===//
// The import
//===----------------------------------------------------------------------===//

/// A call numbers its tokens in 32 bits.
constexpr int64_t mostTokens = std::numeric_limits<int32_t>::max();

/// A list for one line.
static std::string listSome(llvm::ArrayRef<std::string> names) {
  constexpr size_t most = 12;
  std::string text;
  for (const std::string &name : names.take_front(most))
    text += (text.empty() ? "" : ", ") + printable(name);
  if (names.size() > most)
    text += " and " + std::to_string(names.size() - most) + " more";
  return text;
}

/// What is worth a word about a file that can be imported.
static std::vector<std::string> writeNotes(const Reading &reading,
                                           const ImportOptions &options) {
  const ConfigLog &log = reading.log;
  std::vector<std::string> notes;
  if (reading.isNamed)
    notes.push_back("model_type '" + printable(reading.modelType) +
                    "' is read by the family '" + reading.family->name + "'");
  else if (!reading.tried.empty())
    notes.push_back(
        "model_type " + llvm::join(reading.tried, ", which holds a ") +
        ", which holds a '" + reading.modelType + "', which is imported");
  if (!log.quantization.empty())
    notes.push_back(
        "the weights of this checkpoint are quantised ('" +
        printable(log.quantization) + "'); the layers take weights of " +
        (options.weightsType == "auto" ? "f32" : options.weightsType));
  if (!log.defaulted.empty())
    notes.push_back("not in the file, so as upstream has it: " +
                    listSome(log.defaulted));
  if (!log.unknown.empty())
    notes.push_back("not looked at: " + listSome(log.unknown));
  return notes;
}

bool moe::parseWeightsType(mlir::MLIRContext &context, llvm::StringRef text,
                           WeightFormatAttrInterface &format,
                           std::string &error) {
  format = {};
  if (text == "auto" || text == "f32" || text == "bf16")
    return true;
  std::string problem;
  format = parseWeightFormat(context, text, problem);
  if (format)
    return true;
  if (!problem.empty()) {
    error = "--weights-type=" + text.str() + ": " + problem;
    return false;
  }
  std::vector<std::string> known = {"f32", "bf16"};
  llvm::append_range(known, getWeightFormatNames());
  error = "--weights-type: unknown value '" + text.str() + "'; known are " +
          llvm::join(known, ", ");
  return false;
}

namespace {

/// One import: its parts in the order in which they are needed.
class Importer {
public:
  Importer(mlir::MLIRContext &context, const Checkpoint *checkpoint,
           const ImportOptions &options)
      : context(context), checkpoint(checkpoint), options(options) {}

  /// The layers of the model that `json` describes. Null with `problem` set.
  mlir::OwningOpRef<mlir::ModuleOp> run(const llvm::json::Object &json,
                                        llvm::StringRef fileName);

  std::string problem;
  std::vector<std::string> notes;

private:
  bool loadFamilies();
  std::optional<Config> findConfig(const llvm::json::Object &json);
  /// `config` is the level that the family reads, `root` the one that has all
  /// others.
  mlir::OwningOpRef<mlir::ModuleOp> build(Config &config, Config &root,
                                          llvm::StringRef fileName);
  /// Behind a failure of a key.
  std::string describeType() const {
    return reading.modelType.empty()
               ? ""
               : " (model_type '" + printable(reading.modelType) + "')";
  }
  bool isGGUF() const {
    return checkpoint && checkpoint->getKind() == Checkpoint::Kind::GGUF;
  }

  mlir::MLIRContext &context;
  const Checkpoint *checkpoint;
  const ImportOptions &options;
  Reading reading;
  llvm::json::Object ofArchitecture;
};

} // namespace

bool Importer::loadFamilies() {
  if (options.family.empty())
    return reading.library.readIndex(problem);
  reading.family = reading.library.load(options.family, problem);
  if (!reading.family)
    problem = "--family: " + problem;
  reading.isNamed = reading.family != nullptr;
  return reading.isNamed;
}

std::optional<Config> Importer::findConfig(const llvm::json::Object &json) {
  if (!isGGUF()) {
    std::optional<Config> level = findLevel(Config(json, reading.log), reading);
    problem = reading.problem;
    return level;
  }
  std::optional<llvm::StringRef> type = json.getString("general.architecture");
  if (!type) {
    problem = "the metadata have no 'general.architecture'";
    return std::nullopt;
  }
  reading.modelType = type->str();
  if (!reading.family)
    reading.family =
        reading.library.findArchitecture(reading.modelType, problem);
  if (!problem.empty())
    return std::nullopt;
  ofArchitecture = takeArchitecture(json, reading.modelType);
  if (reading.family)
    return Config(ofArchitecture, reading.log, reading.modelType + ".");
  reading.tried.push_back("'" + printable(reading.modelType) + "'");
  return std::nullopt;
}

mlir::OwningOpRef<mlir::ModuleOp> Importer::build(Config &config, Config &root,
                                                  llvm::StringRef fileName) {
  const FamilyFile &family = *reading.family;
  Variables variables(family, isGGUF());
  std::optional<WeightSources> sources;
  if (checkpoint && !checkpoint->getTensors().empty()) {
    sources.emplace(*checkpoint, family, variables, context);
    variables.stored = [&](llvm::StringRef name) {
      auto weight =
          llvm::find_if(family.weights, [&](const WeightSpec &weight) {
            return weight.name == name;
          });
      return weight != family.weights.end() && sources->has(*weight);
    };
  }
  variables.read(config);
  if (!config.failed())
    variables.check(config);
  if (!config.failed())
    root.checkUnread();
  if (config.failed()) {
    problem = reading.log.failure + describeType();
    return nullptr;
  }
  int64_t allExperts = 0;
  std::string dense = variables.evaluate("dense", problem).print();
  if (options.experts && problem.empty() && dense.empty()) {
    allExperts = variables.getInteger("E", problem);
    problem = keepExperts(variables, options.experts);
  }
  std::vector<int64_t> layers;
  if (problem.empty())
    problem = chooseLayers(variables, options.layers, layers);
  if (!problem.empty())
    return nullptr;

  WeightFormatAttrInterface format;
  if (!parseWeightsType(context, options.weightsType, format, problem))
    return nullptr;
  std::string name = nameModel(fileName, reading.modelType);
  variables.set("T", options.tokens ? Value(options.tokens)
                                    : Value(std::string("?")));
  mlir::OwningOpRef<mlir::ModuleOp> module =
      mlir::ModuleOp::create(mlir::UnknownLoc::get(&context));
  (*module)->setAttr("moe.model", mlir::StringAttr::get(&context, name));
  LayerContext layerContext{family,     variables,
                            options,    context,
                            format,     sources ? &*sources : nullptr,
                            allExperts, {}};
  for (int64_t layer : layers)
    if (!buildLayer(layerContext, *module, layer, name, problem))
      return nullptr;
  return module;
}

mlir::OwningOpRef<mlir::ModuleOp> Importer::run(const llvm::json::Object &json,
                                                llvm::StringRef fileName) {
  if (options.tokens < 0 || options.tokens > mostTokens) {
    problem = "--tokens=" + std::to_string(options.tokens) +
              " is not a number of tokens; use 1 to " +
              std::to_string(mostTokens);
    return nullptr;
  }
  if (!loadFamilies())
    return nullptr;
  // A checkpoint is read as it is stored.
  reading.log.ignoreQuantization = options.ignoreQuantization || checkpoint;
  std::optional<Config> config = findConfig(json);
  // They are too many for a line.
  std::string supported =
      "; moe-import --list-models lists the " +
      std::to_string(reading.library.getModelTypes().size()) +
      " model types that are, and --family=FILE.yaml adds one";
  if (!config && problem.empty())
    problem =
        (reading.log.failure.empty()
             ? "key '" +
                   std::string(isGGUF() ? "general.architecture"
                                        : "model_type") +
                   "' is " + llvm::join(reading.tried, ", which holds a ") +
                   ", which is not supported"
             : reading.log.failure) +
        (reading.family ? describeType() : supported);
  if (!config)
    return nullptr;
  context.loadDialect<MoeDialect, mlir::arith::ArithDialect,
                      mlir::func::FuncDialect, mlir::linalg::LinalgDialect,
                      mlir::math::MathDialect, mlir::tensor::TensorDialect>();
  Config root = isGGUF() ? *config : Config(json, reading.log);
  mlir::OwningOpRef<mlir::ModuleOp> module = build(*config, root, fileName);
  if (module) {
    if (checkpoint)
      reading.log.quantization.clear();
    notes = writeNotes(reading, options);
  }
  return module;
}

mlir::OwningOpRef<mlir::ModuleOp>
moe::importConfig(mlir::MLIRContext &context, llvm::StringRef json,
                  llvm::StringRef fileName, const ImportOptions &options,
                  std::string &error, std::vector<std::string> *notes) {
  WeightFormatAttrInterface format;
  if (!parseWeightsType(context, options.weightsType, format, error))
    return nullptr;
  Importer importer(context, nullptr, options);
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::optional<llvm::json::Value> value =
      parseConfigText(json, importer.problem);
  if (value && !value->getAsObject())
    importer.problem = "not a model configuration: the file must hold a JSON "
                       "object with the key 'model_type'";
  else if (value)
    module = importer.run(*value->getAsObject(), fileName);
  if (!module)
    error = fileName.str() + ": " + importer.problem;
  else if (notes)
    *notes = std::move(importer.notes);
  return module;
}

mlir::OwningOpRef<mlir::ModuleOp>
moe::importCheckpoint(mlir::MLIRContext &context, const Checkpoint &checkpoint,
                      const ImportOptions &options, std::string &error,
                      std::vector<std::string> *notes) {
  WeightFormatAttrInterface format;
  if (!parseWeightsType(context, options.weightsType, format, error))
    return nullptr;
  if (checkpoint.getConfigPath().empty()) {
    error = checkpoint.getPath() +
            ": has no configuration; expected a folder with a config.json";
    return nullptr;
  }
  if (checkpoint.getKind() == Checkpoint::Kind::HuggingFace &&
      checkpoint.getTensors().empty()) {
    error = checkpoint.getPath() + ": has no tensors";
    return nullptr;
  }
  Importer importer(context, &checkpoint, options);
  mlir::OwningOpRef<mlir::ModuleOp> module =
      importer.run(checkpoint.getConfig(), checkpoint.getConfigPath());
  if (!module)
    error = checkpoint.getConfigPath() + ": " + importer.problem;
  else if (notes)
    *notes = std::move(importer.notes);
  return module;
}
