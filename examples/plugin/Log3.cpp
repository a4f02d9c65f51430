//===- Log3.cpp - A format of weights outside of the project ----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// #acme.log3: what a block has and IR that makes values of it. Packers, kernels
// of every chip and the interpreter take it from there. Powers of two are no
// multiples of one scale, so there are no codes: rows stay f32.
//
//===----------------------------------------------------------------------===//

#include "Acme.h"

using namespace mlir;
using namespace acme;

namespace {
constexpr int64_t kBlock = 32;
/// Elements that a word of exponents has.
constexpr int64_t kOfWord = 16;
enum Field { D, Signs, E };
} // namespace

int64_t Log3Attr::getBlockSize(int64_t) const { return kBlock; }

SmallVector<moe::BlockField> Log3Attr::getFields(int64_t) const {
  Builder b(getContext());
  SmallVector<moe::BlockField> fields = {
      {"d", b.getF16Type()},
      {"signs", b.getI8Type(), 4, /*storage=*/0, /*offset=*/2},
      {"e", b.getI8Type(), 8, /*storage=*/0, /*offset=*/6}};
  // Made-up weights have a variance of 1 / K with that.
  fields[D].range = moe::MadeUpRange::about(1 / 0.58);
  return fields;
}

moe::DecodeRounds Log3Attr::getRounds(int64_t) const {
  moe::DecodeRounds rounds;
  rounds.period = kBlock;
  rounds.periods = 1;
  rounds.advance = kOfWord;
  rounds.words = kBlock / kOfWord;
  for (int64_t i = 0; i < kOfWord; ++i)
    rounds.first.push_back(i);
  return rounds;
}

void Log3Attr::buildShared(moe::BlockReader &reader, int64_t,
                           SmallVectorImpl<Value> &shared) const {
  shared.push_back(reader.readNumber(D, 0));
}

void Log3Attr::buildValues(moe::BlockReader &reader, int64_t, Value, Value word,
                           SmallVectorImpl<Value> &values) const {
  Value exponents = reader.readWord(E, word);
  Value signs = reader.shiftRight(reader.readWord(Signs, 0),
                                  reader.indexOf(word, kOfWord));
  Value d = reader.readShared(reader.indexOf(word, 0));
  for (int64_t i = 0; i < kOfWord; ++i) {
    // The bits of +-1, 1/2, 1/4 or 1/8: 127 less that many in the exponent.
    Value times = reader.bitAnd(reader.shiftRight(exponents, 2 * i), 3);
    Value bits = reader.shiftLeft(
        reader.add(reader.bitXor(times, 3), reader.integer(127 - 3)), 23);
    Value sign =
        reader.shiftLeft(reader.bitAnd(reader.shiftRight(signs, i), 1), 31);
    Value power = reader.asFloat(reader.bitOr(bits, sign));
    values.push_back(reader.multiply(d, power));
  }
}

double Log3Attr::getErrorBound() const { return 1.0 / 6; }
