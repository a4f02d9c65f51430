//===- FormatHelpers.cpp - What formats share ------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "FormatHelpers.h"

#include "llvm/Support/InterleavedRange.h"

#include <cmath>

using namespace mlir;
using namespace moe;

#include "moe/MoeFormatInterfaces.cpp.inc"

LogicalResult
moe::verifyBlocks(llvm::function_ref<InFlightDiagnostic()> emitError,
                  Attribute format, int64_t k) {
  int64_t block = cast<WeightFormatAttrInterface>(format).getBlockSize(k);
  if (k > 0 && k % block == 0)
    return success();
  return emitError() << "rows of " << k << " weights are no whole blocks of "
                     << format << ", which are of " << block;
}

SmallVector<StorageTensor> moe::storeBlocks(Attribute format, int64_t k) {
  int64_t bytes = 0;
  for (const BlockField &field :
       cast<WeightFormatAttrInterface>(format).getFields(k))
    bytes += field.getBytes();
  return {{"blocks", IntegerType::get(format.getContext(), 8), bytes}};
}

SmallVector<BlockField> moe::layOut(ArrayRef<BlockField> fields) {
  SmallVector<BlockField> result(fields);
  int64_t offset = 0;
  for (BlockField &field : result) {
    field.offset = offset;
    offset += field.getBytes();
  }
  return result;
}

SmallVector<int64_t> moe::fours(ArrayRef<int64_t> streams) {
  SmallVector<int64_t> first;
  for (int64_t k : streams)
    for (int64_t i = 0; i < 4; ++i)
      first.push_back(k + i);
  return first;
}

//===----------------------------------------------------------------------===//
// BlockReader
//===----------------------------------------------------------------------===//

Value BlockReader::constantIndex(int64_t value) {
  return arith::ConstantIndexOp::create(builder, loc, value);
}

Value BlockReader::indexOf(Value a, int64_t factor, int64_t offset) {
  APInt constant;
  if (matchPattern(a, m_ConstantInt(&constant)))
    return constantIndex(constant.getSExtValue() * factor + offset);
  if (factor != 1)
    a = arith::MulIOp::create(builder, loc, a, constantIndex(factor));
  if (offset != 0)
    a = arith::AddIOp::create(builder, loc, a, constantIndex(offset));
  return a;
}

Value BlockReader::sum(Value a, Value b) {
  APInt constant;
  if (matchPattern(a, m_ConstantInt(&constant)))
    return indexOf(b, 1, constant.getSExtValue());
  if (matchPattern(b, m_ConstantInt(&constant)))
    return indexOf(a, 1, constant.getSExtValue());
  return arith::AddIOp::create(builder, loc, a, b);
}

Value BlockReader::quotient(Value a, int64_t divisor) {
  APInt constant;
  if (matchPattern(a, m_ConstantInt(&constant)))
    return constantIndex(constant.getSExtValue() / divisor);
  return divisor == 1 ? a
                      : Value(arith::DivUIOp::create(builder, loc, a,
                                                     constantIndex(divisor)));
}

static Value buildConstant(BlockReader &reader, Type type, Attribute value) {
  if (auto vector = dyn_cast<VectorType>(type))
    value = DenseElementsAttr::get(vector, value);
  return arith::ConstantOp::create(reader.builder, reader.loc,
                                   cast<TypedAttr>(value));
}

Value BlockReader::integer(int64_t value) {
  // The bits count, not the sign.
  return buildConstant(*this, getIntType(),
                       builder.getI32IntegerAttr(
                           static_cast<int32_t>(static_cast<uint32_t>(value))));
}

Value BlockReader::number(double value) {
  return buildConstant(*this, getFloatType(), builder.getF32FloatAttr(value));
}

Value BlockReader::negate(Value a) {
  return arith::NegFOp::create(builder, loc, a);
}

Value BlockReader::shiftRight(Value a, int64_t bits) {
  return bits == 0
             ? a
             : Value(arith::ShRUIOp::create(builder, loc, a, integer(bits)));
}

Value BlockReader::shiftLeft(Value a, int64_t bits) {
  return bits == 0
             ? a
             : Value(arith::ShLIOp::create(builder, loc, a, integer(bits)));
}

Value BlockReader::toLanes(Value index) {
  Value bits =
      arith::IndexCastOp::create(builder, loc, builder.getI32Type(), index);
  if (!isa<VectorType>(getIntType()))
    return bits;
  return vector::BroadcastOp::create(builder, loc, getIntType(), bits);
}

Value BlockReader::shiftRight(Value a, Value bits) {
  APInt constant;
  if (matchPattern(bits, m_ConstantInt(&constant)))
    return shiftRight(a, constant.getSExtValue());
  return arith::ShRUIOp::create(builder, loc, a, toLanes(bits));
}

Value BlockReader::bitAnd(Value a, int64_t mask) {
  return arith::AndIOp::create(builder, loc, a, integer(mask));
}

Value BlockReader::bitOr(Value a, Value b) {
  return arith::OrIOp::create(builder, loc, a, b);
}

Value BlockReader::bitXor(Value a, int64_t mask) {
  return arith::XOrIOp::create(builder, loc, a, integer(mask));
}

Value BlockReader::add(Value a, Value b) {
  if (isa<IntegerType>(getElementTypeOrSelf(a)))
    return arith::AddIOp::create(builder, loc, a, b);
  return arith::AddFOp::create(builder, loc, a, b);
}

Value BlockReader::multiply(Value a, Value b) {
  if (isa<IntegerType>(getElementTypeOrSelf(a)))
    return arith::MulIOp::create(builder, loc, a, b);
  return arith::MulFOp::create(builder, loc, a, b);
}

Value BlockReader::toFloat(Value a) {
  return arith::SIToFPOp::create(builder, loc, getFloatType(), a);
}

Value BlockReader::asFloat(Value a) {
  return arith::BitcastOp::create(builder, loc, getFloatType(), a);
}

Value BlockReader::halfToFloat(Value a) {
  auto typeOf = [&](Type element) -> Type {
    auto vector = dyn_cast<VectorType>(a.getType());
    return vector ? vector.clone(element) : element;
  };
  Value bits =
      arith::TruncIOp::create(builder, loc, typeOf(builder.getI16Type()), a);
  Value half = arith::BitcastOp::create(builder, loc,
                                        typeOf(builder.getF16Type()), bits);
  return arith::ExtFOp::create(builder, loc, getFloatType(), half);
}

Value BlockReader::byteOf(Value word, int64_t index) {
  Value byte = shiftRight(word, 8 * index);
  return index < 3 ? bitAnd(byte, 255) : byte;
}

Value BlockReader::selectBelow(Value a, int64_t limit, Value below,
                               Value other) {
  Value isBelow = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::ult,
                                        a, integer(limit));
  return arith::SelectOp::create(builder, loc, isBelow, below, other);
}

//===----------------------------------------------------------------------===//
// Codes
//===----------------------------------------------------------------------===//

Value moe::buildSubBlockIndex(BlockReader &reader,
                              CodedFormatAttrInterface format, int64_t k,
                              Value period, Value word, int64_t stream) {
  DecodeRounds rounds = format.getRounds(k);
  int64_t subBlock = format.getCodeForm(k).subBlock;
  int64_t first = rounds.first[4 * stream], last = rounds.first[4 * stream + 3];
  // One for all of the block.
  if (subBlock == format.getBlockSize(k))
    return reader.indexOf(period, 0, 0);
  assert(rounds.period % subBlock == 0 &&
         "a period of a block with several scales has whole sub-blocks");
  Value begin = reader.indexOf(period, rounds.period / subBlock);
  if (first / subBlock ==
      (last + (rounds.words - 1) * rounds.advance) / subBlock)
    return reader.sum(begin, reader.indexOf(word, 0, first / subBlock));
  return reader.sum(
      begin,
      reader.quotient(reader.indexOf(word, rounds.advance, first), subBlock));
}

void moe::buildCodedValues(BlockReader &reader, Attribute attribute, int64_t k,
                           Value period, Value word,
                           SmallVectorImpl<Value> &values) {
  auto format = cast<CodedFormatAttrInterface>(attribute);
  OpBuilder &b = reader.builder;
  CodeForm form = format.getCodeForm(k);
  int64_t scales = format.getBlockSize(k) / form.subBlock;
  int64_t streams = format.getRounds(k).first.size() / 4;
  for (int64_t stream = 0; stream < streams; ++stream) {
    Value sub = buildSubBlockIndex(reader, format, k, period, word, stream);
    Value scale = reader.readShared(sub);
    Value offset = form.hasMinimum
                       ? reader.readShared(reader.indexOf(sub, 1, scales))
                       : reader.multiply(scale, reader.number(form.zero));
    Value less = reader.negate(offset);
    Value codes = format.buildCodes(reader, k, period, word, stream);
    for (int64_t i = 0; i < 4; ++i) {
      Value code = reader.byteOf(codes, i);
      // Rounded once, so exactly what the value rounds to.
      values.push_back(math::FmaOp::create(b, reader.loc, scale,
                                           reader.toFloat(code), less));
    }
  }
}

void moe::buildSixBitScales(BlockReader &reader, int64_t d, int64_t dmin,
                            int64_t s, SmallVectorImpl<Value> &shared) {
  // The low bits of the first four scales, of the first four minima, and the
  // low four bits of the last four of both; the two bits above each of the
  // first ones belong to the last ones.
  Value scales = reader.readWord(s, 0), minima = reader.readWord(s, 1);
  Value low = reader.readWord(s, 2);
  auto top = [&](Value word) {
    return reader.bitAnd(reader.shiftRight(word, 2), 0x30303030);
  };
  Value words[] = {
      reader.bitAnd(scales, 0x3f3f3f3f),
      reader.bitOr(reader.bitAnd(low, 0x0f0f0f0f), top(scales)),
      reader.bitAnd(minima, 0x3f3f3f3f),
      reader.bitOr(reader.bitAnd(reader.shiftRight(low, 4), 0x0f0f0f0f),
                   top(minima))};
  Value factors[] = {reader.readNumber(d, 0), reader.readNumber(dmin, 0)};
  for (int64_t i = 0; i < 16; ++i) {
    Value six = reader.byteOf(words[i / 4], i % 4);
    shared.push_back(reader.multiply(factors[i / 8], reader.toFloat(six)));
  }
}

DecodeRounds moe::halvesOfNibbles(int64_t block) {
  return {/*period=*/block, /*periods=*/1, /*advance=*/4, /*words=*/block / 8,
          fours({0, block / 2})};
}

DecodeRounds moe::pairsOfNibbles(int64_t block) {
  return {/*period=*/block,
          /*periods=*/1,
          /*advance=*/8,
          /*words=*/block / 8,
          {0, 2, 4, 6, 1, 3, 5, 7}};
}

Value moe::buildNibbles(BlockReader &reader, Value word, int64_t which) {
  return reader.bitAnd(reader.shiftRight(word, 4 * which), 0x0f0f0f0f);
}

Value moe::buildFiveBits(BlockReader &reader, int64_t qh, int64_t ql,
                         Value word, int64_t stream) {
  Value low = buildNibbles(reader, reader.readWord(ql, word), stream);
  Value bits = reader.shiftRight(reader.readWord(qh, 0), 16 * stream);
  bits = reader.bitAnd(reader.shiftRight(bits, reader.indexOf(word, 4)), 15);
  // Copies 7 bits apart have bit i at 8 i, and no two of their bits meet.
  Value spread = reader.bitAnd(
      reader.multiply(bits, reader.integer(0x00204081)), 0x01010101);
  return reader.bitOr(low, reader.shiftLeft(spread, 4));
}

Value moe::lookUpIQ4(BlockReader &reader, Value nibbles) {
  static constexpr int kTable[] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                   1,    13,   25,  38,  53,  69,  89,  113};
  int8_t codes[16];
  for (int i = 0; i < 16; ++i)
    codes[i] = static_cast<int8_t>(kTable[i] + kIQ4Zero);
  return reader.lookUp(nibbles, codes);
}

Value moe::lookUpE2M1(BlockReader &reader, Value nibbles) {
  static constexpr int8_t kTwice[] = {0, 1, 2, 3, 4, 6, 8, 12};
  int8_t codes[16];
  for (int i = 0; i < 8; ++i) {
    codes[i] = kE2M1Zero + kTwice[i];
    codes[i + 8] = kE2M1Zero - kTwice[i];
  }
  return reader.lookUp(nibbles, codes);
}

/// Two E4M3, the upper byte of each half of `bytes`, as f16 of a 256th of their
/// values: the exponent counts from 15 there, not from 7.
static Value buildHalves(BlockReader &reader, Value bytes) {
  Value magnitudes = reader.bitAnd(reader.shiftRight(bytes, 1), 0x3f803f80);
  Value signs = reader.bitAnd(bytes, 0x80008000);
  // What is no number, 127, is the only one that carries, and one that has that
  // bit is no number of f16.
  Value carry = reader.bitAnd(
      reader.add(magnitudes, reader.integer(0x00800080)), 0x40004000);
  return reader.bitOr(reader.bitOr(magnitudes, signs), carry);
}

static Value buildFromHalf(BlockReader &reader, Value half) {
  return reader.multiply(reader.halfToFloat(half), reader.number(256));
}

Value moe::buildE4M3(BlockReader &reader, Value byte) {
  return buildFromHalf(reader, buildHalves(reader, reader.shiftLeft(byte, 8)));
}

void moe::buildFourE4M3(BlockReader &reader, Value word,
                        SmallVectorImpl<Value> &values) {
  Value even = buildHalves(reader, reader.shiftLeft(word, 8));
  Value odd = buildHalves(reader, word);
  for (int64_t shift : {0, 16})
    for (Value halves : {even, odd})
      values.push_back(buildFromHalf(reader, reader.shiftRight(halves, shift)));
}

Value moe::buildE8M0(BlockReader &reader, Value byte, int64_t less) {
  // 2^-127 is the first number of two bits below the normal ones.
  Value normal = reader.shiftLeft(
      less ? reader.add(byte, reader.integer(-less)) : byte, 23);
  Value small = reader.multiply(reader.add(byte, reader.integer(1)),
                                reader.integer(0x00400000 >> less));
  Value bits = reader.selectBelow(byte, 1 + less, small, normal);
  Value nan = reader.integer(0x7fc00000);
  return reader.asFloat(reader.selectBelow(byte, 255, bits, nan));
}

//===----------------------------------------------------------------------===//
// Made-up weights
//===----------------------------------------------------------------------===//

std::optional<MadeUpRange> moe::getMadeUpRange(WeightFormatAttrInterface format,
                                               const BlockField &field,
                                               int64_t k) {
  if (field.range || !isa<FloatType>(field.getStored()))
    return field.range;
  // The variance of uniform numbers is a third of their range squared.
  double range = std::sqrt(3.0);
  auto coded = dyn_cast<CodedFormatAttrInterface>(Attribute(format));
  if (!coded)
    return MadeUpRange{0, range};
  double scale = range / coded.getCodeForm(k).most;
  return MadeUpRange{scale, scale / 4};
}

//===----------------------------------------------------------------------===//
// DequantizeOp
//===----------------------------------------------------------------------===//

void DequantizeOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  setName(getWeights(), "weights");
}

/// Numbers of a row, of a tensor that has an order.
static int64_t countPlaces(const StorageTensor &storage,
                           RankedTensorType weights, int64_t block) {
  int64_t blocks = weights.getShape().back() / block;
  return blocks * storage.getBytes() * 8 / storage.order->bitsInBlock;
}

/// The product of the sizes of all digits of `axis` that have one.
static int64_t getKnownSize(const StorageOrder &order,
                            StorageDigit::Axis axis) {
  int64_t product = 1;
  for (const StorageDigit &digit : order.digits)
    if (digit.axis == axis && digit.size != 0)
      product *= digit.size;
  return product;
}

std::optional<StoragePlaces> moe::getStoragePlaces(const StorageTensor &storage,
                                                   RankedTensorType weights,
                                                   int64_t block) {
  if (!storage.order)
    return std::nullopt;
  int64_t n = weights.getDimSize(weights.getRank() - 2);
  StoragePlaces result;
  int64_t stride = 1;
  for (const StorageDigit &digit : llvm::reverse(storage.order->digits)) {
    bool isRow = digit.axis == StorageDigit::Row;
    int64_t all = isRow ? n : countPlaces(storage, weights, block);
    int64_t size = digit.size ? digit.size
                              : all / getKnownSize(*storage.order, digit.axis);
    StoragePlaces::Digit placed{digit.weight ? digit.weight : all / size, size,
                                stride};
    stride *= size;
    if (digit.fromEnd) {
      result.first += (size - 1) * placed.stride;
      placed.stride = -placed.stride;
    }
    (isRow ? result.rows : result.places).push_back(placed);
  }
  return result;
}

int64_t StoragePlaces::find(int64_t n, int64_t p) const {
  int64_t at = first;
  for (const Digit &digit : rows)
    at += n / digit.weight % digit.size * digit.stride;
  for (const Digit &digit : places)
    at += p / digit.weight % digit.size * digit.stride;
  return at;
}

RankedTensorType moe::getStorageType(const StorageTensor &storage,
                                     RankedTensorType weights, int64_t block) {
  int64_t rank = weights.getRank();
  int64_t n = weights.getDimSize(rank - 2), k = weights.getDimSize(rank - 1);
  SmallVector<int64_t> shape(weights.getShape().drop_back(2));
  if (const std::optional<StorageOrder> &order = storage.order) {
    for (const StorageDigit &digit : order->digits)
      shape.push_back(digit.size
                          ? digit.size
                          : (digit.axis == StorageDigit::Row
                                 ? n
                                 : countPlaces(storage, weights, block)) /
                                getKnownSize(*order, digit.axis));
    int64_t bits = order->bits;
    while (bits < order->element.getIntOrFloatBitWidth())
      bits *= shape.pop_back_val();
    return RankedTensorType::get(shape, order->element);
  }
  shape.push_back(llvm::divideCeil(n, storage.rows));
  if (storage.blocks != 0)
    shape.push_back(llvm::divideCeil(k / block, storage.blocks));
  if (storage.count != 1)
    shape.push_back(storage.count);
  return RankedTensorType::get(shape, storage.element);
}

LogicalResult DequantizeOp::verify() {
  auto weights = cast<RankedTensorType>(getWeights().getType());
  int64_t rank = weights.getRank();
  if ((rank != 2 && rank != 3) || !weights.getElementType().isF32())
    return emitOpError("gives weights [N, K] or [E, N, K] of f32, not ")
           << weights;
  WeightFormatAttrInterface format = getFormat();
  int64_t k = weights.getDimSize(rank - 1);
  if (failed(format.verifyFormat([&] { return emitOpError(); }, k)))
    return failure();
  SmallVector<StorageTensor> storage = format.getStorage(k);
  if (storage.size() != getStorage().size())
    return emitOpError() << format << " is stored in " << storage.size()
                         << " tensor" << (storage.size() == 1 ? "" : "s")
                         << " ("
                         << llvm::interleaved(llvm::map_range(
                                storage,
                                [](const StorageTensor &t) { return t.name; }))
                         << "), got " << getStorage().size();
  bool hasOrder = llvm::any_of(
      storage, [](const StorageTensor &t) { return t.order.has_value(); });
  for (auto [tensor, value] : llvm::zip(storage, getStorage())) {
    auto type = dyn_cast<RankedTensorType>(value.getType());
    if (tensor.order) {
      int64_t n = weights.getDimSize(rank - 2);
      int64_t together = getKnownSize(*tensor.order, StorageDigit::Row);
      if (n % together != 0)
        return emitOpError("'")
               << tensor.name << "' in " << format << " has " << together
               << " rows together, and there are " << n;
    }
    RankedTensorType want =
        getStorageType(tensor, weights, format.getBlockSize(k));
    // What is behind the rows, or behind the matrices where rows are not one
    // after another, may be joined or taken apart.
    size_t lead = hasOrder ? rank - 2 : rank - 1;
    if (type && type.getElementType() == want.getElementType() &&
        type.getNumElements() == want.getNumElements() &&
        type.getShape().take_front(lead) == want.getShape().take_front(lead))
      continue;
    return emitOpError("'")
           << tensor.name << "' of " << weights << " in " << format
           << " must be " << want << ", got " << value.getType();
  }
  return success();
}
