//===- ChipFile.cpp - CPUs as JSON ------------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "ChipFile.h"

#include "moe-mlir/Target/CPU/KnownCPUs.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/Diagnostics.h"

using namespace mlir;
using namespace moe;
using moecpu::TargetAttr;

namespace {
/// Takes values out of an object; what is left in the end is not known.
class Reader {
public:
  Reader(llvm::json::Object object, std::string &error)
      : object(std::move(object)), error(error) {}

  std::string text(StringRef key, std::optional<StringRef> standard = {}) {
    llvm::json::Value *value = take(key, !standard);
    if (!value)
      return standard.value_or("").str();
    if (std::optional<StringRef> text = value->getAsString())
      return text->str();
    fail("'" + key + "' is no string");
    return {};
  }

  int64_t integer(StringRef key, std::optional<int64_t> standard = {}) {
    llvm::json::Value *value = take(key, !standard);
    if (!value)
      return standard.value_or(0);
    if (std::optional<int64_t> number = value->getAsInteger())
      return *number;
    fail("'" + key + "' is no integer");
    return 0;
  }

  bool boolean(StringRef key, bool standard) {
    llvm::json::Value *value = take(key, /*isRequired=*/false);
    if (!value)
      return standard;
    if (std::optional<bool> is = value->getAsBoolean())
      return *is;
    fail("'" + key + "' is neither true nor false");
    return false;
  }

  SmallVector<std::string> texts(StringRef key) {
    SmallVector<std::string> texts;
    llvm::json::Value *value = take(key, /*isRequired=*/false);
    if (!value)
      return texts;
    llvm::json::Array *array = value->getAsArray();
    for (const llvm::json::Value &entry :
         array ? *array : llvm::json::Array{nullptr}) {
      std::optional<StringRef> text = entry.getAsString();
      if (!text)
        fail("'" + key + "' is no list of strings");
      else
        texts.push_back(text->str());
    }
    return texts;
  }

  void fail(const Twine &message) {
    if (error.empty())
      error = message.str();
  }

  /// Whether all was read, and nothing was left.
  bool finish() {
    for (const auto &[key, value] : object)
      if (!llvm::is_contained(known, StringRef(key)))
        fail("unknown key '" + StringRef(key) + "'; known are " +
             llvm::join(known, ", "));
    return error.empty();
  }

private:
  llvm::json::Value *take(StringRef key, bool isRequired) {
    known.push_back(key);
    llvm::json::Value *value = object.get(key);
    if (!value && isRequired)
      fail("'" + key + "' is missing");
    return value;
  }

  llvm::json::Object object;
  SmallVector<StringRef> known;
  std::string &error;
};
} // namespace

TargetAttr moe::parseCpu(MLIRContext *context, const llvm::json::Object &chip,
                         std::string &error) {
  Reader reader(chip, error);
  Builder b(context);
  auto list = [&](ArrayRef<std::string> texts) {
    return b.getStrArrayAttr(
        SmallVector<StringRef>(texts.begin(), texts.end()));
  };
  std::string name = reader.text("name");
  std::string archName = reader.text("arch");
  std::string cpu = reader.text("cpu");
  std::string features = reader.text("features", "");
  SmallVector<std::string> needs = reader.texts("needs");
  SmallVector<std::string> instructions = reader.texts("instructions");
  int64_t lanes = reader.integer("lanes");
  int64_t registers = reader.integer("registers");
  int64_t l1 = reader.integer("l1"), l2 = reader.integer("l2");
  bool scalable = reader.boolean("scalable", false);
  int64_t run = reader.integer("run", 2 << 20);
  int64_t streamRows = reader.integer("stream_rows", 6);
  int64_t streamAhead = reader.integer("stream_ahead", 0);
  int64_t tileAhead = reader.integer("tile_ahead", 8192);
  int64_t prefetchLevel = reader.integer("prefetch_level", 2);
  std::optional<moecpu::Arch> arch = moecpu::symbolizeArch(archName);
  if (!arch)
    reader.fail("unknown arch '" + archName + "'; known are x86_64, aarch64");
  for (const std::string &need : needs)
    if (llvm::none_of(getCpuFeatures(), [&](const CpuFeature &feature) {
          return feature.name == need;
        }))
      reader.fail("unknown name '" + need + "' in 'needs'");
  if (!reader.finish())
    return {};
  // What the attribute's verifier says becomes the error.
  ScopedDiagnosticHandler handler(context, [&](Diagnostic &diagnostic) {
    reader.fail(diagnostic.str());
    return success();
  });
  ArrayAttr needNames = list(needs), instructionNames = list(instructions);
  if (failed(TargetAttr::verify(
          [&] { return emitError(UnknownLoc::get(context)); }, name, *arch, cpu,
          features, needNames, instructionNames, lanes, registers, l1, l2,
          scalable, run, streamRows, streamAhead, tileAhead, prefetchLevel)))
    return {};
  return TargetAttr::get(context, name, *arch, cpu, features, needNames,
                         instructionNames, lanes, registers, l1, l2, scalable,
                         run, streamRows, streamAhead, tileAhead,
                         prefetchLevel);
}

llvm::json::Object moe::describeCpu(TargetAttr cpu) {
  auto list = [](ArrayAttr names) {
    llvm::json::Array array;
    for (auto name : names.getAsRange<StringAttr>())
      array.push_back(name.getValue());
    return array;
  };
  return llvm::json::Object{{"name", cpu.getName()},
                            {"arch", moecpu::stringifyArch(cpu.getArch())},
                            {"cpu", cpu.getCpu()},
                            {"features", cpu.getFeatures()},
                            {"needs", list(cpu.getNeeds())},
                            {"instructions", list(cpu.getInstructions())},
                            {"lanes", cpu.getLanes()},
                            {"registers", cpu.getRegisters()},
                            {"l1", cpu.getL1()},
                            {"l2", cpu.getL2()},
                            {"scalable", cpu.getScalable()},
                            {"run", cpu.getRun()},
                            {"stream_rows", cpu.getStreamRows()},
                            {"stream_ahead", cpu.getStreamAhead()},
                            {"tile_ahead", cpu.getTileAhead()},
                            {"prefetch_level", cpu.getPrefetchLevel()}};
}
