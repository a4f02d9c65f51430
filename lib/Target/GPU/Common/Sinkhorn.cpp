//===- Sinkhorn.cpp - Plans that spread tokens evenly -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// One block, since each half of an iteration needs all of the one before. Sums
// over experts run in order, those over tokens in as many parts as threads have
// room for, in order: the same order every time.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/Common/Emitter.h"
#include "moe-mlir/Target/GPU/Common/Kernels.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <limits>

using namespace mlir;
using namespace moe;
using gpu::Emitter;
using gpu::kGlobal;

static constexpr int64_t kThreads = 256;

namespace {
class Plan {
public:
  Plan(Emitter &code, moek::SinkhornOp op, LLVM::LLVMFuncOp func)
      : code(code), op(op),
        experts(cast<ShapedType>(op.getScores().getType()).getDimSize(1)),
        parts(std::max<int64_t>(1, kThreads / experts)) {
    auto args = func.getArguments();
    scores = args[0], scaled = args[1], ofTokens = args[2], plan = args[3];
    tokens = args[4];
    thread = code.thread();
    Value shared = code.sharedMemory();
    ofExperts = shared;
    changes = code.at(shared, experts * 4);
    partial = code.at(changes, experts * 4);
    all = code.mul(code.widen(tokens), experts);
  }

  static int64_t getSharedBytes(int64_t experts) {
    return (2 * experts + kThreads) * 4;
  }

  void build() {
    Value shift = findLargest();
    // The 1e-8 of d0 is scaled like c: neither d1 nor the plan changes.
    Value eps = arith::MulFOp::create(
        code, f32(1e-8),
        math::ExpOp::create(code,
                            arith::SubFOp::create(code, f32(0.0), shift)));
    overAll([&](Value at) {
      Value z = code.load(code.f32(), code.at(scores, at));
      code.store(
          math::ExpOp::create(code, arith::SubFOp::create(code, z, shift)),
          code.at(scaled, at));
    });
    overExperts([&](Value expert) {
      code.store(f32(1.0), code.at(ofExperts, code.mul(expert, 4)));
    });
    code.barrier();
    Value byToken = arith::DivFOp::create(
        code, f32(1.0), arith::UIToFPOp::create(code, code.f32(), tokens));
    Value far = arith::ConstantIntOp::create(code, 1, 1);
    int64_t most = std::min<int64_t>(op.getIterations(),
                                     std::numeric_limits<int32_t>::max());
    code.loop(code.constant(0), code.constant(most), code.constant(1), {far},
              [&](Value, ValueRange far) -> SmallVector<Value> {
                auto again = scf::IfOp::create(code, code.getI1Type(), far[0],
                                               /*withElseRegion=*/true);
                OpBuilder::InsertionGuard guard(code);
                code.setInsertionPointToStart(again.thenBlock());
                Value still = iterate(byToken, eps);
                scf::YieldOp::create(code, still);
                code.setInsertionPointToStart(again.elseBlock());
                scf::YieldOp::create(code, far[0]);
                return {again.getResult(0)};
              });
    overAll([&](Value at) {
      Value element = arith::ShRUIOp::create(code, at, code.constant64(2));
      Value token = code.div(element, code.constant64(experts));
      Value expert = code.sub(element, code.mul(token, experts));
      auto load = [&](Value base, Value at) {
        return code.load(code.f32(), code.at(base, at));
      };
      Value narrow = arith::TruncIOp::create(code, code.i32(), expert);
      Value v = arith::MulFOp::create(
          code, load(ofExperts, code.mul(narrow, 4)), load(scaled, at));
      code.store(
          arith::MulFOp::create(code, v, load(ofTokens, code.mul(token, 4))),
          code.at(plan, at));
    });
  }

private:
  Value f32(double value) {
    return arith::ConstantOp::create(code, code.getF32FloatAttr(value));
  }

  /// A thread's elements of a matrix `[T, E]`, by where they are, in bytes.
  void overAll(function_ref<void(Value)> body) {
    code.loop(code.widen(thread), all, code.constant64(kThreads), {},
              [&](Value element, ValueRange) -> SmallVector<Value> {
                body(code.mul(element, 4));
                return {};
              });
  }
  void overExperts(function_ref<void(Value)> body) {
    code.loop(thread, code.constant(experts), code.constant(kThreads), {},
              [&](Value expert, ValueRange) -> SmallVector<Value> {
                body(expert);
                return {};
              });
  }

  /// The largest number below infinity, or 0: what is scaled by it does not
  /// overflow nor make small what was not.
  Value findLargest() {
    Value zero = f32(0.0);
    Value own =
        code.loop(code.widen(thread), all, code.constant64(kThreads), {zero},
                  [&](Value element, ValueRange best) -> SmallVector<Value> {
                    Value z = code.load(code.f32(),
                                        code.at(scores, code.mul(element, 4)));
                    Value above = arith::CmpFOp::create(
                        code, arith::CmpFPredicate::OGT, z, best[0]);
                    Value finite = arith::CmpFOp::create(
                        code, arith::CmpFPredicate::OLT, z,
                        f32(std::numeric_limits<double>::infinity()));
                    return {code.select(code.both(above, finite), z, best[0])};
                  })[0];
    code.store(own, code.at(partial, code.mul(thread, 4)));
    code.barrier();
    Value largest = code.loop(
        code.constant(0), code.constant(kThreads), code.constant(1), {zero},
        [&](Value other, ValueRange best) -> SmallVector<Value> {
          Value z = code.load(code.f32(), code.at(partial, code.mul(other, 4)));
          Value above = arith::CmpFOp::create(code, arith::CmpFPredicate::OGT,
                                              z, best[0]);
          return {code.select(above, z, best[0])};
        })[0];
    return largest;
  }

  /// Whether one more is wanted; all threads find the same.
  Value iterate(Value byToken, Value eps) {
    auto row = [&](Value token) {
      return code.at(scaled, code.mul(code.widen(token), experts * 4));
    };
    // A token each: the sum over experts.
    code.loop(
        thread, tokens, code.constant(kThreads), {},
        [&](Value token, ValueRange) -> SmallVector<Value> {
          Value own = row(token);
          Value sum = code.loop(
              code.constant(0), code.constant(experts), code.constant(1),
              {f32(0.0)},
              [&](Value expert, ValueRange sum) -> SmallVector<Value> {
                Value at = code.mul(expert, 4);
                Value c = code.load(code.f32(), code.at(own, code.widen(at)));
                Value d = code.load(code.f32(), code.at(ofExperts, at));
                return {LLVM::FMAOp::create(code, c, d, sum[0])};
              })[0];
          code.store(arith::DivFOp::create(
                         code, byToken, arith::AddFOp::create(code, sum, eps)),
                     code.at(ofTokens, code.mul(code.widen(token), 4)));
          return {};
        });
    code.barrier();
    // An expert each, and a part of the tokens.
    auto sumOver = [&](Value expert, Value first, int64_t step) {
      return code.loop(
          first, tokens, code.constant(step), {f32(0.0)},
          [&](Value token, ValueRange sum) -> SmallVector<Value> {
            Value c =
                code.load(code.f32(),
                          code.at(row(token), code.widen(code.mul(expert, 4))));
            Value d = code.load(
                code.f32(), code.at(ofTokens, code.mul(code.widen(token), 4)));
            return {LLVM::FMAOp::create(code, c, d, sum[0])};
          })[0];
    };
    if (parts > 1) {
      Value part = code.div(thread, code.constant(experts));
      Value expert = code.sub(thread, code.mul(part, experts));
      code.when(code.isLess(part, code.constant(parts)), [&] {
        code.store(sumOver(expert, part, parts),
                   code.at(partial, code.mul(thread, 4)));
      });
      code.barrier();
    }
    overExperts([&](Value expert) {
      Value at = code.mul(expert, 4), sum;
      if (parts == 1)
        sum = sumOver(expert, code.constant(0), 1);
      for (int64_t part = 0; parts > 1 && part < parts; ++part) {
        Value own = code.load(
            code.f32(), code.at(code.at(partial, at), part * experts * 4));
        sum = sum ? Value(arith::AddFOp::create(code, sum, own)) : own;
      }
      Value next =
          arith::DivFOp::create(code, f32(1.0 / experts),
                                arith::AddFOp::create(code, sum, f32(1e-8)));
      Value before = code.load(code.f32(), code.at(ofExperts, at));
      code.store(
          math::AbsFOp::create(code, arith::SubFOp::create(code, before, next)),
          code.at(changes, at));
      code.store(next, code.at(ofExperts, at));
    });
    code.barrier();
    Value change = code.loop(
        code.constant(0), code.constant(experts), code.constant(1), {f32(0.0)},
        [&](Value expert, ValueRange sum) -> SmallVector<Value> {
          Value own =
              code.load(code.f32(), code.at(changes, code.mul(expert, 4)));
          return {arith::AddFOp::create(code, sum[0], own)};
        })[0];
    Value mean =
        arith::DivFOp::create(code, change, f32(static_cast<double>(experts)));
    // A NaN is not above the tolerance.
    return arith::CmpFOp::create(code, arith::CmpFPredicate::OGT, mean,
                                 f32(op.getTolerance().convertToDouble()));
  }

  Emitter &code;
  moek::SinkhornOp op;
  int64_t experts;
  /// Of the tokens, which threads share for an expert.
  int64_t parts;
  /// In the device's memory, `[T, E]`, `[T, E]`, `[T]`, `[T, E]`.
  Value scores, scaled, ofTokens, plan;
  /// Shared: `[E]`, `[E]`, `[kThreads]`.
  Value ofExperts, changes, partial;
  Value tokens, thread, all;
};
} // namespace

LLVM::LLVMFuncOp gpu::buildSinkhorn(ModuleOp module, StringRef name,
                                    moek::SinkhornOp op) {
  Emitter code(module.getLoc(), module.getContext());
  SmallVector<Type> types(4, code.pointer(kGlobal));
  types.push_back(code.i32());
  LLVM::LLVMFuncOp func = createKernel(code, module, name, types, kThreads);
  Plan(code, op, func).build();
  setSharedBytes(func,
                 Plan::getSharedBytes(
                     cast<ShapedType>(op.getScores().getType()).getDimSize(1)));
  LLVM::ReturnOp::create(code, ValueRange());
  return func;
}
