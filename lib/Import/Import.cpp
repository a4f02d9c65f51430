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
                      llvm::StringRef intermediateKey) {
  layers = config.integer("num_hidden_layers");
  hidden = config.integer("hidden_size");
  intermediate = config.integer(intermediateKey);
  experts = config.integer(expertsKey);
  slots = config.integer("num_experts_per_tok");
  activation = config.activation("hidden_act", "silu");
  if (slots > experts)
    config.fail("num_experts_per_tok",
                "is " + llvm::Twine(slots) + ", more than the " +
                    llvm::Twine(experts) + " experts of '" + expertsKey + "'");
}

//===----------------------------------------------------------------------===//
// Checks
//===----------------------------------------------------------------------===//

/// The JSON parser recurses; a hostile file must not reach the end of the
/// stack.
static bool isNestedTooDeeply(llvm::StringRef json) {
  constexpr int deepest = 200;
  int depth = 0;
  bool inString = false;
  for (size_t i = 0; i < json.size(); ++i) {
    char c = json[i];
    if (inString) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        inString = false;
    } else if (c == '"') {
      inString = true;
    } else if (c == '[' || c == '{') {
      if (++depth > deepest)
        return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

/// Empty when a router can choose among these groups, else why not.
static std::string checkGroups(const Model &model) {
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

/// Turns --layers into layer numbers, all of them MoE layers.
static std::string chooseLayers(const Model &model, llvm::StringRef choice,
                                std::vector<int64_t> &chosen) {
  std::vector<int64_t> all;
  for (int64_t layer = 0; layer < model.layers; ++layer)
    if (model.isMoELayer(layer))
      all.push_back(layer);
  if (all.empty())
    return "none of its " + std::to_string(model.layers) +
           " layers is a MoE layer";
  if (choice == "all") {
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
  for (int64_t layer = first; layer <= last; ++layer) {
    if (!model.isMoELayer(layer))
      return "layer " + std::to_string(layer) +
             " is dense; the MoE layers are " + listLayers(all);
    chosen.push_back(layer);
  }
  return {};
}

/// Many files are called config.json: their folder then names the model.
static std::string nameModel(llvm::StringRef fileName,
                             llvm::StringRef modelType) {
  llvm::StringRef stem = llvm::sys::path::stem(fileName);
  if (stem == "config")
    stem = llvm::sys::path::filename(llvm::sys::path::parent_path(fileName));
  return stem.empty() || stem == "-" || stem == "." ? modelType.str()
                                                    : stem.str();
}

//===----------------------------------------------------------------------===//
// The import
//===----------------------------------------------------------------------===//

/// Reads the model that the JSON text describes; null with `problem` set.
static std::unique_ptr<Model>
readModel(llvm::StringRef json, std::string &modelType, std::string &problem) {
  std::string supported =
      "; supported model types: " + llvm::join(getSupportedModelTypes(), ", ");
  if (isNestedTooDeeply(json)) {
    problem = "not a model configuration: nested too deeply";
    return nullptr;
  }
  llvm::Expected<llvm::json::Value> value = llvm::json::parse(json);
  if (!value) {
    problem = "not valid JSON: " + llvm::toString(value.takeError());
    return nullptr;
  }
  const llvm::json::Object *object = value->getAsObject();
  if (!object) {
    problem = "not a model configuration: the file must hold a JSON object "
              "with the key 'model_type'" +
              supported;
    return nullptr;
  }

  Config config(*object, problem);
  modelType = config.text("model_type");
  FamilyTable families = makeFamilyTable();
  auto family = families.find(modelType);
  if (!config.failed() && family == families.end())
    config.fail("model_type", "is '" + modelType + "', which is not supported");
  std::unique_ptr<Model> model;
  if (!config.failed())
    model = family->second(config, modelType);
  if (!config.failed()) {
    std::string bad = checkGroups(*model);
    if (!bad.empty())
      config.fail("n_group", "does not fit: " + bad);
  }
  if (config.failed()) {
    if (family != families.end())
      problem += " (model_type '" + modelType + "')";
    problem += supported;
    return nullptr;
  }
  return model;
}

mlir::OwningOpRef<mlir::ModuleOp>
moe::importConfig(mlir::MLIRContext &context, llvm::StringRef json,
                  llvm::StringRef fileName, const ImportOptions &options,
                  std::string &error) {
  auto fail = [&](const std::string &problem) {
    error = fileName.str() + ": " + problem;
    return nullptr;
  };
  if (options.weightsType != "f32" && options.weightsType != "bf16")
    return fail("--weights-type=" + options.weightsType +
                " is not supported; use f32 or bf16");
  if (options.tokens < 0)
    return fail("--tokens=" + std::to_string(options.tokens) +
                " is not a number of tokens; use 1 or more");

  std::string modelType, problem;
  std::unique_ptr<Model> model = readModel(json, modelType, problem);
  if (!model)
    return fail(problem);
  if (options.experts)
    problem = keepExperts(*model, options.experts);
  std::vector<int64_t> layers;
  if (problem.empty())
    problem = chooseLayers(*model, options.layers, layers);
  if (!problem.empty())
    return fail(problem);

  std::string name = nameModel(fileName, modelType);
  std::string text;
  for (int64_t layer : layers) {
    LayerBuilder builder(*model, options);
    model->buildLayer(builder);
    text += builder.finish(layer, name);
  }

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
  return module;
}
