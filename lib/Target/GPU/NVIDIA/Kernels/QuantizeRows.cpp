//===- QuantizeRows.cpp - Rows of bf16 become E4M3 --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A team has a group of 128 values, four in each lane, and takes one after the
// other. A group's scale is its largest magnitude by the largest number of
// E4M3.
//
//===----------------------------------------------------------------------===//

#include "Emitter.h"
#include "Kernels.h"

#include "moe/E4M3Rows.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace moe::nvidia;

namespace {
constexpr int64_t kGroup = moe::kE4M3Group, kOfLane = kGroup / moe::gpu::kTeam;
constexpr double kLargest = 448;
/// The bits of 2^-110, which a group's largest magnitude is taken for at least:
/// its scale is a normal number then, and 448 by it is finite.
constexpr int64_t kLeast = int64_t(127 - 110) << 23;
} // namespace

LLVM::LLVMFuncOp moe::nvidia::buildQuantizeRows(ModuleOp module, StringRef name,
                                                const QuantizeShape &shape) {
  Emitter code(module.getLoc(), module.getContext());
  SmallVector<Type> types(3 + (shape.experts > 0), code.pointer(kGlobal));
  types.push_back(code.i32());
  LLVM::LLVMFuncOp func =
      createKernel(code, module, name, types, kQuantizeTeams * moe::gpu::kTeam);
  Value rows = func.getArgument(0), values = func.getArgument(1),
        scales = func.getArgument(2), count = func.getArguments().back();
  // Behind the last row of an expert nobody wrote anything.
  if (shape.experts)
    count = code.min(count, code.load(code.i32(), code.at(func.getArgument(3),
                                                          shape.experts * 4)));
  auto number = [&](double value) -> Value {
    return arith::ConstantOp::create(code, code.getF32FloatAttr(value));
  };
  Value thread = code.thread(), lane = code.bitAnd(thread, moe::gpu::kTeam - 1);
  Value team = code.add(code.mul(code.block(), kQuantizeTeams),
                        code.broadcast(code.shr(thread, 5), 0));
  Value groups = code.mul(count, shape.k / kGroup);
  code.loop(
      team, groups, code.mul(code.numBlocks(), kQuantizeTeams), {},
      [&](Value group, ValueRange) -> SmallVector<Value> {
        Value first = code.add(code.mul(code.widen(group), kGroup),
                               code.widen(code.mul(lane, kOfLane)));
        SmallVector<Value> own = code.widenFloats(code.loadFloats(
            code.getBF16Type(), code.at(rows, code.mul(first, 2)), kOfLane));
        // Magnitudes order as their bits do, NaN above all: it makes a scale of
        // NaN, and a row of them.
        Value largest = code.constant(kLeast);
        for (Value value : own)
          largest = code.max(largest, code.bitAnd(LLVM::BitcastOp::create(
                                                      code, code.i32(), value),
                                                  0x7fffffff));
        largest = LLVM::BitcastOp::create(
            code, code.f32(), code.reduce(moegpu::ReduceKind::Max, largest));
        // Of LLVM, which is rounded to nearest; those of arith are approximate,
        // and 0 for what is near the largest number.
        Value inverse = LLVM::FDivOp::create(code, number(kLargest), largest);
        for (Value &value : own)
          value = arith::MulFOp::create(code, value, inverse);
        code.store(code.toE4M3(own), code.at(values, first));
        code.when(code.isEqual(lane, 0), [&] {
          code.store(LLVM::FDivOp::create(code, largest, number(kLargest)),
                     code.at(scales, code.mul(code.widen(group), 4)));
        });
        return {};
      });
  LLVM::ReturnOp::create(code, ValueRange());
  return func;
}
