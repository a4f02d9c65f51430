//===- GroupedMatmul.cpp - moek.grouped_matmul to panel kernels -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Work items are runs of consecutive panels of one expert with all of its
// rows, so that a thread streams long contiguous stretches of weights and an
// expert that gets every token is still shared by all threads.
//
//===----------------------------------------------------------------------===//

#include "Generated.h"
#include "ListedRows.h"
#include "Lowerings.h"
#include "QuantizedRows.h"
#include "RowRegion.h"

using namespace mlir;
using namespace moe;
using moecpu::Inner;
using moecpu::ScheduleAttr;

/// Blocks of k in which a panel is walked, `bytes` at a time at most.
static int64_t getChunks(const PanelProduct &p, int64_t bytes) {
  return std::clamp<int64_t>(llvm::divideCeil(p.panelBytes(), bytes), 1,
                             p.blocks);
}
static int64_t getChunks(const PanelProduct &p) {
  return getChunks(p, p.schedule.getChunk());
}

/// Chunk `c` of even length: a short last one would stall on its prefetches.
struct Chunk {
  Value first, last, blocks, panel, lhs;
};

static Chunk emitChunk(Emitter &e, const PanelProduct &p, Value c, Value chunks,
                       Value panel, Value lhs) {
  Value first = e.div(e.mul(c, p.blocks), chunks);
  Value last = e.div(e.mul(e.add(c, 1), p.blocks), chunks);
  return {first, last, e.sub(last, first),
          e.add(panel, e.mul(first, p.block.panel)),
          e.add(lhs, e.mul(first, p.block.lhs))};
}

static void call(Emitter &e, func::FuncOp kernels, Value rows, Value blocks,
                 Value panel, Value lhs, Value acc, ValueRange ahead = {}) {
  SmallVector<Value> arguments{e.toI64(rows), e.toI64(blocks), e.toPtr(panel),
                               e.toPtr(lhs), e.toPtr(acc)};
  llvm::append_range(arguments, ahead);
  func::CallOp::create(e, kernels, arguments);
}

/// A tile that is alone prefetches on its own. One that reads its panel twice
/// wants it in chunks even so.
static void emitSingleTile(Emitter &e, const PanelProduct &p, Value rows,
                           Value panel, Value lhs, Value acc) {
  int64_t wholeRows = 0;
  while (wholeRows < p.schedule.getRows() &&
         getNumPasses(p.schedule, wholeRows + 1) == 1)
    ++wholeRows;
  if (wholeRows == p.schedule.getRows() || getChunks(p) == 1)
    return call(e, p.kernels.alone, rows, e.idx(p.blocks), panel, lhs, acc);
  Value chunks =
      e.select(e.lt(e.idx(wholeRows), rows), e.idx(getChunks(p)), e.idx(1));
  e.loop(chunks, [&](Emitter &e, Value c) {
    Chunk chunk = emitChunk(e, p, c, chunks, panel, lhs);
    call(e, p.kernels.alone, rows, chunk.blocks, chunk.panel, chunk.lhs, acc);
  });
}

/// The same of rows that may be multiplied by a list.
static void emitSingleTile(Emitter &e, const PanelProduct &p,
                           const std::optional<ListedRows> &listed, Value rows,
                           Value panel, Value lhs, Value acc) {
  if (!listed)
    return emitSingleTile(e, p, rows, panel, lhs, acc);
  auto branch = scf::IfOp::create(e, listed->isListed, /*withElse=*/true);
  OpBuilder::InsertionGuard guard(e);
  e.setInsertionPointToStart(branch.thenBlock());
  func::CallOp::create(e, p.kernels.listed,
                       ValueRange{e.toI64(rows), e.toI64(listed->steps),
                                  e.toPtr(listed->list), e.toPtr(panel),
                                  e.toPtr(lhs), e.toPtr(acc)});
  e.setInsertionPointToStart(branch.elseBlock());
  emitSingleTile(e, p, rows, panel, lhs, acc);
}

/// The tiles that share a panel: where their rows are, and where the chunk that
/// they fetch together lies.
struct Tiles {
  Value rows, count, panel, nextPanel, lhs, acc, streaming;

  /// Calls `body` for each chunk, of `chunks`, with the first address and the
  /// bytes a step that tile `t` fetches.
  void forEachChunk(Emitter &e, const PanelProduct &p, int64_t chunks,
                    llvm::function_ref<void(Emitter &, const Chunk &,
                                            Value next, Value stride)>
                        body) const {
    // Rounded up, so that no line is left out; nothing where the panel is in
    // the cache already.
    int64_t perStep = llvm::divideCeil(p.block.panel, p.block.steps);
    Value stride =
        e.select(streaming, e.ceilDiv(e.idx(perStep), count), e.idx(0));
    e.loop(e.idx(chunks), [&](Emitter &e, Value c) {
      Chunk chunk = emitChunk(e, p, c, e.idx(chunks), panel, lhs);
      Value next =
          e.select(e.lt(chunk.last, e.idx(p.blocks)),
                   e.add(panel, e.mul(chunk.last, p.block.panel)), nextPanel);
      body(e, chunk, next, stride);
    });
  }

  /// Calls `kernels` for tile `t`.
  void callTile(Emitter &e, const PanelProduct &p, func::FuncOp kernels,
                Value t, const Chunk &chunk, Value blocks, Value panel,
                Value next, Value stride, ValueRange more = {}) const {
    Value least = e.div(rows, count), longer = e.rem(rows, count);
    Value row = e.add(e.mul(t, least), e.min(t, longer));
    Value tileRows = e.select(e.lt(t, longer), e.add(least, 1), least);
    SmallVector<Value> ahead{e.toPtr(next), e.toI64(stride)};
    llvm::append_range(ahead, more);
    call(e, kernels, tileRows, blocks, panel,
         e.add(chunk.lhs, e.mul(row, p.pitch)),
         e.add(acc, e.mul(row, kStepBytes)), ahead);
  }
};

/// All tiles on one chunk of k after another, so that the chunk is read from
/// memory once; each prefetches its share of the next one.
static void emitTiles(Emitter &e, const PanelProduct &p, const Tiles &tiles) {
  tiles.forEachChunk(
      e, p, getChunks(p),
      [&](Emitter &e, const Chunk &chunk, Value next, Value stride) {
        Value share = e.mul(e.mul(stride, p.block.steps), chunk.blocks);
        e.loop(tiles.count, [&](Emitter &e, Value t) {
          tiles.callTile(e, p, p.kernels.shared, t, chunk, chunk.blocks,
                         chunk.panel, e.add(next, e.mul(t, share)), stride);
        });
      });
}

/// The same of weights that become f32: the first tile leaves them in `buffer`,
/// which the others read, so that each is widened or decoded once.
static void emitWidenedTiles(Emitter &e, const PanelProduct &p,
                             const Tiles &tiles, Value buffer) {
  tiles.forEachChunk(
      e, p,
      std::clamp<int64_t>(
          llvm::divideCeil(p.blocks * p.block.widened, p.schedule.getWidened()),
          1, p.blocks),
      [&](Emitter &e, const Chunk &chunk, Value next, Value stride) {
        Value share = e.mul(e.mul(stride, p.block.steps), chunk.blocks);
        tiles.callTile(e, p, p.kernels.widening, e.idx(0), chunk, chunk.blocks,
                       chunk.panel, next, stride, e.toPtr(buffer));
        // Of pairs the others have two steps where the first one has one.
        int64_t perStep = p.schedule.readsBlocks() ? 1 : 2;
        Value half = e.ceilDiv(stride, e.idx(perStep));
        Value blocks = e.mul(chunk.blocks, perStep);
        e.loop(e.idx(1), tiles.count, 1, [&](Emitter &e, Value t) {
          tiles.callTile(e, p, p.kernels.widened, t, chunk, blocks, buffer,
                         e.add(next, e.mul(t, share)), half);
        });
      });
}

void moe::emitPanelRun(Emitter &e, const PanelProduct &p, Value expert,
                       Value begin, Value end, Value row, Value rows,
                       Value next, PanelEpilogue epilogue) {
  ScheduleAttr s = p.schedule;
  auto accType =
      MemRefType::get({s.getBlockRows(), kPanelColumns}, e.getF32Type());
  Value acc = memref::AllocaOp::create(e, accType, e.getI64IntegerAttr(64));
  Value accAddress = e.address(acc);
  Value buffer;
  if (p.kernels.widening) {
    int64_t bytes =
        std::min(p.schedule.getWidened(), p.blocks * p.block.widened);
    buffer = e.address(memref::AllocaOp::create(
        e, MemRefType::get({bytes / 4}, e.getF32Type()),
        e.getI64IntegerAttr(64)));
  }
  Value expertBase = e.add(p.rhs, e.mul(expert, p.expertBytes()));
  Value rowBlocks = e.ceilDiv(rows, s.getBlockRows());
  VectorType vecType = e.vecF32();
  Value zeros = e.zeros(vecType);
  Value c0 = e.idx(0), c16 = e.idx(16);
  std::optional<ListedRows> listed;
  if (p.kernels.listed)
    listed = emitListedRows(e, p, row, rows);
  e.loop(begin, end, 1, [&](Emitter &e, Value panelIndex) {
    Value panel = e.add(expertBase, e.mul(panelIndex, p.panelBytes()));
    Value isLast = e.eq(e.add(panelIndex, 1), end);
    Value nextPanel = e.select(isLast, next, e.add(panel, p.panelBytes()));
    e.loop(rowBlocks, [&](Emitter &e, Value block) {
      Value first = e.div(e.mul(block, rows), rowBlocks);
      Value count =
          e.sub(e.div(e.mul(e.add(block, 1), rows), rowBlocks), first);
      Value firstRow = e.add(row, first);
      Value lhs = e.add(p.lhs, e.mul(firstRow, p.pitch));
      Value tiles = e.ceilDiv(count, s.getRows());
      e.loop(count, [&](Emitter &e, Value r) {
        vector::StoreOp::create(e, zeros, acc, ValueRange{r, c0});
        vector::StoreOp::create(e, zeros, acc, ValueRange{r, c16});
      });
      auto branch = scf::IfOp::create(e, e.lt(count, e.idx(s.getRows() + 1)),
                                      /*withElse=*/true);
      {
        OpBuilder::InsertionGuard guard(e);
        e.setInsertionPointToStart(branch.thenBlock());
        emitSingleTile(e, p, listed, count, panel, lhs, accAddress);
        e.setInsertionPointToStart(branch.elseBlock());
        Tiles all{count, tiles,      panel,          nextPanel,
                  lhs,   accAddress, e.eq(block, c0)};
        if (!buffer) {
          emitTiles(e, p, all);
        } else {
          auto many = scf::IfOp::create(
              e, e.lt(e.idx(kWidenedTiles - 1), tiles), /*withElse=*/true);
          e.setInsertionPointToStart(many.thenBlock());
          emitWidenedTiles(e, p, all, buffer);
          e.setInsertionPointToStart(many.elseBlock());
          emitTiles(e, p, all);
        }
      }
      epilogue(e, panelIndex, firstRow, count, acc);
    });
  });
}

//===----------------------------------------------------------------------===//
// The op
//===----------------------------------------------------------------------===//

/// Rows of one expert that share a pass over its panels in one work item.
static constexpr int64_t kSharedRows = 64;

/// Loads or stores 16 columns, masked where the last group is not full.
static Value emitColumnMask(Emitter &e, Value column, int64_t n) {
  return vector::CreateMaskOp::create(e, e.vec(16, e.getI1Type()),
                                      ValueRange{e.sub(e.idx(n), column)});
}

/// Stores 16 columns of a row, zero beyond `n`, nothing beyond the row's end.
static void emitStoreColumns(Emitter &e, Value value, Value out, Value row,
                             Value column, int64_t n, int64_t covered) {
  auto type = cast<MemRefType>(out.getType());
  int64_t length = type.getDimSize(1);
  Value mask;
  if (n % 16 != 0) {
    mask = emitColumnMask(e, column, n);
    value = e.select(mask, value, e.zeros(cast<VectorType>(value.getType())));
  }
  if (!type.getElementType().isF32())
    value = arith::TruncFOp::create(e, e.vec(16, type.getElementType()), value);
  if (covered <= length) {
    vector::StoreOp::create(e, value, out, ValueRange{row, column});
    return;
  }
  // The last panel may reach beyond the row, by whole groups of columns too.
  e.ifThen(e.lt(column, e.idx(length)), [&](Emitter &e) {
    vector::MaskedStoreOp::create(e, out, ValueRange{row, column},
                                  emitColumnMask(e, column, length), value);
  });
}

/// 16 columns of row `row`; zero beyond n.
static Value emitLoadInside(Emitter &e, Value matrix, Value row, Value column,
                            int64_t n, int64_t covered) {
  auto memref = cast<MemRefType>(matrix.getType());
  if (memref.getRank() == 1)
    return e.load(matrix, ValueRange{row});
  if (covered <= n)
    return emitLoadColumns(e, matrix, row, {column, Value()});
  VectorType type = e.vec(16, memref.getElementType());
  auto inside =
      scf::IfOp::create(e, TypeRange{type}, e.lt(column, e.idx(n)), true);
  OpBuilder::InsertionGuard guard(e);
  e.setInsertionPointToStart(inside.thenBlock());
  scf::YieldOp::create(
      e, ValueRange{emitLoadColumns(e, matrix, row,
                                    {column, emitColumnMask(e, column, n)})});
  e.setInsertionPointToStart(inside.elseBlock());
  scf::YieldOp::create(e, ValueRange{e.zeros(type)});
  return inside.getResult(0);
}

static LogicalResult verifyIsWhole(Operation *op, Value panels,
                                   StringRef name) {
  // Kernels walk them by address: a view into them would be ignored.
  if (cast<MemRefType>(panels.getType()).getLayout().isIdentity())
    return success();
  return op->emitOpError("'")
         << name << "' must be whole packed panels, got the view "
         << panels.getType();
}

LogicalResult moe::verifyPanels(Operation *op, Value panels,
                                moecpu::PanelsAttr layout, StringRef name) {
  if (!layout)
    return op->emitOpError("'")
           << name << "' must be packed panels, got weights in logical order, "
           << panels.getType() << "; run moek-select-schedule first";
  return verifyIsWhole(op, panels, name);
}
namespace {
/// What the kernels of a matmul read as weights: one of the two layouts.
struct Weights {
  moecpu::PanelsAttr panels;
  moecpu::BlocksAttr blocks;
  BlockSizes block;
  int64_t count;   ///< Blocks of a panel.
  int64_t kPadded; ///< k of all of them.
};
} // namespace

static LogicalResult getWeights(moek::GroupedMatmulOp op, Weights &weights) {
  ScheduleAttr s = moecpu::getSchedule(op);
  int64_t k = op.getK();
  if ((weights.blocks = moecpu::getBlocks(op))) {
    weights.block = getBlockSizes(s, weights.blocks, k);
    weights.count = k / weights.blocks.getFormat().getBlockSize(k);
    weights.kPadded = k;
    return verifyIsWhole(op, op.getRhs(), "rhs");
  }
  weights.panels = moecpu::getPanels(op);
  if (failed(verifyPanels(op, op.getRhs(), weights.panels, "rhs")))
    return failure();
  int64_t kBlock = weights.panels.getKBlock();
  weights.kPadded = weights.panels.getSteps(k) * kBlock;
  bool isF32 = getElementTypeOrSelf(op.getRhs().getType()).isF32();
  weights.block = getFloatBlock(s.getInner());
  weights.count = (isF32 ? weights.kPadded : weights.kPadded / 2) / kBlockSteps;
  return success();
}

namespace {
/// Rows as kernels read them, `pitch` bytes apart.
struct LeftRows {
  Value rows;
  int64_t pitch;
};
} // namespace

/// The left operand: in place if its rows are what the kernels read.
static LeftRows prepareRows(Emitter &e, moek::GroupedMatmulOp op,
                            const Weights &weights) {
  ScheduleAttr schedule = moecpu::getSchedule(op);
  int64_t k = op.getK();
  Value lhs = op.getLhs();
  auto lhsType = cast<MemRefType>(lhs.getType());
  std::optional<QuantizedRows> bytes;
  if (schedule.multipliesBytes())
    bytes.emplace(cast<CodedFormatAttrInterface>(weights.blocks.getFormat()), k,
                  schedule);
  Type element = getLhsElementType(schedule);
  // Padding behind k is zeros in buffers between kernels; in anyone else's it
  // may be a NaN, which zero weights do not remove.
  if (!bytes && !op.getGather() && lhsType.getLayout().isIdentity() &&
      lhsType.getElementType() == element &&
      lhsType.getDimSize(1) >= weights.kPadded &&
      (k == weights.kPadded || lhs.getDefiningOp<memref::AllocOp>()))
    return {lhs, lhsType.getDimSize(1) * element.getIntOrFloatBitWidth() / 8};

  Value capacity = op.getGather() ? e.dim(op.getGather(), 0) : e.dim(lhs, 0);
  auto type = bytes ? MemRefType::get({ShapedType::kDynamic, bytes->pitch()},
                                      e.getI8Type())
                    : MemRefType::get({ShapedType::kDynamic,
                                       moecpu::getPaddedRowLength(k, element)},
                                      element);
  Value rows = emitScratch(e, type, capacity);
  emitTrace(e, "begin", "gather");
  // Those of these experts alone.
  Value begin = e.loadIndex(op.getOffsets(), ValueRange{e.idx(0)});
  Value end =
      e.loadIndex(op.getOffsets(), ValueRange{e.idx(op.getNumExperts())});
  if (bytes)
    emitQuantizeRows(e, *bytes, lhs, op.getGather(), op.getGatherWeights(),
                     begin, end, rows);
  else
    emitGatherRows(e, lhs, op.getGather(), op.getGatherWeights(), begin, end, k,
                   rows);
  emitTrace(e, "end", "gather");
  return {rows, type.getDimSize(1) * type.getElementTypeBitWidth() / 8};
}

LogicalResult moe::lowerGroupedMatmul(Emitter &e, moek::GroupedMatmulOp op) {
  ScheduleAttr s = moecpu::getSchedule(op);
  if (!s)
    return op.emitOpError("has no schedule; run moek-select-schedule first");
  Weights weights;
  if (failed(getWeights(op, weights)))
    return failure();
  int64_t n = op.getN(), k = op.getK(), parts = op.getParts();
  auto rhsType = cast<MemRefType>(op.getRhs().getType());
  int64_t experts = op.getNumExperts();
  int64_t panels = rhsType.getDimSize(1);
  int64_t perPanel = moecpu::PanelsAttr::getColumnsOfPart(parts);
  int64_t covered = panels * perPanel;
  Value offsets = op.getOffsets(), active = op.getActive();
  StringRef phase = op.getPhase().value_or("matmul");

  LeftRows left = prepareRows(e, op, weights);
  // Where the rows go: straight out, or to scratch that the combine reads.
  Value out = op.getOutputs()[0];
  Value rowsOut = out;
  if (op.getPositions())
    rowsOut = emitScratch(
        e, MemRefType::get({ShapedType::kDynamic, covered}, e.getF32Type()),
        e.dim(left.rows, 0));

  PanelProduct product;
  product.schedule = s;
  product.pitch = left.pitch;
  auto module = op->getParentOfType<ModuleOp>();
  Block &body = op.getEpilogue().front();
  std::optional<bool> makesTile = makesTiles(op, s, product.pitch);
  std::optional<bool> makesBody = makesElements(op, body);
  if (!makesTile || !makesBody)
    return failure();
  product.kernels =
      weights.blocks
          ? getOrCreateBlockKernels(module, s, weights.blocks, k, product.pitch)
          : getOrCreateMicroKernels(module, s, product.pitch,
                                    weights.panels.getKBlock(),
                                    *makesTile ? getCodegen(op) : StringAttr());
  product.lhs = e.address(left.rows);
  product.rhs = e.address(op.getRhs());
  product.panels = panels;
  product.block = weights.block;
  product.blocks = weights.count;

  emitTrace(e, "begin", phase);
  Value activeCount = e.loadIndex(active, ValueRange{e.idx(experts)});
  Value threads = moert::NumThreadsOp::create(e, e.getIndexType());
  // Runs are long for the memory's sake, and at least eight per thread for the
  // balance's; those of an expert are of even length.
  int64_t longest = std::max<int64_t>(
      1, s.getRun() / std::max<int64_t>(1, product.panelBytes()));
  Value run =
      e.max(e.idx(1), e.min(e.idx(longest), e.div(e.mul(activeCount, panels),
                                                  e.mul(threads, 8))));
  Value runs = e.ceilDiv(e.idx(panels), run);
  Value items = e.mul(activeCount, runs);
  // A few panels of one expert, such as routers have, are too few items: its
  // rows are shared out, too.
  Value shares;
  if (experts == 1) {
    Value rows = e.sub(e.loadIndex(offsets, ValueRange{e.idx(1)}),
                       e.loadIndex(offsets, ValueRange{e.idx(0)}));
    shares = e.max(e.idx(1), e.min(e.ceilDiv(rows, kSharedRows),
                                   e.ceilDiv(e.mul(threads, 8), runs)));
    items = e.mul(items, shares);
  }
  e.parallel(items, [&](Emitter &e, Value item) {
    auto begin = [&](Value runIndex) {
      return e.div(e.mul(runIndex, panels), runs);
    };
    Value nextItem = e.min(e.add(item, threads), e.sub(items, e.idx(1)));
    Value share;
    if (shares) {
      share = e.rem(item, shares);
      item = e.div(item, shares);
      nextItem = e.div(nextItem, shares);
    }
    Value runIndex = e.rem(item, runs);
    Value expert = e.loadIndex(active, ValueRange{e.div(item, runs)});
    Value first = begin(runIndex), last = begin(e.add(runIndex, 1));
    Value row = e.loadIndex(offsets, ValueRange{expert});
    Value count =
        e.sub(e.loadIndex(offsets, ValueRange{e.add(expert, 1)}), row);
    if (shares) {
      Value begin = e.div(e.mul(share, count), shares);
      count = e.sub(e.div(e.mul(e.add(share, 1), count), shares), begin);
      row = e.add(row, begin);
    }
    // Most likely this thread takes the item `threads` further on; prefetching
    // the wrong one, or beyond the end, costs nothing that can be measured.
    Value nextExpert = e.loadIndex(active, ValueRange{e.div(nextItem, runs)});
    Value next =
        e.add(product.rhs,
              e.add(e.mul(nextExpert, product.expertBytes()),
                    e.mul(begin(e.rem(nextItem, runs)), product.panelBytes())));
    emitPanelRun(
        e, product, expert, first, last, row, count, next,
        [&](Emitter &e, Value panel, Value row, Value rows, Value acc) {
          Value column = e.mul(panel, perPanel);
          SmallVector<Value> columns;
          for (int64_t c = 0; c < perPanel; c += 16)
            columns.push_back(e.add(column, c));
          // What all rows of the expert share.
          SmallVector<SmallVector<Value>> parameters(columns.size());
          for (auto [c, loaded] : llvm::zip(columns, parameters))
            for (Value parameter : op.getParameters())
              loaded.push_back(
                  emitLoadInside(e, parameter, expert, c, n, covered));
          e.loop(rows, [&](Emitter &e, Value r) {
            VectorType type = e.vecF32();
            Value ownRow = e.add(row, r);
            Value token = op.getTokens()
                              ? e.loadIndex(op.getTokens(), ValueRange{ownRow})
                              : Value();
            SmallVector<Value> sums;
            for (int64_t c = 0; c < 32; c += 16)
              sums.push_back(vector::LoadOp::create(e, type, acc,
                                                    ValueRange{r, e.idx(c)}));
            // parts = 2: one group of columns with a sum of each part;
            // parts = 1: two groups of one part.
            for (auto [g, c] : llvm::enumerate(columns)) {
              SmallVector<Value> arguments;
              for (int64_t part = 0; part < parts; ++part)
                arguments.push_back(sums[parts == 2 ? part : g]);
              for (Value operand : op.getGathered())
                arguments.push_back(
                    emitLoadInside(e, operand, token, c, n, covered));
              for (Value operand : op.getRows())
                arguments.push_back(
                    emitLoadInside(e, operand, ownRow, c, n, covered));
              llvm::append_range(arguments, parameters[g]);
              Value value = *makesBody
                                ? emitGeneratedElements(e, getCodegen(op), body,
                                                        arguments)[0]
                                : emitRegionOnElements(e, body, arguments)[0];
              emitStoreColumns(e, value, rowsOut, ownRow, c, n, covered);
            }
          });
        });
  });
  emitTrace(e, "end", phase);

  if (op.getPositions()) {
    emitTrace(e, "begin", "combine");
    emitCombineRows(e,
                    {rowsOut, op.getPositions(), op.getSlotWeights(),
                     op.getInit(), op.getFirstRow(), op.getNumRows(), out, n});
    emitTrace(e, "end", "combine");
  }
  return success();
}
