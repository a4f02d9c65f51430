//===- Fragments.cpp - Where products of matrices have their elements -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Fragments.h"

using namespace moe::reference::simt;

// In the manual's words: groupID = laneid >> 2, threadID_in_group = laneid % 4.

Position moe::reference::simt::getMmaA(unsigned lane, unsigned i) {
  unsigned group = lane >> 2, inGroup = lane % 4;
  // row = groupID for a0, a1, a4, a5, and groupID + 8 otherwise.
  bool isUpper = i < 2 || (i >= 4 && i < 6);
  unsigned row = isUpper ? group : group + 8;
  // col = (threadID_in_group * 2) + (i & 1), and 8 more from a4 on.
  unsigned column = inGroup * 2 + (i & 1) + (i >= 4 ? 8 : 0);
  return {row, column};
}

Position moe::reference::simt::getMmaB(unsigned lane, unsigned i) {
  unsigned group = lane >> 2, inGroup = lane % 4;
  // row = (threadID_in_group * 2) + (i & 1), and 8 more from b2 on.
  return {inGroup * 2 + (i & 1) + (i >= 2 ? 8 : 0), group};
}

Position moe::reference::simt::getMmaC(unsigned lane, unsigned i) {
  unsigned group = lane >> 2, inGroup = lane % 4;
  // row = groupID for c0 and c1, groupID + 8 for c2 and c3.
  return {i < 2 ? group : group + 8, inGroup * 2 + (i & 1)};
}

Position moe::reference::simt::getWgmmaD(unsigned thread, unsigned i) {
  // A warp has 16 rows; every four registers are a C of mma, eight columns on.
  Position own = getMmaC(thread % 32, i % 4);
  return {thread / 32 * 16 + own.row, i / 4 * 8 + own.column};
}

uint32_t moe::reference::simt::swizzle(uint32_t address, Swizzle kind) {
  // Of 128 bytes: bits 4 to 6 by bits 7 to 9. Of 64: bits 4 and 5 by bits 7
  // and 8. Of 32: bit 4 by bit 7.
  switch (kind) {
  case kNoSwizzle:
    return address;
  case kSwizzle128:
    return address ^ ((address >> 7 & 7) << 4);
  case kSwizzle64:
    return address ^ ((address >> 7 & 3) << 4);
  case kSwizzle32:
    return address ^ ((address >> 7 & 1) << 4);
  }
  return address;
}

MatrixDescriptor::MatrixDescriptor(uint64_t bits)
    : address((bits & 0x3fff) << 4), leadingBytes((bits >> 16 & 0x3fff) << 4),
      strideBytes((bits >> 32 & 0x3fff) << 4), baseOffset(bits >> 49 & 7),
      kind(Swizzle(bits >> 62)) {}

uint32_t MatrixDescriptor::getAddress(unsigned row, unsigned byte) const {
  uint32_t start = address + row / 8 * strideBytes;
  // Without a swizzle, eight rows of 16 bytes lie together.
  if (kind == kNoSwizzle)
    return start + byte / 16 * leadingBytes + row % 8 * 16 + byte % 16;
  uint32_t width = kind == kSwizzle128 ? 128 : kind == kSwizzle64 ? 64 : 32;
  return swizzle(start + row % 8 * width + byte, kind);
}
