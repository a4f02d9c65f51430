//===- KnownCPUs.h - The CPUs we generate code for -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A table for each architecture, in a folder of its own under lib/Target/CPU;
// a new chip is a new row.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TARGET_CPU_KNOWNCPUS_H
#define MOE_MLIR_TARGET_CPU_KNOWNCPUS_H

#include "moek/Moek.h"

namespace moe {

/// A name of `--target`.
struct KnownCpu {
  llvm::StringLiteral name;
  /// Of the symbols of its variant, such as "v4_bf16".
  llvm::StringLiteral suffix;
  /// LLVM's name, and LLVM's features beyond those of the name.
  llvm::StringLiteral cpu, features;
  /// What `moe_rt_cpu_features()` must have to run its code.
  uint64_t needs;
  /// f32 of a vector register, and how many such registers there are.
  int64_t lanes, registers;
  /// Bytes per core that every such chip has.
  int64_t l1, l2;
  /// The fields of #moek.cpu of these names.
  bool bf16Dot = false, bf16Mmla = false, scalable = false;
};

struct Architecture {
  moek::Arch arch;
  llvm::StringLiteral triple;
  /// LLVM's name of the least CPU: for code that has to run on all of them.
  llvm::StringLiteral baseCpu;
  /// How the names of GNU's cross tools begin, and the folder of libraries.
  llvm::StringLiteral gnuTriple;
  /// Best last.
  llvm::ArrayRef<KnownCpu> cpus;
};

const Architecture &getArchitecture(moek::Arch arch);
/// The one this program runs on; x86-64 where that is none of the known.
const Architecture &getHostArchitecture();

/// All rows of all tables.
llvm::SmallVector<const KnownCpu *> getKnownCpus();
/// The same by name.
llvm::SmallVector<llvm::StringRef> getKnownCpuNames();

/// A null result means that `name` is not known.
const KnownCpu *findKnownCpu(llvm::StringRef name);
/// The architecture of a known name.
const Architecture &getArchitectureOf(const KnownCpu &cpu);
/// The attribute for a known name, or null.
moek::CpuAttr lookupCpu(mlir::MLIRContext *context, llvm::StringRef name);

} // namespace moe

#endif // MOE_MLIR_TARGET_CPU_KNOWNCPUS_H
