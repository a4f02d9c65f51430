//===- Target.cpp - What code is generated for -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/Target.h"

#include "moe-mlir/Target/Cost.h"
#include "moe-mlir/Target/KernelFacts.h"

#include "moe-mlir/Runtime/moe_rt.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"

using namespace mlir;
using namespace moe;

bool moe::operator==(const HostPlatform &a, const HostPlatform &b) {
  return a.triple == b.triple;
}

bool moe::isHost(StringRef gnuTriple) {
  return llvm::Triple(gnuTriple).getArch() ==
         llvm::Triple(llvm::sys::getProcessTriple()).getArch();
}

bool moe::runsHere(StringRef gnuTriple, uint64_t needs) {
  return isHost(gnuTriple) && (needs & ~moe_rt_cpu_features()) == 0;
}

ArrayRef<HostPlatform> moe::getHostPlatforms() {
  static const HostPlatform platforms[] = {
      {"x86_64-unknown-linux-gnu", "x86-64", "x86_64-linux-gnu"},
      {"aarch64-unknown-linux-gnu", "generic", "aarch64-linux-gnu"}};
  return platforms;
}

const HostPlatform &moe::getHostPlatform() {
  ArrayRef<HostPlatform> platforms = getHostPlatforms();
  auto *own = llvm::find_if(platforms, [](const HostPlatform &platform) {
    return isHost(platform.gnuTriple);
  });
  return own == platforms.end() ? platforms.front() : *own;
}

Target::~Target() = default;

bool Target::sharesLayout(moek::TargetAttrInterface,
                          moek::TargetAttrInterface) const {
  return true;
}

Target::Variations Target::getVariations(moek::TargetAttrInterface) const {
  return {};
}

std::optional<KernelCost> Target::estimate(Operation *,
                                           moek::TargetAttrInterface,
                                           const CostContext &) const {
  return std::nullopt;
}

std::vector<std::pair<std::string, int64_t>>
Target::getRates(moek::TargetAttrInterface chip) const {
  std::vector<std::pair<std::string, int64_t>> all;
  llvm::json::Object described = describeChip(chip);
  if (const llvm::json::Object *rates = described.getObject("rates"))
    for (const auto &[name, value] : *rates)
      all.emplace_back(name.str(), value.getAsInteger().value_or(0));
  llvm::sort(all);
  return all;
}

bool Target::describeKernels(ModuleOp, moek::TargetAttrInterface,
                             const CodeOptions &, std::vector<KernelFacts> &,
                             std::string &) const {
  return true;
}

TargetRegistry &TargetRegistry::get() {
  static TargetRegistry registry;
  return registry;
}

void TargetRegistry::add(std::unique_ptr<Target> target) {
  if (!find(target->getName()))
    targets.push_back(std::move(target));
}

const Target *TargetRegistry::find(StringRef name) const {
  for (const std::unique_ptr<Target> &target : targets)
    if (target->getName() == name)
      return target.get();
  return nullptr;
}

const Target *TargetRegistry::find(moek::TargetAttrInterface chip) const {
  return chip ? find(chip.getTargetName()) : nullptr;
}

std::vector<ChipInfo> TargetRegistry::getChips() const {
  std::vector<ChipInfo> chips;
  for (const std::unique_ptr<Target> &target : targets)
    llvm::append_range(chips, target->getChips());
  return chips;
}

std::string TargetRegistry::getChipNames() const {
  return llvm::join(
      llvm::map_range(getChips(),
                      [](const ChipInfo &chip) { return chip.name; }),
      ", ");
}

moek::TargetAttrInterface TargetRegistry::getChip(MLIRContext *context,
                                                  StringRef name) const {
  for (const std::unique_ptr<Target> &target : targets)
    if (moek::TargetAttrInterface chip = target->getChip(context, name))
      return chip;
  return {};
}

moek::TargetAttrInterface TargetRegistry::parseChip(MLIRContext *context,
                                                    StringRef text,
                                                    std::string &error) const {
  llvm::Expected<llvm::json::Value> value = llvm::json::parse(text);
  if (!value) {
    error = llvm::toString(value.takeError());
    return {};
  }
  llvm::json::Object *object = value->getAsObject();
  std::optional<StringRef> name =
      object ? object->getString("target") : std::nullopt;
  const Target *target = name ? find(*name) : nullptr;
  if (target) {
    llvm::json::Object chip = *object;
    chip.erase("target");
    return target->parseChip(context, chip, error);
  }
  error = name ? ("unknown target '" + *name + "'").str()
               : "expected an object with a string 'target'";
  error += "; known are ";
  llvm::raw_string_ostream os(error);
  llvm::interleaveComma(targets, os, [&](const std::unique_ptr<Target> &known) {
    os << known->getName();
  });
  return {};
}

std::string TargetRegistry::describeChip(moek::TargetAttrInterface chip) const {
  const Target *target = find(chip);
  if (!target)
    return {};
  llvm::json::Object object = target->describeChip(chip);
  object["target"] = target->getName();
  return llvm::formatv("{0:2}\n", llvm::json::Value(std::move(object)));
}

void TargetRegistry::registerDialects(DialectRegistry &registry) const {
  for (const std::unique_ptr<Target> &target : targets)
    target->registerDialects(registry);
}

void TargetRegistry::getDependentDialects(DialectRegistry &registry) const {
  for (const std::unique_ptr<Target> &target : targets)
    target->getDependentDialects(registry);
}
