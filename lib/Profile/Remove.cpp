//===- Remove.cpp - Removes experts from a layer -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Remove.h"
#include "Columns.h"

#include "moe-mlir/Transforms/SomeExperts.h"

using namespace mlir;
using namespace moe;

int64_t moe::profile::getNumGroups(SelectionPolicyAttrInterface policy) {
  auto groups = dyn_cast<GroupTopKAttr>(Attribute(policy));
  return groups ? groups.getGroups() : 1;
}

/// Policies that choose by scores alone, where an expert that is not chosen has
/// no part in the choice or the values of the others.
static bool choosesByScores(Attribute policy) {
  if (auto choice = dyn_cast<ExpertChoiceAttr>(policy))
    return !choice.getFactor();
  return isa<TopKAttr, GroupTopKAttr, TopAnyAttr, ThresholdAttr, MinPAttr,
             TopPAttr, TokenKAttr, GShardAttr, NearestCentroidAttr>(policy);
}

/// Why a user of the routing cannot do with fewer experts.
static std::string whyNotFewer(Operation *user, bool keepsSlots) {
  std::string name = ("'" + user->getName().getStringRef() + "'").str();
  if (auto limit = dyn_cast<RoutingLimitOp>(user)) {
    if (limit.getFactor())
      return "the capacity of " + name + " follows from the number of experts";
    return "";
  }
  if (isa<RoutingWeightsOp>(user))
    return keepsSlots ? "" : "the slots of " + name + " would be fewer";
  if (isa<DispatchOp, ExpertOp, CombineOp, RoutingReweighOp, RoutingAppendOp,
          RoutingTokensOp, RoutingNumTokensOp>(user))
    return "";
  return "its numbers of experts are used by " + name;
}

static std::string findBadUser(Value routing, bool keepsSlots) {
  for (Operation *user : routing.getUsers()) {
    std::string why = whyNotFewer(user, keepsSlots);
    if (why.empty() &&
        isa<RoutingLimitOp, RoutingReweighOp, RoutingAppendOp>(user))
      why = findBadUser(user->getResult(0), keepsSlots);
    if (!why.empty())
      return why;
  }
  return "";
}

std::string moe::profile::whyNotRemovable(RouterOp router) {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << Attribute(router.getPolicy());
  if (!choosesByScores(router.getPolicy()))
    return text + " is not known to choose alike among fewer experts";
  int64_t experts = router.getNumExperts();
  bool keepsSlots = router.getPolicy().getNumSlots(experts - 1) ==
                    router.getPolicy().getNumSlots(experts);
  if (!keepsSlots && !router.getWeightsRegion().empty())
    return "its region of weights has a slot for each expert";
  return findBadUser(router.getRouting(), keepsSlots);
}

/// What `routing` goes to has the experts `kept` of `before` now.
static void shrinkUsers(OpBuilder &b, Value routing, ArrayRef<int64_t> kept,
                        int64_t before) {
  auto type = cast<RoutingType>(routing.getType());
  // Layers are replaced.
  SmallVector<Operation *> users(routing.getUsers());
  for (Operation *user : users) {
    if (auto op = dyn_cast<ExpertOp>(user)) {
      b.setInsertionPoint(op);
      op->replaceAllUsesWith(buildSomeExperts(b, op, op.getRows(),
                                              op.getRouting(), op.getOthers(),
                                              kept));
      op.erase();
      continue;
    }
    if (!isa<RoutingLimitOp, RoutingReweighOp, RoutingAppendOp>(user))
      continue;
    Value result = user->getResult(0);
    SmallVector<int64_t> all(kept);
    int64_t slots = type.getSlots();
    // Those that every token visits come behind the others.
    int64_t allBefore = cast<RoutingType>(result.getType()).getExperts();
    for (int64_t added = before; added < allBefore; ++added, ++slots)
      all.push_back(added);
    if (auto reweigh = dyn_cast<RoutingReweighOp>(user);
        reweigh && reweigh.getScales())
      reweigh.getScalesMutable().assign(
          profile::ColumnTaker(b, kept).take(reweigh.getScales(), 0));
    result.setType(RoutingType::get(type.getContext(),
                                    static_cast<int64_t>(all.size()), slots));
    shrinkUsers(b, result, all, allBefore);
  }
}

void moe::profile::keepExperts(RouterOp router, ArrayRef<int64_t> kept) {
  OpBuilder b(router);
  ColumnTaker taker(b, kept);
  int64_t experts = router.getNumExperts();
  if (Value select = router.getSelect())
    router.getSelectMutable().assign(taker.take(select, 1));
  if (Value weigh = router.getWeigh())
    router.getWeighMutable().assign(taker.take(weigh, 1));
  // Thresholds.
  for (OpOperand &operand : router.getPolicyOperandsMutable()) {
    auto type = cast<RankedTensorType>(operand.get().getType());
    if (isa<TopAnyAttr>(Attribute(router.getPolicy())) && type.getRank() == 1 &&
        type.getDimSize(0) == experts)
      operand.set(taker.take(operand.get(), 0));
  }
  auto number = static_cast<int64_t>(kept.size());
  router.getResult().setType(RoutingType::get(
      router.getContext(), number, router.getPolicy().getNumSlots(number)));
  shrinkUsers(b, router.getRouting(), kept, experts);
}
