//===- DeviceCheck.cpp - No branch of a kernel depends on data --*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Analysis/Branches/DeviceCheck.h"

#include "DeviceCode.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/Twine.h"
#include "llvm/BinaryFormat/Magic.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/Regex.h"

using namespace llvm;
using namespace moe::branchcheck;

StringRef moe::branchcheck::getName(DeviceCodeKind kind) {
  switch (kind) {
  case DeviceCodeKind::PTX:
    return "PTX";
  case DeviceCodeKind::SASS:
    return "SASS";
  case DeviceCodeKind::GCN:
    return "GCN";
  case DeviceCodeKind::SPIRV:
  case DeviceCodeKind::SPIRVText:
    return "SPIR-V";
  }
  llvm_unreachable("all kinds are there");
}

/// How SPIR-V begins, on machines of this byte order.
static constexpr StringLiteral kSPIRVMagic("\x03\x02\x23\x07");
/// What artifacts have before a module; its bytes follow as 32 bits.
static constexpr StringLiteral kSPIRVImage("MOEV");

static std::optional<DeviceCodeKind> identify(StringRef text) {
  auto hasLine = [&](StringRef word) {
    return text.starts_with(word) || text.contains(("\n" + word).str());
  };
  if (text.starts_with(kSPIRVMagic))
    return DeviceCodeKind::SPIRV;
  if (text.starts_with("; SPIR-V") || text.contains("OpCapability "))
    return DeviceCodeKind::SPIRVText;
  if (hasLine(".version ") && text.contains(".target sm_"))
    return DeviceCodeKind::PTX;
  if (text.contains(".amdgcn_target") || text.contains(".amdhsa_kernel "))
    return DeviceCodeKind::GCN;
  if ((text.contains(".text.") && text.contains("/*0000*/")) ||
      (text.contains("Function :") && text.contains("/*0000*/")))
    return DeviceCodeKind::SASS;
  return std::nullopt;
}

/// What lies in the constants of an object.
static std::vector<DeviceCode> findImages(StringRef bytes) {
  std::vector<DeviceCode> found;
  constexpr size_t header = 8;
  for (size_t at = 0; (at = bytes.find(kSPIRVImage, at)) != StringRef::npos;
       ++at) {
    StringRef image = bytes.drop_front(at);
    if (image.size() < header)
      break;
    uint32_t size = support::endian::read32le(image.data() + 4);
    StringRef module = image.substr(header, size);
    if (module.size() == size && module.starts_with(kSPIRVMagic))
      found.push_back({DeviceCodeKind::SPIRV, module});
  }
  for (size_t at = 0; (at = bytes.find("\n.version ", at)) != StringRef::npos;
       ++at) {
    StringRef text =
        bytes.drop_front(at).take_until([](char c) { return c == '\0'; });
    if (text.contains("\n.target sm_"))
      found.push_back({DeviceCodeKind::PTX, text});
    at += text.size() - 1;
  }
  return found;
}

std::vector<DeviceCode> moe::branchcheck::findDeviceCode(StringRef bytes) {
  file_magic magic = identify_magic(bytes);
  bool isModule = bytes.starts_with(kSPIRVMagic);
  if (!isModule && (magic.is_object() || magic == file_magic::archive))
    return findImages(bytes);
  if (std::optional<DeviceCodeKind> kind = identify(bytes))
    return {{*kind, bytes}};
  return {};
}

bool moe::branchcheck::checkDeviceCode(const DeviceCode &code,
                                       const DeviceOptions &options,
                                       std::vector<DeviceVerdict> &verdicts,
                                       std::string &error) {
  device::Kernels kernels;
  bool isRead = false;
  switch (code.kind) {
  case DeviceCodeKind::PTX:
    isRead = device::readPTX(code.bytes, kernels, error);
    break;
  case DeviceCodeKind::SASS:
    isRead = device::readSASS(code.bytes, kernels, error);
    break;
  case DeviceCodeKind::GCN:
    isRead = device::readGCN(code.bytes, kernels, error);
    break;
  case DeviceCodeKind::SPIRV:
    isRead = device::readSPIRV(code.bytes, kernels, error);
    break;
  case DeviceCodeKind::SPIRVText:
    isRead = device::readSPIRVText(code.bytes, kernels, error);
    break;
  }
  if (!isRead)
    return false;
  Regex pattern(options.kernel);
  for (const device::Kernel &kernel : kernels) {
    if (!pattern.match(kernel.name))
      continue;
    DeviceVerdict verdict;
    verdict.kernel = kernel.name;
    verdict.kind = code.kind;
    verdict.byDesign = any_of(options.allowed, [&](const std::string &each) {
      return Regex(each).match(kernel.name);
    });
    device::Judgement judgement = device::judge(kernel);
    verdict.instructions = judgement.instructions;
    verdict.branches = judgement.branches;
    verdict.tainted = judgement.tainted;
    verdict.guards = judgement.guards;
    verdict.problems = std::move(judgement.problems);
    append_range(verdict.problems, kernel.problems);
    verdicts.push_back(std::move(verdict));
  }
  return true;
}
