//===- TileBlock.cpp - Warpgroups that share tiles --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "TileBlock.h"

using namespace mlir;
using namespace moe::nvidia;

//===----------------------------------------------------------------------===//
// Tiles and stages
//===----------------------------------------------------------------------===//

void TileBlock::begin(int64_t fills, int64_t frees) {
  shared = code.sharedMemory();
  table = code.at(shared, getTableAt());
  thread = code.thread();
  lane = code.bitAnd(thread, 31);
  warp = code.broadcast(code.shr(thread, 5), 0);
  code.when(code.isEqual(thread, 0), [&] {
    for (int64_t stage = 0; stage < Ring::kStages; ++stage) {
      code.initBarrier(code.at(shared, kFullAt + stage * 8), fills);
      code.initBarrier(code.at(shared, kEmptyAt + stage * 8), frees);
    }
    NVVM::FenceMbarrierInitOp::create(code);
  });
  code.when(code.isEqual(warp, 1),
            [&] { tiles.count(code, given.offsets, table, lane); });
  code.barrier();
  total = tiles.getTotal(code, table);
}

SmallVector<Value> TileBlock::forEachTile(
    ValueRange initial,
    function_ref<SmallVector<Value>(const Tile &, ValueRange)> body) {
  return code.loop(code.block(), total, code.numBlocks(), initial,
                   [&](Value number, ValueRange values) {
                     return body(tiles.find(code, table, lane, number), values);
                   });
}

//===----------------------------------------------------------------------===//
// Copies
//===----------------------------------------------------------------------===//

RowCopies::RowCopies(TileBlock &block, int64_t threads)
    : block(block), threads(threads) {
  Emitter &code = block.code;
  chunk = code.bitAnd(block.thread, 7);
  row = code.shr(block.thread, 3);
  place = code.add(code.mul(row, TileBlock::kRowBytes),
                   code.shl(code.bitXor(chunk, code.bitAnd(row, 7)), 4));
}

void RowCopies::begin(const Tile &tile, Value bytes) {
  Emitter &code = block.code;
  Value end = code.add(tile.endRow, -1);
  sources.clear();
  for (int64_t i = 0; i < TileBlock::kRows; i += threads / 8) {
    Value own = code.min(code.add(code.add(tile.firstRow, row), i), end);
    if (block.shape.gather)
      own = code.load(code.i32(), code.at(block.given.gather,
                                          code.mul(code.widen(own), 4)));
    sources.push_back(
        code.at(block.given.lhs,
                code.add(code.mul(code.widen(own),
                                  block.shape.k * block.getValueBytes()),
                         code.widen(bytes))));
  }
}

void RowCopies::copy(const Ring &ring, Value from) {
  Emitter &code = block.code;
  Value to = code.at(block.getLhs(ring), place);
  for (auto [i, source] : llvm::enumerate(sources))
    code.copy16(code.at(to, i * (threads / 8) * TileBlock::kRowBytes),
                code.at(source, from));
  code.commitCopies();
}

/// Of a thread that only copies.
static constexpr int64_t kRegisters = 56;

/// By one thread: what the stage gets of the weights.
static void copyWeights(TileBlock &block, const Tile &tile, const Ring &ring,
                        Value column) {
  Emitter &code = block.code;
  const MatmulShape &shape = block.shape;
  int64_t rows = TileBlock::kColumns / shape.parts;
  for (int64_t part = 0; part < shape.parts; ++part) {
    Value to = code.at(block.getRhs(ring), part * rows * TileBlock::kRowBytes);
    Value row = code.add(
        code.add(code.mul(tile.expert, shape.parts * shape.n), part * shape.n),
        tile.firstColumn);
    code.copyBox(to, block.given.rhs, {column, row}, block.full(ring));
  }
}

/// By one warp.
static void buildBoxCopies(TileBlock &block) {
  Emitter &code = block.code;
  Value first = code.isEqual(block.lane, 0);
  Ring start = Ring::getStart(code);
  block.forEachTile({start.stage, start.parity}, [&](const Tile &tile,
                                                     ValueRange values) {
    return code.loop(
        code.constant(0), code.constant(block.getSteps()), code.constant(1),
        values, [&](Value step, ValueRange values) -> SmallVector<Value> {
          Ring ring{values[0], values[1]};
          code.when(first, [&] {
            block.waitUntilEmpty(ring);
            code.arriveExpecting(block.full(ring),
                                 TileBlock::kLhsBytes + TileBlock::kRhsBytes);
            Value column = code.mul(step, block.getDepth());
            code.copyBox(block.getLhs(ring), block.given.lhs,
                         {column, tile.firstRow}, block.full(ring));
            copyWeights(block, tile, ring, column);
          });
          Ring next = ring.next(code);
          return {next.stage, next.parity};
        });
  });
}

/// By four warps: eight threads copy the 128 bytes of a row, and each thread
/// those of eight rows.
static void buildGatheringCopies(TileBlock &block) {
  Emitter &code = block.code;
  RowCopies rows(block, TileBlock::kGroupThreads);
  Value first = code.isEqual(block.thread, 0);
  Value chunk = code.shl(rows.getChunk(), 4);
  Ring start = Ring::getStart(code);
  SmallVector<Value> last = block.forEachTile(
      {start.stage, start.parity, code.constant(0)},
      [&](const Tile &tile, ValueRange values) {
        rows.begin(tile, chunk);
        return code.loop(
            code.constant(0), code.constant(block.getSteps()), code.constant(1),
            values, [&](Value step, ValueRange values) -> SmallVector<Value> {
              Ring ring{values[0], values[1]};
              block.waitUntilEmpty(ring);
              rows.copy(ring, code.mul(step, TileBlock::kRowBytes));
              code.when(first, [&] {
                code.arriveExpecting(block.full(ring), TileBlock::kRhsBytes);
                copyWeights(block, tile, ring,
                            code.mul(step, block.getDepth()));
              });
              // The stage before has arrived by now.
              code.waitForCopies(1);
              code.when(code.isEqual(values[2], 1),
                        [&] { block.publish(ring.previous(code)); });
              Ring next = ring.next(code);
              return {next.stage, next.parity, code.constant(1)};
            });
      });
  code.waitForCopies(0);
  code.when(code.isEqual(last[2], 1), [&] {
    block.publish(Ring{last[0], last[1]}.previous(code));
  });
}

Filler moe::nvidia::getCopyingFiller(const MatmulShape &shape) {
  if (shape.gather)
    return {TileBlock::kGroupThreads + 1, kRegisters, buildGatheringCopies};
  return {1, kRegisters, [](TileBlock &block) {
            block.code.when(block.code.isEqual(block.warp, 0),
                            [&] { buildBoxCopies(block); });
          }};
}
