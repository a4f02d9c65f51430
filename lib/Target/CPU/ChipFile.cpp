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
    return list<std::string>(
        key, "strings", [](const llvm::json::Value &entry) {
          std::optional<StringRef> text = entry.getAsString();
          return text ? std::optional(text->str()) : std::nullopt;
        });
  }

  SmallVector<int64_t> integers(StringRef key) {
    return list<int64_t>(key, "integers", [](const llvm::json::Value &entry) {
      return entry.getAsInteger();
    });
  }

  /// The integers of an object by their names; null if there are none.
  DictionaryAttr rates(StringRef key, MLIRContext *context) {
    llvm::json::Value *value = take(key, /*isRequired=*/false);
    if (!value)
      return {};
    llvm::json::Object *rates = value->getAsObject();
    NamedAttrList list;
    for (const auto &[name, rate] : rates ? *rates : llvm::json::Object()) {
      std::optional<int64_t> integer = rate.getAsInteger();
      if (!integer)
        fail("'" + StringRef(name) + "' of '" + key + "' is no integer");
      list.append(StringRef(name),
                  Builder(context).getI64IntegerAttr(integer.value_or(1)));
    }
    if (!rates)
      fail("'" + key + "' is no object");
    return list.empty() ? DictionaryAttr() : list.getDictionary(context);
  }

  SmallVector<llvm::json::Object> objects(StringRef key) {
    return list<llvm::json::Object>(
        key, "objects", [](const llvm::json::Value &entry) {
          const llvm::json::Object *object = entry.getAsObject();
          return object ? std::optional(*object) : std::nullopt;
        });
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
  /// Nothing if the key is not there.
  template <typename T, typename Convert>
  SmallVector<T> list(StringRef key, StringRef what, Convert convert) {
    SmallVector<T> entries;
    llvm::json::Value *value = take(key, /*isRequired=*/false);
    if (!value)
      return entries;
    llvm::json::Array *array = value->getAsArray();
    for (const llvm::json::Value &entry :
         array ? *array : llvm::json::Array{nullptr}) {
      if (std::optional<T> converted = convert(entry))
        entries.push_back(std::move(*converted));
      else
        fail("'" + key + "' is no list of " + what);
    }
    return entries;
  }

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

/// Null, with an error, if what is there is no rule.
static moecpu::PrefetchAttr parseRule(MLIRContext *context,
                                      const llvm::json::Object &object,
                                      std::string &error) {
  Reader reader(object, error);
  int64_t rows = reader.integer("rows");
  SmallVector<int64_t> ahead = reader.integers("ahead");
  SmallVector<int64_t> levels = reader.integers("levels");
  if (!reader.finish())
    return {};
  return moecpu::PrefetchAttr::getChecked(
      [&] { return emitError(UnknownLoc::get(context)); }, context, rows,
      ArrayRef<int64_t>(ahead), ArrayRef<int64_t>(levels));
}

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
  SmallVector<std::string> models = reader.texts("models");
  DictionaryAttr rates = reader.rates("rates", context);
  int64_t run = reader.integer("run", 0), chunk = reader.integer("chunk", 0);
  SmallVector<llvm::json::Object> rules = reader.objects("prefetch");
  int64_t prefetchLevel = reader.integer("prefetch_level", 0);
  int64_t widened = reader.integer("widened", 0);
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
  SmallVector<moecpu::PrefetchAttr> prefetch;
  for (const llvm::json::Object &rule : rules) {
    prefetch.push_back(parseRule(context, rule, error));
    if (!prefetch.back())
      return {};
  }
  SmallVector<StringAttr> modelNames;
  for (const std::string &model : models)
    modelNames.push_back(b.getStringAttr(model));
  return TargetAttr::getChecked(
      [&] { return emitError(UnknownLoc::get(context)); }, context,
      StringRef(name), *arch, StringRef(cpu), StringRef(features), list(needs),
      list(instructions), lanes, registers, l1, l2, scalable,
      ArrayRef<StringAttr>(modelNames), rates, run, chunk,
      ArrayRef<moecpu::PrefetchAttr>(prefetch), prefetchLevel, widened);
}

llvm::json::Object moe::describeCpu(TargetAttr cpu) {
  auto list = [](ArrayAttr names) {
    llvm::json::Array array;
    for (auto name : names.getAsRange<StringAttr>())
      array.push_back(name.getValue());
    return array;
  };
  llvm::json::Array rules;
  for (moecpu::PrefetchAttr rule : cpu.getPrefetch())
    rules.push_back(
        llvm::json::Object{{"rows", rule.getRows()},
                           {"ahead", llvm::json::Array(rule.getAhead())},
                           {"levels", llvm::json::Array(rule.getLevels())}});
  llvm::json::Array models;
  for (StringAttr model : cpu.getModels())
    models.push_back(model.getValue());
  llvm::json::Object rates;
  if (cpu.getRates())
    for (NamedAttribute rate : cpu.getRates())
      rates[rate.getName().getValue()] =
          cast<IntegerAttr>(rate.getValue()).getInt();
  llvm::json::Object chip{{"name", cpu.getName()},
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
                          {"models", std::move(models)},
                          {"rates", std::move(rates)}};
  // Tuning that is not there is chosen for each kernel.
  if (cpu.getRun())
    chip["run"] = cpu.getRun();
  if (cpu.getChunk())
    chip["chunk"] = cpu.getChunk();
  if (!rules.empty())
    chip["prefetch"] = std::move(rules);
  if (cpu.getPrefetchLevel())
    chip["prefetch_level"] = cpu.getPrefetchLevel();
  if (cpu.getWidened())
    chip["widened"] = cpu.getWidened();
  return chip;
}
