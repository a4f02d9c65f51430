//===- TiledMatmul.cpp - Products on tiles in shared memory -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// For GPUs without a matmul of their own: no products of matrices, no
// exchanges, no copies that run on. A block has a tile of the rows of an expert
// and of the columns of all parts. Step by step its threads widen a piece of
// the depth of both into shared memory, and each multiplies its own rows and
// columns. Weights in a format are decoded there. A sum adds up the depth in
// one order, so its bits do not depend on the tile.
//
//===----------------------------------------------------------------------===//

#include "BlockDecoder.h"

#include "moe-mlir/Target/GPU/Common/KernelConverter.h"
#include "moe-mlir/Target/GPU/Common/MatmulArguments.h"

using namespace mlir;
using namespace moe;
using gpu::Emitter;
using gpu::kGlobal;

namespace {
/// Rows and columns of a tile and of a thread, and the depth of a step, which
/// may be less with weights in a format.
struct TileSizes {
  int64_t rows, columns, ofRows, ofColumns, depth;
  int64_t getThreads() const { return rows / ofRows * (columns / ofColumns); }
};

constexpr TileSizes kMany = {64, 64, 4, 4, 16}, kFew = {8, 32, 1, 1, 32};

class Matmul {
public:
  Matmul(Emitter &code, const gpu::MatmulShape &shape, gpu::Epilogue &epilogue,
         const TileSizes &sizes, LLVM::LLVMFuncOp func)
      : code(code), shape(shape), epilogue(epilogue), sizes(sizes),
        given(shape, func.getArguments()),
        columnTiles((shape.n + sizes.columns - 1) / sizes.columns),
        depth(sizes.depth) {
    if (shape.blocks) {
      decoder.emplace(code, shape.blocks.getPanels(), shape.k, sizes.depth);
      depth = decoder->getDepth();
      chunk = decoder->getChunk();
      return;
    }
    for (int64_t width : {4, 2, 1})
      if (shape.k % width == 0) {
        chunk = width;
        break;
      }
  }

  void build() {
    thread = code.thread();
    zero = arith::ConstantOp::create(code, code.getF32FloatAttr(0));
    lefts = code.sharedMemory();
    rights = code.at(lefts, sizes.rows * getStride());
    findTile();
    code.when(isTile, [&] { buildTile(); });
  }

  int64_t getSharedBytes() const {
    return (sizes.rows + shape.parts * sizes.columns) * getStride();
  }

private:
  /// Bytes from a row of a tile in shared memory to the next: a word apart, so
  /// that threads with neighbouring rows use different banks.
  int64_t getStride() const { return (depth + 1) * 4; }

  /// Tiles are numbered expert by expert and, of one expert, column by column:
  /// blocks that run at a time read the same weights.
  void findTile() {
    Value none = code.constant(0), number = code.block();
    SmallVector<Value> found = code.loop(
        none, code.constant(shape.experts), code.constant(1),
        // Tiles before, then the expert, its own number, and its rows.
        {none, none, none, none, none},
        [&](Value at, ValueRange last) -> SmallVector<Value> {
          Value place = code.at(given.offsets, code.mul(at, 4));
          Value from = code.load(code.i32(), place);
          Value to = code.load(code.i32(), code.at(place, 4));
          Value tiles = code.mul(getRowTiles(from, to), columnTiles);
          Value next = code.add(last[0], tiles);
          Value here = code.both(
              code.compare(arith::CmpIPredicate::sge, number, last[0]),
              code.isLess(number, next));
          return {next, code.select(here, at, last[1]),
                  code.select(here, code.sub(number, last[0]), last[2]),
                  code.select(here, from, last[3]),
                  code.select(here, to, last[4])};
        });
    isTile = code.isLess(number, found[0]);
    expert = found[1];
    endRow = found[4];
    Value rowTiles =
        code.max(getRowTiles(found[3], found[4]), code.constant(1));
    Value column = code.div(found[2], rowTiles);
    Value row = code.sub(found[2], code.mul(column, rowTiles));
    firstRow = code.add(found[3], code.mul(row, sizes.rows));
    firstColumn = code.mul(column, sizes.columns);
  }

  Value getRowTiles(Value from, Value to) {
    return code.div(code.add(code.sub(to, from), sizes.rows - 1),
                    code.constant(sizes.rows));
  }

  /// Calls `body` with each number below `all` that is the thread's to do.
  void forNumbers(int64_t all, function_ref<void(Value)> body) {
    int64_t threads = sizes.getThreads();
    for (int64_t first = 0; first < all; first += threads) {
      Value number = code.add(thread, first);
      if (first + threads <= all)
        body(number);
      else
        code.when(code.isLess(number, code.constant(all)),
                  [&] { body(number); });
    }
  }

  /// Calls `body` with the row and the first depth of each chunk of a tile of
  /// so many rows that the thread has to fill.
  void forChunks(int64_t rows, function_ref<void(Value, Value)> body) {
    int64_t ofRow = depth / chunk;
    forNumbers(rows * ofRow, [&](Value number) {
      Value row = code.div(number, code.constant(ofRow));
      body(row, code.mul(code.sub(number, code.mul(row, ofRow)), chunk));
    });
  }

  /// Widens a chunk of a row of `type` at `row` in memory into shared memory;
  /// what is behind the depth is 0.
  void fill(Value base, Type type, Value row, Value k, Value to,
            Value weight = {}) {
    Value last = code.constant(shape.k - chunk);
    Value at = code.add(code.mul(row, shape.k), code.widen(code.min(k, last)));
    Value from = code.at(base, code.mul(at, type.getIntOrFloatBitWidth() / 8));
    SmallVector<Value> values =
        code.widenFloats(code.loadFloats(type, from, chunk));
    bool whole = shape.k % depth == 0;
    Value inside = whole ? Value() : code.isLess(k, code.constant(shape.k));
    for (auto [i, value] : llvm::enumerate(values)) {
      if (weight)
        value = arith::MulFOp::create(code, value, weight);
      code.store(whole ? value : code.select(inside, value, zero),
                 code.at(to, i * 4));
    }
  }

  Value getPlace(Value base, Value row, Value depth) {
    return code.at(base,
                   code.add(code.mul(row, getStride()), code.mul(depth, 4)));
  }

  void fillTiles(Value step) {
    Value from = decoder ? Value() : code.mul(step, depth);
    auto getK = [&](Value place) {
      return decoder ? decoder->getK(step, place) : code.add(from, place);
    };
    forChunks(sizes.rows, [&](Value row, Value place) {
      Value own = code.min(code.add(firstRow, row), code.add(endRow, -1));
      Value at = code.mul(code.widen(own), 4), weight;
      if (shape.weighs)
        weight = code.load(code.f32(), code.at(given.weights, at));
      if (shape.gather)
        own = code.load(code.i32(), code.at(given.gather, at));
      fill(given.lhs, shape.rows, code.widen(own), getK(place),
           getPlace(lefts, row, place), weight);
    });
    if (decoder)
      return decode(step);
    for (int64_t part = 0; part < shape.parts; ++part)
      forChunks(sizes.columns, [&](Value row, Value place) {
        Value own =
            code.add(code.mul(code.widen(expert), shape.parts * shape.n),
                     code.widen(code.add(getColumn(row), part * shape.n)));
        fill(given.rhs, shape.weights, own, getK(place),
             getPlace(rights, code.add(row, part * sizes.columns), place));
      });
  }

  /// The column of the tile's row `row` of weights, or the last there is.
  Value getColumn(Value row) {
    return code.min(code.add(firstColumn, row), code.constant(shape.n - 1));
  }

  /// Decodes the weights of a step: a thread a round of a column, neighbours
  /// neighbouring ones.
  void decode(Value step) {
    moek::BlockPanels panels = shape.blocks.getPanels();
    int64_t ofExpert = panels.getNumPanels(shape.parts, shape.n);
    int64_t ofPart = ofExpert / shape.parts, rows = shape.parts * sizes.columns;
    int64_t panelBytes = shape.k / panels.format.getBlockSize(shape.k) *
                         panels.getBlockBytes(shape.k);
    forNumbers(rows * decoder->getRounds(), [&](Value number) {
      Value round = code.div(number, code.constant(rows));
      Value row = code.sub(number, code.mul(round, rows));
      Value part = code.div(row, code.constant(sizes.columns));
      Value column = getColumn(code.sub(row, code.mul(part, sizes.columns)));
      Value panel = code.div(column, code.constant(panels.columns));
      Value own = code.add(code.mul(code.widen(expert), ofExpert),
                           code.widen(code.add(code.mul(part, ofPart), panel)));
      SmallVector<Value> values = decoder->decode(
          code.at(given.rhs, code.mul(own, panelBytes)),
          code.sub(column, code.mul(panel, panels.columns)), step, round);
      Value to = getPlace(rights, row, code.mul(round, decoder->getValues()));
      for (auto [i, value] : llvm::enumerate(values))
        code.store(value, code.at(to, i * 4));
    });
  }

  void buildTile() {
    int64_t across = sizes.columns / sizes.ofColumns;
    Value y = code.div(thread, code.constant(across));
    Value x = code.sub(thread, code.mul(y, across));
    // Threads are neighbours in columns; their own columns are apart.
    Value ownRow = code.mul(y, sizes.ofRows);
    Value one = code.constant(1);
    SmallVector<Value> sums(sizes.ofRows * sizes.ofColumns * shape.parts, zero);
    int64_t steps = (shape.k + depth - 1) / depth;
    sums = code.loop(code.constant(0), code.constant(steps), one, sums,
                     [&](Value step, ValueRange sums) {
                       fillTiles(step);
                       code.barrier();
                       SmallVector<Value> next = code.loop(
                           code.constant(0), code.constant(depth), one, sums,
                           [&](Value depth, ValueRange sums) {
                             return multiply(ownRow, x, depth, sums);
                           });
                       code.barrier();
                       return next;
                     });
    for (int64_t i = 0; i < sizes.ofRows; ++i)
      for (int64_t j = 0; j < sizes.ofColumns; ++j) {
        SmallVector<Value> values;
        for (int64_t part = 0; part < shape.parts; ++part)
          values.push_back(sums[getNumber(i, j, part)]);
        store(code.add(firstRow, code.add(ownRow, i)),
              code.add(firstColumn, code.add(x, j * across)), values);
      }
  }

  int64_t getNumber(int64_t row, int64_t column, int64_t part) const {
    return (part * sizes.ofRows + row) * sizes.ofColumns + column;
  }

  SmallVector<Value> multiply(Value ownRow, Value x, Value depth,
                              ValueRange sums) {
    int64_t across = sizes.columns / sizes.ofColumns;
    auto load = [&](Value base, Value row) {
      return code.load(code.f32(), getPlace(base, row, depth));
    };
    SmallVector<Value> left, next(sums);
    for (int64_t i = 0; i < sizes.ofRows; ++i)
      left.push_back(load(lefts, code.add(ownRow, i)));
    for (int64_t part = 0; part < shape.parts; ++part)
      for (int64_t j = 0; j < sizes.ofColumns; ++j) {
        Value right =
            load(rights, code.add(x, part * sizes.columns + j * across));
        for (int64_t i = 0; i < sizes.ofRows; ++i) {
          Value &sum = next[getNumber(i, j, part)];
          sum = LLVM::FMAOp::create(code, left[i], right, sum);
        }
      }
    return next;
  }

  void store(Value row, Value column, SmallVector<Value> values) {
    Value stores = code.both(code.isLess(row, endRow),
                             code.isLess(column, code.constant(shape.n)));
    code.when(stores, [&] {
      given.appendRows(code, values, row, column);
      given.appendParameters(code, values, expert, column);
      Value at =
          code.add(code.mul(code.widen(row), shape.n), code.widen(column));
      code.storeFloats(
          code.inlineRegion(epilogue, values), shape.out,
          code.at(given.out,
                  code.mul(at, shape.out.getIntOrFloatBitWidth() / 8)));
    });
  }

  Emitter &code;
  const gpu::MatmulShape &shape;
  gpu::Epilogue &epilogue;
  const TileSizes &sizes;
  gpu::MatmulArguments given;
  int64_t columnTiles, depth, chunk;
  std::optional<gpu::BlockDecoder> decoder;
  Value thread, zero, lefts, rights;
  Value isTile, expert, firstRow, endRow, firstColumn;
};
} // namespace

LLVM::LLVMFuncOp gpu::buildTiledMatmul(ModuleOp module, StringRef name,
                                       const MatmulShape &shape,
                                       Epilogue &epilogue, bool few,
                                       Launch &launch) {
  const TileSizes &sizes = few ? kFew : kMany;
  Emitter code(module.getLoc(), module.getContext());
  SmallVector<Type> types(4 + shape.getNumOptional(), code.pointer(kGlobal));
  LLVM::LLVMFuncOp func =
      createKernel(code, module, name, types, sizes.getThreads());
  Matmul matmul(code, shape, epilogue, sizes, func);
  setSharedBytes(func, matmul.getSharedBytes());
  matmul.build();
  LLVM::ReturnOp::create(code, ValueRange());
  launch = {/*each=*/0, sizes.rows, sizes.columns};
  return func;
}

/// Whether threads read such a number of a block.
static bool canRead(Type element) {
  return element.isF32() || element.isF16() || element.isBF16() ||
         element.isInteger(8) || element.isInteger(16) || element.isInteger(32);
}

LogicalResult gpu::KernelConverter::launchTiledMatmul(moek::GroupedMatmulOp op,
                                                      int64_t few) {
  if (moe::WeightFormatAttrInterface format = op.getFormatAttr()) {
    if (!moegpu::getBlocks(op))
      return op.emitOpError("has weights in ")
             << format << " that are no #moe_gpu.blocks";
    for (const moe::BlockField &field : format.getFields(op.getK()))
      if (!canRead(field.element))
        return op.emitOpError("has no kernel for ")
               << options.device << " yet: '" << field.name << "' of " << format
               << " has numbers of " << field.element;
  }
  launchMatmul(
      op, few,
      [&](StringRef name, bool few, const MatmulShape &shape, Launch &launch) {
        return buildTiledMatmul(kernels, name, shape, op.getEpilogue(), few,
                                launch);
      });
  return success();
}
