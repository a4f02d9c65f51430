//===- Target.h - What code is generated for -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A target turns kernels into code. Everything that depends on the kind of
// machine is behind this class: chips, schedules and layouts, kernels, and the
// code that comes out. The CPU is one of them (lib/Target/CPU); others may come
// from a plugin, which adds them to the registry when it is loaded.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TARGET_TARGET_H
#define MOE_MLIR_TARGET_TARGET_H

#include "moe-mlir/Runtime/moe_variant.h"

#include "moek/Moek.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/JSON.h"

#include <memory>
#include <string>
#include <vector>

namespace moe {

/// The machine that objects are linked for, and that calls what is in them.
struct HostPlatform {
  /// LLVM's triple, and the least of its CPUs: for code that runs on them all.
  std::string triple, baseCpu;
  /// How the names of GNU's cross tools begin, and the folder of libraries.
  std::string gnuTriple;
};

/// Whether this machine is of the platform with that name, such as
/// aarch64-linux-gnu; and whether it runs code for it that needs these bits of
/// `moe_rt_cpu_features()`.
bool isHost(llvm::StringRef gnuTriple);
bool runsHere(llvm::StringRef gnuTriple, uint64_t needs);

bool operator==(const HostPlatform &a, const HostPlatform &b);
inline bool operator!=(const HostPlatform &a, const HostPlatform &b) {
  return !(a == b);
}

/// Those that objects can be linked for: x86-64 and AArch64.
llvm::ArrayRef<HostPlatform> getHostPlatforms();
/// The one this program runs on; the first where that is none of them.
const HostPlatform &getHostPlatform();

/// A chip that a target knows by a name, which `--target` takes.
struct ChipInfo {
  std::string name;
  /// A few words for `--list-targets`.
  std::string summary;
  /// Whether this machine runs its code, and is the kind of machine that
  /// `--target` without names means.
  bool isNative = false, isDefault = false;
  /// As in its code.
  std::vector<moe_cpu_models> models = {};
};

/// What an artifact has to know of the code of one chip.
struct ChipCode {
  HostPlatform platform;
  /// Of the names of its functions, such as `__v4`: one artifact holds several.
  std::string suffix;
  /// What `moe_rt_cpu_features()` must have to run it.
  uint64_t needs = 0;
  /// The CPUs that it is made for, or of a device the chips that run it, as
  /// `device_model` of moe_rt.h numbers them; none if it is for all.
  std::vector<moe_cpu_models> models = {};
  /// Whose memory arguments and workspace are in, such as `nvidia`; empty for
  /// the host's.
  std::string device = {};
  /// Whether its kernels round rows to bf16 where they multiply with bf16.
  bool narrowsRows = false;
  /// Whether its kernels can round rows to bytes where they multiply with codes.
  bool multipliesBytes = false;
  /// Whether they can round rows to E4M3 where they multiply with E4M3.
  bool multipliesE4M3 = false;
};

struct PlanOptions {
  /// Leave packed weights in the layout that all chips of an artifact read.
  bool keepLayout = false;
};

struct CodeOptions {
  /// LLVM's optimization level of code generation, 0 to 3.
  unsigned level = 2;
  /// Whether IR is cleaned up before.
  bool optimizeIR = true;
  /// NVIDIA's assembler, whose code goes beside the PTX of kernels; without it,
  /// PTX is alone.
  std::string ptxas = {};
};

/// Kernels are those of a device, in the form that its tools take.
enum class CodeKind { Object, Assembly, LLVMIR, Kernels };

class CostContext;
struct KernelCost;
struct KernelFacts;

class Target {
public:
  virtual ~Target();

  /// What `TargetAttrInterface::getTargetName` of its chips says.
  virtual llvm::StringRef getName() const = 0;

  /// Dialects, and the implementations of interfaces, that its chips and stages
  /// use.
  virtual void registerDialects(mlir::DialectRegistry &registry) const = 0;

  /// Of these, the dialects of what its stages make: passes that run within
  /// others cannot load their own.
  virtual void
  getDependentDialects(mlir::DialectRegistry &registry) const = 0;

  //===--------------------------------------------------------------------===//
  // Chips
  //===--------------------------------------------------------------------===//

  /// Those known by name; among those of one platform the better ones last.
  virtual std::vector<ChipInfo> getChips() const = 0;

  /// Null if `name` is not known.
  virtual moek::TargetAttrInterface getChip(mlir::MLIRContext *context,
                                            llvm::StringRef name) const = 0;

  /// A chip as a file describes it: `describeChip` read back. A key that it
  /// does not know is an error, as is one that lacks a value and has no
  /// default.
  virtual moek::TargetAttrInterface parseChip(mlir::MLIRContext *context,
                                              const llvm::json::Object &chip,
                                              std::string &error) const = 0;
  virtual llvm::json::Object
  describeChip(moek::TargetAttrInterface chip) const = 0;

  virtual ChipCode getCode(moek::TargetAttrInterface chip) const = 0;

  /// Whether two chips want packed weights in one layout.
  virtual bool sharesLayout(moek::TargetAttrInterface a,
                            moek::TargetAttrInterface b) const;

  //===--------------------------------------------------------------------===//
  // Stages (see Pipelines/Pipelines.h)
  //===--------------------------------------------------------------------===//

  /// Fused kernels on tensors: gives them schedules, and weights a layout.
  virtual void buildPlanPipeline(mlir::OpPassManager &pm,
                                 moek::TargetAttrInterface chip,
                                 const PlanOptions &options) const = 0;

  /// Kernels and ordinary IR on memrefs become loops. What is left of the
  /// project's dialects is `moe_rt`.
  virtual void buildKernelPipeline(mlir::OpPassManager &pm,
                                   moek::TargetAttrInterface chip) const = 0;

  /// Entry points with a workspace and the runtime in calls become the form
  /// that `emit` takes.
  virtual void buildCodePipeline(mlir::OpPassManager &pm,
                                 moek::TargetAttrInterface chip) const = 0;

  /// What may be tried in place of a chip's own choices: the same chip with
  /// tuning that changes times and never a bit of a result. Each entry is one
  /// thing that is varied, by its name.
  using Variations = std::vector<
      std::pair<std::string, std::vector<moek::TargetAttrInterface>>>;
  virtual Variations getVariations(moek::TargetAttrInterface chip) const;

  /// What a kernel that has its schedule is expected to take; nothing for what
  /// takes no time of its own, or where the target has no model of the chip.
  virtual std::optional<KernelCost> estimate(mlir::Operation *kernel,
                                             moek::TargetAttrInterface chip,
                                             const CostContext &context) const;

  /// Figures of a chip that `estimate` reckons with, by name: for reports. None
  /// where the target has no model of it.
  virtual std::vector<std::pair<std::string, int64_t>>
  getRates(moek::TargetAttrInterface chip) const;

  /// What can be said of the kernels for a device in what `buildCodePipeline`
  /// left, without running them: see KernelFacts.h. Nothing for other targets.
  /// A false result comes with `error`.
  virtual bool describeKernels(mlir::ModuleOp module,
                               moek::TargetAttrInterface chip,
                               const CodeOptions &options,
                               std::vector<KernelFacts> &facts,
                               std::string &error) const;

  /// The code of what `buildCodePipeline` left. A false result comes with
  /// `error`.
  virtual bool emit(mlir::ModuleOp module, moek::TargetAttrInterface chip,
                    const CodeOptions &options, CodeKind kind,
                    llvm::SmallVectorImpl<char> &output,
                    std::string &error) const = 0;
};

/// All targets of this process.
class TargetRegistry {
public:
  static TargetRegistry &get();

  /// One of a name that is there already is dropped.
  void add(std::unique_ptr<Target> target);

  llvm::ArrayRef<std::unique_ptr<Target>> getTargets() const { return targets; }

  /// Null if there is none of the name.
  const Target *find(llvm::StringRef name) const;
  /// The one that compiles for `chip`; null if that names none of them.
  const Target *find(moek::TargetAttrInterface chip) const;

  /// The chips of all targets.
  std::vector<ChipInfo> getChips() const;
  /// `x86-64-v3, x86-64-v4, ...`: for messages.
  std::string getChipNames() const;
  /// Null if no target knows `name`.
  moek::TargetAttrInterface getChip(mlir::MLIRContext *context,
                                    llvm::StringRef name) const;
  /// A chip as the text of a JSON file describes it: an object with the
  /// target's name as `target`, and what that target wants to know.
  moek::TargetAttrInterface parseChip(mlir::MLIRContext *context,
                                      llvm::StringRef text,
                                      std::string &error) const;
  /// The text of such a file.
  std::string describeChip(moek::TargetAttrInterface chip) const;

  /// The same of all targets.
  void registerDialects(mlir::DialectRegistry &registry) const;
  void getDependentDialects(mlir::DialectRegistry &registry) const;

private:
  std::vector<std::unique_ptr<Target>> targets;
};

} // namespace moe

#endif // MOE_MLIR_TARGET_TARGET_H
