//===- CheckpointUse.cpp - What functions leave of a checkpoint -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// By names alone.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Artifact/CheckpointUse.h"
#include "moe-mlir/Checkpoint/TensorExpression.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"

#include <set>

using namespace moe;

/// All up to a dot that both begin with.
static llvm::StringRef getCommonFolder(llvm::StringRef a, llvm::StringRef b) {
  size_t same = 0;
  while (same < a.size() && same < b.size() && a[same] == b[same])
    ++same;
  size_t dot = a.take_front(same).rfind('.');
  return dot == llvm::StringRef::npos ? "" : a.take_front(dot + 1);
}

/// Names of tensors of a layer that its experts and routers are made of.
static bool isOfExperts(llvm::StringRef name) {
  return name.contains("exp") || name.contains("ffn_gate_inp");
}

std::vector<std::string>
moe::findUnusedTensors(const Checkpoint &checkpoint,
                       const std::vector<const FunctionDesc *> &functions) {
  llvm::StringSet<> used;
  std::set<std::string> folders;
  for (const FunctionDesc *function : functions) {
    std::string folder;
    bool isFirst = true;
    for (const PackTensor &weight : function->getWeights()) {
      auto said = function->checkpoint.find(weight.name);
      if (said == function->checkpoint.end())
        continue;
      std::string error;
      std::optional<TensorExpression> expression =
          TensorExpression::parse(said->second, error);
      if (!expression)
        continue;
      llvm::StringRef name = expression->getName();
      name = name.take_front(name.find("{e}"));
      folder = getCommonFolder(isFirst ? name : folder, name).str();
      isFirst = false;
      int64_t experts = weight.shape.empty() ? 0 : weight.shape.front();
      experts = std::min<int64_t>(experts, checkpoint.getTensors().size());
      for (const std::string &each : expression->names(experts)) {
        used.insert(each);
        // What a weight in an order of activations is decoded from.
        if (llvm::StringRef stem = each; stem.consume_back(".qweight"))
          for (llvm::StringRef part : {".qzeros", ".scales", ".g_idx"})
            used.insert((stem + part).str());
      }
    }
    // Where weights share only the layer's folder, everything else of the layer
    // is in it, too.
    if (!folder.empty() && !llvm::isDigit(folder[folder.size() - 2]))
      folders.insert(folder);
  }
  std::vector<std::string> unused;
  llvm::ArrayRef<CheckpointTensor> tensors = checkpoint.getTensors();
  for (const std::string &folder : folders) {
    auto begin = llvm::lower_bound(
        tensors, folder,
        [](const CheckpointTensor &tensor, const std::string &name) {
          return tensor.name < name;
        });
    for (; begin != tensors.end() &&
           llvm::StringRef(begin->name).starts_with(folder);
         ++begin) {
      bool isOther = checkpoint.getKind() == Checkpoint::Kind::GGUF &&
                     !isOfExperts(begin->name);
      if (!isOther && used.insert(begin->name).second)
        unused.push_back(begin->name);
    }
  }
  return unused;
}
