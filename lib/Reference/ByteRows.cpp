//===- ByteRows.cpp - Rows that kernels round to bytes ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "ByteRows.h"

#include "moe/Moe.h"

using namespace llvm;
using namespace mlir;

namespace moe::reference {

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

int64_t getByteBlock(const RoundingErrors &rounding, Value weights,
                     int64_t depth) {
  if (!rounding.quantizesRows())
    return 0;
  DequantizeOp decoder = getDecoder(weights);
  auto format =
      decoder
          ? dyn_cast<CodedFormatAttrInterface>(Attribute(decoder.getFormat()))
          : CodedFormatAttrInterface();
  if (!format || depth % format.getBlockSize(depth) != 0)
    return 0;
  constexpr int64_t least = 32;
  return std::max(least, format.getCodeForm(depth).subBlock);
}

std::vector<double> roundToBytes(RoundingErrors &rounding, const double *rows,
                                 int64_t count, int64_t depth, int64_t block) {
  std::vector<double> values(rows, rows + count * depth);
  constexpr double steps = 127;
  const NumberFormat format{/*unit=*/0.5 / steps};
  for (int64_t i = 0, e = count * depth; i < e; i += block) {
    double largest = 0;
    for (int64_t j = i; j < i + block; ++j)
      largest = std::max(largest, std::fabs(rows[j]));
    for (int64_t j = i; j < i + block; ++j)
      values[j] += rounding.error(largest, format, 1.0);
  }
  return values;
}

} // namespace moe::reference
