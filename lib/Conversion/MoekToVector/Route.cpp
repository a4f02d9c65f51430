//===- Route.cpp - moek.route and moek.index -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A token is scored, selected and weighed while its row is in registers; the
// regions of the op are inlined on whole rows. Counting and packing follow
// serially: they are linear in T * K and far below one percent of a layer.
//
//===----------------------------------------------------------------------===//

#include "Lowerings.h"

using namespace mlir;
using namespace moe;
using moek::ScheduleAttr;

/// Rows of x that share one pass over a router panel in one work item.
static constexpr int64_t kRouterRows = 64;
/// Tokens below which selecting is not worth a second thread.
static constexpr int64_t kSelectTokens = 16;

/// z = x Wr^T into a scratch of [T, panels * 32].
static Value emitLogits(Emitter &e, moek::RouteOp op, ScheduleAttr s) {
  auto xType = cast<MemRefType>(op.getX().getType());
  auto panelType = cast<MemRefType>(op.getRouter().getType());
  int64_t k = xType.getDimSize(1), panels = panelType.getDimSize(1);
  Type f32 = e.getF32Type();
  Value tokens = e.dim(op.getX(), 0);

  Value padded = emitScratch(
      e,
      MemRefType::get({ShapedType::kDynamic, moek::getPaddedRowLength(k, f32)},
                      f32),
      tokens);
  emitGatherRows(e, op.getX(), Value(), Value(), tokens, k, padded);
  Value logits = emitScratch(
      e, MemRefType::get({ShapedType::kDynamic, panels * kPanelColumns}, f32),
      tokens);

  PanelProduct product;
  product.schedule = s;
  product.pitch = moek::getPaddedRowLength(k, f32) * 4;
  product.kernels = getOrCreateMicroKernels(op->getParentOfType<ModuleOp>(), s,
                                            product.pitch);
  product.lhs = e.address(padded);
  product.rhs = e.address(op.getRouter());
  product.panels = panels;
  product.steps = panelType.getDimSize(2);
  Value blocks = e.ceilDiv(tokens, kRouterRows);
  e.parallel(e.mul(blocks, panels), [&](Emitter &e, Value item) {
    Value panel = e.rem(item, e.idx(panels)), block = e.div(item, panels);
    Value row = e.mul(block, kRouterRows);
    Value rows = e.min(e.sub(tokens, row), e.idx(kRouterRows));
    Value next = e.add(product.rhs, e.mul(panel, product.panelBytes()));
    emitPanelRun(e, product, e.idx(0), panel, e.add(panel, 1), row, rows, next,
                 [&](Emitter &e, Value panel, Value row, Value rows,
                     Value acc) {
                   Value column = e.mul(panel, kPanelColumns);
                   e.loop(rows, [&](Emitter &e, Value r) {
                     for (int64_t c = 0; c < kPanelColumns; c += 16) {
                       Value v = vector::LoadOp::create(
                           e, e.vecF32(), acc, ValueRange{r, e.idx(c)});
                       vector::StoreOp::create(
                           e, v, logits,
                           ValueRange{e.add(row, r), e.add(column, c)});
                     }
                   });
                 });
  });
  return logits;
}

/// Clones a region of whole-row vectors; returns what it yields.
static SmallVector<Value> inlineBody(Emitter &e, Block &body,
                                     ValueRange arguments) {
  IRMapping map;
  map.map(body.getArguments(), arguments);
  for (Operation &op : body.without_terminator())
    e.clone(op, map);
  SmallVector<Value> yielded;
  for (Value v : body.getTerminator()->getOperands())
    yielded.push_back(map.lookupOrDefault(v));
  return yielded;
}

/// Scores, selects and weighs one token.
static void emitToken(Emitter &e, moek::RouteOp op, Value logits,
                      ValueRange vectors, Value scratch, Value token) {
  int64_t experts = op.getExperts(), slots = op.getSelectedSlots();
  VectorType rowType = e.vecF32(experts);
  Value c0 = e.idx(0);
  SmallVector<Value> arguments;
  if (logits)
    arguments.push_back(
        vector::LoadOp::create(e, rowType, logits, ValueRange{token, c0}));
  for (Value rows : op.getRows())
    arguments.push_back(
        vector::LoadOp::create(e, rowType, rows, ValueRange{token, c0}));
  for (Value v : vectors)
    arguments.push_back(vector::LoadOp::create(e, rowType, v, ValueRange{c0}));
  SmallVector<Value> scores =
      inlineBody(e, op.getScores().front(), arguments);

  Value chosen =
      op.getPolicy().buildSelect(e, e.getLoc(), scores[0]);
  // The values of the chosen, gathered through the first-level cache.
  vector::StoreOp::create(e, scores[1], scratch, ValueRange{c0});
  Value values = e.zeros(e.vecF32(slots));
  for (int64_t slot = 0; slot < slots; ++slot) {
    Value expert = vector::ExtractOp::create(e, chosen, slot);
    Value safe = arith::MaxSIOp::create(e, expert, e.i32(0));
    Value value = e.load(scratch, ValueRange{e.toIndex(safe)});
    values = vector::InsertOp::create(e, value, values, slot);
  }
  Value weights =
      inlineBody(e, op.getWeigh().front(), ValueRange{values})[0];
  VectorType indexType = e.vec(slots, e.getI32Type());
  Value used = e.cmp(arith::CmpIPredicate::sge, chosen, e.zeros(indexType));
  weights = e.select(used, weights, e.zeros(e.vecF32(slots)));
  vector::StoreOp::create(e, chosen, op.getIndices(), ValueRange{token, c0});
  vector::StoreOp::create(e, weights, op.getSlotWeights(),
                          ValueRange{token, c0});
  for (int64_t j = 0, n = op.getAlways(); j < n; ++j) {
    Value slot = e.idx(slots + j);
    e.store(e.i32(experts + j), op.getIndices(), ValueRange{token, slot});
    Value weight =
        op.getAlwaysWeights()
            ? e.load(op.getAlwaysWeights(), ValueRange{token, e.idx(j)})
            : e.f32(1.0);
    e.store(weight, op.getSlotWeights(), ValueRange{token, slot});
  }
}

LogicalResult moe::lowerRoute(Emitter &e, moek::RouteOp op) {
  if (op.getX() && !op.getSchedule())
    return op.emitOpError("has no schedule; run moek-select-schedule first");
  if (op.getX() && failed(verifyContiguous(op, op.getRouter(), "router")))
    return failure();
  emitTrace(e, "begin", "route");
  Value logits;
  if (op.getX())
    logits = emitLogits(e, op, *op.getSchedule());
  Value tokens = e.dim(op.getIndices(), 0);
  Value size = emitItemSize(e, tokens, kSelectTokens);
  e.parallel(e.ceilDiv(tokens, size), [&](Emitter &e, Value item) {
    Value scratch = memref::AllocaOp::create(
        e,
        MemRefType::get({static_cast<int64_t>(op.getExperts())},
                        e.getF32Type()),
        e.getI64IntegerAttr(64));
    Value first = e.mul(item, size);
    e.loop(first, e.min(e.add(first, size), tokens), 1,
           [&](Emitter &e, Value token) {
             emitToken(e, op, logits, op.getVectors(), scratch, token);
           });
  });
  std::optional<int64_t> capacity;
  if (op.getCapacity())
    capacity = std::min<int64_t>(*op.getCapacity(), INT32_MAX);
  emitIndexRouting(e, op.getIndices(), op.getSlotWeights(), op.getOffsets(),
                   op.getActive(), op.getTokens(), op.getPositions(),
                   op.getRowWeights(), op.getTotalExperts(),
                   op.getTotalSlots(), op.getSelectedSlots(), capacity);
  emitTrace(e, "end", "route");
  emitTrace(e, "routing", "route",
            ValueRange{op.getOffsets(), op.getIndices(), op.getSlotWeights()});
  return success();
}

LogicalResult moe::lowerIndex(Emitter &e, moek::IndexOp op) {
  auto type = cast<MemRefType>(op.getIndices().getType());
  OperandRange out = op.getOutputs();
  emitTrace(e, "begin", "route");
  emitIndexRouting(e, op.getIndices(), op.getWeights(), out[0], out[1], out[2],
                   out[3], out[4], op.getExperts(), type.getDimSize(1), 0,
                   std::nullopt);
  emitTrace(e, "end", "route");
  return success();
}

void moe::emitIndexRouting(Emitter &e, Value indices, Value weights,
                           Value offsets, Value active, Value tokens,
                           Value positions, Value rowWeights, int64_t experts,
                           int64_t slots, int64_t limited,
                           std::optional<int64_t> capacity) {
  Value count = e.dim(indices, 0);
  Value zero = e.i32(0), one = e.i32(1), none = e.i32(-1);
  // Next free row of each expert; holds the counts first.
  Value cursor = memref::AllocaOp::create(
      e, MemRefType::get({experts}, e.getI32Type()), e.getI64IntegerAttr(64));
  auto clear = [&] {
    e.loop(e.idx(experts), [&](Emitter &e, Value i) {
      e.store(zero, cursor, ValueRange{i});
    });
  };
  auto forUsed = [&](Emitter &e, Value token, Value slot,
                     function_ref<void(Emitter &, Value)> body,
                     function_ref<void(Emitter &)> otherwise) {
    Value expert = e.load(indices, ValueRange{token, slot});
    // Unsigned: -1 and whatever a foreign router wrote fall out alike.
    Value used = e.lt(expert, e.i32(experts));
    auto branch = scf::IfOp::create(e, used, /*withElse=*/bool(otherwise));
    OpBuilder::InsertionGuard guard(e);
    e.setInsertionPointToStart(branch.thenBlock());
    body(e, e.toIndex(expert));
    if (otherwise) {
      e.setInsertionPointToStart(branch.elseBlock());
      otherwise(e);
    }
  };
  auto increment = [&](Emitter &e, Value expert) -> Value {
    Value value = e.load(cursor, ValueRange{expert});
    e.store(e.add(value, one), cursor, ValueRange{expert});
    return value;
  };

  if (capacity) {
    // First come, first served: all first slots in token order, then all
    // second ones. Appended experts have no limit.
    clear();
    e.loop(e.idx(limited), [&](Emitter &e, Value slot) {
      e.loop(count, [&](Emitter &e, Value token) {
        forUsed(
            e, token, slot,
            [&](Emitter &e, Value expert) {
              Value arrival = increment(e, expert);
              Value late = e.cmp(arith::CmpIPredicate::sge, arrival,
                                 e.i32(*capacity));
              e.ifThen(late, [&](Emitter &e) {
                e.store(none, indices, ValueRange{token, slot});
                e.store(e.f32(0.0), weights, ValueRange{token, slot});
              });
            },
            nullptr);
      });
    });
  }

  clear();
  e.loop(count, [&](Emitter &e, Value token) {
    e.loop(e.idx(slots), [&](Emitter &e, Value slot) {
      forUsed(
          e, token, slot,
          [&](Emitter &e, Value expert) { increment(e, expert); }, nullptr);
    });
  });

  // Prefix sums, the list of experts with rows, and the cursors.
  auto scan = scf::ForOp::create(e, e.idx(0), e.idx(experts), e.idx(1),
                                 ValueRange{zero, zero});
  {
    OpBuilder::InsertionGuard guard(e);
    e.setInsertionPointToStart(scan.getBody());
    Value i = scan.getInductionVar();
    Value offset = scan.getRegionIterArg(0), used = scan.getRegionIterArg(1);
    Value rows = e.load(cursor, ValueRange{i});
    e.store(offset, offsets, ValueRange{i});
    e.store(offset, cursor, ValueRange{i});
    // Written always, kept only if the expert has rows.
    e.store(e.toI32(i), active, ValueRange{e.toIndex(used)});
    Value any = e.cmp(arith::CmpIPredicate::sgt, rows, zero);
    scf::YieldOp::create(
        e, ValueRange{e.add(offset, rows),
                      e.add(used, e.select(any, one, zero))});
  }
  e.store(scan.getResult(0), offsets, ValueRange{e.idx(experts)});
  e.store(scan.getResult(1), active, ValueRange{e.idx(experts)});

  e.loop(count, [&](Emitter &e, Value token) {
    Value tokenId = e.toI32(token);
    e.loop(e.idx(slots), [&](Emitter &e, Value slot) {
      forUsed(
          e, token, slot,
          [&](Emitter &e, Value expert) {
            Value row = increment(e, expert);
            Value at = e.toIndex(row);
            e.store(tokenId, tokens, ValueRange{at});
            e.store(row, positions, ValueRange{token, slot});
            e.store(e.load(weights, ValueRange{token, slot}), rowWeights,
                    ValueRange{at});
          },
          [&](Emitter &e) {
            e.store(none, positions, ValueRange{token, slot});
          });
    });
  });
}
