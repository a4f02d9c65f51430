//===- Verify.cpp - Comparing with the interpreter -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A layer treats tokens one by one, so that a few rows of all activations can
// stand for the whole.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Run/Verify.h"

#include "ModelArguments.h"
#include "moe-mlir/Reference/Interpreter.h"
#include "moe/Moe.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/Twine.h"

#include <cmath>
#include <limits>

using namespace mlir;
using namespace moe::run;
using moe::HostTensor;

/// How often the interpreter draws rounding errors. Layers of more elements
/// than this have rows so wide that fewer tell as much.
static constexpr int64_t kDraws = 8, kDrawsOfLarge = 2;
static constexpr int64_t kLargeElements = int64_t(1) << 26;

//===----------------------------------------------------------------------===//
// Which tokens
//===----------------------------------------------------------------------===//

/// Why tokens of `function` depend on each other, or an empty string. Helper
/// functions count, too, whoever calls them.
static std::string findCoupling(func::FuncOp function) {
  std::string reason;
  auto module = function->getParentOfType<ModuleOp>();
  module.walk<WalkOrder::PreOrder>([&](Operation *op) {
    auto other = dyn_cast<func::FuncOp>(op);
    if (other && other.isPublic() && other != function)
      return WalkResult::skip();
    if (isa<moe::RoutingLimitOp, moe::RoutingOffsetsOp, moe::RoutingTokensOp,
            moe::RoutingNumTokensOp, moe::BalanceOp>(op))
      reason = "it has " + op->getName().getStringRef().str();
    if (auto router = dyn_cast<moe::RouterOp>(op);
        router && router.getPolicy().seesAllTokens())
      reason = "its router sees all of them";
    if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op)) {
      SmallVector<int64_t> ranges = linalgOp.getStaticLoopRanges();
      for (auto [kind, range] :
           llvm::zip_equal(linalgOp.getIteratorTypesArray(), ranges))
        if (kind != utils::IteratorType::parallel &&
            ShapedType::isDynamic(range))
          reason = "it reduces over tokens";
    }
    for (Type type : op->getResultTypes())
      if (auto shaped = dyn_cast<ShapedType>(type))
        if (shaped.hasRank() && shaped.getNumDynamicDims() > 1)
          reason = "it compares tokens with each other";
    return reason.empty() ? WalkResult::advance() : WalkResult::interrupt();
  });
  return reason;
}

/// Evenly spread, with the first and the last one.
static SmallVector<int64_t> chooseTokens(int64_t tokens, int64_t wanted) {
  SmallVector<int64_t> chosen;
  if (wanted <= 0 || wanted >= tokens) {
    for (int64_t i = 0; i < tokens; ++i)
      chosen.push_back(i);
    return chosen;
  }
  for (int64_t i = 0; i < wanted; ++i)
    chosen.push_back(wanted == 1 ? tokens / 2
                                 : i * (tokens - 1) / (wanted - 1));
  return chosen;
}

//===----------------------------------------------------------------------===//
// Comparing
//===----------------------------------------------------------------------===//

int64_t Verification::compared() const {
  int64_t sum = 0;
  for (const ResultCheck &result : results)
    sum += result.comparison.compared;
  return sum;
}

bool Verification::passed() const {
  return compared() && routingComplaint.empty() &&
         llvm::all_of(results, [](const ResultCheck &result) {
           return !result.isUnknown() && result.comparison.complaint.empty();
         });
}

namespace {
/// Interprets once exactly, and then with random rounding errors.
struct Draws {
  /// The results of the exact run, then of each draw.
  std::vector<std::vector<HostTensor>> computed;

  bool run(func::FuncOp function, ArrayRef<HostTensor> arguments,
           Replay &replay, const VerifyOptions &options, std::string &error) {
    int64_t elements = 0;
    for (const HostTensor &argument : arguments)
      elements += argument.numElements();
    int64_t draws = elements > kLargeElements ? kDrawsOfLarge : kDraws;
    moe::reference::Options interpreter;
    interpreter.numThreads = options.threads;
    interpreter.routerHook = &replay;
    for (int64_t draw = 0; draw <= draws; ++draw) {
      if (options.progress)
        interpreter.progress = [&](uint64_t done, uint64_t total,
                                   const std::string &) {
          options.progress(draw * total + done, (draws + 1) * total, "");
        };
      if (draw)
        interpreter.rounding = {static_cast<uint64_t>(draw),
                                options.narrowsRows, options.activations};
      replay.begin();
      FailureOr<std::vector<HostTensor>> values =
          moe::reference::interpret(function, arguments, interpreter);
      if (failed(values)) {
        error = "the interpreter failed";
        return false;
      }
      computed.push_back(std::move(*values));
    }
    return true;
  }
};
} // namespace

bool moe::run::verify(func::FuncOp function, const FunctionDesc &desc,
                      const std::vector<int64_t> &sizeValues,
                      const FunctionInputs &inputs,
                      const std::vector<HostTensor> &results,
                      const RoutingTrace &trace, const VerifyOptions &options,
                      Verification &verification, std::string &error) {
  if (function.getNumResults() != results.size() || function.isExternal()) {
    error = "the model's '" + function.getName().str() +
            "' is not what the artifact was compiled from";
    return false;
  }
  // The size that most rows are counted by is the first one.
  std::string tokenSize = desc.sizes.empty() ? "" : desc.sizes.front();
  int64_t tokens = sizeValues.empty() ? 0 : sizeValues.front();
  int64_t wanted = options.tokens;
  if (wanted)
    verification.whyAll = findCoupling(function);
  if (!verification.whyAll.empty())
    wanted = 0;
  SmallVector<int64_t> chosen = chooseTokens(tokens, wanted);
  std::vector<HostTensor> arguments;
  if (!makeModelArguments(function, desc, sizeValues, inputs, tokenSize, chosen,
                     arguments, error))
    return false;
  Replay replay(trace, chosen);
  Draws draws;
  if (!draws.run(function, arguments, replay, options, error))
    return false;

  // The routers that the trace does not have may choose otherwise in a kernel.
  SmallVector<int64_t> kept;
  for (int64_t row = 0, e = chosen.size(); row < e; ++row)
    if (!replay.undecided().count(row))
      kept.push_back(row);
  for (auto [i, result] : llvm::enumerate(results)) {
    const ArgumentDesc &value = desc.results[i];
    ResultCheck check;
    check.name = value.name;
    check.isRows = !value.shape.empty() && value.shape[0].isDynamic() &&
                   value.shape[0].name == tokenSize;
    HostTensor got = check.isRows ? takeRows(result, chosen) : result;
    HostTensor exact = draws.computed.front()[i];
    if (exact.numElements() != got.numElements()) {
      error = "result '" + value.name + "' of the model is " +
              exact.describe() + ", of the artifact " + got.describe();
      return false;
    }
    std::vector<HostTensor> drawn;
    for (const auto &values : ArrayRef(draws.computed).drop_front())
      drawn.push_back(values[i]);
    if (check.isRows) {
      check.rows = kept.size();
      check.leftOut = chosen.size() - kept.size();
      check.replayed = replay.replayed().size();
    }
    if (check.isUnknown()) {
      verification.results.push_back(std::move(check));
      continue;
    }
    if (check.leftOut) {
      got = takeRows(got, kept);
      exact = takeRows(exact, kept);
      for (HostTensor &draw : drawn)
        draw = takeRows(draw, kept);
    }
    // A number for each token is a row of its own.
    int64_t width = got.shape.empty() || (check.isRows && got.shape.size() == 1)
                        ? 1
                        : got.shape.back();
    check.comparison = compare(got, exact, drawn, width);
    verification.results.push_back(std::move(check));
  }
  verification.routingComplaint = replay.complaint();
  return true;
}
