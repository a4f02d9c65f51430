//===- Emulator.h - Calls artifacts for other CPUs -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Links one function of an artifact with the runner (lib/Runtime/Runner.c) and
// the runtime into a static program, and calls it in an emulator, such as
// `qemu-aarch64 -cpu cortex-a72`, by files in a temporary folder.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RUN_EMULATOR_H
#define MOE_MLIR_RUN_EMULATOR_H

#include "moe-mlir/Artifact/Manifest.h"
#include "moe-mlir/Runtime/moe_rt.h"
#include "moe-mlir/Support/HostTensor.h"
#include "moe-mlir/Support/TemporaryFolder.h"

#include "llvm/ADT/StringRef.h"

#include <memory>
#include <string>
#include <vector>

namespace moe::run {

/// A program that runs programs for another CPU.
struct Emulator {
  /// It and its arguments, such as {"qemu-aarch64", "-cpu", "max"}; empty: none.
  std::vector<std::string> command;
  /// Objects and archives that are linked into what it runs.
  std::vector<std::string> objects;

  bool isGiven() const { return !command.empty(); }
};

class EmulatedFunction {
public:
  /// `artifact` is BASE with any ending; BASE.a or BASE.o is linked. `id` and
  /// `platform` are the manifest's.
  /// Null and a message on failure.
  static std::unique_ptr<EmulatedFunction>
  link(llvm::StringRef artifact, const FunctionDesc &desc,
       const std::string &platform, const std::string &id,
       Emulator emulator, std::string &error);

  /// Calls the function with the hooks of `rt`: errors, and the routing part
  /// of traces. Returns its status; nothing and a message when the emulated
  /// process gave none. The workspace is the process's own, its size goes to
  /// `workspaceBytes`, and the name of the target whose code ran to `variant`.
  std::optional<int> invoke(const moe_rt &rt, const std::vector<int64_t> &sizes,
                            const std::vector<HostTensor> &arguments,
                            std::vector<HostTensor> &results,
                            size_t &workspaceBytes, std::string &variant,
                            std::string &error);

private:
  EmulatedFunction(const FunctionDesc &desc, const std::string &id,
                   std::vector<std::string> command)
      : desc(desc), artifactId(id), command(std::move(command)) {}

  std::string file(const char *name) const;
  bool writeRequest(const moe_rt &rt, const std::vector<int64_t> &sizes,
                    const std::vector<HostTensor> &arguments,
                    const std::vector<HostTensor> &results,
                    std::string &error) const;
  bool execute(std::string &error) const;
  std::optional<int> readResponse(const moe_rt &rt,
                                  std::vector<HostTensor> &results,
                                  size_t &workspaceBytes, std::string &variant,
                                  std::string &error) const;

  const FunctionDesc &desc;
  std::string artifactId;
  std::vector<std::string> command;
  TemporaryFolder folder;
};

} // namespace moe::run

#endif // MOE_MLIR_RUN_EMULATOR_H
