//===- WarpgroupMatmul.cpp - Hopper's products of warpgroups ----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A block has three warpgroups. One fills stages in shared memory: rows of
// weights by the copy engine, rows of activations by it, too, where they lie in
// a row, or else by its threads. The other two multiply, 64 rows each, and hold
// a tile's sums in registers. Stages are handed on by two barriers each: `full`
// and `empty`. The blocks stay, one on each multiprocessor, and take tile after
// tile, so that the next tile's stages fill during the epilogue.
//
//===----------------------------------------------------------------------===//

#include "Emitter.h"
#include "Kernels.h"

#include "moe-mlir/Target/GPU/Common/MatmulArguments.h"
#include "moe-mlir/Target/GPU/Common/Tiles.h"

using namespace mlir;
using namespace moe::nvidia;

namespace {
// A tile's rows, columns (of all parts), and the depth of a stage: 64 values of
// bf16 are the 128 bytes that shared memory is swizzled by.
constexpr int64_t kRows = 128, kColumns = 256, kDepth = 64, kStages = 4;
/// Those of one group.
constexpr int64_t kGroupRows = kRows / 2;
constexpr int64_t kRowBytes = kDepth * 2;
constexpr int64_t kLhsBytes = kRows * kRowBytes,
                  kRhsBytes = kColumns * kRowBytes;
constexpr int64_t kThreads = 384, kSums = 128;
// Of shared memory.
constexpr int64_t kRhsAt = kStages * kLhsBytes;
constexpr int64_t kFullAt = kRhsAt + kStages * kRhsBytes;
constexpr int64_t kEmptyAt = kFullAt + kStages * 8;
constexpr int64_t kTableAt = kEmptyAt + kStages * 8;
// Registers of a thread that copies, and of one that multiplies.
constexpr int64_t kCopyRegisters = 56, kProductRegisters = 224;

/// Which stage is next, and how often the ring has gone round, modulo 2.
struct Ring {
  Value stage, parity;

  Ring next(Emitter &code) const {
    Value stage = code.add(this->stage, 1);
    Value wraps = code.isEqual(stage, kStages);
    return {code.select(wraps, code.constant(0), stage),
            code.select(wraps, code.bitXor(parity, code.constant(1)), parity)};
  }
  Value previous(Emitter &code) const {
    return code.select(code.isEqual(stage, 0), code.constant(kStages - 1),
                       code.add(stage, -1));
  }
};

class Matmul {
public:
  Matmul(Emitter &code, const MatmulShape &shape, Epilogue &epilogue,
         LLVM::LLVMFuncOp func)
      : code(code), shape(shape), epilogue(epilogue),
        given(shape, func.getArguments()),
        tiles(shape.experts, kRows, kColumns / shape.parts, shape.n) {}

  void build() {
    Value base = code.sharedMemory();
    shared = base;
    table = code.at(base, kTableAt);
    thread = code.thread();
    lane = code.bitAnd(thread, 31);
    // The same in all lanes, which the compiler of PTX would not see.
    Value warp = code.broadcast(code.shr(thread, 5), 0);
    code.when(code.isEqual(thread, 0), [&] {
      for (int64_t stage = 0; stage < kStages; ++stage) {
        code.initBarrier(code.at(base, kFullAt + stage * 8),
                         shape.gather ? 129 : 1);
        code.initBarrier(code.at(base, kEmptyAt + stage * 8), 2);
      }
      NVVM::FenceMbarrierInitOp::create(code);
    });
    code.when(code.isEqual(warp, 1),
              [&] { tiles.count(code, given.offsets, table, lane); });
    code.barrier();
    total = tiles.getTotal(code, table);
    group = code.shr(warp, 2);
    code.when(
        code.isEqual(group, 0),
        [&] {
          setRegisters(kCopyRegisters, NVVM::SetMaxRegisterAction::decrease);
          if (shape.gather)
            buildGatheringCopies();
          else
            code.when(code.isEqual(warp, 0), [&] { buildBoxCopies(); });
        },
        [&] {
          setRegisters(kProductRegisters, NVVM::SetMaxRegisterAction::increase);
          buildProducts();
        });
  }

  int64_t getSharedBytes() const { return kTableAt + tiles.getBytes(); }

private:
  void setRegisters(int64_t count, NVVM::SetMaxRegisterAction action) {
    NVVM::SetMaxRegisterOp::create(
        code, code.getI32IntegerAttr(count),
        NVVM::SetMaxRegisterActionAttr::get(code.getContext(), action));
  }

  Value barrier(int64_t at, Value stage) {
    return code.at(code.at(shared, code.shl(stage, 3)), at);
  }
  Value full(Value stage) { return barrier(kFullAt, stage); }
  Value empty(Value stage) { return barrier(kEmptyAt, stage); }
  Ring getStart() { return {code.constant(0), code.constant(0)}; }

  /// `body` for each tile of this block, and each stage of it.
  void
  forEachTile(ValueRange initial,
              function_ref<SmallVector<Value>(const Tile &, ValueRange)> body,
              SmallVector<Value> *results = nullptr) {
    auto values =
        code.loop(code.block(), total, code.numBlocks(), initial,
                  [&](Value number, ValueRange values) {
                    return body(tiles.find(code, table, lane, number), values);
                  });
    if (results)
      *results = values;
  }

  int64_t getSteps() const { return (shape.k + kDepth - 1) / kDepth; }

  /// By one thread: what the stage gets of the weights.
  void copyWeights(const Tile &tile, Value stage, Value column) {
    int64_t rows = kColumns / shape.parts;
    for (int64_t part = 0; part < shape.parts; ++part) {
      Value to = code.at(code.at(shared, code.mul(stage, kRhsBytes)),
                         kRhsAt + part * rows * kRowBytes);
      Value row =
          code.add(code.add(code.mul(tile.expert, shape.parts * shape.n),
                            part * shape.n),
                   tile.firstColumn);
      code.copyBox(to, given.rhs, {column, row}, full(stage));
    }
  }

  /// By one warp.
  void buildBoxCopies() {
    Value first = code.isEqual(lane, 0);
    Ring start = getStart();
    forEachTile(
        {start.stage, start.parity}, [&](const Tile &tile, ValueRange values) {
          return code.loop(
              code.constant(0), code.constant(getSteps()), code.constant(1),
              values, [&](Value step, ValueRange values) -> SmallVector<Value> {
                Ring ring{values[0], values[1]};
                code.when(first, [&] {
                  code.wait(empty(ring.stage),
                            code.bitXor(ring.parity, code.constant(1)));
                  code.arriveExpecting(full(ring.stage), kLhsBytes + kRhsBytes);
                  Value column = code.mul(step, kDepth);
                  code.copyBox(code.at(shared, code.mul(ring.stage, kLhsBytes)),
                               given.lhs, {column, tile.firstRow},
                               full(ring.stage));
                  copyWeights(tile, ring.stage, column);
                });
                Ring next = ring.next(code);
                return {next.stage, next.parity};
              });
        });
  }

  /// By four warps: eight threads copy the 128 bytes of a row, and each thread
  /// those of eight rows.
  void buildGatheringCopies() {
    Value chunk = code.bitAnd(thread, 7), row = code.shr(thread, 3);
    Value place =
        code.add(code.mul(row, kRowBytes),
                 code.shl(code.bitXor(chunk, code.bitAnd(row, 7)), 4));
    Value first = code.isEqual(thread, 0);
    Ring start = getStart();
    SmallVector<Value> last;
    forEachTile(
        {start.stage, start.parity, code.constant(0)},
        [&](const Tile &tile, ValueRange values) {
          SmallVector<Value> sources;
          Value end = code.add(tile.endRow, -1);
          for (int64_t i = 0; i < 8; ++i) {
            Value own = code.add(code.add(tile.firstRow, row), i * 16);
            Value token =
                code.load(code.i32(),
                          code.at(given.gather,
                                  code.mul(code.widen(code.min(own, end)), 4)));
            Value bytes = code.add(code.mul(code.widen(token), shape.k * 2),
                                   code.widen(code.shl(chunk, 4)));
            sources.push_back(code.at(given.lhs, bytes));
          }
          return code.loop(
              code.constant(0), code.constant(getSteps()), code.constant(1),
              values, [&](Value step, ValueRange values) -> SmallVector<Value> {
                Ring ring{values[0], values[1]};
                code.wait(empty(ring.stage),
                          code.bitXor(ring.parity, code.constant(1)));
                Value to = code.at(code.at(shared, place),
                                   code.mul(ring.stage, kLhsBytes));
                Value from = code.mul(step, kRowBytes);
                for (int64_t i = 0; i < 8; ++i)
                  code.copy16(code.at(to, i * 16 * kRowBytes),
                              code.at(sources[i], from));
                code.commitCopies();
                code.when(first, [&] {
                  code.arriveExpecting(full(ring.stage), kRhsBytes);
                  copyWeights(tile, ring.stage, code.mul(step, kDepth));
                });
                // The stage before has arrived by now.
                code.waitForCopies(1);
                code.when(code.isEqual(values[2], 1), [&] {
                  code.publishToAsync();
                  code.arrive(full(ring.previous(code)));
                });
                Ring next = ring.next(code);
                return {next.stage, next.parity, code.constant(1)};
              });
        },
        &last);
    code.waitForCopies(0);
    code.when(code.isEqual(last[2], 1), [&] {
      code.publishToAsync();
      code.arrive(full(Ring{last[0], last[1]}.previous(code)));
    });
  }

  /// What tells a product where rows of 128 bytes lie, swizzled: the address in
  /// units of 16 bytes, and 1024 bytes from eight rows to the next.
  Value getDescriptor(Value address) {
    Value low = code.bitAnd(code.shr(code.sharedNumber(address), 4), 0x3fff);
    int64_t rest =
        (int64_t(1) << 62) | (int64_t(1024 >> 4) << 32) | (int64_t(1) << 16);
    return code.bitOr(code.widen(low), code.constant64(rest));
  }

  Value multiply(Value sums, Value lhs, Value rhs) {
    auto *context = code.getContext();
    auto bf16 = NVVM::WGMMATypesAttr::get(context, NVVM::WGMMATypes::bf16);
    auto one = NVVM::WGMMAScaleInAttr::get(context, NVVM::WGMMAScaleIn::one);
    return NVVM::WgmmaMmaAsyncOp::create(
        code, sums.getType(), sums, lhs, rhs,
        NVVM::MMAShapeAttr::get(context, kGroupRows, kColumns, 16), bf16, bf16,
        NVVM::WGMMATypesAttr::get(context, NVVM::WGMMATypes::f32),
        NVVM::WGMMAScaleOutAttr::get(context, NVVM::WGMMAScaleOut::one), one,
        one, NVVM::MMALayoutAttr::get(context, NVVM::MMALayout::row),
        NVVM::MMALayoutAttr::get(context, NVVM::MMALayout::col),
        NVVM::MMAIntOverflowAttr());
  }

  /// The same values, which nothing that reads them may be moved before: LLVM
  /// does not know that a product's sums are there only after the wait.
  SmallVector<Value> settle(Value sums) {
    auto type = cast<LLVM::LLVMStructType>(sums.getType());
    SmallVector<Value> values;
    std::string constraints;
    for (int64_t i = 0; i < kSums; ++i)
      constraints += (i ? ",=f" : "=f");
    for (int64_t i = 0; i < kSums; ++i) {
      constraints += "," + std::to_string(i);
      values.push_back(LLVM::ExtractValueOp::create(code, sums, i));
    }
    Value tied = LLVM::InlineAsmOp::create(code, type, values, "", constraints,
                                           /*has_side_effects=*/true,
                                           /*is_align_stack=*/false,
                                           LLVM::TailCallKind::None,
                                           LLVM::AsmDialectAttr(), ArrayAttr())
                     .getResult(0);
    for (int64_t i = 0; i < kSums; ++i)
      values[i] = LLVM::ExtractValueOp::create(code, tied, i);
    return values;
  }

  void release(Value condition, Value stage) {
    code.when(condition, [&] { code.arrive(empty(stage)); });
  }

  void buildProducts() {
    Value own = code.add(group, -1);
    Value leads = code.isEqual(code.bitAnd(thread, 127), 0);
    Ring start = getStart();
    forEachTile({start.stage, start.parity}, [&](const Tile &tile,
                                                 ValueRange values) {
      // A group without rows leaves the tensor cores to the other one.
      Value hasRows = code.isLess(
          code.add(tile.firstRow, code.mul(own, kGroupRows)), tile.endRow);
      auto branch = scf::IfOp::create(code, TypeRange{code.i32(), code.i32()},
                                      hasRows, true);
      OpBuilder::InsertionGuard guard(code);
      code.setInsertionPointToStart(branch.thenBlock());
      scf::YieldOp::create(code, multiplyTile(tile, own, leads, values));
      code.setInsertionPointToStart(branch.elseBlock());
      scf::YieldOp::create(code, skipTile(leads, values));
      return SmallVector<Value>(branch.getResults());
    });
  }

  SmallVector<Value> skipTile(Value leads, ValueRange values) {
    return code.loop(code.constant(0), code.constant(getSteps()),
                     code.constant(1), values,
                     [&](Value, ValueRange values) -> SmallVector<Value> {
                       Ring ring{values[0], values[1]};
                       code.wait(full(ring.stage), ring.parity);
                       release(leads, ring.stage);
                       Ring next = ring.next(code);
                       return {next.stage, next.parity};
                     });
  }

  SmallVector<Value> multiplyTile(const Tile &tile, Value own, Value leads,
                                  ValueRange values) {
    auto type = LLVM::LLVMStructType::getLiteral(
        code.getContext(), SmallVector<Type>(kSums, code.f32()));
    Value sums = LLVM::ZeroOp::create(code, type);
    SmallVector<Value> last = code.loop(
        code.constant(0), code.constant(getSteps()), code.constant(1),
        {values[0], values[1], sums},
        [&](Value step, ValueRange values) -> SmallVector<Value> {
          Ring ring{values[0], values[1]};
          Value sums = values[2];
          code.wait(full(ring.stage), ring.parity);
          Value lhs = getDescriptor(
              code.at(code.at(shared, code.mul(ring.stage, kLhsBytes)),
                      code.mul(own, kGroupRows * kRowBytes)));
          Value rhs = getDescriptor(code.at(
              code.at(shared, code.mul(ring.stage, kRhsBytes)), kRhsAt));
          NVVM::WgmmaFenceAlignedOp::create(code);
          for (int64_t k = 0; k < kDepth; k += 16)
            sums = multiply(sums, code.add(lhs, k * 2 / 16),
                            code.add(rhs, k * 2 / 16));
          NVVM::WgmmaGroupSyncAlignedOp::create(code);
          NVVM::WgmmaWaitGroupSyncOp::create(code, code.getI64IntegerAttr(1));
          // The products before these are done.
          release(code.both(leads, code.isLess(code.constant(0), step)),
                  ring.previous(code));
          Ring next = ring.next(code);
          return {next.stage, next.parity, sums};
        });
    NVVM::WgmmaWaitGroupSyncOp::create(code, code.getI64IntegerAttr(0));
    release(leads, Ring{last[0], last[1]}.previous(code));
    store(tile, own, settle(last[2]));
    return {last[0], last[1]};
  }

  /// A thread has two rows, and of eight columns two next to each other.
  void store(const Tile &tile, Value own, ValueRange sums) {
    int64_t blocks = kColumns / 8 / shape.parts;
    Value pair = code.bitAnd(thread, 3);
    // Warps have 16 rows each.
    Value row =
        code.add(code.add(tile.firstRow, code.mul(own, kGroupRows)),
                 code.add(code.mul(code.shr(code.bitAnd(thread, 127), 5), 16),
                          code.shr(lane, 2)));
    for (int64_t half = 0; half < 2; ++half) {
      Value ownRow = code.add(row, half * 8);
      Value valid = code.isLess(ownRow, tile.endRow);
      Value rowAt = code.at(
          given.out, code.mul(code.widen(ownRow), shape.n * getOutBytes()));
      for (int64_t block = 0; block < blocks; block += 4) {
        SmallVector<Value> words;
        for (int64_t i = 0; i < 4; ++i) {
          SmallVector<Value> two;
          for (int64_t column = 0; column < 2; ++column) {
            SmallVector<Value> parts;
            for (int64_t part = 0; part < shape.parts; ++part)
              parts.push_back(
                  sums[(part * blocks + block + i) * 4 + half * 2 + column]);
            given.appendParameters(
                code, parts, tile.expert,
                code.add(code.add(tile.firstColumn, code.mul(pair, 2)),
                         (block + i) * 8 + column));
            two.push_back(code.inlineRegion(epilogue, parts));
          }
          words.push_back(code.toBF16(two[0], two[1]));
        }
        transpose(words, pair);
        // Eight columns next to each other by now.
        Value column =
            code.add(tile.firstColumn, code.add(code.mul(pair, 8), block * 8));
        Value stores =
            code.both(valid, code.isLess(column, code.constant(shape.n)));
        code.when(stores, [&] {
          code.store(
              code.pack(words),
              code.at(rowAt, code.mul(code.widen(column), getOutBytes())));
        });
      }
    }
  }

  int64_t getOutBytes() const { return shape.out.getIntOrFloatBitWidth() / 8; }

  /// Four words of four lanes that follow one another: lane i gets word i of
  /// each.
  void transpose(SmallVectorImpl<Value> &words, Value lane) {
    for (int64_t bit : {1, 2}) {
      Value upper = code.isEqual(code.bitAnd(lane, bit), bit);
      for (int64_t i = 0; i < 4; ++i) {
        if (i & bit)
          continue;
        Value &a = words[i], &b = words[i | bit];
        Value received = code.exchange(code.select(upper, a, b), bit);
        a = code.select(upper, received, a);
        b = code.select(upper, b, received);
      }
    }
  }

  Emitter &code;
  const MatmulShape &shape;
  Epilogue &epilogue;
  moe::gpu::MatmulArguments given;
  Tiles tiles;
  Value shared, table, thread, lane, group, total;
};
} // namespace

LLVM::LLVMFuncOp moe::nvidia::buildWarpgroupMatmul(ModuleOp module,
                                                   StringRef name,
                                                   const MatmulShape &shape,
                                                   Epilogue &epilogue,
                                                   Launch &launch) {
  Emitter code(module.getLoc(), module.getContext());
  Type map = code.mapType(), memory = code.pointer(kGlobal);
  SmallVector<Type> types{map, shape.gather ? memory : map};
  if (shape.gather)
    types.push_back(memory);
  types.append(2 + shape.parameters.size(), memory);
  LLVM::LLVMFuncOp func = createKernel(code, module, name, types, kThreads);
  Matmul matmul(code, shape, epilogue, func);
  matmul.build();
  moe::gpu::setSharedBytes(func, matmul.getSharedBytes());
  launch.each = 1;
  launch.rows = kRows;
  launch.columns = kColumns / shape.parts;
  launch.boxes = {kColumns / shape.parts, shape.gather ? 0 : kRows};
  LLVM::ReturnOp::create(code, ValueRange());
  return func;
}
