//===- WarpMatmul.cpp - Products of warps, for few rows ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A tile is eight rows by 16 columns of each part. The warps of a block share
// the depth, and a warp multiplies 16 rows of weights by the eight rows. Both
// come straight from memory: a lane loads 16 bytes of a row, eight values that
// follow one another, where the instruction asks for values apart. As it does
// so on both sides, only the order of the sum changes. Of weights in a format a
// tile is 32 columns, and BlockWeights multiplies.
//
//===----------------------------------------------------------------------===//

#include "BlockWeights.h"
#include "Kernels.h"

#include "moe-mlir/Target/GPU/Common/MatmulArguments.h"
#include "moe-mlir/Target/GPU/Common/Tiles.h"

using namespace mlir;
using namespace moe::nvidia;

namespace {
constexpr int64_t kRows = 8, kColumns = 16, kWarps = 8, kStep = 32;
/// Warps of a multiprocessor, whose blocks share its registers.
constexpr int64_t kResident = 24;

/// Bytes of a sum of each lane.
constexpr int64_t kPlane = 32 * 4;
/// Of a tile in shared memory.
constexpr int64_t kTileBytes = 16;

/// Steps whose loads are in flight together; without `unrolls` as many as leave
/// no rest, whose loads would begin before the last ones end.
static int64_t getAhead(const MatmulShape &shape, bool unrolls) {
  int64_t ahead = 4 / shape.parts, rounds = shape.k / kStep / kWarps;
  while (!unrolls && rounds % ahead)
    --ahead;
  return ahead;
}

class Matmul {
public:
  Matmul(Emitter &code, const MatmulShape &shape, Epilogue &epilogue,
         bool unrolls, LLVM::LLVMFuncOp func)
      : code(code), shape(shape), epilogue(epilogue), unrolls(unrolls),
        given(shape, func.getArguments()), ahead(getAhead(shape, unrolls)),
        blocks(shape.blocks ? std::optional<BlockWeights>({code, shape})
                            : std::nullopt),
        tiles(shape.experts, kRows, getColumns(), shape.n) {}

  void build() {
    Value base = code.sharedMemory();
    sums = base;
    table = code.at(base, getTableAt());
    thread = code.thread();
    lane = code.bitAnd(thread, 31);
    warp = code.broadcast(code.shr(thread, 5), 0);
    code.when(code.isEqual(warp, 0),
              [&] { tiles.count(code, given.offsets, table, lane); });
    code.barrier();
    code.loop(code.block(), tiles.getTotal(code, table), code.numBlocks(), {},
              [&](Value number, ValueRange) -> SmallVector<Value> {
                buildTile(tiles.find(code, table, lane, number));
                return {};
              });
  }

  int64_t getSharedBytes() const { return getTileAt() + kTileBytes; }
  int64_t getColumns() const {
    return blocks ? BlockWeights::kColumns : kColumns;
  }
  int64_t getWarps() const { return blocks ? blocks->getWarps() : kWarps; }

private:
  /// Sums that a lane has of a tile and part.
  int64_t getSums() const { return getColumns() / 4; }
  /// Behind the sums.
  int64_t getTableAt() const {
    return getWarps() * shape.parts * getSums() * 32 * 4;
  }

  int64_t getTileAt() const { return getTableAt() + tiles.getBytes(); }

  using Words = SmallVector<Value>;

  /// A tile is put aside while registers are for weights of bf16, by one thread
  /// for all, and taken behind the next barrier. Formats have them to spare.
  void putAside(const Tile &tile) {
    code.when(code.isEqual(thread, 0), [&] {
      Value at = code.at(sums, getTileAt());
      const Value words[] = {tile.expert, tile.firstRow, tile.endRow,
                             tile.firstColumn};
      for (auto [i, word] : llvm::enumerate(words))
        code.store(word, code.at(at, i * 4));
    });
  }
  Tile takeBack() {
    Value at = code.at(sums, getTileAt());
    auto take = [&](int64_t i) {
      return code.load(code.i32(), code.at(at, i * 4));
    };
    return {take(0), take(1), take(2), take(3)};
  }

  Words load16(Value address) {
    return code.unpack(code.load(VectorType::get({4}, code.i32()), address));
  }

  void buildTile(const Tile &tile) {
    if (!blocks)
      putAside(tile);
    // The lane's rows of weights, `row` and `row + 8` of each part, and of the
    // left side.
    Value row = code.shr(lane, 2), quarter = code.bitAnd(lane, 3);
    Value depth = code.add(code.mul(warp, kStep * 2), code.mul(quarter, 16));
    Value own =
        code.min(code.add(tile.firstRow, row), code.add(tile.endRow, -1));
    if (shape.gather)
      own = code.load(code.i32(),
                      code.at(given.gather, code.mul(code.widen(own), 4)));
    Value left = code.at(given.lhs, code.mul(code.widen(own), shape.k * 2));
    if (blocks)
      return reduce(blocks->multiply(left, given.rhs, tile.expert,
                                     tile.firstColumn, warp, lane),
                    tile);
    left = code.at(left, depth);
    // Columns behind the last are computed and not stored. Where there are
    // none, rows are at known distances of the first, which saves registers.
    bool isWhole = shape.n % kColumns == 0;
    SmallVector<Value> rights;
    for (int64_t part = 0; part < shape.parts; ++part)
      for (int64_t half = 0; half < 2; ++half) {
        if (isWhole && !rights.empty()) {
          rights.push_back(code.at(
              rights[0],
              code.constant64((part * shape.n + half * 8) * shape.k * 2)));
          continue;
        }
        Value column = code.add(code.add(tile.firstColumn, row), half * 8);
        if (!isWhole)
          column = code.min(column, code.constant(shape.n - 1));
        Value first = code.add(code.mul(tile.expert, shape.parts * shape.n),
                               code.add(column, part * shape.n));
        rights.push_back(code.at(
            given.rhs, code.add(code.mul(code.widen(first), shape.k * 2),
                                code.widen(depth))));
      }

    SmallVector<Value> initial(
        shape.parts * 4,
        arith::ConstantOp::create(code, code.getF32FloatAttr(0)));
    int64_t steps = shape.k / kStep, rounds = steps / kWarps;
    int64_t groups = rounds / ahead;
    // Bytes from one step of a warp to its next.
    constexpr int64_t kNext = kWarps * kStep * 2;
    Words values = initial;
    // A number that nobody sees through keeps a loop a loop.
    Value turns = code.constant(groups);
    if (!unrolls)
      turns = code.logic(turns, turns, turns, 0xf0);
    if (groups)
      values =
          code.loop(code.constant(0), turns, code.constant(1), values,
                    [&](Value group, ValueRange values) -> SmallVector<Value> {
                      Value from = code.mul(group, ahead * kNext);
                      return multiply(left, rights, from, ahead, kNext, values);
                    });
    Value from = code.constant(groups * ahead * kNext);
    if (int64_t rest = rounds % ahead) {
      values = multiply(left, rights, from, rest, kNext, values);
      from = code.constant(rounds * kNext);
    }
    if (int64_t rest = steps % kWarps) {
      auto last =
          scf::IfOp::create(code, TypeRange(ValueRange(values)),
                            code.isLess(warp, code.constant(rest)), true);
      OpBuilder::InsertionGuard guard(code);
      code.setInsertionPointToStart(last.thenBlock());
      scf::YieldOp::create(code,
                           multiply(left, rights, from, 1, kNext, values));
      code.setInsertionPointToStart(last.elseBlock());
      scf::YieldOp::create(code, values);
      values = Words(last.getResults());
    }
    reduce(values);
  }

  Words multiply(Value left, ArrayRef<Value> rights, Value from, int64_t steps,
                 int64_t next, ValueRange values) {
    SmallVector<Words> lefts;
    SmallVector<SmallVector<Words>> weights;
    for (int64_t step = 0; step < steps; ++step) {
      Value at = code.add(from, step * next);
      weights.emplace_back();
      for (Value right : rights)
        weights.back().push_back(load16(code.at(right, at)));
      lefts.push_back(load16(code.at(left, at)));
    }
    Words result(values);
    for (int64_t step = 0; step < steps; ++step)
      for (int64_t part = 0; part < shape.parts; ++part)
        for (int64_t k = 0; k < 4; k += 2) {
          ArrayRef<Value> upper = weights[step][part * 2];
          ArrayRef<Value> lower = weights[step][part * 2 + 1];
          MutableArrayRef<Value> own =
              MutableArrayRef<Value>(result).slice(part * 4, 4);
          code.multiplyBF16({upper[k], lower[k], upper[k + 1], lower[k + 1]},
                            {lefts[step][k], lefts[step][k + 1]}, own);
        }
    return result;
  }

  /// Adds up what the warps have, in their order, and stores it.
  void reduce(ValueRange values, std::optional<Tile> kept = std::nullopt) {
    Value to = code.at(sums, code.mul(thread, 4));
    int64_t ofAll = getWarps() * kPlane;
    for (auto [i, value] : llvm::enumerate(values))
      code.store(value, code.at(to, i * ofAll));
    code.barrier();
    Tile tile = kept ? *kept : takeBack();
    // One plane of each part a warp, and more if there are fewer warps.
    if (getWarps() < getSums())
      code.loop(warp, code.constant(getSums()), code.constant(getWarps()), {},
                [&](Value plane, ValueRange) -> SmallVector<Value> {
                  store(tile, plane);
                  return {};
                });
    else
      code.when(code.isLess(warp, code.constant(getSums())),
                [&] { store(tile, warp); });
    code.barrier();
  }

  /// Of the sums of each part and warp, which are so many bytes apart.
  void store(const Tile &tile, Value plane) {
    int64_t ofAll = getWarps() * kPlane;
    Value from =
        code.at(sums, code.add(code.mul(plane, ofAll), code.mul(lane, 4)));
    SmallVector<Value> parts;
    for (int64_t part = 0; part < shape.parts; ++part) {
      Value sum;
      for (int64_t other = 0; other < getWarps(); ++other) {
        Value value =
            code.load(code.f32(),
                      code.at(from, part * getSums() * ofAll + other * kPlane));
        sum = sum ? arith::AddFOp::create(code, sum, value) : value;
      }
      parts.push_back(sum);
    }
    Value row =
        code.add(tile.firstRow, code.add(code.mul(code.bitAnd(lane, 3), 2),
                                         code.bitAnd(plane, 1)));
    // Products have columns eight apart, or those of a lane.
    Value half = code.shr(plane, 1), first = code.shr(lane, 2);
    Value column =
        code.add(tile.firstColumn, blocks ? code.add(code.mul(first, 4), half)
                                          : code.add(first, code.mul(half, 8)));
    given.appendParameters(code, parts, tile.expert, column);
    Value value = code.inlineRegion(epilogue, parts);
    Value stores = code.both(code.isLess(row, tile.endRow),
                             code.isLess(column, code.constant(shape.n)));
    code.when(stores, [&] {
      int64_t bytes = shape.out.getIntOrFloatBitWidth() / 8;
      Value at = code.at(given.out,
                         code.mul(code.add(code.mul(code.widen(row), shape.n),
                                           code.widen(column)),
                                  bytes));
      if (!shape.out.isF32())
        value = arith::TruncFOp::create(code, shape.out, value);
      code.store(value, at);
    });
  }

  Emitter &code;
  const MatmulShape &shape;
  Epilogue &epilogue;
  /// Whether loads may be mixed with the products of groups before, for which
  /// Hopper alone has the registers.
  bool unrolls;
  moe::gpu::MatmulArguments given;
  /// Steps whose loads are in flight together.
  int64_t ahead;
  /// Of weights in a format.
  std::optional<BlockWeights> blocks;
  Tiles tiles;
  Value sums, table, thread, lane, warp;
};
} // namespace

LLVM::LLVMFuncOp moe::nvidia::buildWarpMatmul(ModuleOp module, StringRef name,
                                              const MatmulShape &shape,
                                              Epilogue &epilogue, bool unrolls,
                                              Launch &launch) {
  Emitter code(module.getLoc(), module.getContext());
  SmallVector<Type> types((shape.gather ? 5 : 4) + shape.parameters.size(),
                          code.pointer(kGlobal));
  int64_t warps = kWarps, resident = kResident / kWarps;
  if (shape.blocks) {
    BlockWeights blocks(code, shape);
    warps = blocks.getWarps();
    resident = blocks.getResident() / warps;
  }
  LLVM::LLVMFuncOp func =
      createKernel(code, module, name, types, warps * 32, resident);
  Matmul matmul(code, shape, epilogue, unrolls, func);
  matmul.build();
  moe::gpu::setSharedBytes(func, matmul.getSharedBytes());
  launch.each = resident;
  launch.rows = kRows;
  launch.columns = matmul.getColumns();
  launch.boxes = {0, 0};
  LLVM::ReturnOp::create(code, ValueRange());
  return func;
}
