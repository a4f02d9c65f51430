//===- MicroKernel.cpp - Register-tiled inner kernels -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// One kernel per number of rows: exact, without masks. The accumulators of a
// tile live in registers for the whole call and are parked in memory between
// calls, which is exact, so that a long k can be walked in chunks.
//
//===----------------------------------------------------------------------===//

#include "MicroKernel.h"

using namespace mlir;
using namespace moe;
using moek::Inner;
using moek::ScheduleAttr;

int64_t moe::getLhsStepBytes(Inner inner) {
  // fma: one f32; widen: a pair of f32; dot_bf16: a pair of bf16.
  return inner == Inner::Widen ? 8 : 4;
}

Type moe::getLhsElementType(MLIRContext *context, Inner inner) {
  if (inner == Inner::DotBF16)
    return BFloat16Type::get(context);
  return Float32Type::get(context);
}

/// Vectors of a panel row that one pass over k covers: all of them where they
/// fit the registers beside the accumulators, or as many as do.
static int64_t getVectors(ScheduleAttr schedule, int64_t rows) {
  int64_t lanes = schedule.getLanes();
  if (lanes == 16)
    return 2;
  bool widen = schedule.getInner() == Inner::Widen;
  if (lanes == 4 && rows <= (widen ? 1 : 2))
    return 8;
  return rows <= (lanes == 4 ? 5 : widen ? 1 : 2) ? 4 : 2;
}

bool moe::hasTwoPasses(ScheduleAttr schedule, int64_t rows) {
  return getVectors(schedule, rows) * schedule.getLanes() < kPanelColumns;
}

namespace {
/// Builds the body of one exact kernel.
class KernelBody {
public:
  KernelBody(Emitter &e, ScheduleAttr schedule, int64_t rows, int64_t pitch)
      : e(e), inner(schedule.getInner()), lanes(schedule.getLanes()),
        rows(rows), pitch(pitch), vectors(getVectors(schedule, rows)),
        vecType(e.vecF32(lanes)) {}

  void build(Value blocks, Value panel, Value lhs, Value acc, Value prefetch,
             Value lines) {
    int64_t passes = kPanelColumns / (vectors * lanes);
    for (int64_t pass = 0; pass < passes; ++pass)
      buildPass(pass, blocks, panel, lhs, acc, prefetch, lines);
  }

private:
  Emitter &e;
  Inner inner;
  int64_t lanes, rows, pitch, vectors;
  VectorType vecType;

  Value at(Value base, int64_t bytes) {
    if (bytes == 0)
      return base;
    return LLVM::GEPOp::create(e, e.ptrType(), e.getI8Type(), base,
                               ArrayRef<LLVM::GEPArg>{(int32_t)bytes});
  }
  Value at(Value base, Value bytes) {
    return LLVM::GEPOp::create(e, e.ptrType(), e.getI8Type(), base,
                               ArrayRef<LLVM::GEPArg>{bytes});
  }
  Value load(Type type, Value pointer, unsigned alignment) {
    return LLVM::LoadOp::create(e, type, pointer, alignment);
  }

  /// Where vector `v` of a pass lies in a row of 32 columns of 4 bytes. With
  /// two passes each takes half of both groups of 16 columns, so that gate and
  /// up columns of one register index still belong together.
  int64_t columnBytes(int64_t pass, int64_t v) {
    int64_t half = vectors / 2;
    return v / half * 64 + (pass * half + v % half) * lanes * 4;
  }

  void buildPass(int64_t pass, Value blocks, Value panel, Value lhs, Value acc,
                 Value prefetch, Value lines) {
    unsigned align = lanes * 4;
    SmallVector<Value> init;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t v = 0; v < vectors; ++v)
        init.push_back(
            load(vecType, at(acc, r * kStepBytes + columnBytes(pass, v)),
                 align));
    Value one = e.idx(1), zero = e.idx(0);
    Value lineBytes = e.mul(lines, 64);
    init.append({panel, lhs, prefetch});
    auto outer = scf::ForOp::create(e, zero, e.toIndex(blocks), one, init);
    {
      OpBuilder::InsertionGuard guard(e);
      e.setInsertionPointToStart(outer.getBody());
      ValueRange args = outer.getRegionIterArgs();
      size_t n = args.size();
      Value ahead = args[n - 1];
      Value nextAhead = ahead;
      if (pass == 0) {
        e.loop(lines, [&](Emitter &e, Value line) {
          Value address = at(ahead, e.toI64(e.mul(line, 64)));
          // Into the second level: what is prefetched is longer than the
          // first, and would push out the rows and accumulators in it.
          LLVM::Prefetch::create(e, address, /*rw=*/0, /*hint=*/2,
                                 /*cache=*/1);
        });
        nextAhead = at(ahead, e.toI64(lineBytes));
      }
      auto steps = scf::ForOp::create(e, zero, e.idx(kBlockSteps), one,
                                      args.drop_back());
      {
        OpBuilder::InsertionGuard guard(e);
        e.setInsertionPointToStart(steps.getBody());
        SmallVector<Value> next =
            buildStep(pass, steps.getRegionIterArgs());
        scf::YieldOp::create(e, next);
      }
      SmallVector<Value> next(steps.getResults());
      next.push_back(nextAhead);
      scf::YieldOp::create(e, next);
    }
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t v = 0; v < vectors; ++v)
        LLVM::StoreOp::create(
            e, outer.getResult(r * vectors + v),
            at(acc, r * kStepBytes + columnBytes(pass, v)), align);
  }

  /// One step of k: state is the accumulators, the panel and the lhs pointer.
  SmallVector<Value> buildStep(int64_t pass, ValueRange state) {
    SmallVector<Value> next(state);
    Value p = state[state.size() - 2], x = state[state.size() - 1];
    switch (inner) {
    case Inner::Fma:
      stepFma(pass, p, x, next);
      break;
    case Inner::Widen:
      stepWiden(pass, p, x, next);
      break;
    case Inner::DotBF16:
      stepDot(pass, p, x, next);
      break;
    }
    next[state.size() - 2] = at(p, kStepBytes);
    next[state.size() - 1] = at(x, getLhsStepBytes(inner));
    return next;
  }

  void stepFma(int64_t pass, Value p, Value x, SmallVectorImpl<Value> &acc) {
    SmallVector<Value> w;
    for (int64_t v = 0; v < vectors; ++v)
      w.push_back(load(vecType, at(p, columnBytes(pass, v)), 4));
    for (int64_t r = 0; r < rows; ++r) {
      Value b = e.splat(load(e.getF32Type(), at(x, r * pitch), 4), vecType);
      for (int64_t v = 0; v < vectors; ++v) {
        Value &a = acc[r * vectors + v];
        a = vector::FMAOp::create(e, b, w[v], a);
      }
    }
  }

  /// A pair of bf16 is one i32 lane: the even k is its low half, moved up, the
  /// odd k its high half.
  void stepWiden(int64_t pass, Value p, Value x, SmallVectorImpl<Value> &acc) {
    VectorType intType = e.vec(lanes, e.getI32Type());
    SmallVector<Value> raw;
    for (int64_t v = 0; v < vectors; ++v)
      raw.push_back(load(intType, at(p, columnBytes(pass, v)), 4));
    for (int64_t half = 0; half < 2; ++half) {
      SmallVector<Value> w;
      for (int64_t v = 0; v < vectors; ++v) {
        Value bits =
            half == 0
                ? Value(arith::ShLIOp::create(
                      e, raw[v], e.splat(e.i32(16), intType)))
                : Value(arith::AndIOp::create(
                      e, raw[v], e.splat(e.i32(-65536), intType)));
        w.push_back(arith::BitcastOp::create(e, vecType, bits));
      }
      for (int64_t r = 0; r < rows; ++r) {
        Value scalar = load(e.getF32Type(), at(x, r * pitch + 4 * half), 4);
        Value b = e.splat(scalar, vecType);
        for (int64_t v = 0; v < vectors; ++v) {
          Value &a = acc[r * vectors + v];
          a = vector::FMAOp::create(e, b, w[v], a);
        }
      }
    }
  }

  void stepDot(int64_t pass, Value p, Value x, SmallVectorImpl<Value> &acc) {
    VectorType pairs = e.vec(2 * lanes, e.getBF16Type());
    VectorType ints = e.vec(lanes, e.getI32Type());
    SmallVector<Value> w;
    for (int64_t v = 0; v < vectors; ++v)
      w.push_back(load(pairs, at(p, columnBytes(pass, v)), 4));
    for (int64_t r = 0; r < rows; ++r) {
      Value pair = load(e.getI32Type(), at(x, r * pitch), 4);
      Value b =
          LLVM::BitcastOp::create(e, pairs, e.splat(pair, ints));
      for (int64_t v = 0; v < vectors; ++v) {
        Value &a = acc[r * vectors + v];
        a = LLVM::CallIntrinsicOp::create(
                e, vecType,
                e.getStringAttr("llvm.x86.avx512bf16.dpbf16ps.512"),
                ValueRange{a, b, w[v]})
                .getResult(0);
      }
    }
  }
};
} // namespace

func::FuncOp moe::getOrCreateMicroKernels(ModuleOp module,
                                          ScheduleAttr schedule,
                                          int64_t pitch) {
  std::string name = ("moek_" + moek::stringifyInner(schedule.getInner()) +
                      "_x" + Twine(schedule.getLanes()) + "_pitch" +
                      Twine(pitch) + "_rows" + Twine(schedule.getRows()))
                         .str();
  if (auto existing = module.lookupSymbol<func::FuncOp>(name))
    return existing;

  Emitter e(module.getLoc(), OpBuilder::atBlockEnd(module.getBody()));
  Type i64 = e.getI64Type(), ptr = e.ptrType();
  SmallVector<Type> kernelArgs{i64, ptr, ptr, ptr, ptr, i64};
  SmallVector<func::FuncOp> kernels;
  for (int64_t rows = 1; rows <= schedule.getRows(); ++rows) {
    OpBuilder::InsertionGuard guard(e);
    auto kernel = func::FuncOp::create(e, name + "_m" + std::to_string(rows),
                                       e.getFunctionType(kernelArgs, {}));
    kernel.setPrivate();
    Block *body = kernel.addEntryBlock();
    e.setInsertionPointToStart(body);
    KernelBody(e, schedule, rows, pitch)
        .build(body->getArgument(0), body->getArgument(1), body->getArgument(2),
               body->getArgument(3), body->getArgument(4),
               e.toIndex(body->getArgument(5)));
    func::ReturnOp::create(e);
    kernels.push_back(kernel);
  }

  SmallVector<Type> args{i64};
  llvm::append_range(args, kernelArgs);
  auto dispatch = func::FuncOp::create(e, name, e.getFunctionType(args, {}));
  dispatch.setPrivate();
  Block *body = dispatch.addEntryBlock();
  e.setInsertionPointToStart(body);
  SmallVector<int64_t> cases;
  for (int64_t rows = 1; rows < schedule.getRows(); ++rows)
    cases.push_back(rows);
  auto choice = scf::IndexSwitchOp::create(
      e, TypeRange{}, e.toIndex(body->getArgument(0)), cases, cases.size());
  auto fill = [&](Region &region, func::FuncOp kernel) {
    OpBuilder::InsertionGuard guard(e);
    e.createBlock(&region);
    func::CallOp::create(e, kernel, body->getArguments().drop_front());
    scf::YieldOp::create(e);
  };
  for (auto [region, kernel] :
       llvm::zip(choice.getCaseRegions(), ArrayRef(kernels).drop_back()))
    fill(region, kernel);
  fill(choice.getDefaultRegion(), kernels.back());
  func::ReturnOp::create(e);
  return dispatch;
}
