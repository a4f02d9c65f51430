//===- WordPacker.h - Lists of the bits of words ------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The numbers of the bits that are set in a word, one after another, without a
// branch: they are stored at full width, and the next store overwrites what was
// too much.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_TARGET_CPU_KERNELS_WORDPACKER_H
#define MOE_LIB_TARGET_CPU_KERNELS_WORDPACKER_H

#include "moe-mlir/Target/Lanes/Emitter.h"
#include "moe_cpu/MoeCpu.h"

namespace moe {

/// Packs words of `lanes` bits; `op` is in the module that gets the table, if
/// one is used.
class WordPacker {
public:
  using Value = mlir::Value;

  WordPacker(Emitter &e, int64_t lanes, moecpu::PackBy by, mlir::Operation *op);

  /// `at` is the address of the next i32 of the list; returns the one behind
  /// the numbers of `word`, the first bit of which has number `base` (i32).
  Value pack(Emitter &e, Value word, Value base, Value at);

private:
  Value compress(Emitter &e, Value part, Value base, Value at, int64_t step);
  Value lookUp(Emitter &e, Value byte, Value base, Value at);
  void store(Emitter &e, Value places, Value base, Value at);

  Value table;
  int64_t lanes;
  moecpu::PackBy by;
};

} // namespace moe

#endif // MOE_LIB_TARGET_CPU_KERNELS_WORDPACKER_H
