//===- PruneExperts.cpp - Leaves out experts that do little -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Remove.h"

#include "moe-mlir/Artifact/Profile.h"
#include "moe-mlir/Profile/Passes.h"
#include "moe-mlir/Transforms/SomeExperts.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Iterators.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/SmallSet.h"
#include "llvm/Support/Format.h"

#include <numeric>

namespace moe {
#define GEN_PASS_DEF_PRUNEEXPERTS
#include "moe-mlir/Profile/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;

static constexpr llvm::StringLiteral kPassName = "moe-prune-experts";

namespace {

/// Which experts of a router stay.
struct Choice {
  SmallVector<int64_t> kept, removed;
  /// The share of the summed weight that is lost.
  double loss = 0;
  /// Why nothing is removed.
  std::string whyNot;
};

/// "3.2 %".
std::string percent(double share) {
  std::string text;
  llvm::raw_string_ostream(text) << llvm::format("%.4g %%", 100 * share);
  return text;
}

struct PruneExperts : moe::impl::PruneExpertsBase<PruneExperts> {
  using PruneExpertsBase::PruneExpertsBase;

  void runOnOperation() override;

private:
  Choice choose(RouterOp router, const RoutingProfile &seen) const;
  LogicalResult prune(func::FuncOp function, const Profile &seen);
};

} // namespace

/// The experts that are removed one after another, as many of each group at
/// once as there are groups: those of the least weight first, and of equal ones
/// the last.
static SmallVector<SmallVector<int64_t>>
orderByWeight(int64_t experts, int64_t groups, ArrayRef<double> sums) {
  int64_t size = experts / groups;
  SmallVector<SmallVector<int64_t>> steps(size);
  for (int64_t g = 0; g < groups; ++g) {
    SmallVector<int64_t> own(size);
    std::iota(own.begin(), own.end(), g * size);
    llvm::stable_sort(own, [&](int64_t a, int64_t b) {
      return sums[a] != sums[b] ? sums[a] < sums[b] : a > b;
    });
    for (auto [step, expert] : llvm::zip_equal(steps, own))
      step.push_back(expert);
  }
  return steps;
}

Choice PruneExperts::choose(RouterOp router, const RoutingProfile &seen) const {
  Choice choice;
  auto refuse = [&](const std::string &why) {
    choice.whyNot = why;
    return choice;
  };
  int64_t experts = router.getNumExperts();
  if (std::string why = profile::whyNotRemovable(router); !why.empty())
    return refuse(why);
  if (seen.tokens == 0)
    return refuse("the profile saw no token of it");
  for (auto [e, sum] : llvm::enumerate(seen.weightSums))
    if (sum < 0)
      return refuse("the weights of expert " + std::to_string(e) +
                    " sum up to less than 0");
  double all =
      std::accumulate(seen.weightSums.begin(), seen.weightSums.end(), 0.0);
  auto share = [&](double sum) { return all > 0 ? sum / all : 0.0; };

  SelectionPolicyAttrInterface policy = router.getPolicy();
  // Whatever the policy says of so many experts.
  auto isPossible = [&](int64_t number) {
    if (number < 1)
      return false;
    ScopedDiagnosticHandler ignore(router.getContext(),
                                   [](Diagnostic &) { return success(); });
    return succeeded(policy.verifyPolicy(
        [&] { return emitError(router.getLoc()); }, number));
  };
  auto steps =
      orderByWeight(experts, profile::getNumGroups(policy), seen.weightSums);
  llvm::SmallSet<int64_t, 16> gone;
  double lost = 0;
  int64_t left = experts;
  for (ArrayRef<int64_t> step : steps) {
    double sum = lost;
    for (int64_t expert : step)
      sum += seen.weightSums[expert];
    int64_t after = left - static_cast<int64_t>(step.size());
    if (after < keep || !isPossible(after) ||
        (keep == 0 && share(sum) > lossBudget))
      break;
    lost = sum;
    left = after;
    gone.insert(step.begin(), step.end());
  }
  choice.loss = share(lost);
  if (keep > 0 && left > keep)
    return refuse("it cannot have " + std::to_string(keep) + " of its " +
                  std::to_string(experts) + " experts");
  if (choice.loss > lossBudget)
    return refuse("keeping " + std::to_string(left) + " of " +
                  std::to_string(experts) + " experts loses " +
                  percent(choice.loss) + " of the weight, and the budget is " +
                  percent(lossBudget));
  if (gone.empty())
    return refuse("none of its " + std::to_string(experts) +
                  " experts is within the budget of " + percent(lossBudget));
  for (int64_t e = 0; e < experts; ++e)
    (gone.contains(e) ? choice.removed : choice.kept).push_back(e);
  return choice;
}

LogicalResult PruneExperts::prune(func::FuncOp function, const Profile &seen) {
  SmallVector<RouterOp> routers;
  function.walk([&](RouterOp router) { routers.push_back(router); });
  bool changed = false;
  for (auto [i, router] : llvm::enumerate(routers)) {
    std::string error;
    const RoutingProfile *routing =
        seen.findRouting(function.getSymName().str(), i, router.getNumExperts(),
                         router.getNumSlots(), error);
    if (!routing)
      return emitError(router.getLoc()) << error;
    Choice choice = choose(router, *routing);
    auto opts = [](StringRef name) {
      return remark::RemarkOpts::name(name).category(kPassName);
    };
    if (!choice.whyNot.empty()) {
      remark::missed(router.getLoc(), opts("not-pruned")) << choice.whyNot;
      continue;
    }
    profile::keepExperts(router, choice.kept);
    changed = true;
    remark::passed(router.getLoc(), opts("pruned"))
        << "experts " + describeExperts(choice.removed) + " of " +
               std::to_string(choice.kept.size() + choice.removed.size()) +
               " are left out, with " + percent(choice.loss) + " of the weight";
  }
  if (changed)
    function.walk<WalkOrder::PostOrder, ReverseIterator>([](Operation *op) {
      if (isOpTriviallyDead(op))
        op->erase();
    });
  return success();
}

void PruneExperts::runOnOperation() {
  ModuleOp module = getOperation();
  auto fail = [&](const Twine &message) {
    emitError(module.getLoc()) << message;
    signalPassFailure();
  };
  if (profile.empty())
    return fail("moe-prune-experts needs a profile, as moe-run --profile-out "
                "writes it: profile=FILE");
  if (!(lossBudget >= 0 && lossBudget < 1))
    return fail("loss-budget: expected 0 or more, and less than 1");
  if (keep < 0)
    return fail("keep: expected 0 or more");
  Profile seen;
  std::string error;
  if (!readProfile(profile, seen, error))
    return fail(error);
  for (auto function : module.getOps<func::FuncOp>())
    if (!function.isExternal() && failed(prune(function, seen)))
      return signalPassFailure();
}
