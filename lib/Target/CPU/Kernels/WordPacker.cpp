//===- WordPacker.cpp - Lists of the bits of words ------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "WordPacker.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace moe;
using moecpu::PackBy;

/// For each byte the places of its bits, and behind them their number: a
/// constant of the module.
static Value emitByteTable(Emitter &e, Operation *at) {
  auto module = at->getParentOfType<ModuleOp>();
  StringRef name = "moek_bits_of_byte";
  auto type = MemRefType::get({256, 16}, e.getI8Type());
  if (!module.lookupSymbol(name)) {
    SmallVector<int8_t> table(256 * 16, 0);
    for (int byte = 0; byte < 256; ++byte) {
      int count = 0;
      for (int bit = 0; bit < 8; ++bit)
        if (byte >> bit & 1)
          table[byte * 16 + count++] = bit;
      table[byte * 16 + 8] = count;
    }
    OpBuilder::InsertionGuard guard(e);
    e.setInsertionPointToStart(module.getBody());
    auto tensor = RankedTensorType::get(type.getShape(), e.getI8Type());
    memref::GlobalOp::create(e, name, e.getStringAttr("private"), type,
                             DenseElementsAttr::get(tensor, ArrayRef(table)),
                             /*constant=*/true, e.getI64IntegerAttr(64));
  }
  return memref::GetGlobalOp::create(e, type, name);
}

WordPacker::WordPacker(Emitter &e, int64_t lanes, PackBy by, Operation *op)
    : lanes(lanes), by(by) {
  if (by == PackBy::Table)
    table = emitByteTable(e, op);
}

Value WordPacker::pack(Emitter &e, Value word, Value base, Value at) {
  int64_t step = by == PackBy::CompressBytes ? 64
                 : by == PackBy::Compress    ? 16
                                             : 8;
  for (int64_t first = 0; first < lanes; first += step) {
    Value part = word;
    Type partType = e.getIntegerType(step);
    if (first != 0)
      part = arith::ShRUIOp::create(
          e, part,
          arith::ConstantOp::create(e,
                                    IntegerAttr::get(word.getType(), first)));
    if (step != lanes)
      part = arith::TruncIOp::create(e, partType, part);
    Value from = first == 0 ? base : e.add(base, e.i32(first));
    Value count;
    if (by == PackBy::Table)
      count = lookUp(e, part, from, at);
    else
      count = compress(e, part, from, at, step);
    at = e.add(at, e.mul(count, 4));
  }
  return at;
}

Value WordPacker::compress(Emitter &e, Value part, Value base, Value at,
                           int64_t step) {
  Type element = step == 64 ? e.getI8Type() : e.getI32Type();
  VectorType type = e.vec(step, element);
  SmallVector<Attribute> ids;
  for (int64_t i = 0; i < step; ++i)
    ids.push_back(IntegerAttr::get(element, i));
  Value iota = arith::ConstantOp::create(e, DenseElementsAttr::get(type, ids));
  Value wide = vector::BroadcastOp::create(
      e, VectorType::get({1}, part.getType()), part);
  Value mask = vector::BitCastOp::create(e, e.vec(step, e.getI1Type()), wide);
  Value packed =
      LLVM::CallIntrinsicOp::create(
          e, type, e.getStringAttr("llvm.experimental.vector.compress"),
          ValueRange{iota, mask, e.zeros(type)})
          .getResult(0);
  for (int64_t i = 0; i < step; i += 16) {
    Value quarter = packed;
    if (step != 16) {
      quarter = vector::ExtractStridedSliceOp::create(
          e, packed, ArrayRef<int64_t>{i}, ArrayRef<int64_t>{16},
          ArrayRef<int64_t>{1});
      quarter = arith::ExtUIOp::create(e, e.vec(16, e.getI32Type()), quarter);
    }
    store(e, quarter, base, e.add(at, 4 * i));
  }
  Value count = math::CtPopOp::create(e, part);
  return arith::IndexCastUIOp::create(e, e.getIndexType(), count);
}

Value WordPacker::lookUp(Emitter &e, Value byte, Value base, Value at) {
  Value row = arith::IndexCastUIOp::create(e, e.getIndexType(), byte);
  Value places = vector::LoadOp::create(e, e.vec(8, e.getI8Type()), table,
                                        ValueRange{row, e.idx(0)});
  store(e, arith::ExtUIOp::create(e, e.vec(8, e.getI32Type()), places), base,
        at);
  Value count = e.load(table, ValueRange{row, e.idx(8)});
  return arith::IndexCastUIOp::create(e, e.getIndexType(), count);
}

void WordPacker::store(Emitter &e, Value places, Value base, Value at) {
  auto type = cast<VectorType>(places.getType());
  Value numbers = e.add(places, e.splat(base, type));
  LLVM::StoreOp::create(e, numbers, e.toPtr(at), /*alignment=*/4);
}
