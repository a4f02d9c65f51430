//===- Sources.cpp - Where a layer's weights are in a checkpoint *- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Sources.h"

#include "moe-mlir/Analysis/StoredWeights.h"
#include "moe-mlir/Checkpoint/TensorExpression.h"

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/STLExtras.h"

using namespace moe;
using namespace moe::importer;

/// How the weights are stored, said at whatever level.
static const llvm::json::Object *
findQuantization(const llvm::json::Object &config) {
  for (llvm::StringRef key : {"quantization_config", "compression_config"})
    if (const llvm::json::Object *found = config.getObject(key))
      return found;
  for (llvm::StringRef key : languageModelKeys)
    if (const llvm::json::Object *level = config.getObject(key))
      if (const llvm::json::Object *found = findQuantization(*level))
        return found;
  return nullptr;
}

WeightSources::WeightSources(const Checkpoint &checkpoint,
                             const FamilyFile &family, Variables &variables,
                             mlir::MLIRContext &context)
    : checkpoint(checkpoint), family(family), variables(variables),
      context(context) {
  quantization = findQuantization(checkpoint.getConfig());
}

const llvm::json::Value *
WeightSources::getQuantization(llvm::StringRef key) const {
  return quantization ? quantization->get(key) : nullptr;
}

//===----------------------------------------------------------------------===//
// Names
//===----------------------------------------------------------------------===//

std::vector<WeightSources::Candidate>
WeightSources::getCandidates(const WeightSpec &weight, std::string &error) {
  bool isGGUF = checkpoint.getKind() == Checkpoint::Kind::GGUF;
  const std::vector<std::string> &names =
      isGGUF ? weight.ggufNames : weight.names;
  const std::vector<std::string> &prefixes =
      isGGUF ? family.ggufPrefixes : family.prefixes;
  std::vector<Candidate> candidates;
  for (const std::string &alternative : names) {
    std::string text = variables.substitute(alternative, variables, error);
    auto [name, steps] = llvm::StringRef(text).split('|');
    name = name.trim();
    std::string all = steps.empty() ? "" : " | " + steps.trim().str();
    if (name.consume_front("/")) {
      candidates.push_back({name.str(), all});
      continue;
    }
    for (const std::string &prefix : prefixes)
      candidates.push_back(
          {variables.substitute(prefix, variables, error) + name.str(), all});
  }
  return candidates;
}

const CheckpointTensor *WeightSources::findFirst(llvm::StringRef name) const {
  std::string error;
  std::optional<TensorExpression> tensor = TensorExpression::parse(name, error);
  return tensor ? checkpoint.find(tensor->nameOf(0)) : nullptr;
}

/// The name of the module that a tensor is the weight of.
static llvm::StringRef getStem(llvm::StringRef name) {
  name.consume_back(".weight");
  return name;
}

bool WeightSources::isThere(const Candidate &candidate) const {
  std::string stem = getStem(candidate.name).str();
  return exists(candidate.name) || exists(stem + ".qweight") ||
         exists(stem + ".weight_packed");
}

bool WeightSources::has(const WeightSpec &weight) {
  std::string error;
  return llvm::any_of(
      getCandidates(weight, error),
      [&](const Candidate &candidate) { return isThere(candidate); });
}

/// As the elements of an argument are in memory.
static std::optional<DType> toDType(mlir::Type type) {
  if (mlir::isa<mlir::Float8E4M3FNType>(type))
    return DType::F8E4M3;
  if (type.isF32())
    return DType::F32;
  if (type.isBF16())
    return DType::BF16;
  if (type.isF16())
    return DType::F16;
  if (type.isInteger(8))
    return DType::I8;
  if (type.isInteger(32))
    return DType::I32;
  if (type.isInteger(64))
    return DType::I64;
  return std::nullopt;
}

bool WeightSources::check(llvm::StringRef expression,
                          mlir::RankedTensorType type,
                          std::string &error) const {
  std::optional<TensorExpression> parsed =
      TensorExpression::parse(expression, error);
  std::optional<DType> dtype = toDType(type.getElementType());
  return parsed && (!dtype || TensorReader::make(checkpoint, *parsed, *dtype,
                                                 type.getShape().vec(), error));
}

std::optional<StoredWeight>
WeightSources::find(const WeightSpec &weight, const std::vector<int64_t> &shape,
                    std::string &error) {
  std::vector<Candidate> candidates = getCandidates(weight, error);
  if (!error.empty())
    return std::nullopt;
  for (const Candidate &candidate : candidates)
    if (isThere(candidate))
      return describe(weight, candidate, shape, error);
  // Each spelling once, behind the first of the prefixes.
  bool isGGUF = checkpoint.getKind() == Checkpoint::Kind::GGUF;
  size_t step = std::max<size_t>(
      1, isGGUF ? family.ggufPrefixes.size() : family.prefixes.size());
  constexpr size_t most = 12;
  std::string tried;
  size_t shown = 0;
  for (size_t i = 0; i < candidates.size() && shown < most; i += step, ++shown)
    tried += (tried.empty() ? "" : ", ") + candidates[i].name;
  if (candidates.size() > shown)
    tried += " and others";
  error = "no tensor for '" + weight.name + "'" +
          (tried.empty() ? ": the family has no name for it in such a file"
                         : "; looked for " + tried);
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Formats
//===----------------------------------------------------------------------===//

static std::optional<StoredWeight> reject(std::string &error,
                                          const llvm::Twine &message) {
  if (error.empty())
    error = message.str();
  return std::nullopt;
}

static llvm::StringRef getElementType(DType dtype) {
  switch (dtype) {
  case DType::F32:
    return "f32";
  case DType::BF16:
    return "bf16";
  case DType::F16:
    return "f16";
  case DType::I64:
    return "i64";
  case DType::I32:
    return "i32";
  default:
    return "";
  }
}

bool importer::checkRows(WeightFormatAttrInterface format, int64_t k,
                         std::string &problem) {
  mlir::MLIRContext *context = format.getContext();
  mlir::ScopedDiagnosticHandler handler(context,
                                        [&](mlir::Diagnostic &diagnostic) {
                                          problem = diagnostic.str();
                                          return mlir::success();
                                        });
  auto emitError = [&] {
    return mlir::emitError(mlir::UnknownLoc::get(context));
  };
  return mlir::succeeded(format.verifyFormat(emitError, k));
}

std::optional<StoredWeight> WeightSources::inFormat(
    llvm::StringRef format, const std::vector<int64_t> &shape,
    llvm::ArrayRef<std::pair<llvm::StringRef, Candidate>> tensors,
    std::string &error) {
  StoredWeight stored;
  std::string problem;
  stored.format = parseWeightFormat(context, format, problem);
  if (!stored.format)
    return reject(error, "the format '" + format + "' " + problem);
  auto type =
      mlir::RankedTensorType::get(shape, mlir::Float32Type::get(&context));
  int64_t k = shape.back();
  if (!checkRows(stored.format, k, problem))
    return reject(error, "stored in " + format + ": " + problem);
  for (const StorageTensor &storage : stored.format.getStorage(k)) {
    const auto *found = llvm::find_if(tensors, [&](const auto &entry) {
      return entry.first == storage.name;
    });
    // A format of one tensor names it as it likes.
    const Candidate *candidate = tensors.size() == 1 ? &tensors.front().second
                                 : found != tensors.end() ? &found->second
                                                          : nullptr;
    const CheckpointTensor *first =
        candidate ? findFirst(candidate->name) : nullptr;
    if (!first)
      return reject(error,
                    "stored in " + format + ", of which '" +
                        (candidate ? candidate->name : storage.name.str()) +
                        "' is missing");
    llvm::ArrayRef<int64_t> wanted =
        getStorageType(storage, type, stored.format.getBlockSize(k)).getShape();
    std::vector<int64_t> has = first->getStoredShape();
    if (llvm::StringRef(candidate->name).contains("{e}"))
      has.insert(has.begin(), shape.front());
    std::string expression = candidate->name + candidate->steps;
    // Formats say where numbers are, not how dimensions are grouped.
    if (!candidate->steps.empty() || wanted != llvm::ArrayRef(has)) {
      expression += " | reshape(";
      for (size_t i = 0; i < wanted.size(); ++i)
        expression += (i ? ", " : "") + std::to_string(wanted[i]);
      expression += ")";
    }
    stored.expressions.push_back(expression);
  }
  return stored;
}

bool WeightSources::hasConsecutiveGroups(llvm::StringRef name,
                                         const std::vector<int64_t> &shape,
                                         int64_t group, std::string &error) {
  std::optional<TensorExpression> indices =
      TensorExpression::parse(name, error);
  if (!indices)
    return false;
  for (const std::string &each : indices->names(shape.front())) {
    const CheckpointTensor *tensor = checkpoint.find(each);
    HostTensor index;
    if (!tensor)
      continue;
    if (!checkpoint.view(*tensor, index, error))
      return false;
    for (int64_t k = 0; k < index.numElements(); ++k)
      if (index.get(k) != k / group)
        return false;
  }
  return true;
}

/// Four bits as AWQ, GPTQ and compressed-tensors store them.
std::optional<StoredWeight>
WeightSources::inInt4(llvm::StringRef stem, const std::vector<int64_t> &shape,
                      std::string &error) {
  auto make = [&](llvm::StringRef suffix) {
    return Candidate{(stem + suffix).str(), ""};
  };
  bool isPacked = exists((stem + ".weight_packed").str());
  Candidate codes = make(isPacked ? ".weight_packed" : ".qweight"),
            scales = make(isPacked ? ".weight_scale" : ".scales"),
            zeros = make(isPacked ? ".weight_zero_point" : ".qzeros");
  const CheckpointTensor *scaleTensor = findFirst(scales.name);
  if (!scaleTensor || !scaleTensor->dtype || scaleTensor->shape.size() != 2)
    return reject(error, "'" + codes.name + "' without a matrix '" +
                             scales.name + "'");
  int64_t k = shape.back();
  int64_t groups = scaleTensor->shape[isPacked ? 1 : 0];
  if (groups < 1 || k % groups != 0)
    return reject(error, "'" + scales.name + "' has " + llvm::Twine(groups) +
                             " groups for rows of " + llvm::Twine(k));
  const llvm::json::Value *method = getQuantization("quant_method");
  std::string order = isPacked ? "pack_quantized" : "";
  if (method && method->getAsString() && !isPacked)
    order = method->getAsString()->str();
  if (order != "pack_quantized" && order != "awq" && order != "gptq")
    return reject(error, "'" + codes.name +
                             "' is in four bits, and 'quantization_config' "
                             "says neither awq nor gptq");
  const llvm::json::Value *bits = getQuantization("bits");
  if (bits && bits->getAsInteger() != 4)
    return reject(error, "'" + codes.name + "' has other than 4 bits");
  if (isPacked && !hasConsecutiveGroups((stem + ".weight_g_idx").str(), shape,
                                        k / groups, error))
    return reject(error, "'" + codes.name +
                             "' has groups in an order of activations "
                             "('.weight_g_idx'), which cannot be read");
  const llvm::json::Value *version = getQuantization("checkpoint_format");
  bool isSecond = version && version->getAsString() == "gptq_v2";
  // In an order of activations the k of a group are apart, which no format
  // says: such weights are decoded when they are packed.
  if (order == "gptq" && !hasConsecutiveGroups((stem + ".g_idx").str(), shape,
                                               k / groups, error)) {
    StoredWeight decoded;
    decoded.elementType = "f32";
    decoded.expressions = {codes.name + " | gptq(" + (isSecond ? "0" : "1") +
                           ")"};
    return decoded;
  }
  if (order == "gptq" && isSecond)
    order = "gptq_v2";
  const llvm::json::Value *kernel = getQuantization("version");
  if (order == "awq" && kernel && kernel->getAsString() &&
      kernel->getAsString()->lower() != "gemm")
    return reject(error, "AWQ in the order '" + kernel->getAsString()->str() +
                             "'; only 'gemm' is known");
  bool hasZeros = exists(zeros.name);
  std::string format =
      "int4<group = " + std::to_string(k / groups) +
      ", scales = " + getElementType(*scaleTensor->dtype).str() +
      (hasZeros ? ", zeros = true" : "") + ", order = " + order + ">";
  return inFormat(format, shape,
                  {{"q", codes}, {"scales", scales}, {"zeros", zeros}}, error);
}

std::optional<StoredWeight>
WeightSources::describe(const WeightSpec &weight, const Candidate &candidate,
                        const std::vector<int64_t> &shape, std::string &error) {
  std::string stem = getStem(candidate.name).str();
  const CheckpointTensor *first = findFirst(candidate.name);
  if (llvm::StringRef name = candidate.name; name.consume_back("_blocks"))
    return inFormat("mxfp4", shape,
                    {{"blocks", candidate},
                     {"scales", {(name + "_scales").str(), candidate.steps}}},
                    error);
  if (!first) {
    if (!candidate.steps.empty())
      return reject(error, "'" + stem +
                               "' is in four bits, and the family takes it "
                               "apart ('" +
                               llvm::StringRef(candidate.steps).drop_front(3) +
                               "'), which it cannot be");
    return inInt4(stem, shape, error);
  }
  if (first->isBlocks())
    return inFormat(first->type, shape, {{"blocks", candidate}}, error);

  auto withSteps = [&](const llvm::Twine &name) {
    return Candidate{name.str(), candidate.steps};
  };
  if (first->type == "F8_E4M3") {
    for (llvm::StringRef suffix : {"_scale_inv", "_scale"}) {
      Candidate scales = withSteps(candidate.name + suffix);
      const CheckpointTensor *scale = findFirst(scales.name);
      if (!scale)
        continue;
      if (!candidate.steps.empty())
        return reject(error, "'" + candidate.name +
                                 "' is in FP8 with scales of tiles, and the "
                                 "family takes it apart");
      bool exponents = scale->dtype == DType::U8;
      int64_t rows = 128, columns = 128;
      const llvm::json::Value *block = getQuantization("weight_block_size");
      const llvm::json::Array *sizes = block ? block->getAsArray() : nullptr;
      if (sizes && sizes->size() == 2 && (*sizes)[0].getAsInteger() &&
          (*sizes)[1].getAsInteger()) {
        rows = *(*sizes)[0].getAsInteger();
        columns = *(*sizes)[1].getAsInteger();
      }
      bool isOne = !sizes && scale->shape.size() < 2;
      if (isOne && (shape[shape.size() - 2] > rows || shape.back() > columns))
        return reject(error, "'" + scales.name + "' is " + scale->describe() +
                                 "; one scale for a whole matrix cannot be "
                                 "read");
      // A scale a row.
      if (scale->shape.size() == 2 && scale->shape[1] == 1 && !sizes) {
        rows = 1;
        columns = 0;
      }
      std::string format = "fp8<rows = " + std::to_string(rows) +
                           ", columns = " + std::to_string(columns) +
                           (exponents ? ", exponents = true>" : ">");
      return inFormat(format, shape,
                      {{"values", candidate}, {"scales", scales}}, error);
    }
    return reject(error, "'" + candidate.name + "' is F8_E4M3 without '" +
                             candidate.name + "_scale_inv'");
  }
  // Two E2M1 in a byte, with an exponent for 32.
  Candidate exponents = withSteps(stem + ".scale");
  if ((first->type == "I8" || first->type == "U8") && exists(exponents.name))
    return inFormat("mxfp4", shape,
                    {{"blocks", candidate}, {"scales", exponents}}, error);

  if (!first->dtype || getElementType(*first->dtype).empty())
    return reject(error, "'" + candidate.name + "' is " + first->describe() +
                             ", which weights are not read from");
  // Matrices in f16 are a format: kernels widen them. Rows that are not of
  // whole blocks are widened when they are packed.
  std::string problem;
  if (weight.type == "stored" && *first->dtype == DType::F16)
    if (std::optional<StoredWeight> stored =
            inFormat("f16", shape, {{"values", candidate}}, problem))
      return stored;
  StoredWeight stored;
  stored.elementType =
      *first->dtype == DType::F16 ? "f32" : getElementType(*first->dtype).str();
  stored.expressions.push_back(candidate.name + candidate.steps);
  return stored;
}
