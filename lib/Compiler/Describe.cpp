//===- Describe.cpp - What a compilation decided, and expects ---*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The figures come from the IR of three stages: the model says what has to be
// done, schedules what it is expected to take, and entry points what memory.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Compiler/Compiler.h"

#include "moe-mlir/Analysis/MissedFusion.h"
#include "moe-mlir/Analysis/Work.h"
#include "moe-mlir/Lowering/EntryPoints.h"
#include "moe-mlir/Target/Cost.h"

#include "mlir/IR/Remarks.h"

using namespace mlir;
using namespace moe;
namespace remarks = mlir::remark;

static constexpr int64_t kTokens[] = {1, 4, 16, 64, 512, 4096};

namespace {
/// Collects the remarks of passes.
class Collector : public remarks::detail::MLIRRemarkStreamerBase {
public:
  explicit Collector(std::vector<CompileReport::Decision> &decisions)
      : decisions(decisions) {}

  void
  streamOptimizationRemark(const remarks::detail::Remark &remark) override {
    CompileReport::Decision own;
    own.kind = remark.getRemarkTypeString().str();
    own.category = remark.getCombinedCategoryName().str();
    for (const remarks::detail::Remark::Arg &argument : remark.getArgs()) {
      if (argument.key == "Remark")
        own.message += argument.val;
      else if (argument.key == kFunctionKey)
        own.function = argument.val;
      else if (argument.key == kBytesOfTokenKey)
        own.bytesOfToken = std::atoll(argument.val.c_str());
      else
        own.message += " (" + argument.key + ": " + argument.val + ")";
    }
    llvm::raw_string_ostream(own.place) << remark.getLocation();
    for (CompileReport::Decision &known : decisions)
      if (known.kind == own.kind && known.category == own.category &&
          known.message == own.message) {
        ++known.count;
        return;
      }
    decisions.push_back(std::move(own));
  }

private:
  std::vector<CompileReport::Decision> &decisions;
};
} // namespace

static CompileReport::Call describeCall(func::FuncOp model,
                                        func::FuncOp planned,
                                        moek::TargetAttrInterface chip,
                                        int64_t tokens, int threads,
                                        std::vector<std::string> &unknown) {
  CompileReport::Call call;
  call.tokens = tokens;
  Work work = computeWork(model, getAllSizes(model, tokens));
  call.operations = work.operations();
  call.bytes = work.bytes();
  CallCost cost =
      estimateCall(planned, chip, getAllSizes(planned, tokens), threads);
  for (const KernelCost &kernel : cost.kernels)
    call.kernels.push_back({kernel.phase,
                            kernel.seconds < 0 ? std::string() : kernel.bound,
                            kernel.operations, kernel.bytes, kernel.seconds});
  call.seconds = cost.seconds();
  call.bound = cost.bound();
  for (auto *texts : {&work.unknown, &cost.unknown})
    for (const std::string &text : *texts)
      if (!llvm::is_contained(unknown, text))
        unknown.push_back(text);
  return call;
}

/// Schedules by phase, or by the kind of the kernel.
static std::vector<std::pair<std::string, std::string>>
getSchedules(func::FuncOp planned) {
  std::vector<std::pair<std::string, std::string>> schedules;
  planned.walk([&](Operation *op) {
    Attribute schedule = op->getAttr("schedule");
    if (!isa_and_nonnull<moek::ScheduleAttrInterface>(schedule))
      return;
    auto phase = op->getAttrOfType<StringAttr>("phase");
    std::string text;
    llvm::raw_string_ostream(text) << schedule;
    schedules.emplace_back(
        phase ? phase.str() : op->getName().stripDialect().str(), text);
  });
  return schedules;
}

/// Workspace and packed weights, as the entry point has them.
static void addMemory(CompileReport::Layer &layer, DictionaryAttr interface) {
  for (Attribute row : interface.getAs<ArrayAttr>("workspace")) {
    auto pair = cast<ArrayAttr>(row);
    for (CompileReport::Call &call : layer.calls)
      if (cast<IntegerAttr>(pair[0]).getInt() == call.tokens)
        call.workspace = cast<IntegerAttr>(pair[1]).getInt();
  }
  for (Attribute attr : interface.getAs<ArrayAttr>("arguments")) {
    auto argument = cast<DictionaryAttr>(attr);
    if (!argument.get("packed"))
      continue;
    CompileReport::Weight weight;
    weight.name = argument.getAs<StringAttr>("name").str();
    if (auto role = argument.getAs<StringAttr>("role"))
      weight.role = role.str();
    weight.bytes = 1;
    for (Attribute size : argument.getAs<ArrayAttr>("shape"))
      if (auto integer = dyn_cast<IntegerAttr>(size))
        weight.bytes *= integer.getInt();
    layer.weights.push_back(std::move(weight));
  }
}

/// What each missed fusion of `function` would save of the calls of its layer.
static void addGains(CompileReport &report, StringRef function,
                     const CompileReport::Layer &layer) {
  // In MB/s.
  double memory = 0;
  for (const auto &[name, rate] : report.rates)
    if (name == "dram")
      memory = static_cast<double>(rate) * 1e6;
  for (CompileReport::Decision &decision : report.decisions) {
    if (decision.bytesOfToken == 0 || decision.function != function)
      continue;
    decision.layer = layer.name;
    for (const CompileReport::Call &call : layer.calls) {
      CompileReport::Gain gain;
      gain.tokens = call.tokens;
      gain.bytes = static_cast<double>(decision.bytesOfToken * call.tokens);
      // The least that has to be moved, and what is moved without need.
      if (call.bytes > 0)
        gain.shareOfBytes = gain.bytes / (call.bytes + gain.bytes);
      if (call.seconds > 0 && memory > 0)
        gain.shareOfSeconds = std::min(gain.bytes / memory / call.seconds, 1.0);
      decision.gains.push_back(gain);
    }
  }
}

int moe::getCallThreads(moek::TargetAttrInterface chip, int asked) {
  if (asked > 0)
    return asked;
  llvm::json::Object described =
      TargetRegistry::get().find(chip)->describeChip(chip);
  const llvm::json::Object *rates = described.getObject("rates");
  return rates ? std::max<int64_t>(rates->getInteger("cores").value_or(1), 1)
               : 1;
}

FailureOr<CompileReport>
moe::describeCompilation(ModuleOp module, const CompileOptions &options,
                         moek::TargetAttrInterface chip, int threads) {
  CompileReport report;
  if (auto name = module->getAttrOfType<StringAttr>(kModelAttr))
    report.model = name.str();
  report.chip = chip.getChipName().str();
  report.rates = TargetRegistry::get().find(chip)->getRates(chip);
  threads = report.threads = getCallThreads(chip, threads);

  // Those of the stages to `planned`, once.
  MLIRContext *context = module.getContext();
  remarks::RemarkCategories all;
  all.all = all.passed = all.missed = all.failed = all.analysis = ".*";
  if (!context->getRemarkEngine() &&
      failed(remarks::enableOptimizationRemarks(
          *context, std::make_unique<Collector>(report.decisions),
          std::make_unique<remarks::RemarkEmittingPolicyAll>(), all)))
    return failure();
  OwningOpRef<ModuleOp> planned =
      compileToStage(module, options, chip, Stage::Planned);
  context->setRemarkEngine(nullptr);
  OwningOpRef<ModuleOp> model =
      compileToStage(module, options, chip, Stage::Model);
  OwningOpRef<ModuleOp> entries =
      compileToStage(module, options, chip, Stage::Runtime);
  if (!planned || !model || !entries)
    return failure();

  if (failed(describeKernels(module, options, chip, report.kernels)))
    return failure();

  llvm::StringMap<DictionaryAttr> interfaces;
  for (Attribute attr : (*entries)->getAttrOfType<ArrayAttr>(kInterfacesAttr)) {
    auto interface = cast<DictionaryAttr>(attr);
    interfaces[interface.getAs<StringAttr>("name").getValue()] = interface;
  }
  llvm::StringMap<std::vector<std::string>> same;
  if (auto aliases = (*planned)->getAttrOfType<ArrayAttr>(kAliasesAttr))
    for (Attribute attr : aliases) {
      auto alias = cast<DictionaryAttr>(attr);
      same[alias.getAs<StringAttr>("of").getValue()].push_back(
          alias.getAs<StringAttr>("entry").str());
    }
  for (auto function : planned->getOps<func::FuncOp>()) {
    auto original = model->lookupSymbol<func::FuncOp>(function.getName());
    if (!isEntryFunction(function) || !original)
      continue;
    CompileReport::Layer layer;
    layer.name = getEntryName(function).str();
    layer.same = same.lookup(function.getName());
    layer.schedules = getSchedules(function);
    for (int64_t tokens : kTokens)
      layer.calls.push_back(describeCall(original, function, chip, tokens,
                                         threads, layer.unknown));
    if (DictionaryAttr interface = interfaces.lookup(function.getName()))
      addMemory(layer, interface);
    addGains(report, function.getName(), layer);
    report.layers.push_back(std::move(layer));
  }
  return report;
}
