//===- Capacity.cpp - Experts that take no more ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The team of an expert reads all assignments in order, and counts its own. It
// writes to these alone, so that the others, which may read them before or
// after, find an expert that is not theirs. No branch depends on an assignment.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/Common/Emitter.h"
#include "moe-mlir/Target/GPU/Common/Kernels.h"

using namespace mlir;
using namespace moe;
using gpu::Emitter;
using gpu::kTeam;

LLVM::LLVMFuncOp gpu::buildCapacity(ModuleOp module, StringRef name,
                                    int64_t slots, int64_t all,
                                    int64_t capacity) {
  Emitter code(module.getLoc(), module.getContext());
  LLVM::LLVMFuncOp func = createKernel(
      code, module, name,
      {code.pointer(kGlobal), code.pointer(kGlobal), code.i32()}, kTeam);
  Value indices = func.getArgument(0), weights = func.getArgument(1),
        tokens = func.getArgument(2);
  Value expert = code.block(), lane = code.thread();
  Value zero = code.constant(0);
  Value limit = code.constant(capacity), end = code.mul(tokens, slots);
  code.loop(zero, end, code.constant(kTeam), {zero},
            [&](Value base, ValueRange before) -> SmallVector<Value> {
              Value number = code.add(base, lane);
              Value valid = code.isLess(number, end);
              Value safe = code.select(valid, number, zero);
              Value slot = code.div(safe, tokens);
              Value token = code.sub(safe, code.mul(slot, tokens));
              Value at =
                  code.add(code.mul(code.widen(token), all), code.widen(slot));
              Value bytes = code.mul(at, 4), place = code.at(indices, bytes);
              Value own = code.load(code.i32(), place);
              Value same = code.both(
                  valid, code.compare(arith::CmpIPredicate::eq, own, expert));
              Value lanes = code.ballot(same);
              Value rank = code.add(before[0], code.countBelow(lanes, lane));
              Value drops = code.both(
                  same, code.compare(arith::CmpIPredicate::sge, rank, limit));
              code.storeIf(drops, code.constant(-1), place);
              code.storeIf(drops, zero, code.at(weights, bytes));
              return {code.add(before[0], code.countBits(lanes))};
            });
  LLVM::ReturnOp::create(code, ValueRange());
  return func;
}
