//===- FFN.cpp - moe.ffn -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "OpHelpers.h"

#include "mlir/IR/ImplicitLocOpBuilder.h"

using namespace mlir;
using namespace moe;

LogicalResult
FFNOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc,
                        ValueRange operands, DictionaryAttr attributes,
                        OpaqueProperties properties, RegionRange regions,
                        SmallVectorImpl<Type> &inferred) {
  Adaptor adaptor(operands, attributes, properties, regions);
  auto x = dyn_cast<RankedTensorType>(operands[0].getType());
  auto down = dyn_cast<RankedTensorType>(
      adaptor.getODSOperands(3).empty()
          ? Type()
          : adaptor.getODSOperands(3).front().getType());
  if (!x || x.getRank() != 2 || !down || down.getRank() != 2)
    return failInference(loc, "moe.ffn expects x and down of two dimensions");
  inferred.push_back(RankedTensorType::get(
      {x.getDimSize(0), down.getDimSize(0)}, x.getElementType()));
  return success();
}

void FFNOp::build(OpBuilder &builder, OperationState &state, Value x,
                  Value gate, Value up, Value down,
                  ActivationAttrInterface activation) {
  auto xType = cast<RankedTensorType>(x.getType());
  auto downType = cast<RankedTensorType>(down.getType());
  auto type = RankedTensorType::get(
      {xType.getDimSize(0), downType.getDimSize(0)}, xType.getElementType());
  build(builder, state, type, x, gate, up, down, /*gate_bias=*/Value(),
        /*up_bias=*/Value(), /*down_bias=*/Value(), activation);
}

FloatType FFNOp::getAccumulatorType() {
  return getAccumulatorFor(getX().getType());
}

LogicalResult FFNOp::verify() {
  RankedTensorType x = getX().getType(), up = getUp().getType(),
                   down = getDown().getType();
  if (failed(verifyFeatures(*this, "x", x, 1, "hidden size")) ||
      failed(verifyFeatures(*this, "up", up, 0, "intermediate size")) ||
      failed(verifyFeatures(*this, "down", down, 0, "hidden size")))
    return failure();

  // Weights may be of another float type than x, and of one another.
  auto verifyShape = [&](StringRef name, Value value, ArrayRef<int64_t> shape,
                         StringRef letters, StringRef reason) {
    auto type = cast<RankedTensorType>(value.getType());
    if (type.getShape() == shape)
      return success();
    InFlightDiagnostic diag = emitOpError() << "expects " << name
                                            << " of shape " << letters << " = ";
    llvm::interleave(shape, diag, "x");
    diag << ", " << reason << ", but got " << type;
    return LogicalResult(diag);
  };
  int64_t hidden = x.getDimSize(1), inner = up.getDimSize(0),
          out = down.getDimSize(0);
  StringRef fromX = "with H of x";
  StringRef fromUp = "with I of up";
  if (failed(verifyShape("up", getUp(), {inner, hidden}, "IxH", fromX)) ||
      (getGate() && failed(verifyShape("gate", getGate(), {inner, hidden},
                                       "IxH", "the shape of up"))) ||
      failed(verifyShape("down", getDown(), {out, inner}, "H'xI", fromUp)))
    return failure();
  if (getGateBias()) {
    if (!getGate())
      return emitOpError() << "expects gate_bias only beside gate";
    if (failed(verifyShape("gate_bias", getGateBias(), {inner}, "I", fromUp)))
      return failure();
  }
  if (getUpBias() &&
      failed(verifyShape("up_bias", getUpBias(), {inner}, "I", fromUp)))
    return failure();
  if (getDownBias() && failed(verifyShape("down_bias", getDownBias(), {out},
                                          "H'", "with H' of down")))
    return failure();

  auto expected =
      RankedTensorType::get({x.getDimSize(0), out}, x.getElementType());
  if (failed(verifyType(*this, "a result", getResult().getType(), expected,
                        ", the rows of x times H' of down")))
    return failure();
  if (getResult().getType().isDynamicDim(1))
    return verifyStaticDim(*this, "the result", getResult().getType(), 1,
                           "hidden size");

  std::optional<ActivationAttrInterface> activation = getActivation();
  bool hasBody = !getBody().empty();
  if (activation.has_value() == hasBody)
    return emitOpError() << "expects its activation by an attribute "
                            "`activation` or by a region `body`, but has "
                         << (hasBody ? "both" : "neither");
  if (!activation)
    return success();
  if (isGated() && !activation->supportsGated())
    return emitOpError() << "expects an activation of (gate, up), but "
                         << *activation << " takes (up): remove gate";
  if (!isGated() && !activation->supportsPlain())
    return emitOpError() << "expects an activation of (up), but " << *activation
                         << " takes (gate, up): add gate";
  return success();
}

LogicalResult FFNOp::verifyRegions() {
  if (getBody().empty())
    return success();
  Type type = getAccumulatorType();
  SmallVector<Type> types(isGated() ? 2 : 1, type);
  auto describe = [&](unsigned i) -> std::string {
    return isGated() && i == 0 ? "gate" : "up";
  };
  if (failed(verifyBodyForm(*this, getBody(), "its body")) ||
      failed(
          verifyBodyArguments(*this, getBody(), "its body", types, describe)))
    return failure();
  return verifyBodyYield(*this, getBody(), "its body", type);
}

void FFNOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  setName(getResult(), "ffn");
}

void FFNOp::getAsmBlockArgumentNames(Region &region,
                                     OpAsmSetValueNameFn setName) {
  if (region.empty())
    return;
  if (region.getNumArguments() == 2)
    setName(region.getArgument(0), "gate");
  if (region.getNumArguments() > 0)
    setName(region.getArguments().back(), "up");
}

LogicalResult FFNOp::reifyResultShapes(OpBuilder &b,
                                       ReifiedRankedShapedTypeDims &shapes) {
  OpFoldResult rows = reifyDim(
      b, getResult(), 0, [&] { return buildDim(b, getLoc(), getX(), 0); });
  shapes.push_back({rows, b.getIndexAttr(getResult().getType().getDimSize(1))});
  return success();
}

Value FFNOp::buildActivationBody(OpBuilder &builder, Location loc,
                                 ValueRange args) {
  if (getBody().empty())
    return getActivation()->buildActivation(builder, loc, args);

  return cloneBody(builder, getBody().front(), args);
}

LogicalResult FFNOp::expandActivation(RewriterBase &rewriter) {
  if (!getActivation())
    return failure();
  OpBuilder::InsertionGuard guard(rewriter);
  SmallVector<Type> types(isGated() ? 2 : 1, getAccumulatorType());
  SmallVector<Location> locs(types.size(), getLoc());
  Block *block = rewriter.createBlock(&getBody(), {}, types, locs);
  Value h = getActivation()->buildActivation(rewriter, getLoc(),
                                             block->getArguments());
  YieldOp::create(rewriter, getLoc(), h);
  rewriter.modifyOpInPlace(*this, [&] { removeActivationAttr(); });
  return success();
}

FailureOr<SmallVector<Value>> FFNOp::generalize(RewriterBase &rewriter) {
  ImplicitLocOpBuilder b(getLoc(), rewriter);
  FloatType acc = getAccumulatorType();
  auto xType = getX().getType();
  OpFoldResult tokens = tensor::getMixedSize(b, getLoc(), getX(), 0);
  AffineExpr d0 = b.getAffineDimExpr(0), d1 = b.getAffineDimExpr(1),
             d2 = b.getAffineDimExpr(2);

  // lhs times the transpose of weight, both extended to the accumulator type.
  auto matmul = [&](Value lhs, Value weight) -> Value {
    int64_t columns = cast<RankedTensorType>(weight.getType()).getDimSize(0);
    SmallVector<OpFoldResult> sizes{tokens, b.getIndexAttr(columns)};
    Value empty = tensor::EmptyOp::create(b, sizes, acc);
    Value zero = arith::ConstantOp::create(b, b.getZeroAttr(acc));
    Value init = linalg::FillOp::create(b, zero, empty).getResult(0);
    ArrayAttr maps = b.getAffineMapArrayAttr(
        {AffineMap::get(3, 0, {d0, d2}, b.getContext()),
         AffineMap::get(3, 0, {d1, d2}, b.getContext()),
         AffineMap::get(3, 0, {d0, d1}, b.getContext())});
    auto op = linalg::MatmulOp::create(
        b, init.getType(), ValueRange{lhs, weight}, ValueRange{init});
    op.setIndexingMapsAttr(maps);
    return op.getResult(0);
  };

  // One elementwise pass over matrices of one shape, each with its bias.
  AffineMap matrixMap = AffineMap::get(2, 0, {d0, d1}, b.getContext());
  AffineMap biasMap = AffineMap::get(2, 0, {d1}, b.getContext());
  auto elementwise =
      [&](ArrayRef<Value> matrices, ArrayRef<Value> biases, int64_t columns,
          Type type,
          function_ref<Value(OpBuilder &, Location, ValueRange)> body)
      -> Value {
    SmallVector<OpFoldResult> sizes{tokens, b.getIndexAttr(columns)};
    Value empty = tensor::EmptyOp::create(b, sizes, type);
    SmallVector<Value> inputs(matrices);
    SmallVector<AffineMap> maps(matrices.size(), matrixMap);
    for (Value bias : biases)
      if (bias) {
        inputs.push_back(bias);
        maps.push_back(biasMap);
      }
    maps.push_back(matrixMap);
    SmallVector<utils::IteratorType> iterators(2,
                                               utils::IteratorType::parallel);
    bool failedBody = false;
    auto generic = linalg::GenericOp::create(
        b, empty.getType(), inputs, empty, maps, iterators,
        [&](OpBuilder &nested, Location loc, ValueRange args) {
          SmallVector<Value> sums;
          unsigned next = matrices.size();
          for (unsigned i = 0; i < matrices.size(); ++i) {
            Value value = args[i];
            if (biases[i])
              value = arith::AddFOp::create(
                  nested, loc, value,
                  buildFloatCast(nested, loc, args[next++], acc));
            sums.push_back(value);
          }
          Value result = body(nested, loc, sums);
          failedBody = !result;
          if (failedBody)
            result = sums.front();
          linalg::YieldOp::create(nested, loc,
                                  buildFloatCast(nested, loc, result, type));
        });
    return failedBody ? Value() : generic.getResult(0);
  };

  int64_t inner = getIntermediate(), out = getOutputHidden();
  SmallVector<Value> matrices, biases;
  if (isGated()) {
    matrices.push_back(matmul(getX(), getGate()));
    biases.push_back(getGateBias());
  }
  matrices.push_back(matmul(getX(), getUp()));
  biases.push_back(getUpBias());
  Value h = elementwise(matrices, biases, inner, acc,
                        [&](OpBuilder &nested, Location loc, ValueRange args) {
                          return buildActivationBody(nested, loc, args);
                        });
  if (!h)
    return failure();

  Value f = matmul(h, getDown());
  if (getDownBias() || acc != xType.getElementType())
    f = elementwise(
        f, getDownBias(), out, xType.getElementType(),
        [](OpBuilder &, Location, ValueRange args) { return args.front(); });
  if (f.getType() != getResult().getType())
    f = tensor::CastOp::create(b, getResult().getType(), f);
  return SmallVector<Value>{f};
}
