//===- BlockKernel.h - Kernels of weights in a format ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A lane of a vector is a column of the panel, so whatever a format does with the
// numbers of one block is done for as many columns as a vector has lanes.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_TARGET_CPU_KERNELS_BLOCKKERNEL_H
#define MOE_LIB_TARGET_CPU_KERNELS_BLOCKKERNEL_H

#include "MicroKernel.h"

namespace moe {

/// What the kernels of a format share.
struct BlockShape {
  moecpu::ScheduleAttr schedule;
  moecpu::BlocksAttr layout;
  int64_t k;
  WeightFormatAttrInterface format;
  llvm::SmallVector<BlockField> fields;
  DecodeRounds rounds;
  int64_t lanes, rows;
  /// Vectors of a block's columns that a pass covers.
  int64_t vectors;

  BlockShape(moecpu::ScheduleAttr schedule, moecpu::BlocksAttr layout,
             int64_t k, int64_t rows);
};

/// Some columns of the blocks of a panel, from `column` on.
class PanelReader : public BlockReader {
public:
  PanelReader(Emitter &e, const BlockShape &shape, int64_t column)
      : BlockReader(e, e.getLoc()), e(e), shape(shape), column(column) {}

  /// The block to read.
  void setBlock(Value pointer) { block = pointer; }
  /// Where what the block's rounds share is kept: in registers, or, if there is
  /// much of it, on the stack.
  void setShared(llvm::ArrayRef<Value> values, Value stack);

  Value readNumber(int64_t field, Value index) override;
  Value readWord(int64_t field, Value index) override;
  Value lookUp(Value codes, llvm::ArrayRef<int8_t> table) override;
  Value lookUp(Value indices, llvm::ArrayRef<uint16_t> table) override;
  Value readShared(Value index) override;
  mlir::Type getIntType() override { return e.vec(shape.lanes, e.getI32Type()); }
  mlir::Type getFloatType() override { return e.vecF32(shape.lanes); }
  using BlockReader::readNumber;
  using BlockReader::readWord;

private:
  /// `type` at number `index` of a field whose numbers have `size` bytes.
  Value load(int64_t field, mlir::Type type, Value index, int64_t size);

  Emitter &e;
  const BlockShape &shape;
  int64_t column;
  Value block, stack;
  llvm::SmallVector<Value> shared;
};

/// A kernel's arguments; see MicroKernels.
struct BlockArguments {
  Role role;
  mlir::Value blocks, panel, lhs, acc;
  /// Of kernels that share their panel, else null.
  mlir::Value next, stride;
  /// Of those that leave their values, else null.
  mlir::Value widened;
};

/// One pass over the columns from `column` on.
class BlockPass {
public:
  BlockPass(Emitter &e, const BlockShape &shape, int64_t pitch, int64_t pass,
            const BlockArguments &arguments);
  virtual ~BlockPass() = default;
  void emit();

protected:
  using Value = mlir::Value;

  /// The accumulators, from and to rows of 32 f32 at `acc`: row by row.
  virtual llvm::SmallVector<Value> loadTile(Value acc);
  virtual void storeTile(Value acc, mlir::ValueRange tile);
  /// Multiplies one block and adds to `tile`, the accumulators.
  virtual void emitBlock(Value lhs, llvm::MutableArrayRef<Value> tile) = 0;
  /// `count` rounds of something for the block at hand, as a loop that carries
  /// `tile`, if they are more than one; prefetches between them.
  void emitRounds(llvm::MutableArrayRef<Value> tile,
                  llvm::function_ref<void(Value period, Value word,
                                          llvm::MutableArrayRef<Value>)>
                      body);
  /// The same of periods, whose words `body` takes all at once.
  void emitPeriods(llvm::MutableArrayRef<Value> tile,
                   llvm::function_ref<void(Value period,
                                           llvm::MutableArrayRef<Value>)>
                       body);
  /// The same of any loops that read all of a block.
  void emitLoops(int64_t periods, int64_t words,
                 llvm::MutableArrayRef<Value> tile,
                 llvm::function_ref<void(Value period, Value word,
                                         llvm::MutableArrayRef<Value>)>
                     body);
  Emitter &e;
  const BlockShape &shape;
  int64_t rows, pitch, pass;
  const BlockArguments &arguments;
  llvm::SmallVector<PanelReader, 2> readers;
  /// Where the values of this block are, as they are multiplied, if the role says
  /// that there are any.
  Value values;

private:
  /// What all rounds of a block share.
  void readShared();
  /// Prefetches so many lines of a block, from line `line` on, or so many steps,
  /// between the products that are there.
  void emitPrefetches(Value line, int64_t lines, int64_t steps);

  llvm::SmallVector<Value> stacks;
  Value block, next;
};

/// By values that are decoded to f32 or bf16 in registers.
std::unique_ptr<BlockPass> createDecodePass(Emitter &e, const BlockShape &shape,
                                            int64_t pitch, int64_t pass,
                                            const BlockArguments &arguments);
/// By the pieces of k that weights have values for.
std::unique_ptr<BlockPass> createListPass(Emitter &e, const BlockShape &shape,
                                          int64_t pitch, int64_t pass,
                                          const BlockArguments &arguments);
/// By values of rows that are chosen for the weights that are not zero.
std::unique_ptr<BlockPass> createSparsePass(Emitter &e, const BlockShape &shape,
                                            int64_t pitch, int64_t pass,
                                            const BlockArguments &arguments);
/// By products of bytes.
std::unique_ptr<BlockPass> createDotPass(Emitter &e, const BlockShape &shape,
                                         int64_t pitch, int64_t pass,
                                         const BlockArguments &arguments);

} // namespace moe

#endif // MOE_LIB_TARGET_CPU_KERNELS_BLOCKKERNEL_H
