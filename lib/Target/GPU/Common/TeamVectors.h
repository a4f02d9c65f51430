//===- TeamVectors.h - Vectors whose elements lanes share -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Routers compute on vectors of all experts, and weights on vectors of all
// slots. Here a team does: element i is in register i / 32 of lane i % 32.
// Scalars are the same in all lanes. Reductions add up registers, then lanes,
// always in the same order.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_TARGET_GPU_COMMON_TEAMVECTORS_H
#define MOE_MLIR_LIB_TARGET_GPU_COMMON_TEAMVECTORS_H

#include "moe-mlir/Target/GPU/Common/Emitter.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/DenseMap.h"

namespace moe::gpu {

class TeamVectors {
public:
  using Registers = mlir::SmallVector<Value>;

  TeamVectors(Emitter &code, Value lane) : code(code), lane(lane) {}

  /// One for each element of the lane, of a vector of `elements`.
  static int64_t getNumRegisters(int64_t elements) {
    return (elements + 31) / 32;
  }
  /// The number of the element in a register.
  Value getElement(int64_t index) { return code.add(lane, index * 32); }

  /// The row of a matrix of `size` columns, f32 or i32, in the device's memory.
  Registers load(Value base, Type element, Value row, int64_t size);
  /// Writes a vector to the first `size` of a row of `columns`.
  void store(mlir::ArrayRef<Value> values, Value base, Value row, int64_t size,
             int64_t columns);

  void set(Value vector, Registers values) { registers[vector] = values; }
  mlir::ArrayRef<Value> get(Value vector) { return registers[vector]; }

  /// Emits the operations of a block on vectors, `arith`, `math`, `vector` and
  /// `scf.for`. Fails with an error where there is another one.
  mlir::LogicalResult emit(mlir::Block &block);

private:
  mlir::LogicalResult emit(mlir::Operation *op);
  mlir::LogicalResult emitConstant(mlir::arith::ConstantOp op);
  mlir::LogicalResult emitElementwise(mlir::Operation *op);
  mlir::LogicalResult emitReduction(mlir::vector::ReductionOp op);
  mlir::LogicalResult emitLoop(mlir::scf::ForOp op);
  /// The registers of the elements from `offset` on.
  Registers shift(mlir::ArrayRef<Value> source, int64_t offset, int64_t count);
  /// A position in a vector as i32.
  Value getPosition(mlir::OpFoldResult position);

  Emitter &code;
  Value lane;
  llvm::DenseMap<Value, Registers> registers;
};

} // namespace moe::gpu

#endif // MOE_MLIR_LIB_TARGET_GPU_COMMON_TEAMVECTORS_H
