//===- DecodeMatmul.cpp - Products for single tokens ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// With a token or two, what counts is how soon weights begin to come from
// memory and that they never stop. So there are no lists of rows: a slot of a
// token is a row, whose expert the routing itself says. The second product has
// a token's slots in one block, adds them up, and begins to load weights before
// the first product has ended.
//
// An instruction multiplies 16 rows of weights: eight columns of gate and of up
// or, where there is one part, 16 columns. Its other side has one row, which
// all its eight columns read. Depth is shared by warps, each with a stretch of
// it. Of weights in a format BlockWeights multiplies panels, or halves of them.
//
//===----------------------------------------------------------------------===//

#include "BlockWeights.h"
#include "Kernels.h"

using namespace mlir;
using namespace moe::nvidia;

namespace {
constexpr int64_t kStep = 32;
/// Bytes that all blocks of a token ask for before they wait: a third of the
/// cache that they go to.
constexpr int64_t kPrefetched = 16 << 20;
using Words = SmallVector<Value>;

/// How a kernel of these goes through the depth of its rows.
struct Stretch {
  /// Warps that share the depth, steps of each, and how many of them are loaded
  /// together, while as many are multiplied.
  int64_t warps, steps, ahead;

  explicit Stretch(const BlockWeights &blocks)
      : warps(blocks.getWarps()), steps(0), ahead(0) {}
  Stretch(int64_t k, int64_t most, int64_t ahead) : warps(1), ahead(ahead) {
    int64_t all = k / kStep;
    for (int64_t some = 1; some <= most; ++some)
      if (all % some == 0)
        warps = some;
    steps = all / warps;
  }
};

/// Columns of a block, of weights in a format that so many rows have: those of
/// a panel if that makes `blocks`, about one or two of a multiprocessor.
static int64_t getColumns(const MatmulShape &shape, int64_t rows,
                          int64_t blocks) {
  int64_t columns = BlockWeights::kColumns;
  return (shape.n + columns - 1) / columns * rows >= blocks ? columns
                                                            : columns / 2;
}

class Matmul {
public:
  Matmul(Emitter &code, const MatmulShape &shape, Epilogue &epilogue,
         Stretch stretch, std::optional<BlockWeights> blocks)
      : code(code), shape(shape), epilogue(epilogue), stretch(stretch),
        blocks(std::move(blocks)) {
    thread = code.thread();
    lane = code.bitAnd(thread, 31);
    warp = code.broadcast(code.shr(thread, 5), 0);
    zero = arith::ConstantOp::create(code, code.getF32FloatAttr(0));
  }

  int64_t getTileColumns() const {
    return blocks ? blocks->getColumns() : 16 / shape.parts;
  }
  /// Sums of a lane.
  int64_t getSums() const {
    return blocks ? shape.parts * blocks->getSums() : 4;
  }
  /// Bytes of the sums of a warp.
  int64_t getWarpBytes() const { return getTileColumns() * shape.parts * 4; }
  int64_t getTiles() const {
    return (shape.n + getTileColumns() - 1) / getTileColumns();
  }

  /// Whose expert a slot is, and whether there is one.
  std::pair<Value, Value> getExpert(Value indices, Value slot) {
    Value expert =
        code.load(code.i32(), code.at(indices, code.mul(code.widen(slot), 4)));
    return {expert, code.compare(arith::CmpIPredicate::ult, expert,
                                 code.constant(shape.experts))};
  }

  /// The lane's two rows of weights, from where its warp's stretch begins.
  std::array<Value, 2> getWeights(Value rhs, Value expert, Value firstColumn,
                                  Value part) {
    std::array<Value, 2> rows;
    Value row = code.shr(lane, 2);
    for (int64_t half = 0; half < 2; ++half) {
      // Columns behind the last are computed and not stored.
      Value column = code.add(firstColumn, row);
      if (shape.parts == 1)
        column = code.add(column, half * 8);
      column = code.min(column, code.constant(shape.n - 1));
      Value first =
          code.add(code.mul(expert, shape.parts * shape.n),
                   code.add(column, shape.parts == 1 ? 0 : half * shape.n));
      rows[half] =
          code.at(rhs, code.add(code.mul(code.widen(first), shape.k * 2),
                                code.widen(code.mul(getDepth(part), 2))));
    }
    return rows;
  }

  /// A row on the left, and the lane's part of it.
  Value getRow(Value lhs, Value row) {
    return code.at(lhs, code.mul(code.widen(row), shape.k * getRowBytes()));
  }
  Value getLeft(Value lhs, Value row, Value part) {
    return code.at(getRow(lhs, row), code.mul(getDepth(part), getRowBytes()));
  }

  /// What is loaded ahead: of the first steps.
  Words loadFirst(const std::array<Value, 2> &rows) {
    return loadWeights(rows, code.constant(0),
                       std::min(stretch.ahead, stretch.steps));
  }

  /// The sums of the instruction, with the first weights loaded before.
  Words multiply(Value left, const std::array<Value, 2> &rows, Words first) {
    Words sums(4, zero);
    int64_t ahead = stretch.ahead, groups = stretch.steps / ahead,
            rest = stretch.steps % ahead;
    if (!groups)
      return multiplySteps(left, code.constant(0), rest, first, sums);
    Words values(sums);
    llvm::append_range(values, first);
    if (groups > 1)
      values = code.loop(
          code.constant(0), code.constant(groups - 1), code.constant(1), values,
          [&](Value group, ValueRange values) -> SmallVector<Value> {
            Value at = code.mul(group, ahead * kStep);
            Words next = loadWeights(rows, code.add(at, ahead * kStep), ahead);
            Words result = multiplySteps(left, at, ahead, values.drop_front(4),
                                         values.take_front(4));
            llvm::append_range(result, next);
            return result;
          });
    Value at = code.constant((groups - 1) * ahead * kStep);
    Value last = code.add(at, ahead * kStep);
    Words tail = rest ? loadWeights(rows, last, rest) : Words();
    sums = multiplySteps(left, at, ahead, ValueRange(values).drop_front(4),
                         ValueRange(values).take_front(4));
    return rest ? multiplySteps(left, last, rest, tail, sums) : sums;
  }

  /// Stores the sums of a warp for all threads behind the next barrier.
  void share(Value shared, ValueRange sums) {
    // Of a part, that many columns of a lane follow one another.
    int64_t own = blocks ? blocks->getColumnsOfLane() : 1;
    Value to = code.at(
        shared, code.add(code.mul(warp, getWarpBytes()), code.mul(lane, own)));
    code.when(code.isEqual(code.bitAnd(lane, 3), 0), [&] {
      for (size_t i = 0; i < sums.size() / 2; ++i)
        code.store(sums[2 * i], code.at(to, i / own * own * 32 + i % own * 4));
    });
  }

  /// What the epilogue makes of the sums of `stretch.warps` warps for a column
  /// of the tile.
  Value finish(Value shared, int64_t firstWarp, Value tileColumn, Value expert,
               Value column, ValueRange parameters) {
    SmallVector<Value> values;
    for (int64_t part = 0; part < shape.parts; ++part) {
      Value sum;
      for (int64_t i = 0; i < stretch.warps; ++i) {
        Value value = code.load(
            code.f32(), code.at(code.at(shared, code.mul(tileColumn, 4)),
                                (firstWarp + i) * getWarpBytes() +
                                    part * getWarpBytes() / shape.parts));
        sum = sum ? arith::AddFOp::create(code, sum, value) : value;
      }
      values.push_back(sum);
    }
    for (auto [base, parameter] : llvm::zip(parameters, shape.parameters))
      values.push_back(
          code.loadOf(base, parameter.element, expert,
                      parameter.ofColumns ? column : code.constant(0),
                      parameter.ofColumns ? shape.n : 1));
    return code.inlineRegion(epilogue, values);
  }

  /// What one of two makes.
  Words choose(ArrayRef<Type> types, Value condition,
               function_ref<Words()> first, function_ref<Words()> second) {
    auto branch =
        scf::IfOp::create(code, types, condition, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(code);
    code.setInsertionPointToStart(branch.thenBlock());
    scf::YieldOp::create(code, first());
    code.setInsertionPointToStart(branch.elseBlock());
    scf::YieldOp::create(code, second());
    return Words(branch.getResults());
  }

  void store(Value value, Value out, Type type, Value row, Value column) {
    if (!type.isF32())
      value = arith::TruncFOp::create(code, type, value);
    code.store(
        value,
        code.at(out, code.mul(code.add(code.mul(code.widen(row), shape.n),
                                       code.widen(column)),
                              type.getIntOrFloatBitWidth() / 8)));
  }

  Emitter &code;
  const MatmulShape &shape;
  Epilogue &epilogue;
  Stretch stretch;
  std::optional<BlockWeights> blocks;
  Value thread, lane, warp, zero;

private:
  int64_t getRowBytes() const { return shape.rows.getIntOrFloatBitWidth() / 8; }
  /// Of the lane, in a step of its warp.
  Value getDepth(Value part) {
    return code.add(code.mul(part, stretch.steps * kStep),
                    code.mul(code.bitAnd(lane, 3), 8));
  }

  Words loadWeights(const std::array<Value, 2> &rows, Value from,
                    int64_t steps) {
    Words words;
    for (int64_t step = 0; step < steps; ++step)
      for (Value row : rows) {
        Value at = code.mul(code.add(from, step * kStep), 2);
        llvm::append_range(
            words, code.unpack(code.load(VectorType::get({4}, code.i32()),
                                         code.at(row, at))));
      }
    return words;
  }

  Words loadLeft(Value left, Value at) {
    auto load = [&](Value address) {
      return code.unpack(code.load(VectorType::get({4}, code.i32()), address));
    };
    if (!shape.rows.isF32())
      return load(code.at(left, code.mul(at, 2)));
    Words words;
    for (int64_t half = 0; half < 2; ++half) {
      Words wide;
      for (Value word :
           load(code.at(code.at(left, code.mul(at, 4)), half * 16)))
        wide.push_back(LLVM::BitcastOp::create(code, code.f32(), word));
      words.push_back(code.toBF16(wide[0], wide[1]));
      words.push_back(code.toBF16(wide[2], wide[3]));
    }
    return words;
  }

  Words multiplySteps(Value left, Value from, int64_t steps, ValueRange weights,
                      ValueRange sums) {
    SmallVector<Words> lefts;
    for (int64_t step = 0; step < steps; ++step)
      lefts.push_back(loadLeft(left, code.add(from, step * kStep)));
    Words result(sums);
    for (int64_t step = 0; step < steps; ++step)
      for (int64_t k = 0; k < 4; k += 2) {
        ValueRange upper = weights.slice(step * 8, 4);
        ValueRange lower = weights.slice(step * 8 + 4, 4);
        code.multiplyBF16({upper[k], lower[k], upper[k + 1], lower[k + 1]},
                          {lefts[step][k], lefts[step][k + 1]}, result);
      }
    return result;
  }
};

/// Arguments of a kernel in their order, and its types.
struct Taker {
  ValueRange all;
  Value take(bool has = true) {
    Value own = has ? all.front() : Value();
    all = all.drop_front(has);
    return own;
  }
};
} // namespace

LLVM::LLVMFuncOp moe::nvidia::buildDecodeRows(ModuleOp module, StringRef name,
                                              const MatmulShape &shape,
                                              int64_t slots, Epilogue &epilogue,
                                              DecodeLaunch &launch) {
  Emitter code(module.getLoc(), module.getContext());
  // Many blocks are there at once, 24 warps of a multiprocessor: many warps for
  // a row, so that the last blocks are soon done.
  Stretch stretch(shape.k, /*most=*/8, /*ahead=*/2);
  int64_t resident = 24;
  std::optional<BlockWeights> blocks;
  if (shape.blocks) {
    blocks.emplace(code, shape, getColumns(shape, slots, /*blocks=*/256));
    stretch = Stretch(*blocks);
    resident = blocks->getResident();
  }
  SmallVector<Type> types(4 + shape.parameters.size(), code.pointer(kGlobal));
  LLVM::LLVMFuncOp func =
      createKernel(code, module, name, types, stretch.warps * 32,
                   std::max<int64_t>(1, resident / stretch.warps));
  Taker taker{func.getArguments()};
  Value rhs = taker.take(), lhs = taker.take(), indices = taker.take();
  ValueRange parameters = taker.all.drop_back();
  Value out = taker.all.back();

  Matmul matmul(code, shape, epilogue, stretch, std::move(blocks));
  Value tiles = code.constant(matmul.getTiles());
  Value block = code.block();
  Value row = code.div(block, tiles);
  Value firstColumn =
      code.mul(code.sub(block, code.mul(row, tiles)), matmul.getTileColumns());
  auto [expert, valid] = matmul.getExpert(indices, row);
  code.when(valid, [&, expert = expert] {
    Value token = code.div(row, code.constant(slots));
    Words sums;
    if (matmul.blocks) {
      sums = matmul.blocks->multiply(matmul.getRow(lhs, token), rhs, expert,
                                     firstColumn, matmul.warp, matmul.lane);
    } else {
      auto rows = matmul.getWeights(rhs, expert, firstColumn, matmul.warp);
      Words first = matmul.loadFirst(rows);
      sums =
          matmul.multiply(matmul.getLeft(lhs, token, matmul.warp), rows, first);
    }
    Value shared = code.sharedMemory();
    matmul.share(shared, sums);
    code.barrier();
    Value column = code.add(firstColumn, matmul.thread);
    Value stores = code.both(
        code.isLess(matmul.thread, code.constant(matmul.getTileColumns())),
        code.isLess(column, code.constant(shape.n)));
    code.when(stores, [&] {
      Value value =
          matmul.finish(shared, 0, matmul.thread, expert, column, parameters);
      matmul.store(value, out, shape.out, row, column);
    });
  });
  moe::gpu::setSharedBytes(func, stretch.warps * matmul.getWarpBytes());
  launch = {matmul.getTiles()};
  LLVM::ReturnOp::create(code, ValueRange());
  return func;
}

LLVM::LLVMFuncOp moe::nvidia::buildDecodeSums(ModuleOp module, StringRef name,
                                              const MatmulShape &shape,
                                              const moe::gpu::CombineShape &sum,
                                              bool overlaps, Epilogue &epilogue,
                                              DecodeLaunch &launch) {
  Emitter code(module.getLoc(), module.getContext());
  // As many warps as registers go, of which code before Hopper's takes more.
  int64_t most = (overlaps ? kDecodeWarps : 16) / sum.slots;
  Stretch stretch(shape.k, std::max<int64_t>(1, most), /*ahead=*/4);
  if (stretch.warps * sum.slots > 16)
    stretch.ahead = overlaps ? 3 : 2;
  std::optional<BlockWeights> blocks;
  if (shape.blocks) {
    blocks.emplace(code, shape, getColumns(shape, 1, /*blocks=*/128),
                   std::max<int64_t>(1, most));
    stretch = Stretch(*blocks);
  }
  int64_t warps = stretch.warps * sum.slots;
  SmallVector<Type> types(4 + sum.weighs + bool(sum.init) +
                              shape.parameters.size(),
                          code.pointer(kGlobal));
  LLVM::LLVMFuncOp func = createKernel(code, module, name, types, warps * 32);
  Taker taker{func.getArguments()};
  Value rhs = taker.take(), lhs = taker.take(), indices = taker.take();
  Value weights = taker.take(sum.weighs), init = taker.take(bool(sum.init));
  ValueRange parameters = taker.all.drop_back();
  Value out = taker.all.back();

  Matmul matmul(code, shape, epilogue, stretch, std::move(blocks));
  Value tiles = code.constant(matmul.getTiles());
  Value token = code.div(code.block(), tiles);
  Value firstColumn = code.mul(code.sub(code.block(), code.mul(token, tiles)),
                               matmul.getTileColumns());
  Value slot = code.div(matmul.warp, code.constant(stretch.warps));
  Value part = code.sub(matmul.warp, code.mul(slot, stretch.warps));
  Value row = code.add(code.mul(token, sum.slots), slot);

  // The experts were chosen before the first product began, which is the kernel
  // before this one; so what is known when this begins are the weights to load.
  auto [expert, valid] = matmul.getExpert(indices, row);
  Value safe = code.select(valid, expert, code.constant(0));
  Words early;
  std::array<Value, 2> rows;
  if (matmul.blocks && overlaps) {
    code.when(valid, [&] {
      matmul.blocks->prefetch(
          rhs, safe, firstColumn, code.add(code.mul(part, 32), matmul.lane),
          stretch.warps * 32, kPrefetched / (matmul.getTiles() * sum.slots));
    });
  } else if (!matmul.blocks) {
    rows = matmul.getWeights(rhs, safe, firstColumn, part);
    int64_t words = 8 * std::min(stretch.ahead, stretch.steps);
    early = matmul.choose(
        SmallVector<Type>(words, code.i32()), valid,
        [&] { return matmul.loadFirst(rows); },
        [&] { return Words(words, code.constant(0)); });
  }
  if (overlaps)
    code.waitForKernels();
  Words own = matmul.choose(
      SmallVector<Type>(matmul.getSums(), code.f32()), valid,
      [&] {
        if (matmul.blocks)
          return matmul.blocks->multiply(matmul.getRow(lhs, row), rhs, safe,
                                         firstColumn, part, matmul.lane);
        return matmul.multiply(matmul.getLeft(lhs, row, part), rows, early);
      },
      [&] { return Words(matmul.getSums(), matmul.zero); });
  Value shared = code.sharedMemory();
  matmul.share(shared, own);
  code.barrier();

  Value column = code.add(firstColumn, matmul.thread);
  Value stores = code.both(
      code.isLess(matmul.thread, code.constant(matmul.getTileColumns())),
      code.isLess(column, code.constant(shape.n)));
  code.when(stores, [&] {
    Value total = matmul.zero;
    if (init) {
      total = code.loadOf(init, sum.init, token, column, shape.n);
      if (!sum.init.isF32())
        total = arith::ExtFOp::create(code, code.f32(), total);
    }
    for (int64_t i = 0; i < sum.slots; ++i) {
      Value at = code.add(code.mul(token, sum.slots), i);
      auto [expert, valid] = matmul.getExpert(indices, at);
      Value value = matmul.finish(shared, i * stretch.warps, matmul.thread,
                                  code.select(valid, expert, code.constant(0)),
                                  column, parameters);
      value = code.select(valid, value, matmul.zero);
      total =
          weights
              ? Value(LLVM::FMAOp::create(
                    code,
                    code.load(code.f32(),
                              code.at(weights, code.mul(code.widen(at), 4))),
                    value, total))
              : Value(arith::AddFOp::create(code, total, value));
    }
    matmul.store(total, out, sum.out, token, column);
  });
  moe::gpu::setSharedBytes(func, warps * matmul.getWarpBytes());
  launch = {matmul.getTiles()};
  LLVM::ReturnOp::create(code, ValueRange());
  return func;
}
