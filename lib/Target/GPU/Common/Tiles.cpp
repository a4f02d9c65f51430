//===- Tiles.cpp - How blocks of threads share the rows of experts -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/Common/Tiles.h"

using namespace mlir;
using namespace moe::gpu;

// The table: slots + 1 numbers of tiles before each expert, then as many first
// rows. Experts that fill up the last warp have no rows.

void Tiles::count(Emitter &code, Value offsets, Value table, Value lane) const {
  Value before = code.constant(0);
  Value zero = code.constant(0);
  code.when(code.isEqual(lane, 0), [&] { code.store(zero, table); });
  Value firstRows = code.at(table, (slots + 1) * 4);
  for (int64_t base = 0; base < slots; base += 32) {
    Value expert = code.add(lane, base);
    Value last = code.constant(experts);
    Value from = code.load(
        code.i32(), code.at(offsets, code.mul(code.min(expert, last), 4)));
    Value to = code.load(
        code.i32(),
        code.at(offsets, code.mul(code.min(code.add(expert, 1), last), 4)));
    Value tiles = code.mul(
        code.div(code.add(code.sub(to, from), rows - 1), code.constant(rows)),
        columnTiles);
    // Those of the experts up to the lane's own.
    for (int64_t distance = 1; distance < 32; distance *= 2) {
      Value more = code.fromBelow(tiles, distance);
      Value has = code.isLess(code.constant(distance - 1), lane);
      tiles = code.add(tiles, code.select(has, more, zero));
    }
    tiles = code.add(tiles, before);
    before = code.broadcast(tiles, 31);
    Value place = code.mul(expert, 4);
    code.store(tiles, code.at(code.at(table, place), 4));
    code.store(from, code.at(firstRows, place));
    if (base + 32 >= slots)
      code.when(code.isEqual(lane, 31),
                [&] { code.store(to, code.at(firstRows, slots * 4)); });
  }
}

Value Tiles::getTotal(Emitter &code, Value table) const {
  return code.load(code.i32(), code.at(table, slots * 4));
}

Tile Tiles::find(Emitter &code, Value table, Value lane, Value number) const {
  // The expert: as many as have all their tiles before.
  Value expert = code.constant(0);
  for (int64_t base = 0; base < slots; base += 32) {
    Value place = code.mul(code.add(lane, base), 4);
    Value end = code.load(code.i32(), code.at(code.at(table, place), 4));
    expert = code.add(expert, code.countLanes(code.compare(
                                  arith::CmpIPredicate::sle, end, number)));
  }
  Value place = code.mul(expert, 4);
  Value before = code.load(code.i32(), code.at(table, place));
  Value firstRows = code.at(table, (slots + 1) * 4);
  Value from = code.load(code.i32(), code.at(firstRows, place));
  Value to = code.load(code.i32(), code.at(code.at(firstRows, place), 4));
  Value rowTiles =
      code.div(code.add(code.sub(to, from), rows - 1), code.constant(rows));
  Value own = code.sub(number, before);
  Value column = code.div(own, rowTiles);
  Value row = code.sub(own, code.mul(column, rowTiles));
  return {expert, code.add(from, code.mul(row, rows)), to,
          code.mul(column, columns)};
}
