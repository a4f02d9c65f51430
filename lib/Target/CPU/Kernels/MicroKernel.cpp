//===- MicroKernel.cpp - Register-tiled inner kernels -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// One kernel per number of rows: exact, without masks. The accumulators of a
// tile live in registers for the whole call and are parked in memory between
// calls, which is exact, so that a long k can be walked in chunks. This is what
// all instruction sets share; the tiles are in files of their own.
//
//===----------------------------------------------------------------------===//

#include "TileKernel.h"

using namespace mlir;
using namespace moe;
using moecpu::Inner;
using moecpu::ScheduleAttr;

int64_t moe::getLhsStepBytes(Inner inner) {
  // fma: one f32; widen: a pair of f32; otherwise a pair of bf16.
  return inner == Inner::Widen ? 8 : 4;
}

Type moe::getLhsElementType(MLIRContext *context, Inner inner) {
  if (inner == Inner::DotBF16 || inner == Inner::MmlaBF16)
    return BFloat16Type::get(context);
  return Float32Type::get(context);
}

/// The family of instructions that a schedule is for.
static int64_t getPasses(ScheduleAttr schedule, int64_t rows) {
  if (schedule.getLanes() != 4)
    return getX86Passes(schedule, rows);
  return schedule.getScalable() ? getSvePasses(schedule, rows)
                                : getNeonPasses(schedule, rows);
}

static std::unique_ptr<TileKernel>
createTileKernel(Emitter &e, ScheduleAttr schedule, int64_t kBlock,
                 int64_t rows, int64_t pitch) {
  if (schedule.getLanes() != 4)
    return createX86Kernel(e, schedule, rows, pitch);
  if (schedule.getScalable())
    return createSveKernel(e, schedule, rows, pitch);
  return createNeonKernel(e, schedule, kBlock, rows, pitch);
}

bool moe::hasTwoPasses(ScheduleAttr schedule, int64_t rows) {
  return getPasses(schedule, rows) > 1;
}

Value moe::emitWidenedHalf(Emitter &e, Value pairs, int64_t half,
                           VectorType f32Type) {
  auto type = cast<VectorType>(pairs.getType());
  // The even k is the low half, moved up, the odd k the high half.
  Value bits = half == 0
                   ? Value(arith::ShLIOp::create(e, pairs,
                                                 e.splat(e.i32(16), type)))
                   : Value(arith::AndIOp::create(
                         e, pairs, e.splat(e.i32(-65536), type)));
  return arith::BitcastOp::create(e, f32Type, bits);
}

void TileKernel::emitPassLoop(
    Value columns, Value lines,
    llvm::function_ref<void(Value column, Value lines)> body) {
  auto loop =
      scf::ForOp::create(e, e.idx(0), e.idx(kPanelColumns), columns);
  OpBuilder::InsertionGuard guard(e);
  e.setInsertionPointToStart(loop.getBody());
  Value column = loop.getInductionVar();
  body(column, e.select(e.eq(column, e.idx(0)), lines, e.idx(0)));
}

/// One pass: all of k over its columns, in blocks between which it prefetches
/// `lines` cache lines, if not null.
static void emitPass(Emitter &e, TileKernel &kernel, Inner inner,
                     const TileKernel::Pass &pass, Value blocks, Value panel,
                     Value lhs, Value acc, Value prefetch, Value lines,
                     int64_t prefetchLevel) {
  SmallVector<Value> init = kernel.loadTile(pass, acc);
  size_t size = init.size();
  Value one = e.idx(1), zero = e.idx(0);
  Value lineBytes = lines ? e.mul(lines, 64) : Value();
  if (pass.panelOffset)
    panel = e.displace(panel, pass.panelOffset);
  init.append({panel, lhs, prefetch});
  auto outer = scf::ForOp::create(e, zero, e.toIndex(blocks), one, init);
  {
    OpBuilder::InsertionGuard guard(e);
    e.setInsertionPointToStart(outer.getBody());
    ValueRange args = outer.getRegionIterArgs();
    Value ahead = args.back();
    Value nextAhead = ahead;
    if (lines) {
      e.loop(lines, [&](Emitter &e, Value line) {
        Value address = e.displace(ahead, e.toI64(e.mul(line, 64)));
        LLVM::Prefetch::create(e, address, /*rw=*/0,
                               /*hint=*/static_cast<int32_t>(4 - prefetchLevel),
                               /*cache=*/1);
      });
      nextAhead = e.displace(ahead, e.toI64(lineBytes));
    }
    int64_t stride = kernel.getSteps();
    auto steps = scf::ForOp::create(e, zero, e.idx(kBlockSteps / stride), one,
                                    args.drop_back());
    {
      OpBuilder::InsertionGuard guard(e);
      e.setInsertionPointToStart(steps.getBody());
      SmallVector<Value> next(steps.getRegionIterArgs());
      Value p = next[size], x = next[size + 1];
      kernel.multiply(pass, p, x, MutableArrayRef(next).take_front(size));
      next[size] = e.displace(p, stride * kStepBytes);
      next[size + 1] = e.displace(x, stride * getLhsStepBytes(inner));
      scf::YieldOp::create(e, next);
    }
    SmallVector<Value> next(steps.getResults());
    next.push_back(nextAhead);
    scf::YieldOp::create(e, next);
  }
  kernel.storeTile(pass, acc, outer.getResults().take_front(size));
}

func::FuncOp moe::getOrCreateMicroKernels(ModuleOp module,
                                          ScheduleAttr schedule,
                                          int64_t pitch, int64_t kBlock) {
  Inner inner = schedule.getInner();
  std::string kind = moecpu::stringifyInner(inner).str();
  if (inner == Inner::MmlaBF16)
    kind += "_k" + std::to_string(kBlock);
  if (schedule.getScalable())
    kind += "_sve";
  std::string name =
      ("moek_" + kind + "_x" + Twine(schedule.getLanes()) + "_pitch" +
       Twine(pitch) + "_rows" + Twine(schedule.getRows()))
          .str();
  if (schedule.getPrefetchLevel() != 2)
    name += "_l" + std::to_string(schedule.getPrefetchLevel());
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
    std::unique_ptr<TileKernel> tile =
        createTileKernel(e, schedule, kBlock, rows, pitch);
    tile->forEachPass(
        e.toIndex(body->getArgument(5)),
        [&](const TileKernel::Pass &pass, Value lines) {
          emitPass(e, *tile, inner, pass, body->getArgument(0),
                   body->getArgument(1), body->getArgument(2),
                   body->getArgument(3), body->getArgument(4), lines,
                   schedule.getPrefetchLevel());
        });
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
