//===- Replay.cpp - The kernel's own routing, judged -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Run/Replay.h"
#include "moe-mlir/Run/Comparison.h"

#include "moe-mlir/Reference/ReferenceInterfaces.h"
#include "moe/Moe.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/InterleavedRange.h"
#include "llvm/Support/raw_ostream.h"

#include <cmath>
#include <limits>

using namespace mlir;
using namespace moe::run;
using moe::reference::Decision;

/// The first and the last change that is tried, in parts of the largest score.
static constexpr double kLeastChange = 0x1p-30, kLargestChange = 1.0;

void RoutingTrace::record(const moe_trace_event &event) {
  int64_t size = event.tokens * event.slots;
  if (event.kind != MOE_TRACE_ROUTING || (!event.indices && size > 0))
    return;
  routings.push_back({event.tokens,
                      event.experts,
                      event.slots,
                      {event.indices, event.indices + size}});
}

void Replay::begin() {
  ++runs;
  nextRouter = nextRouting = 0;
}

/// The next routing of the trace that can be one of this router. Experts that
/// every token visits come after the router's own, each in a slot of its own.
const RoutingTrace::Routing *Replay::findRouting(const Decision &decision) {
  for (; nextRouting < trace.routings.size(); ++nextRouting) {
    const RoutingTrace::Routing &routing = trace.routings[nextRouting];
    int64_t added = routing.experts - decision.experts;
    bool hasRows = routing.tokens == decision.tokens ||
                   (decision.tokens == static_cast<int64_t>(rows.size()) &&
                    !rows.empty() && rows.back() < routing.tokens);
    if (added >= 0 && routing.slots == decision.slots + added && hasRows)
      return &trace.routings[nextRouting++];
  }
  return nullptr;
}

/// The experts of the trace that are the router's own, in its slots.
std::vector<int32_t> Replay::tracedChoice(const RoutingTrace::Routing &routing,
                                          const Decision &decision,
                                          int64_t token) const {
  int64_t row = routing.tokens == decision.tokens ? token : rows[token];
  ArrayRef<int32_t> all =
      ArrayRef(routing.expertOf).slice(row * routing.slots, routing.slots);
  std::vector<int32_t> own;
  for (int32_t expert : all)
    if (expert < decision.experts &&
        static_cast<int64_t>(own.size()) < decision.slots)
      own.push_back(expert);
  own.resize(decision.slots, -1);
  return own;
}

static std::set<int32_t> expertsIn(ArrayRef<int32_t> choice) {
  std::set<int32_t> experts(choice.begin(), choice.end());
  experts.erase(-1);
  return experts;
}

/// The choice without unused slots, wherever those are.
static std::vector<int32_t> compact(ArrayRef<int32_t> choice) {
  std::vector<int32_t> experts;
  llvm::copy_if(choice, std::back_inserter(experts),
                [](int32_t expert) { return expert >= 0; });
  return experts;
}

/// Whether the routing that is traced may be not the router's own but what a
/// limit on it left: a kernel of lists may do both, one of masks does not.
static bool mayBeLimited(moe::RouterOp router) {
  return router->hasOneUse() &&
         isa<moe::RoutingLimitOp>(*router->getUsers().begin()) &&
         !router.getPolicy().selectsByMask();
}

/// What rounding a score is relative to: see NumberFormat::least.
static double sizeOf(double score) {
  return std::max(std::fabs(score), 0x1p-126);
}

namespace {
/// Ways in which rounding can have changed the scores of a token: by `change`
/// up or down for the chosen experts, and for the others.
struct ScoreChange {
  double chosen, others;
  /// Better slots get more.
  bool isGraded;
};
constexpr ScoreChange kScoreChanges[] = {
    {1, -1, true}, {1, -1, false},  {1, 0, false},  {0, -1, false},
    {1, 1, false}, {-1, -1, false}, {-1, 1, false},
};
} // namespace

LogicalResult Replay::onDecision(Operation *op, ArrayRef<double> scores,
                                 Decide decide, Decision &decision) {
  size_t index = nextRouter++;
  bool isFirst = runs == 1;
  if (isFirst) {
    Router router;
    if (const RoutingTrace::Routing *traced = findRouting(decision))
      router.routing = *traced, router.isTraced = true;
    else
      router.routing = {decision.tokens, decision.experts, decision.slots,
                        decision.expertOf};
    router.experts = decision.experts;
    router.slots = decision.slots;
    auto policy = dyn_cast<moe::reference::ReferencePolicyAttrInterface>(
        Attribute(cast<moe::RouterOp>(op).getPolicy()));
    router.slack = policy ? policy.scoreSlack() : 0.0;
    router.scores.assign(scores.begin(), scores.end());
    router.squares.assign(scores.size(), 0.0);
    routers.push_back(std::move(router));
  }
  // How often a loop runs may depend on data.
  if (index >= routers.size() || routers[index].scores.size() != scores.size())
    return success();
  Router &router = routers[index];
  if (!isFirst)
    for (auto [square, exact, drawn] :
         llvm::zip_equal(router.squares, router.scores, scores))
      square += (drawn - exact) * (drawn - exact);

  bool mayDrop = router.isTraced && mayBeLimited(cast<moe::RouterOp>(op));
  bool isJoint = cast<moe::RouterOp>(op).getPolicy().seesAllTokens();
  int64_t slots = decision.slots, experts = decision.experts;
  // A limit looks at the slots, and leaves the others where they are.
  auto fits = [&](ArrayRef<int32_t> own, ArrayRef<int32_t> kernel) {
    if (!mayDrop)
      return compact(own) == compact(kernel);
    return llvm::all_of_zip(own, kernel, [](int32_t mine, int32_t theirs) {
      return theirs < 0 || mine == theirs;
    });
  };
  struct Open {
    int64_t token;
    std::vector<int32_t> kernel;
    double scale; // the largest score
  };
  std::vector<Open> open;
  for (int64_t t = 0; t < decision.tokens; ++t) {
    std::vector<int32_t> kernel = tracedChoice(router.routing, decision, t);
    ArrayRef<int32_t> own = ArrayRef(decision.expertOf).slice(t * slots, slots);
    if (fits(own, kernel))
      continue;
    if (!router.isTraced)
      undecidedTokens.insert(t);
    double scale = 0.0;
    if (!scores.empty())
      for (double score : scores.slice(t * experts, experts))
        if (std::isfinite(score))
          scale = std::max(scale, std::fabs(score));
    open.push_back({t, std::move(kernel), scale});
  }
  if (open.empty())
    return success();

  // All tokens that differ are changed at once: a router that sees all of them
  // is then moved as a whole.
  Decision replaced = decision;
  auto take = [&](const Open &token, double change, bool isRelative,
                  const Decision &from) {
    int64_t begin = token.token * slots;
    std::copy_n(from.expertOf.begin() + begin, slots,
                replaced.expertOf.begin() + begin);
    std::copy_n(from.weightOf.begin() + begin, slots,
                replaced.weightOf.begin() + begin);
    if (!isFirst)
      return;
    ArrayRef<int32_t> own = ArrayRef(decision.expertOf).slice(begin, slots);
    router.differences.push_back(
        {token.token, change, isRelative, token.kernel, own});
  };
  // Where tokens compete for an expert, its scores may all be far below the
  // others of their tokens.
  for (double part = kLeastChange;
       part <= kLargestChange && !scores.empty() && !open.empty(); part *= 2)
    for (int choice = 0, ways = std::size(kScoreChanges);
         choice < (isJoint ? 2 * ways : ways); ++choice) {
      const ScoreChange &way = kScoreChanges[choice % ways];
      bool isRelative = isJoint && choice < ways;
      std::vector<double> changed(scores.begin(), scores.end());
      for (const Open &token : open) {
        double *row = changed.data() + token.token * experts;
        std::vector<double> by(experts, way.others);
        for (auto [slot, expert] : llvm::enumerate(token.kernel))
          if (expert >= 0)
            by[expert] = way.isGraded
                             ? 1.0 - static_cast<double>(slot) / (2 * slots)
                             : way.chosen;
        for (int64_t e = 0; e < experts; ++e)
          row[e] += part * (isRelative ? sizeOf(row[e]) : token.scale) * by[e];
      }
      FailureOr<Decision> other = decide(changed);
      if (failed(other))
        return failure();
      auto isFound = [&](const Open &token) {
        return fits(ArrayRef(other->expertOf).slice(token.token * slots, slots),
                    token.kernel);
      };
      // Where tokens are chosen together, one decision is that of all, also
      // of those from which a limit may have taken what they lost.
      if (isJoint && !llvm::all_of(open, isFound))
        continue;
      if (isJoint)
        replaced = *other;
      llvm::erase_if(open, [&](const Open &token) {
        if (!isFound(token))
          return false;
        ArrayRef<int32_t> own =
            ArrayRef(other->expertOf).slice(token.token * slots, slots);
        ArrayRef<int32_t> before =
            ArrayRef(decision.expertOf).slice(token.token * slots, slots);
        bool isOrder = expertsIn(before) == expertsIn(own);
        double change = isRelative ? part : part * token.scale;
        take(token, isOrder ? change / (2 * slots) : change, isRelative,
             *other);
        return true;
      });
      if (open.empty())
        break;
    }
  for (const Open &token : open) {
    ArrayRef<int32_t> own =
        ArrayRef(decision.expertOf).slice(token.token * slots, slots);
    // An order of slots that scores do not tell is no choice of experts.
    if (expertsIn(own) != expertsIn(token.kernel))
      take(token, std::numeric_limits<double>::infinity(),
           /*isRelative=*/false, decision);
  }
  if (isFirst)
    for (const Difference &difference : router.differences)
      if (decision.tokens == static_cast<int64_t>(rows.size()))
        replayedTokens.insert(difference.token);
  decision = std::move(replaced);
  return success();
}

double Replay::allowedChange(const Router &router,
                             const Difference &difference) const {
  if (router.squares.empty())
    return router.slack;
  int64_t draws = std::max<int64_t>(runs - 1, 1);
  double factor = allowedDeviations(
      static_cast<double>(draws * std::min<int64_t>(router.experts, 8)));
  bool isOrder = expertsIn(difference.kernel) == expertsIn(difference.own);
  auto allowed = [&](int64_t token, int64_t expert) {
    int64_t i = token * router.experts + expert;
    double size = sizeOf(router.scores[i]);
    double change =
        factor * std::sqrt(router.squares[i] / draws) + router.slack;
    // Sigmoids of 1 are equal to a double alone; a kernel may know which of
    // their logits is larger. For a choice of experts that is no excuse.
    if (isOrder)
      change = std::max(change, size * 0x1p-24);
    return difference.isRelative ? change / size : change;
  };
  double largest = 0.0;
  for (int64_t e = 0; e < router.experts; ++e) {
    if (!difference.isRelative || isOrder) {
      largest = std::max(largest, allowed(difference.token, e));
      continue;
    }
    // What one token lost another one won: the score of either may be exact.
    if (difference.changes(e))
      for (const Difference &other : router.differences)
        if (other.changes(e))
          largest = std::max(largest, allowed(other.token, e));
  }
  return largest;
}

std::string Replay::complaint() const {
  std::string text;
  llvm::raw_string_ostream os(text);
  for (const Router &router : routers)
    for (const Difference &difference : router.differences) {
      double allowed = allowedChange(router, difference);
      if (difference.change <= allowed)
        continue;
      int64_t token = difference.token;
      if (token < static_cast<int64_t>(rows.size()))
        token = rows[token];
      os << "token " << token << " went to experts "
         << llvm::interleaved_array(difference.kernel) << " instead of "
         << llvm::interleaved_array(difference.own);
      if (std::isfinite(difference.change))
        os << ", as if scores were off by "
           << llvm::format("%.3g", difference.change)
           << (difference.isRelative ? " of themselves" : "")
           << ", where rounding explains " << llvm::format("%.3g", allowed);
      return text;
    }
  return text;
}
