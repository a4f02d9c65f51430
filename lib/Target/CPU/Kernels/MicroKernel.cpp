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

#include "Generated.h"
#include "ListedRows.h"
#include "QuantizedRows.h"
#include "TileKernel.h"

using namespace mlir;
using namespace moe;
using moecpu::Inner;
using moecpu::ScheduleAttr;

int64_t moe::getLhsStepBytes(Inner inner) {
  // fma: one f32; widen: a pair of f32; otherwise a pair of bf16.
  return inner == Inner::Widen ? 8 : 4;
}

BlockSizes moe::getFloatBlock(Inner inner) {
  return {kBlockBytes, kBlockSteps * getLhsStepBytes(inner), kBlockSteps};
}

int64_t moe::getLhsBlockBytes(ScheduleAttr schedule,
                              WeightFormatAttrInterface format, int64_t k) {
  if (schedule.multipliesBytes()) {
    QuantizedRows rows(cast<CodedFormatAttrInterface>(format), k, schedule);
    return format.getBlockSize(k) / rows.block * rows.blockBytes();
  }
  return format.getBlockSize(k) *
         getLhsElementType(schedule).getIntOrFloatBitWidth() / 8;
}

Type moe::getLhsElementType(ScheduleAttr schedule) {
  MLIRContext *context = schedule.getContext();
  return schedule.narrowsRows() ? Type(BFloat16Type::get(context))
                                : Float32Type::get(context);
}

int64_t moe::getNumPasses(ScheduleAttr schedule, int64_t rows) {
  if (schedule.readsBlocks())
    return getBlockPasses(schedule, rows);
  if (schedule.getLanes() != 4)
    return getX86Passes(schedule, rows);
  return schedule.getScalable() ? getSvePasses(schedule, rows)
                                : getNeonPasses(schedule, rows);
}

/// The family of instructions that a schedule is for.
static std::unique_ptr<TileKernel>
createTileKernel(Emitter &e, ScheduleAttr schedule, int64_t kBlock,
                 int64_t rows, int64_t pitch) {
  if (schedule.getLanes() != 4)
    return createX86Kernel(e, schedule, rows, pitch);
  if (schedule.getScalable())
    return createSveKernel(e, schedule, rows, pitch);
  return createNeonKernel(e, schedule, kBlock, rows, pitch);
}

Value moe::emitWidenedHalf(Emitter &e, Value pairs, int64_t half,
                           VectorType f32Type) {
  auto type = cast<VectorType>(pairs.getType());
  // The even k is the low half, moved up, the odd k the high half.
  Value bits =
      half == 0
          ? Value(arith::ShLIOp::create(e, pairs, e.splat(e.i32(16), type)))
          : Value(
                arith::AndIOp::create(e, pairs, e.splat(e.i32(-65536), type)));
  return arith::BitcastOp::create(e, f32Type, bits);
}

void TileKernel::emitPassLoop(
    Value columns, llvm::function_ref<void(Pass &pass, Value column)> body) {
  auto loop = scf::ForOp::create(e, e.idx(0), e.idx(kPanelColumns), columns);
  OpBuilder::InsertionGuard guard(e);
  e.setInsertionPointToStart(loop.getBody());
  Value column = loop.getInductionVar();
  Pass pass;
  pass.isFirst = e.eq(column, e.idx(0));
  body(pass, column);
}

void moe::emitPrefetch(Emitter &e, Value address, int64_t level) {
  LLVM::Prefetch::create(e, address, /*rw=*/0,
                         /*hint=*/static_cast<int32_t>(4 - level), /*cache=*/1);
}

void moe::emitBetweenProducts(Emitter &e, int64_t count,
                              llvm::function_ref<void(int64_t)> emit) {
  SmallVector<Operation *> places;
  for (Operation &op : *e.getBlock())
    if (isa<vector::FMAOp, LLVM::CallIntrinsicOp>(op))
      places.push_back(&op);
  OpBuilder::InsertionGuard guard(e);
  for (int64_t i = 0; i < count; ++i) {
    if (!places.empty())
      e.setInsertionPoint(places[i * places.size() / count]);
    emit(i);
  }
}

/// What a kernel asks for while it multiplies: its own panel, by a rule that
/// may be null, or what follows, from an address on by so many bytes a step.
struct Ahead {
  moecpu::PrefetchAttr own;
  Value address, stride;
  int64_t level = 2;
};

/// One pass: all of k over its columns. What is widened goes to `widened`, if
/// that is not null.
static void emitPass(Emitter &e, TileKernel &kernel, Inner inner,
                     const TileKernel::Pass &pass, Value blocks, Value panel,
                     Value lhs, Value acc, Ahead ahead, Value widened) {
  SmallVector<Value> init = kernel.loadTile(pass, acc);
  size_t size = init.size();
  Value one = e.idx(1), zero = e.idx(0);
  if (pass.panelOffset)
    panel = e.displace(panel, pass.panelOffset);
  if (pass.panelOffset && widened)
    widened = e.displace(widened, pass.panelOffset);
  init.append({panel, lhs});
  // The first pass fetches for all; others of a loop stay where they are.
  if (pass.index > 0)
    ahead.address = Value();
  if (ahead.address && pass.isFirst)
    ahead.stride = e.select(
        pass.isFirst, ahead.stride,
        LLVM::ConstantOp::create(e, e.getI64Type(), e.getI64IntegerAttr(0)));
  if (ahead.address)
    init.push_back(ahead.address);
  if (widened)
    init.push_back(widened);
  int64_t stride = kernel.getSteps();
  auto steps = scf::ForOp::create(
      e, zero, e.mul(e.toIndex(blocks), kBlockSteps / stride), one, init);
  {
    OpBuilder::InsertionGuard guard(e);
    e.setInsertionPointToStart(steps.getBody());
    SmallVector<Value> next(steps.getRegionIterArgs());
    Value p = next[size], x = next[size + 1];
    if (widened) {
      kernel.setWidened(next.back());
      // A step is two k, of 32 f32 each.
      next.back() = e.displace(next.back(), stride * 2 * kStepBytes);
    }
    kernel.multiply(pass, p, x, MutableArrayRef(next).take_front(size));
    auto spread = [&](int64_t count, llvm::function_ref<void(int64_t)> emit) {
      if (kernel.isOrdered())
        return emitBetweenProducts(e, count, emit);
      for (int64_t i = 0; i < count; ++i)
        emit(i);
    };
    if (ahead.own) {
      SmallVector<std::pair<int64_t, int64_t>> lines;
      for (int64_t step = 0; step < stride; ++step)
        for (int64_t line : kernel.getOwnLines(pass))
          for (auto [distance, level] :
               llvm::zip(ahead.own.getAhead(), ahead.own.getLevels()))
            lines.push_back({step * kStepBytes + line + distance, level});
      spread(lines.size(), [&](int64_t i) {
        emitPrefetch(e, e.displace(p, lines[i].first), lines[i].second);
      });
    }
    if (ahead.address) {
      Value &address = next[size + 2];
      spread(stride, [&](int64_t) {
        emitPrefetch(e, address, ahead.level);
        address = e.displace(address, ahead.stride);
      });
    }
    next[size] = e.displace(p, stride * kStepBytes);
    next[size + 1] = e.displace(x, stride * getLhsStepBytes(inner));
    scf::YieldOp::create(e, next);
  }
  kernel.storeTile(pass, acc, steps.getResults().take_front(size));
}

ScheduleAttr moe::getKernelSchedule(ScheduleAttr schedule, Role role) {
  bool fetchesNext = role != Role::Alone;
  ArrayRef<moecpu::PrefetchAttr> rules = schedule.getPrefetch();
  return ScheduleAttr::get(
      schedule.getContext(), schedule.getInner(), schedule.getLanes(),
      schedule.getRows(), /*block_rows=*/schedule.getRows(), /*chunk=*/1024,
      /*run=*/1, fetchesNext ? ArrayRef<moecpu::PrefetchAttr>() : rules,
      schedule.getScalable(),
      fetchesNext ? schedule.getPrefetchLevel() : int64_t(2), /*window=*/0,
      /*widened=*/0, schedule.getPlanes(), /*listed=*/0);
}

ScheduleAttr moe::getWidenedSchedule(ScheduleAttr schedule) {
  return ScheduleAttr::get(
      schedule.getContext(), Inner::Fma, schedule.getLanes(),
      schedule.getRows(), schedule.getBlockRows(), schedule.getChunk(),
      schedule.getRun(), schedule.getPrefetch(), schedule.getScalable(),
      schedule.getPrefetchLevel(), schedule.getWindow(), /*widened=*/0,
      /*planes=*/1, /*listed=*/0);
}

func::FuncOp moe::getOrCreateKernels(ModuleOp module, StringRef stem,
                                     Attribute key, int64_t maxRows,
                                     ArrayRef<Type> arguments,
                                     KernelBody emitBody) {
  constexpr StringLiteral keyName = "moe_cpu.kernels";
  std::string name = stem.str();
  for (int64_t i = 1;; ++i) {
    auto existing = module.lookupSymbol<func::FuncOp>(name);
    if (!existing)
      break;
    if (existing->getAttr(keyName) == key)
      return existing;
    name = (stem + "_" + Twine(i)).str();
  }

  Emitter e(module.getLoc(), OpBuilder::atBlockEnd(module.getBody()));
  SmallVector<func::FuncOp> kernels;
  for (int64_t rows = 1; rows <= maxRows; ++rows) {
    OpBuilder::InsertionGuard guard(e);
    auto kernel = func::FuncOp::create(e, name + "_m" + std::to_string(rows),
                                       e.getFunctionType(arguments, {}));
    kernel.setPrivate();
    Block *body = kernel.addEntryBlock();
    e.setInsertionPointToStart(body);
    emitBody(e, rows, body->getArguments());
    func::ReturnOp::create(e);
    kernels.push_back(kernel);
  }

  SmallVector<Type> args{e.getI64Type()};
  llvm::append_range(args, arguments);
  auto dispatch = func::FuncOp::create(e, name, e.getFunctionType(args, {}));
  dispatch.setPrivate();
  dispatch->setAttr(keyName, key);
  Block *body = dispatch.addEntryBlock();
  e.setInsertionPointToStart(body);
  SmallVector<int64_t> cases;
  for (int64_t rows = 1; rows < maxRows; ++rows)
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

/// The kernels of a role.
static func::FuncOp getOrCreateTiles(ModuleOp module, ScheduleAttr schedule,
                                     int64_t pitch, int64_t kBlock, Role role,
                                     StringAttr codegen = {}) {
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
  bool fetchesNext = role != Role::Alone, widens = role == Role::Widening;
  if (fetchesNext)
    name += widens ? "_widening" : "_next";
  Attribute key = getKernelSchedule(schedule, role);
  if (codegen) {
    name += "_" + codegen.str();
    llvm::replace(name, '-', '_');
    key = ArrayAttr::get(module.getContext(), {key, codegen});
  }
  MLIRContext *context = module.getContext();
  Type i64 = IntegerType::get(context, 64);
  Type ptr = LLVM::LLVMPointerType::get(context);
  SmallVector<Type> arguments{i64, ptr, ptr, ptr};
  if (fetchesNext)
    arguments.append({ptr, i64});
  if (widens)
    arguments.push_back(ptr);
  // Other rules of prefetching have kernels of their own.
  return moe::getOrCreateKernels(
      module, name, key, schedule.getRows(), arguments,
      [&](Emitter &e, int64_t rows, ValueRange args) {
        if (codegen)
          return emitGeneratedTile(
              e, name + "_m" + std::to_string(rows) + "_made", codegen,
              schedule, rows, pitch, fetchesNext, args);
        std::unique_ptr<TileKernel> tile =
            createTileKernel(e, schedule, kBlock, rows, pitch);
        Ahead ahead;
        if (fetchesNext)
          ahead = {{}, args[4], args[5], schedule.getPrefetchLevel()};
        else
          ahead.own = schedule.getPrefetchOf(rows);
        tile->forEachPass([&](const TileKernel::Pass &pass) {
          emitPass(e, *tile, inner, pass, args[0], args[1], args[2], args[3],
                   ahead, widens ? args[6] : Value());
        });
      });
}

MicroKernels moe::getOrCreateMicroKernels(ModuleOp module,
                                          ScheduleAttr schedule, int64_t pitch,
                                          int64_t kBlock, StringAttr codegen) {
  MicroKernels kernels;
  kernels.alone =
      getOrCreateTiles(module, schedule, pitch, kBlock, Role::Alone, codegen);
  kernels.shared =
      getOrCreateTiles(module, schedule, pitch, kBlock, Role::Shared, codegen);
  // The others are of this generator alone, and none has to be there.
  if (codegen)
    return kernels;
  if (schedule.getListed())
    kernels.listed = getOrCreateListedKernels(module, schedule, pitch);
  if (!schedule.getWidened())
    return kernels;
  kernels.widening =
      getOrCreateTiles(module, schedule, pitch, kBlock, Role::Widening);
  kernels.widened =
      getOrCreateTiles(module, getWidenedSchedule(schedule), pitch,
                       /*kBlock=*/1, Role::Shared);
  return kernels;
}
