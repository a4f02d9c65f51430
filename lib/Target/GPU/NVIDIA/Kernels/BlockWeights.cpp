//===- BlockWeights.cpp - Weights in formats, for few rows ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "BlockWeights.h"

using namespace mlir;
using namespace moe;
using moe::nvidia::BlockWeights;
using moe::nvidia::RowReader;

namespace {
/// Lanes that share a row, and with it the depth of a product.
constexpr int64_t kQuarters = 4;
constexpr int64_t kLeastWarps = 4;
/// Loads of 16 bytes of a lane that should be on their way at once.
constexpr int64_t kLoads = 4;
} // namespace

//===----------------------------------------------------------------------===//
// What is decided beforehand
//===----------------------------------------------------------------------===//

bool BlockWeights::canRead(WeightFormatAttrInterface format, int64_t k) {
  DecodeRounds rounds = format.getRounds(k);
  return rounds.first.size() % 4 == 0 &&
         rounds.words * rounds.periods % kQuarters == 0 &&
         (rounds.words % kQuarters == 0 || kQuarters % rounds.words == 0);
}

BlockWeights::BlockWeights(Emitter &code, const moe::gpu::MatmulShape &shape,
                           int64_t columns, int64_t most)
    : code(code), shape(shape), panels(shape.blocks.getPanels()),
      rounds(panels.format.getRounds(shape.k)), ofLane(columns / 8), most(most),
      block(panels.format.getBlockSize(shape.k)),
      blockBytes(panels.getBlockBytes(shape.k)),
      stepsOfBlock(rounds.words * rounds.periods / kQuarters),
      pairs(WeightPairs::get(panels.format, shape.k)) {
  planScales();
  planUnits();
  planChunks();
}

int64_t BlockWeights::getSubBlock(int64_t round, int64_t stream) const {
  if (pairs->getSubBlock() == block)
    return 0;
  int64_t period = round / rounds.words, word = round % rounds.words;
  return (period * rounds.period + word * rounds.advance +
          rounds.first[4 * stream]) /
         pairs->getSubBlock();
}

void BlockWeights::planScales() {
  if (!pairs)
    return;
  bool isShared = true;
  for (int64_t step = 0; step < stepsOfBlock; ++step)
    for (int64_t stream = 0; stream < getStreams(); ++stream)
      for (int64_t lane = 1; lane < kQuarters; ++lane)
        isShared &= getSubBlock(step * kQuarters, stream) ==
                    getSubBlock(step * kQuarters + lane, stream);
  bool isPlain = pairs->getOffset() == 0 && !pairs->hasMinimum();
  if (isShared)
    scales = isPlain && pairs->getSubBlock() == shape.k ? Scales::Rows
                                                        : Scales::Sums;
  else if (pairs->hasFactors())
    scales = Scales::Weights;
  else
    pairs = nullptr;
}

/// Blocks with several scales are read as a whole, so that it is known which
/// one is meant.
void BlockWeights::planUnits() {
  auto coded = dyn_cast<CodedFormatAttrInterface>(Attribute(panels.format));
  hasOneScale = !coded || coded.getCodeForm(shape.k).subBlock == block;
  unitSteps = stepsOfBlock;
  if (hasOneScale)
    for (unitSteps = std::min<int64_t>(stepsOfBlock, kLoads);; --unitSteps) {
      int64_t own = unitSteps * kQuarters;
      if (stepsOfBlock % unitSteps == 0 &&
          (own % rounds.words == 0 || rounds.words % own == 0))
        break;
    }
  unitsOfBlock = stepsOfBlock / unitSteps;
  units = shape.k / block * unitsOfBlock;
  // As many warps as leave the fewest without work, the more the better.
  warps = std::min(units, most);
  auto getTurns = [&](int64_t count) {
    return (units + count - 1) / count * count;
  };
  for (int64_t count = warps - 1; count >= std::min(most, kLeastWarps); --count)
    if (getTurns(count) < getTurns(warps))
      warps = count;
  ahead = std::max<int64_t>(1, kLoads / (unitSteps * shape.parts));
}

/// Whole scales, and enough loads at once.
void BlockWeights::planChunks() {
  bool isScaled = scales == Scales::Sums;
  for (int64_t begin = 0, step = 0; step < unitSteps; ++step) {
    bool ends = (step + 1 - begin) * shape.parts >= kLoads || !isScaled;
    for (int64_t before = begin; before <= step && isScaled; ++before)
      for (int64_t after = step + 1; after < unitSteps; ++after)
        for (int64_t a = 0; a < getStreams(); ++a)
          for (int64_t b = 0; b < getStreams(); ++b)
            ends &= getSubBlock(before * kQuarters, a) !=
                    getSubBlock(after * kQuarters, b);
    if (!ends && step + 1 < unitSteps)
      continue;
    Chunk &chunk = chunks.emplace_back(Chunk{begin, step + 1, {}});
    for (; begin <= step; ++begin)
      for (int64_t stream = 0; stream < getStreams(); ++stream)
        chunk.ofScales[isScaled ? getSubBlock(begin * kQuarters, stream) : 0]
            .push_back({begin, stream});
  }
}

/// What several scales take in registers leaves room for fewer.
int64_t BlockWeights::getResident() const { return hasOneScale ? 24 : 16; }

//===----------------------------------------------------------------------===//
// Loads
//===----------------------------------------------------------------------===//

struct BlockWeights::Columns {
  std::unique_ptr<ColumnReader> reader;
  /// Of each column, where weights become f32.
  std::vector<Words> shared;
  /// Of each column, step and stream: four numbers.
  std::vector<std::vector<Words>> numbers;

  ColumnReader &select(int64_t own) {
    reader->select(own);
    if (!shared.empty())
      reader->setShared(shared[own]);
    return *reader;
  }
};

struct BlockWeights::Unit {
  /// Which block it is of, and which part of that.
  Value block, number;
  /// Of each part.
  std::vector<Columns> parts;
  /// Of each step.
  std::vector<RowReader> rows;
};

std::pair<Value, Value> BlockWeights::getRound(const Unit &unit, int64_t step) {
  auto toIndex = [&](Value own, Value dynamic, int64_t known) -> Value {
    if (dynamic)
      own = own ? code.add(own, dynamic) : dynamic;
    if (!own)
      return arith::ConstantIndexOp::create(code, known);
    return arith::IndexCastOp::create(code, code.getIndexType(),
                                      known ? code.add(own, known) : own);
  };
  int64_t first = step * kQuarters, all = unitSteps * kQuarters;
  Value period, word;
  if (unitsOfBlock > 1 && all % rounds.words == 0)
    period = code.mul(unit.number, all / rounds.words);
  else if (unitsOfBlock > 1) {
    int64_t ofPeriod = rounds.words / all;
    period = code.div(unit.number, code.constant(ofPeriod));
    word = code.mul(code.sub(unit.number, code.mul(period, ofPeriod)), all);
  }
  return {toIndex(ownPeriod, period, first / rounds.words),
          toIndex(ownWord, word, first % rounds.words)};
}

RowReader BlockWeights::loadRows(const Unit &unit, int64_t step) {
  auto [period, word] = getRound(unit, step);
  int64_t bytes = shape.rows.getIntOrFloatBitWidth() / 8;
  auto toBytes = [&](Value index, int64_t factor) {
    return code.mul(arith::IndexCastOp::create(code, code.i32(), index),
                    bytes * factor);
  };
  Value at = code.add(
      code.mul(unit.block, bytes * block),
      code.add(toBytes(period, rounds.period), toBytes(word, rounds.advance)));
  return RowReader(code, rounds, block, code.at(ownRow, at), shape.rows);
}

BlockWeights::Unit BlockWeights::begin(Value number) {
  Unit unit;
  unit.block = number;
  if (unitsOfBlock > 1) {
    unit.block = block == shape.k
                     ? code.constant(0)
                     : code.div(number, code.constant(unitsOfBlock));
    unit.number = code.sub(number, code.mul(unit.block, unitsOfBlock));
  }
  for (Value panel : ownPanels) {
    Columns columns;
    columns.reader = std::make_unique<ColumnReader>(
        code, panels, shape.k, code.at(panel, code.mul(unit.block, blockBytes)),
        column, ofLane);
    columns.numbers.resize(ofLane);
    for (int64_t own = 0; own < ofLane && scales == Scales::Values; ++own) {
      columns.reader->select(own);
      columns.shared.push_back(columns.reader->buildShared());
    }
    unit.parts.push_back(std::move(columns));
  }
  return unit;
}

void BlockWeights::load(Unit &unit, const Chunk &chunk) {
  for (int64_t step = chunk.begin; step < chunk.end; ++step) {
    auto [period, word] = getRound(unit, step);
    for (Columns &columns : unit.parts)
      for (int64_t own = 0; own < ofLane && pairs; ++own) {
        Words &numbers = columns.numbers[own].emplace_back();
        for (int64_t stream = 0; stream < getStreams(); ++stream)
          numbers.push_back(
              pairs->read(columns.select(own), shape.k, period, word, stream));
      }
    unit.rows.push_back(loadRows(unit, step));
  }
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

std::array<Value, 2> BlockWeights::getRows(const Unit &unit,
                                           const Stream &stream) const {
  ArrayRef<int64_t> k = ArrayRef(rounds.first).slice(4 * stream.stream, 4);
  const RowReader &rows = unit.rows[stream.step];
  return {rows.getPair(k[0], k[2]), rows.getPair(k[1], k[3])};
}

void BlockWeights::multiplyStream(Unit &unit, const Stream &stream,
                                  int64_t part, int64_t half, Sums sums) {
  Columns &columns = unit.parts[part];
  std::array<SmallVector<WeightPairs::Pairs>, 2> terms;
  for (int64_t which : {0, 1}) {
    int64_t own = 2 * half + which;
    Value four = columns.numbers[own][stream.step][stream.stream];
    if (scales != Scales::Weights) {
      terms[which] = pairs->build(code, four);
      continue;
    }
    auto [period, word] = getRound(unit, stream.step);
    Value factor = pairs->buildFactor(code, columns.select(own), shape.k,
                                      period, word, stream.stream);
    terms[which] = {pairs->buildScaled(code, four, factor)};
  }
  std::array<Value, 2> rows = getRows(unit, stream);
  for (auto [a, b] : llvm::zip_equal(terms[0], terms[1]))
    code.multiplyBF16({a[0], b[0], a[1], b[1]}, rows, sums);
}

void BlockWeights::multiplyScaled(Unit &unit, int64_t sub,
                                  ArrayRef<Stream> streams, Sums sums) {
  // The offset times the sum of the row, as the product of a matrix that has
  // nothing else.
  Words offsets(4, arith::ConstantOp::create(code, code.getF32FloatAttr(0)));
  if (double offset = pairs->getOffset()) {
    Value all = code.word(Emitter::getPair(-offset));
    for (const Stream &stream : streams)
      code.multiplyBF16({all, all, all, all}, getRows(unit, stream), offsets);
  }
  for (int64_t part = 0; part < shape.parts; ++part) {
    // Built where they are needed: registers hold few.
    SmallVector<Words> shared;
    for (int64_t own = 0; own < ofLane; ++own)
      shared.push_back(
          pairs->buildScales(code, unit.parts[part].select(own), shape.k));
    int64_t minima = block / pairs->getSubBlock();
    for (int64_t half = 0; half < ofLane / 2; ++half) {
      Words products(offsets);
      for (const Stream &stream : streams)
        multiplyStream(unit, stream, part, half, products);
      Sums own = sums.slice(part * getSums() + half * 4, 4);
      for (int64_t i = 0; i < 4; ++i) {
        ArrayRef<Value> ofColumn = shared[2 * half + i / 2];
        own[i] = LLVM::FMAOp::create(code, ofColumn[sub], products[i], own[i]);
        if (!pairs->hasMinimum())
          continue;
        Value less = arith::MulFOp::create(
            code, ofColumn[minima + sub],
            arith::ConstantOp::create(
                code, code.getF32FloatAttr(1 / pairs->getOffset())));
        own[i] = LLVM::FMAOp::create(code, less, offsets[i], own[i]);
      }
    }
  }
}

void BlockWeights::multiplyValues(Unit &unit, int64_t step, Sums sums) {
  int64_t ofRound = rounds.first.size();
  auto order = llvm::to_vector(llvm::seq<int64_t>(0, ofRound));
  llvm::sort(order, [&](int64_t a, int64_t b) {
    return rounds.first[a] < rounds.first[b];
  });
  auto [period, word] = getRound(unit, step);
  for (auto [part, columns] : llvm::enumerate(unit.parts)) {
    // Two values a word, of each column.
    std::vector<Words> words(ofLane);
    for (int64_t own = 0; own < ofLane; ++own) {
      Words values;
      panels.format.buildValues(columns.select(own), shape.k, period, word,
                                values);
      for (int64_t i = 0; i < ofRound; i += 2)
        words[own].push_back(
            code.toBF16(values[order[i]], values[order[i + 1]]));
    }
    for (int64_t i = 0; i < ofRound; i += 4) {
      auto getPair = [&](int64_t at) {
        return unit.rows[step].getPair(rounds.first[order[at]],
                                       rounds.first[order[at + 1]]);
      };
      std::array<Value, 2> rows{getPair(i), getPair(i + 2)};
      for (int64_t half = 0; half < ofLane / 2; ++half) {
        ArrayRef<Value> a = words[2 * half], b = words[2 * half + 1];
        code.multiplyBF16({a[i / 2], b[i / 2], a[i / 2 + 1], b[i / 2 + 1]},
                          rows, sums.slice(part * getSums() + half * 4, 4));
      }
    }
  }
}

void BlockWeights::multiply(Unit &unit, const Chunk &chunk, Sums sums) {
  if (scales == Scales::Values) {
    for (int64_t step = chunk.begin; step < chunk.end; ++step)
      multiplyValues(unit, step, sums);
    return;
  }
  for (const auto &[sub, streams] : chunk.ofScales) {
    if (scales == Scales::Sums) {
      multiplyScaled(unit, sub, streams, sums);
      continue;
    }
    for (const Stream &stream : streams)
      for (int64_t part = 0; part < shape.parts; ++part)
        for (int64_t half = 0; half < ofLane / 2; ++half)
          multiplyStream(unit, stream, part, half,
                         sums.slice(part * getSums() + half * 4, 4));
  }
}

/// Units that are `warps` apart. While a chunk is multiplied, loads of later
/// ones are on their way.
BlockWeights::Words BlockWeights::multiplyUnits(Value first, int64_t count,
                                                ValueRange sums) {
  std::vector<Unit> begun;
  std::vector<std::pair<int64_t, const Chunk *>> work;
  for (int64_t i = 0; i < count; ++i) {
    begun.push_back(begin(code.add(first, i * warps)));
    for (const Chunk &chunk : chunks)
      work.push_back({i, &chunk});
  }
  Words result(sums);
  size_t loaded = 0;
  int64_t onTheirWay = 0;
  int64_t early = hasOneScale || shape.parts == 1 ? kLoads : 0;
  for (auto [number, chunk] : work) {
    auto getLoads = [&](const Chunk *chunk) {
      return (chunk->end - chunk->begin) * shape.parts;
    };
    int64_t own = getLoads(chunk);
    for (; loaded < work.size() && onTheirWay - own < early; ++loaded) {
      load(begun[work[loaded].first], *work[loaded].second);
      onTheirWay += getLoads(work[loaded].second);
    }
    multiply(begun[number], *chunk, result);
    onTheirWay -= own;
  }
  return result;
}

/// By the one scale that a row has, or the factor that all have.
void BlockWeights::scaleRows(Sums sums) {
  for (auto [part, panel] : llvm::enumerate(ownPanels)) {
    ColumnReader reader(code, panels, shape.k, panel, column, ofLane);
    for (int64_t own = 0; own < ofLane; ++own) {
      reader.select(own);
      Value scale =
          scales == Scales::Rows
              ? pairs->buildScales(code, reader, shape.k)[0]
              : arith::ConstantOp::create(
                    code, code.getF32FloatAttr(pairs->getCommonFactor()));
      for (Value &sum : sums.slice(part * getSums() + own * 2, 2))
        sum = arith::MulFOp::create(code, sum, scale);
    }
  }
}

Value BlockWeights::getPanel(Value weights, Value expert, Value firstColumn,
                             int64_t part) {
  int64_t ofExpert = panels.getNumPanels(shape.parts, shape.n);
  Value panel = code.add(code.mul(expert, ofExpert),
                         code.div(firstColumn, code.constant(kColumns)));
  panel = code.add(panel, part * (ofExpert / shape.parts));
  return code.at(weights, code.mul(code.widen(panel), getPanelBytes()));
}

/// Of a panel that two blocks share, each prefetches its part of the bytes.
void BlockWeights::prefetch(Value weights, Value expert, Value firstColumn,
                            Value thread, int64_t threads, int64_t most) {
  constexpr int64_t kLine = 128;
  int64_t shares = kColumns / getColumns(), bytes = getPanelBytes() / shares;
  int64_t lines = llvm::divideCeil(std::min(bytes, most), kLine);
  Value share = code.div(code.bitAnd(firstColumn, kColumns - 1),
                         code.constant(getColumns()));
  for (int64_t part = 0; part < shape.parts; ++part) {
    Value from = code.at(getPanel(weights, expert, firstColumn, part),
                         code.mul(share, bytes));
    for (int64_t first = 0; first < lines; first += threads) {
      Value line = code.add(thread, first);
      auto prefetchLine = [&] {
        code.prefetch(code.at(from, code.mul(line, kLine)));
      };
      if (first + threads <= lines)
        prefetchLine();
      else
        code.when(code.isLess(line, code.constant(lines)), prefetchLine);
    }
  }
}

SmallVector<Value> BlockWeights::multiply(Value left, Value weights,
                                          Value expert, Value firstColumn,
                                          Value warp, Value lane) {
  column = code.mul(code.shr(lane, 2), ofLane);
  if (getColumns() < kColumns)
    column = code.add(column, code.bitAnd(firstColumn, kColumns - 1));
  ownRow = left;
  ownPeriod = {};
  ownWord = code.bitAnd(lane, kQuarters - 1);
  if (rounds.words % kQuarters) {
    ownPeriod = code.div(ownWord, code.constant(rounds.words));
    ownWord = code.sub(ownWord, code.mul(ownPeriod, rounds.words));
  }
  ownPanels.clear();
  for (int64_t part = 0; part < shape.parts; ++part)
    ownPanels.push_back(getPanel(weights, expert, firstColumn, part));

  Words sums(shape.parts * getSums(),
             arith::ConstantOp::create(code, code.getF32FloatAttr(0)));
  int64_t turns = units / warps, groups = turns / ahead;
  if (groups)
    sums = code.loop(code.constant(0), code.constant(groups), code.constant(1),
                     sums, [&](Value group, ValueRange sums) {
                       Value first =
                           code.add(warp, code.mul(group, ahead * warps));
                       return multiplyUnits(first, ahead, sums);
                     });
  if (int64_t rest = turns % ahead)
    sums = multiplyUnits(code.add(warp, groups * ahead * warps), rest, sums);
  if (int64_t rest = units % warps) {
    auto last = scf::IfOp::create(code, TypeRange(ValueRange(sums)),
                                  code.isLess(warp, code.constant(rest)), true);
    OpBuilder::InsertionGuard guard(code);
    code.setInsertionPointToStart(last.thenBlock());
    scf::YieldOp::create(code,
                         multiplyUnits(code.add(warp, turns * warps), 1, sums));
    code.setInsertionPointToStart(last.elseBlock());
    scf::YieldOp::create(code, sums);
    sums = Words(last.getResults());
  }
  if (scales == Scales::Rows || scales == Scales::Weights)
    scaleRows(sums);
  return sums;
}
