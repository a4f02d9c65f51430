//===- OpHelpers.cpp - What verifiers and builders of the ops share -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "OpHelpers.h"

#include "mlir/IR/IRMapping.h"
#include "mlir/IR/TypeUtilities.h"

using namespace mlir;

bool moe::areCompatible(Type a, Type b) {
  return getElementTypeOrSelf(a) == getElementTypeOrSelf(b) &&
         succeeded(verifyCompatibleShape(a, b));
}

LogicalResult moe::verifyStaticDim(Operation *op, StringRef name, Type type,
                                   unsigned dim, StringRef what) {
  if (!cast<RankedTensorType>(type).isDynamicDim(dim))
    return success();
  return op->emitOpError() << "expects a static " << what << ", dimension "
                           << dim << " of " << name << ", but got " << type;
}

LogicalResult moe::verifyFeatures(Operation *op, StringRef name, Type type,
                                  unsigned dim, StringRef what) {
  if (failed(verifyStaticDim(op, name, type, dim, what)))
    return failure();
  if (cast<RankedTensorType>(type).getDimSize(dim) > 0)
    return success();
  return op->emitOpError() << "expects the " << what
                           << " to be at least 1, dimension " << dim << " of "
                           << name << ", but got " << type;
}

LogicalResult moe::verifyType(Operation *op, StringRef name, Type type,
                              Type expected, const Twine &reason) {
  if (areCompatible(type, expected))
    return success();
  return op->emitOpError() << "expects " << name << " of type " << expected
                           << reason << ", but got " << type;
}

LogicalResult moe::verifyView(Operation *op, Type type, Type expected,
                              const Twine &reason) {
  if (failed(verifyType(op, "a result", type, expected, reason)))
    return failure();
  for (int64_t dim = 1, e = cast<RankedTensorType>(type).getRank(); dim < e;
       ++dim)
    if (failed(verifyStaticDim(op, "the result", type, dim, "number of slots")))
      return failure();
  return success();
}

LogicalResult moe::verifyBodyForm(Operation *op, Region &region,
                                  const Twine &name) {
  if (!region.hasOneBlock())
    return op->emitOpError()
           << "expects " << name << " to be one block, but it has "
           << region.getBlocks().size();
  Operation &last = region.front().back();
  if (isa<YieldOp>(last))
    return success();
  InFlightDiagnostic diag = op->emitOpError()
                            << "expects " << name << " to end with moe.yield";
  diag.attachNote(last.getLoc())
      << "it ends here, with '" << last.getName() << "'";
  return diag;
}

LogicalResult moe::verifyBodyYield(Operation *op, Region &region,
                                   const Twine &name, Type expected) {
  auto yield = cast<YieldOp>(region.front().back());
  if (yield.getNumOperands() == 1 && yield.getOperand(0).getType() == expected)
    return success();
  InFlightDiagnostic diag = op->emitOpError()
                            << "expects " << name << " to yield one value of "
                            << expected << ", but it yields "
                            << yield.getNumOperands();
  if (yield.getNumOperands() == 1)
    diag << " of " << yield.getOperand(0).getType();
  diag.attachNote(yield.getLoc()) << "yielded here";
  return diag;
}

LogicalResult
moe::verifyBodyArguments(Operation *op, Region &region, const Twine &name,
                         TypeRange expected,
                         function_ref<std::string(unsigned)> describe) {
  Block &block = region.front();
  if (block.getNumArguments() != expected.size()) {
    InFlightDiagnostic diag = op->emitOpError()
                              << "expects " << name << " to have "
                              << expected.size() << " arguments (";
    llvm::interleaveComma(llvm::seq<unsigned>(0, expected.size()), diag,
                          [&](unsigned i) { diag << describe(i); });
    return diag << "), but it has " << block.getNumArguments();
  }
  for (auto [i, pair] :
       llvm::enumerate(llvm::zip(block.getArguments(), expected))) {
    auto [argument, type] = pair;
    if (argument.getType() == type)
      continue;
    InFlightDiagnostic diag = op->emitOpError()
                              << "expects argument #" << i << " of " << name
                              << " (" << describe(i) << ") to be " << type
                              << ", but got " << argument.getType();
    diag.attachNote(argument.getLoc()) << "argument is here";
    return diag;
  }
  return success();
}

FloatType moe::getAccumulatorFor(Type type) {
  Type element = getElementTypeOrSelf(type);
  if (element.isF64())
    return cast<FloatType>(element);
  return Float32Type::get(type.getContext());
}

OpFoldResult moe::reifyDim(OpBuilder &b, Value result, int64_t dim,
                           function_ref<Value()> dynamic) {
  auto type = cast<RankedTensorType>(result.getType());
  if (!type.isDynamicDim(dim))
    return b.getIndexAttr(type.getDimSize(dim));
  return dynamic();
}

Value moe::buildDim(OpBuilder &b, Location loc, Value tensor, int64_t dim) {
  return b.createOrFold<tensor::DimOp>(loc, tensor, dim);
}

Value moe::buildNumAssignments(OpBuilder &b, Location loc, Value routing) {
  int64_t experts = cast<RoutingType>(routing.getType()).getExperts();
  Value offsets = RoutingOffsetsOp::create(b, loc, routing);
  Value last = arith::ConstantIndexOp::create(b, loc, experts);
  Value count = tensor::ExtractOp::create(b, loc, offsets, last);
  return arith::IndexCastOp::create(b, loc, b.getIndexType(), count);
}

Value moe::buildNumTokens(OpBuilder &b, Location loc, Value routing) {
  return b.createOrFold<RoutingNumTokensOp>(loc, routing);
}

LogicalResult moe::failInference(std::optional<Location> loc,
                                 StringRef message) {
  return emitOptionalError(loc, message);
}

Value moe::cloneBody(OpBuilder &builder, Block &body, ValueRange args) {
  IRMapping map;
  map.map(body.getArguments(), args);
  for (Operation &op : body.without_terminator())
    builder.clone(op, map);
  return map.lookupOrDefault(body.getTerminator()->getOperand(0));
}

Value moe::buildFloatCast(OpBuilder &b, Location loc, Value value, Type type) {
  unsigned from = value.getType().getIntOrFloatBitWidth();
  unsigned to = type.getIntOrFloatBitWidth();
  if (value.getType() == type)
    return value;
  if (from < to)
    return arith::ExtFOp::create(b, loc, type, value);
  if (from > to)
    return arith::TruncFOp::create(b, loc, type, value);
  // bf16 and f16: neither holds the other.
  Value wide = arith::ExtFOp::create(b, loc, b.getF32Type(), value);
  return arith::TruncFOp::create(b, loc, type, wide);
}
