//===- Weights.cpp - Which tensors of a model are weights ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Weights.h"
#include "moe-mlir/Raise/Onnx.h"
#include "moe-mlir/Support/TensorIO.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringSet.h"

using namespace moe;
using namespace moe::onnx;

/// Whether `tensor` is large enough for an argument.
static bool isLarge(const Tensor &tensor, bool isStart) {
  if (!tensor.type->dtype || tensor.shape.empty())
    return false;
  // What has as many elements or fewer are numbers of the model's text: the two
  // values of OneHot, the scale of an image, sizes, permutations, tables.
  int64_t text = 4096;
  if (isFloat(*tensor.type->dtype) && !isStart)
    text = 2;
  else if (tensor.type->bytes == 1 && tensor.type->type != ElementType::Bool)
    text = 8;
  return tensor.numElements() > text;
}

const Tensor *moe::onnx::getConstant(const Node &node) {
  if (node.op != "Constant" || !node.domain.empty() ||
      node.outputs.size() != 1 || node.attributes.size() != 1 ||
      node.attributes[0].name != "value" || !node.attributes[0].tensor)
    return nullptr;
  return &*node.attributes[0].tensor;
}

std::vector<Weight> moe::onnx::findWeights(const Model &model) {
  llvm::StringSet<> used, starts;
  for (const Node &node : model.nodes) {
    for (const std::string &input : node.inputs)
      used.insert(input);
    // What is scattered into: zeros, and no weights.
    if (llvm::StringRef(node.op).starts_with("Scatter") && !node.inputs.empty())
      starts.insert(node.inputs[0]);
  }
  for (const ValueInfo &output : model.outputs)
    used.insert(output.name);
  std::vector<Weight> weights;
  for (const Tensor &tensor : model.initializers)
    if (used.contains(tensor.name) &&
        isLarge(tensor, starts.contains(tensor.name)))
      weights.push_back({tensor.name, &tensor});
  for (const Node &node : model.nodes)
    if (const Tensor *tensor = getConstant(node);
        tensor && used.contains(node.outputs[0]) &&
        isLarge(*tensor, starts.contains(node.outputs[0])))
      weights.push_back({node.outputs[0], tensor});
  return weights;
}

bool OnnxModel::hasWeights() const { return !findWeights(*model).empty(); }

bool OnnxModel::writeWeights(OutputSet &outputs, const std::string &path,
                             std::string &error) const {
  std::vector<Weight> weights = findWeights(*model);
  // Those of wider elements first, so that all are aligned.
  llvm::stable_sort(weights, [](const Weight &a, const Weight &b) {
    return a.tensor->type->bytes > b.tensor->type->bytes;
  });
  std::vector<SafetensorsWriter::Entry> entries;
  for (const Weight &weight : weights)
    entries.push_back(
        {weight.name, *weight.tensor->type->dtype, weight.tensor->shape});
  SafetensorsWriter writer;
  if (!writer.open(outputs, path, std::move(entries), error))
    return false;
  constexpr size_t piece = 16 << 20;
  for (const Weight &weight : weights) {
    llvm::StringRef bytes = weight.tensor->bytes;
    for (size_t at = 0; at < bytes.size(); at += piece) {
      llvm::StringRef part = bytes.substr(at, piece);
      if (!writer.append(part.data(), part.size(), error))
        return false;
      forgetRead(part.data(), part.size());
    }
  }
  return writer.close(error);
}
