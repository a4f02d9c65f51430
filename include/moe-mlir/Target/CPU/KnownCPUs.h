//===- KnownCPUs.h - The CPUs we generate code for -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A table for each architecture, in a folder of its own under lib/Target/CPU;
// a new chip is a new row. Programs and plugins may add rows of their own.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TARGET_CPU_KNOWNCPUS_H
#define MOE_MLIR_TARGET_CPU_KNOWNCPUS_H

#include "moe-mlir/Target/Target.h"
#include "moe_cpu/MoeCpu.h"

#include <vector>

namespace moe {

/// A name of `--target`; the fields are those of #moe_cpu.target. A row is an
/// instruction set, or a chip that has one, and is described by more than that.
struct KnownCpu {
  std::string name;
  /// Of the symbols of its variant, such as "v4_bf16".
  std::string suffix;
  moecpu::Arch arch;
  std::string cpu, features;
  /// What `moe_rt_cpu_features()` must have to run its code.
  uint64_t needs;
  std::vector<std::string> instructions;
  int64_t lanes, registers, l1, l2;
  bool scalable = false;
  std::vector<std::string> models = {};
  std::vector<std::pair<std::string, int64_t>> rates = {};
  /// As #moe_cpu.prefetch has it.
  struct Prefetch {
    int64_t rows;
    std::vector<int64_t> ahead, levels;
  };
  std::vector<Prefetch> prefetch = {};
  int64_t widened = 0;
  /// Whether artifacts have a variant for it where nobody says whom they are
  /// for.
  bool isDefault = true;
  /// Which machines have it, for `--list-targets`; nothing for an instruction
  /// set.
  std::string summary = {};

  bool has(llvm::StringRef instruction) const {
    return llvm::is_contained(instructions, instruction);
  }
};

struct Architecture : HostPlatform {
  moecpu::Arch arch;
};

const Architecture &getArchitecture(moecpu::Arch arch);
/// The one this program runs on; x86-64 where that is none of the known.
const Architecture &getHostArchitecture();
const Architecture &getArchitectureOf(const KnownCpu &cpu);

/// All rows of all tables, by architecture: chips, then instruction sets, the
/// better ones last. Pointers stay valid.
std::vector<const KnownCpu *> getKnownCpus();
/// A null result means that `name` is not known.
const KnownCpu *findKnownCpu(llvm::StringRef name);
/// A row of one's own: `--target` knows it from then on. One of a name that is
/// known already is dropped. Not for two threads at once.
void addKnownCpu(KnownCpu cpu);

/// Whether this machine runs the code of `cpu`.
bool isNative(const KnownCpu &cpu);

/// The attribute of a row.
moecpu::TargetAttr getTargetAttr(mlir::MLIRContext *context,
                                 const KnownCpu &cpu);

/// The bits of `moe_rt_cpu_features()` by their names in #moe_cpu.target.
struct CpuFeature {
  llvm::StringLiteral name;
  uint64_t bit;
};
llvm::ArrayRef<CpuFeature> getCpuFeatures();

} // namespace moe

#endif // MOE_MLIR_TARGET_CPU_KNOWNCPUS_H
