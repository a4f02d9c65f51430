//===- PlaceExperts.cpp - An order of experts by who meets whom -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Layers.h"

#include "moe-mlir/Profile/Passes.h"
#include "moe/Placement.h"

#include "mlir/IR/Remarks.h"

#include <deque>

namespace moe {
#define GEN_PASS_DEF_PLACEEXPERTS
#include "moe-mlir/Profile/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;

static constexpr llvm::StringLiteral kPassName = "moe-place-experts";

/// Tokens that two experts have in common.
static int64_t countTogether(const RoutingProfile &seen, int64_t a, int64_t b) {
  auto it = seen.pairs.find({static_cast<int32_t>(std::min(a, b)),
                             static_cast<int32_t>(std::max(a, b))});
  return it == seen.pairs.end() ? 0 : it->second;
}

/// A chain that begins with the two experts that meet most often, and grows at
/// either end by the expert that meets the one there most often. Of equal ones
/// the lower, at the end before the begin.
static SmallVector<int64_t> arrange(const RoutingProfile &seen) {
  int64_t experts = seen.experts;
  SmallVector<bool> isPlaced(experts, false);
  std::deque<int64_t> chain;
  std::pair<int32_t, int32_t> first{0, 0};
  int64_t most = 0;
  for (auto [pair, count] : seen.pairs)
    if (count > most) {
      first = pair;
      most = count;
    }
  chain.push_back(first.first);
  isPlaced[first.first] = true;
  if (first.second != first.first) {
    chain.push_back(first.second);
    isPlaced[first.second] = true;
  }
  while (static_cast<int64_t>(chain.size()) < experts) {
    int64_t best = -1, bestCount = -1;
    bool isAtEnd = true;
    for (bool atEnd : {true, false})
      for (int64_t e = 0; e < experts; ++e) {
        if (isPlaced[e])
          continue;
        int64_t count =
            countTogether(seen, e, atEnd ? chain.back() : chain.front());
        if (count > bestCount) {
          best = e;
          bestCount = count;
          isAtEnd = atEnd;
        }
      }
    isPlaced[best] = true;
    if (isAtEnd)
      chain.push_back(best);
    else
      chain.push_front(best);
  }
  return SmallVector<int64_t>(chain.begin(), chain.end());
}

/// Tokens that neighbours have in common, of all pairs'.
static int64_t countNeighbours(const RoutingProfile &seen,
                               ArrayRef<int64_t> order) {
  int64_t sum = 0;
  for (size_t i = 1; i < order.size(); ++i)
    sum += countTogether(seen, order[i - 1], order[i]);
  return sum;
}

namespace {
struct PlaceExperts : moe::impl::PlaceExpertsBase<PlaceExperts> {
  using PlaceExpertsBase::PlaceExpertsBase;

  void runOnOperation() override {
    auto visit = [](RouterOp router, const RoutingProfile &routing) {
      place(router, routing);
      return success();
    };
    if (failed(forEachRouter(getOperation(), kPassName, profile, visit)))
      signalPassFailure();
  }

  static void place(RouterOp router, const RoutingProfile &routing) {
    auto opts = [](StringRef name) {
      return remark::RemarkOpts::name(name).category(kPassName);
    };
    if (routing.pairs.empty()) {
      remark::missed(router.getLoc(), opts("not-placed"))
          << "no token of the profile went to two of its experts";
      return;
    }
    SmallVector<int64_t> order = arrange(routing);
    SmallVector<int64_t> before =
        llvm::to_vector(llvm::seq<int64_t>(0, routing.experts));
    forEachLayer(router.getRouting(), [&](ExpertOp op) {
      SmallVector<int64_t> all = order;
      int64_t experts = op.getRouting().getType().getExperts();
      for (int64_t e = routing.experts; e < experts; ++e)
        all.push_back(e);
      op->setAttr(kPlacementAttrName,
                  DenseI64ArrayAttr::get(op.getContext(), all));
    });
    remark::passed(router.getLoc(), opts("placed"))
        << "neighbours share " +
               std::to_string(countNeighbours(routing, order)) +
               " assignments of a token, " +
               std::to_string(countNeighbours(routing, before)) +
               " in the order of the router";
  }
};
} // namespace
