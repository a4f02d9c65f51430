//===- CodeGenerator.cpp - Kernels made by somebody else --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/CPU/CodeGenerator.h"

#include "Halide.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace moe;

moe::CodeGenerator::~CodeGenerator() = default;

const CodeGenerator *moe::findCodeGenerator(StringRef name) {
  for (const CodeGenerator *generator : getHalideGenerators())
    if (generator->getName() == name)
      return generator;
  return nullptr;
}

SmallVector<StringRef> moe::getCodeGeneratorNames() {
  SmallVector<StringRef> names;
  for (const CodeGenerator *generator : getHalideGenerators())
    names.push_back(generator->getName());
  return names;
}

bool moe::generateFunctions(ModuleOp module, const GeneratorTarget &target,
                            llvm::Module &code, std::string &error) {
  llvm::MapVector<const CodeGenerator *, SmallVector<GeneratedFunction>> work;
  for (auto function : module.getOps<LLVM::LLVMFuncOp>()) {
    auto program = function->getAttrOfType<StringAttr>(kProgramAttrName);
    auto codegen = function->getAttrOfType<StringAttr>(moek::kCodegenAttrName);
    if (!program || !codegen)
      continue;
    const CodeGenerator *generator = findCodeGenerator(codegen);
    if (!generator) {
      error = "no code generator is called '" + codegen.str() + "'";
      return false;
    }
    GeneratedFunction made{function.getName().str(), program.str(), {}, 0};
    if (auto ahead = function->getAttrOfType<DenseI64ArrayAttr>(kAheadAttrName))
      for (ArrayRef<int64_t> rest = ahead.asArrayRef(); rest.size() >= 2;
           rest = rest.drop_front(2))
        made.ahead.push_back({rest[0], rest[1]});
    if (auto level = function->getAttrOfType<IntegerAttr>(kNextLevelAttrName))
      made.nextLevel = level.getInt();
    work[generator].push_back(made);
  }
  for (auto &[generator, functions] : work)
    if (!generator->generate(functions, target, code, error)) {
      error = (generator->getName() + ": ").str() + error;
      return false;
    }
  return true;
}
