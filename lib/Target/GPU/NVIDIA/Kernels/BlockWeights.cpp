//===- BlockWeights.cpp - Weights in formats, for few rows ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "BlockWeights.h"

#include "moe-mlir/Target/GPU/Common/ThreadReader.h"

#include "mlir/IR/Matchers.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace moe;
using nvidia::BlockWeights;
using nvidia::Emitter;

namespace {
/// Lanes that share a row, and with it the depth of a product.
constexpr int64_t kQuarters = 4;
/// Columns of a lane.
constexpr int64_t kOwn = 4;
constexpr int64_t kMostWarps = 8, kLeastWarps = 4;
/// Loads of 16 bytes of a lane that should be on their way at once.
constexpr int64_t kLoads = 4;

/// Reads four columns of a panel, the first of which is `column`, as one of
/// them. Loads are for all four; who reads another one finds them made.
class ColumnReader : public moe::gpu::ThreadReader {
public:
  ColumnReader(Emitter &code, const moek::BlockPanels &panels, int64_t k,
               Value block, Value first)
      : ThreadReader(code, panels, k, block, first) {}

  void select(int64_t own) { this->own = own; }

protected:
  Value load(int64_t field, Value index, int64_t size) override {
    SmallVector<Value> words = loadWords(field, index, size);
    Value word = words[own * size / 4];
    if (size == 4)
      return word;
    int64_t first = own * size % 4 * 8;
    Value bits = BlockReader::shiftRight(word, first);
    return first + size * 8 == 32
               ? bits
               : bitAnd(bits, (int64_t(1) << (8 * size)) - 1);
  }

private:
  SmallVector<Value> loadWords(int64_t field, Value index, int64_t size) {
    APInt constant;
    bool isKnown = matchPattern(index, m_ConstantInt(&constant));
    auto key =
        std::make_pair(field, isKnown ? constant.getSExtValue() : int64_t(-1));
    if (isKnown)
      if (auto found = loaded.find(key); found != loaded.end())
        return found->second;
    Value at =
        code.at(block, getPlace(field, index, size, code.mul(column, size)));
    SmallVector<Value> words;
    if (size == 1)
      words = {code.load(code.i32(), at)};
    else
      words = code.unpack(code.load(VectorType::get({size}, code.i32()), at));
    if (isKnown)
      loaded[key] = words;
    return words;
  }

  int64_t own = 0;
  llvm::DenseMap<std::pair<int64_t, int64_t>, SmallVector<Value>> loaded;
};
} // namespace

/// Values of f32 that are bf16, twice in a word.
static int64_t getPair(double value) {
  APFloat number(value);
  bool isInexact;
  number.convert(APFloat::BFloat(), APFloat::rmNearestTiesToEven, &isInexact);
  assert(!isInexact && "not a number of bf16");
  return number.bitcastToAPInt().getZExtValue() * 0x10001;
}

//===----------------------------------------------------------------------===//
// What is decided beforehand
//===----------------------------------------------------------------------===//

bool BlockWeights::canRead(WeightFormatAttrInterface format, int64_t k) {
  DecodeRounds rounds = format.getRounds(k);
  return rounds.first.size() % 4 == 0 &&
         rounds.words * rounds.periods % kQuarters == 0 &&
         (rounds.words % kQuarters == 0 || kQuarters % rounds.words == 0);
}

BlockWeights::BlockWeights(Emitter &code, const moe::gpu::MatmulShape &shape)
    : code(code), shape(shape), panels(shape.blocks.getPanels()),
      coded(dyn_cast<CodedFormatAttrInterface>(Attribute(panels.format))),
      rounds(panels.format.getRounds(shape.k)),
      block(panels.format.getBlockSize(shape.k)),
      blockBytes(panels.getBlockBytes(shape.k)), ofRound(rounds.first.size()),
      stepsOfBlock(rounds.words * rounds.periods / kQuarters) {
  planScales();
  planUnits();
}

int64_t BlockWeights::getSubBlock(int64_t round, int64_t stream) const {
  int64_t period = round / rounds.words, word = round % rounds.words;
  return (period * rounds.period + word * rounds.advance +
          rounds.first[4 * stream]) /
         form.subBlock;
}

int64_t BlockWeights::getOffset() const {
  return isWide() ? 128 - form.zero : -128 - form.zero;
}

/// Codes are multiplied if the rounds of four lanes have the same scale.
void BlockWeights::planScales() {
  if (!coded)
    return;
  form = coded.getCodeForm(shape.k);
  multipliesCodes = !form.hasMinimum || getOffset() != 0;
  for (int64_t step = 0; step < stepsOfBlock; ++step)
    for (int64_t stream = 0; stream < ofRound / 4; ++stream)
      for (int64_t lane = 1; lane < kQuarters; ++lane)
        multipliesCodes &= getSubBlock(step * kQuarters, stream) ==
                           getSubBlock(step * kQuarters + lane, stream);
  scalesRows = multipliesCodes && form.subBlock == shape.k && getOffset() == 0;
}

/// Blocks with several scales are read as a whole, so that these are decoded
/// once, and it is known which one is meant.
void BlockWeights::planUnits() {
  bool hasOne = !coded || form.subBlock == block;
  unitSteps = stepsOfBlock;
  if (hasOne)
    for (unitSteps = std::min<int64_t>(stepsOfBlock, kLoads);; --unitSteps) {
      int64_t own = unitSteps * kQuarters;
      if (stepsOfBlock % unitSteps == 0 &&
          (own % rounds.words == 0 || rounds.words % own == 0))
        break;
    }
  unitsOfBlock = stepsOfBlock / unitSteps;
  units = shape.k / block * unitsOfBlock;
  // As many warps as leave the fewest without work, the more the better.
  warps = std::min(units, kMostWarps);
  auto getTurns = [&](int64_t count) {
    return (units + count - 1) / count * count;
  };
  for (int64_t count = warps - 1; count >= kLeastWarps; --count)
    if (getTurns(count) < getTurns(warps))
      warps = count;
  ahead = std::max<int64_t>(1, kLoads / (unitSteps * shape.parts));
}

//===----------------------------------------------------------------------===//
// Loads
//===----------------------------------------------------------------------===//

/// A lane's values of k that a step needs.
class BlockWeights::Rows {
public:
  Rows(Emitter &code, const DecodeRounds &rounds, int64_t block, Value at)
      : code(&code) {
    SmallVector<int64_t> sorted(rounds.first);
    llvm::sort(sorted);
    int64_t width = getWidth(rounds, block, sorted);
    for (size_t i = 0; i < sorted.size(); i += width) {
      Value from = code.at(at, sorted[i] * 2);
      Words words;
      if (width == 1)
        words = {arith::ExtUIOp::create(code, code.i32(),
                                        code.load(code.getI16Type(), from))};
      else if (width == 2)
        words = {code.load(code.i32(), from)};
      else
        words = code.unpack(
            code.load(VectorType::get({width / 2}, code.i32()), from));
      for (int64_t j = 0; j < width; ++j)
        halves[sorted[i] + j] = {words[j / 2], j % 2};
    }
  }

  /// The values of two k from the round's first on.
  Value getPair(int64_t a, int64_t b) const {
    auto [low, isLowOdd] = halves.lookup(a);
    auto [high, isHighOdd] = halves.lookup(b);
    if (low == high && !isLowOdd && isHighOdd)
      return low;
    return code->bitOr(
        isLowOdd ? code->shr(low, 16) : code->bitAnd(low, 0xffff),
        isHighOdd ? code->bitAnd(high, 0xffff0000) : code->shl(high, 16));
  }

private:
  /// How many values follow one another everywhere, and are aligned so.
  static int64_t getWidth(const DecodeRounds &rounds, int64_t block,
                          ArrayRef<int64_t> sorted) {
    for (int64_t width : {8, 4, 2}) {
      bool fits = sorted.size() % width == 0 && block % width == 0 &&
                  rounds.period % width == 0 && rounds.advance % width == 0;
      for (size_t i = 0; fits && i < sorted.size(); ++i) {
        int64_t first = sorted[i / width * width];
        fits = first % width == 0 && sorted[i] == first + int64_t(i % width);
      }
      if (fits)
        return width;
    }
    return 1;
  }

  Emitter *code;
  llvm::DenseMap<int64_t, std::pair<Value, bool>> halves;
};

struct BlockWeights::Columns {
  std::unique_ptr<ColumnReader> reader;
  /// Of each column.
  std::array<SmallVector<Value>, kOwn> shared;
  /// Of each column, step and stream.
  std::array<SmallVector<SmallVector<Value>>, kOwn> codes;

  ColumnReader &select(int64_t own) {
    reader->select(own);
    reader->setShared(shared[own]);
    return *reader;
  }
};

struct BlockWeights::Unit {
  Value block, number;
  /// Of each part.
  std::vector<Columns> parts;
  /// Of each step.
  std::vector<Rows> rows;
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

BlockWeights::Rows BlockWeights::loadRows(const Unit &unit, int64_t step) {
  auto [period, word] = getRound(unit, step);
  auto toLanes = [&](Value index, int64_t factor) {
    return code.mul(arith::IndexCastOp::create(code, code.i32(), index),
                    2 * factor);
  };
  Value at = code.add(
      code.mul(unit.block, 2 * block),
      code.add(toLanes(period, rounds.period), toLanes(word, rounds.advance)));
  return Rows(code, rounds, block, code.at(ownRow, at));
}

/// A unit of the row, its rows, and what its rounds share.
BlockWeights::Unit BlockWeights::load(Value number) {
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
        column);
    for (int64_t own = 0; own < kOwn && !scalesRows; ++own) {
      columns.reader->select(own);
      panels.format.buildShared(*columns.reader, shape.k, columns.shared[own]);
    }
    unit.parts.push_back(std::move(columns));
  }
  if (multipliesCodes)
    loadCodes(unit);
  for (int64_t step = 0; step < unitSteps; ++step)
    unit.rows.push_back(loadRows(unit, step));
  return unit;
}

void BlockWeights::loadCodes(Unit &unit) {
  for (int64_t step = 0; step < unitSteps; ++step) {
    auto [period, word] = getRound(unit, step);
    for (Columns &columns : unit.parts)
      for (int64_t own = 0; own < kOwn; ++own) {
        ColumnReader &reader = columns.select(own);
        columns.codes[own].emplace_back();
        for (int64_t stream = 0; stream < ofRound / 4; ++stream)
          columns.codes[own].back().push_back(
              coded.buildCodes(reader, shape.k, period, word, stream));
      }
  }
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

/// Bf16 has seven bits behind its point: 128 and a number below it differ from
/// 128 in them alone. The eighth bit of a code makes -256 or -128 of its own.
SmallVector<std::array<Value, 2>> BlockWeights::toTerms(Value codes) {
  auto select = [&](Value word, int64_t mask) {
    return code.bitAnd(word, mask);
  };
  Value odd = code.shr(codes, 8);
  auto low = [&](Value word) {
    return code.bitOr(select(word, 0x007f007f), code.constant(getPair(128)));
  };
  SmallVector<std::array<Value, 2>> terms{{low(codes), low(odd)}};
  auto high = [&](Value word) {
    return code.bitXor(select(word, 0x00800080),
                       code.constant(static_cast<int32_t>(getPair(-256))));
  };
  if (isWide())
    terms.push_back({high(codes), high(odd)});
  return terms;
}

void BlockWeights::multiplyCodes(Unit &unit, MutableArrayRef<Value> sums) {
  llvm::MapVector<int64_t, SmallVector<Stream>> ofScale;
  for (int64_t step = 0; step < unitSteps; ++step)
    for (int64_t stream = 0; stream < ofRound / 4; ++stream) {
      int64_t sub =
          form.subBlock == block ? 0 : getSubBlock(step * kQuarters, stream);
      ofScale[sub].push_back({step, stream, sub});
    }
  int64_t scales = block / form.subBlock;
  Value zero = arith::ConstantOp::create(code, code.getF32FloatAttr(0));
  for (auto &[sub, streams] : ofScale) {
    auto getRows = [&](const Stream &stream) -> std::array<Value, 2> {
      const Rows &rows = unit.rows[stream.step];
      ArrayRef<int64_t> k = ArrayRef(rounds.first).slice(4 * stream.stream, 4);
      return {rows.getPair(k[0], k[2]), rows.getPair(k[1], k[3])};
    };
    // The offset times the sum of the row, as the product of a matrix that has
    // nothing else.
    Words offsets(4, zero);
    if (int64_t offset = getOffset()) {
      Value all = code.constant(static_cast<int32_t>(getPair(offset)));
      for (const Stream &stream : streams)
        code.multiplyBF16({all, all, all, all}, getRows(stream), offsets);
    }
    for (auto [part, columns] : llvm::enumerate(unit.parts))
      for (int64_t half = 0; half < 2; ++half) {
        MutableArrayRef<Value> own = sums.slice(part * kSums + half * 4, 4);
        Words products(offsets);
        if (scalesRows)
          products.assign(own.begin(), own.end());
        for (const Stream &stream : streams) {
          auto getTerms = [&](int64_t which) {
            return toTerms(
                columns.codes[2 * half + which][stream.step][stream.stream]);
          };
          auto upper = getTerms(0), lower = getTerms(1);
          std::array<Value, 2> rows = getRows(stream);
          for (auto [a, b] : llvm::zip(upper, lower))
            code.multiplyBF16({a[0], b[0], a[1], b[1]}, rows, products);
        }
        if (scalesRows) {
          llvm::copy(products, own.begin());
          continue;
        }
        for (int64_t i = 0; i < 4; ++i) {
          ArrayRef<Value> shared = columns.shared[2 * half + i / 2];
          own[i] = LLVM::FMAOp::create(code, shared[sub], products[i], own[i]);
          if (!form.hasMinimum)
            continue;
          Value ofSum = arith::MulFOp::create(
              code, shared[scales + sub],
              arith::ConstantOp::create(
                  code, code.getF32FloatAttr(-1.0 / getOffset())));
          own[i] = LLVM::FMAOp::create(code, ofSum, offsets[i], own[i]);
        }
      }
  }
}

void BlockWeights::multiplyValues(Unit &unit, MutableArrayRef<Value> sums) {
  auto order = llvm::to_vector(llvm::seq<int64_t>(0, ofRound));
  llvm::sort(order, [&](int64_t a, int64_t b) {
    return rounds.first[a] < rounds.first[b];
  });
  for (int64_t step = 0; step < unitSteps; ++step) {
    auto [period, word] = getRound(unit, step);
    const Rows &rows = unit.rows[step];
    for (auto [part, columns] : llvm::enumerate(unit.parts)) {
      // Two values a word, of each column.
      std::array<Words, kOwn> words;
      for (int64_t own = 0; own < kOwn; ++own) {
        Words values;
        panels.format.buildValues(columns.select(own), shape.k, period, word,
                                  values);
        for (int64_t i = 0; i < ofRound; i += 2)
          words[own].push_back(
              code.toBF16(values[order[i]], values[order[i + 1]]));
      }
      for (int64_t i = 0; i < ofRound; i += 4) {
        auto getPair = [&](int64_t at) {
          return rows.getPair(rounds.first[order[at]],
                              rounds.first[order[at + 1]]);
        };
        std::array<Value, 2> pairs{getPair(i), getPair(i + 2)};
        for (int64_t half = 0; half < 2; ++half) {
          ArrayRef<Value> a = words[2 * half], b = words[2 * half + 1];
          code.multiplyBF16({a[i / 2], b[i / 2], a[i / 2 + 1], b[i / 2 + 1]},
                            pairs, sums.slice(part * kSums + half * 4, 4));
        }
      }
    }
  }
}

BlockWeights::Words BlockWeights::multiplyUnits(Value first, int64_t count,
                                                ValueRange sums) {
  std::vector<Unit> loaded;
  for (int64_t i = 0; i < count; ++i)
    loaded.push_back(load(code.add(first, i * warps)));
  Words result(sums);
  for (Unit &unit : loaded)
    if (multipliesCodes)
      multiplyCodes(unit, result);
    else
      multiplyValues(unit, result);
  return result;
}

/// By the one scale that a row has.
void BlockWeights::scaleRows(MutableArrayRef<Value> sums) {
  for (auto [part, panel] : llvm::enumerate(ownPanels)) {
    ColumnReader reader(code, panels, shape.k, panel, column);
    for (int64_t own = 0; own < kOwn; ++own) {
      Words shared;
      reader.select(own);
      panels.format.buildShared(reader, shape.k, shared);
      for (Value &sum : sums.slice(part * kSums + own * 2, 2))
        sum = arith::MulFOp::create(code, sum, shared[0]);
    }
  }
}

SmallVector<Value> BlockWeights::multiply(Value left, Value weights,
                                          Value expert, Value firstColumn,
                                          Value warp, Value lane) {
  quarter = code.bitAnd(lane, kQuarters - 1);
  column = code.mul(code.shr(lane, 2), kOwn);
  ownRow = left;
  ownPeriod = {};
  ownWord = quarter;
  if (rounds.words % kQuarters) {
    ownPeriod = code.div(quarter, code.constant(rounds.words));
    ownWord = code.sub(quarter, code.mul(ownPeriod, rounds.words));
  }
  int64_t ofExpert = panels.getNumPanels(shape.parts, shape.n);
  int64_t panelBytes = shape.k / block * blockBytes;
  Value panel = code.add(code.mul(expert, ofExpert),
                         code.div(firstColumn, code.constant(kColumns)));
  ownPanels.clear();
  for (int64_t part = 0; part < shape.parts; ++part)
    ownPanels.push_back(code.at(
        weights,
        code.mul(code.widen(code.add(panel, part * (ofExpert / shape.parts))),
                 panelBytes)));

  Words sums(shape.parts * kSums,
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
  if (scalesRows)
    scaleRows(sums);
  return sums;
}
