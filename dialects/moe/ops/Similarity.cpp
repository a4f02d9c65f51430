//===- Similarity.cpp - moe.similarity -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "OpHelpers.h"

#include "mlir/IR/ImplicitLocOpBuilder.h"

using namespace mlir;
using namespace moe;

LogicalResult SimilarityOp::inferReturnTypes(MLIRContext *,
                                             std::optional<Location> loc,
                                             ValueRange operands,
                                             DictionaryAttr, OpaqueProperties,
                                             RegionRange,
                                             SmallVectorImpl<Type> &inferred) {
  RankedTensorType x, centroids;
  if (operands.size() == 2) {
    x = dyn_cast<RankedTensorType>(operands[0].getType());
    centroids = dyn_cast<RankedTensorType>(operands[1].getType());
  }
  if (!x || x.getRank() != 2 || !centroids || centroids.getRank() != 2)
    return failInference(
        loc, "moe.similarity expects rows and centroids of two dimensions");
  inferred.push_back(RankedTensorType::get(
      {x.getDimSize(0), centroids.getDimSize(0)}, getAccumulatorFor(x)));
  return success();
}

LogicalResult SimilarityOp::verify() {
  auto x = getX().getType(), centroids = getCentroids().getType();
  if (failed(verifyStaticDim(*this, "x", x, 1, "length of rows")) ||
      failed(verifyStaticDim(*this, "centroids", centroids, 0,
                             "number of centroids")) ||
      failed(
          verifyStaticDim(*this, "centroids", centroids, 1, "length of rows")))
    return failure();
  if (x.getDimSize(1) != centroids.getDimSize(1))
    return emitOpError() << "expects centroids of " << x.getDimSize(1)
                         << " values like the rows of x, " << x << ", but got "
                         << centroids;
  auto expected = RankedTensorType::get(
      {x.getDimSize(0), centroids.getDimSize(0)}, getAccumulatorFor(x));
  return verifyType(*this, "a result", getScores().getType(), expected,
                    ", a score for each token and centroid");
}

void SimilarityOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  setName(getScores(), "similarity");
}

LogicalResult
SimilarityOp::reifyResultShapes(OpBuilder &b,
                                ReifiedRankedShapedTypeDims &shapes) {
  OpFoldResult rows = reifyDim(
      b, getScores(), 0, [&] { return buildDim(b, getLoc(), getX(), 0); });
  OpFoldResult columns = reifyDim(b, getScores(), 1, [&] {
    return buildDim(b, getLoc(), getCentroids(), 0);
  });
  shapes.push_back({rows, columns});
  return success();
}

Value SimilarityOp::generalize(RewriterBase &rewriter) {
  ImplicitLocOpBuilder b(getLoc(), rewriter);
  FloatType acc = getAccumulatorFor(getX().getType());
  AffineExpr d0 = b.getAffineDimExpr(0), d1 = b.getAffineDimExpr(1),
             d2 = b.getAffineDimExpr(2);
  auto map = [&](unsigned dims, ArrayRef<AffineExpr> results) {
    return AffineMap::get(dims, 0, results, b.getContext());
  };
  const auto parallel = utils::IteratorType::parallel;
  const auto reduction = utils::IteratorType::reduction;
  OpFoldResult tokens = tensor::getMixedSize(b, getLoc(), getX(), 0);
  OpFoldResult experts = b.getIndexAttr(getCentroids().getType().getDimSize(0));
  auto empty = [&](ArrayRef<OpFoldResult> sizes) -> Value {
    return tensor::EmptyOp::create(b, sizes, acc);
  };
  auto zeros = [&](ArrayRef<OpFoldResult> sizes) -> Value {
    Value zero = arith::ConstantOp::create(b, b.getZeroAttr(acc));
    return linalg::FillOp::create(b, zero, empty(sizes)).getResult(0);
  };
  using Body = function_ref<Value(ImplicitLocOpBuilder &, ValueRange)>;
  auto generic = [&](ValueRange inputs, Value init, ArrayRef<AffineMap> maps,
                     ArrayRef<utils::IteratorType> iterators,
                     Body body) -> Value {
    return linalg::GenericOp::create(
               b, init.getType(), inputs, init, maps, iterators,
               [&](OpBuilder &nested, Location loc, ValueRange args) {
                 ImplicitLocOpBuilder nb(loc, nested);
                 SmallVector<Value> wide;
                 for (Value arg : args)
                   wide.push_back(buildFloatCast(nb, loc, arg, acc));
                 linalg::YieldOp::create(nb, body(nb, wide));
               })
        .getResult(0);
  };
  auto finish = [&](Value scores) -> Value {
    if (scores.getType() == getScores().getType())
      return scores;
    return tensor::CastOp::create(b, getScores().getType(), scores);
  };

  if (getMetric() == SimilarityMetric::L2) {
    // As a difference of products it would lose what makes near vectors near.
    return finish(
        generic(ValueRange{getX(), getCentroids()}, zeros({tokens, experts}),
                {map(3, {d0, d2}), map(3, {d1, d2}), map(3, {d0, d1})},
                {parallel, parallel, reduction},
                [](ImplicitLocOpBuilder &nb, ValueRange args) -> Value {
                  Value d = arith::SubFOp::create(nb, args[0], args[1]);
                  Value square = arith::MulFOp::create(nb, d, d);
                  return arith::SubFOp::create(nb, args[2], square);
                }));
  }
  auto product = linalg::MatmulOp::create(
      b,
      RankedTensorType::get({getX().getType().getDimSize(0),
                             getCentroids().getType().getDimSize(0)},
                            acc),
      ValueRange{getX(), getCentroids()}, ValueRange{zeros({tokens, experts})});
  product.setIndexingMapsAttr(b.getAffineMapArrayAttr(
      {map(3, {d0, d2}), map(3, {d1, d2}), map(3, {d0, d1})}));
  if (getMetric() == SimilarityMetric::Dot)
    return finish(product.getResult(0));

  // One over the length of each row, at least 1e-12.
  auto reciprocals = [&](Value rows, OpFoldResult count) -> Value {
    Value squares =
        generic(rows, zeros(count), {map(2, {d0, d1}), map(2, {d0})},
                {parallel, reduction},
                [](ImplicitLocOpBuilder &nb, ValueRange args) -> Value {
                  Value square = arith::MulFOp::create(nb, args[0], args[0]);
                  return arith::AddFOp::create(nb, args[1], square);
                });
    return generic(
        squares, empty(count), {map(1, {d0}), map(1, {d0})}, {parallel},
        [&](ImplicitLocOpBuilder &nb, ValueRange args) -> Value {
          Value least = buildFloatConstant(nb, nb.getLoc(), acc, 1e-12);
          Value one = buildFloatConstant(nb, nb.getLoc(), acc, 1.0);
          Value length = arith::MaximumFOp::create(
              nb, math::SqrtOp::create(nb, args[0]), least);
          return arith::DivFOp::create(nb, one, length);
        });
  };
  Value byToken = reciprocals(getX(), tokens);
  Value byExpert = reciprocals(getCentroids(), experts);
  return finish(
      generic(ValueRange{product.getResult(0), byToken, byExpert},
              empty({tokens, experts}),
              {map(2, {d0, d1}), map(2, {d0}), map(2, {d1}), map(2, {d0, d1})},
              {parallel, parallel},
              [](ImplicitLocOpBuilder &nb, ValueRange args) -> Value {
                Value scaled = arith::MulFOp::create(nb, args[0], args[1]);
                return arith::MulFOp::create(nb, scaled, args[2]);
              }));
}
