//===- Import.cpp - Model configurations to moe IR --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The part that all families share: reading the file, finding the family,
// checking sizes, choosing layers, and parsing what the family wrote.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Import/Import.h"

#include "LayerBuilder.h"
#include "Model.h"

#include "moe-mlir/Analysis/StoredWeights.h"
#include "moe-mlir/Checkpoint/ConfigText.h"
#include "moe/Moe.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Path.h"

#include <limits>

using namespace moe;
using namespace moe::importer;

//===----------------------------------------------------------------------===//
// The table of families
//===----------------------------------------------------------------------===//

static FamilyTable makeFamilyTable() {
  FamilyTable table;
#define MOE_IMPORT_FAMILY(name) register##name(table);
#include "Families.inc"
#undef MOE_IMPORT_FAMILY
  return table;
}

std::vector<std::string> moe::getSupportedModelTypes() {
  std::vector<std::string> types;
  for (const auto &entry : makeFamilyTable())
    types.push_back(entry.first);
  return types;
}

void Model::readSizes(Config &config, llvm::StringRef expertsKey,
                      llvm::StringRef intermediateKey,
                      const DefaultSizes &defaults, int64_t fewest) {
  layers = config.size("num_hidden_layers", defaults.layers);
  hidden = config.size("hidden_size", defaults.hidden);
  intermediate = config.size(intermediateKey, defaults.intermediate);
  experts = config.size(expertsKey, defaults.experts,
                        /*least=*/fewest ? fewest - 1 : 1);
  slots = config.size("num_experts_per_tok", defaults.slots);
  activation = config.activation("hidden_act", "silu");
  if (experts < fewest)
    dense = ("with '" + expertsKey + "' " + llvm::Twine(experts) +
             ", every layer is dense")
                .str();
  else if (slots > experts)
    config.fail("num_experts_per_tok",
                "is " + llvm::Twine(slots) + ", more than the " +
                    llvm::Twine(experts) + " experts of '" + expertsKey + "'");
}

//===----------------------------------------------------------------------===//
// Checks
//===----------------------------------------------------------------------===//

std::string moe::importer::checkGroups(const Model &model) {
  if (model.groups <= 1)
    return {};
  std::string groups = std::to_string(model.groups) + " groups";
  if (model.experts % model.groups)
    return std::to_string(model.experts) +
           " experts cannot be split evenly into " + groups;
  if (model.keptGroups > model.groups)
    return "cannot keep " + std::to_string(model.keptGroups) + " of " + groups;
  int64_t reachable = model.keptGroups * (model.experts / model.groups);
  if (reachable < model.slots)
    return "the " + std::to_string(model.keptGroups) + " kept of " + groups +
           " hold " + std::to_string(reachable) + " experts, but " +
           std::to_string(model.slots) + " are chosen per token";
  return {};
}

/// Keeps the first experts. The number of groups stays if it can, so that the
/// shrunken layer still routes as the model does; otherwise their size stays.
static std::string keepExperts(Model &model, int64_t experts) {
  if (experts < 0 || experts > model.experts)
    return "--experts=" + std::to_string(experts) + " is not between 1 and " +
           std::to_string(model.experts) + ", the experts of this model";
  if (experts < model.slots)
    return "--experts=" + std::to_string(experts) + " is less than the " +
           std::to_string(model.slots) + " experts chosen per token";
  int64_t groupSize = model.experts / model.groups;
  model.experts = experts;
  // Two members a group are what the sum of the two best needs.
  if (model.groups == 1 ||
      (experts / model.groups >= 2 && checkGroups(model).empty()))
    return {};
  if (experts % groupSize == 0) {
    model.groups = experts / groupSize;
    model.keptGroups = std::min(model.keptGroups, model.groups);
    if (checkGroups(model).empty())
      return {};
  }
  return "--experts=" + std::to_string(experts) +
         " does not fit the model's groups of " + std::to_string(groupSize) +
         " experts; use a multiple of " + std::to_string(groupSize);
}

/// Layer numbers as ranges, such as `3-60` or `1, 3, 5`.
static std::string listLayers(llvm::ArrayRef<int64_t> layers) {
  std::vector<std::string> runs;
  for (size_t first = 0, last; first < layers.size(); first = last + 1) {
    last = first;
    while (last + 1 < layers.size() && layers[last + 1] == layers[last] + 1)
      ++last;
    std::string run = std::to_string(layers[first]);
    if (last != first)
      run += "-" + std::to_string(layers[last]);
    runs.push_back(run);
  }
  constexpr size_t longest = 8;
  if (runs.size() > longest) {
    std::string final = runs.back();
    runs.resize(longest - 2);
    runs.push_back("...");
    runs.push_back(final);
  }
  return llvm::join(runs, ", ");
}

/// No published model comes near. The module of so many layers still prints in
/// seconds.
constexpr int64_t mostLayers = 4096;

/// Turns --layers into layer numbers, all of them MoE layers.
static std::string chooseLayers(const Model &model, llvm::StringRef choice,
                                std::vector<int64_t> &chosen) {
  std::vector<int64_t> all;
  for (int64_t layer = 0; layer < model.layers && model.dense.empty(); ++layer)
    if (model.isMoELayer(layer))
      all.push_back(layer);
  if (all.empty())
    return "none of its " + std::to_string(model.layers) +
           " layers is a MoE layer" +
           (model.dense.empty() ? "" : ": " + model.dense);
  if (choice == "all") {
    if (all.size() > mostLayers)
      return "--layers=all is " + std::to_string(all.size()) +
             " layers, and one import has at most " +
             std::to_string(mostLayers) +
             "; name the layers, such as --layers=" +
             std::to_string(all.front());
    chosen = all;
    return {};
  }
  if (choice == "first") {
    chosen = {all.front()};
    return {};
  }

  auto [firstText, lastText] = choice.split('-');
  int64_t first, last;
  if (firstText.getAsInteger(10, first) || first < 0 ||
      (choice.contains('-') ? lastText.getAsInteger(10, last)
                            : (last = first, false)) ||
      last < first)
    return "--layers=" + choice.str() +
           " is neither a layer (3), a range (0-7) nor 'all'";
  if (last >= model.layers)
    return "there is no layer " +
           std::to_string(std::max(first, model.layers)) +
           ": the model has layers 0-" + std::to_string(model.layers - 1) +
           ", of which MoE: " + listLayers(all);
  if (last - first >= mostLayers)
    return "--layers=" + choice.str() + " is " +
           std::to_string(last - first + 1) +
           " layers, and one import has at most " + std::to_string(mostLayers);
  for (int64_t layer = first; layer <= last; ++layer) {
    if (!model.isMoELayer(layer))
      return "layer " + std::to_string(layer) +
             " is dense; the MoE layers are " + listLayers(all);
    chosen.push_back(layer);
  }
  return {};
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

/// The levels of a configuration that may hold the language model of a model
/// of several parts.
static constexpr llvm::StringLiteral languageModelKeys[] = {
    "text_config", "language_config", "llm_config", "thinker_config"};

/// Finds the level whose model type is known, and reads the model there. Types
/// that are not known are left in `tried`.
static std::unique_ptr<Model> readModelAt(Config config,
                                          const FamilyTable &families,
                                          std::string &modelType,
                                          std::vector<std::string> &tried) {
  std::string type = config.text("model_type");
  if (config.failed())
    return nullptr;
  if (auto family = families.find(type); family != families.end()) {
    modelType = type;
    return family->second(config, type);
  }
  tried.push_back("'" + printable(type) + "'");
  for (llvm::StringRef key : languageModelKeys)
    if (config.has(key))
      return readModelAt(config.nested(key), families, modelType, tried);
  return nullptr;
}

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
static std::vector<std::string> writeNotes(const ConfigLog &log,
                                           llvm::StringRef modelType,
                                           llvm::ArrayRef<std::string> tried,
                                           const ImportOptions &options) {
  std::vector<std::string> notes;
  if (!tried.empty())
    notes.push_back("model_type " + llvm::join(tried, ", which holds a ") +
                    ", which holds a '" + modelType.str() +
                    "', which is imported");
  if (!log.quantization.empty())
    notes.push_back("the weights of this checkpoint are quantised ('" +
                    printable(log.quantization) +
                    "'); the layers take weights of " + options.weightsType);
  if (!log.defaulted.empty())
    notes.push_back("not in the file, so as upstream has it: " +
                    listSome(log.defaulted));
  if (!log.unknown.empty())
    notes.push_back("not looked at: " + listSome(log.unknown));
  return notes;
}

/// Reads the model that the JSON text describes; null with `problem` set.
static std::unique_ptr<Model> readModel(llvm::StringRef json,
                                        const ImportOptions &options,
                                        std::string &modelType,
                                        std::vector<std::string> &notes,
                                        std::string &problem) {
  std::string supported =
      "; supported model types: " + llvm::join(getSupportedModelTypes(), ", ");
  std::optional<llvm::json::Value> value = parseConfigText(json, problem);
  if (!value)
    return nullptr;
  const llvm::json::Object *object = value->getAsObject();
  if (!object) {
    problem = "not a model configuration: the file must hold a JSON object "
              "with the key 'model_type'" +
              supported;
    return nullptr;
  }

  ConfigLog log;
  log.ignoreQuantization = options.ignoreQuantization;
  Config config(*object, log);
  std::vector<std::string> tried;
  std::unique_ptr<Model> model =
      readModelAt(config, makeFamilyTable(), modelType, tried);
  if (!config.failed() && !model)
    config.fail("model_type", "is " + llvm::join(tried, ", which holds a ") +
                                  ", which is not supported");
  if (!config.failed())
    config.checkUnread();
  problem = log.failure;
  if (!problem.empty()) {
    problem +=
        modelType.empty() ? supported : " (model_type '" + modelType + "')";
    return nullptr;
  }
  notes = writeNotes(log, modelType, tried, options);
  return model;
}

bool moe::parseWeightsType(mlir::MLIRContext &context, llvm::StringRef text,
                           WeightFormatAttrInterface &format,
                           std::string &error) {
  format = {};
  if (text == "f32" || text == "bf16")
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

mlir::OwningOpRef<mlir::ModuleOp>
moe::importConfig(mlir::MLIRContext &context, llvm::StringRef json,
                  llvm::StringRef fileName, const ImportOptions &options,
                  std::string &error, std::vector<std::string> *notes) {
  auto fail = [&](const std::string &problem) {
    error = fileName.str() + ": " + problem;
    return nullptr;
  };
  WeightFormatAttrInterface format;
  if (!parseWeightsType(context, options.weightsType, format, error))
    return nullptr;
  if (options.tokens < 0 || options.tokens > mostTokens)
    return fail("--tokens=" + std::to_string(options.tokens) +
                " is not a number of tokens; use 1 to " +
                std::to_string(mostTokens));

  std::string modelType, problem;
  std::vector<std::string> found;
  std::unique_ptr<Model> model =
      readModel(json, options, modelType, found, problem);
  if (!model)
    return fail(problem);
  if (options.experts && model->dense.empty())
    problem = keepExperts(*model, options.experts);
  std::vector<int64_t> layers;
  if (problem.empty())
    problem = chooseLayers(*model, options.layers, layers);
  if (!problem.empty())
    return fail(problem);

  // All layers are alike: one is written and read, the others are copies.
  std::string name = nameModel(fileName, modelType);
  LayerBuilder builder(*model, options, format);
  model->buildLayer(builder);
  if (!builder.getProblem().empty())
    return fail(builder.getProblem());
  std::string text = builder.finish(layers.front(), name);

  context.loadDialect<MoeDialect, mlir::arith::ArithDialect,
                      mlir::func::FuncDialect, mlir::linalg::LinalgDialect,
                      mlir::math::MathDialect, mlir::tensor::TensorDialect>();
  mlir::OwningOpRef<mlir::ModuleOp> module =
      mlir::parseSourceString<mlir::ModuleOp>(
          text, mlir::ParserConfig(&context), "imported " + fileName.str());
  if (!module)
    return fail("the layer that was written for it is not valid IR, which is "
                "a bug of moe-import");
  (*module)->setAttr("moe.model", mlir::StringAttr::get(&context, name));
  auto first = *module->getOps<mlir::func::FuncOp>().begin();
  for (int64_t layer : llvm::drop_begin(layers)) {
    mlir::func::FuncOp copy = first.clone();
    copy.setName(nameLayer(layer));
    copy->setAttr(
        "moe.layer",
        mlir::IntegerAttr::get(mlir::IntegerType::get(&context, 64), layer));
    module->push_back(copy);
  }
  if (notes)
    *notes = std::move(found);
  return module;
}
