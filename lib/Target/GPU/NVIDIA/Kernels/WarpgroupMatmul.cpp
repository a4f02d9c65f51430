//===- WarpgroupMatmul.cpp - Hopper's products of warpgroups ----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Of a block's three warpgroups, the first fills stages in shared memory, see
// TileBlock. The others multiply them, 64 rows each, and hold a tile's sums in
// registers. The blocks stay, one on each multiprocessor, and take tile after
// tile, so that the next tile's stages fill during the epilogue.
//
//===----------------------------------------------------------------------===//

#include "WarpgroupProducts.h"

using namespace mlir;
using namespace moe::nvidia;

namespace {
/// Groups that multiply, and what each has of a tile.
constexpr int64_t kGroups = 2, kGroupRows = TileBlock::kRows / kGroups,
                  kSums = TileBlock::kColumns / 2;
static_assert(kGroupRows == moe::nvidia::kProductRows);

/// Of a thread when the block begins, as many as a multiprocessor has for each of
/// its threads; and what they are given by.
constexpr int64_t kRegisters = 168, kRegisterUnit = 8;

class Matmul {
public:
  Matmul(Emitter &code, const MatmulShape &shape, const Filler &filler,
         Epilogue &epilogue, LLVM::LLVMFuncOp func)
      : code(code), shape(shape), filler(filler), epilogue(epilogue),
        block(code, shape, func.getArguments()), given(block.given) {}

  void build() {
    block.begin(filler.arrivals, kGroups * getFrees());
    thread = block.thread;
    lane = block.lane;
    Value group = code.shr(block.warp, 2);
    int64_t left = ((1 + kGroups) * kRegisters - filler.registers) / kGroups;
    code.when(
        code.isEqual(group, 0),
        [&] {
          setRegisters(filler.registers, NVVM::SetMaxRegisterAction::decrease);
          filler.build(block);
        },
        [&] {
          setRegisters(left / kRegisterUnit * kRegisterUnit,
                       NVVM::SetMaxRegisterAction::increase);
          buildProducts(code.add(group, -1));
        });
  }

  int64_t getSharedBytes() const { return block.getSharedBytes(); }

private:
  void setRegisters(int64_t count, NVVM::SetMaxRegisterAction action) {
    NVVM::SetMaxRegisterOp::create(
        code, code.getI32IntegerAttr(count),
        NVVM::SetMaxRegisterActionAttr::get(code.getContext(), action));
  }

  /// Who of a group says that a stage is free: one for the group, whose
  /// products read it, or one for each warp, which has read scales as well.
  int64_t getFrees() const {
    return shape.scales ? TileBlock::kGroupThreads / 32 : 1;
  }

  void release(Value condition, const Ring &ring) {
    code.when(condition, [&] { code.arrive(block.empty(ring)); });
  }

  /// By group `own` of those that multiply.
  void buildProducts(Value own) {
    Value leads = code.isEqual(
        code.bitAnd(thread, TileBlock::kGroupThreads / getFrees() - 1), 0);
    Ring start = Ring::getStart(code);
    block.forEachTile({start.stage, start.parity}, [&](const Tile &tile,
                                                       ValueRange values) {
      // A group without rows leaves the tensor cores to the other one.
      Value hasRows = code.isLess(
          code.add(tile.firstRow, code.mul(own, kGroupRows)), tile.endRow);
      auto branch = scf::IfOp::create(code, TypeRange{code.i32(), code.i32()},
                                      hasRows, true);
      OpBuilder::InsertionGuard guard(code);
      code.setInsertionPointToStart(branch.thenBlock());
      scf::YieldOp::create(
          code, shape.scales ? multiplyScaledTile(tile, own, leads, values)
                             : multiplyTile(tile, own, leads, values));
      code.setInsertionPointToStart(branch.elseBlock());
      scf::YieldOp::create(code, skipTile(leads, values));
      return SmallVector<Value>(branch.getResults());
    });
  }

  SmallVector<Value> skipTile(Value leads, ValueRange values) {
    return code.loop(code.constant(0), code.constant(block.getSteps()),
                     code.constant(1), values,
                     [&](Value, ValueRange values) -> SmallVector<Value> {
                       Ring ring{values[0], values[1]};
                       code.wait(block.full(ring), ring.parity);
                       release(leads, ring);
                       Ring next = ring.next(code);
                       return {next.stage, next.parity};
                     });
  }

  SmallVector<Value> multiplyTile(const Tile &tile, Value own, Value leads,
                                  ValueRange values) {
    Value sums = getZeroSums(code, TileBlock::kColumns);
    SmallVector<Value> last = code.loop(
        code.constant(0), code.constant(block.getSteps()), code.constant(1),
        {values[0], values[1], sums},
        [&](Value step, ValueRange values) -> SmallVector<Value> {
          Ring ring{values[0], values[1]};
          Value sums = values[2];
          code.wait(block.full(ring), ring.parity);
          Value lhs = getDescriptor(
              code, code.at(block.getLhs(ring),
                            code.mul(own, kGroupRows * TileBlock::kRowBytes)));
          Value rhs = getDescriptor(code, block.getRhs(ring));
          NVVM::WgmmaFenceAlignedOp::create(code);
          for (int64_t k = 0; k < TileBlock::kRowBytes; k += 32)
            sums = multiply(code, NVVM::WGMMATypes::bf16, sums,
                            code.add(lhs, k / 16), code.add(rhs, k / 16));
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
    store(tile, own, settle(code, last[2]));
    return {last[0], last[1]};
  }

  /// Sums are numbers of their own, which products are added to when they have
  /// been scaled.
  SmallVector<Value> multiplyScaledTile(const Tile &tile, Value own,
                                        Value leads, ValueRange values) {
    SmallVector<Value> initial(values);
    initial.append(kSums,
                   arith::ConstantOp::create(code, code.getF32FloatAttr(0)));
    SmallVector<Value> last = code.loop(
        code.constant(0), code.constant(block.getSteps()), code.constant(1),
        initial, [&](Value, ValueRange values) {
          Ring ring{values[0], values[1]};
          code.wait(block.full(ring), ring.parity);
          SmallVector<Value> sums = addScaledProducts(
              block, ring, code.mul(own, kGroupRows), values.drop_front(2));
          code.joinWarp();
          release(leads, ring);
          Ring next = ring.next(code);
          sums.insert(sums.begin(), {next.stage, next.parity});
          return sums;
        });
    store(tile, own, ValueRange(last).drop_front(2));
    return {last[0], last[1]};
  }

  /// A thread has two rows, and of eight columns two next to each other.
  void store(const Tile &tile, Value own, ValueRange sums) {
    int64_t blocks = TileBlock::kColumns / 8 / shape.parts;
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
  const Filler &filler;
  Epilogue &epilogue;
  TileBlock block;
  const moe::gpu::MatmulArguments &given;
  Value thread, lane;
};
} // namespace

LLVM::LLVMFuncOp moe::nvidia::buildWarpgroupMatmul(ModuleOp module,
                                                   StringRef name,
                                                   const MatmulShape &shape,
                                                   Epilogue &epilogue,
                                                   Launch &launch) {
  Emitter code(module.getLoc(), module.getContext());
  Filler filler = shape.scales   ? getScaledFiller(shape)
                  : shape.blocks ? getDecodingFiller(shape)
                                 : getCopyingFiller(shape);
  // What is copied in boxes is given by maps.
  bool hasWeightBoxes = !shape.blocks,
       hasRowBoxes = !shape.blocks && !shape.gather;
  auto getType = [&](bool isMap) {
    return isMap ? code.mapType() : code.pointer(kGlobal);
  };
  SmallVector<Type> types{getType(hasWeightBoxes), getType(hasRowBoxes)};
  types.append(2 + shape.scales + shape.gather + shape.parameters.size(),
               code.pointer(kGlobal));
  LLVM::LLVMFuncOp func = createKernel(
      code, module, name, types, (1 + kGroups) * TileBlock::kGroupThreads);
  Matmul matmul(code, shape, filler, epilogue, func);
  matmul.build();
  moe::gpu::setSharedBytes(func, matmul.getSharedBytes());
  launch.each = 1;
  launch.rows = TileBlock::kRows;
  launch.columns = TileBlock::kColumns / shape.parts;
  launch.boxes = {hasWeightBoxes ? launch.columns : 0,
                  hasRowBoxes ? launch.rows : 0};
  LLVM::ReturnOp::create(code, ValueRange());
  return func;
}
