//===- Limit.cpp - moek.limit -----------------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Every way to drop assignments is one walk over them that counts arrivals;
// only the order differs. Where it is not that of slots and tokens it is sorted
// first, by a radix sort, which is stable: equal ones stay in token order.
//
//===----------------------------------------------------------------------===//

#include "Lowerings.h"

#include "moe-mlir/Target/Lanes/LimitCapacity.h"

#include "moe/Moe.h"

#include <limits>

using namespace mlir;
using namespace moe;

/// Digits of the radix sort.
static constexpr int64_t kDigitBits = 8;
static constexpr int64_t kDigits = 1 << kDigitBits;

/// Reads a float as an integer that ascends from the first to the last in the
/// order of all policies: larger first, -0 equal to +0, NaN last.
static Value emitSortKey(Emitter &e, Value x) {
  Value sum = arith::AddFOp::create(e, x, e.f32(0.0));
  Value bits = arith::BitcastOp::create(e, e.getI32Type(), sum);
  Value sign = arith::ShRSIOp::create(e, bits, e.i32(31));
  Value flip = arith::ShRUIOp::create(e, sign, e.i32(1));
  Value key = arith::XOrIOp::create(e, bits, flip);
  Value isNaN = arith::CmpFOp::create(e, arith::CmpFPredicate::UNO, sum, sum);
  // Signed and descending becomes unsigned and ascending.
  Value rank =
      arith::XOrIOp::create(e, key, e.i32(std::numeric_limits<int32_t>::max()));
  return e.select(isNaN, e.i32(-1), rank);
}

namespace {
/// Buffers of a sort of all groups, each with a part of its own.
struct Sorter {
  Value keys[2], order[2]; ///< `[elements]` i32
  Value digits;            ///< `[groups, kDigits]` i32

  Sorter(Emitter &e, Value elements, Value groups) {
    Type i32 = e.getI32Type();
    auto type = MemRefType::get({ShapedType::kDynamic}, i32);
    for (int i = 0; i < 2; ++i) {
      keys[i] = emitScratch(e, type, elements);
      order[i] = emitScratch(e, type, elements);
    }
    digits = emitScratch(
        e, MemRefType::get({ShapedType::kDynamic, kDigits}, i32), groups);
  }

  /// Sorts the elements [base, base + count) by `key(i)`; `order[0]` then holds
  /// the places i from 0 to count - 1.
  void emit(Emitter &e, Value group, Value base, Value count,
            function_ref<Value(Emitter &, Value)> key) const {
    e.loop(count, [&](Emitter &e, Value i) {
      Value at = e.add(base, i);
      e.store(emitSortKey(e, key(e, i)), keys[0], ValueRange{at});
      e.store(e.toI32(i), order[0], ValueRange{at});
    });
    int from = 0;
    for (int64_t shift = 0; shift < 32; shift += kDigitBits, from ^= 1)
      emitPass(e, group, base, count, shift, from);
    assert(from == 0 && "an odd number of passes ends in the other buffer");
  }

private:
  void emitPass(Emitter &e, Value group, Value base, Value count, int64_t shift,
                int from) const {
    auto digitOf = [&](Emitter &e, Value key) -> Value {
      Value digit = arith::ShRUIOp::create(e, key, e.i32(shift));
      return e.toIndex(arith::AndIOp::create(e, digit, e.i32(kDigits - 1)));
    };
    e.loop(e.idx(kDigits), [&](Emitter &e, Value digit) {
      e.store(e.i32(0), digits, ValueRange{group, digit});
    });
    auto next = [&](Emitter &e, Value digit) -> Value {
      Value old = e.load(digits, ValueRange{group, digit});
      e.store(e.add(old, e.i32(1)), digits, ValueRange{group, digit});
      return old;
    };
    e.loop(count, [&](Emitter &e, Value i) {
      Value key = e.load(keys[from], ValueRange{e.add(base, i)});
      next(e, digitOf(e, key));
    });
    // Where the elements of each digit begin.
    auto scan = scf::ForOp::create(e, e.idx(0), e.idx(kDigits), e.idx(1),
                                   ValueRange{e.i32(0)});
    {
      OpBuilder::InsertionGuard guard(e);
      e.setInsertionPointToStart(scan.getBody());
      SmallVector<Value> at{group, scan.getInductionVar()};
      Value size = e.load(digits, at), begin = scan.getRegionIterArg(0);
      e.store(begin, digits, at);
      scf::YieldOp::create(e, e.add(begin, size));
    }
    e.loop(count, [&](Emitter &e, Value i) {
      Value at = e.add(base, i);
      Value key = e.load(keys[from], ValueRange{at});
      Value to = e.add(base, e.toIndex(next(e, digitOf(e, key))));
      e.store(key, keys[from ^ 1], ValueRange{to});
      e.store(e.load(order[from], ValueRange{at}), order[from ^ 1],
              ValueRange{to});
    });
  }
};
} // namespace

LogicalResult moe::lowerLimit(Emitter &e, moek::LimitOp op) {
  auto type = cast<MemRefType>(op.getIndices().getType());
  int64_t slots = type.getDimSize(1), experts = op.getExperts();
  Drop drop = op.getDrop();
  emitTrace(e, "begin", "route");
  Value tokens = e.dim(op.getIndices(), 0);
  // The number of groups is a size of buffers: without a division by a value
  // that the program computes.
  Value groupSize = tokens, groups = e.min(tokens, e.idx(1));
  if (op.getGroupSize()) {
    groupSize = e.idx(static_cast<int64_t>(*op.getGroupSize()));
    groups = e.ceilDiv(tokens, groupSize);
  }
  Value arrivals = emitScratch(
      e, MemRefType::get({ShapedType::kDynamic, experts}, e.getI32Type()),
      groups);
  int64_t sorted = drop == Drop::Probability ? slots : 1;
  std::optional<Sorter> sorter;
  if (drop != Drop::Position)
    sorter.emplace(e, e.mul(tokens, sorted), groups);

  e.parallel(groups, [&](Emitter &e, Value group) {
    Value first = e.mul(group, groupSize);
    Value count = e.min(e.sub(tokens, first), groupSize);
    Value capacity = emitLimitCapacity(e, op, count);
    e.loop(e.idx(experts), [&](Emitter &e, Value expert) {
      e.store(e.i32(0), arrivals, ValueRange{group, expert});
    });
    auto arrive = [&](Emitter &e, Value token, Value slot) {
      SmallVector<Value> place{token, slot};
      Value expert = e.load(op.getIndices(), place);
      // As unsigned, -1 is large too.
      Value used = e.lt(expert, e.i32(experts));
      SmallVector<Value> counter{group,
                                 e.toIndex(e.select(used, expert, e.i32(0)))};
      Value before = e.load(arrivals, counter);
      Value keep = arith::AndIOp::create(
          e, used, e.cmp(arith::CmpIPredicate::slt, before, capacity));
      e.store(e.add(before, arith::ExtUIOp::create(e, e.getI32Type(), keep)),
              arrivals, counter);
      Value weight = e.load(op.getWeights(), place);
      e.store(e.select(keep, expert, e.i32(-1)), op.getOutputs()[0], place);
      e.store(e.select(keep, weight, e.f32(0.0)), op.getOutputs()[1], place);
    };
    if (drop == Drop::Probability) {
      Value base = e.mul(first, slots), places = e.mul(count, slots);
      auto token = [&](Emitter &e, Value i) -> Value {
        return e.add(first, e.div(i, slots));
      };
      auto slot = [&](Emitter &e, Value i) -> Value {
        return e.rem(i, e.idx(slots));
      };
      sorter->emit(e, group, base, places, [&](Emitter &e, Value i) {
        return e.load(op.getWeights(), ValueRange{token(e, i), slot(e, i)});
      });
      e.loop(places, [&](Emitter &e, Value i) {
        Value at = e.loadIndex(sorter->order[0], ValueRange{e.add(base, i)});
        arrive(e, token(e, at), slot(e, at));
      });
      return;
    }
    if (sorter)
      sorter->emit(e, group, first, count, [&](Emitter &e, Value i) {
        return e.load(op.getPriority(), ValueRange{e.add(first, i)});
      });
    e.loop(e.idx(slots), [&](Emitter &e, Value slot) {
      e.loop(count, [&](Emitter &e, Value i) {
        Value at = e.add(first, i);
        if (sorter)
          at = e.add(first, e.loadIndex(sorter->order[0], ValueRange{at}));
        arrive(e, at, slot);
      });
    });
  });
  emitTrace(e, "end", "route");
  return success();
}
