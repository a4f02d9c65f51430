//===- JoinRouters.cpp - One product for routers of one input ---*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A router's product is of few columns: kernels read 32 at a time, most of them
// zeros for 8 experts, and all rows of the input. Routers of one input share
// both.
//
//===----------------------------------------------------------------------===//

#include "Common.h"
#include "ExpertBody.h"

#include "moe-mlir/Conversion/MoeToMoek/Passes.h"

#include "mlir/IR/Dominance.h"
#include "mlir/IR/PatternMatch.h"
#include "llvm/ADT/MapVector.h"

namespace moe {
#define GEN_PASS_DEF_JOINROUTERS
#include "moe-mlir/Conversion/MoeToMoek/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;
using moek::RouteOp;

static constexpr llvm::StringLiteral kPassName = "moek-join-routers";

/// The weight of the router, `[E, K]`; null if it is packed in another way.
static Value getWeight(RouteOp route) {
  auto pack = route.getRouter().getDefiningOp<moek::PackOp>();
  if (!pack || pack.getLayoutAttr() || pack.getWeights().size() != 1 ||
      pack.getParts() != 1 ||
      cast<RankedTensorType>(pack.getWeights()[0].getType()).getRank() != 2)
    return {};
  return pack.getWeights()[0];
}

/// Takes the logits of `route`, columns of `z` from `first` on, as rows.
static void takeColumns(RewriterBase &b, RouteOp route, Value z, Value tokens,
                        int64_t first) {
  Location loc = route.getLoc();
  b.setInsertionPoint(route);
  auto type = cast<RankedTensorType>(z.getType());
  int64_t experts = route.getExperts();
  auto own = type.clone({type.getDimSize(0), experts});
  Value logits = tensor::ExtractSliceOp::create(
      b, loc, own, z,
      ArrayRef<OpFoldResult>{b.getIndexAttr(0), b.getIndexAttr(first)},
      ArrayRef<OpFoldResult>{tokens, b.getIndexAttr(experts)},
      ArrayRef<OpFoldResult>{b.getIndexAttr(1), b.getIndexAttr(1)});
  // Rows follow the logits in the region's arguments: first among them is where
  // the logits were.
  SmallVector<Value> rows{logits};
  llvm::append_range(rows, route.getRows());
  auto joined = RouteOp::create(
      b, loc, route->getResultTypes(), /*x=*/Value(), /*router=*/Value(), rows,
      route.getColumns(), route.getVectors(), route.getScalars(),
      route.getPolicyOperands(), route.getPerExpert(), route.getAlwaysWeights(),
      route.getOutputs(), route.getPolicy(), route.getExperts(),
      route.getAlways(), route.getCapacityAttr(), route.getScheduleAttr());
  joined->setDiscardableAttrs(route->getDiscardableAttrDictionary());
  joined.getScores().takeBody(route.getScores());
  joined.getWeigh().takeBody(route.getWeigh());
  b.replaceOp(route, joined->getResults());
}

static void join(RewriterBase &b, ArrayRef<RouteOp> routes) {
  RouteOp first = routes.front();
  Location loc = first.getLoc();
  Value x = first.getX();
  b.setInsertionPoint(first);
  SmallVector<Value> weights;
  SmallVector<Operation *> packs;
  int64_t columns = 0;
  for (RouteOp route : routes) {
    weights.push_back(getWeight(route));
    packs.push_back(route.getRouter().getDefiningOp());
    columns += route.getExperts();
  }
  Value all = tensor::ConcatOp::create(b, loc, /*dim=*/0, weights);
  Value packed = moek::PackOp::create(b, loc, ValueRange{all});
  // All tokens are rows of one expert, the routers.
  Value tokens = getDim(b, loc, x, 0);
  Groups groups = buildOneGroup(b, loc, tokens);
  Value out = buildEmptyRows(b, loc, tokens, columns, b.getF32Type());
  int64_t k = cast<RankedTensorType>(x.getType()).getDimSize(1);
  auto matmul = moek::GroupedMatmulOp::create(
      b, loc, TypeRange{out.getType()}, x, packed, groups.offsets,
      groups.active,
      /*gather=*/Value(), /*gather_weights=*/Value(), /*tokens=*/Value(),
      /*gathered=*/ValueRange(), /*rows=*/ValueRange(),
      /*parameters=*/ValueRange(), /*positions=*/Value(),
      /*first_row=*/Value(), /*num_rows=*/Value(), /*slot_weights=*/Value(),
      /*init=*/Value(), ValueRange{out}, columns, k, /*parts=*/1,
      b.getStringAttr("routers"), WeightFormatAttrInterface(),
      /*skip_zeros=*/FloatAttr(),
      moek::ScheduleAttrInterface());
  {
    OpBuilder::InsertionGuard guard(b);
    Block *block =
        b.createBlock(&matmul.getEpilogue(), {}, {b.getF32Type()}, {loc});
    moek::YieldOp::create(b, loc, block->getArguments());
  }
  int64_t column = 0;
  for (RouteOp route : routes) {
    int64_t experts = route.getExperts();
    takeColumns(b, route, matmul->getResult(0), tokens, column);
    column += experts;
  }
  for (Operation *pack : packs)
    if (pack->use_empty())
      b.eraseOp(pack);
}

namespace {
struct JoinRouters : moe::impl::JoinRoutersBase<JoinRouters> {
  void runOnOperation() override {
    llvm::MapVector<std::pair<Value, Block *>, SmallVector<RouteOp>> ofInput;
    getOperation()->walk([&](RouteOp route) {
      if (route.getX() && route->getNumResults() != 0 && !route.getSchedule())
        ofInput[{route.getX(), route->getBlock()}].push_back(route);
    });
    DominanceInfo dominance(getOperation());
    IRRewriter rewriter(&getContext());
    for (auto &[input, routes] : ofInput) {
      if (routes.size() == 1)
        continue;
      SmallVector<RouteOp> able;
      for (RouteOp route : routes) {
        Value weight = getWeight(route);
        std::string why;
        if (!weight)
          why = "its weight is packed with others";
        else if (!dominance.properlyDominates(weight, routes.front()))
          why = "its weight is made behind the first of them";
        if (why.empty()) {
          able.push_back(route);
          continue;
        }
        reportMissed(route, kPassName,
                     {"a router reads the input of another one again",
                      why,
                      "routers whose weights are there before the first of "
                      "them share a product",
                      {input.first}});
      }
      if (able.size() < 2)
        continue;
      int64_t columns = 0;
      for (RouteOp route : able)
        columns += route.getExperts();
      remarkPassed(able.front(), kPassName)
          << (std::to_string(able.size()) +
              " routers of one input are one product of " +
              std::to_string(columns) + " columns");
      join(rewriter, able);
    }
  }
};
} // namespace
