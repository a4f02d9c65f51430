//===- ThreadCode.h - Code in lanes, on the lane of a thread ----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Routers are written on vectors of tokens (moe/Lanes.h). On a GPU a thread is
// the lane of a token: vectors of one lane are scalars, scratch is the thread's
// own array, and what is given is in the device's memory.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_TARGET_GPU_COMMON_THREADCODE_H
#define MOE_MLIR_LIB_TARGET_GPU_COMMON_THREADCODE_H

#include "moe-mlir/Target/GPU/Common/Emitter.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/DenseMap.h"

namespace moe::gpu {

class ThreadCode {
public:
  /// Arrays of the thread come to the begin of the function that `code` is in.
  explicit ThreadCode(Emitter &code) : code(code) {}

  /// `memref` is at `base` in the device's memory, with a row of its last
  /// dimension after another; all its dynamic sizes are `size`, an i64.
  void setMemory(Value memref, Value base, Value size);
  /// A value of the code to emit is this one, a scalar.
  void set(Value from, Value to) { scalars[from] = to; }

  /// Emits the operations of a block: `arith`, `math`, `scf.for`, `scf.if`, and
  /// what `memref` and `vector` do with one lane. Fails with an error at
  /// another one.
  mlir::LogicalResult emit(mlir::Block &block);

private:
  struct Array {
    mlir::MemRefType type;
    /// An address, or an array of the thread.
    Value base;
    Value size;
    bool isPrivate() const {
      return mlir::isa<mlir::MemRefType>(base.getType());
    }
  };

  mlir::LogicalResult emit(mlir::Operation *op);
  mlir::LogicalResult emitFor(mlir::scf::ForOp op);
  mlir::LogicalResult emitIf(mlir::scf::IfOp op);
  void emitAlloca(mlir::memref::AllocaOp op);
  mlir::LogicalResult clone(mlir::Operation *op);
  /// A dense constant that is written to an array.
  void storeTable(mlir::DenseElementsAttr values, Value memref);

  Value load(Value memref, ValueRange at);
  void store(Value value, Value memref, ValueRange at);
  /// The number of an element: an index into an array of the thread, else i64.
  Value getNumber(const Array &array, ValueRange at);
  Value get(Value value) { return scalars.lookup(value); }

  Emitter &code;
  llvm::DenseMap<Value, Value> scalars;
  llvm::DenseMap<Value, Array> arrays;
};

} // namespace moe::gpu

#endif // MOE_MLIR_LIB_TARGET_GPU_COMMON_THREADCODE_H
