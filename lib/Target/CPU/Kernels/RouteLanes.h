//===- RouteLanes.h - moek.route with tokens in lanes -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Scores of a block of tokens are turned so that row e of a small buffer holds
// those of expert e, and everything per token is then the same scalar
// computation in every lane. No branch depends on data, and results do not
// depend on the width of the vectors.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_TARGET_CPU_KERNELS_ROUTELANES_H
#define MOE_LIB_TARGET_CPU_KERNELS_ROUTELANES_H

#include "Lowerings.h"
#include "PackRouting.h"
#include "moe-mlir/Target/Lanes/LaneRegion.h"

#include "moe-mlir/Target/Lanes/LaneWeights.h"
#include "moe/Lanes.h"

namespace moe {
using namespace mlir;

/// The kernel of a policy that selects by a mask (RouteMask.cpp); `logits` may
/// be null.
void emitRouteMask(Emitter &e, moek::RouteOp op, Value logits);

/// What the kernels of moek.route in lanes share: scores in, weights out.
class RouteLanes {
public:
  RouteLanes(Emitter &e, moek::RouteOp op, Value logits)
      : op(op), schedule(moecpu::getSchedule(op)), policy(op.getPolicy()),
        routing(op.getRouting()), logits(logits), experts(op.getExperts()),
        slots(op.getSelectedSlots()) {
    // Vectors narrower than the machine's would waste it; a mask wants words of
    // at least 16 tokens, and of 64 where that is one instruction.
    int64_t width = schedule ? schedule.getLanes() : 16;
    tile = width;
    lanes = policy.selectsByMask() ? (width >= 16 ? 64 : 16) : width;
    tokens = e.dim(routing.indices, 0);
  }

protected:
  moek::RouteOp op;
  moecpu::RouteScheduleAttr schedule;
  SelectionPolicyAttrInterface policy;
  moek::RoutingParts routing;
  Value logits;
  int64_t experts, slots, lanes, tile;
  Value tokens;

  /// What the blocks of tokens share.
  struct Block {
    Value first; ///< The first token.
    Value count; ///< Tokens of the block that exist.
    LaneSelection selection;
    Value weigh; ///< memref<E x W x f32> of the values to weigh by, or null.
  };

  VectorType floats(Emitter &e) { return e.vecF32(lanes); }

  //===--------------------------------------------------------------------===//
  // Scores
  //===--------------------------------------------------------------------===//

  /// The token of lane `lane`: those beyond the last are the last again.
  Value tokenAt(Emitter &e, Value first, Value lane) {
    return e.min(e.add(first, lane), e.sub(tokens, e.idx(1)));
  }

  /// Turns a square of rows by exchanging ever smaller blocks.
  static void transpose(Emitter &e, SmallVectorImpl<Value> &rows) {
    int64_t n = rows.size();
    for (int64_t s = n / 2; s >= 1; s /= 2)
      for (int64_t i = 0; i < n; ++i) {
        if (i & s)
          continue;
        SmallVector<int64_t> low, high;
        for (int64_t j = 0; j < n; ++j) {
          low.push_back(j & s ? n + j - s : j);
          high.push_back(j & s ? n + j : j + s);
        }
        Value a = rows[i], b = rows[i + s];
        rows[i] = vector::ShuffleOp::create(e, a, b, low);
        rows[i + s] = vector::ShuffleOp::create(e, a, b, high);
      }
  }

  /// Rows of tokens, `[T, >= width]`, to rows of experts.
  Value turn(Emitter &e, Value rows, int64_t width, Value first) {
    int64_t padded = (experts + tile - 1) / tile * tile;
    Value turned = memref::AllocaOp::create(
        e, MemRefType::get({padded, lanes}, e.getF32Type()),
        e.getI64IntegerAttr(64));
    if (width < tile) {
      e.loop(e.idx(lanes), [&](Emitter &e, Value lane) {
        Value token = tokenAt(e, first, lane);
        e.loop(e.idx(experts), [&](Emitter &e, Value expert) {
          e.store(e.load(rows, ValueRange{token, expert}), turned,
                  ValueRange{expert, lane});
        });
      });
      return turned;
    }
    // The last tile may overlap the one before.
    auto square = [&](Emitter &e, Value lane, Value expert) {
      SmallVector<Value> block;
      for (int64_t i = 0; i < tile; ++i)
        block.push_back(vector::LoadOp::create(
            e, e.vecF32(tile), rows,
            ValueRange{tokenAt(e, first, e.add(lane, i)), expert}));
      transpose(e, block);
      for (int64_t i = 0; i < tile; ++i)
        vector::StoreOp::create(e, block[i], turned,
                                ValueRange{e.add(expert, i), lane});
    };
    int64_t whole = width >= padded ? padded : experts / tile * tile;
    e.loop(e.idx(0), e.idx(lanes), tile, [&](Emitter &e, Value lane) {
      e.loop(e.idx(0), e.idx(whole), tile,
             [&](Emitter &e, Value expert) { square(e, lane, expert); });
      if (whole < experts)
        square(e, lane, e.idx(experts - tile));
    });
    return turned;
  }

  /// The lanes of rows that are by expert already.
  LaneLoader columns(Emitter &e, Value source, Value first) {
    // The last block is copied, so that no lane reads beyond the tokens.
    Value copy = memref::AllocaOp::create(
        e, MemRefType::get({experts, lanes}, e.getF32Type()),
        e.getI64IntegerAttr(64));
    Value left = e.sub(tokens, first);
    Value whole = e.lt(e.idx(lanes - 1), left);
    Value copied = e.select(whole, e.idx(0), e.idx(experts));
    e.loop(copied, [&](Emitter &e, Value expert) {
      e.loop(e.idx(lanes), [&](Emitter &e, Value lane) {
        e.store(e.load(source, ValueRange{expert, tokenAt(e, first, lane)}),
                copy, ValueRange{expert, lane});
      });
    });
    Value from = e.add(e.address(source), e.mul(first, 4));
    Value base = e.select(whole, from, e.address(copy));
    Value stride = e.select(whole, e.mul(tokens, 4), e.idx(lanes * 4));
    VectorType vector = floats(e);
    return [=](Emitter &e, Value row) -> Value {
      Value at = e.add(base, e.mul(row, stride));
      return LLVM::LoadOp::create(e, vector, e.toPtr(at), /*alignment=*/4);
    };
  }

  /// Runs the region of scores; fills in what the policy and the weights read.
  /// `scores` gives the lanes of an expert's scores.
  void emitScores(Emitter &e, Block &block, LaneLoader &scores) {
    SmallVector<LaneLoader> arguments;
    auto fromBuffer = [&](Value buffer) -> LaneLoader {
      return [this, buffer](Emitter &e, Value row) -> Value {
        return vector::LoadOp::create(e, floats(e), buffer,
                                      ValueRange{row, e.idx(0)});
      };
    };
    SmallVector<Value> buffers;
    auto add = [&](Value turned) {
      buffers.push_back(turned);
      arguments.push_back(fromBuffer(turned));
    };
    if (logits)
      add(turn(e, logits, cast<MemRefType>(logits.getType()).getDimSize(1),
               block.first));
    for (Value rows : op.getRows())
      add(turn(e, rows, experts, block.first));
    for (Value source : op.getColumns()) {
      buffers.push_back(Value());
      arguments.push_back(columns(e, source, block.first));
    }
    for (Value vector : op.getVectors()) {
      buffers.push_back(Value());
      arguments.push_back([this, vector](Emitter &e, Value row) -> Value {
        return e.splat(e.load(vector, ValueRange{row}), floats(e));
      });
    }
    for (Value scalars : op.getScalars()) {
      buffers.push_back(Value());
      Value loaded = loadTokens(e, scalars, block.first);
      arguments.push_back(
          [loaded](Emitter &, Value) -> Value { return loaded; });
    }

    // What is yielded as it came in needs no copy.
    mlir::Block &body = op.getScores().front();
    ValueRange yielded = body.getTerminator()->getOperands();
    SmallVector<Value> results(yielded.size());
    bool compute = false;
    for (auto [i, value] : llvm::enumerate(yielded)) {
      auto argument = dyn_cast<BlockArgument>(value);
      if (argument && buffers[argument.getArgNumber()]) {
        results[i] = buffers[argument.getArgNumber()];
      } else if (i == 1 && value == yielded[0]) {
        results[i] = results[0];
      } else if (argument && i == 0 && policy.selectsByMask() &&
                 policy.providesValues() &&
                 argument.getArgNumber() < arguments.size()) {
        // Masks read each score once: straight from where it is.
        scores = arguments[argument.getArgNumber()];
      } else {
        results[i] = block.selection.scratch(experts, e.getF32Type());
        compute = true;
      }
    }
    if (compute)
      emitRegionInLanes(
          e, body, experts, lanes, arguments,
          [&](Emitter &e, unsigned i, Value row, Value value) {
            bool own = !isa<BlockArgument>(yielded[i]) ||
                       !buffers[cast<BlockArgument>(yielded[i]).getArgNumber()];
            if (own && results[i] && !(i == 1 && yielded[1] == yielded[0]))
              vector::StoreOp::create(e, value, results[i],
                                      ValueRange{row, e.idx(0)});
          });
    bool uses = policy.usesScores();
    if (uses)
      block.selection.scores = results[0];
    if (results.size() > (uses ? 1 : 0))
      block.weigh = results.back();
    if (uses && !scores)
      scores = fromBuffer(results[0]);
  }

  /// One value a token.
  Value loadTokens(Emitter &e, Value from, Value first) {
    Type element = cast<MemRefType>(from.getType()).getElementType();
    Value copy = memref::AllocaOp::create(e, MemRefType::get({lanes}, element),
                                          e.getI64IntegerAttr(64));
    e.loop(e.idx(lanes), [&](Emitter &e, Value lane) {
      e.store(e.load(from, ValueRange{tokenAt(e, first, lane)}), copy,
              ValueRange{lane});
    });
    return vector::LoadOp::create(e, e.vec(lanes, element), copy,
                                  ValueRange{e.idx(0)});
  }

  Block beginBlock(Emitter &e, Value first) {
    Block block{first, e.min(e.sub(tokens, first), e.idx(lanes)),
                LaneSelection{ImplicitLocOpBuilder(e), experts, slots, lanes},
                Value()};
    for (auto [i, operand] : llvm::enumerate(op.getPolicyOperands()))
      block.selection.operands.push_back(
          policy.isTokenOperand(i) ? loadTokens(e, operand, first) : operand);
    return block;
  }

  //===--------------------------------------------------------------------===//
  // Weights and results
  //===--------------------------------------------------------------------===//

  /// Rows of a buffer to columns of an output `[T, K]`.
  void storeTokens(Emitter &e, const Block &block, Value buffer, Value output) {
    e.loop(block.count, [&](Emitter &e, Value lane) {
      Value token = e.add(block.first, lane);
      e.loop(e.idx(slots), [&](Emitter &e, Value slot) {
        e.store(e.load(buffer, ValueRange{slot, lane}), output,
                ValueRange{token, slot});
      });
    });
  }

  void storeAlways(Emitter &e, const Block &block) {
    if (op.getAlways() == 0)
      return;
    e.loop(block.count, [&](Emitter &e, Value lane) {
      emitAlways(e, op, e.add(block.first, lane));
    });
  }

  /// Calls `body` for the number of each block of tokens, and `single`, if it
  /// is there, for each of the tokens that the schedule takes out of blocks.
  void forBlocks(Emitter &e, function_ref<void(Emitter &, Value)> body,
                 function_ref<void(Emitter &, Value)> single = {}) {
    Value units = e.ceilDiv(tokens, lanes), blocks = units;
    bool all = single && schedule.getSingle() == lanes;
    if (single && !all) {
      Value left = e.rem(tokens, e.idx(lanes));
      // Where none is left, the difference is no small number.
      Value few = e.lt(e.sub(left, e.idx(1)), e.idx(schedule.getSingle()));
      blocks = e.sub(units, e.select(few, e.idx(1), e.idx(0)));
    }
    int64_t least = std::max<int64_t>(1, kSelectScores / (experts * lanes));
    Value size = emitItemSize(e, units, least);
    e.parallel(e.ceilDiv(units, size), [&](Emitter &e, Value item) {
      Value begin = e.mul(item, size);
      Value end = e.add(begin, size);
      if (!all)
        e.loop(begin, e.min(end, blocks), 1, body);
      if (!single)
        return;
      Value first = all ? begin : e.max(begin, blocks);
      e.loop(e.mul(first, lanes), e.min(e.mul(end, lanes), tokens), 1, single);
    });
  }

private:
  /// Scores below which selecting is not worth a second thread.
  static constexpr int64_t kSelectScores = 4096;
};

} // namespace moe

#endif // MOE_LIB_TARGET_CPU_KERNELS_ROUTELANES_H
