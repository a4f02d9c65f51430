//===- Choose.cpp - Experts that take the best of many ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A block has an expert, and takes the first `room` of its candidates: those
// with the largest keys, the first of equal ones. It searches the bits of the
// last key that is in by counting those above, so that nothing branches on a
// score, and keeps no list: what is a candidate is computed again each time.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/Common/Emitter.h"
#include "moe-mlir/Target/GPU/Common/Kernels.h"

#include <limits>

using namespace mlir;
using namespace moe;
using gpu::Emitter;
using gpu::kGlobal;
using gpu::kTeam;

namespace {
/// An i32 that orders as the float with these bits does: NaN below all numbers,
/// the two zeros equal.
Value buildKey(Emitter &code, Value bits) {
  Value zero = code.constant(0);
  Value magnitude = code.bitAnd(bits, 0x7fffffff);
  Value isNaN = code.compare(arith::CmpIPredicate::ugt, magnitude,
                             code.constant(0x7f800000));
  Value negative =
      code.sub(zero, magnitude); // descends as magnitudes of such numbers do
  Value key = code.select(code.isLess(bits, zero), negative, bits);
  return code.select(
      isNaN, code.constant(std::numeric_limits<int32_t>::min() + 1), key);
}

class Chooser {
public:
  Chooser(Emitter &code, int64_t teams) : code(code), teams(teams) {
    Value thread = code.thread();
    lane = code.bitAnd(thread, 31);
    warp = code.broadcast(code.shr(thread, 5), 0);
    shared = code.sharedMemory();
  }

  /// What teams hand each other.
  static int64_t getSharedBytes(int64_t teams) { return 2 * teams * 4; }

  /// What of a candidate is asked: of a number that there is.
  using Question = function_ref<Value(Value)>;

  /// Of the candidates `[0, count)` those for which `isOne` holds, in order by
  /// `key` if there is one: `take(number, is, kept)` is told of each number
  /// whether it is one, and whether it is among the first `room`. Returns how
  /// many there are.
  Value choose(Value count, Value room, Question isOne, Question key,
               function_ref<void(Value, Value, Value)> take) {
    // Each team has a stretch of whole teams of candidates.
    Value stretch = code.mul(code.div(code.add(count, teams * kTeam - 1),
                                      code.constant(teams * kTeam)),
                             kTeam);
    first = code.mul(warp, stretch);
    end = code.min(code.add(first, stretch), count);
    Value zero = code.constant(0), above = zero;
    Value threshold = code.constant(0);
    if (key) {
      Value lowest = code.constant(std::numeric_limits<int32_t>::min());
      threshold = code.loop(
          zero, code.constant(32), code.constant(1), {lowest},
          [&](Value bit, ValueRange last) -> SmallVector<Value> {
            // From the lowest integer, bits ascend as those of an unsigned one.
            Value step = arith::ShRUIOp::create(code, lowest, bit);
            Value candidate = code.add(last[0], step);
            Value reach =
                sum(countIf([&](Value at) {
                      return code.both(isOne(at),
                                       code.compare(arith::CmpIPredicate::sge,
                                                    key(at), candidate));
                    }),
                    code.bitAnd(bit, 1))
                    .first;
            Value enough = code.compare(arith::CmpIPredicate::sge, reach, room);
            return {code.select(enough, candidate, last[0])};
          })[0];
      above =
          sum(countIf([&](Value at) {
                return code.both(isOne(at), code.isLess(threshold, key(at)));
              }),
              zero)
              .first;
    }
    // The rest of the room is for the first with just this key.
    auto isEqual = [&](Value at) {
      Value is = isOne(at);
      return key ? code.both(is, code.compare(arith::CmpIPredicate::eq, key(at),
                                              threshold))
                 : is;
    };
    Value rest = code.sub(room, above);
    auto [equal, before] = sum(countIf(isEqual), code.constant(1));
    code.loop(first, end, code.constant(kTeam), {before},
              [&](Value base, ValueRange seen) -> SmallVector<Value> {
                Value at = code.add(base, lane);
                Value valid = code.isLess(at, end);
                Value safe = code.select(valid, at, zero);
                Value is = code.both(valid, isOne(safe));
                Value own = code.both(valid, isEqual(safe));
                Value lanes = code.ballot(own);
                Value rank = code.add(seen[0], code.countBelow(lanes, lane));
                Value kept = code.both(own, code.isLess(rank, rest));
                if (key)
                  kept = code.either(
                      kept, code.both(is, code.isLess(threshold, key(safe))));
                take(at, is, kept);
                return {code.add(seen[0], code.countBits(lanes))};
              });
    if (!key)
      return equal;
    Value all = sum(countIf(isOne), zero).first;
    // What comes next may begin with the same half.
    if (teams > 1)
      code.barrier();
    return all;
  }

  /// Whether `take` may store for a candidate: it is told of none behind the
  /// last.
  Value isThere(Value number) { return code.isLess(number, end); }

private:
  /// How many of the team's candidates.
  Value countIf(Question is) {
    Value zero = code.constant(0);
    return code.loop(first, end, code.constant(kTeam), {zero},
                     [&](Value base, ValueRange count) -> SmallVector<Value> {
                       Value at = code.add(base, lane);
                       Value valid = code.isLess(at, end);
                       Value own =
                           code.both(valid, is(code.select(valid, at, zero)));
                       return {code.add(count[0], code.countLanes(own))};
                     })[0];
  }

  /// The sum of the teams' counts, and of those before this team. Sums that
  /// follow one another go through different halves of the memory, 0 or 1: a
  /// half is written again only when all have passed the barrier of the other.
  std::pair<Value, Value> sum(Value own, Value half) {
    Value zero = code.constant(0);
    if (teams == 1)
      return {own, zero};
    Value base = code.at(shared, code.mul(half, teams * 4));
    code.when(code.isEqual(lane, 0),
              [&] { code.store(own, code.at(base, code.mul(warp, 4))); });
    code.barrier();
    Value valid = code.isLess(lane, code.constant(teams));
    Value other = code.load(
        code.i32(), code.at(base, code.mul(code.select(valid, lane, zero), 4)));
    Value all = code.select(valid, other, zero);
    Value before = code.select(code.isLess(lane, warp), all, zero);
    for (int64_t bits = 1; bits < kTeam; bits *= 2) {
      all = code.add(all, code.exchange(all, bits));
      before = code.add(before, code.exchange(before, bits));
    }
    return {all, before};
  }

  Emitter &code;
  int64_t teams;
  Value lane, warp, shared, first, end;
};
} // namespace

LLVM::LLVMFuncOp gpu::buildExpertChoice(ModuleOp module, StringRef name,
                                        int64_t experts, int64_t teams) {
  Emitter code(module.getLoc(), module.getContext());
  Type memory = code.pointer(kGlobal);
  LLVM::LLVMFuncOp func =
      createKernel(code, module, name, {memory, memory, code.i32(), code.i32()},
                   teams * kTeam);
  setSharedBytes(func, Chooser::getSharedBytes(teams));
  Value scores = func.getArgument(0), indices = func.getArgument(1),
        room = func.getArgument(2), tokens = func.getArgument(3);
  Value expert = code.block();
  auto getPlace = [&](Value base, Value token) {
    return code.at(base, code.mul(code.add(code.mul(code.widen(token), experts),
                                           code.widen(expert)),
                                  4));
  };
  Chooser chooser(code, teams);
  Value yes = arith::ConstantIntOp::create(code, 1, 1);
  chooser.choose(
      tokens, room, [&](Value) { return yes; },
      [&](Value token) {
        return buildKey(code, code.load(code.i32(), getPlace(scores, token)));
      },
      [&](Value token, Value is, Value kept) {
        code.storeIf(is, code.select(kept, expert, code.constant(-1)),
                     getPlace(indices, token));
      });
  LLVM::ReturnOp::create(code, ValueRange());
  return func;
}

LLVM::LLVMFuncOp gpu::buildLimit(ModuleOp module, StringRef name,
                                 moek::LimitOp op, int64_t teams) {
  Emitter code(module.getLoc(), module.getContext());
  Type memory = code.pointer(kGlobal);
  bool hasPriority = bool(op.getPriority());
  SmallVector<Type> types(4 + hasPriority, memory);
  types.append(4, code.i32());
  LLVM::LLVMFuncOp func =
      createKernel(code, module, name, types, teams * kTeam);
  setSharedBytes(func, Chooser::getSharedBytes(teams));
  int64_t slots = cast<ShapedType>(op.getIndices().getType()).getDimSize(1);
  auto args = func.getArguments();
  Value indices = args[0], weights = args[1];
  Value priority = hasPriority ? Value(args[2]) : Value();
  auto rest = args.drop_front(2 + hasPriority);
  Value keptIndices = rest[0], keptWeights = rest[1], tokens = rest[2],
        groupSize = rest[3], capacity = rest[4], lastCapacity = rest[5];

  Value experts = code.constant(op.getExperts());
  Value group = code.div(code.block(), experts);
  Value expert = code.sub(code.block(), code.mul(group, experts));
  Value firstToken = code.mul(group, groupSize);
  Value left = code.sub(tokens, firstToken);
  Value isLast = code.compare(arith::CmpIPredicate::sle, left, groupSize);
  Value count = code.select(isLast, left, groupSize);
  Value room = code.select(isLast, lastCapacity, capacity);

  Chooser chooser(code, teams);
  auto getPlace = [&](Value base, Value token, Value slot) {
    Value row = code.widen(code.add(firstToken, token));
    return code.at(
        base, code.mul(code.add(code.mul(row, slots), code.widen(slot)), 4));
  };
  // An expert tells of its own assignments, and the first also of those to
  // none.
  auto take = [&](Value token, Value slot, Value valid, Value is, Value kept) {
    Value zero = code.constant(0);
    Value safeToken = code.select(valid, token, zero),
          safeSlot = code.select(valid, slot, zero);
    Value own = code.load(code.i32(), getPlace(indices, safeToken, safeSlot));
    Value none = code.both(
        valid, code.both(code.isEqual(expert, 0),
                         code.compare(arith::CmpIPredicate::uge, own,
                                      code.constant(op.getExperts()))));
    Value stores = code.either(is, none);
    code.storeIf(stores, code.select(kept, expert, code.constant(-1)),
                 getPlace(keptIndices, token, slot));
    Value weight =
        code.load(code.i32(), getPlace(weights, safeToken, safeSlot));
    code.storeIf(stores, code.select(kept, weight, zero),
                 getPlace(keptWeights, token, slot));
  };
  auto isExpert = [&](Value token, Value slot) {
    return code.compare(arith::CmpIPredicate::eq,
                        code.load(code.i32(), getPlace(indices, token, slot)),
                        expert);
  };

  switch (op.getDrop()) {
  case Drop::Position: {
    // Slot by slot, and of a slot token by token.
    auto split = [&](Value at) {
      Value slot = code.div(at, count);
      return std::pair(code.sub(at, code.mul(slot, count)), slot);
    };
    chooser.choose(
        code.mul(count, slots), room,
        [&](Value at) {
          auto [token, slot] = split(at);
          return isExpert(token, slot);
        },
        nullptr,
        [&](Value at, Value is, Value kept) {
          auto [token, slot] = split(at);
          take(token, slot, chooser.isThere(at), is, kept);
        });
    break;
  }
  case Drop::Probability: {
    auto split = [&](Value at) {
      Value token = code.div(at, code.constant(slots));
      return std::pair(token, code.sub(at, code.mul(token, slots)));
    };
    chooser.choose(
        code.mul(count, slots), room,
        [&](Value at) {
          auto [token, slot] = split(at);
          return isExpert(token, slot);
        },
        [&](Value at) {
          auto [token, slot] = split(at);
          return buildKey(
              code, code.load(code.i32(), getPlace(weights, token, slot)));
        },
        [&](Value at, Value is, Value kept) {
          auto [token, slot] = split(at);
          take(token, slot, chooser.isThere(at), is, kept);
        });
    break;
  }
  case Drop::BatchPriority:
    code.loop(code.constant(0), code.constant(slots), code.constant(1), {room},
              [&](Value slot, ValueRange room) -> SmallVector<Value> {
                Value taken = chooser.choose(
                    count, room[0],
                    [&](Value token) { return isExpert(token, slot); },
                    [&](Value token) {
                      Value row = code.widen(code.add(firstToken, token));
                      return buildKey(
                          code, code.load(code.i32(),
                                          code.at(priority, code.mul(row, 4))));
                    },
                    [&](Value token, Value is, Value kept) {
                      take(token, slot, chooser.isThere(token), is, kept);
                    });
                return {code.max(code.sub(room[0], taken), code.constant(0))};
              });
    break;
  }
  LLVM::ReturnOp::create(code, ValueRange());
  return func;
}
