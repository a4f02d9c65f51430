//===- DecodeKernel.cpp - Weights that are decoded in registers -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The kernel of every format: a value becomes f32 right before it is
// multiplied; or a bf16, beside those of the next k.
//
//===----------------------------------------------------------------------===//

#include "BlockKernel.h"
#include "RowPairs.h"

using namespace mlir;
using namespace moe;

namespace {
class DecodePass : public BlockPass {
public:
  /// Values of `together` consecutive k of a vector of columns become `parts`
  /// of `packed`.
  DecodePass(Emitter &e, const BlockShape &shape, int64_t pitch, int64_t pass,
             const BlockArguments &arguments, int64_t together,
             VectorType packed, int64_t parts)
      : BlockPass(e, shape, pitch, pass, arguments),
        valueBytes(getLhsElementType(shape.schedule).getIntOrFloatBitWidth() /
                   8),
        together(together), packed(packed), parts(parts),
        groups(moecpu::groupConsecutive(shape.rounds, together)) {}

  void emitBlock(Value lhs, MutableArrayRef<Value> tile) override {
    emitRounds(tile,
               [&](Value period, Value word, MutableArrayRef<Value> tile) {
                 emitRound(lhs, period, word, tile);
               });
  }

protected:
  /// Puts values of consecutive k together.
  virtual SmallVector<Value> pack(ArrayRef<Value> values) = 0;
  /// Adds the products of these, of all vectors, with the values at `lhs` of as
  /// many k.
  virtual void multiply(Value lhs, ArrayRef<Value> weights,
                        MutableArrayRef<Value> tile) = 0;

private:
  int64_t valueBytes, together;
  VectorType packed;
  int64_t parts;
  /// Which values of a round these are.
  SmallVector<SmallVector<int64_t>> groups;

  void emitRound(Value lhs, Value period, Value word,
                 MutableArrayRef<Value> tile) {
    const DecodeRounds &rounds = shape.rounds;
    Value at = e.displace(
        lhs, e.toI64(e.add(e.mul(period, rounds.period * valueBytes),
                           e.mul(word, rounds.advance * valueBytes))));
    // Where the values of the round are, or are left for others.
    int64_t ofColumn = together * valueBytes;
    int64_t ofGroup = kPanelColumns * ofColumn;
    Value kept =
        values
            ? e.displace(values,
                         e.toI64(e.mul(e.add(e.mul(period, rounds.words), word),
                                       groups.size() * ofGroup)))
            : Value();
    auto keptOf = [&](int64_t group, int64_t v, int64_t part) {
      return e.displace(kept, group * ofGroup +
                                  ((pass * shape.vectors + v) * parts + part) *
                                      (shape.lanes * ofColumn / parts));
    };
    Block *block = e.getInsertionBlock();
    Operation *before = at.getDefiningOp();
    SmallVector<SmallVector<Value>> decoded(shape.vectors);
    bool reads = arguments.role == Role::Widened;
    if (!reads)
      for (auto [reader, list] : llvm::zip(readers, decoded))
        shape.format.buildValues(reader, shape.k, period, word, list);
    // All of them at once would not fit into registers: each is computed where
    // it is needed.
    SmallVector<Operation *> waiting;
    for (auto it = std::next(before->getIterator()); it != block->end(); ++it)
      waiting.push_back(&*it);
    for (auto [i, group] : llvm::enumerate(groups)) {
      SmallVector<Value> weights;
      for (int64_t v = 0; v < shape.vectors; ++v) {
        if (reads) {
          for (int64_t part = 0; part < parts; ++part)
            weights.push_back(
                LLVM::LoadOp::create(e, packed, keptOf(i, v, part), 4));
          continue;
        }
        SmallVector<Value> values;
        for (int64_t index : group) {
          fetch(decoded[v][index], waiting);
          values.push_back(decoded[v][index]);
        }
        for (auto [part, value] : llvm::enumerate(pack(values))) {
          weights.push_back(value);
          if (kept)
            LLVM::StoreOp::create(e, value, keptOf(i, v, part), 4);
        }
      }
      multiply(e.displace(at, rounds.first[group[0]] * valueBytes), weights,
               tile);
    }
  }

  /// Moves what `value` is made of to the insertion point, in the order in
  /// which it was built.
  void fetch(Value value, SmallVectorImpl<Operation *> &waiting) {
    llvm::SmallPtrSet<Operation *, 16> needed;
    SmallVector<Value> todo{value};
    while (!todo.empty()) {
      Operation *op = todo.pop_back_val().getDefiningOp();
      if (op && llvm::is_contained(waiting, op) && needed.insert(op).second)
        llvm::append_range(todo, op->getOperands());
    }
    llvm::erase_if(waiting, [&](Operation *op) {
      if (!needed.contains(op))
        return false;
      op->moveBefore(e.getInsertionBlock(), e.getInsertionPoint());
      return true;
    });
  }
};

/// f32 multiply-adds.
class FloatPass : public DecodePass {
public:
  FloatPass(Emitter &e, const BlockShape &shape, int64_t pitch, int64_t pass,
            const BlockArguments &arguments)
      : DecodePass(e, shape, pitch, pass, arguments, /*together=*/1,
                   e.vecF32(shape.lanes), /*parts=*/1) {}

protected:
  SmallVector<Value> pack(ArrayRef<Value> values) override {
    return SmallVector<Value>(values);
  }
  void multiply(Value lhs, ArrayRef<Value> weights,
                MutableArrayRef<Value> tile) override {
    for (int64_t r = 0; r < rows; ++r) {
      Value x = e.splatAt(e.displace(lhs, r * pitch), e.vecF32(shape.lanes));
      for (int64_t v = 0; v < shape.vectors; ++v) {
        Value &sum = tile[r * shape.vectors + v];
        sum = vector::FMAOp::create(e, x, weights[v], sum);
      }
    }
  }
};

/// vdpbf16ps: a lane has two k of a column.
class PairsPass : public DecodePass {
public:
  PairsPass(Emitter &e, const BlockShape &shape, int64_t pitch, int64_t pass,
            const BlockArguments &arguments)
      : DecodePass(e, shape, pitch, pass, arguments, /*together=*/2,
                   e.vec(2 * shape.lanes, e.getBF16Type()), /*parts=*/1),
        type(e.vec(2 * shape.lanes, e.getBF16Type())) {}

protected:
  SmallVector<Value> pack(ArrayRef<Value> values) override {
    // All of the first k, then all of the second.
    Value both = call("llvm.x86.avx512bf16.cvtne2ps2bf16.512", type,
                      {values[1], values[0]});
    SmallVector<int64_t> order;
    for (int64_t lane = 0; lane < shape.lanes; ++lane)
      order.append({lane, shape.lanes + lane});
    return {vector::ShuffleOp::create(e, both, both, order)};
  }
  void multiply(Value lhs, ArrayRef<Value> weights,
                MutableArrayRef<Value> tile) override {
    for (int64_t r = 0; r < rows; ++r) {
      Value x = LLVM::BitcastOp::create(
          e, type,
          e.splatAt(e.displace(lhs, r * pitch),
                    e.vec(shape.lanes, e.getI32Type())));
      for (int64_t v = 0; v < shape.vectors; ++v) {
        Value &sum = tile[r * shape.vectors + v];
        sum = call("llvm.x86.avx512bf16.dpbf16ps.512", e.vecF32(shape.lanes),
                   {sum, x, weights[v]});
      }
    }
  }

private:
  VectorType type;

  Value call(StringRef intrinsic, Type result, ValueRange operands) {
    return LLVM::CallIntrinsicOp::create(e, result, e.getStringAttr(intrinsic),
                                         operands)
        .getResult(0);
  }
};

/// bfmmla: four k of two columns are a vector.
class FoursPass : public DecodePass {
public:
  FoursPass(Emitter &e, const BlockShape &shape, int64_t pitch, int64_t pass,
            const BlockArguments &arguments)
      : DecodePass(e, shape, pitch, pass, arguments, /*together=*/4,
                   e.vec(8, e.getBF16Type()), /*parts=*/2),
        pairs(e, rows, shape.vectors) {}

protected:
  SmallVector<Value> loadTile(Value acc) override {
    return pairs.loadTile(acc);
  }
  void storeTile(Value acc, ValueRange tile) override {
    pairs.storeTile(acc, tile);
  }
  SmallVector<Value> pack(ArrayRef<Value> values) override {
    auto shuffle = [&](Value a, Value b, ArrayRef<int64_t> lanes) -> Value {
      return vector::ShuffleOp::create(e, a, b, lanes);
    };
    auto asWords = [&](int64_t k) -> Value {
      VectorType half = e.vec(4, e.getBF16Type());
      Value even = arith::TruncFOp::create(e, half, values[k]);
      Value odd = arith::TruncFOp::create(e, half, values[k + 1]);
      return LLVM::BitcastOp::create(
          e, e.vec(4, e.getI32Type()),
          shuffle(even, odd, {0, 4, 1, 5, 2, 6, 3, 7}));
    };
    Value first = asWords(0), second = asWords(2);
    SmallVector<Value> result;
    for (int64_t c : {0, 2})
      result.push_back(LLVM::BitcastOp::create(
          e, e.vec(8, e.getBF16Type()),
          shuffle(first, second, {c, c + 4, c + 1, c + 5})));
    return result;
  }
  void multiply(Value lhs, ArrayRef<Value> weights,
                MutableArrayRef<Value> tile) override {
    SmallVector<Value> rows = pairs.loadRows(lhs, pitch);
    for (auto [i, w] : llvm::enumerate(weights))
      pairs.multiply(rows, w, i / 2, i % 2, tile);
  }

private:
  RowPairs pairs;
};
} // namespace

std::unique_ptr<BlockPass>
moe::createDecodePass(Emitter &e, const BlockShape &shape, int64_t pitch,
                      int64_t pass, const BlockArguments &arguments) {
  if (!shape.schedule.narrowsRows())
    return std::make_unique<FloatPass>(e, shape, pitch, pass, arguments);
  if (shape.lanes == 4)
    return std::make_unique<FoursPass>(e, shape, pitch, pass, arguments);
  return std::make_unique<PairsPass>(e, shape, pitch, pass, arguments);
}
