//===- SelectSchedule.cpp - Give kernels the schedules of a CPU -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What is chosen by time, CostModel.h chooses. The figures behind the rest are
// in docs/performance.md.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/CPU/CodeGenerator.h"
#include "moe-mlir/Target/CPU/Passes.h"

#include "CostModel.h"
#include "moe/E4M3Rows.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/Remarks.h"

#include <algorithm>

namespace moe {
#define GEN_PASS_DEF_SELECTSCHEDULE
#include "moe-mlir/Target/CPU/Passes.h.inc"
} // namespace moe

using namespace mlir;
using moe::CpuCostModel;
using moecpu::Inner;
using moecpu::ScheduleAttr;
using moecpu::TargetAttr;

/// What the rows of `matmul`, which meet weights in a format, were to become.
static moe::RowType getRowType(moek::GroupedMatmulOp matmul) {
  return moe::getRowType(
      moek::getActivations(matmul->getParentOfType<ModuleOp>()),
      matmul.getFormatAttr());
}

/// How weights in a format are multiplied, or, with a remark, decoded where
/// rows cannot become what they were to.
static Inner selectInnerOfFormat(TargetAttr cpu, moek::GroupedMatmulOp matmul) {
  moe::RowType type = getRowType(matmul);
  bool toE4M3 = moek::getActivations(matmul->getParentOfType<ModuleOp>()) ==
                moe::kE4M3Rows;
  if (type == moe::RowType::F32 && !toE4M3)
    return Inner::Decode;
  bool toBF16 = type == moe::RowType::BF16;
  std::optional<Inner> inner;
  if (!toE4M3)
    inner = CpuCostModel(cpu).selectInt8();
  if (toBF16)
    inner = CpuCostModel(cpu).selectBF16() == Inner::Widen
                ? std::nullopt
                : std::optional(Inner::DecodeBF16);
  std::string obstacle =
      inner ? moecpu::getObstacle(*inner, cpu.getLanes(),
                                  matmul.getFormatAttr(), matmul.getK())
            : "";
  if (inner && obstacle.empty())
    return *inner;
  std::string why = "rows stay f32, as ";
  if (inner)
    why += (stringifyInner(*inner) + " " + obstacle).str();
  else
    why += (cpu.getName() + " has no faster products of " +
            (toE4M3   ? "e4m3"
             : toBF16 ? "bf16"
                      : "bytes"))
               .str();
  mlir::remark::missed(matmul.getLoc(),
                       mlir::remark::RemarkOpts::name("not-rounded")
                           .category("moek-select-schedule"))
      << why;
  return Inner::Decode;
}

static Inner selectInner(TargetAttr cpu, moek::GroupedMatmulOp matmul) {
  if (matmul.getFormatAttr())
    return selectInnerOfFormat(cpu, matmul);
  return getElementTypeOrSelf(matmul.getRhs().getType()).isF32()
             ? Inner::Fma
             : CpuCostModel(cpu).selectBF16();
}

/// Rows of `length` f32, all that is stored of them, that are worked on at a
/// time: enough that the weights which two windows share are few among those of
/// a window, and never more than what workspace figures are stated for.
static int64_t selectWindow(int64_t length) {
  constexpr int64_t bytes = int64_t(64) << 20, least = 2048, most = 65536;
  return std::clamp(bytes / (length * 4) / 64 * 64, least, most);
}

/// What of a panel is kept decoded: little of the second-level cache, and
/// blocks of all common formats.
static constexpr int64_t kDecodedBytes = 64 << 10;

/// Steps of k up to which rows of `matmul`, which may leave out zeros, are
/// multiplied by a list; says in a remark how many, or why none.
static int64_t selectListed(TargetAttr cpu, Inner inner,
                            moek::GroupedMatmulOp matmul) {
  if (!matmul || !matmul.getSkipZeros())
    return 0;
  auto opts = [](StringRef name) {
    return mlir::remark::RemarkOpts::name(name).category(
        "moek-select-schedule");
  };
  if (!ScheduleAttr::canList(inner)) {
    mlir::remark::missed(matmul.getLoc(), opts("zeros-multiplied"))
        << ("zeros of its rows are multiplied: " + stringifyInner(inner) +
            " takes several k at once; fma, widen and dot_bf16, of weights of "
            "f32 and bf16, leave them out")
               .str();
    return 0;
  }
  int64_t steps = llvm::divideCeil(matmul.getK(), inner == Inner::Fma ? 1 : 2);
  int64_t most = CpuCostModel(cpu).selectListed(
      inner, steps, matmul.getSkipZeros()->convertToDouble());
  mlir::remark::passed(matmul.getLoc(), opts("zeros-skipped"))
      << ("a few rows with values in at most " + std::to_string(most) + " of " +
          std::to_string(steps) + " steps of k are multiplied by these alone");
  return most;
}

static ScheduleAttr selectSchedule(TargetAttr cpu, Inner inner, int64_t window,
                                   moek::GroupedMatmulOp matmul = {}) {
  CpuCostModel model(cpu);
  bool ofBytes = ScheduleAttr::multipliesBytes(inner);
  int64_t planes = ofBytes && getRowType(matmul) == moe::RowType::Int16 ? 2 : 1;
  int64_t rows = model.selectRows(inner, planes);
  // A work item is long for the memory's sake; kernels make them shorter where
  // threads would have too few.
  int64_t run = cpu.getRun() ? cpu.getRun() : int64_t(2) << 20;
  int64_t level = cpu.getPrefetchLevel() ? cpu.getPrefetchLevel() : 2;
  return ScheduleAttr::get(
      cpu.getContext(), inner, cpu.getLanes(), rows,
      model.selectBlockRows(rows), model.selectChunk(), run,
      ofBytes ? model.selectPrefetchOfCodes(rows, matmul.getFormatAttr(),
                                            matmul.getK())
              : model.selectPrefetch(rows),
      cpu.getScalable() && (inner == Inner::Fma || inner == Inner::Widen),
      level, window,
      inner == Inner::Widen                                  ? cpu.getWidened()
      : inner == Inner::Decode || inner == Inner::DecodeBF16 ? kDecodedBytes
                                                             : 0,
      planes, selectListed(cpu, inner, matmul));
}

/// Lists of a mask: compressing 64 bytes beats four times 16 words, both beat
/// the table.
static moecpu::PackBy selectPackBy(TargetAttr cpu) {
  return cpu.has("compress_bytes") ? moecpu::PackBy::CompressBytes
         : cpu.has("compress")     ? moecpu::PackBy::Compress
                                   : moecpu::PackBy::Table;
}

/// Tokens up to which one after another is faster than a vector of them. That
/// inserts every expert into K slots, which is slower when they do not fit into
/// registers; a token alone costs something for each slot and each vector of
/// experts, in the same unit.
static int64_t selectSingle(TargetAttr cpu, moek::RouteOp route) {
  if (!route.getPolicy().supportsRow())
    return 0;
  int64_t experts = route.getExperts(), slots = route.getSelectedSlots();
  int64_t ofVector = experts * slots * (slots > 16 ? 2 : 1);
  int64_t ofToken = 32 + 20 * slots + experts * 3 / 2;
  return std::min(ofVector / ofToken, cpu.getLanes());
}

static moecpu::RouteScheduleAttr selectRouteSchedule(TargetAttr cpu,
                                                     moek::RouteOp route) {
  return moecpu::RouteScheduleAttr::get(
      cpu.getContext(), cpu.getLanes(),
      route.getPolicy().selectsByMask() ? selectPackBy(cpu)
                                        : moecpu::PackBy::Table,
      route.getX()
          ? selectSchedule(
                cpu, Inner::Fma,
                selectWindow(
                    cast<ShapedType>(route.getX().getType()).getDimSize(1)))
          : ScheduleAttr(),
      selectSingle(cpu, route));
}

/// Gives rows of `n` elements that a kernel hands to a grouped matmul the
/// length and the element type that it reads.
static void padIntermediate(RewriterBase &rewriter, OpResult rows, int64_t n) {
  moek::GroupedMatmulOp consumer;
  bool isRead = false;
  for (OpOperand &use : rows.getUses()) {
    Operation *owner = use.getOwner();
    auto user = dyn_cast<moek::GroupedMatmulOp>(owner);
    if (!user || &use != &user.getLhsMutable()) {
      // Whoever reads rows one by one does not mind longer ones.
      if ((!user && !isa<moek::RowMapOp>(owner)) ||
          cast<DestinationStyleOpInterface>(owner).isDpsInit(&use))
        return;
      isRead = true;
      continue;
    }
    if (user.getGather() ||
        (consumer && (consumer.getSchedule() != user.getSchedule() ||
                      consumer.getK() != user.getK())))
      return;
    consumer = user;
  }
  auto producer = cast<DestinationStyleOpInterface>(rows.getOwner());
  OpOperand *init = producer.getTiedOpOperand(rows);
  auto empty = init->get().getDefiningOp<tensor::EmptyOp>();
  if (!consumer || !empty || static_cast<int64_t>(consumer.getK()) != n)
    return;
  Type element = moecpu::getSchedule(consumer).narrowsRows()
                     ? Type(rewriter.getBF16Type())
                     : rewriter.getF32Type();
  auto type = cast<RankedTensorType>(rows.getType());
  if (isRead && type.getElementType() != element)
    return;
  auto padded = RankedTensorType::get(
      {type.getDimSize(0), moecpu::getPaddedRowLength(n, element)}, element);
  rewriter.setInsertionPoint(producer);
  auto own = tensor::EmptyOp::create(rewriter, empty.getLoc(), padded,
                                     empty.getDynamicSizes());
  rewriter.modifyOpInPlace(producer, [&] {
    init->set(own);
    rows.setType(padded);
  });
  if (empty->use_empty())
    rewriter.eraseOp(empty);
}

/// Gives rows that a kernel makes and a router multiplies the length at which
/// the router's kernel reads them in place. All others read a view of them.
static void padRouterInput(RewriterBase &rewriter, moek::RouteOp route) {
  auto map = route.getX() ? route.getX().getDefiningOp<moek::RowMapOp>()
                          : moek::RowMapOp();
  if (!map || map->getNumResults() != 1)
    return;
  OpResult rows = map->getResult(0);
  int64_t n = map.getRowLength();
  auto type = cast<RankedTensorType>(rows.getType());
  auto empty = map.getOutputs()[0].getDefiningOp<tensor::EmptyOp>();
  // Zeros behind a row would have to be read, too.
  if (!empty || type.getDimSize(1) != n || !type.getElementType().isF32() ||
      n % 16 != 0)
    return;
  Location loc = map.getLoc();
  auto padded =
      type.clone({type.getDimSize(0),
                  moecpu::getPaddedRowLength(n, rewriter.getF32Type())});
  rewriter.setInsertionPoint(map);
  auto own = tensor::EmptyOp::create(rewriter, empty.getLoc(), padded,
                                     empty.getDynamicSizes());
  rewriter.modifyOpInPlace(map, [&] {
    map.getOutputsMutable()[0].set(own);
    rows.setType(padded);
  });
  rewriter.setInsertionPointAfter(map);
  SmallVector<OpFoldResult> sizes{
      type.isDynamicDim(0)
          ? OpFoldResult(empty.getDynamicSizes().front())
          : OpFoldResult(rewriter.getIndexAttr(type.getDimSize(0))),
      rewriter.getIndexAttr(n)};
  SmallVector<OpFoldResult> zeros(2, rewriter.getIndexAttr(0));
  SmallVector<OpFoldResult> ones(2, rewriter.getIndexAttr(1));
  auto view = tensor::ExtractSliceOp::create(rewriter, loc, type, rows, zeros,
                                             sizes, ones);
  rewriter.replaceAllUsesExcept(rows, view, view);
  if (empty->use_empty())
    rewriter.eraseOp(empty);
}

/// The schedule of the kernel that reads the packed weights `use`; null if
/// nothing but a kernel of this target may know what is in them.
static moek::ScheduleAttrInterface getReader(OpOperand &use) {
  if (auto matmul = dyn_cast<moek::GroupedMatmulOp>(use.getOwner()))
    return use.get() == matmul.getRhs() ? matmul.getScheduleAttr() : nullptr;
  if (auto route = dyn_cast<moek::RouteOp>(use.getOwner()))
    return use.get() == route.getRouter() ? route.getScheduleAttr() : nullptr;
  return {};
}

/// Lays out weights that kernels alone read: bf16 by pairs of k, or, where
/// mmla_bf16 reads them all, by fours, which is fastest for it.
static void selectLayout(RewriterBase &rewriter, moek::PackOp pack,
                         bool keepLayout) {
  RankedTensorType logical = pack.getLogicalType();
  if (pack.getLayoutAttr() ||
      !llvm::all_of(pack->getUses(),
                    [](OpOperand &use) { return bool(getReader(use)); }))
    return;
  bool byFour =
      !keepLayout && llvm::all_of(pack->getUses(), [](OpOperand &use) {
        auto schedule = dyn_cast<ScheduleAttr>(Attribute(getReader(use)));
        return schedule && schedule.getInner() == Inner::MmlaBF16;
      });
  moek::LayoutAttrInterface layout = moecpu::PanelsAttr::get(
      rewriter.getContext(), logical.getElementType().isF32() ? 1
                             : byFour                         ? 4
                                                              : 2);
  // What is stored in a format has one in all that reads it.
  if (auto matmul =
          dyn_cast<moek::GroupedMatmulOp>(pack->use_begin()->getOwner()))
    if (moe::WeightFormatAttrInterface format = matmul.getFormatAttr())
      layout = moecpu::BlocksAttr::get(rewriter.getContext(), format);
  rewriter.modifyOpInPlace(pack, [&] {
    pack.setLayoutAttr(layout);
    pack.getPacked().setType(layout.getPackedType(logical));
  });
}

namespace {
struct SelectSchedule : public moe::impl::SelectScheduleBase<SelectSchedule> {
  using Base::Base;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto target = module->getAttrOfType<TargetAttr>(moek::kTargetAttrName);
    if (!target) {
      module.emitError("has no CPU as its target; set the module attribute '")
          << moek::kTargetAttrName << "' or name one in moe-set-target";
      return signalPassFailure();
    }

    // Kernels that name no code generator get that of the module.
    Attribute codegen = module->getAttr(moek::kCodegenAttrName);
    IRRewriter rewriter(&getContext());
    SmallVector<moek::GroupedMatmulOp> matmuls;
    SmallVector<moek::RowMapOp> maps;
    SmallVector<moek::RouteOp> routes;
    WalkResult walked = module.walk([&](Operation *op) {
      if (auto route = dyn_cast<moek::RouteOp>(op)) {
        if (!route.getSchedule())
          route.setScheduleAttr(selectRouteSchedule(target, route));
        routes.push_back(route);
        return isFor<moecpu::RouteScheduleAttr>(route)
                   ? WalkResult::advance()
                   : WalkResult::interrupt();
      }
      if (auto map = dyn_cast<moek::RowMapOp>(op))
        maps.push_back(map);
      auto matmul = dyn_cast<moek::GroupedMatmulOp>(op);
      if (!matmul)
        return WalkResult::advance();
      if (!matmul.getSchedule()) {
        Inner inner = selectInner(target, matmul);
        matmul.setScheduleAttr(selectSchedule(
            target, inner, selectWindow(matmul.getN() + matmul.getK()),
            matmul));
      }
      if (!isFor<ScheduleAttr>(matmul) || failed(check(matmul, target)))
        return WalkResult::interrupt();
      if (codegen && !matmul->hasAttr(moek::kCodegenAttrName))
        matmul->setAttr(moek::kCodegenAttrName, codegen);
      matmuls.push_back(matmul);
      return WalkResult::advance();
    });
    if (walked.wasInterrupted())
      return signalPassFailure();
    for (moek::RowMapOp map : maps)
      for (OpResult result : map->getResults())
        if (cast<RankedTensorType>(result.getType()).getRank() == 2)
          padIntermediate(rewriter, result, map.getRowLength());
    for (moek::GroupedMatmulOp matmul : matmuls)
      if (!matmul.getPositions() && matmul->getNumResults() == 1)
        padIntermediate(rewriter, matmul->getResult(0), matmul.getN());
    for (moek::RouteOp route : routes)
      padRouterInput(rewriter, route);
    module.walk(
        [&](moek::PackOp pack) { selectLayout(rewriter, pack, keepLayout); });
    for (moek::GroupedMatmulOp matmul : matmuls)
      if (failed(checkLayout(matmul, "rhs",
                             matmul.getFormat()
                                 ? Attribute(moecpu::getBlocks(matmul))
                                 : Attribute(moecpu::getPanels(matmul)))))
        return signalPassFailure();
    for (moek::RouteOp route : routes)
      if (route.getX() &&
          failed(checkLayout(route, "router", moecpu::getPanels(route))))
        return signalPassFailure();
  }

private:
  /// Whether `op` has a schedule of a CPU; reports it otherwise.
  template <typename Schedule, typename OpTy> static bool isFor(OpTy op) {
    if (isa<Schedule>(Attribute(op.getScheduleAttr())))
      return true;
    op.emitOpError("has a schedule for another target than a CPU: ")
        << op.getScheduleAttr();
    return false;
  }

  static LogicalResult checkLayout(Operation *op, StringRef name,
                                   Attribute layout) {
    if (layout)
      return success();
    return op->emitOpError("'")
           << name
           << "' has no layout; a moek.pack that nothing but kernels read "
              "would get one";
  }

  /// Whether the target has what the schedule uses.
  static LogicalResult check(moek::GroupedMatmulOp matmul, TargetAttr target) {
    ScheduleAttr schedule = moecpu::getSchedule(matmul);
    moecpu::PanelsAttr panels = moecpu::getPanels(matmul);
    StringRef inner = stringifyInner(schedule.getInner());
    bool isPlain = schedule.getInner() == Inner::Fma ||
                   schedule.getInner() == Inner::Widen ||
                   schedule.getInner() == Inner::Decode;
    if (schedule.getInner() == Inner::DecodeBF16)
      inner = stringifyInner(schedule.getLanes() == 4 ? Inner::MmlaBF16
                                                      : Inner::DotBF16);
    if (!isPlain && !target.has(inner))
      return matmul.emitOpError("multiplies with ")
             << inner << ", which the target " << target << " does not have; "
             << (panels && panels.getKBlock() == 4
                     ? "its panels of k_block = 4 are for that alone, pack "
                       "them with k_block = 2"
                 : matmul.getFormat() ? "use decode"
                                      : "use widen");
    if (schedule.getScalable() && !target.getScalable())
      return matmul.emitOpError("has a scalable schedule, but the target ")
             << target << " has no scalable vectors";
    return success();
  }
};
} // namespace
