//===- Capacity.cpp - Limited experts in float64 ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// moe.routing.limit, group by group: put the assignments into the order of the
// policy, then let each expert take what comes until it is full. And
// moe.routing.reweigh, for the weights of what was kept.
//
//===----------------------------------------------------------------------===//

#include "Machine.h"
#include "Scalars.h"
#include "SpecMath.h"
#include "moe-mlir/Reference/ReferenceInterfaces.h"
#include "moe/Moe.h"
#include <cmath>

using namespace llvm;
using namespace mlir;

namespace moe::reference {

/// max(minimum, round(T K F / E)).
static int64_t capacityOf(RoutingLimitOp op, int64_t tokens, int64_t slots,
                          int64_t experts) {
  if (op.getCapacity())
    return *op.getCapacity();
  double exact = tokens * slots * op.getFactor()->convertToDouble() / experts;
  double below = std::floor(exact), rest = exact - below;
  bool up = false;
  switch (op.getRounding()) {
  case Rounding::Ceil:
    up = rest > 0.0;
    break;
  case Rounding::Floor:
    break;
  case Rounding::Nearest:
    up = rest > 0.5 || (rest == 0.5 && std::fmod(below, 2.0) == 1.0);
    break;
  }
  double capacity = up ? below + 1.0 : below;
  // No more than everything can arrive.
  capacity = std::min(capacity, static_cast<double>(tokens * slots));
  return std::max<int64_t>(op.getMinimum(), static_cast<int64_t>(capacity));
}

static LogicalResult executeLimit(Machine &machine, RoutingLimitOp op) {
  Routing routing = *machine.getRouting(op.getRouting());
  int64_t slots = routing.slots;
  std::vector<double> priorities;
  if (op.getPriority()) {
    ArrayPtr given = machine.getArray(op.getPriority());
    if (given->shape[0] != routing.tokens)
      return op.emitOpError("has priorities of ")
             << given->shape[0] << " tokens; the routing has "
             << routing.tokens;
    priorities.resize(routing.tokens);
    loadFloats(*given, 0, routing.tokens, priorities.data());
  }
  int64_t groupSize =
      op.getGroupSize().value_or(std::max<int64_t>(routing.tokens, 1));
  for (int64_t begin = 0; begin < routing.tokens; begin += groupSize) {
    int64_t tokens = std::min(groupSize, routing.tokens - begin);
    // Assignments of the group as token * slots + slot, first comers first.
    std::vector<int64_t> order;
    if (op.getDrop() == Drop::Probability) {
      ArrayRef<double> weights =
          ArrayRef(routing.weightOf).slice(begin * slots, tokens * slots);
      for (int64_t i : rank(weights))
        order.push_back(i);
    } else {
      SmallVector<int64_t> queue;
      if (op.getPriority())
        queue = rank(ArrayRef(priorities).slice(begin, tokens));
      else
        for (int64_t t = 0; t < tokens; ++t)
          queue.push_back(t);
      for (int64_t s = 0; s < slots; ++s)
        for (int64_t t : queue)
          order.push_back(t * slots + s);
    }
    std::vector<int64_t> room(routing.experts,
                              capacityOf(op, tokens, slots, routing.experts));
    for (int64_t i : order) {
      int32_t &expert = routing.expertOf[begin * slots + i];
      if (expert < 0)
        continue;
      if (room[expert] > 0) {
        --room[expert];
        continue;
      }
      expert = -1;
      routing.weightOf[begin * slots + i] = 0.0;
    }
  }
  machine.setRouting(op.getResult(), std::move(routing));
  return success();
}

static LogicalResult executeReweigh(Machine &machine, RoutingReweighOp op) {
  Routing routing = *machine.getRouting(op.getRouting());
  std::vector<double> scales(routing.experts, 1.0);
  if (op.getScales())
    loadFloats(*machine.getArray(op.getScales()), 0, routing.experts,
               scales.data());
  for (int64_t t = 0; t < routing.tokens; ++t) {
    SmallVector<int64_t> used;
    SmallVector<double> weights;
    for (int64_t s = 0; s < routing.slots; ++s) {
      int64_t i = t * routing.slots + s;
      if (routing.expertOf[i] < 0)
        continue;
      used.push_back(i);
      weights.push_back(routing.weightOf[i] * scales[routing.expertOf[i]]);
    }
    for (Attribute step : op.getWeighingAttr() ? op.getWeighingAttr().getValue()
                                               : ArrayRef<Attribute>()) {
      auto model = dyn_cast<ReferenceWeighingAttrInterface>(step);
      if (!model)
        return op.emitOpError("cannot be interpreted: ")
               << step
               << " has no reference model; its dialect has to implement or "
                  "attach moe::reference::ReferenceWeighingAttrInterface";
      for (double &weight : weights)
        weight += machine.rounding.error(weight, NumberFormat::f32(), 1.0);
      model.weigh(weights);
    }
    for (auto [i, weight] : zip_equal(used, weights))
      routing.weightOf[i] =
          machine.rounding.round(weight, NumberFormat::f32(), 4.0);
  }
  machine.setRouting(op.getResult(), std::move(routing));
  return success();
}

void addCapacityOps(HandlerTable &table) {
  table.add<RoutingLimitOp>(executeLimit);
  table.add<RoutingReweighOp>(executeReweigh);
}

} // namespace moe::reference
