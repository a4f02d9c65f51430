//===- StageWeights.cpp - Weights in formats become stages ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "StageWeights.h"
#include "TileBlock.h"

#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include <map>
#include <numeric>

using namespace mlir;
using namespace moe;
using moe::nvidia::StagePlan;
using moe::nvidia::StageWeights;

namespace {
/// Steps that are written out one by one.
constexpr int64_t kMostSteps = 8;
/// Words of a step and column that are read a step ahead: registers hold no
/// more. Where an epilogue reads parameters, those that multiply need more of
/// them, and those that decode get fewer.
constexpr size_t kMostLoads = 20;
constexpr int64_t kRegisters = 136, kRegistersBesideParameters = 56;
} // namespace

//===----------------------------------------------------------------------===//
// What is decided beforehand
//===----------------------------------------------------------------------===//

std::optional<StagePlan> StagePlan::get(WeightFormatAttrInterface format,
                                        int64_t k) {
  DecodeRounds rounds = format.getRounds(k);
  int64_t block = format.getBlockSize(k), values = rounds.first.size();
  if (k % kValues != 0 || kValues % values != 0)
    return {};
  StagePlan plan;
  int64_t unit = std::lcm(block, kValues);
  if (unit > kMostSteps * kValues) {
    // Units of whole periods, which are told apart when the kernel runs.
    auto coded = dyn_cast<CodedFormatAttrInterface>(Attribute(format));
    if (coded && coded.getCodeForm(k).subBlock != block)
      return {};
    unit = std::lcm(rounds.period, kValues);
    if (block % unit != 0 || unit > kMostSteps * kValues)
      return {};
    plan.periodsOfUnit = unit / rounds.period;
  }
  int64_t ofStep = kValues / values;
  int64_t ofBlock = rounds.words * rounds.periods;
  for (int64_t step = 0; step < unit / kValues; ++step) {
    Step &own = plan.steps.emplace_back();
    SmallVector<int64_t> sorted;
    for (int64_t i = 0; i < ofStep; ++i) {
      int64_t number = step * ofStep + i, inBlock = number % ofBlock;
      Round round{number / ofBlock, inBlock / rounds.words,
                  inBlock % rounds.words};
      own.rounds.push_back(round);
      for (int64_t first : rounds.first)
        sorted.push_back(round.block * block + round.period * rounds.period +
                         round.word * rounds.advance + first);
    }
    llvm::sort(sorted);
    own.first = sorted.front();
    SmallVector<int64_t> chunks;
    for (int64_t i = 0; i < kValues; ++i) {
      if (i % kChunk == 0)
        chunks.push_back(sorted[i] - own.first);
      if (sorted[i] != own.first + chunks.back() + i % kChunk)
        return {};
    }
    if (own.first % kChunk != 0 ||
        llvm::any_of(chunks, [](int64_t at) { return at % kChunk; }) ||
        (step && chunks != plan.chunks))
      return {};
    plan.chunks = chunks;
  }
  return plan;
}

/// Eight columns of a row are stored at once.
bool moe::nvidia::canDecodeStages(WeightFormatAttrInterface format, int64_t n,
                                  int64_t k) {
  return n % 8 == 0 && StagePlan::get(format, k);
}

StageWeights::StageWeights(Emitter &code, const gpu::MatmulShape &shape)
    : code(code), panels(shape.blocks.getPanels()), k(shape.k),
      readsAhead(shape.parameters.empty()),
      plan(*StagePlan::get(panels.format, shape.k)) {}

//===----------------------------------------------------------------------===//
// Loads
//===----------------------------------------------------------------------===//

/// Either loads words and notes them, or takes those that were loaded: what is
/// built of them asks for the same ones in the same order.
class StageWeights::Reader : public TableReader {
public:
  Reader(StageWeights &weights, Value block, Words &loads, bool replays,
         size_t &next)
      : TableReader(weights.code, weights.panels, weights.k, block,
                    weights.column),
        loads(loads), replays(replays), next(next) {}

protected:
  Value load(int64_t field, Value index, int64_t size) override {
    Value bytes = code.mul(column, size);
    Value word = loadWord(field, index, size, bytes);
    if (size == 4)
      return word;
    Value bits = code.shl(code.bitAnd(bytes, 3), 3);
    return bitAnd(arith::ShRUIOp::create(code, word, bits),
                  (int64_t(1) << (8 * size)) - 1);
  }

private:
  Value loadWord(int64_t field, Value index, int64_t size, Value bytes) {
    APInt constant;
    bool isKnown = matchPattern(index, m_ConstantInt(&constant));
    std::array<int64_t, 3> key{field, isKnown ? constant.getSExtValue() : -1,
                               size};
    if (isKnown)
      if (auto found = known.find(key); found != known.end())
        return found->second;
    Value word;
    if (replays) {
      word = loads[next++];
    } else {
      // Known offsets last: instructions have room for them.
      Value at =
          code.at(block, size < 4 ? code.bitAnd(bytes, ~int64_t(3)) : bytes);
      int64_t offset = panels.getFieldOffset(k, field),
              ofAll = panels.columns * size;
      if (isKnown)
        offset += constant.getSExtValue() * ofAll;
      else
        at = code.at(at, code.mul(toLanes(index), ofAll));
      word = code.load(code.i32(), code.at(at, offset));
      loads.push_back(word);
    }
    if (isKnown)
      known[key] = word;
    return word;
  }

  Words &loads;
  bool replays;
  size_t &next;
  std::map<std::array<int64_t, 3>, Value> known;
};

void StageWeights::begin(Value panel, Value column, Value swizzle) {
  this->panel = panel;
  this->column = column;
  this->swizzle = swizzle;
}

SmallVector<Value> StageWeights::load(Value unit, int64_t step) {
  Operation *before = code.getInsertionPoint() == code.getBlock()->begin()
                          ? nullptr
                          : &*std::prev(code.getInsertionPoint());
  Words loads;
  build(unit, plan.steps[step], loads, /*replays=*/false, nullptr);
  // What would have become of the loads is not wanted here.
  for (auto it = code.getInsertionPoint(); it != code.getBlock()->begin();) {
    Operation &op = *std::prev(it);
    if (&op == before)
      break;
    if (isOpTriviallyDead(&op) && !isa<LLVM::LoadOp>(op))
      op.erase();
    else
      it = op.getIterator();
  }
  if (readsAhead && loads.size() <= kMostLoads)
    return loads;
  for (Value load : loads)
    load.getDefiningOp()->erase();
  return {};
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

/// Codes become f32 by their bits: 2^23 and a byte behind it differ from 2^23
/// in that byte alone. So a value is rounded where it is scaled, and to bf16.
SmallVector<Value> StageWeights::buildRound(Reader &reader, Value period,
                                            Value word) {
  Words values;
  auto coded = dyn_cast<CodedFormatAttrInterface>(Attribute(panels.format));
  if (!coded) {
    panels.format.buildValues(reader, k, period, word, values);
    return values;
  }
  CodeForm form = coded.getCodeForm(k);
  int64_t scales = panels.format.getBlockSize(k) / form.subBlock;
  auto number = [&](double value) -> Value {
    return arith::ConstantOp::create(code, code.getF32FloatAttr(value));
  };
  constexpr uint32_t kBits = 0x4b000000;
  Value offset = number(-double((1 << 23) + form.zero));
  for (int64_t stream = 0,
               streams = panels.format.getRounds(k).first.size() / 4;
       stream < streams; ++stream) {
    Value sub = buildSubBlockIndex(reader, coded, k, period, word, stream);
    Value scale = reader.readShared(sub), less;
    if (form.hasMinimum)
      less = arith::NegFOp::create(
          code, reader.readShared(reader.indexOf(sub, 1, scales)));
    Value codes = coded.buildCodes(reader, k, period, word, stream);
    for (int64_t i = 0; i < 4; ++i) {
      Value bits = code.permute(codes, code.word(kBits), code.word(0x7440 | i));
      Value value = arith::AddFOp::create(
          code, LLVM::BitcastOp::create(code, code.f32(), bits), offset);
      values.push_back(
          less ? Value(LLVM::FMAOp::create(code, scale, value, less))
               : Value(arith::MulFOp::create(code, scale, value)));
    }
  }
  return values;
}

void StageWeights::build(Value unit, const StagePlan::Step &step, Words &loads,
                         bool replays,
                         function_ref<void(int64_t, ValueRange)> store) {
  DecodeRounds rounds = panels.format.getRounds(k);
  int64_t block = panels.format.getBlockSize(k);
  int64_t blockBytes = panels.getBlockBytes(k);
  auto index = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(code, value);
  };
  // Where the unit is: in a block, or at one.
  Value first, period = index(0);
  if (plan.periodsOfUnit) {
    int64_t ofBlock = block / plan.getUnit();
    Value own = unit, number = code.constant(0);
    if (block != k) {
      number = code.div(unit, code.constant(ofBlock));
      own = code.sub(unit, code.mul(number, ofBlock));
    }
    first = code.at(panel, code.mul(number, blockBytes));
    period = arith::IndexCastOp::create(code, code.getIndexType(),
                                        code.mul(own, plan.periodsOfUnit));
  } else {
    first = code.at(panel, code.mul(unit, plan.getUnit() / block * blockBytes));
  }
  std::map<int64_t, std::unique_ptr<Reader>> readers;
  size_t next = 0;
  std::map<int64_t, Value> values;
  for (const StagePlan::Round &round : step.rounds) {
    std::unique_ptr<Reader> &reader = readers[round.block];
    if (!reader) {
      reader = std::make_unique<Reader>(
          *this, code.at(first, round.block * blockBytes), loads, replays,
          next);
      Words shared;
      panels.format.buildShared(*reader, k, shared);
      reader->setShared(shared);
    }
    Words own = buildRound(*reader, reader->sum(period, index(round.period)),
                           index(round.word));
    if (!store)
      continue;
    int64_t at = round.block * block + round.period * rounds.period +
                 round.word * rounds.advance;
    for (auto [k, value] : llvm::zip_equal(rounds.first, own))
      values[at + k] = value;
    for (auto [i, chunk] : llvm::enumerate(plan.chunks)) {
      auto from = values.find(step.first + chunk);
      Words words;
      for (int64_t j = 0; j < StagePlan::kChunk; j += 2) {
        auto low = values.find(step.first + chunk + j),
             high = values.find(step.first + chunk + j + 1);
        if (low == values.end() || high == values.end())
          break;
        words.push_back(code.toBF16(low->second, high->second));
      }
      if (words.size() < StagePlan::kChunk / 2)
        continue;
      store(i, words);
      for (int64_t j = 0; j < StagePlan::kChunk; ++j)
        from = values.erase(from);
    }
  }
}

void StageWeights::decode(Value unit, int64_t step, ValueRange loaded,
                          Value to) {
  Words loads(loaded);
  build(unit, plan.steps[step], loads, /*replays=*/!loads.empty(),
        [&](int64_t chunk, ValueRange words) {
          Value place = code.bitXor(swizzle, code.constant(chunk * 16));
          code.store(code.pack(words), code.at(to, place));
        });
}

//===----------------------------------------------------------------------===//
// The warpgroups that decode
//===----------------------------------------------------------------------===//

namespace {
using moe::nvidia::Ring;
using moe::nvidia::RowCopies;
using moe::nvidia::Tile;
using moe::nvidia::TileBlock;

/// By four warps, of which each has two panels of the tile.
class DecodedStages {
public:
  explicit DecodedStages(TileBlock &block)
      : code(block.code), block(block), shape(block.shape),
        panels(shape.blocks.getPanels()),
        rows(block, TileBlock::kGroupThreads) {
    for (int64_t i = 0; i < kPanels; ++i)
      weights.emplace_back(code, shape);
  }

  void build() {
    const StagePlan &plan = getPlan();
    SmallVector<Value> chunks;
    for (int64_t chunk : plan.chunks)
      chunks.push_back(code.constant(chunk * 2));
    ownChunk = moe::gpu::pick(code, chunks, rows.getChunk());
    Ring start = Ring::getStart(code);
    SmallVector<Value> last =
        block.forEachTile({start.stage, start.parity, code.constant(0)},
                          [&](const Tile &tile, ValueRange values) {
                            return buildTile(tile, values);
                          });
    code.waitForCopies(0);
    code.when(code.isEqual(last[2], 1), [&] {
      block.publish(Ring{last[0], last[1]}.previous(code));
    });
  }

private:
  static constexpr int64_t kWarps = TileBlock::kGroupThreads / 32,
                           kPanels = TileBlock::kColumns / 32 / kWarps;

  const StagePlan &getPlan() const { return weights.front().getPlan(); }

  /// Which panel of the tile is a warp's panel `i`, of 32 columns.
  Value getNumber(int64_t i) { return code.add(block.warp, i * kWarps); }

  void beginTile(const Tile &tile) {
    int64_t ofTile = TileBlock::kColumns / panels.columns / shape.parts;
    int64_t ofPart = panels.getNumPanels(shape.parts, shape.n) / shape.parts;
    int64_t panelBytes = shape.k / panels.format.getBlockSize(shape.k) *
                         panels.getBlockBytes(shape.k);
    rows.begin(tile, ownChunk);
    Value first =
        code.div(tile.firstColumn, code.constant(int64_t(panels.columns)));
    Value swizzle = code.shl(code.bitAnd(block.lane, 7), 4);
    for (int64_t i = 0; i < kPanels; ++i) {
      Value number = getNumber(i);
      Value part = code.div(number, code.constant(ofTile));
      Value own = code.sub(number, code.mul(part, ofTile));
      // Columns behind the last are computed and not stored.
      own = code.min(code.add(first, own), code.constant(ofPart - 1));
      Value panel = code.add(code.mul(tile.expert, shape.parts * ofPart),
                             code.add(code.mul(part, ofPart), own));
      weights[i].begin(
          code.at(block.given.rhs, code.mul(code.widen(panel), panelBytes)),
          block.lane, swizzle);
    }
  }

  SmallVector<Value> load(Value unit, int64_t step) {
    SmallVector<Value> loads;
    for (StageWeights &own : weights)
      llvm::append_range(loads, own.load(unit, step));
    return loads;
  }

  void decode(Value unit, int64_t step, ValueRange loaded, const Ring &ring) {
    size_t ofPanel = loaded.size() / kPanels;
    for (int64_t i = 0; i < kPanels; ++i) {
      Value row = code.add(code.mul(getNumber(i), panels.columns), block.lane);
      Value to =
          code.at(block.getRhs(ring), code.mul(row, TileBlock::kRowBytes));
      weights[i].decode(unit, step, loaded.slice(i * ofPanel, ofPanel), to);
    }
  }

  SmallVector<Value> buildTile(const Tile &tile, ValueRange values) {
    const StagePlan &plan = getPlan();
    int64_t units = shape.k / plan.getUnit(), steps = plan.steps.size();
    beginTile(tile);
    SmallVector<Value> initial(values);
    llvm::append_range(initial, load(code.constant(0), 0));
    SmallVector<Value> result = code.loop(
        code.constant(0), code.constant(units), code.constant(1), initial,
        [&](Value unit, ValueRange values) -> SmallVector<Value> {
          Ring ring{values[0], values[1]};
          Value follows = values[2];
          SmallVector<Value> loaded(values.drop_front(3));
          Value nextUnit =
              code.min(code.add(unit, 1), code.constant(units - 1));
          for (int64_t step = 0; step < steps; ++step) {
            bool isLast = step + 1 == steps;
            SmallVector<Value> next =
                load(isLast ? nextUnit : unit, isLast ? 0 : step + 1);
            block.waitUntilEmpty(ring);
            rows.copy(ring, code.add(code.mul(unit, plan.getUnit() * 2),
                                     plan.steps[step].first * 2));
            decode(unit, step, loaded, ring);
            // The rows of the stage before have arrived by now.
            code.waitForCopies(1);
            code.when(code.isEqual(follows, 1),
                      [&] { block.publish(ring.previous(code)); });
            ring = ring.next(code);
            follows = code.constant(1);
            loaded = next;
          }
          SmallVector<Value> results{ring.stage, ring.parity, follows};
          llvm::append_range(results, loaded);
          return results;
        });
    result.truncate(3);
    return result;
  }

  moe::nvidia::Emitter &code;
  TileBlock &block;
  const moe::gpu::MatmulShape &shape;
  moek::BlockPanels panels;
  RowCopies rows;
  std::vector<StageWeights> weights;
  Value ownChunk;
};
} // namespace

moe::nvidia::Filler moe::nvidia::getDecodingFiller(const MatmulShape &shape) {
  return {TileBlock::kGroupThreads,
          shape.parameters.empty() ? kRegisters : kRegistersBesideParameters,
          [](TileBlock &block) { DecodedStages(block).build(); }};
}
