//===- ReplicateExperts.cpp - Copies of experts with many tokens -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Layers.h"

#include "moe-mlir/Profile/Passes.h"
#include "moe/Placement.h"

#include "mlir/IR/Remarks.h"

namespace moe {
#define GEN_PASS_DEF_REPLICATEEXPERTS
#include "moe-mlir/Profile/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;

static constexpr llvm::StringLiteral kPassName = "moe-replicate-experts";

/// Whether a copy of expert `a` has more to do than one of `b`.
static bool isBusier(const RoutingProfile &seen, ArrayRef<int64_t> replicas,
                     int64_t a, int64_t b) {
  return seen.counts[a] * replicas[b] > seen.counts[b] * replicas[a];
}

/// The expert whose copies have most to do: of equal ones the lower.
static int64_t findBusiest(const RoutingProfile &seen,
                           ArrayRef<int64_t> replicas) {
  int64_t busiest = 0;
  for (int64_t e = 1; e < seen.experts; ++e)
    if (isBusier(seen, replicas, e, busiest))
      busiest = e;
  return busiest;
}

/// The largest load of a copy, as a part of what the experts have on average.
static std::string describeLoad(const RoutingProfile &seen,
                                ArrayRef<int64_t> replicas) {
  int64_t e = findBusiest(seen, replicas);
  double average = static_cast<double>(seen.assignments()) / seen.experts;
  return llvm::formatv("{0:f2}", seen.counts[e] / average / replicas[e]).str();
}

namespace {
struct ReplicateExperts : moe::impl::ReplicateExpertsBase<ReplicateExperts> {
  using ReplicateExpertsBase::ReplicateExpertsBase;

  void runOnOperation() override {
    if (copies < 1 || copies > 65536) {
      emitError(getOperation().getLoc())
          << kPassName << ": copies has to be a number from 1 to 65536, not "
          << copies.getValue();
      return signalPassFailure();
    }
    auto visit = [&](RouterOp router, const RoutingProfile &seen) {
      replicate(router, seen);
      return success();
    };
    if (failed(forEachRouter(getOperation(), kPassName, profile, visit)))
      signalPassFailure();
  }

  void replicate(RouterOp router, const RoutingProfile &seen) {
    auto opts = [](StringRef name) {
      return remark::RemarkOpts::name(name).category(kPassName);
    };
    if (seen.assignments() == 0) {
      remark::missed(router.getLoc(), opts("not-replicated"))
          << "no token of the profile went to its experts";
      return;
    }
    SmallVector<int64_t> replicas(seen.experts, 1);
    std::string before = describeLoad(seen, replicas);
    for (int64_t i = 0; i < copies; ++i)
      ++replicas[findBusiest(seen, replicas)];
    forEachLayer(router.getRouting(), [&](ExpertOp op) {
      // Those that every token visits are not in the profile.
      SmallVector<int64_t> all = replicas;
      all.resize(op.getRouting().getType().getExperts(), 1);
      auto attribute = DenseI64ArrayAttr::get(op.getContext(), all);
      // Shards are of the copies that there were.
      if (op->getAttr(kReplicasAttrName) != attribute)
        op->removeAttr(kShardsAttrName);
      op->setAttr(kReplicasAttrName, attribute);
    });
    remark::passed(router.getLoc(), opts("replicated"))
        << "the busiest copy has " + describeLoad(seen, replicas) +
               " times what an expert has on average, " + before +
               " without more copies";
  }
};
} // namespace
