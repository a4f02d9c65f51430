//===- ShardExperts.cpp - Experts of several devices ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Layers.h"

#include "moe-mlir/Profile/Passes.h"
#include "moe/Placement.h"

#include "mlir/IR/Remarks.h"

#include <numeric>

namespace moe {
#define GEN_PASS_DEF_SHARDEXPERTS
#include "moe-mlir/Profile/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;

static constexpr llvm::StringLiteral kPassName = "moe-shard-experts";

namespace {
/// A copy of an expert, and the part of its assignments that it gets.
struct Copy {
  int64_t expert, number;
  double load;
};
/// What is in the shards so far.
struct Shards {
  SmallVector<double> load;
  SmallVector<int64_t> copies;
  /// The shard of each copy of each expert.
  SmallVector<SmallVector<int64_t>> of;

  double getLargest() const { return *llvm::max_element(load); }
};
} // namespace

/// Copies with most to do first, each into the shard that has least to do of
/// those with room and without this expert. None if there is none for a copy.
static std::optional<Shards> distribute(ArrayRef<int64_t> counts,
                                        ArrayRef<int64_t> replicas,
                                        int64_t shards) {
  SmallVector<Copy> copies;
  for (auto [expert, number] : llvm::enumerate(replicas))
    for (int64_t i = 0; i < number; ++i)
      copies.push_back({static_cast<int64_t>(expert), i,
                        static_cast<double>(counts[expert]) / number});
  // An expert with many copies has fewer places to go.
  llvm::stable_sort(copies, [&](const Copy &a, const Copy &b) {
    return replicas[a.expert] != replicas[b.expert]
               ? replicas[a.expert] > replicas[b.expert]
               : a.load > b.load;
  });
  int64_t room = llvm::divideCeil(copies.size(), shards);
  Shards result{SmallVector<double>(shards, 0.0),
                SmallVector<int64_t>(shards, 0),
                SmallVector<SmallVector<int64_t>>(replicas.size())};
  for (const Copy &copy : copies) {
    SmallVector<int64_t> &own = result.of[copy.expert];
    int64_t best = -1;
    for (int64_t s = 0; s < shards; ++s) {
      if (result.copies[s] == room || llvm::is_contained(own, s))
        continue;
      if (best < 0 || result.load[s] < result.load[best] ||
          (result.load[s] == result.load[best] &&
           result.copies[s] < result.copies[best]))
        best = s;
    }
    if (best < 0)
      return std::nullopt;
    own.push_back(best);
    ++result.copies[best];
    result.load[best] += copy.load;
  }
  return result;
}

namespace {
struct ShardExperts : moe::impl::ShardExpertsBase<ShardExperts> {
  using ShardExpertsBase::ShardExpertsBase;

  void runOnOperation() override {
    if (shards < 1 || shards > 65536) {
      emitError(getOperation().getLoc())
          << kPassName << ": shards has to be a number from 1 to 65536, not "
          << shards.getValue();
      return signalPassFailure();
    }
    auto visit = [&](RouterOp router, const RoutingProfile &seen) {
      forEachLayer(router.getRouting(),
                   [&](ExpertOp op) { shard(router, op, seen); });
      return success();
    };
    if (failed(forEachRouter(getOperation(), kPassName, profile, visit)))
      signalPassFailure();
  }

  void shard(RouterOp router, ExpertOp op, const RoutingProfile &seen) {
    auto opts = [](StringRef name) {
      return remark::RemarkOpts::name(name).category(kPassName);
    };
    int64_t experts = op.getRouting().getType().getExperts();
    SmallVector<int64_t> replicas = getReplicas(op, experts);
    SmallVector<int64_t> counts(seen.counts.begin(), seen.counts.end());
    // Every token visits those that the router does not choose.
    counts.resize(experts, seen.tokens);
    int64_t copies =
        std::accumulate(replicas.begin(), replicas.end(), int64_t(0));
    auto missed = [&](const std::string &why) {
      remark::missed(router.getLoc(), opts("not-sharded")) << why;
    };
    if (copies < shards)
      return missed("there are " + std::to_string(copies) +
                    " copies of experts, and each of " +
                    std::to_string(shards) + " shards would need one");
    if (*llvm::max_element(replicas) > shards)
      return missed("an expert has " +
                    std::to_string(*llvm::max_element(replicas)) +
                    " copies, which have to be in different ones of " +
                    std::to_string(shards) + " shards");
    std::optional<Shards> best = distribute(counts, replicas, shards);
    if (!best)
      return missed("its copies of experts do not fit into shards of equal "
                    "size, each in a different one");
    SmallVector<int64_t> all;
    for (ArrayRef<int64_t> own : best->of)
      llvm::append_range(all, own);
    op->setAttr(kShardsAttrName, DenseI64ArrayAttr::get(op.getContext(), all));
    double sum = std::accumulate(best->load.begin(), best->load.end(), 0.0);
    remark::passed(router.getLoc(), opts("sharded"))
        << (sum == 0
                ? std::string("nothing of the profile went to its experts")
                : llvm::formatv(
                      "the busiest shard has {0:f2} times what shards have "
                      "on average",
                      best->getLargest() * shards / sum)
                      .str());
  }
};
} // namespace
