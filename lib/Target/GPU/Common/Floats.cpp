//===- Floats.cpp - Floats of 16 and 32 bits in memory ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A thread reads and writes up to 16 bytes at a time: words, of which two floats
// of 16 bits are the halves. Shifts widen bf16.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/Common/Emitter.h"

using namespace mlir;
using namespace moe;
using gpu::Emitter;

/// Elements of one access.
static int64_t getWidth(Type element, int64_t count) {
  return std::min<int64_t>(count, 128 / element.getIntOrFloatBitWidth());
}

Emitter::Loaded Emitter::loadFloats(Type element, Value address,
                                    int64_t count) {
  Loaded loaded{element, count, {}};
  int64_t bytes = element.getIntOrFloatBitWidth() / 8;
  int64_t width = getWidth(element, count);
  for (int64_t first = 0; first < count; first += width) {
    Value from = first ? at(address, first * bytes) : address;
    if (count == 1) {
      loaded.words.push_back(load(element, from));
    } else if (element.isF32()) {
      Type whole = VectorType::get({width}, element);
      llvm::append_range(loaded.words, unpack(load(whole, from)));
    } else if (width > 2) {
      Type words = VectorType::get({width / 2}, i32());
      llvm::append_range(loaded.words, unpack(load(words, from)));
    } else {
      loaded.words.push_back(load(i32(), from));
    }
  }
  return loaded;
}

SmallVector<Value> Emitter::widenFloats(const Loaded &loaded) {
  SmallVector<Value> values;
  for (Value word : loaded.words) {
    if (word.getType().isInteger(32) && loaded.element.isBF16()) {
      auto [low, high] = fromBF16(word);
      values.append({low, high});
    } else if (word.getType().isInteger(32)) {
      Type halves = VectorType::get({2}, loaded.element);
      for (Value half : unpack(create<LLVM::BitcastOp>(halves, word)))
        values.push_back(create<arith::ExtFOp>(f32(), half));
    } else if (word.getType().isF32()) {
      values.push_back(word);
    } else {
      values.push_back(create<arith::ExtFOp>(f32(), word));
    }
  }
  return values;
}

void Emitter::storeFloats(ValueRange values, Type element, Value address) {
  int64_t count = values.size(), width = getWidth(element, count);
  int64_t bytes = element.getIntOrFloatBitWidth() / 8;
  for (int64_t first = 0; first < count; first += width) {
    Value to = first ? at(address, first * bytes) : address;
    ValueRange own = values.slice(first, width);
    if (element.isF32()) {
      store(width == 1 ? own[0] : pack(own), to);
    } else if (width > 1) {
      SmallVector<Value> words;
      for (int64_t i = 0; i < width; i += 2)
        words.push_back(toHalves(element, own[i], own[i + 1]));
      store(words.size() == 1 ? words[0] : pack(words), to);
    } else {
      store(create<arith::TruncFOp>(element, own[0]), to);
    }
  }
}
