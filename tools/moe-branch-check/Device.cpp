//===- Device.cpp - Kernels for GPUs, judged --------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Device.h"
#include "Report.h"

#include "llvm/BinaryFormat/Magic.h"
#include "llvm/Support/Path.h"

using namespace llvm;
using namespace moe::branchcheck;

std::string moe::branchcheck::getCodeFile(StringRef path) {
  SmallString<128> code(path);
  if (sys::path::extension(path) == ".json")
    sys::path::replace_extension(code, ".so");
  return code.str().str();
}

static bool isObject(StringRef bytes) {
  file_magic magic = identify_magic(bytes);
  return magic == file_magic::elf_relocatable ||
         magic == file_magic::elf_shared_object || magic == file_magic::archive;
}

bool moe::branchcheck::isDeviceCode(const MemoryBuffer &file) {
  return isObject(file.getBuffer()) ||
         !findDeviceCode(file.getBuffer()).empty();
}

std::optional<bool> moe::branchcheck::proveDeviceCode(const MemoryBuffer &file,
                                                      const Options &options,
                                                      std::string &error) {
  auto fail = [&](const Twine &message) {
    error = (file.getBufferIdentifier() + ": " + message).str();
    return std::nullopt;
  };
  std::vector<DeviceCode> codes = findDeviceCode(file.getBuffer());
  if (codes.empty())
    return fail("has no kernels for GPUs; functions for CPUs are proved from "
                "their LLVM IR, which moe-compile --emit=llvm-ir writes");
  if (!options.objectName.empty() || !options.sizeArguments.empty() ||
      !options.allowedCalls.empty())
    return fail("--object, --allow-call and --size-argument are for LLVM IR");
  std::vector<DeviceVerdict> verdicts;
  for (const DeviceCode &code : codes)
    if (std::string message; !checkDeviceCode(
            code, {options.function, options.allowed}, verdicts, message))
      return fail(message);
  if (verdicts.empty())
    return fail("no kernel matches '" + options.function + "'");
  bool isProved = all_of(verdicts, [](const DeviceVerdict &verdict) {
    return verdict.byDesign || verdict.problems.empty();
  });
  printReport(verdicts, isProved);
  return isProved;
}
