//===- DeviceCode.h - Kernels as registers and jumps ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What all readers make of their code: of each instruction, the registers that
// it writes and reads, and where control goes on. A reader that meets what it
// does not know says so as a problem: nothing is proved of that kernel.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_ANALYSIS_BRANCHES_DEVICE_DEVICECODE_H
#define MOE_MLIR_LIB_ANALYSIS_BRANCHES_DEVICE_DEVICECODE_H

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"

#include <optional>
#include <string>
#include <vector>

namespace moe::branchcheck::device {

/// A register, a predicate, or memory that is followed like a register.
using Reg = unsigned;

struct Instruction {
  std::string text;
  /// From 1; 0 in code that is no text.
  unsigned line = 0;
  llvm::SmallVector<Reg, 4> defs, uses;
  /// Why what it writes is data whatever it reads; null if it is not.
  const char *data = nullptr;
  /// Whether something of what its registers held may stay: it runs under a
  /// predicate, or writes a part.
  bool isPartial = false;
  /// The same as long as this one is tainted.
  std::optional<Reg> isPartialBy;
  /// Labels that control may go to.
  llvm::SmallVector<std::string, 1> targets;
  /// Whether control may go to the next instruction.
  bool falls = true;
  /// Whether what it reads decides where control goes on.
  bool isBranch = false;
  /// A branch that may stand for a predicate, in code that has none: around
  /// nothing but stores.
  bool mayGuard = false;
  /// Computes, or writes memory that is not followed; nothing else.
  bool isPlain = false;
  /// Takes a value by the way that control came.
  bool isPhi = false;
  /// Made for the analysis: not counted.
  bool isExtra = false;
};

struct Kernel {
  std::string name;
  std::vector<Instruction> code;
  /// The number of the instruction behind a label.
  llvm::StringMap<unsigned> labels;
  /// Tainted when the kernel begins.
  llvm::SmallVector<Reg> tainted;
  llvm::SmallVector<std::string> problems;

  Reg reg(llvm::StringRef name) {
    return registers.try_emplace(name, registers.size()).first->second;
  }
  unsigned numRegs() const { return registers.size(); }
  void label(llvm::StringRef name) { labels[name] = code.size(); }
  /// Says a problem once.
  void problem(const llvm::Twine &text);

private:
  llvm::StringMap<Reg> registers;
};

/// All kernels, and functions, of a text or a module. False and a message where
/// that is not what it has to be.
using Kernels = std::vector<Kernel>;
bool readPTX(llvm::StringRef text, Kernels &kernels, std::string &error);
bool readSASS(llvm::StringRef text, Kernels &kernels, std::string &error);
bool readGCN(llvm::StringRef text, Kernels &kernels, std::string &error);
bool readSPIRV(llvm::StringRef bytes, Kernels &kernels, std::string &error);
bool readSPIRVText(llvm::StringRef text, Kernels &kernels, std::string &error);

/// What is not known of memory.
inline constexpr char kMemory[] = "loaded from memory that may hold data";

/// `a, [b, c], {d, e}` by its commas outside of brackets.
llvm::SmallVector<llvm::StringRef> splitOperands(llvm::StringRef text);

/// The branches of `kernel`, and a problem for each that may depend on data.
struct Judgement {
  unsigned instructions = 0, branches = 0, tainted = 0, guards = 0;
  llvm::SmallVector<std::string> problems;
};
Judgement judge(const Kernel &kernel);

} // namespace moe::branchcheck::device

#endif // MOE_MLIR_LIB_ANALYSIS_BRANCHES_DEVICE_DEVICECODE_H
