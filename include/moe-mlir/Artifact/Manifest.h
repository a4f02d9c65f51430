//===- Manifest.h - What an artifact contains ------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The .json file beside an object: its functions, their sizes, arguments and
// results, and how weights are packed. For tools that call functions they were
// not compiled against; C programs use the header instead.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_ARTIFACT_MANIFEST_H
#define MOE_MLIR_ARTIFACT_MANIFEST_H

#include "moe-mlir/Artifact/Packing.h"
#include "moe-mlir/Runtime/moe_variant.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace moe {

/// A dimension: a number, or the name of a size given at run time.
struct DimDesc {
  std::string name;
  int64_t size = 0;
  bool isDynamic() const { return !name.empty(); }
};

/// An argument or a result.
struct ArgumentDesc {
  std::string name;
  DType dtype = DType::F32;
  std::vector<DimDesc> shape;
  /// For packed weights, which are bytes to the function.
  std::optional<PackSpec> packed;

  bool isDynamic() const;
  /// "f32[Tx2048]"
  std::string describe() const;
};

/// Arguments of a function as some of the artifact's targets want them, which
/// pack weights in another way than the first one does.
struct LayoutDesc {
  std::vector<std::string> targets;
  std::vector<ArgumentDesc> arguments;
  /// Symbol of the plans for moe_pack().
  std::string plans;
};

struct FunctionDesc {
  std::string name;
  /// Its name in C.
  std::string symbol;
  std::string model;
  std::optional<int64_t> layer;
  /// How weights are made from tensors of a checkpoint, by the names that they
  /// have in the model; expressions as TensorExpression::parse() takes them.
  std::map<std::string, std::string> checkpoint;
  /// Names of the sizes in the order of the function's parameters.
  std::vector<std::string> sizes;
  /// As the first target wants them, or the one that was selected.
  std::vector<ArgumentDesc> arguments;
  std::vector<ArgumentDesc> results;
  /// Of other targets.
  std::vector<LayoutDesc> layouts;
  /// Symbol of the plans for moe_pack() of these arguments, if any is packed.
  std::string plans;
  /// The function whose code this one shares.
  std::string aliasOf;
  /// Symbol of the uniform entry; `<invoke>_workspace` gives its workspace.
  std::string invoke;
  /// Symbol of the function that names the variant which runs; empty in files
  /// from before there was one.
  std::string variant;
  /// The same of the function that names the one for a runtime's device; empty
  /// if there is no code for a device. `<invoke>_workspace_on` gives its
  /// workspace.
  std::string variantOn;
  /// Symbol of the artifact's id.
  std::string idSymbol() const { return symbol + "__id"; }

  /// The tensors of the model that static arguments are made of, each once.
  std::vector<PackTensor> getWeights() const;

  /// The shape of `value` once all sizes (in the order of `sizes`) are known.
  std::vector<int64_t> resolve(const ArgumentDesc &value,
                               const std::vector<int64_t> &sizeValues) const;
};

/// A chip that there is code for.
struct TargetDesc {
  std::string name;
  /// GNU's name of what its code is linked for, such as aarch64-linux-gnu.
  std::string platform;
  /// Whose memory arguments, results and workspace are in, such as nvidia;
  /// empty for the host's.
  std::string device;
  /// What `moe_rt_cpu_features()` must have to run it.
  uint64_t needs = 0;
  /// Whether its kernels round rows to bf16 where they multiply with bf16.
  bool narrowsRows = false;
  /// How they round rows that they multiply with weights in formats: see
  /// getRowTypes(); empty: not at all.
  std::string activations;
  /// The CPUs that it is made for, or the chips of a device that run it; none
  /// if it is for all.
  std::vector<moe_cpu_models> models;
};

struct Manifest {
  /// 2: sources of packed weights have views instead of rows and columns.
  static constexpr int64_t currentVersion = 2;
  /// MOE_RT_ABI of the code beside it; files from before there was a number are
  /// of the first.
  static constexpr int64_t currentAbi = MOE_RT_ABI;

  std::vector<FunctionDesc> functions;
  /// One platform, CPUs before devices, better ones last.
  std::vector<TargetDesc> targets;
  /// Passes of others that ran on the model first, as --pass-pipeline takes
  /// them, and within the compilation, as --pipeline-extension does.
  std::string passPipeline;
  std::vector<std::string> extensions;
  /// How rows were to be rounded, as `moek.activations` says it; empty: not at
  /// all.
  std::string activations;
  /// As the file says, and as its contents are; see ContentId.h.
  std::string id, contentId;

  /// Null if there is no such target.
  const TargetDesc *findTarget(std::string_view name) const;
  /// Has the functions' arguments be as the target wants them. An error if the
  /// artifact is not for it.
  bool selectTarget(std::string_view name, std::string &error);

  const FunctionDesc *find(std::string_view name) const;
  /// The named function, or the only one when `name` is empty.
  const FunctionDesc *select(std::string_view name, std::string &error) const;
};

/// Parses and checks; `where` begins each message. Unknown keys are skipped:
/// later versions of a compiler may say more.
bool parseManifest(std::string_view json, const std::string &where,
                   Manifest &manifest, std::string &error);
/// Also refuses a file whose id is not that of its contents.
bool readManifest(const std::string &path, Manifest &manifest,
                  std::string &error);

} // namespace moe

#endif // MOE_MLIR_ARTIFACT_MANIFEST_H
