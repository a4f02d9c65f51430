//===- WriteLayer.cpp - The ops of a layer ------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "WriteLayer.h"

#include "WriteFFN.h"

#include "moe/Moe.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace moe;
using namespace moe::raise;

Value moe::raise::writeLayer(OpBuilder &b, Location loc, ExpertBody &body,
                             Block &block, Value result, Value routing,
                             RankedTensorType type) {
  if (FFNOp ffn = writeFFN(block, result, loc))
    result = ffn.getResult();
  bool isInputWeighted = body.getInputWeight() != nullptr;
  auto tokens = cast<RankedTensorType>(body.getTokens().getType());
  auto rowsType = RankedTensorType::get(
      {ShapedType::kDynamic, tokens.getDimSize(1)}, tokens.getElementType());
  Value rows = DispatchOp::create(b, loc, rowsType, body.getTokens(), routing,
                                  /*weighted=*/isInputWeighted);
  auto outType = RankedTensorType::get(
      {ShapedType::kDynamic, type.getDimSize(1)}, type.getElementType());
  auto expert = ExpertOp::create(
      b, loc, outType, rows, routing, body.getWeights(), ValueRange(),
      ArrayRef<int64_t>{0, body.getNumExperts()},
      ArrayRef<int64_t>{static_cast<int64_t>(body.getWeights().size())});
  Region &region = expert.getGroups().front();
  region.getBlocks().clear();
  auto *moved = new Block;
  region.push_back(moved);
  for (BlockArgument argument : block.getArguments()) {
    Value copy = moved->addArgument(argument.getType(), loc);
    argument.replaceAllUsesWith(copy);
    if (argument == result)
      result = copy;
  }
  moved->getOperations().splice(moved->end(), block.getOperations());
  OpBuilder inside = OpBuilder::atBlockEnd(moved);
  YieldOp::create(inside, loc, result);
  auto combinedType = RankedTensorType::get(
      {tokens.getDimSize(0), type.getDimSize(1)}, type.getElementType());
  Value y = CombineOp::create(b, loc, combinedType, expert.getResult(), routing,
                              /*init=*/Value(), /*unweighted=*/isInputWeighted);
  return y.getType() == type ? y : tensor::CastOp::create(b, loc, type, y);
}
