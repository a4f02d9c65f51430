//===- OnnxExportedExperts.cpp - Our one op, as ONNX writes it ---*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// moe_mlir.ExportedExperts is moe_mlir::exported_experts of PyTorch, with its
// flags as attributes; see python/moe_mlir/export.py.
//
//===----------------------------------------------------------------------===//

#include "Onnx.h"
#include "Torch.h"

using namespace mlir;
using namespace moe::raise;

static LogicalResult convertExportedExperts(ForeignOp &op) {
  if (failed(onnx::needInputs(op, 5)))
    return failure();
  torch::ExpertsCall call;
  for (unsigned i = 0; i < 7; ++i)
    call.operands.push_back(onnx::getInput(op, i));
  for (Value bias : ArrayRef(call.operands).drop_front(5))
    if (bias && !isa<RankedTensorType>(bias.getType()))
      return op.leave("a bias is no ranked tensor");
  call.activation = op.getString("activation");
  auto isGated = op.getInt("gated"), isInterleaved = op.getInt("interleaved"),
       isTransposed = op.getInt("transposed");
  if (call.activation.empty() || !isGated || !isInterleaved || !isTransposed)
    return op.leave("it has to have the attributes activation, gated, "
                    "interleaved and transposed");
  call.isGated = *isGated;
  call.isInterleaved = *isInterleaved;
  call.isTransposed = *isTransposed;
  return torch::writeExperts(op, call);
}

void onnx::addExportedExperts(ForeignTable &table) {
  table.add("onnx.moe_mlir.ExportedExperts", convertExportedExperts);
}
