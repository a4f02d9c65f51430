//===- MatrixMatmul.cpp - Products of wavefronts ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A tile is rows of an expert by columns of all parts, which the wavefronts of
// a block share: each has products of 32 columns by 32 rows, whose sums stay in
// its registers. Step by step a piece of the depth of rows and weights goes
// through shared memory; while one is multiplied, the next one is on its way
// from memory to registers.
//
// Weights are the left operand and rows the right one. So a lane has the sums
// of one row, four columns that follow one another at a time, and stores them
// together. Of both it reads 16 bytes, eight values that follow one another in
// depth, where the instruction asks for others: as that is so on both sides,
// only the order of the sum changes.
//
//===----------------------------------------------------------------------===//

#include "Kernels.h"

#include "moe-mlir/Target/GPU/Common/MatmulArguments.h"
#include "moe-mlir/Target/GPU/Common/Tiles.h"

#include "mlir/Dialect/LLVMIR/ROCDLDialect.h"

using namespace mlir;
using namespace moe;
using gpu::Emitter;
using gpu::kGlobal;

namespace {
/// Rows, and columns, of a product; lanes of a wavefront.
constexpr int64_t kProduct = 32, kWavefront = 64;
/// Values of bf16 in 16 bytes, and the bytes.
constexpr int64_t kChunk = 8, kChunkBytes = 16;

/// How wavefronts share a tile, the products of each across its rows, and the
/// depth of a step. `each`: blocks of a multiprocessor, which share its memory.
struct TileShape {
  int64_t rowWaves, columnWaves, rowProducts, depth, each;
  int64_t getThreads() const { return rowWaves * columnWaves * kWavefront; }
  int64_t getRows() const { return rowWaves * rowProducts * kProduct; }
};

constexpr TileShape kMany = {2, 2, 2, 32, 2}, kFew = {1, 2, 1, 64, 2};

class Matmul {
public:
  Matmul(Emitter &code, const gpu::MatmulShape &shape, gpu::Epilogue &epilogue,
         const TileShape &tile, int64_t depth, LLVM::LLVMFuncOp func)
      : code(code), shape(shape), epilogue(epilogue), tile(tile), depth(depth),
        columnProducts(std::max<int64_t>(1, tile.rowProducts / shape.parts)),
        columns(tile.columnWaves * columnProducts * kProduct),
        given(shape, func.getArguments()),
        tiles(shape.experts, tile.getRows(), columns, shape.n),
        sumsType(
            VectorType::get({kProduct * kProduct / kWavefront}, code.f32())) {}

  void build() {
    rows = code.sharedMemory();
    weights = code.at(rows, tile.getRows() * getStride());
    Value table = code.at(rows, getTableAt());
    thread = code.thread();
    Value teamLane = code.bitAnd(thread, gpu::kTeam - 1);
    lane = code.bitAnd(thread, kWavefront - 1);
    Value wave = getFirst(code.shr(thread, 6));
    Value across = code.constant(tile.columnWaves);
    Value waveRow = code.div(wave, across);
    ownRow = code.mul(waveRow, tile.rowProducts * kProduct);
    ownColumn = code.mul(code.sub(wave, code.mul(waveRow, across)),
                         columnProducts * kProduct);
    code.when(code.isLess(thread, code.constant(gpu::kTeam)),
              [&] { tiles.count(code, given.offsets, table, teamLane); });
    code.barrier();
    Value total = getFirst(tiles.getTotal(code, table));
    code.loop(code.block(), total, code.numBlocks(), {},
              [&](Value number, ValueRange) -> SmallVector<Value> {
                own = tiles.find(code, table, teamLane, number);
                for (Value *value : {&own.expert, &own.firstRow, &own.endRow,
                                     &own.firstColumn})
                  *value = getFirst(*value);
                buildTile();
                return {};
              });
  }

  int64_t getSharedBytes() const { return getTableAt() + tiles.getBytes(); }
  int64_t getColumns() const { return columns; }

private:
  /// Bytes from a row of a tile in shared memory to the next: 16 apart, so that
  /// eight lanes with neighbouring rows use different banks.
  int64_t getStride() const { return tile.depth * 2 + kChunkBytes; }
  /// Behind the rows and the weights.
  int64_t getTableAt() const {
    return (tile.getRows() + shape.parts * columns) * getStride();
  }

  /// What all lanes have, where the code generator sees that they do.
  Value getFirst(Value value) {
    return ROCDL::ReadfirstlaneOp::create(code, value.getType(), value);
  }

  //===--------------------------------------------------------------------===//
  // From memory to shared memory
  //===--------------------------------------------------------------------===//

  /// 16 bytes of a row that the thread copies: where it is in memory, the first
  /// value's depth in a step, and its place in shared memory.
  struct Chunk {
    Value row, k, to;
  };

  /// The thread's own of a tile of `count` rows at `base`; `find` says where a
  /// row is in memory.
  void findChunks(Value base, int64_t count, function_ref<Value(Value)> find,
                  SmallVectorImpl<Chunk> &chunks) {
    int64_t ofRow = tile.depth / kChunk, threads = tile.getThreads();
    assert(count * ofRow % threads == 0 && "threads share a tile evenly");
    for (int64_t first = 0; first < count * ofRow; first += threads) {
      Value number = code.add(thread, first);
      Value row = code.div(number, code.constant(ofRow));
      Value chunk = code.sub(number, code.mul(row, ofRow));
      Value place =
          code.add(code.mul(row, getStride()), code.mul(chunk, kChunkBytes));
      chunks.push_back(
          {find(row), code.mul(chunk, kChunk), code.at(base, place)});
    }
  }

  Value getRow(Value base, Value number) {
    return code.at(base, code.mul(number, shape.k * 2));
  }

  SmallVector<Chunk> findChunks() {
    SmallVector<Chunk> chunks;
    findChunks(
        rows, tile.getRows(),
        [&](Value row) {
          Value number =
              code.min(code.add(own.firstRow, row), code.add(own.endRow, -1));
          if (shape.gather)
            number =
                code.load(code.i32(), code.at(given.gather,
                                              code.mul(code.widen(number), 4)));
          return getRow(given.lhs, code.widen(number));
        },
        chunks);
    findChunks(
        weights, shape.parts * columns,
        [&](Value row) {
          Value part = code.div(row, code.constant(columns));
          Value column =
              code.add(own.firstColumn, code.sub(row, code.mul(part, columns)));
          column = code.min(column, code.constant(shape.n - 1));
          Value ofPart = code.add(code.mul(own.expert, shape.parts), part);
          return getRow(given.rhs,
                        code.add(code.mul(code.widen(ofPart), shape.n),
                                 code.widen(column)));
        },
        chunks);
    return chunks;
  }

  /// What is behind the depth is 0.
  SmallVector<Value> load(ArrayRef<Chunk> chunks, Value step) {
    Type type = VectorType::get({kChunk / 2}, code.i32());
    Value zero = arith::ConstantOp::create(code, code.getZeroAttr(type));
    SmallVector<Value> loaded;
    for (const Chunk &chunk : chunks) {
      Value k = code.add(code.mul(step, tile.depth), chunk.k);
      Value at = k;
      if (shape.k % tile.depth)
        at = code.min(k, code.constant(shape.k - kChunk));
      Value value =
          code.load(type, code.at(chunk.row, code.mul(code.widen(at), 2)));
      if (shape.k % tile.depth)
        value =
            code.select(code.isLess(k, code.constant(shape.k)), value, zero);
      loaded.push_back(value);
    }
    return loaded;
  }

  //===--------------------------------------------------------------------===//
  // Products
  //===--------------------------------------------------------------------===//

  /// Of a lane: 16 bytes of its row, from the first of 32 rows in shared
  /// memory, as operands of the products that they are for.
  SmallVector<Value> loadOperands(Value base, Value firstRow, int64_t chunk) {
    Value row = code.add(firstRow, code.bitAnd(lane, kProduct - 1));
    Value place = code.add(code.mul(row, getStride()),
                           code.mul(code.shr(lane, 5), kChunkBytes));
    Value from = code.at(code.at(base, place), chunk * kChunkBytes);
    if (depth == 16)
      return {code.load(VectorType::get({8}, code.getBF16Type()), from)};
    Type type = VectorType::get({4}, code.getI16Type());
    return {code.load(type, from), code.load(type, code.at(from, 8))};
  }

  Value multiply(Value a, Value b, Value sums) {
    Value none = code.constant(0);
    SmallVector<Value> operands{a, b, sums, none, none, none};
    if (depth == 16)
      return ROCDL::mfma_f32_32x32x16_bf16::create(code, sumsType, operands);
    return ROCDL::mfma_f32_32x32x8bf16_1k::create(code, sumsType, operands);
  }

  /// The sums of a product: `i` across the wavefront's rows, `j` across its
  /// columns of a part.
  int64_t getNumber(int64_t i, int64_t j, int64_t part) const {
    return (i * columnProducts + j) * shape.parts + part;
  }

  SmallVector<Value> multiplyStep(ValueRange sums) {
    SmallVector<Value> next(sums);
    // Both halves of a wavefront read, one behind the other.
    for (int64_t chunk = 0; chunk < tile.depth / kChunk; chunk += 2) {
      SmallVector<SmallVector<Value>> ofRows;
      for (int64_t i = 0; i < tile.rowProducts; ++i)
        ofRows.push_back(
            loadOperands(rows, code.add(ownRow, i * kProduct), chunk));
      for (int64_t part = 0; part < shape.parts; ++part)
        for (int64_t j = 0; j < columnProducts; ++j) {
          Value first = code.add(ownColumn, part * columns + j * kProduct);
          SmallVector<Value> own = loadOperands(weights, first, chunk);
          for (int64_t i = 0; i < tile.rowProducts; ++i) {
            Value &sum = next[getNumber(i, j, part)];
            for (auto [left, right] : llvm::zip(own, ofRows[i]))
              sum = multiply(left, right, sum);
          }
        }
    }
    return next;
  }

  void buildTile() {
    SmallVector<Chunk> chunks = findChunks();
    Value zero = arith::ConstantOp::create(code, code.getZeroAttr(sumsType));
    int64_t steps = (shape.k + tile.depth - 1) / tile.depth;
    // Behind the sums, what the next step multiplies.
    int64_t numSums = tile.rowProducts * columnProducts * shape.parts;
    SmallVector<Value> state(numSums, zero);
    llvm::append_range(state, load(chunks, code.constant(0)));
    state = code.loop(
        code.constant(0), code.constant(steps), code.constant(1), state,
        [&](Value step, ValueRange state) {
          // The step before, or the tile, has been read by all.
          code.barrier();
          for (auto [chunk, value] :
               llvm::zip(chunks, state.drop_front(numSums)))
            code.store(value, chunk.to);
          code.barrier();
          // Behind the last there is none; nobody reads what comes instead.
          Value next = code.min(code.add(step, 1), code.constant(steps - 1));
          SmallVector<Value> loaded = load(chunks, next);
          // The code generator would load behind the products: it saves
          // registers, of which there are enough.
          ROCDL::SchedBarrier::create(code, /*mask=*/0);
          SmallVector<Value> sums = multiplyStep(state.take_front(numSums));
          llvm::append_range(sums, loaded);
          return sums;
        });
    for (int64_t i = 0; i < tile.rowProducts; ++i)
      for (int64_t j = 0; j < columnProducts; ++j)
        store(i, j, ArrayRef(state).take_front(numSums));
  }

  //===--------------------------------------------------------------------===//
  // Results
  //===--------------------------------------------------------------------===//

  /// Columns that a lane stores together.
  int64_t getWidth() const {
    return shape.n % 4 == 0 ? 4 : shape.n % 2 == 0 ? 2 : 1;
  }

  void store(int64_t i, int64_t j, ArrayRef<Value> sums) {
    Value row =
        code.add(own.firstRow, code.add(code.add(ownRow, i * kProduct),
                                        code.bitAnd(lane, kProduct - 1)));
    // The sums of a lane: four columns, and the next four of its half.
    Value first =
        code.add(code.add(own.firstColumn, code.add(ownColumn, j * kProduct)),
                 code.mul(code.shr(lane, 5), 4));
    code.when(code.isLess(row, own.endRow), [&] {
      SmallVector<SmallVector<Value>> ofParts;
      for (int64_t part = 0; part < shape.parts; ++part)
        ofParts.push_back(code.unpack(sums[getNumber(i, j, part)]));
      int64_t width = getWidth(), all = sumsType.getNumElements();
      for (int64_t at = 0; at < all; at += width) {
        Value column = code.add(first, at / 4 * 8 + at % 4);
        auto storeOwn = [&] { storeColumns(row, column, ofParts, at, width); };
        if (shape.n % columns == 0)
          storeOwn();
        else
          code.when(code.isLess(column, code.constant(shape.n)), storeOwn);
      }
    });
  }

  void storeColumns(Value row, Value column,
                    ArrayRef<SmallVector<Value>> ofParts, int64_t at,
                    int64_t width) {
    SmallVector<Value> results;
    for (int64_t i = 0; i < width; ++i) {
      SmallVector<Value> values;
      for (const SmallVector<Value> &ofPart : ofParts)
        values.push_back(ofPart[at + i]);
      Value own = code.add(column, i);
      given.appendRows(code, values, row, own);
      given.appendParameters(code, values, this->own.expert, own);
      results.push_back(code.inlineRegion(epilogue, values));
    }
    Value place =
        code.add(code.mul(code.widen(row), shape.n), code.widen(column));
    code.storeFloats(
        results, shape.out,
        code.at(given.out,
                code.mul(place, shape.out.getIntOrFloatBitWidth() / 8)));
  }

  Emitter &code;
  const gpu::MatmulShape &shape;
  gpu::Epilogue &epilogue;
  const TileShape &tile;
  /// Of a product; products across a wavefront's columns of a part; columns of
  /// a part in a tile.
  int64_t depth, columnProducts, columns;
  gpu::MatmulArguments given;
  gpu::Tiles tiles;
  VectorType sumsType;
  Value rows, weights, thread, lane, ownRow, ownColumn;
  gpu::Tile own;
};
} // namespace

LLVM::LLVMFuncOp amd::buildMatrixMatmul(ModuleOp module, StringRef name,
                                        const gpu::MatmulShape &shape,
                                        gpu::Epilogue &epilogue, int64_t depth,
                                        bool few, gpu::Launch &launch) {
  const TileShape &tile = few ? kFew : kMany;
  Emitter code(module.getLoc(), module.getContext());
  SmallVector<Type> types(4 + shape.getNumOptional(), code.pointer(kGlobal));
  LLVM::LLVMFuncOp func = gpu::createKernel(code, module, name, types,
                                            tile.getThreads(), tile.each);
  Matmul matmul(code, shape, epilogue, tile, depth, func);
  gpu::setSharedBytes(func, matmul.getSharedBytes());
  matmul.build();
  LLVM::ReturnOp::create(code, ValueRange());
  launch = {tile.each, tile.getRows(), matmul.getColumns()};
  return func;
}
