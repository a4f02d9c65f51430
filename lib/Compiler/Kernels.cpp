//===- Kernels.cpp - Kernels by tools of their vendors ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Internal.h"

#include "moe-mlir/Compiler/Compiler.h"
#include "moe-mlir/Support/Program.h"
#include "moe-mlir/Target/KernelFacts.h"
#include "moe_rt/MoeRt.h"

#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace moe;

std::string compiler::findAssembler(const CompileOptions &options) {
  return options.ptxas == "auto"
             ? findProgram({"ptxas"}, {"/usr/local/cuda/bin"})
             : options.ptxas;
}

/// What spirv-cross writes of one kernel of a module.
static bool crossCompile(StringRef program, StringRef module, StringRef kernel,
                         StringRef language, std::string &text,
                         std::string &error) {
  TemporaryFile output;
  if (!output.create("moe-kernel", language, error))
    return false;
  // What other kernels of the module have is left out.
  SmallVector<StringRef> command = {program,
                                    module,
                                    "--entry",
                                    kernel,
                                    "--remove-unused-variables",
                                    "--output",
                                    output.getPath()};
  // Addresses in buffers are of Metal 2.3.
  if (language == "msl")
    command.append({"--msl", "--msl-version", "20300"});
  else
    command.append({"--version", "450", "--vulkan-semantics"});
  SmallVector<char, 0> bytes;
  if (!runProgram(command, error) || !output.read(bytes, error))
    return false;
  text.assign(bytes.begin(), bytes.end());
  return true;
}

LogicalResult moe::compileToShaders(ModuleOp module,
                                    const CompileOptions &options,
                                    moek::TargetAttrInterface chip,
                                    StringRef language, raw_ostream &os) {
  if (chip.getTargetName() != "vulkan")
    return module.emitError()
           << "--emit=" << language << " is for --target=vulkan, not "
           << chip.getChipName();
  std::string program, error;
  if (language != "spirv") {
    program = findProgram({"spirv-cross"});
    if (program.empty())
      return module.emitError()
             << "--emit=" << language
             << " needs spirv-cross, which is not in the PATH (Debian: "
                "spirv-cross); --emit=spirv does without";
  }
  std::string bytes;
  llvm::raw_string_ostream binary(bytes);
  if (failed(compileToText(module, options, chip, CodeKind::Kernels, binary)))
    return failure();
  if (language == "spirv") {
    os << bytes;
    return success();
  }
  std::vector<KernelFacts> kernels;
  TemporaryFile file;
  if (!file.create("moe-kernels", "spv", error, bytes) ||
      failed(describeKernels(module, options, chip, kernels)))
    return error.empty() ? failure() : module.emitError(error);
  for (const KernelFacts &kernel : kernels) {
    std::string text;
    if (!crossCompile(program, file.getPath(), kernel.name, language, text,
                      error))
      return module.emitError() << kernel.name << ": " << error;
    os << "// Kernel " << kernel.name << "\n" << text << "\n";
  }
  return success();
}

LogicalResult moe::describeKernels(ModuleOp module,
                                   const CompileOptions &options,
                                   moek::TargetAttrInterface chip,
                                   std::vector<KernelFacts> &kernels) {
  const Target *target = TargetRegistry::get().find(chip);
  OwningOpRef<ModuleOp> launches =
      compileToStage(module, options, chip, Stage::Vector);
  if (!launches)
    return failure();
  // Launches say what the code does not.
  launches->walk([&](moert::LaunchOp launch) {
    auto known = llvm::find_if(kernels, [&](const KernelFacts &facts) {
      return facts.name == launch.getKernel();
    });
    if (known == kernels.end()) {
      kernels.emplace_back();
      known = std::prev(kernels.end());
      known->name = launch.getKernel().str();
    }
    known->threads = std::max<int64_t>(known->threads, launch.getThreads());
    known->sharedBytes =
        std::max<int64_t>(known->sharedBytes, launch.getShared());
  });
  if (kernels.empty())
    return success();
  OwningOpRef<ModuleOp> code =
      compileToStage(module, options, chip, Stage::LLVM);
  if (!code)
    return failure();
  CodeOptions how;
  how.ptxas = compiler::findAssembler(options);
  std::string error;
  if (!target->describeKernels(*code, chip, how, kernels, error))
    return module.emitError() << chip.getChipName() << ": " << error;
  return success();
}
