//===- RouteMask.cpp - moek.route by a mask of experts ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The bits of a mask over tokens are words of the experts' lists.
//
//===----------------------------------------------------------------------===//

#include "RouteLanes.h"

using namespace mlir;
using namespace moe;

/// Experts of a round of the loop that makes masks.
static constexpr int64_t kMaskUnroll = 4;

namespace {
class RouteMask : public RouteLanes {
public:
  using RouteLanes::RouteLanes;

  void emit(Emitter &e) {
    Type word = e.getIntegerType(lanes);
    Value blocks = e.ceilDiv(tokens, lanes);
    // Bit t of word [e, b]: token b * lanes + t goes to expert e.
    Value bits = emitScratch(
        e, MemRefType::get({experts, ShapedType::kDynamic}, word), blocks);
    bool dense = !isUnread(routing.indices) || !isUnread(routing.weights) ||
                 !isUnread(routing.positions) || !isUnread(routing.rowWeights);
    forBlocks(e, [&](Emitter &e, Value index) {
      Block block = beginBlock(e, e.mul(index, lanes));
      LaneSelection &l = block.selection;
      LaneLoader scores;
      emitScores(e, block, scores);
      auto [count, fell, best] =
          emitBits(e, block, scores, bits, index,
                   /*counts=*/dense && policy.providesValues());
      if (!dense)
        return;
      Value share;
      if (policy.providesValues()) {
        l.b.restoreInsertionPoint(e.saveInsertionPoint());
        share = policy.buildMaskValue(l, count, fell, best);
      }
      emitDense(e, block, bits, index, share);
    });
    emitPackBits(e, routing, bits, tokens, experts, lanes,
                 schedule ? schedule.getPackBy() : moecpu::PackBy::Table);
    if (dense)
      emitPositions(e, routing, experts, slots);
  }

private:
  struct Counts {
    Value count, fellBack, best;
  };

  /// The words of a block; the number of experts of each token, whether it fell
  /// back to its best, and the score of that.
  Counts emitBits(Emitter &e, Block &block, LaneLoader &scores, Value bits,
                  Value index, bool counts) {
    LaneSelection &l = block.selection;
    auto at = [&](Emitter &e) {
      l.b.restoreInsertionPoint(e.saveInsertionPoint());
    };
    at(e);
    SmallVector<Value> state = policy.buildMaskState(l);
    Type word = e.getIntegerType(lanes);
    VectorType ints = e.vec(lanes, e.getI32Type());
    bool falls = policy.fallsBackToBest();
    // Bits of tokens that do not exist are dropped.
    Value all = arith::ConstantOp::create(e, IntegerAttr::get(word, -1));
    Value missing = e.sub(e.idx(lanes), block.count);
    Value valid = arith::ShRUIOp::create(
        e, all, arith::IndexCastOp::create(e, word, missing));

    SmallVector<Value> init;
    if (falls) {
      // Who has an expert. NaN: any number is better, and expert 0 is the best
      // of nothing.
      init.push_back(arith::ConstantOp::create(e, IntegerAttr::get(word, 0)));
      init.push_back(l.f32(std::numeric_limits<double>::quiet_NaN()));
      init.push_back(e.zeros(ints));
      // The expert itself, counted in lanes: moving a scalar into a vector
      // costs more than adding.
      init.push_back(e.zeros(ints));
    }
    if (counts)
      init.push_back(e.zeros(ints));
    auto one = [&](Emitter &e, Value expert, SmallVector<Value> &carried) {
      Value score = scores(e, expert);
      at(e);
      Value chosen = policy.buildMaskLanes(l, state, expert, score);
      Value bitsOfWord =
          vector::BitCastOp::create(e, VectorType::get({1}, word), chosen);
      Value w = vector::ExtractOp::create(e, bitsOfWord, 0);
      e.store(arith::AndIOp::create(e, w, valid), bits,
              ValueRange{expert, index});
      if (counts)
        carried.back() = arith::SubIOp::create(
            e, carried.back(), arith::ExtSIOp::create(e, ints, chosen));
      if (falls) {
        carried[0] = arith::OrIOp::create(e, carried[0], w);
        Value above = arith::CmpFOp::create(e, arith::CmpFPredicate::UGT, score,
                                            carried[1]);
        Value number =
            arith::CmpFOp::create(e, arith::CmpFPredicate::ORD, score, score);
        // The test that does not wait for the last expert's comes first.
        Value better = arith::AndIOp::create(e, number, above);
        carried[1] = e.select(better, score, carried[1]);
        carried[2] = e.select(better, carried[3], carried[2]);
        carried[3] = e.add(carried[3], l.i32(1));
      }
    };
    int64_t whole = experts / kMaskUnroll * kMaskUnroll;
    auto loop =
        scf::ForOp::create(e, e.idx(0), e.idx(whole), e.idx(kMaskUnroll), init);
    {
      OpBuilder::InsertionGuard guard(e);
      e.setInsertionPointToStart(loop.getBody());
      SmallVector<Value> carried(loop.getRegionIterArgs());
      for (int64_t i = 0; i < kMaskUnroll; ++i)
        one(e, e.add(loop.getInductionVar(), i), carried);
      if (!init.empty())
        scf::YieldOp::create(e, carried);
    }
    SmallVector<Value> carried(loop.getResults());
    for (int64_t expert = whole; expert < experts; ++expert)
      one(e, e.idx(expert), carried);

    Counts result;
    if (counts) {
      Value least = arith::ConstantOp::create(
          e, SplatElementsAttr::get(ints, e.getI32IntegerAttr(1)));
      result.count = arith::MaxSIOp::create(e, carried.back(), least);
      // Unless the policy falls back, nobody does.
      at(e);
      result.fellBack = e.zeros(e.vec(lanes, e.getI1Type()));
      result.best = l.f32(0.0);
    }
    if (falls) {
      Value noneWord = arith::XOrIOp::create(e, carried[0], all);
      result.fellBack = vector::BitCastOp::create(
          e, e.vec(lanes, e.getI1Type()),
          vector::BroadcastOp::create(e, VectorType::get({1}, word), noneWord));
      result.best = carried[1];
      // The bit of each such token, in the word of its best expert.
      Value best = memref::AllocaOp::create(
          e, MemRefType::get({lanes}, e.getI32Type()), e.getI64IntegerAttr(64));
      vector::StoreOp::create(e, carried[2], best, ValueRange{e.idx(0)});
      Value oneWord = arith::ConstantOp::create(e, IntegerAttr::get(word, 1));
      e.loop(block.count, [&](Emitter &e, Value lane) {
        Value expert = e.loadIndex(best, ValueRange{lane});
        Value shift = arith::IndexCastOp::create(e, word, lane);
        Value bit = arith::AndIOp::create(
            e, noneWord, arith::ShLIOp::create(e, oneWord, shift));
        Value old = e.load(bits, ValueRange{expert, index});
        e.store(arith::OrIOp::create(e, old, bit), bits,
                ValueRange{expert, index});
      });
    }
    return result;
  }

  /// Indices and weights of a block, from its words.
  void emitDense(Emitter &e, Block &block, Value bits, Value index,
                 Value share) {
    LaneSelection &l = block.selection;
    VectorType mask = e.vec(lanes, e.getI1Type());
    VectorType ints = e.vec(lanes, e.getI32Type());
    l.b.restoreInsertionPoint(e.saveInsertionPoint());
    l.indices = l.scratch(slots, e.getI32Type());
    l.values = l.scratch(slots, e.getF32Type());
    Value none = l.i32(-1), zero = l.f32(0.0), ones = l.f32(1.0);
    e.loop(e.idx(experts), [&](Emitter &e, Value expert) {
      Value word = e.load(bits, ValueRange{expert, index});
      Value wide = vector::BroadcastOp::create(
          e, VectorType::get({1}, word.getType()), word);
      Value chosen = vector::BitCastOp::create(e, mask, wide);
      Value id = e.splat(e.toI32(expert), ints);
      vector::StoreOp::create(e, e.select(chosen, id, none), l.indices,
                              ValueRange{expert, e.idx(0)});
      Value value = share ? share : ones;
      if (block.weigh)
        value = vector::LoadOp::create(e, floats(e), block.weigh,
                                       ValueRange{expert, e.idx(0)});
      vector::StoreOp::create(e, e.select(chosen, value, zero), l.values,
                              ValueRange{expert, e.idx(0)});
    });
    l.b.restoreInsertionPoint(e.saveInsertionPoint());
    Value weights = emitLaneWeights(e, op, l);
    storeTokens(e, block, l.indices, routing.indices);
    storeTokens(e, block, weights, routing.weights);
  }
};
} // namespace

void moe::emitRouteMask(Emitter &e, moek::RouteOp op, Value logits) {
  RouteMask(e, op, logits).emit(e);
}
