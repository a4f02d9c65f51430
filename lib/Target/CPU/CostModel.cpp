//===- CostModel.cpp - What kernels take on a CPU ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "CostModel.h"

#include "Kernels/MicroKernel.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/Support/MathExtras.h"

#include <algorithm>
#include <cmath>
#include <map>

using namespace mlir;
using namespace moe;
using moecpu::Inner;
using moecpu::PrefetchAttr;
using moecpu::ScheduleAttr;

std::optional<double> CpuCostModel::rate(StringRef name) const {
  std::optional<int64_t> value = cpu.getRate(name);
  return value ? std::optional<double>(*value) : std::nullopt;
}

std::optional<double> CpuCostModel::getHertz() const {
  std::optional<double> clock = rate("clock");
  return clock ? std::optional(*clock * 1e6) : std::nullopt;
}

//===----------------------------------------------------------------------===//
// Tiles
//===----------------------------------------------------------------------===//

std::optional<double> CpuCostModel::getStepCycles(ScheduleAttr schedule,
                                                  int64_t rows) const {
  Inner inner = schedule.getInner();
  assert(!schedule.readsBlocks() && "these have blocks, see getBlockCycles");
  // Two operations for each of 32 columns, of one or two k.
  double operations = 64.0 * rows * (inner == Inner::Fma ? 1 : 2);
  double lanes = schedule.getLanes();
  int64_t passes = getNumPasses(schedule, rows);
  std::optional<double> cycles;
  double latency = rate("fma_latency").value_or(0);
  switch (inner) {
  case Inner::Fma:
  case Inner::Widen:
    if (std::optional<double> fma = rate("fma"))
      cycles = operations / *fma;
    if (inner == Inner::Widen) {
      // Each half of a pair is moved or masked by units that multiply, too.
      if (cycles)
        *cycles += 64 / rate("widen").value_or(*rate("fma") / 2);
      latency *= 2;
    }
    break;
  case Inner::DotBF16:
    if (std::optional<double> dot = rate("dot_bf16"))
      cycles = operations / *dot;
    latency = rate("dot_latency").value_or(latency);
    break;
  case Inner::MmlaBF16:
    // Pairs of rows.
    if (std::optional<double> mmla = rate("mmla_bf16"))
      cycles = 128.0 * llvm::alignTo(rows, 2) / *mmla;
    break;
  case Inner::Decode:
  case Inner::DecodeBF16:
  case Inner::DotInt8:
  case Inner::MaddInt8:
  case Inner::MmlaInt8:
    break;
  }
  if (!cycles)
    return std::nullopt;
  // Every chain of additions waits for itself, and every value of the rows is a
  // load unless four k of a row are one.
  *cycles = std::max(*cycles, latency * passes);
  if (std::optional<double> load = rate("load_l1")) {
    double values = rows * (inner == Inner::Widen ? 2 : 1) * passes;
    double loads = 32 / lanes + (lanes == 4 ? values / 4 : values);
    *cycles = std::max(*cycles, loads / (*load / (lanes * 4)));
  }
  return cycles;
}

std::optional<double> CpuCostModel::getBandwidth(double bytes,
                                                 int threads) const {
  std::optional<double> hertz = getHertz();
  auto fits = [&](std::optional<double> cache, double cores) {
    return cache && bytes < *cache * cores / 2;
  };
  if (hertz && rate("load_l2") && fits(cpu.getL2(), threads))
    return *rate("load_l2") * *hertz;
  if (hertz && rate("load_l3") && fits(rate("l3"), 1))
    return *rate("load_l3") * *hertz;
  std::optional<double> core = rate("dram_core"), all = rate("dram");
  if (!core && !all)
    return std::nullopt;
  double share = all ? *all / threads : *core;
  return std::min(core.value_or(share), share) * 1e6;
}

/// Of two things that go on at the same time and that get in each other's way
/// where they take equally long.
static double overlap(double a, double b) {
  constexpr double p = 8;
  double longer = std::max(a, b), shorter = std::min(a, b);
  return longer <= 0
             ? 0
             : longer * std::pow(1 + std::pow(shorter / longer, p), 1 / p);
}

/// Cycles in which `rows` rows are multiplied with a panel that is in the
/// cache, if one tile takes `ofTile`; it is told whether another one has left
/// it f32.
static std::optional<double>
addTiles(ScheduleAttr schedule, int64_t rows,
         llvm::function_ref<std::optional<double>(int64_t, bool)> ofTile) {
  int64_t tiles = llvm::divideCeil(rows, schedule.getRows());
  double cycles = 0;
  // What the first tile widened, the others do not.
  bool once = schedule.getWidened() && tiles >= kWidenedTiles;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    int64_t own = rows / tiles + (tile < rows % tiles);
    std::optional<double> cost = ofTile(own, once && tile > 0);
    if (!cost)
      return std::nullopt;
    cycles += *cost;
  }
  return cycles;
}

/// The same of a panel of floats of so many steps.
static std::optional<double> getPanelCycles(const CpuCostModel &model,
                                            ScheduleAttr schedule, double steps,
                                            int64_t rows) {
  return addTiles(schedule, rows,
                  [&](int64_t own, bool isF32) -> std::optional<double> {
                    std::optional<double> step = model.getStepCycles(
                        isF32 ? getWidenedSchedule(schedule) : schedule, own);
                    if (!step)
                      return std::nullopt;
                    return *step * steps * (isF32 ? 2 : 1);
                  });
}

std::optional<double> CpuCostModel::getPanelSeconds(ScheduleAttr schedule,
                                                    double steps, int64_t rows,
                                                    double bandwidth) const {
  std::optional<double> hertz = getHertz();
  if (!hertz)
    return std::nullopt;
  std::optional<double> cycles = getPanelCycles(*this, schedule, steps, rows);
  if (!cycles)
    return std::nullopt;
  return overlap(*cycles / *hertz, steps * kStepBytes / bandwidth);
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

/// Cycles of what is done to a row's 32 columns of sums: zeros before, and the
/// epilogue behind.
double CpuCostModel::getEpilogueCycles(moek::GroupedMatmulOp op) const {
  double operations = 8;
  op.getEpilogue().walk([&](Operation *inner) {
    // A polynomial, and a divider that is busy for long.
    operations += isa<math::ExpOp, math::TanhOp, math::ErfOp>(inner) ? 16
                  : isa<arith::DivFOp>(inner)                        ? 10
                                                                     : 1;
  });
  double vectors = 32.0 / op.getParts() / cpu.getLanes();
  double perCycle =
      rate("fma").value_or(4.0 * cpu.getLanes()) / 2 / cpu.getLanes();
  return operations * vectors / perCycle;
}

std::optional<double> CpuCostModel::getMatmulSeconds(
    moek::GroupedMatmulOp op, const RowsOfExperts &rows, double bandwidth,
    int threads, double &compute, double &memory) const {
  ScheduleAttr schedule = moecpu::getSchedule(op);
  moecpu::PanelsAttr panels = moecpu::getPanels(op);
  moecpu::BlocksAttr blocks = moecpu::getBlocks(op);
  std::optional<double> hertz = getHertz();
  if (!schedule || (!panels && !blocks) || !hertz)
    return std::nullopt;
  auto packed = cast<ShapedType>(op.getRhs().getType());
  double perExpert = packed.getDimSize(1);
  double panelBytes = double(packed.getNumElements()) / packed.getDimSize(0) /
                      perExpert * packed.getElementTypeBitWidth() / 8;
  // By the rows of a tile: operations of a format are counted by building it.
  std::map<std::pair<int64_t, bool>, std::optional<double>> ofTiles;
  auto getCycles = [&](int64_t rows) {
    if (panels)
      return getPanelCycles(*this, schedule, panelBytes / kStepBytes, rows);
    return addTiles(
        schedule, rows, [&](int64_t own, bool isF32) -> std::optional<double> {
          auto [it, isNew] = ofTiles.try_emplace({own, isF32});
          if (isNew) {
            it->second =
                getBlockCycles(schedule, blocks, op.getK(), own, isF32);
            if (it->second)
              *it->second *= packed.getDimSize(2);
          }
          return it->second;
        });
  };
  double epilogue = getEpilogueCycles(op) / *hertz;
  double total = 0;
  for (const RowsOfExperts::Group &group : rows.groups)
    for (size_t m = 1; m < group.likelihood.size(); ++m) {
      double weight = group.experts * group.likelihood[m] * perExpert;
      if (weight < 1e-9)
        continue;
      std::optional<double> cycles = getCycles(m);
      if (!cycles)
        return std::nullopt;
      double own = *cycles / *hertz, stream = panelBytes / bandwidth;
      compute += weight * (own + epilogue * m) / threads;
      memory += weight * stream / threads;
      total += weight * (overlap(own, stream) + epilogue * m) / threads;
    }
  return total;
}

/// Of `cost`, which takes `seconds` to compute, `memory` to read, or is
/// unknown.
static KernelCost finish(KernelCost cost, std::optional<double> seconds,
                         double compute, double memory) {
  if (seconds) {
    cost.seconds = *seconds;
    cost.bound = memory > compute ? "memory" : "compute";
  } else {
    cost.bound = "the rates of the chip do not say";
  }
  return cost;
}

KernelCost CpuCostModel::estimateMatmul(moek::GroupedMatmulOp op,
                                        const CostContext &context) const {
  KernelCost cost;
  cost.phase = op.getPhase().value_or("matmul").str();
  const RowsOfExperts *rows = context.rows(op.getOffsets());
  auto packed = cast<ShapedType>(op.getRhs().getType());
  // What is no expert is multiplied with all rows.
  RowsOfExperts dense;
  std::optional<double> all = context.sizes.size(op.getLhs(), 0);
  if (!rows && packed.getDimSize(0) == 1 && all && !op.getGather()) {
    dense.addExact(1, std::llround(*all));
    rows = &dense;
  }
  if (!rows) {
    cost.bound = "how many rows experts get is not known";
    return cost;
  }
  double n = op.getN(), k = op.getK(), parts = op.getParts();
  double expertBytes = double(packed.getNumElements()) / packed.getDimSize(0) *
                       packed.getElementTypeBitWidth() / 8;
  cost.operations = 2 * rows->rows * n * k * parts;
  cost.bytes = rows->active * expertBytes;
  std::optional<double> bandwidth =
      getBandwidth(context.weightBytes, context.threads);
  if (!bandwidth)
    return finish(cost, std::nullopt, 0, 0);
  double compute = 0, memory = 0;
  std::optional<double> seconds =
      getMatmulSeconds(op, *rows, *bandwidth, context.threads, compute, memory);
  // Rows that become bytes: magnitudes, products, sums and orders of bytes.
  moecpu::ScheduleAttr schedule = moecpu::getSchedule(op);
  std::optional<double> hertz = getHertz();
  if (seconds && hertz && schedule && schedule.multipliesBytes()) {
    constexpr double operations = 16;
    double spent = rows->rows * k * schedule.getPlanes() * operations /
                   rate("widen").value_or(2 * cpu.getLanes()) / *hertz /
                   context.threads;
    *seconds += spent;
    compute += spent;
  }
  // Rows that are gathered or combined pass through caches, or memory.
  double moved = 0;
  if (op.getGather())
    moved += rows->rows * k * 8;
  if (op.getPositions())
    moved += rows->rows * n * 8;
  std::optional<double> rowRate = getBandwidth(moved, context.threads);
  if (seconds && rowRate)
    *seconds += moved / *rowRate / context.threads;
  return finish(cost, seconds, compute, memory);
}

KernelCost CpuCostModel::estimateRoute(moek::RouteOp op,
                                       const CostContext &context) const {
  KernelCost cost;
  cost.phase = "route";
  std::optional<double> tokens = context.sizes.size(op.getRouting().indices, 0);
  std::optional<double> hertz = getHertz();
  if (!tokens || !hertz) {
    cost.bound = tokens ? "the rates of the chip do not say"
                        : "the number of tokens is not known";
    return cost;
  }
  // A cycle for every score, to select and to weigh.
  double compute = *tokens * op.getExperts() / *hertz / context.threads;
  double memory = 0;
  std::optional<double> seconds = compute;
  if (op.getRouter()) {
    auto schedule = moecpu::getSchedule(op).getLogits();
    auto packed = cast<ShapedType>(op.getRouter().getType());
    double steps = packed.getDimSize(2);
    double panels = packed.getDimSize(1);
    cost.operations = 2 * *tokens * op.getExperts() * steps;
    cost.bytes = panels * steps * kStepBytes;
    std::optional<double> bandwidth =
        getBandwidth(context.weightBytes, context.threads);
    if (!bandwidth)
      return finish(cost, std::nullopt, 0, 0);
    std::optional<double> panel = getPanelSeconds(
        schedule, steps, std::max<int64_t>(1, *tokens), *bandwidth);
    // Panels are shared out; one alone occupies one thread.
    double shared = std::max(panels / context.threads, 1.0);
    seconds = panel ? std::optional(compute + *panel * shared) : std::nullopt;
    memory = cost.bytes / *bandwidth / context.threads;
    compute = seconds ? *seconds - memory : compute;
  }
  return finish(cost, seconds, compute, memory);
}

std::optional<KernelCost>
CpuCostModel::estimate(Operation *kernel, const CostContext &context) const {
  if (auto matmul = dyn_cast<moek::GroupedMatmulOp>(kernel))
    return estimateMatmul(matmul, context);
  if (auto route = dyn_cast<moek::RouteOp>(kernel))
    return estimateRoute(route, context);
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Choices
//===----------------------------------------------------------------------===//

Inner CpuCostModel::selectBF16() const {
  Inner own = cpu.has("dot_bf16")    ? Inner::DotBF16
              : cpu.has("mmla_bf16") ? Inner::MmlaBF16
                                     : Inner::Widen;
  // By the row, in the largest tiles: few rows wait for memory anyway.
  auto perRow = [&](Inner inner) -> std::optional<double> {
    int64_t rows = ScheduleAttr::getMaxRows(inner, cpu.getLanes());
    auto schedule = ScheduleAttr::get(
        cpu.getContext(), inner, cpu.getLanes(), rows, /*block_rows=*/rows,
        /*chunk=*/kBlockBytes, /*run=*/1, ArrayRef<PrefetchAttr>(),
        cpu.getScalable() && inner != Inner::MmlaBF16, /*prefetch_level=*/2,
        /*window=*/0, /*widened=*/0, /*planes=*/1, /*listed=*/0);
    std::optional<double> cycles = getStepCycles(schedule, rows);
    return cycles ? std::optional(*cycles / rows) : std::nullopt;
  };
  std::optional<double> instruction = perRow(own),
                        widened = perRow(Inner::Widen);
  return instruction && widened && *widened < *instruction ? Inner::Widen : own;
}

std::optional<Inner> CpuCostModel::selectInt8() const {
  // The later ones do more in an instruction.
  std::optional<Inner> best;
  for (Inner inner : {Inner::MaddInt8, Inner::DotInt8, Inner::MmlaInt8})
    if (cpu.has(moecpu::stringifyInner(inner)))
      best = inner;
  return best;
}

int64_t CpuCostModel::selectRows(Inner inner, int64_t planes) const {
  int64_t most = ScheduleAttr::getMaxRows(inner, cpu.getLanes(), planes);
  // LLVM loads ahead there until registers are spilt.
  if (cpu.getLanes() == 4 &&
      (inner == Inner::DotInt8 || inner == Inner::MmlaInt8))
    return 4 / planes;
  // A vector of columns a row spares unpacking, two spare loading the bytes of
  // a row, of which a cycle has no more than products; where one unit does both
  // unpacking and products, the former counts.
  if (inner == Inner::DotInt8 && cpu.getLanes() == 16 && !cpu.getWidened())
    return 12 / (planes + 1);
  return most;
}

int64_t CpuCostModel::selectDistance() const {
  // What a core reads while it waits once: near enough to be on the way to the
  // first level. 4096 bytes where nothing is known.
  std::optional<double> latency = rate("latency_dram"),
                        bandwidth = rate("dram_core");
  if (!latency || !bandwidth)
    return 4096;
  return std::clamp<int64_t>(
      llvm::PowerOf2Ceil(int64_t(*latency * 1e-9 * *bandwidth * 1e6 * 0.75)),
      2048, 8192);
}

/// Rows up to which the hardware prefetches well enough: few wait for memory.
/// Those of half a vector register are twice as slow.
static int64_t getFewRows(moecpu::TargetAttr cpu) {
  return cpu.getLanes() == 8 ? 2 : 6;
}

SmallVector<PrefetchAttr> CpuCostModel::selectPrefetch(int64_t rows) const {
  if (!cpu.getPrefetch().empty())
    return SmallVector<PrefetchAttr>(cpu.getPrefetch());
  // Three times as far it is asked for first, since memory that is busy drops
  // requests.
  int64_t near = selectDistance(), few = getFewRows(cpu);
  MLIRContext *context = cpu.getContext();
  return {PrefetchAttr::get(context, few, {}, {}),
          PrefetchAttr::get(context, std::max(rows, few + 1), {3 * near, near},
                            {2, 1})};
}

SmallVector<PrefetchAttr> CpuCostModel::selectPrefetchOfCodes(
    int64_t rows, WeightFormatAttrInterface format, int64_t k) const {
  if (!cpu.getPrefetch().empty())
    return SmallVector<PrefetchAttr>(cpu.getPrefetch());
  int64_t near = selectDistance(), few = getFewRows(cpu) / 2;
  MLIRContext *context = cpu.getContext();
  // Of two long fields that are read beside each other the hardware loses
  // track.
  constexpr int64_t isLong = 64;
  if (llvm::count_if(format.getFields(k), [](const BlockField &field) {
        return field.isWords() && field.getBytes() >= isLong;
      }) > 1)
    return {PrefetchAttr::get(context, rows, {3 * near}, {2})};
  return {PrefetchAttr::get(context, few, {}, {}),
          PrefetchAttr::get(context, std::max(rows, few + 1), {2 * near}, {2})};
}

int64_t CpuCostModel::selectListed(Inner inner, int64_t steps,
                                   double share) const {
  // Where every other step is left out, the hardware fetches it even so. And
  // where to go next has to be loaded.
  constexpr double ofMemory = 0.5, cycles = 2;
  double most = ofMemory;
  auto schedule = ScheduleAttr::get(
      cpu.getContext(), inner, cpu.getLanes(), /*rows=*/1, /*block_rows=*/1,
      /*chunk=*/kBlockBytes, /*run=*/1, ArrayRef<PrefetchAttr>(),
      /*scalable=*/false, /*prefetch_level=*/2, /*window=*/0, /*widened=*/0,
      /*planes=*/1, /*listed=*/0);
  std::optional<double> step = getStepCycles(schedule, 1), hertz = getHertz();
  std::optional<double> core = rate("dram_core"), all = rate("dram");
  if (step && hertz && (core || all)) {
    // Weights of experts are rarely in caches. Threads that share the memory
    // compute in less of the time.
    double stream = kStepBytes / (core ? *core : *all) / 1e6;
    most = overlap(*step / *hertz, stream) /
           overlap((*step + cycles) / *hertz, stream / ofMemory);
  }
  return std::max<int64_t>(1, steps * std::min(share, most));
}

/// Rounds down to whole blocks of k, at least one.
static int64_t toBlocks(int64_t bytes) {
  return std::max(kBlockBytes, bytes / kBlockBytes * kBlockBytes);
}

int64_t CpuCostModel::selectChunk() const {
  if (cpu.getChunk())
    return cpu.getChunk();
  // With 16 lanes a chunk is read once per tile and may live in the second
  // level, beside the next one, rows and accumulators; with fewer each tile
  // reads it more than once, so half of the first level.
  return toBlocks(cpu.getLanes() == 16 ? cpu.getL2() / 32 * 3
                                       : cpu.getL1() / 2);
}

int64_t CpuCostModel::selectBlockRows(int64_t rows) const {
  // Parked accumulators take a 32nd of the second-level cache.
  return std::clamp<int64_t>(cpu.getL2() / 32 / kStepBytes, rows, 512);
}
