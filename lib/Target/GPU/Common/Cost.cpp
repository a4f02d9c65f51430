//===- Cost.cpp - What kernels take on a GPU at least -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A roofline: the longer one of the operations at the chip's rate and of the
// bytes at that of its memory. What starting a kernel takes, and how far it is
// from the roofline, is not in it.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/Cost.h"
#include "moe-mlir/Target/GPU/Common/GPUTarget.h"

#include "mlir/Interfaces/DestinationStyleOpInterface.h"

#include <cmath>

using namespace mlir;
using namespace moe;

/// Bytes of a tensor whose size is known; 0 for anything else.
static double getBytes(Value value, const CostContext &context) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  std::optional<double> elements =
      type ? context.sizes.elements(value) : std::nullopt;
  if (!elements || !type.getElementType().isIntOrFloat())
    return 0;
  return *elements * type.getElementTypeBitWidth() / 8;
}

/// False where too little is known of the rows.
static bool countMatmul(moek::GroupedMatmulOp op, const CostContext &context,
                        KernelCost &cost) {
  const RowsOfExperts *rows = context.rows(op.getOffsets());
  auto packed = cast<ShapedType>(op.getRhs().getType());
  // What is no expert is multiplied with all rows.
  RowsOfExperts dense;
  std::optional<double> all = context.sizes.size(op.getLhs(), 0);
  if (!rows && packed.getDimSize(0) == 1 && all && !op.getGather()) {
    dense.addExact(1, std::llround(*all));
    rows = &dense;
  }
  if (!rows)
    return false;
  double n = op.getN(), k = op.getK();
  double expertBytes = double(packed.getNumElements()) / packed.getDimSize(0) *
                       packed.getElementTypeBitWidth() / 8;
  auto rowBytes = [](Value value) {
    return getElementTypeOrSelf(value).getIntOrFloatBitWidth() / 8.0;
  };
  cost.operations = 2 * rows->rows * n * k * op.getParts();
  cost.bytes =
      rows->active * expertBytes +
      rows->rows * (k * rowBytes(op.getLhs()) + n * rowBytes(op->getResult(0)));
  return true;
}

std::optional<KernelCost>
GPUTarget::estimate(Operation *kernel, moek::TargetAttrInterface chip,
                    const CostContext &context) const {
  KernelCost cost;
  cost.phase = kernel->getName().stripDialect().str();
  StringRef unit = "fma";
  if (auto matmul = dyn_cast<moek::GroupedMatmulOp>(kernel)) {
    cost.phase = matmul.getPhase().value_or("matmul").str();
    unit = getProductRate(matmul);
    if (!countMatmul(matmul, context, cost)) {
      cost.bound = "how many rows experts get is not known";
      return cost;
    }
  } else {
    for (Value input : cast<DestinationStyleOpInterface>(kernel).getDpsInputs())
      cost.bytes += getBytes(input, context);
    for (Value result : kernel->getResults())
      cost.bytes += getBytes(result, context);
    auto route = dyn_cast<moek::RouteOp>(kernel);
    if (route && route.getRouter()) {
      auto packed = cast<ShapedType>(route.getRouter().getType());
      std::optional<double> tokens =
          context.sizes.size(route.getRouting().indices, 0);
      cost.operations =
          2 * tokens.value_or(0) * double(packed.getNumElements());
    }
  }
  double compute = -1, memory = -1;
  for (const auto &[name, rate] : getRates(chip)) {
    if (name == unit)
      compute = cost.operations / (rate * 1e9);
    else if (name == "memory")
      memory = cost.bytes / (rate * 1e6);
  }
  if (compute < 0 || memory < 0) {
    cost.bound = "the rates of the chip are not known";
    return cost;
  }
  cost.seconds = std::max(compute, memory);
  cost.bound = memory > compute ? "memory" : "compute";
  return cost;
}
