//===- RoutingCollector.cpp - Routings for a report ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Run/RoutingCollector.h"

#include "moe/Moe.h"

#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace moe::run;
using moe::RoutingRecord;

namespace {
/// What the model says of one routing.
struct Policy {
  std::string text;
  int64_t experts = 0, numSlots = 0;
  RoutingRecord::Slots slots = RoutingRecord::Slots::Unknown;
};
} // namespace

/// The routers of a function in the order in which they run, if that follows
/// from the IR.
static SmallVector<Policy> findPolicies(func::FuncOp function) {
  SmallVector<Policy> policies;
  if (!function || function.isExternal())
    return policies;
  function.walk<WalkOrder::PreOrder>([&](moe::RouterOp router) {
    Policy policy;
    llvm::raw_string_ostream text(policy.text);
    text << Attribute(router.getPolicy());
    policy.experts = router.getNumExperts();
    policy.numSlots = router.getNumSlots();
    policy.slots = router.getPolicy().fillsAllSlots(policy.experts)
                       ? RoutingRecord::Slots::AllFilled
                       : RoutingRecord::Slots::ChosenByToken;
    // A limit with the router to itself is part of what is traced; others run
    // after it.
    if (router.getRouting().hasOneUse())
      if (auto limit = dyn_cast<moe::RoutingLimitOp>(
              *router.getRouting().getUsers().begin()))
        text << ", capacity " << limit.getCapacity();
    policies.push_back(std::move(policy));
  });
  return policies;
}

static bool hasMetrics(func::FuncOp function) {
  return function &&
         function.walk([](moe::BalanceOp) { return WalkResult::interrupt(); })
             .wasInterrupted();
}

void RoutingCollector::begin(const FunctionDesc &desc, func::FuncOp op) {
  function = &desc;
  model = op;
  events.clear();
}

void RoutingCollector::record(const moe_trace_event &event) {
  int64_t size = event.tokens * event.slots;
  if (!event.indices && size > 0)
    return;
  events.push_back({event.tokens,
                    event.experts,
                    event.slots,
                    {event.indices, event.indices + size},
                    {}});
  if (event.weights)
    events.back().weights.assign(event.weights, event.weights + size);
}

void RoutingCollector::end() {
  SmallVector<Policy> policies = findPolicies(model);
  if (policies.size() < events.size() && hasMetrics(model)) {
    // A metric may hold a router of its own, which is no layer's.
    size_t next = 0;
    llvm::erase_if(events, [&](const Event &event) {
      if (next == policies.size())
        return true;
      int64_t added = event.experts - policies[next].experts;
      bool isNext =
          added >= 0 && event.slots == policies[next].numSlots + added;
      next += isNext;
      return !isNext;
    });
  }
  // Calls, loops and routings from outside break the correspondence.
  if (policies.size() != events.size())
    policies.assign(events.size(), Policy());
  for (auto [i, event] : llvm::enumerate(events)) {
    std::string layer = function->name;
    if (events.size() > 1)
      layer += " #" + std::to_string(i + 1);
    RoutingRecord record = RoutingRecord::fromIndices(
        std::move(layer), event.tokens, event.experts, event.slots,
        event.indices.data(), policies[i].experts,
        event.weights.empty() ? nullptr : event.weights.data());
    record.policy = policies[i].text;
    record.slotUse = policies[i].slots;
    report.records.push_back(std::move(record));
  }
  if (report.title.empty())
    report.title = function->model;
}
