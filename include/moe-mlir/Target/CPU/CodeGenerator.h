//===- CodeGenerator.h - Kernels made by somebody else ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The innermost functions of kernels, register tiles of products and
// elementwise bodies, may come from another code generator than
// lib/Target/CPU/Kernels. A kernel op says which one by its attribute
// `moek.codegen`; what surrounds these functions stays as it is. They are
// declared in the IR, each with the attribute `moek.program`, and made when
// machine code is.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TARGET_CPU_CODEGENERATOR_H
#define MOE_MLIR_TARGET_CPU_CODEGENERATOR_H

#include "moe-mlir/Target/LLVMCode.h"

#include "moek/Codegen.h"

namespace moe {

/// Of a declared function: lines of a program as
/// moe-mlir/Halide/KernelEmitter.h describes them.
inline constexpr llvm::StringLiteral kProgramAttrName = "moek.program";
/// Of a declared tile: the bytes ahead of its panel, and the cache levels, that
/// it prefetches in each step; and the level of the address that it is given.
inline constexpr llvm::StringLiteral kAheadAttrName = "moek.ahead";
inline constexpr llvm::StringLiteral kNextLevelAttrName = "moek.next_level";

/// A function to be made.
struct GeneratedFunction {
  std::string name, program;
  /// Distances and cache levels.
  llvm::SmallVector<std::pair<int64_t, int64_t>> ahead;
  /// 0 if it is given no address.
  int64_t nextLevel = 0;
};

/// Whom functions are made for.
struct GeneratorTarget {
  LLVMCpu cpu;
  /// Of vectors of f32.
  int64_t lanes;
};

class CodeGenerator {
public:
  virtual ~CodeGenerator();

  virtual llvm::StringRef getName() const = 0;
  /// Why nothing can be made by it on this machine, as a sentence; empty if it
  /// is there.
  virtual std::string getAbsence() const = 0;
  /// Whether what it cannot make is an error. Otherwise it is made here.
  virtual bool isStrict() const = 0;
  /// Why it cannot make a function of `program`, as the end of a sentence;
  /// empty if it can.
  virtual std::string getObstacle(const std::string &program) const = 0;
  /// Puts the functions, which are declared in `module`, into it.
  virtual bool generate(llvm::ArrayRef<GeneratedFunction> functions,
                        const GeneratorTarget &target, llvm::Module &module,
                        std::string &error) const = 0;
};

/// The generator with a name; null if there is none.
const CodeGenerator *findCodeGenerator(llvm::StringRef name);
/// Their names, for messages.
llvm::SmallVector<llvm::StringRef> getCodeGeneratorNames();

/// Makes all functions of `module` that are declared with a program. `code` is
/// its translation.
bool generateFunctions(mlir::ModuleOp module, const GeneratorTarget &target,
                       llvm::Module &code, std::string &error);

} // namespace moe

#endif // MOE_MLIR_TARGET_CPU_CODEGENERATOR_H
