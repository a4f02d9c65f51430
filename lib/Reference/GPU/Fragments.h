//===- Fragments.h - Where products of matrices have their elements -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// As NVIDIA's manual of PTX defines them: which element of a matrix a lane has
// in which register, and where an element of a matrix in shared memory lies.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_REFERENCE_GPU_FRAGMENTS_H
#define MOE_MLIR_LIB_REFERENCE_GPU_FRAGMENTS_H

#include <cstdint>

namespace moe::reference::simt {

struct Position {
  unsigned row, column;
};

/// mma m16n8k16 of 16-bit elements. A is `[16, 16]` and B `[16 (k), 8]`;
/// `element` counts a lane's elements, two in each register: eight of A, four
/// of B. C and D are `[16, 8]`, four f32 each.
Position getMmaA(unsigned lane, unsigned element);
Position getMmaB(unsigned lane, unsigned element);
Position getMmaC(unsigned lane, unsigned element);

/// The sums of wgmma m64nNk16 and m64nNk32, `[64, N]` f32: `thread` is one of
/// 128, `element` counts its N / 2 registers.
Position getWgmmaD(unsigned thread, unsigned element);

/// How rows of shared memory are mixed: blocks of 16 bytes change places by an
/// exclusive or with bits of the row.
enum Swizzle : unsigned { kNoSwizzle = 0, kSwizzle128, kSwizzle64, kSwizzle32 };

/// Where what belongs at an address lies.
uint32_t swizzle(uint32_t address, Swizzle kind);

/// A matrix in shared memory as products of warpgroups are told of it. Rows are
/// those of A, and columns of B; depth is contiguous.
struct MatrixDescriptor {
  uint32_t address, leadingBytes, strideBytes, baseOffset;
  Swizzle kind;

  explicit MatrixDescriptor(uint64_t bits);
  /// The address of a byte of a row's 32, which are 16 elements of 16 bits or
  /// 32 of 8.
  uint32_t getAddress(unsigned row, unsigned byte) const;
};

} // namespace moe::reference::simt

#endif // MOE_MLIR_LIB_REFERENCE_GPU_FRAGMENTS_H
