//===- Print.cpp - What moe-run tells ---------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Print.h"

#include "moe-mlir/Run/Results.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/Path.h"

using namespace llvm;
using namespace moe;
using namespace moe::run;

static void printSummary(raw_ostream &os, const HostTensor &result) {
  Summary summary = summarize(result);
  os << result.name << ": " << result.describe();
  if (result.numElements())
    os << ", mean magnitude " << format("%.4g", summary.meanMagnitude)
       << ", largest " << format("%.4g", summary.largest);
  if (summary.notFinite)
    os << ", " << summary.notFinite << " not finite";
  os << "\n";
}

void run::print(raw_ostream &os, const Call &call) {
  os << call.function().name << ":";
  for (auto [name, size] : zip_equal(call.function().sizes, call.sizes()))
    os << " " << name << " = " << size << ",";
  if (std::string device = call.deviceName(); !device.empty())
    os << " device = " << device;
  else
    os << " threads = " << call.threads();
  os << ", workspace = " << call.workspaceBytes() << " bytes";
  // Older artifacts do not tell, in an emulator.
  if (!call.variant().empty())
    os << ", variant = " << call.variant();
  os << "\n";
  for (const HostTensor &result : call.results())
    printSummary(os, result);
}

static void printCheck(raw_ostream &os, const ResultCheck &check) {
  const Comparison &comparison = check.comparison;
  os << "verify " << check.name << ": ";
  if (check.isUnknown()) {
    os << "no token whose choice of experts is known\n";
    return;
  }
  if (check.isRows)
    os << check.rows << " tokens";
  else
    os << "1 value";
  if (!comparison.compared) {
    os << ", nothing to compare\n";
    return;
  }
  os << ", largest error " << format("%.3g", comparison.error) << " of "
     << format("%.3g", comparison.allowed) << " allowed";
  if (check.replayed)
    os << ", " << check.replayed << " tokens routed as the kernel did";
  if (check.leftOut)
    os << ", " << check.leftOut
       << " tokens near a tie of a router that is not traced left out";
  if (comparison.complaint.empty())
    os << ": PASS\n";
  else
    os << ": FAIL: " << comparison.complaint << "\n";
}

void run::print(raw_ostream &os, const Verification &verification) {
  if (!verification.whyAll.empty())
    os << "verify: all tokens, because " << verification.whyAll << "\n";
  for (const ResultCheck &check : verification.results)
    printCheck(os, check);
  if (!verification.routingComplaint.empty())
    os << "verify routing: FAIL: " << verification.routingComplaint << "\n";
}

/// With three digits and a prefix: "4.03 M".
static std::string amount(double value) {
  const char *const prefixes[] = {"", " k", " M", " G", " T", " P"};
  size_t i = 0;
  for (; value >= 999.5 && i + 1 < std::size(prefixes); ++i)
    value /= 1000;
  std::string text;
  raw_string_ostream(text) << format("%.3g", value) << (i ? prefixes[i] : " ");
  return text;
}

static void printNotCounted(raw_ostream &os, const Work &work) {
  for (const std::string &what : work.unknown)
    os << "bench: not counted: " << what << "\n";
}

void run::print(raw_ostream &os, const BenchResult &result) {
  os << "bench: median " << format("%.3f", result.median() * 1e3)
     << " ms, minimum " << format("%.3f", result.minimum() * 1e3) << " ms of "
     << result.seconds.size() << " repeats";
  if (double tokens = result.tokensPerSecond(); tokens > 0)
    os << ", " << format("%.4g", tokens) << " tokens/s";
  os << "\n";
  if (!result.work)
    return;
  const Work &work = *result.work;
  os << "bench: " << amount(work.operations()) << "FLOP, "
     << amount(work.weightBytes) << "B of weights, "
     << amount(work.activationBytes) << "B of activations"
     << (work.isExpected ? ", if all experts are chosen alike\n" : "\n");
  double seconds = result.median();
  if (!result.device.empty()) {
    os << "bench: " << amount(work.operations() / seconds) << "FLOP/s, "
       << amount(work.bytes() / seconds) << "B/s\n";
    printNotCounted(os, work);
    return;
  }
  Roofline roofline = result.roofline();
  os << "bench: " << amount(work.operations() / seconds) << "FLOP/s of "
     << amount(result.peak) << "FLOP/s, " << amount(work.bytes() / seconds)
     << "B/s of " << amount(result.dram)
     << "B/s: " << format("%.1f", 100 * roofline.fraction)
     << " % of the roofline, bound by "
     << (roofline.isMemoryBound ? "memory" : "compute") << "\n";
  printNotCounted(os, work);
}

void TracePrinter::print(raw_ostream &os, const moe_trace_event &event) {
  auto now = std::chrono::steady_clock::now();
  if (event.kind != MOE_TRACE_PHASE_BEGIN)
    os << "trace: " << (event.function ? event.function : "?") << ": ";
  switch (event.kind) {
  case MOE_TRACE_ROUTING: {
    int64_t active = 0;
    int32_t largest = 0;
    for (int64_t e = 0; event.offsets && e < event.experts; ++e) {
      int32_t load = event.offsets[e + 1] - event.offsets[e];
      active += load != 0;
      largest = std::max(largest, load);
    }
    os << "routing of " << event.tokens << " tokens to " << event.experts
       << " experts, at most " << event.slots
       << " each: " << (event.offsets ? event.offsets[event.experts] : 0)
       << " assignments, " << active << " experts active, largest load "
       << largest << "\n";
    return;
  }
  case MOE_TRACE_PHASE_BEGIN:
    phaseBegin = now;
    return;
  case MOE_TRACE_PHASE_END: {
    std::chrono::duration<double, std::milli> time = now - phaseBegin;
    os << (event.phase ? event.phase : "?") << " took "
       << format("%.3f", time.count()) << " ms\n";
    return;
  }
  }
  os << "event " << event.kind << "\n";
}

/// Where the tensors come from, in words.
static std::string describeInputs(const CommandLine &options,
                                  size_t numFunctions) {
  std::vector<std::string> from;
  for (const std::string &file : options.inputFiles)
    from.push_back(sys::path::filename(file).str());
  if (!options.weightsFile.empty())
    from.push_back(sys::path::filename(options.weightsFile).str());
  if (options.random.seed.getNumOccurrences())
    from.push_back("random, seed " + options.random.seed +
                   (numFunctions > 1 ? " and following" : ""));
  return llvm::join(from, ", ");
}

bool run::writeReport(const Given &given, RoutingReport &report,
                      size_t numFunctions, moe::OutputSet &outputs,
                      std::string &error) {
  StringRef input = given.options.inputFile;
  if (report.title.empty())
    report.title = sys::path::stem(input).str();
  report.facts = {{given.isModel ? "Model file" : "Artifact",
                   sys::path::filename(input).str()},
                  {"Tensors", describeInputs(given.options, numFunctions)}};
  return outputs.write(given.options.routingReport, report.html(), error);
}

void run::printReport(raw_ostream &os, const RoutingReport &report,
                      StringRef path) {
  size_t routings = report.records.size();
  os << "routing report of " << routings << " routing"
     << (routings == 1 ? "" : "s") << ": " << path << "\n";
  for (const RoutingRecord &record : report.records)
    if (!record.cause.empty())
      os << record.layer << " has collapsed: " << record.cause << "\n";
}
