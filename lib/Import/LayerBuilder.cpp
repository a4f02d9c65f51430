//===- LayerBuilder.cpp - Writes the IR of one MoE layer --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The score chain is ordinary linalg, arith and math IR that spells out the
// model's own formula: simplifying it is the work of passes.
//
//===----------------------------------------------------------------------===//

#include "LayerBuilder.h"

#include "moe-mlir/Analysis/StoredWeights.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <cstdlib>

using namespace moe::importer;

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

/// The shortest decimal that reads back as the same double, in MLIR's form,
/// which wants a point.
static std::string floatLiteral(double value) {
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

std::string moe::importer::topK(int64_t slots) {
  return "#moe.top_k<" + std::to_string(slots) + ">";
}

std::string moe::importer::groupTopK(const Model &model,
                                     llvm::StringRef reduce) {
  // Keeping every group masks nothing.
  if (model.keptGroups >= model.groups)
    return topK(model.slots);
  return "#moe.group_top_k<" + std::to_string(model.slots) +
         ", groups = " + std::to_string(model.groups) +
         ", keep = " + std::to_string(model.keptGroups) +
         ", reduce = " + reduce.str() + ">";
}

std::string moe::importer::normalizeSum(double eps) {
  return "#moe.normalize<sum, eps = " + floatLiteral(eps) + ">";
}

std::string moe::importer::normalizeClamp(double minimum) {
  return "#moe.normalize<clamp, min = " + floatLiteral(minimum) + ">";
}

std::string moe::importer::normalizePNorm(double p) {
  return "#moe.normalize<p_norm, p = " + floatLiteral(p) + ">";
}

std::string moe::importer::scale(double factor) {
  return "#moe.scale<" + floatLiteral(factor) + ">";
}

std::string moe::importer::sparseMixer(double eps) {
  return "#moe.sparse_mixer<eps = " + floatLiteral(eps) + ">";
}

std::string moe::importer::clampedSwiGLU(double alpha, double limit,
                                         double offset) {
  return "#moe.clamped_swiglu<alpha = " + floatLiteral(alpha) +
         ", limit = " + floatLiteral(limit) +
         ", offset = " + floatLiteral(offset) + ">";
}

//===----------------------------------------------------------------------===//
// Types, names and arguments
//===----------------------------------------------------------------------===//

LayerBuilder::LayerBuilder(const Model &model, const ImportOptions &options,
                           WeightFormatAttrInterface format)
    : model(model), options(options), format(format) {
  x = {fresh("x"), rowsType(model.hidden)};
  zero = define("zero", "f32", "arith.constant 0.0 : f32");
  if (options.tokens)
    return;
  define("c0", "index", "arith.constant 0 : index");
  numTokens = define("T", "index", "tensor.dim %x, %c0 : " + x.type).name;
}

std::string LayerBuilder::fresh(llvm::StringRef stem) {
  int count = taken[stem.str()]++;
  std::string name = "%" + stem.str();
  return count ? name + "_" + std::to_string(count) : name;
}

/// A location that keeps the name of a value when the module is printed.
static std::string nameLoc(llvm::StringRef name) {
  return " loc(\"" + name.drop_front().str() + "\")";
}

Value LayerBuilder::define(llvm::StringRef stem, const std::string &type,
                           const std::string &op) {
  Value value{fresh(stem), type};
  body += "  " + value.name + " = " + op + nameLoc(value.name) + "\n";
  return value;
}

std::string LayerBuilder::tensorType(llvm::ArrayRef<int64_t> shape,
                                     llvm::StringRef elementType) const {
  std::string type = "tensor<";
  for (int64_t size : shape)
    type += std::to_string(size) + "x";
  return type + elementType.str() + ">";
}

std::string LayerBuilder::rowsType(int64_t width) const {
  std::string rows = options.tokens ? std::to_string(options.tokens) : "?";
  return "tensor<" + rows + "x" + std::to_string(width) + "xf32>";
}

Value LayerBuilder::argument(llvm::StringRef name,
                             llvm::ArrayRef<int64_t> shape,
                             llvm::StringRef elementType) {
  std::string stem = name.str();
  std::replace(stem.begin(), stem.end(), '.', '_');
  Value value{fresh(stem), tensorType(shape, elementType)};
  arguments.emplace_back(name.str(), value);
  return value;
}

Value LayerBuilder::expertArgument(llvm::StringRef name,
                                   llvm::ArrayRef<int64_t> shape, bool isBias) {
  // Biases are small and added to f32 accumulators: they stay f32.
  if (isBias)
    return argument(name, shape, "f32");
  return format ? storedWeight(name, shape)
                : argument(name, shape, options.weightsType);
}

template <typename T> static std::string print(T value) {
  std::string text;
  llvm::raw_string_ostream(text) << value;
  return text;
}

Value LayerBuilder::storedWeight(llvm::StringRef name,
                                 llvm::ArrayRef<int64_t> shape) {
  mlir::MLIRContext *context = format.getContext();
  int64_t k = shape.back();
  mlir::ScopedDiagnosticHandler handler(
      context, [&](mlir::Diagnostic &diagnostic) {
        if (problem.empty())
          problem = "'" + name.str() + "': " + diagnostic.str();
        return mlir::success();
      });
  auto type =
      mlir::RankedTensorType::get(shape, mlir::Float32Type::get(context));
  auto emitError = [&] {
    return mlir::emitError(mlir::UnknownLoc::get(context));
  };
  if (mlir::failed(format.verifyFormat(emitError, k)))
    return argument(name, shape, "f32");
  llvm::SmallVector<StorageTensor> storage = format.getStorage(k);
  std::string names, types;
  for (const StorageTensor &tensor : storage) {
    mlir::RankedTensorType stored =
        getStorageType(tensor, type, format.getBlockSize(k));
    std::string own = nameStorage(name, tensor, storage.size());
    Value value =
        argument(own, stored.getShape(), print(stored.getElementType()));
    names += (names.empty() ? "" : ", ") + value.name;
    types += (types.empty() ? "" : ", ") + value.type;
  }
  llvm::StringRef stem = name.rsplit('.').second;
  return define(stem, print(type),
                "moe.dequantize " + print(mlir::Attribute(format)) + " (" +
                    names + " : " + types + ") : " + print(type));
}

Value LayerBuilder::empty(const std::string &type) {
  return define("empty", type, "tensor.empty(" + numTokens + ") : " + type);
}

//===----------------------------------------------------------------------===//
// Scores
//===----------------------------------------------------------------------===//

Value LayerBuilder::matmul(llvm::StringRef stem, const Value &rows,
                           const Value &weight, int64_t width) {
  Value to = empty(rowsType(width));
  Value zeros = define("zeros", to.type,
                       "linalg.fill ins(" + zero.name + " : f32) outs(" +
                           to.name + " : " + to.type + ") -> " + to.type);
  return define(stem, to.type,
                "linalg.matmul\n"
                "      indexing_maps = [affine_map<(m, n, k) -> (m, k)>,\n"
                "                       affine_map<(m, n, k) -> (n, k)>,\n"
                "                       affine_map<(m, n, k) -> (m, n)>]\n"
                "      ins(" +
                    rows.name + ", " + weight.name + " : " + rows.type + ", " +
                    weight.type + ") outs(" + zeros.name + " : " + to.type +
                    ") -> " + to.type);
}

/// An elementwise linalg.generic over rows. `ins` are operands and their maps;
/// `code` computes %r from %a, %b, ...
Value LayerBuilder::elementwise(
    llvm::StringRef stem, const std::string &type,
    llvm::ArrayRef<std::pair<Value, std::string>> ins, llvm::StringRef code) {
  Value to = empty(type);
  std::string maps, names, types, blockArguments;
  char letter = 'a';
  for (const auto &[value, map] : ins) {
    maps += "affine_map<(t, e) -> (" + map + ")>, ";
    names += (names.empty() ? "" : ", ") + value.name;
    types += (types.empty() ? "" : ", ") + value.type;
    blockArguments += std::string("%") + letter++ + ": f32, ";
  }
  return define(stem, type,
                "linalg.generic {indexing_maps = [" + maps +
                    "affine_map<(t, e) -> (t, e)>],\n"
                    "      iterator_types = [\"parallel\", \"parallel\"]}\n"
                    "      ins(" +
                    names + " : " + types + ") outs(" + to.name + " : " + type +
                    ") {\n"
                    "  ^bb0(" +
                    blockArguments + "%init: f32):\n" + code.str() +
                    "    linalg.yield %r : f32\n"
                    "  } -> " +
                    type);
}

Value LayerBuilder::logits(bool bias) {
  Value weight =
      argument("router.weight", {model.experts, model.hidden}, "f32");
  Value z = matmul("logits", x, weight, model.experts);
  if (!bias)
    return z;
  Value b = argument("router.bias", {model.experts}, "f32");
  return elementwise("biased", z.type, {{z, "t, e"}, {b, "e"}},
                     "    %r = arith.addf %a, %b : f32\n");
}

Value LayerBuilder::softmax(const Value &scores) {
  Value to = empty(scores.type);
  return define("probabilities", to.type,
                "linalg.softmax dimension(1) ins(" + scores.name + " : " +
                    scores.type + ") outs(" + to.name + " : " + to.type +
                    ") -> " + to.type);
}

Value LayerBuilder::sigmoid(const Value &scores) {
  // One constant serves the whole function: its body is a single block.
  if (one.name.empty())
    one = define("one", "f32", "arith.constant 1.0 : f32");
  return elementwise("sigmoid", scores.type, {{scores, "t, e"}},
                     "    %n = arith.negf %a : f32\n"
                     "    %e = math.exp %n : f32\n"
                     "    %d = arith.addf %e, " +
                         one.name +
                         " : f32\n"
                         "    %r = arith.divf " +
                         one.name + ", %d : f32\n");
}

Value LayerBuilder::addCorrectionBias(const Value &scores) {
  Value bias = argument("router.correction_bias", {model.experts}, "f32");
  return elementwise("corrected", scores.type, {{scores, "t, e"}, {bias, "e"}},
                     "    %r = arith.addf %a, %b : f32\n");
}

//===----------------------------------------------------------------------===//
// Routing
//===----------------------------------------------------------------------===//

Value LayerBuilder::route(const std::string &policy, const Value &select,
                          const Value &weigh,
                          llvm::ArrayRef<std::string> weighing) {
  std::string type = "!moe.routing<" + std::to_string(model.experts) + " x " +
                     std::to_string(model.slots) + ">";
  std::string values, steps;
  if (!weigh.name.empty())
    values = " weigh(" + weigh.name + ")";
  if (!weighing.empty())
    steps = " weighing [" + llvm::join(weighing, ", ") + "]";
  return define("routing", type,
                "moe.router " + policy + " select(" + select.name + ")" +
                    values + steps + " : " + select.type + " -> " + type);
}

Value LayerBuilder::limit(const Value &all, int64_t capacity) {
  return define("kept", all.type,
                "moe.routing.limit " + all.name + " capacity " +
                    std::to_string(capacity) + " : " + all.type);
}

Value LayerBuilder::limitByFactor(const Value &all, double factor) {
  return define("kept", all.type,
                "moe.routing.limit " + all.name + " factor " +
                    floatLiteral(factor) + " : " + all.type);
}

Value LayerBuilder::reweigh(const Value &kept,
                            llvm::ArrayRef<std::string> weighing) {
  return define("reweighed", kept.type,
                "moe.routing.reweigh " + kept.name + " weighing [" +
                    llvm::join(weighing, ", ") + "] : " + kept.type);
}

//===----------------------------------------------------------------------===//
// Experts
//===----------------------------------------------------------------------===//

namespace {
/// The operands of a moe.ffn in printed order.
struct Weight {
  llvm::StringLiteral keyword;
  llvm::StringLiteral suffix;
  std::vector<int64_t> shape;
  bool isBias;
};
} // namespace

static std::vector<Weight> listWeights(const FFN &ffn, int64_t hidden) {
  int64_t inner = ffn.intermediate;
  std::vector<Weight> weights;
  if (ffn.gated)
    weights.push_back({"gate", "gate_proj", {inner, hidden}, false});
  weights.push_back({"up", "up_proj", {inner, hidden}, false});
  weights.push_back({"down", "down_proj", {hidden, inner}, false});
  if (!ffn.bias)
    return weights;
  if (ffn.gated)
    weights.push_back({"gate_bias", "gate_proj_bias", {inner}, true});
  weights.push_back({"up_bias", "up_proj_bias", {inner}, true});
  weights.push_back({"down_bias", "down_proj_bias", {hidden}, true});
  return weights;
}

/// `moe.ffn` on `rows` with one operand for each weight.
static std::string writeFFN(const Value &rows, const FFN &ffn,
                            llvm::ArrayRef<Weight> weights,
                            llvm::ArrayRef<Value> operands) {
  std::string text = "moe.ffn " + rows.name;
  std::string types = rows.type;
  for (auto [weight, operand] : llvm::zip_equal(weights, operands)) {
    text += " " + weight.keyword.str() + "(" + operand.name + ")";
    types += ", " + operand.type;
  }
  return text + " activation(" + ffn.activation + ") : (" + types + ") -> " +
         rows.type;
}

void LayerBuilder::experts(const Value &by, const FFN &ffn, bool weightInput) {
  routing = by;
  unweighted = weightInput;
  // How many assignments there are is known at run time only, even for a fixed
  // number of tokens.
  std::string type = "tensor<?x" + std::to_string(model.hidden) + "xf32>";
  Value rows = define("rows", type,
                      "moe.dispatch " + x.name + " by " + by.name +
                          (weightInput ? " weighted" : "") + " : " + x.type +
                          ", " + by.type + " -> " + type);

  std::vector<Weight> weights = listWeights(ffn, model.hidden);
  Value own{"%own", type};
  std::vector<std::string> names, types,
      blockArguments = {own.name + ": " + own.type + nameLoc(own.name)};
  std::vector<Value> slices;
  for (const Weight &weight : weights) {
    llvm::StringRef elementType =
        weight.isBias || format ? "f32" : llvm::StringRef(options.weightsType);
    std::vector<int64_t> shape = weight.shape;
    shape.insert(shape.begin(), model.experts);
    Value all =
        expertArgument("experts." + weight.suffix.str(), shape, weight.isBias);
    names.push_back(all.name);
    types.push_back(all.type);
    Value slice{"%" + weight.keyword.str(),
                tensorType(weight.shape, elementType)};
    slices.push_back(slice);
    blockArguments.push_back(slice.name + ": " + slice.type +
                             nameLoc(slice.name));
  }

  expertRows = define(
      "outputs", type,
      "moe.expert " + rows.name + " by " + by.name + " : (" + rows.type + ", " +
          by.type + ") -> " + type + "\n    experts 0 to " +
          std::to_string(model.experts) + " weights(" +
          llvm::join(names, ", ") + " : " + llvm::join(types, ", ") +
          ") {\n    ^bb0(" + llvm::join(blockArguments, ", ") +
          "):\n      %ffn = " + writeFFN(own, ffn, weights, slices) +
          nameLoc("%ffn") + "\n      moe.yield %ffn : " + own.type + "\n    }");
}

void LayerBuilder::shared(const FFN &ffn, bool sigmoidGate) {
  std::vector<Weight> weights = listWeights(ffn, model.hidden);
  std::vector<Value> operands;
  for (const Weight &weight : weights)
    operands.push_back(expertArgument("shared." + weight.suffix.str(),
                                      weight.shape, weight.isBias));
  sharedRows = define("shared", x.type, writeFFN(x, ffn, weights, operands));
  if (!sigmoidGate)
    return;

  // One number a token, applied to the whole row.
  Value weight = argument("shared.gate", {1, model.hidden}, "f32");
  Value gate = sigmoid(matmul("shared_logit", x, weight, 1));
  sharedRows =
      elementwise("gated", x.type, {{sharedRows, "t, e"}, {gate, "t, 0"}},
                  "    %r = arith.mulf %a, %b : f32\n");
}

//===----------------------------------------------------------------------===//
// The function
//===----------------------------------------------------------------------===//

std::string moe::importer::nameLayer(int64_t layer) {
  return "layer_" + std::to_string(layer);
}

std::string LayerBuilder::finish(int64_t layer, llvm::StringRef modelName) {
  std::string init;
  if (!sharedRows.name.empty())
    init = " init(" + sharedRows.name + " : " + sharedRows.type + ")";
  Value y = define("y", x.type,
                   "moe.combine " + expertRows.name + " by " + routing.name +
                       (unweighted ? " unweighted" : "") + init + " : " +
                       expertRows.type + ", " + routing.type + " -> " + x.type);
  body += "  return " + y.name + " : " + y.type + "\n";

  std::string dims = options.tokens ? "" : ", moe.dims = [\"T\"]";
  std::string text = "func.func @" + nameLayer(layer) + "(" + x.name + ": " +
                     x.type + " {moe.name = \"x\"" + dims + "}" +
                     nameLoc(x.name);
  for (const auto &[name, value] : arguments)
    text += ",\n    " + value.name + ": " + value.type + " {moe.name = \"" +
            name + "\"}" + nameLoc(value.name);
  std::string escaped;
  llvm::raw_string_ostream stream(escaped);
  llvm::printEscapedString(modelName, stream);
  return text + ")\n    -> (" + x.type + " {moe.name = \"y\"" + dims +
         "})\n    attributes {moe.layer = " + std::to_string(layer) +
         " : i64, moe.model = \"" + escaped + "\"} {\n" + body + "}\n";
}
