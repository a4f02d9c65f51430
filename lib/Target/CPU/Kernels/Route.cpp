//===- Route.cpp - moek.route ----------------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Tokens in lanes, experts in the loop: scores of a block of tokens are turned
// so that row e of a small buffer holds those of expert e, and everything per
// token is then the same scalar computation in every lane. No branch depends on
// data, results do not depend on the width of the vectors, and the bits of a
// mask over tokens are words of the experts' lists.
//
// Counting and packing are in PackRouting.cpp, policies without a lanes form in
// RouteTokens.cpp.
//
//===----------------------------------------------------------------------===//

#include "LaneRegion.h"
#include "Lowerings.h"
#include "PackRouting.h"

#include "moe/Lanes.h"

using namespace mlir;
using namespace moe;
using moecpu::ScheduleAttr;

/// Rows of x that share one pass over a router panel in one work item.
static constexpr int64_t kRouterRows = 64;
/// Scores below which selecting is not worth a second thread.
static constexpr int64_t kSelectScores = 4096;
/// Experts of a round of the loop that makes masks.
static constexpr int64_t kMaskUnroll = 4;

/// z = x Wr^T into a scratch of [T, panels * 32].
static Value emitLogits(Emitter &e, moek::RouteOp op, ScheduleAttr s) {
  auto xType = cast<MemRefType>(op.getX().getType());
  auto panelType = cast<MemRefType>(op.getRouter().getType());
  int64_t k = xType.getDimSize(1), panels = panelType.getDimSize(1);
  Type f32 = e.getF32Type();
  Value tokens = e.dim(op.getX(), 0);

  Value padded = emitScratch(
      e,
      MemRefType::get({ShapedType::kDynamic, moecpu::getPaddedRowLength(k, f32)},
                      f32),
      tokens);
  emitGatherRows(e, op.getX(), Value(), Value(), tokens, k, padded);
  Value logits = emitScratch(
      e, MemRefType::get({ShapedType::kDynamic, panels * kPanelColumns}, f32),
      tokens);

  PanelProduct product;
  product.schedule = s;
  product.pitch = moecpu::getPaddedRowLength(k, f32) * 4;
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
    emitPanelRun(
        e, product, e.idx(0), panel, e.add(panel, 1), row, rows, next,
        [&](Emitter &e, Value panel, Value row, Value rows, Value acc) {
          Value column = e.mul(panel, kPanelColumns);
          e.loop(rows, [&](Emitter &e, Value r) {
            for (int64_t c = 0; c < kPanelColumns; c += 16) {
              Value v = vector::LoadOp::create(e, e.vecF32(), acc,
                                               ValueRange{r, e.idx(c)});
              vector::StoreOp::create(
                  e, v, logits, ValueRange{e.add(row, r), e.add(column, c)});
            }
          });
        });
  });
  return logits;
}

namespace {
/// The kernel of one moek.route in lanes.
class RouteLanes {
public:
  RouteLanes(Emitter &e, moek::RouteOp op, Value logits)
      : op(op), schedule(moecpu::getSchedule(op)), policy(op.getPolicy()), routing(op.getRouting()),
        logits(logits), experts(op.getExperts()), slots(op.getSelectedSlots()) {
    // Vectors narrower than the machine's would waste it; a mask wants words of
    // at least 16 tokens, and of 64 where that is one instruction.
    int64_t width = schedule ? schedule.getLanes() : 16;
    tile = width;
    lanes = policy.selectsByMask() ? (width >= 16 ? 64 : 16) : width;
    tokens = e.dim(routing.indices, 0);
  }

  void emit(Emitter &e) {
    if (policy.selectsByMask())
      emitMask(e);
    else
      emitLists(e);
  }

private:
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

  /// The weights in the rows of a buffer, from the chosen and their values.
  Value emitWeights(Emitter &e, Block &block) {
    LaneSelection &l = block.selection;
    Value weights = l.scratch(slots, e.getF32Type());
    auto loadIndex = [&](Emitter &e, Value row) -> Value {
      return vector::LoadOp::create(e, e.vec(lanes, e.getI32Type()), l.indices,
                                    ValueRange{row, e.idx(0)});
    };
    auto isUsed = [&](Emitter &e, Value row) -> Value {
      return e.cmp(arith::CmpIPredicate::sge, loadIndex(e, row),
                   e.zeros(e.vec(lanes, e.getI32Type())));
    };
    bool full = policy.fillsAllSlots(experts);
    // Unused slots count as 0, whatever they hold.
    SmallVector<LaneLoader> arguments{[&](Emitter &e, Value row) -> Value {
      Value values = vector::LoadOp::create(e, floats(e), l.values,
                                            ValueRange{row, e.idx(0)});
      return full ? values
                  : e.select(isUsed(e, row), values, e.zeros(floats(e)));
    }};
    mlir::Block &body = op.getWeigh().front();
    if (body.getNumArguments() == 2)
      arguments.push_back(isUsed);
    emitRegionInLanes(
        e, body, slots, lanes, arguments,
        [&](Emitter &e, unsigned, Value row, Value value) {
          if (!full)
            value = e.select(isUsed(e, row), value, e.zeros(floats(e)));
          vector::StoreOp::create(e, value, weights, ValueRange{row, e.idx(0)});
        });
    return weights;
  }

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
    int64_t always = op.getAlways();
    if (always == 0)
      return;
    e.loop(block.count, [&](Emitter &e, Value lane) {
      Value token = e.add(block.first, lane);
      for (int64_t j = 0; j < always; ++j) {
        Value slot = e.idx(slots + j);
        e.store(e.i32(experts + j), routing.indices, ValueRange{token, slot});
        Value weight =
            op.getAlwaysWeights()
                ? e.load(op.getAlwaysWeights(), ValueRange{token, e.idx(j)})
                : e.f32(1.0);
        e.store(weight, routing.weights, ValueRange{token, slot});
      }
    });
  }

  void forBlocks(Emitter &e, function_ref<void(Emitter &, Value)> body) {
    Value blocks = e.ceilDiv(tokens, lanes);
    int64_t least = std::max<int64_t>(1, kSelectScores / (experts * lanes));
    Value size = emitItemSize(e, blocks, least);
    e.parallel(e.ceilDiv(blocks, size), [&](Emitter &e, Value item) {
      Value begin = e.mul(item, size);
      e.loop(begin, e.min(e.add(begin, size), blocks), 1, body);
    });
  }

  //===--------------------------------------------------------------------===//
  // Lists, best first
  //===--------------------------------------------------------------------===//

  void emitLists(Emitter &e) {
    forBlocks(e, [&](Emitter &e, Value index) {
      Block block = beginBlock(e, e.mul(index, lanes));
      LaneSelection &l = block.selection;
      LaneLoader scores;
      emitScores(e, block, scores);
      l.indices = l.scratch(slots, e.getI32Type());
      l.values = l.scratch(slots, e.getF32Type());
      policy.buildSelectLanes(l);
      if (!policy.providesValues())
        gatherValues(e, block);
      Value weights = emitWeights(e, block);
      storeTokens(e, block, l.indices, routing.indices);
      storeTokens(e, block, weights, routing.weights);
      storeAlways(e, block);
    });
    std::optional<int64_t> capacity;
    if (op.getCapacity())
      capacity = std::min<int64_t>(*op.getCapacity(), INT32_MAX);
    if (capacity)
      emitCapacity(e, routing, op.getTotalExperts(), slots, *capacity);
    emitPackLists(e, routing, op.getTotalExperts(), op.getTotalSlots());
  }

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

  //===--------------------------------------------------------------------===//
  // Masks
  //===--------------------------------------------------------------------===//

  void emitMask(Emitter &e) {
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
    Value weights = emitWeights(e, block);
    storeTokens(e, block, l.indices, routing.indices);
    storeTokens(e, block, weights, routing.weights);
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
  if (op.getX() && failed(verifyContiguous(op, op.getRouter(), "router")))
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
  if (lanes)
    RouteLanes(e, op, logits).emit(e);
  else if (failed(emitRouteTokens(e, op, logits)))
    return failure();
  emitTrace(e, "end", "route");
  moek::RoutingParts routing = op.getRouting();
  // A routing that no layer reads is not traced.
  if (!isUnread(routing.indices) || !isUnread(routing.weights) ||
      !isUnread(routing.positions))
    emitTrace(
        e, "routing", "route",
        ValueRange{routing.offsets, routing.indices, routing.weights});
  return success();
}
