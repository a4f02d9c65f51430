//===- Index.cpp - The rows of each expert ----------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A block for each expert, which looks at all assignments twice: those of lower
// experts are as many as rows before its own, and those of its own it puts into
// a list, in their order. Blocks need nothing of each other, and no branch
// depends on an assignment. A team has a stretch of assignments.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/Common/Emitter.h"
#include "moe-mlir/Target/GPU/Common/Kernels.h"

using namespace mlir;
using namespace moe;
using gpu::Emitter;
using gpu::kGlobal;
using gpu::kTeam;

LLVM::LLVMFuncOp gpu::buildIndex(ModuleOp module, StringRef name,
                                 int64_t experts, int64_t slots, int64_t teams,
                                 bool weighs) {
  Emitter code(module.getLoc(), module.getContext());
  Type memory = code.pointer(kGlobal);
  SmallVector<Type> types(weighs ? 6 : 4, memory);
  types.push_back(code.i32());
  LLVM::LLVMFuncOp func =
      createKernel(code, module, name, types, teams * kTeam);
  setSharedBytes(func, 2 * teams * 4);
  auto args = func.getArguments();
  Value indices = args[0], offsets = args[1], tokens = args[2],
        positions = args[3];
  Value total = code.mul(args.back(), slots);
  Value expert = code.block(), thread = code.thread();
  Value lane = code.bitAnd(thread, 31);
  Value warp = code.broadcast(code.shr(thread, 5), 0);
  Value zero = code.constant(0);
  // Whole teams of assignments, so that lanes stay in step.
  Value stretch = code.mul(
      code.div(code.add(total, teams * 32 - 1), code.constant(teams * 32)), 32);
  Value first = code.mul(warp, stretch);
  Value end = code.min(code.add(first, stretch), total);
  auto load = [&](Value at, Value valid) {
    Value own = code.load(
        code.i32(),
        code.at(indices,
                code.mul(code.widen(code.select(valid, at, zero)), 4)));
    return code.select(valid, own, code.constant(-1));
  };

  // Assignments of this stretch to lower experts, and to the own one.
  SmallVector<Value> counts = code.loop(
      first, end, code.constant(32), {zero, zero},
      [&](Value base, ValueRange counts) -> SmallVector<Value> {
        Value at = code.add(base, lane);
        Value own = load(at, code.isLess(at, end));
        Value lower =
            code.both(code.compare(arith::CmpIPredicate::sge, own, zero),
                      code.isLess(own, expert));
        Value same = code.compare(arith::CmpIPredicate::eq, own, expert);
        return {code.add(counts[0], code.countLanes(lower)),
                code.add(counts[1], code.countLanes(same))};
      });
  Value base = code.sharedMemory();
  Value place = code.mul(warp, 4);
  code.when(code.isEqual(lane, 0), [&] {
    code.store(counts[0], code.at(base, place));
    code.store(counts[1], code.at(code.at(base, place), teams * 4));
  });
  code.barrier();

  // Sums over the teams: all lower ones, and the own ones of teams before.
  Value mine = code.mul(
      teams < kTeam ? code.min(lane, code.constant(teams - 1)) : lane, 4);
  Value lower = code.load(code.i32(), code.at(base, mine));
  Value same = code.load(code.i32(), code.at(code.at(base, mine), teams * 4));
  if (teams < kTeam) {
    Value valid = code.isLess(lane, code.constant(teams));
    lower = code.select(valid, lower, zero);
    same = code.select(valid, same, zero);
  }
  Value before = code.select(code.isLess(lane, warp), same, zero);
  for (int64_t bits = 1; bits < 32; bits *= 2) {
    lower = code.add(lower, code.exchange(lower, bits));
    same = code.add(same, code.exchange(same, bits));
    before = code.add(before, code.exchange(before, bits));
  }
  code.when(code.isEqual(thread, 0), [&] {
    Value to = code.at(offsets, code.mul(expert, 4));
    code.store(lower, to);
    code.when(code.isEqual(expert, experts - 1),
              [&] { code.store(code.add(lower, same), code.at(to, 4)); });
  });

  code.loop(first, end, code.constant(32), {code.add(lower, before)},
            [&](Value base, ValueRange next) -> SmallVector<Value> {
              Value at = code.add(base, lane);
              Value valid = code.isLess(at, end);
              Value own = load(at, valid);
              Value same = code.compare(arith::CmpIPredicate::eq, own, expert);
              Value lanes = code.ballot(same);
              Value row = code.add(next[0], code.countBelow(lanes, lane));
              code.storeIf(same, code.div(at, code.constant(slots)),
                           code.at(tokens, code.mul(code.widen(row), 4)));
              if (weighs) {
                Value from =
                    code.mul(code.widen(code.select(valid, at, zero)), 4);
                code.storeIf(same,
                             code.load(code.i32(), code.at(args[4], from)),
                             code.at(args[5], code.mul(code.widen(row), 4)));
              }
              // What has no expert is for the first block.
              Value none = code.both(
                  valid, code.both(code.isEqual(expert, 0),
                                   code.compare(arith::CmpIPredicate::uge, own,
                                                code.constant(experts))));
              code.storeIf(code.either(same, none),
                           code.select(same, row, code.constant(-1)),
                           code.at(positions, code.mul(code.widen(at), 4)));
              return {code.add(next[0], code.countBits(lanes))};
            });
  LLVM::ReturnOp::create(code, ValueRange());
  return func;
}
