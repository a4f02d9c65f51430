//===- Route.cpp - moek.route ----------------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Tokens in lanes, experts in the loop (RouteLanes.h): policies that choose a
// list, best first, are here, those that choose by a mask in RouteMask.cpp,
// those without a form in lanes in RouteTokens.cpp. Tokens that are too few for
// a vector have their experts in lanes (RouteRow.cpp). Counting and packing are
// in PackRouting.cpp.
//
//===----------------------------------------------------------------------===//

#include "RouteLanes.h"

using namespace mlir;
using namespace moe;
using moecpu::ScheduleAttr;

/// Rows of x that share one pass over a router panel in one work item.
static constexpr int64_t kRouterRows = 64;

/// Whether the product reads the rows of `x`, of `k` elements of which panels
/// hold `kPadded`, where they are: what prepared them has left them at the
/// distance that is best for it.
static bool isReadInPlace(MemRefType x, int64_t k, int64_t kPadded) {
  SmallVector<int64_t> strides;
  int64_t offset;
  return k == kPadded && succeeded(x.getStridesAndOffset(strides, offset)) &&
         offset == 0 && strides[1] == 1 &&
         strides[0] == moecpu::getPaddedRowLength(k, x.getElementType());
}

/// z = x Wr^T into a scratch of [T, panels * 32].
static Value emitLogits(Emitter &e, moek::RouteOp op, ScheduleAttr s) {
  auto xType = cast<MemRefType>(op.getX().getType());
  auto panelType = cast<MemRefType>(op.getRouter().getType());
  int64_t k = xType.getDimSize(1), panels = panelType.getDimSize(1);
  Type f32 = e.getF32Type();
  Value tokens = e.dim(op.getX(), 0);

  // The rows of a window of tokens as kernels read them.
  bool inPlace = isReadInPlace(xType, k, panelType.getDimSize(2));
  bool windows = s.getWindow() && !inPlace;
  Value window = windows ? e.idx(s.getWindow()) : tokens;
  Value padded;
  if (!inPlace)
    padded = emitScratch(
        e,
        MemRefType::get(
            {ShapedType::kDynamic, moecpu::getPaddedRowLength(k, f32)}, f32),
        e.min(tokens, window));
  Value logits = emitScratch(
      e, MemRefType::get({ShapedType::kDynamic, panels * kPanelColumns}, f32),
      tokens);

  PanelProduct product;
  product.schedule = s;
  product.pitch = moecpu::getPaddedRowLength(k, f32) * 4;
  product.kernels = getOrCreateMicroKernels(op->getParentOfType<ModuleOp>(), s,
                                            product.pitch);
  product.lhs = e.address(inPlace ? op.getX() : padded);
  product.rhs = e.address(op.getRouter());
  product.panels = panels;
  product.block = getFloatBlock(s.getInner());
  product.blocks = panelType.getDimSize(2) / kBlockSteps;
  auto compute = [&](Emitter &e, Value first, Value count) {
    if (!inPlace) {
      Value x = memref::SubViewOp::create(
          e, op.getX(), ArrayRef<OpFoldResult>{first, e.getIndexAttr(0)},
          ArrayRef<OpFoldResult>{count, e.getIndexAttr(k)},
          ArrayRef<OpFoldResult>{e.getIndexAttr(1), e.getIndexAttr(1)});
      emitGatherRows(e, x, Value(), Value(), e.idx(0), count, k, padded);
    }
    Value blocks = e.ceilDiv(count, kRouterRows);
    e.parallel(e.mul(blocks, panels), [&](Emitter &e, Value item) {
      Value panel = e.rem(item, e.idx(panels)), block = e.div(item, panels);
      Value row = e.mul(block, kRouterRows);
      Value rows = e.min(e.sub(count, row), e.idx(kRouterRows));
      Value next = e.add(product.rhs, e.mul(panel, product.panelBytes()));
      emitPanelRun(
          e, product, e.idx(0), panel, e.add(panel, 1), row, rows, next,
          [&](Emitter &e, Value panel, Value row, Value rows, Value acc) {
            Value token = e.add(first, row);
            Value column = e.mul(panel, kPanelColumns);
            e.loop(rows, [&](Emitter &e, Value r) {
              for (int64_t c = 0; c < kPanelColumns; c += 16) {
                Value v = vector::LoadOp::create(e, e.vecF32(), acc,
                                                 ValueRange{r, e.idx(c)});
                vector::StoreOp::create(
                    e, v, logits,
                    ValueRange{e.add(token, r), e.add(column, c)});
              }
            });
          });
    });
  };
  if (windows)
    e.loop(e.idx(0), tokens, s.getWindow(), [&](Emitter &e, Value first) {
      compute(e, first, e.min(e.sub(tokens, first), window));
    });
  else
    compute(e, e.idx(0), tokens);
  return logits;
}

namespace {
/// Lists, best first.
class RouteLists : public RouteLanes {
public:
  using RouteLanes::RouteLanes;

  void emit(Emitter &e) {
    auto emitBlock = [&](Emitter &e, Value index) {
      Block block = beginBlock(e, e.mul(index, lanes));
      LaneSelection &l = block.selection;
      LaneLoader scores;
      emitScores(e, block, scores);
      l.indices = l.scratch(slots, e.getI32Type());
      l.values = l.scratch(slots, e.getF32Type());
      policy.buildSelectLanes(l);
      if (!policy.providesValues())
        gatherValues(e, block);
      Value weights = emitLaneWeights(e, op, l);
      storeTokens(e, block, l.indices, routing.indices);
      storeTokens(e, block, weights, routing.weights);
      storeAlways(e, block);
    };
    auto emitSingle = [&](Emitter &e, Value token) {
      emitRouteRow(e, op, logits, token);
    };
    if (schedule && schedule.getSingle() != 0 && canRouteRows(op))
      forBlocks(e, emitBlock, emitSingle);
    else
      forBlocks(e, emitBlock);
    std::optional<int64_t> capacity;
    if (op.getCapacity())
      capacity = std::min<int64_t>(*op.getCapacity(), INT32_MAX);
    if (capacity)
      emitCapacity(e, routing, op.getTotalExperts(), slots, *capacity);
    emitPackLists(e, routing, op.getTotalExperts(), op.getTotalSlots());
  }

private:
  /// The values of the chosen: ones, or those of `weigh` at their places.
  void gatherValues(Emitter &e, Block &block) {
    LaneSelection &l = block.selection;
    e.loop(e.idx(slots), [&](Emitter &e, Value slot) {
      if (!block.weigh) {
        Value ones = arith::ConstantOp::create(
            e, SplatElementsAttr::get(floats(e), e.getF32FloatAttr(1.0f)));
        vector::StoreOp::create(e, ones, l.values, ValueRange{slot, e.idx(0)});
        return;
      }
      e.loop(e.idx(lanes), [&](Emitter &e, Value lane) {
        Value expert = e.load(l.indices, ValueRange{slot, lane});
        Value safe = arith::MaxSIOp::create(e, expert, e.i32(0));
        e.store(e.load(block.weigh, ValueRange{e.toIndex(safe), lane}),
                l.values, ValueRange{slot, lane});
      });
    });
  }
};
} // namespace

/// The reduction of a single entry folds to its extraction; in lanes it is a
/// reduction like that of more.
static void restoreReductions(Block &body) {
  for (Operation &op : llvm::make_early_inc_range(body)) {
    auto extract = dyn_cast<vector::ExtractOp>(op);
    if (!extract || extract.getSourceVectorType().getNumElements() != 1 ||
        extract.getSourceVectorType().getRank() != 1 ||
        isa<VectorType>(extract.getType()))
      continue;
    OpBuilder b(extract);
    Value sum = vector::ReductionOp::create(
        b, extract.getLoc(), vector::CombiningKind::ADD, extract.getSource());
    extract.replaceAllUsesWith(sum);
    extract.erase();
  }
}

LogicalResult moe::lowerRoute(Emitter &e, moek::RouteOp op) {
  moecpu::RouteScheduleAttr schedule = moecpu::getSchedule(op);
  if (op.getX() && !schedule)
    return op.emitOpError("has no schedule; run moek-select-schedule first");
  if (op.getX() &&
      failed(verifyPanels(op, op.getRouter(), moecpu::getPanels(op), "router")))
    return failure();
  restoreReductions(op.getScores().front());
  restoreReductions(op.getWeigh().front());
  bool lanes = op.getPolicy().supportsLanes() &&
               canEmitInLanes(op.getScores().front()) &&
               canEmitInLanes(op.getWeigh().front());
  emitTrace(e, "begin", "route");
  Value logits;
  if (op.getX())
    logits = emitLogits(e, op, schedule.getLogits());
  if (lanes && op.getPolicy().selectsByMask())
    emitRouteMask(e, op, logits);
  else if (lanes)
    RouteLists(e, op, logits).emit(e);
  else if (failed(emitRouteTokens(e, op, logits)))
    return failure();
  emitTrace(e, "end", "route");
  moek::RoutingParts routing = op.getRouting();
  // A routing that no layer reads is not traced.
  if (!isUnread(routing.indices) || !isUnread(routing.weights) ||
      !isUnread(routing.positions))
    emitTrace(e, "routing", "route",
              ValueRange{routing.offsets, routing.indices, routing.weights});
  return success();
}
