//===- CompilationOptions.cpp - What compiling tools share ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Tool/CommandLine.h"

#include "mlir/IR/Remarks.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Support/Timing.h"

using namespace moe::tools;
namespace cl = llvm::cl;
namespace remark = mlir::remark;

namespace {
/// Which remarks an option of upstream's mlir-opt is about.
struct RemarkOption {
  llvm::StringLiteral name, description;
  std::optional<std::string> remark::RemarkCategories::*category;
};
} // namespace

static constexpr RemarkOption kRemarkOptions[] = {
    {"remarks-filter", "Show all remarks: passed, missed, failed, analysis",
     &remark::RemarkCategories::all},
    {"remarks-filter-passed", "Show passed remarks",
     &remark::RemarkCategories::passed},
    {"remarks-filter-missed", "Show missed remarks",
     &remark::RemarkCategories::missed},
    {"remarks-filter-failed", "Show failed remarks",
     &remark::RemarkCategories::failed},
    {"remarks-filter-analyse", "Show analysis remarks",
     &remark::RemarkCategories::analysis}};

CompilationOptions::CompilationOptions(CommandLine &line)
    : extensions("pipeline-extension", cl::value_desc("point:passes"),
                 cl::cat(line.group("Code")),
                 cl::desc("Passes to run at the end of a stage: after-model:, "
                          "after-fused: or after another stage of the "
                          "compilation, and passes as for moe-opt")),
      activations(
          "activations", cl::value_desc("type"), cl::cat(line.group("Code")),
          cl::desc("How rows are rounded where they multiply weights in "
                   "formats: f32 (not at all), bf16, int8, int16, e4m3 or "
                   "auto (as finely as the weights were), on chips with "
                   "such products; by default what the module says in "
                   "moek.activations, or f32")),
      codegen("codegen", cl::value_desc("generator"),
              cl::cat(line.group("Code")),
              cl::desc("Who makes the innermost functions of kernels for CPUs: "
                       "halide, where it can; halide-only, or an error; or "
                       "halide-object, with machine code of its own, too; by "
                       "default what kernels and the module say in "
                       "moek.codegen, or this compiler")) {
  mlir::registerPassManagerCLOptions();
  mlir::registerDefaultTimingManagerCLOptions();
  line.adopt("Debugging",
             {"mlir-print-ir-before", "mlir-print-ir-after",
              "mlir-print-ir-before-all", "mlir-print-ir-after-all",
              "mlir-print-ir-after-change", "mlir-print-ir-after-failure",
              "mlir-timing", "mlir-timing-display"});
  for (const RemarkOption &option : kRemarkOptions)
    remarks.emplace_back(llvm::StringRef(option.name),
                         cl::desc(option.description), cl::value_desc("regex"),
                         cl::cat(line.group("Debugging")));
}

CompilationOptions::~CompilationOptions() { finish(); }

void CompilationOptions::finish() {
  whole.reset();
  timing.reset();
}

llvm::LogicalResult
CompilationOptions::setUp(mlir::PassManager &manager) const {
  mlir::MLIRContext &context = *manager.getContext();
  remark::RemarkCategories categories;
  bool hasRemarks = false;
  for (const auto &[option, filter] :
       llvm::zip_equal(kRemarkOptions, remarks)) {
    // A filter of a kind also makes the one of all kinds apply to that kind.
    categories.*option.category = filter;
    hasRemarks |= !filter.empty();
  }
  if (hasRemarks && !context.getRemarkEngine() &&
      mlir::failed(remark::enableOptimizationRemarks(
          context, /*streamer=*/nullptr,
          std::make_unique<remark::RemarkEmittingPolicyAll>(), categories,
          /*printAsEmitRemarks=*/true)))
    return mlir::failure();
  return mlir::applyPassManagerCLOptions(manager);
}

mlir::TimingScope &CompilationOptions::startTiming() {
  timing = std::make_unique<mlir::DefaultTimingManager>();
  mlir::applyDefaultTimingManagerCLOptions(*timing);
  whole = std::make_unique<mlir::TimingScope>(timing->getRootScope());
  return *whole;
}

bool CompilationOptions::printsIR() const {
  return llvm::any_of(cl::getRegisteredOptions(), [](const auto &entry) {
    return entry.first.starts_with("mlir-print-ir-") &&
           entry.second->getNumOccurrences();
  });
}
