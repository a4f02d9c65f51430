//===- DecodeKernel.cpp - Weights that are decoded in registers -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The kernel of every format: a value becomes f32 right before it is
// multiplied.
//
//===----------------------------------------------------------------------===//

#include "BlockKernel.h"

using namespace mlir;
using namespace moe;

namespace {
class DecodePass : public BlockPass {
public:
  using BlockPass::BlockPass;

  void emitBlock(Value lhs, MutableArrayRef<Value> tile) override {
    emitRounds(tile,
               [&](Value period, Value word, MutableArrayRef<Value> tile) {
                 emitRound(lhs, period, word, tile);
               });
  }

private:
  void emitRound(Value lhs, Value period, Value word,
                 MutableArrayRef<Value> tile) {
    const DecodeRounds &rounds = shape.rounds;
    Value at = e.displace(lhs, e.toI64(e.add(e.mul(period, rounds.period * 4),
                                             e.mul(word, rounds.advance * 4))));
    // Where the values of the round are, or are left for others.
    int64_t count = rounds.first.size();
    Value kept =
        values
            ? e.displace(values,
                         e.toI64(e.mul(e.add(e.mul(period, rounds.words), word),
                                       count * kStepBytes)))
            : Value();
    auto at32 = [&](int64_t i, int64_t v) {
      return e.displace(kept, i * kStepBytes +
                                  (pass * shape.vectors + v) * shape.lanes * 4);
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
    VectorType type = e.vecF32(shape.lanes);
    for (int64_t i = 0; i < count; ++i) {
      SmallVector<Value> weights;
      for (int64_t v = 0; v < shape.vectors; ++v) {
        if (reads) {
          weights.push_back(LLVM::LoadOp::create(e, type, at32(i, v), 4));
          continue;
        }
        fetch(decoded[v][i], waiting);
        weights.push_back(decoded[v][i]);
        if (kept)
          LLVM::StoreOp::create(e, weights.back(), at32(i, v), 4);
      }
      for (int64_t r = 0; r < rows; ++r) {
        Value x =
            e.splatAt(e.displace(at, r * pitch + rounds.first[i] * 4), type);
        for (int64_t v = 0; v < shape.vectors; ++v) {
          Value &sum = tile[r * shape.vectors + v];
          sum = vector::FMAOp::create(e, x, weights[v], sum);
        }
      }
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
} // namespace

std::unique_ptr<BlockPass>
moe::createDecodePass(Emitter &e, const BlockShape &shape, int64_t pitch,
                      int64_t pass, const BlockArguments &arguments) {
  return std::make_unique<DecodePass>(e, shape, pitch, pass, arguments);
}
