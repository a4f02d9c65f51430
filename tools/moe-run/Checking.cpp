//===- Checking.cpp - Whether results are right ------------------ -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Checking.h"
#include "Print.h"

#include "moe-mlir/Run/CrossCheck.h"
#include "moe-mlir/Run/Targets.h"
#include "moe-mlir/Run/Verify.h"
#include "moe-mlir/Support/Progress.h"

#include "llvm/Support/Format.h"

using namespace llvm;
using namespace moe::run;
namespace run = moe::run;

/// Tokens that tell what rounding does, where all are compared with other code.
static constexpr int64_t kSampledTokens = 4;

static bool verifyCall(const Checked &checked, Verification &verification,
                       std::string &error) {
  const run::CommandLine &given = checked.given.options;
  const moe::Manifest &manifest = checked.loaded.artifact->manifest();
  VerifyOptions options;
  options.tokens = given.verifyTokens;
  if (checked.loaded.other && !given.verify && !options.tokens)
    options.tokens = kSampledTokens;
  options.threads = given.threads;
  options.narrowsRows = narrowsRows(manifest, checked.call.variant());
  options.activations = getActivations(manifest, checked.call.variant());
  moe::Progress progress("verifying", "experts");
  if (moe::Progress::isShown())
    options.progress = progress.function();
  bool isDone =
      run::verify(checked.model, checked.call.function(), checked.call.sizes(),
                  checked.inputs, checked.call.results(), checked.routings,
                  options, verification, error);
  progress.hide();
  if (!isDone)
    return false;
  run::print(outs(), verification);
  if (verification.compared())
    return true;
  error = "'" + checked.call.function().name +
          "' has no values for these sizes, so that nothing was verified";
  return false;
}

static void print(raw_ostream &os, ArrayRef<CrossCheckedResult> results,
                  StringRef name) {
  for (const CrossCheckedResult &result : results) {
    os << "cross-check " << result.name << " by " << name << ": " << result.rows
       << " rows, largest difference " << format("%.3g", result.difference)
       << " of " << format("%.3g", result.allowed) << " allowed";
    if (result.leftOut)
      os << ", " << result.leftOut << " rows routed otherwise left out";
    if (!result.complaint.empty())
      os << ": FAIL: " << result.complaint << "\n";
    else
      os << (result.rows ? ": PASS\n" : ": FAIL: nothing to compare\n");
  }
}

/// Runs the other artifact on the same arguments.
static bool crossCheckCall(const Checked &checked, const Verification &sample,
                           bool &passed, std::string &error) {
  std::unique_ptr<Call> other =
      Call::prepare(*checked.loaded.other, checked.entry, checked.inputs,
                    checked.given.options.threads, error, &checked.call);
  if (!other)
    return false;
  RoutingTrace routings;
  other->setTrace(
      [&](const moe_trace_event &event) { routings.record(event); });
  if (!other->invoke(error))
    return false;
  std::vector<CrossCheckedResult> results =
      run::crossCheck(checked.call, checked.routings, *other, routings, sample);
  print(outs(), results, checked.given.options.crossCheck);
  for (const CrossCheckedResult &result : results)
    passed &= result.complaint.empty() && result.rows > 0;
  return true;
}

bool run::check(const Checked &checked, bool &passed, std::string &error) {
  Verification verification;
  if (!verifyCall(checked, verification, error))
    return false;
  passed = verification.passed();
  return !checked.loaded.other ||
         crossCheckCall(checked, verification, passed, error);
}
