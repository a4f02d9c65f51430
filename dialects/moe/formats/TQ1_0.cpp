//===- TQ1_0.cpp - Blocks of 256 of -1, 0 and 1, five in a byte -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Four consecutive elements are always the same digit of one word's bytes.
// Which, has three rules, one for each of the parts of a block; it is known
// before the code runs, or costs some scalars of a loop.
//
//===----------------------------------------------------------------------===//

#include "FormatHelpers.h"

using namespace mlir;
using namespace moe;

namespace {
constexpr int64_t kBlock = 256, kWords = kBlock / 4, kPeriod = 32;
enum Field { Q, D };
/// Words of elements that a part of the block ends with, and words of bytes
/// that it has for each digit.
struct Part {
  int64_t end, bytes;
};
constexpr Part kParts[] = {{40, 8}, {60, 4}, {kWords, 1}};
constexpr int64_t kPowers[] = {1, 3, 9, 27, 81};
} // namespace

int64_t TQ1_0FormatAttr::getBlockSize(int64_t) const { return kBlock; }

SmallVector<BlockField> TQ1_0FormatAttr::getFields(int64_t) const {
  Builder b(getContext());
  SmallVector<BlockField> fields =
      layOut({{"q", b.getI8Type(), 52}, {"d", b.getF16Type()}});
  fields[D].range = MadeUpRange::about(1 / 0.82);
  return fields;
}

DecodeRounds TQ1_0FormatAttr::getRounds(int64_t) const {
  return {/*period=*/kPeriod, /*periods=*/kBlock / kPeriod, /*advance=*/4,
          /*words=*/kPeriod / 4, fours({0})};
}

CodeForm TQ1_0FormatAttr::getCodeForm(int64_t) const {
  return {kBlock, /*zero=*/1, /*hasMinimum=*/false, /*most=*/1};
}

void TQ1_0FormatAttr::buildShared(BlockReader &reader, int64_t,
                                  SmallVectorImpl<Value> &shared) const {
  shared.push_back(reader.readNumber(D, 0));
}

/// Of `word`, an index, the word of bytes and the power of 3 that puts its
/// digit on top.
static std::pair<Value, Value> findDigits(BlockReader &reader, Value word) {
  OpBuilder &b = reader.builder;
  Location loc = reader.loc;
  auto constant = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(b, loc, value);
  };
  auto select = [&](Value a, int64_t end, Value below, Value other) -> Value {
    Value is = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, a,
                                     constant(end));
    return arith::SelectOp::create(b, loc, is, below, other);
  };
  Value bytes, digit;
  for (int i = 2; i >= 0; --i) {
    int64_t begin = i ? kParts[i - 1].end : 0, first = 0;
    for (int j = 0; j < i; ++j)
      first += kParts[j].bytes;
    Value within = reader.indexOf(word, 1, -begin);
    Value size = constant(kParts[i].bytes);
    Value ownDigit = arith::DivUIOp::create(b, loc, within, size);
    Value ownBytes =
        reader.indexOf(arith::RemUIOp::create(b, loc, within, size), 1, first);
    bytes = bytes ? select(word, kParts[i].end, ownBytes, bytes) : ownBytes;
    digit = digit ? select(word, kParts[i].end, ownDigit, digit) : ownDigit;
  }
  Value power = constant(kPowers[4]);
  for (int64_t n = 3; n >= 0; --n)
    power = select(digit, n + 1, constant(kPowers[n]), power);
  return {bytes, power};
}

Value TQ1_0FormatAttr::buildCodes(BlockReader &reader, int64_t, Value period,
                                  Value word, int64_t) const {
  auto [bytes, power] =
      findDigits(reader, reader.sum(reader.indexOf(period, kPeriod / 4), word));
  Value q = reader.readWord(Q, bytes), factor = reader.toLanes(power);
  Value codes;
  for (int64_t odd : {0, 1}) {
    // Each byte in 16 bits. What is above it are digits that were before.
    Value wide = reader.bitAnd(reader.shiftRight(q, 8 * odd), 0x00ff00ff);
    wide = reader.bitAnd(reader.multiply(wide, factor), 0x00ff00ff);
    Value digits =
        reader.shiftRight(reader.multiply(wide, reader.integer(3)), 8);
    digits = reader.shiftLeft(reader.bitAnd(digits, 0x00030003), 8 * odd);
    codes = codes ? reader.bitOr(codes, digits) : digits;
  }
  return codes;
}

double TQ1_0FormatAttr::getErrorBound() const { return 1.0 / 2; }
