//===- Targets.cpp - Whom an artifact is for --------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Compiler/Compiler.h"

#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>

using namespace mlir;
using namespace moe;

std::vector<std::string> moe::knownTargets() {
  std::vector<std::string> names;
  for (const ChipInfo &chip : TargetRegistry::get().getChips())
    names.push_back(chip.name);
  return names;
}

/// The one that an artifact with all of them would choose on this machine; null
/// if it runs none of them.
static const ChipInfo *findNative(ArrayRef<ChipInfo> chips) {
  SmallVector<const ChipInfo *> native;
  SmallVector<moe_variant> variants;
  for (const ChipInfo &chip : chips)
    if (chip.isNative) {
      native.push_back(&chip);
      variants.push_back({chip.name.c_str(), /*needs=*/0, /*traits=*/0,
                          static_cast<int64_t>(chip.models.size()),
                          chip.models.data()});
    }
  moe_variants all{sizeof(all), static_cast<int64_t>(variants.size()),
                   variants.data()};
  moe_cpu cpu{moe_rt_cpu_features(), moe_rt_cpu_model(), MOE_BF16_UNKNOWN,
              /*wanted=*/nullptr};
  int32_t best = moe_rt_choose_variant_for(&all, &cpu);
  return best < 0 ? nullptr : native[best];
}

std::vector<std::string> moe::describeTargets() {
  std::vector<std::string> lines;
  std::vector<ChipInfo> chips = TargetRegistry::get().getChips();
  const ChipInfo *native = findNative(chips);
  for (const ChipInfo &chip : chips) {
    std::string line;
    llvm::raw_string_ostream os(line);
    os << llvm::left_justify(chip.name, 24) << chip.summary
       << (&chip == native ? " (native)" : "");
    lines.push_back(std::move(line));
  }
  return lines;
}

/// The names that are asked for, in the order of the known ones.
static FailureOr<std::vector<std::string>>
resolveNames(Location location, ArrayRef<std::string> names) {
  std::vector<ChipInfo> chips = TargetRegistry::get().getChips();
  const ChipInfo *native = findNative(chips);
  llvm::StringSet<> chosen;
  for (StringRef name : names) {
    bool isKnown = false;
    for (const ChipInfo &chip : chips) {
      bool isMeant = name == "native" ? &chip == native
                     : name.ends_with("*")
                         ? StringRef(chip.name).starts_with(name.drop_back())
                         : chip.name == name;
      if (!isMeant)
        continue;
      isKnown = true;
      chosen.insert(chip.name);
    }
    if (isKnown)
      continue;
    std::string known = TargetRegistry::get().getChipNames();
    if (name == "native")
      return emitError(location,
                       "this machine runs none of the known targets: ")
             << known;
    return emitError(location)
           << "unknown target '" << name << "'; known are " << known
           << ", native, and a beginning with a * for all names with it";
  }
  std::vector<std::string> ordered;
  for (const ChipInfo &chip : chips)
    if (names.empty() ? chip.isDefault : chosen.contains(chip.name))
      ordered.push_back(chip.name);
  return ordered;
}

FailureOr<TargetList> moe::resolveTargets(ModuleOp module,
                                          const CompileOptions &options) {
  MLIRContext *context = module.getContext();
  Location unknown = UnknownLoc::get(context);
  TargetRegistry &registry = TargetRegistry::get();
  TargetList chips;
  for (const std::string &path : options.targetDescriptions) {
    auto file = llvm::MemoryBuffer::getFile(path, /*IsText=*/true);
    if (!file)
      return emitError(unknown)
             << "cannot read " << path << ": " << file.getError().message();
    std::string error;
    moek::TargetAttrInterface chip =
        registry.parseChip(context, (*file)->getBuffer(), error);
    if (!chip)
      return emitError(unknown) << path << ": " << error;
    chips.push_back(chip);
  }
  moek::TargetAttrInterface own = moek::getTarget(module);
  if (!options.targets.empty() || (chips.empty() && !own)) {
    FailureOr<std::vector<std::string>> names =
        resolveNames(unknown, options.targets);
    if (failed(names))
      return failure();
    for (const std::string &name : *names)
      chips.push_back(registry.getChip(context, name));
  }
  if (own) {
    for (moek::TargetAttrInterface chip : chips)
      if (chip != own)
        return module.emitError("the module is for ")
               << own << ", the options ask for " << chip.getChipName();
    if (!registry.find(own))
      return module.emitError("is for ")
             << own << ", but no target '" << own.getTargetName()
             << "' is registered; load the plugin that has it";
    return TargetList{own};
  }

  // What the artifact's interface is said of first.
  std::stable_partition(
      chips.begin(), chips.end(), [&](moek::TargetAttrInterface chip) {
        return registry.find(chip)->getCode(chip).device.empty();
      });
  llvm::StringSet<> names;
  for (moek::TargetAttrInterface chip : chips) {
    if (!names.insert(chip.getChipName()).second)
      return emitError(unknown)
             << "target " << chip.getChipName() << " is asked for twice";
    moek::TargetAttrInterface first = chips.front();
    if (registry.find(chip)->getCode(chip).platform !=
        registry.find(first)->getCode(first).platform)
      return emitError(unknown)
             << "targets " << first.getChipName() << " and "
             << chip.getChipName()
             << " are different architectures; compile them into artifacts of "
                "their own";
  }
  return chips;
}
