//===- BlockCost.cpp - How long weights in a format take -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What decoding takes is not said by formats: their IR is built and counted.
//
//===----------------------------------------------------------------------===//

#include "CostModel.h"

#include "Kernels/MicroKernel.h"
#include "moe/SparseFormats.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <cmath>

using namespace mlir;
using namespace moe;
using moecpu::Inner;
using moecpu::ScheduleAttr;

namespace {
/// Operations on vectors: on units that multiply and add floats, and others.
struct VectorOperations {
  double floats = 0, others = 0;

  void add(Block &block, double times) {
    for (Operation &op : block) {
      if (op.hasTrait<OpTrait::ConstantLike>() ||
          !isa<VectorType>(op.getResult(0).getType()))
        continue;
      // Bits that change their type alone stay where they are.
      if (isa<arith::BitcastOp>(op))
        continue;
      (isa<arith::MulFOp, arith::AddFOp, arith::SubFOp>(op) ? floats
                                                            : others) += times;
    }
  }
};

/// Builds for a block whose numbers are there already.
class CountingReader : public BlockReader {
public:
  CountingReader(OpBuilder &builder, Block &block, int64_t lanes)
      : BlockReader(builder, builder.getUnknownLoc()), block(block),
        intType(VectorType::get({lanes}, builder.getI32Type())),
        floatType(VectorType::get({lanes}, builder.getF32Type())) {}

  /// Which of the fields are floats.
  llvm::SmallVector<BlockField> fields;

  Value readNumber(int64_t field, Value) override {
    Type element = fields[field].element;
    Value number = get(isa<FloatType>(element) ? floatType : intType);
    // Vectors of other floats are converted.
    return isa<FloatType>(element) && !element.isF32()
               ? arith::NegFOp::create(builder, loc, number)
               : number;
  }
  Value readWord(int64_t, Value) override { return get(intType); }
  Value lookUp(Value codes, ArrayRef<int8_t>) override {
    return arith::XOrIOp::create(builder, loc, codes, get(intType));
  }
  Value lookUp(Value indices, ArrayRef<uint16_t>) override {
    return arith::XOrIOp::create(builder, loc, indices, get(intType));
  }
  Value readShared(Value) override { return get(floatType); }
  Type getIntType() override { return intType; }
  Type getFloatType() override { return floatType; }
  using BlockReader::readNumber;
  using BlockReader::readWord;

private:
  Value get(Type type) { return block.addArgument(type, loc); }

  Block &block;
  VectorType intType, floatType;
};
} // namespace

/// What a block of as many columns as there are lanes takes for each tile.
static VectorOperations countOperations(ScheduleAttr schedule,
                                        WeightFormatAttrInterface format,
                                        int64_t k) {
  OpBuilder builder(schedule.getContext());
  VectorOperations operations;
  DecodeRounds rounds = format.getRounds(k);
  auto count = [&](double times, auto &&build) {
    Block block;
    builder.setInsertionPointToStart(&block);
    CountingReader reader(builder, block, schedule.getLanes());
    reader.fields = format.getFields(k);
    build(reader);
    operations.add(block, times);
    // Users before what they use.
    while (!block.empty())
      block.back().erase();
  };
  SmallVector<Value> values;
  count(1,
        [&](CountingReader &reader) { format.buildShared(reader, k, values); });
  double numRounds = rounds.periods * rounds.words;
  auto index = [&] {
    return arith::ConstantIndexOp::create(builder, builder.getUnknownLoc(), 0);
  };
  if (auto listed = dyn_cast<ListedFormatAttrInterface>(Attribute(format))) {
    ListForm form = listed.getListForm(k);
    count(form.count * form.columns / 2, [&](CountingReader &reader) {
      values.clear();
      Value zero = index();
      listed.buildListed(reader, k, zero, zero, values);
    });
    return operations;
  }
  if (choosesRowValues(schedule, format)) {
    auto sparse = cast<SparseFormatAttrInterface>(Attribute(format));
    count(numRounds, [&](CountingReader &reader) {
      SmallVector<Value> places;
      values.clear();
      Value zero = index();
      sparse.buildStored(reader, k, zero, zero, values, places);
    });
    return operations;
  }
  if (!schedule.multipliesBytes()) {
    count(numRounds, [&](CountingReader &reader) {
      values.clear();
      Value zero = index();
      format.buildValues(reader, k, zero, zero, values);
    });
    return operations;
  }
  auto coded = cast<CodedFormatAttrInterface>(format);
  for (size_t stream = 0; stream < rounds.first.size() / 4; ++stream)
    count(numRounds, [&](CountingReader &reader) {
      Value zero = index();
      coded.buildCodes(reader, k, zero, zero, stream);
    });
  return operations;
}

std::optional<double> CpuCostModel::getBlockCycles(ScheduleAttr schedule,
                                                   moecpu::BlocksAttr layout,
                                                   int64_t k, int64_t rows,
                                                   bool isDecoded) const {
  std::optional<double> fma = rate("fma");
  if (!fma)
    return std::nullopt;
  WeightFormatAttrInterface format = layout.getFormat();
  double lanes = schedule.getLanes(), vectors = 32 / lanes;
  double planes = schedule.getPlanes();
  // What is multiplied of a block.
  double size = format.getBlockSize(k);
  bool choosesRows = choosesRowValues(schedule, format);
  if (auto listed = dyn_cast<ListedFormatAttrInterface>(Attribute(format))) {
    ListForm form = listed.getListForm(k);
    size = form.count * form.columns;
  } else if (choosesRows) {
    size /= 2;
  }
  double floatsACycle = *fma / 2 / lanes;
  double othersACycle = rate("widen").value_or(*fma) / lanes;
  VectorOperations operations;
  if (!isDecoded) {
    operations = countOperations(schedule, format, k);
    operations.floats *= vectors;
    operations.others *= vectors;
  }
  double multiplying = 0, words = size / 4 * vectors;
  std::optional<double> product;
  switch (schedule.getInner()) {
  case Inner::DotInt8:
    product = rate("dot_int8");
    multiplying = product ? 64 * size * rows * planes / *product : 0;
    break;
  case Inner::MmlaInt8:
    product = rate("mmla_int8");
    multiplying =
        product ? 64 * size * llvm::alignTo(rows * planes, 2) / *product : 0;
    break;
  case Inner::DecodeBF16: {
    // Two numbers of operations for each of two values of a vector: to bf16,
    // and beside each other.
    product = rate(lanes == 4 ? "mmla_bf16" : "dot_bf16");
    int64_t multiplied = lanes == 4 ? llvm::alignTo(rows, 2) : rows;
    multiplying = product ? 64 * size * multiplied / *product : 0;
    if (!isDecoded)
      operations.others += size * vectors * (lanes == 4 ? 2 : 1);
    break;
  }
  case Inner::MaddInt8:
    // The product, and the addition of its pairs.
    product = fma;
    operations.floats += words * rows * planes;
    operations.others += words * rows * planes;
    break;
  default:
    product = fma;
    multiplying = 64 * size * rows / *fma;
  }
  if (!product)
    return std::nullopt;
  // A shuffle for each value of a row, or for two that are multiplied at once.
  if (choosesRows)
    operations.others +=
        size * rows * vectors / (schedule.narrowsRows() ? 2 : 1);
  double loads = size * rows;
  if (schedule.multipliesBytes()) {
    CodeForm form = cast<CodedFormatAttrInterface>(format).getCodeForm(k);
    // Each sum becomes a float, gets the scale of the weights and that of the
    // row, and a minimum.
    double sums = size / form.subBlock * rows * vectors;
    operations.others += sums * planes;
    operations.floats += sums * (1 + planes + form.hasMinimum);
    loads = size / 4 * rows * planes;
  } else if (schedule.narrowsRows()) {
    loads /= moecpu::getBF16Together(schedule.getLanes());
  }
  double floats = multiplying + operations.floats / floatsACycle;
  double others = operations.others / othersACycle;
  // Of CPUs that widen and multiply by the same units the times add up; others
  // get in each other's way even so.
  constexpr double p = 1.6;
  double cycles =
      cpu.getWidened()
          ? floats + others
          : std::pow(std::pow(floats, p) + std::pow(others, p), 1 / p);
  if (std::optional<double> load = rate("load_l1"))
    cycles = std::max(cycles, loads * getBlockPasses(schedule, rows) /
                                  (*load / (lanes * 4)));
  return cycles;
}
