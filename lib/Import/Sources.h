//===- Sources.h - Where a layer's weights are in a checkpoint --*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A family lists what a weight may be called; the checkpoint at hand has one of
// these, as plain elements or in one of the formats that weights are stored in,
// which decides the type of the argument.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_IMPORT_SOURCES_H
#define MOE_MLIR_LIB_IMPORT_SOURCES_H

#include "FamilyFile.h"
#include "Variables.h"

#include "moe-mlir/Checkpoint/Checkpoint.h"
#include "moe/Moe.h"

namespace moe::importer {

/// How a weight is stored.
struct StoredWeight {
  /// The type of plain elements as IR has it, such as bf16.
  std::string elementType;
  /// Null for plain elements.
  WeightFormatAttrInterface format;
  /// A tensor expression for each of its tensors, in the order of the format.
  std::vector<std::string> expressions;
};

class WeightSources {
public:
  WeightSources(const Checkpoint &checkpoint, const FamilyFile &family,
                Variables &variables, mlir::MLIRContext &context);

  /// The weight of the layer that `variables` are set to. Nothing with `error`
  /// set when the checkpoint has none, or has it in a way that IR cannot say.
  std::optional<StoredWeight> find(const WeightSpec &weight,
                                   const std::vector<int64_t> &shape,
                                   std::string &error);
  /// Whether an argument of `type` can be made by `expression`; `error` else.
  bool check(llvm::StringRef expression, mlir::RankedTensorType type,
             std::string &error) const;
  /// Whether find() would find something.
  bool has(const WeightSpec &weight);

private:
  struct Candidate {
    /// The tensor's name, with `{e}`, and what is done with it.
    std::string name, steps;
  };
  std::vector<Candidate> getCandidates(const WeightSpec &weight,
                                       std::string &error);
  bool exists(llvm::StringRef name) const { return findFirst(name); }
  /// The tensor of the first expert.
  const CheckpointTensor *findFirst(llvm::StringRef name) const;
  bool isThere(const Candidate &candidate) const;
  std::optional<StoredWeight> describe(const WeightSpec &weight,
                                       const Candidate &candidate,
                                       const std::vector<int64_t> &shape,
                                       std::string &error);
  /// The tensors of a format, by the names that it gives them.
  std::optional<StoredWeight>
  inFormat(llvm::StringRef format, const std::vector<int64_t> &shape,
           llvm::ArrayRef<std::pair<llvm::StringRef, Candidate>> tensors,
           std::string &error);
  std::optional<StoredWeight> inInt4(llvm::StringRef stem,
                                     const std::vector<int64_t> &shape,
                                     std::string &error);
  /// Whether the group of each k, if `name` says it, is that by counting.
  bool hasConsecutiveGroups(llvm::StringRef name,
                            const std::vector<int64_t> &shape, int64_t group,
                            std::string &error);
  const llvm::json::Value *getQuantization(llvm::StringRef key) const;

  const Checkpoint &checkpoint;
  const FamilyFile &family;
  Variables &variables;
  mlir::MLIRContext &context;
  /// `quantization_config`, at whatever level it is.
  const llvm::json::Object *quantization = nullptr;
};

/// Whether rows of `k` weights can be stored in `format`; `problem` if not.
bool checkRows(WeightFormatAttrInterface format, int64_t k,
               std::string &problem);

} // namespace moe::importer

#endif // MOE_MLIR_LIB_IMPORT_SOURCES_H
