//===- FragmentsTest.cpp - Layouts of the GPU interpreter -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Positions copied by hand from the figures of NVIDIA's manual of PTX, not from
// formulas.
//
//===----------------------------------------------------------------------===//

#include "Reference/GPU/Fragments.h"

#include "gtest/gtest.h"
#include <set>

using namespace moe::reference::simt;

static void expectAt(Position at, unsigned row, unsigned column) {
  EXPECT_EQ(at.row, row);
  EXPECT_EQ(at.column, column);
}

// "m16n8k16, fragment layout for matrix A with .f16/.bf16": rows 0 and 8 begin
// with T0:{a0,a1} and T0:{a2,a3}, columns 8 on are {a4,a5} and {a6,a7}.
TEST(Fragments, MmaA) {
  expectAt(getMmaA(0, 0), 0, 0);
  expectAt(getMmaA(0, 1), 0, 1);
  expectAt(getMmaA(3, 1), 0, 7);
  expectAt(getMmaA(0, 4), 0, 8);
  expectAt(getMmaA(3, 5), 0, 15);
  expectAt(getMmaA(4, 0), 1, 0);
  expectAt(getMmaA(28, 0), 7, 0);
  expectAt(getMmaA(0, 2), 8, 0);
  expectAt(getMmaA(1, 3), 8, 3);
  expectAt(getMmaA(0, 6), 8, 8);
  expectAt(getMmaA(31, 7), 15, 15);
}

// Matrix B: column 0 is T0:{b0,b1}, T1:{b0,b1}, T2, T3, then T0:{b2,b3}.
TEST(Fragments, MmaB) {
  expectAt(getMmaB(0, 0), 0, 0);
  expectAt(getMmaB(0, 1), 1, 0);
  expectAt(getMmaB(1, 0), 2, 0);
  expectAt(getMmaB(3, 1), 7, 0);
  expectAt(getMmaB(0, 2), 8, 0);
  expectAt(getMmaB(3, 3), 15, 0);
  expectAt(getMmaB(4, 0), 0, 1);
  expectAt(getMmaB(31, 3), 15, 7);
}

// Matrices C and D: row 0 is T0:{c0,c1} to T3:{c0,c1}, row 8 has {c2,c3}.
TEST(Fragments, MmaC) {
  expectAt(getMmaC(0, 0), 0, 0);
  expectAt(getMmaC(3, 1), 0, 7);
  expectAt(getMmaC(4, 0), 1, 0);
  expectAt(getMmaC(0, 2), 8, 0);
  expectAt(getMmaC(31, 3), 15, 7);
}

// "WGMMA .m64nNk16 register fragment layout for accumulator matrix D": T0 has
// d0, d1 in row 0 and d2, d3 in row 8; d4 is eight columns on; T32 begins row
// 16, and T127 ends row 63.
TEST(Fragments, WgmmaD) {
  expectAt(getWgmmaD(0, 0), 0, 0);
  expectAt(getWgmmaD(0, 1), 0, 1);
  expectAt(getWgmmaD(1, 0), 0, 2);
  expectAt(getWgmmaD(0, 2), 8, 0);
  expectAt(getWgmmaD(0, 4), 0, 8);
  expectAt(getWgmmaD(0, 6), 8, 8);
  expectAt(getWgmmaD(32, 0), 16, 0);
  expectAt(getWgmmaD(64, 0), 32, 0);
  expectAt(getWgmmaD(127, 3), 63, 7);
  expectAt(getWgmmaD(127, 127), 63, 255);
}

// Every element is somebody's, and nobody's twice.
TEST(Fragments, CoverTheMatrix) {
  std::set<std::pair<unsigned, unsigned>> a, b, c, d;
  auto add = [](auto &set, Position at) {
    EXPECT_TRUE(set.insert({at.row, at.column}).second);
  };
  for (unsigned lane = 0; lane < 32; ++lane) {
    for (unsigned i = 0; i < 8; ++i)
      add(a, getMmaA(lane, i));
    for (unsigned i = 0; i < 4; ++i) {
      add(b, getMmaB(lane, i));
      add(c, getMmaC(lane, i));
    }
  }
  for (unsigned thread = 0; thread < 128; ++thread)
    for (unsigned i = 0; i < 128; ++i)
      add(d, getWgmmaD(thread, i));
  EXPECT_EQ(a.size(), 16u * 16);
  EXPECT_EQ(b.size(), 16u * 8);
  EXPECT_EQ(c.size(), 16u * 8);
  EXPECT_EQ(d.size(), 64u * 256);
}

// "128B swizzle mode": the chunks of 16 bytes of eight rows of 128, as the
// manual colours them.
TEST(Swizzle, Of128Bytes) {
  const unsigned chunks[8][8] = {
      {0, 1, 2, 3, 4, 5, 6, 7}, {1, 0, 3, 2, 5, 4, 7, 6},
      {2, 3, 0, 1, 6, 7, 4, 5}, {3, 2, 1, 0, 7, 6, 5, 4},
      {4, 5, 6, 7, 0, 1, 2, 3}, {5, 4, 7, 6, 1, 0, 3, 2},
      {6, 7, 4, 5, 2, 3, 0, 1}, {7, 6, 5, 4, 3, 2, 1, 0}};
  for (unsigned row = 0; row < 8; ++row)
    for (unsigned chunk = 0; chunk < 8; ++chunk)
      EXPECT_EQ(swizzle(4096 + row * 128 + chunk * 16 + 6, kSwizzle128),
                4096 + row * 128 + chunks[row][chunk] * 16 + 6);
  // The pattern begins anew after 1024 bytes.
  EXPECT_EQ(swizzle(1024 + 16, kSwizzle128), 1024u + 16);
}

// The narrower ones: two rows of 64 bytes, and four of 32, share a pattern.
TEST(Swizzle, OfFewerBytes) {
  EXPECT_EQ(swizzle(0x40, kSwizzle64), 0x40u);
  EXPECT_EQ(swizzle(0x80, kSwizzle64), 0x90u);
  EXPECT_EQ(swizzle(0x100, kSwizzle64), 0x120u);
  EXPECT_EQ(swizzle(0x200, kSwizzle64), 0x200u);
  EXPECT_EQ(swizzle(0x60, kSwizzle32), 0x60u);
  EXPECT_EQ(swizzle(0x80, kSwizzle32), 0x90u);
  EXPECT_EQ(swizzle(0x100, kSwizzle32), 0x100u);
  EXPECT_EQ(swizzle(0x180, kNoSwizzle), 0x180u);
}

// Elements are of two bytes. A matrix at byte 2048 whose next eight rows are 1024
// bytes on, swizzled by 128:
// bits 0 to 13 are 128, 32 to 45 are 64, and 62 and 63 are 1.
TEST(MatrixDescriptor, Swizzled) {
  MatrixDescriptor matrix(0x4000004000010080);
  EXPECT_EQ(matrix.address, 2048u);
  EXPECT_EQ(matrix.strideBytes, 1024u);
  EXPECT_EQ(matrix.kind, kSwizzle128);
  EXPECT_EQ(matrix.getAddress(0, 0), 2048u);
  EXPECT_EQ(matrix.getAddress(0, 2 * 9), 2048u + 18);
  // Row 1: chunks 0 and 1 have changed places.
  EXPECT_EQ(matrix.getAddress(1, 0), 2048u + 128 + 16);
  EXPECT_EQ(matrix.getAddress(1, 2 * 8), 2048u + 128);
  EXPECT_EQ(matrix.getAddress(8, 0), 2048u + 1024);
  EXPECT_EQ(matrix.getAddress(13, 2 * 3), 2048u + 1024 + 5 * 128 + 5 * 16 + 6);
}

// Without a swizzle: eight rows of 16 bytes, the next depth 256 bytes on and the
// next rows 512.
TEST(MatrixDescriptor, Plain) {
  MatrixDescriptor matrix(0x0000002000100040);
  EXPECT_EQ(matrix.address, 1024u);
  EXPECT_EQ(matrix.leadingBytes, 256u);
  EXPECT_EQ(matrix.strideBytes, 512u);
  EXPECT_EQ(matrix.getAddress(3, 2 * 5), 1024u + 48 + 10);
  EXPECT_EQ(matrix.getAddress(3, 2 * 8), 1024u + 48 + 256);
  EXPECT_EQ(matrix.getAddress(9, 0), 1024u + 512 + 16);
}
