//===- RowRounding.cpp - Rows that kernels round ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "RowRounding.h"

#include "moe/E4M3Rows.h"
#include "moe/Moe.h"

using namespace llvm;
using namespace mlir;

namespace moe::reference {

static double getLargest(const double *values, int64_t count) {
  double largest = 0;
  for (int64_t i = 0; i < count; ++i)
    largest = std::max(largest, std::fabs(values[i]));
  return largest;
}

/// What `weights` are decoded by; null if they are numbers as they are.
static DequantizeOp getDecoder(Value weights) {
  while (true) {
    if (auto argument = dyn_cast<BlockArgument>(weights)) {
      Block *block = argument.getOwner();
      auto expert = dyn_cast_or_null<ExpertOp>(block->getParentOp());
      if (!expert || argument.getArgNumber() == 0)
        return {};
      weights = expert.getGroupWeights(
          block->getParent()->getRegionNumber())[argument.getArgNumber() - 1];
      continue;
    }
    Operation *op = weights.getDefiningOp();
    if (auto decoder = dyn_cast<DequantizeOp>(op))
      return decoder;
    // Whatever moves weights about has them as its first operand.
    if (!isa_and_nonnull<tensor::TensorDialect>(op->getDialect()) ||
        op->getNumOperands() == 0)
      return {};
    weights = op->getOperand(0);
  }
}

RowFormat getRowFormat(const RoundingErrors &rounding, Value weights,
                       int64_t depth) {
  if (rounding.activations().empty())
    return {};
  DequantizeOp decoder = getDecoder(weights);
  if (!decoder)
    return {};
  WeightFormatAttrInterface format = decoder.getFormat();
  if (depth % format.getBlockSize(depth) != 0)
    return {};
  if (rounding.activations() == kE4M3Rows)
    return canMeetE4M3Rows(format) && depth % kE4M3Group == 0
               ? RowFormat{RowType::F32, kE4M3Group, /*isE4M3=*/true}
               : RowFormat();
  RowType type = getRowType(rounding.activations(), format);
  if (type == RowType::F32 ||
      (type == RowType::BF16 && !rounding.narrowsRows()))
    return {};
  if (type == RowType::BF16)
    return {type};
  constexpr int64_t least = 32;
  auto coded = cast<CodedFormatAttrInterface>(Attribute(format));
  return {type, std::max(least, coded.getCodeForm(depth).subBlock)};
}

std::vector<double> roundRows(RoundingErrors &rounding, const double *rows,
                              int64_t count, int64_t depth, RowFormat format) {
  std::vector<double> values(rows, rows + count * depth);
  if (format.type == RowType::BF16) {
    for (double &value : values)
      value = rounding.round(value, NumberFormat::bf16());
    return values;
  }
  if (format.isE4M3) {
    for (int64_t i = 0, e = count * depth; i < e; i += format.block) {
      // Three bits behind the first, and 2^-6 the smallest normal number.
      NumberFormat e4m3{/*unit=*/0x1p-4,
                        /*least=*/0x1p-6 / 448 *
                            getLargest(rows + i, format.block)};
      for (int64_t j = i; j < i + format.block; ++j)
        values[j] += rounding.error(rows[j], e4m3, 1.0);
    }
    return values;
  }
  const double steps = format.type == RowType::Int8 ? 127 : 127 * 256;
  // What is smaller than any scale becomes zero.
  const NumberFormat step{/*unit=*/0.5 / steps, /*least=*/0x1p-120};
  for (int64_t i = 0, e = count * depth; i < e; i += format.block) {
    double largest = getLargest(rows + i, format.block);
    for (int64_t j = i; j < i + format.block; ++j)
      values[j] += rounding.error(largest, step, 1.0);
  }
  return values;
}

} // namespace moe::reference
