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

RowFormat getRowFormat(const RoundingErrors &rounding, Value weights,
                       int64_t depth) {
  if (rounding.activations().empty())
    return {};
  DequantizeOp decoder = getDecoder(weights);
  auto format =
      decoder
          ? dyn_cast<CodedFormatAttrInterface>(Attribute(decoder.getFormat()))
          : CodedFormatAttrInterface();
  if (!format || depth % format.getBlockSize(depth) != 0)
    return {};
  constexpr int64_t least = 32;
  return {getRowBytes(rounding.activations(), format),
          std::max(least, format.getCodeForm(depth).subBlock)};
}

std::vector<double> roundRows(RoundingErrors &rounding, const double *rows,
                              int64_t count, int64_t depth, RowFormat format) {
  std::vector<double> values(rows, rows + count * depth);
  const double steps = format.bytes == 1 ? 127 : 127 * 256;
  // What is smaller than any scale becomes zero.
  const NumberFormat step{/*unit=*/0.5 / steps, /*least=*/0x1p-120};
  for (int64_t i = 0, e = count * depth; i < e; i += format.block) {
    double largest = 0;
    for (int64_t j = i; j < i + format.block; ++j)
      largest = std::max(largest, std::fabs(rows[j]));
    for (int64_t j = i; j < i + format.block; ++j)
      values[j] += rounding.error(largest, step, 1.0);
  }
  return values;
}

} // namespace moe::reference
