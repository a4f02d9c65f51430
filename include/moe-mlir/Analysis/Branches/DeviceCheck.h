//===- DeviceCheck.h - No branch of a kernel depends on data ----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The same question as BranchCheck.h asks, of kernels for GPUs. What is judged
// is the code as it is given: PTX, the text of NVIDIA's disassemblers, LLVM's
// assembly for AMD's GPUs, or SPIR-V, alone or within an artifact. No compiler
// runs, so that a later one may add branches of its own.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_ANALYSIS_BRANCHES_DEVICECHECK_H
#define MOE_MLIR_ANALYSIS_BRANCHES_DEVICECHECK_H

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"

#include <string>
#include <vector>

namespace moe::branchcheck {

enum class DeviceCodeKind { PTX, SASS, GCN, SPIRV, SPIRVText };

/// `PTX`, `SASS`, ...: for messages.
llvm::StringRef getName(DeviceCodeKind kind);

/// Code of kernels, of one kind. It refers to the bytes that it was found in.
struct DeviceCode {
  DeviceCodeKind kind;
  llvm::StringRef bytes;
};

/// All code for GPUs in `bytes`: the whole of a text or of a SPIR-V module, or
/// what an object, a library or an archive has of PTX and of SPIR-V. Nothing if
/// there is none.
std::vector<DeviceCode> findDeviceCode(llvm::StringRef bytes);

/// The verdict on one kernel.
struct DeviceVerdict {
  std::string kernel;
  DeviceCodeKind kind;
  /// Problems of a kernel that is allowed to have them do not count.
  bool byDesign = false;
  /// Conditional branches that can be reached, predicated exits among them,
  /// those of them that may depend on data, and, not among these, those around
  /// nothing but stores in SPIR-V, which has no other way to say that a store
  /// is made under a condition, and in GCN, where they skip what no lane does.
  unsigned instructions = 0, branches = 0, tainted = 0, guards = 0;
  llvm::SmallVector<std::string> problems;
};

struct DeviceOptions {
  /// Regular expressions: the kernels to prove, and of these the ones whose
  /// branches depend on data by design.
  std::string kernel;
  std::vector<std::string> allowed;
};

/// Verdicts on the kernels of `code` that match, in their order. False and a
/// message when nothing could be said.
bool checkDeviceCode(const DeviceCode &code, const DeviceOptions &options,
                     std::vector<DeviceVerdict> &verdicts, std::string &error);

} // namespace moe::branchcheck

#endif // MOE_MLIR_ANALYSIS_BRANCHES_DEVICECHECK_H
