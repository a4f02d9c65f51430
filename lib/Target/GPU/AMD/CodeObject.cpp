//===- CodeObject.cpp - The code of kernels ---------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "CodeObject.h"

#include "moe-mlir/Target/GPU/Common/KernelCode.h"

#include "mlir/Target/LLVM/ROCDL/Utils.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Support/raw_ostream.h"

#include <mutex>

#ifdef MOE_HAS_LLD
#include "lld/Common/Driver.h"
LLD_HAS_DRIVER(elf)
#endif

using namespace mlir;

static constexpr StringLiteral kTriple = "amdgcn-amd-amdhsa";

/// Of code objects: the version that drivers know from ROCm 5.7 on. The default
/// of LLVM 22 is 6.
static constexpr uint32_t kCodeObjectVersion = 500;

static void initialize() {
  static std::once_flag initialized;
  std::call_once(initialized, [] {
    LLVMInitializeAMDGPUTargetInfo();
    LLVMInitializeAMDGPUTarget();
    LLVMInitializeAMDGPUTargetMC();
    LLVMInitializeAMDGPUAsmPrinter();
    LLVMInitializeAMDGPUAsmParser();
  });
}

bool moe::amd::emitAssembly(ModuleOp kernels, StringRef cpu, std::string &text,
                            std::string &error) {
  initialize();
  auto prepare = [](llvm::Module &module) {
    module.addModuleFlag(llvm::Module::Error, "amdhsa_code_object_version",
                         kCodeObjectVersion);
  };
  return gpu::emitAssembly(kernels, kTriple, cpu, prepare, text, error);
}

#ifdef MOE_HAS_LLD
/// Links an object: lld reads and writes files.
static bool link(ArrayRef<char> object, std::string &linked,
                 std::string &error) {
  SmallString<128> from, to;
  int handle;
  std::error_code status =
      llvm::sys::fs::createTemporaryFile("moe-kernels", "o", handle, from);
  if (!status)
    status = llvm::sys::fs::createTemporaryFile("moe-kernels", "co", to);
  llvm::FileRemover removeFrom(from), removeTo(to);
  if (status) {
    error = "no temporary file for the linker: " + status.message();
    return false;
  }
  llvm::raw_fd_ostream file(handle, /*shouldClose=*/true);
  file.write(object.data(), object.size());
  file.close();
  if (file.has_error()) {
    error = from.str().str() + ": " + file.error().message();
    file.clear_error();
    return false;
  }
  // The linker's state is global.
  static std::mutex mutex;
  std::lock_guard<std::mutex> lock(mutex);
  std::string said;
  llvm::raw_string_ostream os(said);
  const char *arguments[] = {"ld.lld",      "-shared", "--no-undefined",
                             "--threads=1", "-o",      to.c_str(),
                             from.c_str()};
  if (lld::lldMain(arguments, os, os, {{lld::Gnu, &lld::elf::link}}).retCode) {
    error = "the kernels cannot be linked: " + StringRef(said).trim().str();
    return false;
  }
  auto buffer = llvm::MemoryBuffer::getFile(to);
  if (!buffer) {
    error = to.str().str() + ": " + buffer.getError().message();
    return false;
  }
  linked = (*buffer)->getBuffer().str();
  return true;
}
#else
static bool link(ArrayRef<char>, std::string &, std::string &error) {
  error = "this build cannot link code for AMD's GPUs: lld's libraries were "
          "not there (Debian: liblld-22-dev)";
  return false;
}
#endif

bool moe::amd::makeCodeObject(StringRef text, StringRef cpu,
                              std::string &linked, std::string &error) {
  initialize();
  MLIRContext context;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    error = diagnostic.str();
    return success();
  });
  FailureOr<SmallVector<char, 0>> object =
      ROCDL::assembleIsa(text, kTriple, cpu, /*features=*/"",
                         [&] { return emitError(UnknownLoc::get(&context)); });
  return succeeded(object) && link(*object, linked, error);
}
