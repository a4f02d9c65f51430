//===- ThreadReader.h - A thread reads blocks of weights --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TARGET_GPU_COMMON_THREADREADER_H
#define MOE_MLIR_TARGET_GPU_COMMON_THREADREADER_H

#include "moe-mlir/Target/GPU/Common/Emitter.h"

#include "moek/BlockPanels.h"

namespace moe::gpu {

/// Entry `index`, an i32, of a list.
Value pick(Emitter &code, mlir::ArrayRef<Value> list, Value index);

/// Reads a block of one column from a panel in memory, as scalars. All loads
/// are of words, which is what neighbouring threads read together, and what any
/// device can.
class ThreadReader : public BlockReader {
public:
  /// `block` is the address of the block of all columns of the panel.
  ThreadReader(Emitter &code, const moek::BlockPanels &panels, int64_t k,
               Value block, Value column)
      : BlockReader(code, code.getLoc()), code(code), panels(panels), k(k),
        block(block), column(column), fields(panels.format.getFields(k)) {}

  Value readNumber(int64_t field, Value index) override;
  Value readWord(int64_t field, Value index) override {
    return load(field, index, 4);
  }
  Value lookUp(Value codes, mlir::ArrayRef<int8_t> table) override;
  Value lookUp(Value indices, mlir::ArrayRef<uint16_t> table) override;

  void setShared(mlir::ArrayRef<Value> values) { shared.assign(values); }
  Value readShared(Value index) override;

  Type getIntType() override { return code.i32(); }
  Type getFloatType() override { return code.f32(); }

protected:
  /// Number `index` of a field of numbers of `size` bytes, 1, 2 or 4: without a
  /// sign, as an i32.
  virtual Value load(int64_t field, Value index, int64_t size);

  /// `place` plus the bytes from the block's first on to number `index` of
  /// column 0.
  Value getPlace(int64_t field, Value index, int64_t size, Value place);

  Emitter &code;
  const moek::BlockPanels &panels;
  int64_t k;
  Value block, column;

private:
  mlir::SmallVector<BlockField> fields;
  mlir::SmallVector<Value> shared;
};

} // namespace moe::gpu

#endif // MOE_MLIR_TARGET_GPU_COMMON_THREADREADER_H
