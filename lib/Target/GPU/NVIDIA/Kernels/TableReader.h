//===- TableReader.h - Tables are looked up by permutations -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_TABLEREADER_H
#define MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_TABLEREADER_H

#include "Emitter.h"

#include "moe-mlir/Target/GPU/Common/ThreadReader.h"

namespace moe::nvidia {

/// A thread's reader that looks tables of 16 bytes up by `prmt`.
class TableReader : public gpu::ThreadReader {
public:
  TableReader(Emitter &code, const moek::BlockPanels &panels, int64_t k,
              Value block, Value column)
      : ThreadReader(code, panels, k, block, column), code(code) {}

  using ThreadReader::lookUp;
  Value lookUp(Value codes, mlir::ArrayRef<int8_t> table) override;

protected:
  Emitter &code;

private:
  /// The entries of a table for the eight numbers of four bits of a word.
  std::array<Value, 2> lookUpNibbles(Value word, mlir::ArrayRef<int8_t> table);
};

} // namespace moe::nvidia

#endif // MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_TABLEREADER_H
