//===- ScaledStages.cpp - Stages of E4M3 and their scales -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A panel has words of four values, those of 32 columns side by side, and a
// product wants the depth of a column in one piece. Copies of four bytes bring
// each word to its place: no value goes through a register, and the layout is
// that of the kernels which read panels themselves.
//
//===----------------------------------------------------------------------===//

#include "TileBlock.h"

using namespace mlir;
using namespace moe::nvidia;

namespace {
/// Of a thread that only copies; where each of eight columns has a scale of its
/// own, the threads that multiply need fewer, and these keep more.
constexpr int64_t kRegisters = 56, kRegistersBesideColumns = 64;
/// Stages whose copies are on their way while the next one's are started.
constexpr int64_t kPending = 2;

/// By four warps, of which each has two panels of the tile.
class ScaledStages {
public:
  explicit ScaledStages(TileBlock &block)
      : code(block.code), block(block), shape(block.shape),
        panels(shape.blocks.getPanels()),
        rows(block, TileBlock::kGroupThreads) {
    auto format = cast<moe::FP8FormatAttr>(Attribute(panels.format));
    scaleBytes = panels.columns * (format.getExponents() ? 1 : 4);
    blockBytes = panels.getBlockBytes(shape.k);
    valuesAt = panels.getFieldOffset(shape.k, kValues);
    scalesAt = panels.getFieldOffset(shape.k, kScale);
    assert(blockBytes == valuesAt + panels.columns * TileBlock::kRowBytes &&
           "a block is not as deep as a stage");
  }

  void build() {
    swizzle = code.shl(code.bitAnd(block.lane, 7), 4);
    // Lanes whose columns lie in the same banks copy words that do not.
    Value turn = code.bitAnd(code.shr(block.lane, 3), 3);
    for (int64_t i = 0; i < 4; ++i)
      words[i] = code.bitXor(turn, code.constant(i));
    Ring start = Ring::getStart(code);
    SmallVector<Value> last = block.forEachTile(
        {start.stage, start.parity, code.constant(0)},
        [&](const Tile &tile, ValueRange values) {
          beginTile(tile);
          return code.loop(
              code.constant(0), code.constant(block.getSteps()),
              code.constant(1), values,
              [&](Value step, ValueRange values) -> SmallVector<Value> {
                Ring ring{values[0], values[1]};
                block.waitUntilEmpty(ring);
                copyScales(step, ring);
                copyColumns(step, ring);
                rows.copy(ring, code.mul(step, TileBlock::kRowBytes));
                code.waitForCopies(kPending);
                publish(ring, values[2], kPending);
                Ring next = ring.next(code);
                return {
                    next.stage, next.parity,
                    code.min(code.add(values[2], 1), code.constant(kPending))};
              });
        });
    code.waitForCopies(0);
    for (int64_t before = kPending; before > 0; --before)
      publish(Ring{last[0], last[1]}, last[2], before);
  }

private:
  /// Fields of the format.
  enum Field { kValues, kScale };
  static constexpr int64_t kWarps = TileBlock::kGroupThreads / 32,
                           kPanels = TileBlock::kColumns / 32,
                           kOwnPanels = kPanels / kWarps;

  /// The stage so many before `ring`, if as many wait for it.
  void publish(const Ring &ring, Value waiting, int64_t before) {
    Ring own = ring;
    for (int64_t i = 0; i < before; ++i)
      own = own.previous(code);
    code.when(code.isLess(code.constant(before - 1), waiting),
              [&] { block.publish(own); });
  }

  /// The first block of panel `number` of a tile. Columns behind the last are
  /// computed, of another panel, and not stored.
  Value getPanel(const Tile &tile, Value number) {
    int64_t ofTile = kPanels / shape.parts;
    int64_t ofPart = panels.getNumPanels(shape.parts, shape.n) / shape.parts;
    Value part = code.div(number, code.constant(ofTile));
    Value own = code.sub(number, code.mul(part, ofTile));
    Value first =
        code.div(tile.firstColumn, code.constant(int64_t(panels.columns)));
    own = code.min(code.add(first, own), code.constant(ofPart - 1));
    Value panel = code.add(code.mul(tile.expert, shape.parts * ofPart),
                           code.add(code.mul(part, ofPart), own));
    return code.at(
        block.given.rhs,
        code.mul(code.widen(panel), shape.k / block.getDepth() * blockBytes));
  }

  void beginTile(const Tile &tile) {
    rows.begin(tile, code.shl(rows.getChunk(), 4));
    for (int64_t i = 0; i < kOwnPanels; ++i)
      columns[i] = code.at(
          code.at(getPanel(tile, code.add(block.warp, i * kWarps)), valuesAt),
          code.mul(block.lane, 4));
    // A thread has the scale of a row, and the first ones have those of
    // columns.
    Value row = code.min(code.add(tile.firstRow, block.thread),
                         code.add(tile.endRow, -1));
    if (shape.gather)
      row = code.load(code.i32(), code.at(block.given.gather,
                                          code.mul(code.widen(row), 4)));
    rowScale = code.at(block.given.scales,
                       code.mul(code.widen(row), block.getSteps() * 4));
    Value panel =
        code.min(code.div(block.thread, code.constant(scaleBytes / 16)),
                 code.constant(kPanels - 1));
    Value chunk = code.bitAnd(block.thread, scaleBytes / 16 - 1);
    columnScales =
        code.at(code.at(getPanel(tile, panel), scalesAt), code.shl(chunk, 4));
  }

  void copyScales(Value step, const Ring &ring) {
    code.copy4(code.at(block.getRowScales(ring), code.mul(block.thread, 4)),
               code.at(rowScale, code.mul(step, 4)));
    code.when(
        code.isLess(block.thread, code.constant(kPanels * scaleBytes / 16)),
        [&] {
          code.copy16(
              code.at(block.getColumnScales(ring), code.shl(block.thread, 4)),
              code.at(columnScales, code.mul(step, blockBytes)));
        });
  }

  void copyColumns(Value step, const Ring &ring) {
    Value first = block.getRhs({code.constant(0), Value()});
    Value stage = code.mul(ring.stage, TileBlock::kRhsBytes);
    for (int64_t i = 0; i < kOwnPanels; ++i) {
      Value column =
          code.add(code.mul(code.add(block.warp, i * kWarps), panels.columns),
                   block.lane);
      // Where its first chunk of 16 bytes is.
      Value to = code.bitOr(
          code.add(stage, code.mul(column, TileBlock::kRowBytes)), swizzle);
      Value from = code.at(columns[i], code.mul(step, blockBytes));
      for (Value word : words) {
        Value ownTo = code.bitOr(to, code.shl(word, 2)),
              ownFrom = code.at(from, code.mul(word, panels.columns * 4));
        // Of the stage's number by the chunk's, so that no address of a chunk
        // is kept from stage to stage: registers have no room for them.
        for (int64_t chunk = 0; chunk < TileBlock::kRowBytes / 16; ++chunk)
          code.copy4(
              code.at(first, code.bitXor(ownTo, code.constant(chunk * 16))),
              code.at(ownFrom, chunk * panels.columns * 16));
      }
    }
  }

  Emitter &code;
  TileBlock &block;
  const MatmulShape &shape;
  moek::BlockPanels panels;
  RowCopies rows;
  /// Bytes of the scales of a panel, and of all of a block.
  int64_t scaleBytes, blockBytes, valuesAt, scalesAt;
  Value swizzle, rowScale, columnScales;
  std::array<Value, 4> words;
  std::array<Value, kOwnPanels> columns;
};
} // namespace

Filler moe::nvidia::getScaledFiller(const MatmulShape &shape) {
  auto format =
      cast<moe::FP8FormatAttr>(Attribute(shape.blocks.getPanels().format));
  return {TileBlock::kGroupThreads,
          format.getRows() % 8 ? kRegistersBesideColumns : kRegisters,
          [](TileBlock &block) { ScaledStages(block).build(); }};
}
