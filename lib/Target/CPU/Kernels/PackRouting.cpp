//===- PackRouting.cpp - From chosen experts to lists ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Lists of a fixed number of slots are packed by a counting sort, in chunks of
// tokens that are counted and scattered in parallel. Masks are packed by words:
// the places of the bits of a word are the tokens, stored at full width; the
// next store overwrites what was too much. An entry that is not used is counted
// and stored aside instead of being skipped, so that no branch depends on data.
//
//===----------------------------------------------------------------------===//

#include "PackRouting.h"

#include "Lowerings.h"
#include "WordPacker.h"

using namespace mlir;
using namespace moe;
using moecpu::PackBy;

/// Tokens times slots that are worth a thread of their own.
static constexpr int64_t kChunkAssignments = 8192;
/// Scores of a mask that are worth a thread of their own: about 0.1 cycles
/// each.
static constexpr int64_t kPackScores = 200000;

bool moe::isUnread(Value output) {
  auto alloc = output.getDefiningOp<memref::AllocOp>();
  if (!alloc)
    return false;
  Operation *writer = nullptr;
  for (Operation *user : output.getUsers()) {
    if (isa<memref::DeallocOp, memref::DimOp>(user))
      continue;
    if (!isa<moek::RouteOp, moek::IndexOp>(user) || (writer && writer != user))
      return false;
    writer = user;
  }
  return true;
}

void moe::emitCapacity(Emitter &e, const moek::RoutingParts &out, int64_t experts,
                       int64_t limited, int64_t capacity) {
  Value arrivals = memref::AllocaOp::create(
      e, MemRefType::get({experts + 1}, e.getI32Type()),
      e.getI64IntegerAttr(64));
  e.loop(e.idx(experts + 1), [&](Emitter &e, Value i) {
    e.store(e.i32(0), arrivals, ValueRange{i});
  });
  Value tokens = e.dim(out.indices, 0);
  // All first slots in token order, then all second ones.
  e.loop(e.idx(limited), [&](Emitter &e, Value slot) {
    e.loop(tokens, [&](Emitter &e, Value token) {
      Value expert = e.load(out.indices, ValueRange{token, slot});
      Value used = e.lt(expert, e.i32(experts));
      Value bin = e.toIndex(e.select(used, expert, e.i32(experts)));
      Value arrival = e.load(arrivals, ValueRange{bin});
      e.store(e.add(arrival, e.i32(1)), arrivals, ValueRange{bin});
      Value fits = e.cmp(arith::CmpIPredicate::slt, arrival, e.i32(capacity));
      Value keep = arith::AndIOp::create(e, used, fits);
      e.store(e.select(keep, expert, e.i32(-1)), out.indices,
              ValueRange{token, slot});
      Value weight = e.load(out.weights, ValueRange{token, slot});
      e.store(e.select(keep, weight, e.f32(0.0)), out.weights,
              ValueRange{token, slot});
    });
  });
}

void moe::emitAlways(Emitter &e, moek::RouteOp op, Value token) {
  int64_t experts = op.getExperts(), slots = op.getSelectedSlots();
  for (int64_t j = 0, n = op.getAlways(); j < n; ++j) {
    Value slot = e.idx(slots + j);
    e.store(e.i32(experts + j), op.getRouting().indices,
            ValueRange{token, slot});
    Value weight = op.getAlwaysWeights() ? e.load(op.getAlwaysWeights(),
                                                  ValueRange{token, e.idx(j)})
                                         : e.f32(1.0);
    e.store(weight, op.getRouting().weights, ValueRange{token, slot});
  }
}

/// Writes offsets and active. `endOf` gives the end of an expert's rows from
/// their begin.
static void
emitOffsets(Emitter &e, const moek::RoutingParts &out, int64_t experts,
            function_ref<Value(Emitter &, Value expert, Value begin)> endOf) {
  Value zero = e.i32(0), one = e.i32(1);
  auto scan = scf::ForOp::create(e, e.idx(0), e.idx(experts), e.idx(1),
                                 ValueRange{zero, zero});
  {
    OpBuilder::InsertionGuard guard(e);
    e.setInsertionPointToStart(scan.getBody());
    Value i = scan.getInductionVar();
    Value offset = scan.getRegionIterArg(0), used = scan.getRegionIterArg(1);
    e.store(offset, out.offsets, ValueRange{i});
    Value end = endOf(e, i, offset);
    // Written always, kept only if the expert has rows.
    e.store(e.toI32(i), out.active, ValueRange{e.toIndex(used)});
    Value any = e.cmp(arith::CmpIPredicate::sgt, end, offset);
    scf::YieldOp::create(
        e, ValueRange{end, e.add(used, e.select(any, one, zero))});
  }
  e.store(scan.getResult(0), out.offsets, ValueRange{e.idx(experts)});
  e.store(scan.getResult(1), out.active, ValueRange{e.idx(experts)});
}

namespace {
/// Chunks of tokens with a counter for each expert, and one for unused slots.
struct Chunks {
  Value tokens, size, count;
  Value cursors; ///< memref<? x (E + 1) x i32>

  Chunks(Emitter &e, const moek::RoutingParts &out, int64_t experts,
         int64_t slots) {
    tokens = e.dim(out.indices, 0);
    size = e.idx(std::max<int64_t>(1, kChunkAssignments / slots));
    count = e.ceilDiv(tokens, size);
    cursors = emitScratch(
        e, MemRefType::get({ShapedType::kDynamic, experts + 1}, e.getI32Type()),
        count);
  }

  /// Calls `body` for each slot of each token of a chunk with its bin: the
  /// expert, or E for an unused slot.
  void forSlots(Emitter &e, Value chunk, const moek::RoutingParts &out,
                int64_t experts, int64_t slots,
                function_ref<void(Emitter &, Value token, Value slot, Value bin,
                                  Value used)>
                    body) const {
    Value first = e.mul(chunk, size);
    e.loop(first, e.min(e.add(first, size), tokens), 1,
           [&](Emitter &e, Value token) {
             e.loop(e.idx(slots), [&](Emitter &e, Value slot) {
               Value expert = e.load(out.indices, ValueRange{token, slot});
               // Unsigned: -1 and whatever a foreign router wrote alike.
               Value used = e.lt(expert, e.i32(experts));
               Value bin = e.toIndex(e.select(used, expert, e.i32(experts)));
               body(e, token, slot, bin, used);
             });
           });
  }

  void emitCounts(Emitter &e, const moek::RoutingParts &out, int64_t experts,
                  int64_t slots) const {
    e.parallel(count, [&](Emitter &e, Value chunk) {
      e.loop(e.idx(experts + 1), [&](Emitter &e, Value i) {
        e.store(e.i32(0), cursors, ValueRange{chunk, i});
      });
      forSlots(e, chunk, out, experts, slots,
               [&](Emitter &e, Value, Value, Value bin, Value) {
                 Value n = e.load(cursors, ValueRange{chunk, bin});
                 e.store(e.add(n, e.i32(1)), cursors, ValueRange{chunk, bin});
               });
    });
  }

  /// Turns counts into where each chunk's rows of `expert` begin; returns the
  /// end of the last.
  Value emitBegins(Emitter &e, Value expert, Value offset) const {
    auto loop = scf::ForOp::create(e, e.idx(0), count, e.idx(1), offset);
    OpBuilder::InsertionGuard guard(e);
    e.setInsertionPointToStart(loop.getBody());
    Value chunk = loop.getInductionVar(), at = loop.getRegionIterArg(0);
    Value n = e.load(cursors, ValueRange{chunk, expert});
    e.store(at, cursors, ValueRange{chunk, expert});
    scf::YieldOp::create(e, ValueRange{e.add(at, n)});
    return loop.getResult(0);
  }

  /// Gives every slot its row.
  void emitScatter(Emitter &e, const moek::RoutingParts &out, int64_t experts,
                   int64_t slots, bool writeTokens) const {
    bool writePositions = !isUnread(out.positions);
    bool writeWeights = !isUnread(out.rowWeights);
    if (!writeTokens && !writePositions && !writeWeights)
      return;
    e.parallel(count, [&](Emitter &e, Value chunk) {
      // Where the rows of unused slots go.
      Value asideToken = memref::AllocaOp::create(
          e, MemRefType::get({1}, e.getI32Type()), e.getI64IntegerAttr(64));
      Value asideWeight = memref::AllocaOp::create(
          e, MemRefType::get({1}, e.getF32Type()), e.getI64IntegerAttr(64));
      auto put = [](Emitter &e, Value used, Value value, Value memref,
                    Value aside, Value row) {
        Value inside = e.add(e.address(memref), e.mul(row, 4));
        Value to = e.select(used, inside, e.address(aside));
        LLVM::StoreOp::create(e, value, e.toPtr(to), /*alignment=*/4);
      };
      forSlots(e, chunk, out, experts, slots,
               [&](Emitter &e, Value token, Value slot, Value bin, Value used) {
                 Value row = e.load(cursors, ValueRange{chunk, bin});
                 e.store(e.add(row, e.i32(1)), cursors, ValueRange{chunk, bin});
                 Value at = e.toIndex(row);
                 if (writeTokens)
                   put(e, used, e.toI32(token), out.tokens, asideToken, at);
                 if (writePositions)
                   e.store(e.select(used, row, e.i32(-1)), out.positions,
                           ValueRange{token, slot});
                 if (writeWeights)
                   put(e, used, e.load(out.weights, ValueRange{token, slot}),
                       out.rowWeights, asideWeight, at);
               });
    });
  }
};
} // namespace

void moe::emitPackLists(Emitter &e, const moek::RoutingParts &out, int64_t experts,
                        int64_t slots) {
  Chunks chunks(e, out, experts, slots);
  chunks.emitCounts(e, out, experts, slots);
  emitOffsets(e, out, experts, [&](Emitter &e, Value expert, Value begin) {
    return chunks.emitBegins(e, expert, begin);
  });
  chunks.emitScatter(e, out, experts, slots,
                     /*writeTokens=*/!isUnread(out.tokens));
}

void moe::emitPositions(Emitter &e, const moek::RoutingParts &out, int64_t experts,
                        int64_t slots) {
  if (isUnread(out.positions) && isUnread(out.rowWeights))
    return;
  Chunks chunks(e, out, experts, slots);
  chunks.emitCounts(e, out, experts, slots);
  e.loop(e.idx(experts), [&](Emitter &e, Value expert) {
    chunks.emitBegins(e, expert, e.load(out.offsets, ValueRange{expert}));
  });
  chunks.emitScatter(e, out, experts, slots, /*writeTokens=*/false);
}

//===----------------------------------------------------------------------===//
// Masks
//===----------------------------------------------------------------------===//

/// The tokens of one expert, one after another: nothing is stored beyond them.
static void emitExactList(Emitter &e, Value bits, Value expert, Value blocks,
                          int64_t lanes, Value list, Value from) {
  Value aside = memref::AllocaOp::create(
      e, MemRefType::get({1}, e.getI32Type()), e.getI64IntegerAttr(64));
  auto words = scf::ForOp::create(e, e.idx(0), blocks, e.idx(1), from);
  OpBuilder::InsertionGuard guard(e);
  e.setInsertionPointToStart(words.getBody());
  Value block = words.getInductionVar();
  Value word = e.load(bits, ValueRange{expert, block});
  auto loop = scf::ForOp::create(e, e.idx(0), e.idx(lanes), e.idx(1),
                                 words.getRegionIterArg(0));
  scf::YieldOp::create(e, loop.getResults());
  e.setInsertionPointToStart(loop.getBody());
  Value lane = loop.getInductionVar(), at = loop.getRegionIterArg(0);
  Value shift = arith::IndexCastOp::create(e, word.getType(), lane);
  Value bit = arith::TruncIOp::create(e, e.getI1Type(),
                                      arith::ShRUIOp::create(e, word, shift));
  Value token = e.toI32(e.add(e.mul(block, lanes), lane));
  Value to = e.select(bit, at, e.address(aside));
  LLVM::StoreOp::create(e, token, e.toPtr(to), /*alignment=*/4);
  Value step = e.select(bit, e.idx(4), e.idx(0));
  scf::YieldOp::create(e, ValueRange{e.add(at, step)});
}

void moe::emitPackBits(Emitter &e, const moek::RoutingParts &out, Value bits,
                       Value tokens, int64_t experts, int64_t lanes,
                       PackBy by) {
  Value blocks = e.dim(bits, 1);
  emitOffsets(e, out, experts, [&](Emitter &e, Value expert, Value begin) {
    auto loop = scf::ForOp::create(e, e.idx(0), blocks, e.idx(1), begin);
    OpBuilder::InsertionGuard guard(e);
    e.setInsertionPointToStart(loop.getBody());
    Value word = e.load(bits, ValueRange{expert, loop.getInductionVar()});
    Value count = math::CtPopOp::create(e, word);
    Value n =
        lanes > 32   ? Value(arith::TruncIOp::create(e, e.getI32Type(), count))
        : lanes < 32 ? Value(arith::ExtUIOp::create(e, e.getI32Type(), count))
                     : count;
    scf::YieldOp::create(e, ValueRange{e.add(loop.getRegionIterArg(0), n)});
    return loop.getResult(0);
  });
  if (isUnread(out.tokens))
    return;
  // Groups of experts for the threads. The last list of a group must not reach
  // into the next group's.
  Value threads = moert::NumThreadsOp::create(e, e.getIndexType());
  Value groups =
      e.max(e.idx(1),
            e.min(threads, e.div(e.mul(tokens, experts), e.idx(kPackScores))));
  groups = e.min(groups, e.idx(experts));
  e.parallel(groups, [&](Emitter &e, Value group) {
    auto begin = [&](Value g) { return e.div(e.mul(g, experts), groups); };
    Value first = begin(group), end = begin(e.add(group, 1));
    Value isLast = e.eq(e.add(group, 1), groups);
    Value wide = e.select(isLast, end, e.sub(end, e.idx(1)));
    WordPacker packer(e, lanes, by, e.getInsertionBlock()->getParentOp());
    Value list = e.address(out.tokens);
    auto listOf = [&](Emitter &e, Value expert) {
      return e.add(list,
                   e.mul(e.loadIndex(out.offsets, ValueRange{expert}), 4));
    };
    e.loop(first, wide, 1, [&](Emitter &e, Value expert) {
      auto loop = scf::ForOp::create(e, e.idx(0), blocks, e.idx(1),
                                     ValueRange{listOf(e, expert)});
      OpBuilder::InsertionGuard guard(e);
      e.setInsertionPointToStart(loop.getBody());
      Value block = loop.getInductionVar();
      Value word = e.load(bits, ValueRange{expert, block});
      Value base = e.toI32(e.mul(block, lanes));
      scf::YieldOp::create(
          e, ValueRange{packer.pack(e, word, base, loop.getRegionIterArg(0))});
    });
    e.loop(wide, end, 1, [&](Emitter &e, Value expert) {
      emitExactList(e, bits, expert, blocks, lanes, list, listOf(e, expert));
    });
  });
}

//===----------------------------------------------------------------------===//
// moek.index
//===----------------------------------------------------------------------===//

LogicalResult moe::lowerIndex(Emitter &e, moek::IndexOp op) {
  auto type = cast<MemRefType>(op.getIndices().getType());
  moek::RoutingParts routing = op.getRouting();
  emitTrace(e, "begin", "route");
  emitPackLists(e, routing, op.getExperts(), type.getDimSize(1));
  emitTrace(e, "end", "route");
  if (op.getTraced())
    emitTrace(e, "routing", "route",
              ValueRange{routing.offsets, routing.indices, routing.weights});
  return success();
}
