//===- SparseKernel.cpp - Weights of which zeros are not stored -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Not the weights are expanded, but the rows' values are chosen: four of them
// in all lanes become, by one shuffle, those that the columns have weights for.
// So four k take two multiply-adds, or one of pairs of bf16, and k still
// ascends.
//
//===----------------------------------------------------------------------===//

#include "BlockKernel.h"
#include "moe/SparseFormats.h"

using namespace mlir;
using namespace moe;
using moecpu::ScheduleAttr;

static Value emitIntrinsic(Emitter &e, StringRef name, Type result,
                           ValueRange operands) {
  return LLVM::CallIntrinsicOp::create(e, result, e.getStringAttr(name),
                                       operands)
      .getResult(0);
}

/// Two vectors of 16 f32 as bf16, those of a lane beside each other.
static Value emitBF16Pairs(Emitter &e, ArrayRef<Value> values) {
  Value both =
      emitIntrinsic(e, "llvm.x86.avx512bf16.cvtne2ps2bf16.512",
                    e.vec(32, e.getBF16Type()), {values[1], values[0]});
  SmallVector<int64_t> order;
  for (int64_t lane = 0; lane < 16; ++lane)
    order.append({lane, 16 + lane});
  return vector::ShuffleOp::create(e, both, both, order);
}

namespace {
class SparsePass : public BlockPass {
public:
  SparsePass(Emitter &e, const BlockShape &shape, int64_t pitch, int64_t pass,
             const BlockArguments &arguments)
      : BlockPass(e, shape, pitch, pass, arguments),
        format(cast<SparseFormatAttrInterface>(Attribute(shape.format))) {}

  void emitBlock(Value lhs, MutableArrayRef<Value> tile) override {
    const DecodeRounds &rounds = shape.rounds;
    Type element = getLhsElementType(shape.schedule);
    int64_t bytes = element.getIntOrFloatBitWidth() / 8;
    // All words of a period: what they are shifted by is constant.
    emitPeriods(tile, [&](Value period, MutableArrayRef<Value> tile) {
      Value at = e.displace(lhs, e.toI64(e.mul(period, rounds.period * bytes)));
      for (int64_t word = 0; word < rounds.words; ++word)
        multiply(period, e.idx(word), at, word * rounds.advance, tile);
    });
  }

protected:
  /// Adds the products of a word and the values of each row from value `k` of
  /// those at `lhs` on.
  virtual void multiply(Value period, Value word, Value lhs, int64_t k,
                        MutableArrayRef<Value> tile) = 0;

  /// Behind it values of rows are loaded again, by the shuffles that choose
  /// from them: for all of them there are no registers.
  void forgetRows() {
    LLVM::FenceOp::create(e, LLVM::AtomicOrdering::seq_cst, "singlethread");
  }

  SparseFormatAttrInterface format;
};

/// vpermps chooses the first, and then the second values of 16 of a row; of
/// four in all lanes vpermilps does, where vectors have 8.
class FloatSparsePass : public SparsePass {
  using SparsePass::SparsePass;

protected:
  void multiply(Value period, Value word, Value lhs, int64_t k,
                MutableArrayRef<Value> tile) override {
    SmallVector<SmallVector<Value>> weights(readers.size()),
        places(readers.size());
    for (auto [v, reader] : llvm::enumerate(readers))
      format.buildStored(reader, shape.k, period, word, weights[v], places[v]);
    bool isWide = shape.lanes == 16;
    VectorType type = e.vecF32(shape.lanes);
    for (int64_t i = 0; i < 2; ++i) {
      SmallVector<Value> indices;
      for (auto [v, reader] : llvm::enumerate(readers)) {
        Value place = places[v][i];
        if (isWide)
          place = reader.bitAnd(place, 3);
        if (isWide && k % 16)
          place = reader.bitOr(place, reader.integer(k % 16));
        indices.push_back(place);
      }
      for (int64_t r = 0; r < rows; ++r) {
        Value x = loadRow(e.displace(lhs, r * pitch), k, type);
        for (int64_t v = 0; v < shape.vectors; ++v) {
          Value chosen =
              emitIntrinsic(e,
                            isWide ? "llvm.x86.avx512.permvar.sf.512"
                                   : "llvm.x86.avx.vpermilvar.ps.256",
                            type, {x, indices[v]});
          Value &sum = tile[r * shape.vectors + v];
          sum = vector::FMAOp::create(e, chosen, weights[v][i], sum);
        }
      }
      if (isWide)
        forgetRows();
    }
  }

private:
  /// What is chosen from: values k / 16 * 16 on, or k to k + 3 twice.
  Value loadRow(Value row, int64_t k, VectorType type) {
    if (shape.lanes == 16)
      return LLVM::LoadOp::create(e, type, e.displace(row, k / 16 * 64), 4);
    Value four =
        LLVM::LoadOp::create(e, e.vecF32(4), e.displace(row, 4 * k), 4);
    return vector::ShuffleOp::create(e, four, four,
                                     ArrayRef<int64_t>{0, 1, 2, 3, 0, 1, 2, 3});
  }
};

/// vpermw chooses both of 32, and vdpbf16ps multiplies and adds them.
class PairSparsePass : public SparsePass {
  using SparsePass::SparsePass;

protected:
  void multiply(Value period, Value word, Value lhs, int64_t k,
                MutableArrayRef<Value> tile) override {
    VectorType ints = e.vec(16, e.getI32Type());
    VectorType halves = e.vec(32, e.getI16Type());
    VectorType pairs = e.vec(32, e.getBF16Type());
    SmallVector<Value> weights, indices;
    for (PanelReader &reader : readers) {
      SmallVector<Value> values, places;
      format.buildStored(reader, shape.k, period, word, values, places);
      // vpermd looks at the lowest four bits alone: those of both places.
      Value index = emitIntrinsic(e, "llvm.x86.avx512.permvar.si.512", ints,
                                  {getTable(k % 32), places[0]});
      indices.push_back(LLVM::BitcastOp::create(e, halves, index));
      Value pair = format.buildStoredBF16(reader, shape.k, period, word);
      weights.push_back(pair ? Value(LLVM::BitcastOp::create(e, pairs, pair))
                             : emitBF16Pairs(e, values));
    }
    for (int64_t r = 0; r < rows; ++r) {
      Value x = LLVM::LoadOp::create(
          e, halves, e.displace(lhs, r * pitch + k / 32 * 64), 2);
      for (int64_t v = 0; v < shape.vectors; ++v) {
        Value both = LLVM::BitcastOp::create(
            e, pairs,
            emitIntrinsic(e, "llvm.x86.avx512.permvar.hi.512", halves,
                          {x, indices[v]}));
        Value &sum = tile[r * shape.vectors + v];
        sum = emitIntrinsic(e, "llvm.x86.avx512bf16.dpbf16ps.512", e.vecF32(16),
                            {sum, both, weights[v]});
      }
    }
    forgetRows();
  }

private:
  /// Which of 32 values both are, by the bits of their places from `first` on.
  Value getTable(int32_t first) {
    SmallVector<int32_t> entries;
    for (int32_t places = 0; places < 16; ++places)
      entries.push_back((first + places % 4) | (first + places / 4) << 16);
    return arith::ConstantOp::create(
        e, DenseElementsAttr::get(e.vec(16, e.getI32Type()),
                                  ArrayRef<int32_t>(entries)));
  }
};
} // namespace

namespace {
/// Walks the lists: vectors of columns with the same one take the same values
/// of rows, from where it says.
class ListPass : public BlockPass {
public:
  ListPass(Emitter &e, const BlockShape &shape, int64_t pitch, int64_t pass,
           const BlockArguments &arguments)
      : BlockPass(e, shape, pitch, pass, arguments),
        format(cast<ListedFormatAttrInterface>(Attribute(shape.format))),
        form(format.getListForm(shape.k)) {}

  void emitBlock(Value lhs, MutableArrayRef<Value> tile) override {
    Type element = getLhsElementType(shape.schedule);
    int64_t bytes = element.getIntOrFloatBitWidth() / 8;
    // Not more code than fits beside that of other numbers of rows.
    int64_t step = form.columns % 16 == 0 ? 16 : 8;
    int64_t alike = std::max<int64_t>(1, form.rows / shape.lanes);
    emitLoops(form.count, form.columns / step, tile,
              [&](Value piece, Value word, MutableArrayRef<Value> tile) {
                SmallVector<Value> at;
                for (auto [v, reader] : llvm::enumerate(readers))
                  at.push_back(v % alike ? at.back()
                                         : emitPlace(reader, piece, word, lhs,
                                                     step * bytes, bytes));
                for (int64_t pair = 0; pair < step / 2; ++pair)
                  for (auto [v, reader] : llvm::enumerate(readers))
                    multiply(
                        reader, piece,
                        reader.sum(reader.indexOf(word, step / 2), e.idx(pair)),
                        e.displace(at[v], 2 * pair * bytes), v, tile);
              });
  }

protected:
  /// Adds the products of vector `v` of columns, values 2 `pair` and the next
  /// of a piece, and two values of each row from `lhs` on.
  virtual void multiply(PanelReader &reader, Value piece, Value pair, Value lhs,
                        int64_t v, MutableArrayRef<Value> tile) {
    SmallVector<Value> weights;
    format.buildListed(reader, shape.k, piece, pair, weights);
    for (int64_t i = 0; i < 2; ++i)
      for (int64_t r = 0; r < rows; ++r) {
        Value &sum = tile[r * shape.vectors + v];
        Value x = e.splatAt(e.displace(lhs, r * pitch + 4 * i),
                            e.vecF32(shape.lanes));
        sum = vector::FMAOp::create(e, x, weights[i], sum);
      }
  }

  ListedFormatAttrInterface format;
  ListForm form;

private:
  /// Where the values of rows are that word `word` of piece `piece` meets.
  Value emitPlace(PanelReader &reader, Value piece, Value word, Value lhs,
                  int64_t wordBytes, int64_t bytes) {
    // All lanes have the same number.
    Value number = vector::ExtractOp::create(
        e, reader.readNumber(form.list, piece), ArrayRef<int64_t>{0});
    Value k = e.mul(e.toIndex(number), form.columns * bytes);
    return e.displace(lhs, e.toI64(e.add(k, e.mul(word, wordBytes))));
  }
};

/// vdpbf16ps of two k.
class PairListPass : public ListPass {
  using ListPass::ListPass;

protected:
  void multiply(PanelReader &reader, Value piece, Value pair, Value lhs,
                int64_t v, MutableArrayRef<Value> tile) override {
    VectorType ints = e.vec(16, e.getI32Type());
    VectorType pairs = e.vec(32, e.getBF16Type());
    Value weights = format.buildListedBF16(reader, shape.k, piece, pair);
    if (weights) {
      weights = LLVM::BitcastOp::create(e, pairs, weights);
    } else {
      SmallVector<Value> values;
      format.buildListed(reader, shape.k, piece, pair, values);
      weights = emitBF16Pairs(e, values);
    }
    for (int64_t r = 0; r < rows; ++r) {
      Value x = LLVM::BitcastOp::create(
          e, pairs, e.splatAt(e.displace(lhs, r * pitch), ints));
      Value &sum = tile[r * shape.vectors + v];
      sum = emitIntrinsic(e, "llvm.x86.avx512bf16.dpbf16ps.512", e.vecF32(16),
                          {sum, x, weights});
    }
  }
};
} // namespace

bool moe::skipsZeros(ScheduleAttr schedule, WeightFormatAttrInterface format) {
  return isa<ListedFormatAttrInterface>(Attribute(format)) ||
         choosesRowValues(schedule, format);
}

std::unique_ptr<BlockPass>
moe::createListPass(Emitter &e, const BlockShape &shape, int64_t pitch,
                    int64_t pass, const BlockArguments &arguments) {
  if (shape.schedule.narrowsRows())
    return std::make_unique<PairListPass>(e, shape, pitch, pass, arguments);
  return std::make_unique<ListPass>(e, shape, pitch, pass, arguments);
}

bool moe::choosesRowValues(ScheduleAttr schedule,
                           WeightFormatAttrInterface format) {
  return isa<SparseFormatAttrInterface>(Attribute(format)) &&
         schedule.getLanes() != 4;
}

std::unique_ptr<BlockPass>
moe::createSparsePass(Emitter &e, const BlockShape &shape, int64_t pitch,
                      int64_t pass, const BlockArguments &arguments) {
  if (shape.schedule.narrowsRows())
    return std::make_unique<PairSparsePass>(e, shape, pitch, pass, arguments);
  return std::make_unique<FloatSparsePass>(e, shape, pitch, pass, arguments);
}
