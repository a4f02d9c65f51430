//===- FormatProgram.cpp - Formats that have no model ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Two functions of scalars, run block by block through the interpreter itself.
//
//===----------------------------------------------------------------------===//

#include "FormatProgram.h"
#include "Values.h"
#include "mlir/IR/Verifier.h"
#include "moe-mlir/Reference/FormatDecoder.h"
#include "moe-mlir/Reference/Interpreter.h"

#include <cstring>

using namespace llvm;
using namespace mlir;

namespace moe::reference {

namespace {

/// Reads the numbers of one block from tensors.
class ScalarReader : public BlockReader {
public:
  ScalarReader(OpBuilder &builder, Location loc, ValueRange fields,
               Value shared)
      : BlockReader(builder, loc), fields(fields), shared(shared) {}

  Value readNumber(int64_t field, Value index) override {
    Value number = extract(fields[field], index);
    if (isa<FloatType>(number.getType()))
      return number.getType().isF32()
                 ? number
                 : Value(arith::ExtFOp::create(builder, loc, getFloatType(),
                                               number));
    return extend(number);
  }

  Value readWord(int64_t field, Value index) override {
    Value word;
    for (int64_t i = 0; i < 4; ++i)
      word = withByte(word,
                      extend(extract(fields[field], indexOf(index, 4, i))), i);
    return word;
  }

  Value lookUp(Value codes, ArrayRef<int8_t> table) override {
    auto type = RankedTensorType::get({static_cast<int64_t>(table.size())},
                                      builder.getI8Type());
    Value bytes = arith::ConstantOp::create(
        builder, loc, DenseElementsAttr::get(type, table));
    Value word;
    for (int64_t i = 0; i < 4; ++i) {
      Value index = arith::IndexCastOp::create(
          builder, loc, builder.getIndexType(),
          bitAnd(BlockReader::shiftRight(codes, 8 * i), 255));
      word = withByte(word, extend(extract(bytes, index)), i);
    }
    return word;
  }

  Value lookUp(Value indices, ArrayRef<uint16_t> table) override {
    auto type = RankedTensorType::get({static_cast<int64_t>(table.size())},
                                      builder.getI16Type());
    Value entries = arith::ConstantOp::create(
        builder, loc, DenseElementsAttr::get(type, table));
    return extend(
        extract(entries, arith::IndexCastUIOp::create(
                             builder, loc, builder.getIndexType(), indices)));
  }

  Value readShared(Value index) override { return extract(shared, index); }

  Type getIntType() override { return builder.getI32Type(); }
  Type getFloatType() override { return builder.getF32Type(); }

private:
  Value extract(Value tensor, Value index) {
    return tensor::ExtractOp::create(builder, loc, tensor, index);
  }
  Value extend(Value number) {
    return number.getType().isInteger(32)
               ? number
               : Value(arith::ExtUIOp::create(builder, loc, getIntType(),
                                              number));
  }
  Value withByte(Value word, Value byte, int64_t index) {
    byte = shiftLeft(byte, 8 * index);
    return word ? bitOr(word, byte) : byte;
  }

  ValueRange fields;
  Value shared;
};

} // namespace

FailureOr<FormatProgram> FormatProgram::build(WeightFormatAttrInterface format,
                                              RankedTensorType type,
                                              Location loc) {
  MLIRContext *context = format.getContext();
  context->loadDialect<func::FuncDialect, tensor::TensorDialect>();
  int64_t k = type.getShape().back();
  FormatProgram program;
  program.blockSize = format.getBlockSize(k);
  program.rounds = format.getRounds(k);
  program.fields = format.getFields(k);
  program.tensors = format.getStorage(k);
  for (const StorageTensor &tensor : program.tensors)
    program.places.push_back(getStoragePlaces(tensor, type, program.blockSize));

  program.module = ModuleOp::create(loc);
  OpBuilder b = OpBuilder::atBlockEnd(program.module->getBody());
  auto f32 = b.getF32Type();
  SmallVector<Type> inputs;
  for (const BlockField &field : program.fields) {
    if (!dtypeOf(field.element))
      return emitError(loc)
             << "cannot decode: '" << field.name << "' of " << format
             << " has numbers of " << field.element << ", which the interpreter cannot read";
    inputs.push_back(RankedTensorType::get({field.count}, field.element));
  }
  auto addFunction = [&](StringRef name, auto body) {
    OpBuilder::InsertionGuard guard(b);
    auto func =
        func::FuncOp::create(b, loc, name, b.getFunctionType(inputs, {}));
    Block *entry = func.addEntryBlock();
    b.setInsertionPointToStart(entry);
    // The fields, what is shared and the two indices.
    ValueRange arguments = entry->getArguments();
    size_t count = program.fields.size();
    ValueRange others = arguments.drop_front(count);
    ScalarReader reader(b, loc, arguments.take_front(count),
                        others.empty() ? Value() : others[0]);
    SmallVector<Value> results;
    body(reader, others, results);
    func::ReturnOp::create(b, loc, results);
    func.setType(b.getFunctionType(inputs, TypeRange(results)));
    return func;
  };
  using Results = SmallVectorImpl<Value>;
  program.shared =
      addFunction("shared", [&](ScalarReader &reader, ValueRange, Results &r) {
        format.buildShared(reader, k, r);
      });
  inputs.push_back(RankedTensorType::get(
      {program.shared.getFunctionType().getNumResults()}, f32));
  inputs.append(2, b.getIndexType());
  program.round = addFunction(
      "round", [&](ScalarReader &reader, ValueRange others, Results &r) {
        format.buildValues(reader, k, others[1], others[2], r);
      });
  if (program.round.getFunctionType().getNumResults() !=
      program.rounds.first.size())
    return emitError(loc)
           << "cannot decode: " << format << " builds "
           << program.round.getFunctionType().getNumResults()
           << " values for a round of " << program.rounds.first.size();
  if (failed(verify(*program.module)))
    return failure();
  return program;
}

/// Bytes [begin, begin + count) of row `row` of a tensor that has an order, as
/// they would be without.
static void gather(const StorageOrder &order, const StoragePlaces &places,
                   const uint8_t *data, int64_t row, int64_t begin,
                   int64_t count, uint8_t *to) {
  // Bit by bit.
  for (int64_t bit = 0; bit < 8 * count; ++bit) {
    int64_t at = 8 * begin + bit, within = at % order.bitsInBlock;
    if (within >= order.bits)
      continue;
    int64_t from =
        places.find(row, at / order.bitsInBlock) * order.bits + within;
    to[bit / 8] |= (data[from / 8] >> from % 8 & 1) << bit % 8;
  }
}

std::vector<HostTensor> FormatProgram::getFields(ArrayRef<StoredRows> storage,
                                                 int64_t row,
                                                 int64_t block) const {
  std::vector<HostTensor> result;
  for (const BlockField &field : fields) {
    const StorageTensor &tensor = tensors[field.storage];
    int64_t at = field.offset;
    if (tensor.blocks != 0)
      at += block / tensor.blocks * tensor.getBytes();
    result.push_back(
        HostTensor::allocate(*dtypeOf(field.element), {field.count}));
    const StoredRows &stored = storage[field.storage];
    if (tensor.order)
      gather(*tensor.order, *places[field.storage], stored.data, row, at,
             field.getBytes(), result.back().dataAs<uint8_t>());
    else
      std::memcpy(result.back().data, stored.row(row / tensor.rows) + at,
                  field.getBytes());
  }
  return result;
}

LogicalResult FormatProgram::decodeRow(ArrayRef<StoredRows> storage,
                                       int64_t row,
                                       MutableArrayRef<float> values) {
  auto makeIndex = [](int64_t value) {
    HostTensor index = HostTensor::allocate(DType::I64, {});
    index.set(0, static_cast<double>(value));
    return index;
  };
  for (int64_t block = 0; block * blockSize < int64_t(values.size()); ++block) {
    std::vector<HostTensor> arguments = getFields(storage, row, block);
    auto made = interpret(shared, arguments);
    if (failed(made))
      return failure();
    arguments.push_back(
        HostTensor::allocate(DType::F32, {static_cast<int64_t>(made->size())}));
    for (auto [i, value] : enumerate(*made))
      arguments.back().set(i, value.get(0));
    for (int64_t period = 0; period < rounds.periods; ++period)
      for (int64_t word = 0; word < rounds.words; ++word) {
        std::vector<HostTensor> given = arguments;
        given.push_back(makeIndex(period));
        given.push_back(makeIndex(word));
        auto decoded = interpret(round, given);
        if (failed(decoded))
          return failure();
        for (auto [first, value] : zip_equal(rounds.first, *decoded))
          values[block * blockSize + first + period * rounds.period +
                 word * rounds.advance] = static_cast<float>(value.get(0));
      }
  }
  return success();
}

//===----------------------------------------------------------------------===//
// FormatDecoder
//===----------------------------------------------------------------------===//

FormatDecoder::FormatDecoder() = default;
FormatDecoder::FormatDecoder(FormatDecoder &&) = default;
FormatDecoder::~FormatDecoder() = default;

FailureOr<FormatDecoder> FormatDecoder::get(WeightFormatAttrInterface format,
                                            RankedTensorType type,
                                            Location loc) {
  FormatDecoder decoder;
  decoder.model = dyn_cast<ReferenceFormatAttrInterface>(Attribute(format));
  if (decoder.model)
    return decoder;
  FailureOr<FormatProgram> program = FormatProgram::build(format, type, loc);
  if (failed(program))
    return failure();
  decoder.program = std::make_unique<FormatProgram>(std::move(*program));
  return decoder;
}

LogicalResult FormatDecoder::decodeRow(ArrayRef<StoredRows> storage,
                                       int64_t row,
                                       MutableArrayRef<float> values) const {
  if (program)
    return program->decodeRow(storage, row, values);
  model.decodeRow(storage, row, values);
  return success();
}

} // namespace moe::reference
