//===- TorchProducts.cpp - PyTorch's products and reductions -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Torch.h"

#include "Onnx.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"

#include <limits>
#include <numeric>

using namespace mlir;
using namespace moe::raise;
using namespace moe::raise::torch;

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

FailureOr<Value> torch::addTensors(Upstream &up, Value lhs, Value rhs) {
  Type element = Upstream::typeOf(lhs).getElementType();
  return onnx::elementwise(
      up, {lhs, rhs}, element, [&](OpBuilder &b, ValueRange v) -> Value {
        if (isa<FloatType>(element))
          return arith::AddFOp::create(b, up.getLoc(), v[0], v[1]);
        return arith::AddIOp::create(b, up.getLoc(), v[0], v[1]);
      });
}

Value torch::multiplyBatches(Upstream &up, Value lhs, Value rhs) {
  ContractionDims dims;
  dims.lhsBatch = dims.rhsBatch = {0};
  dims.lhsContracting = {2};
  dims.rhsContracting = {1};
  return up.contract(lhs, rhs, dims);
}

/// Whether both have the size, as far as it is known.
static bool fit(RankedTensorType a, int64_t i, RankedTensorType b, int64_t j) {
  return a.isDynamicDim(i) || b.isDynamicDim(j) ||
         a.getDimSize(i) == b.getDimSize(j);
}

/// Sums of products over dimension `contracting` of the second operand and the
/// last of the first; null, and the op is left, if they do not fit. All but the
/// last two dimensions of both are batches if the second has more than two.
static Value multiplyMatrices(ForeignOp &op, Value lhs, Value rhs,
                              bool isTransposed) {
  RankedTensorType left = Upstream::typeOf(lhs), right = Upstream::typeOf(rhs);
  int64_t l = left.getRank(), r = right.getRank();
  ContractionDims dims;
  bool isGood = l >= 1 && r >= 2 && (r == 2 || l == r) &&
                left.getElementType() == right.getElementType();
  for (int64_t d = 0; isGood && d < r - 2; ++d) {
    isGood = fit(left, d, right, d);
    dims.lhsBatch.push_back(d);
    dims.rhsBatch.push_back(d);
  }
  int64_t contracting = isTransposed ? r - 1 : r - 2;
  if (!isGood || !fit(left, l - 1, right, contracting)) {
    (void)op.leave("its operands are no matrices, or do not fit");
    return {};
  }
  dims.lhsContracting = {l - 1};
  dims.rhsContracting = {contracting};
  return op.upstream.contract(lhs, rhs, dims);
}

/// Two operands; the second is [N, K] if it is transposed.
static Value multiplyOperands(ForeignOp &op, unsigned first,
                              bool isTransposed) {
  Value lhs = getTensor(op, first);
  Value rhs = lhs ? getTensor(op, first + 1) : Value();
  return rhs ? multiplyMatrices(op, lhs, rhs, isTransposed) : Value();
}

static LogicalResult convertMatMul(ForeignOp &op) {
  Value product = multiplyOperands(op, 0, /*isTransposed=*/false);
  return product ? op.replace(product) : failure();
}

/// x W^T, with a bias if there is one.
static LogicalResult convertLinear(ForeignOp &op) {
  Value product = multiplyOperands(op, 0, /*isTransposed=*/true);
  if (!product)
    return failure();
  if (op.getNumOperands() < 3 || isNone(op.getOperand(2)))
    return op.replace(product);
  Value bias = getTensor(op, 2);
  if (!bias)
    return failure();
  FailureOr<Value> sum = addTensors(op.upstream, product, bias);
  return succeeded(sum) ? op.replace(*sum) : op.leave("its bias does not fit");
}

/// Operand 0 plus the product of the next two.
static LogicalResult convertAddMM(ForeignOp &op) {
  for (unsigned i = 3; i < op.getNumOperands(); ++i) {
    TypedAttr factor = getNumber(op.getOperand(i));
    auto integer = dyn_cast_or_null<IntegerAttr>(factor);
    auto real = dyn_cast_or_null<FloatAttr>(factor);
    if (!(integer && integer.getValue().isOne()) &&
        !(real && real.getValueAsDouble() == 1))
      return op.leave("its factors are not 1");
  }
  Value bias = getTensor(op, 0);
  Value product =
      bias ? multiplyOperands(op, 1, /*isTransposed=*/false) : Value();
  if (!product)
    return failure();
  FailureOr<Value> sum = addTensors(op.upstream, product, bias);
  return succeeded(sum) ? op.replace(*sum)
                        : op.leave("its first operand does not fit");
}

//===----------------------------------------------------------------------===//
// Reductions
//===----------------------------------------------------------------------===//

namespace {
/// What is reduced.
struct Reduction {
  Value tensor;
  SmallVector<int64_t> dims;
  bool keep = false;
  Sizes sizes; ///< before
};
} // namespace

/// Operand `dims` is a dimension, a list of them, or none, which is all; `keep`
/// says whether they stay. Nothing, and the op is left, if it is none of it.
static std::optional<Reduction> getReduction(ForeignOp &op, unsigned dims,
                                             unsigned keep) {
  Reduction it;
  it.tensor = getTensor(op, 0);
  if (!it.tensor)
    return std::nullopt;
  it.sizes = op.upstream.sizesOf(it.tensor);
  int64_t rank = it.sizes.size();
  std::optional<SmallVector<int64_t>> given;
  if (dims >= op.getNumOperands() || isNone(op.getOperand(dims)))
    given = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  else if (std::optional<int64_t> one = getInt(op.getOperand(dims)))
    given = SmallVector<int64_t>{*one};
  else
    given = getInts(op.getOperand(dims));
  if (given && given->empty())
    given = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  std::optional<bool> kept = false;
  if (keep < op.getNumOperands())
    kept = getBool(op.getOperand(keep));
  bool isGood = given && kept;
  for (int64_t dim : given.value_or(SmallVector<int64_t>())) {
    std::optional<int64_t> axis = onnx::getAxis(dim, rank);
    isGood &= axis && !llvm::is_contained(it.dims, *axis);
    it.dims.push_back(axis.value_or(0));
  }
  if (!isGood) {
    (void)op.leave("the dimensions that it reduces are not known");
    return std::nullopt;
  }
  it.keep = *kept;
  return it;
}

static LogicalResult replaceReduced(ForeignOp &op, const Reduction &it,
                                    Value reduced) {
  return op.replace(
      onnx::keepAxes(op.upstream, reduced, it.sizes, it.dims, it.keep));
}

static LogicalResult sumOver(ForeignOp &op, unsigned dims, unsigned keep,
                             bool isMean) {
  std::optional<Reduction> it = getReduction(op, dims, keep);
  Type element = getResultElement(op);
  if (!it)
    return failure();
  if (!element)
    return op.leave("the type of its result is not known");
  Upstream &up = op.upstream;
  Value sum = up.sum(castTo(up, it->tensor, element), it->dims);
  if (isMean) {
    if (!isa<FloatType>(element))
      return op.leave("it is known for floats only");
    OpFoldResult count = up.getBuilder().getIndexAttr(1);
    for (int64_t dim : it->dims)
      count = onnx::multiply(up, count, it->sizes[dim]);
    Value divisor = onnx::toValue(up, count);
    sum =
        up.elementwise(sum, element, [&](OpBuilder &b, ValueRange v) -> Value {
          Value number = Upstream(b, op.getLoc()).castScalar(divisor, element);
          return arith::DivFOp::create(b, op.getLoc(), v[0], number);
        });
  }
  return replaceReduced(op, *it, sum);
}

static LogicalResult convertSum(ForeignOp &op) {
  return sumOver(op, 1, 2, /*isMean=*/false);
}
static LogicalResult convertSumOfAll(ForeignOp &op) {
  return sumOver(op, ~0u, ~0u, /*isMean=*/false);
}
static LogicalResult convertMean(ForeignOp &op) {
  return sumOver(op, 1, 2, /*isMean=*/true);
}

/// The largest elements over `it.dims`, NaN if there is one.
static Value largestOf(Upstream &up, const Reduction &it) {
  Type element = Upstream::typeOf(it.tensor).getElementType();
  Value least;
  if (isa<FloatType>(element))
    least = up.scalar(element, -std::numeric_limits<double>::infinity());
  else
    least = arith::ConstantOp::create(
        up.getBuilder(), up.getLoc(),
        up.getBuilder().getIntegerAttr(
            element,
            APInt::getSignedMinValue(element.getIntOrFloatBitWidth())));
  return up.reduce(
      it.tensor, least, it.dims, [&](OpBuilder &b, ValueRange v) -> Value {
        if (isa<FloatType>(element))
          return arith::MaximumFOp::create(b, up.getLoc(), v[1], v[0]);
        return arith::MaxSIOp::create(b, up.getLoc(), v[1], v[0]);
      });
}

static LogicalResult convertLargest(ForeignOp &op) {
  std::optional<Reduction> it = getReduction(op, 1, 2);
  if (!it)
    return failure();
  return replaceReduced(op, *it, largestOf(op.upstream, *it));
}

/// The place of the largest of each row; null, and the op is left, if it is not
/// the last dimension of floats.
static Value placeOfLargest(ForeignOp &op, const Reduction &it, Type index) {
  RankedTensorType type = Upstream::typeOf(it.tensor);
  int64_t last = type.getRank() - 1;
  if (it.dims != ArrayRef<int64_t>{last} || type.isDynamicDim(last) ||
      !isa<FloatType>(type.getElementType()) || !index) {
    (void)op.leave("places are known for the last dimension of floats only");
    return {};
  }
  Value places = op.upstream.topK(it.tensor, 1, index).second;
  Sizes sizes(it.sizes);
  sizes.pop_back();
  return op.upstream.reshape(places, sizes);
}

/// The largest along one dimension, and where they are.
static LogicalResult convertMaxDim(ForeignOp &op) {
  std::optional<Reduction> it = getReduction(op, 1, 2);
  if (!it)
    return failure();
  if (op.getOperation()->getNumResults() != 2)
    return op.leave("it has not two results");
  Value places, values = largestOf(op.upstream, *it);
  if (op.getOperation()->getResult(1).use_empty()) {
    // As a softmax does. Nobody sees what is there instead.
    places = op.upstream.fill(
        op.upstream.sizesOf(values),
        op.upstream.scalar(op.upstream.getBuilder().getI64Type(), 0));
  } else {
    places = placeOfLargest(op, *it, getResultElement(op, 1));
  }
  if (!places)
    return failure();
  auto keep = [&](Value reduced) {
    return onnx::keepAxes(op.upstream, reduced, it->sizes, it->dims, it->keep);
  };
  return op.replace({keep(values), keep(places)});
}

static LogicalResult convertArgMax(ForeignOp &op) {
  std::optional<Reduction> it = getReduction(op, 1, 2);
  Value places = it ? placeOfLargest(op, *it, getResultElement(op)) : Value();
  return places ? replaceReduced(op, *it, places) : failure();
}

static LogicalResult convertSoftmax(ForeignOp &op) {
  Value tensor = getTensor(op, 0);
  Type element = getResultElement(op);
  if (!tensor)
    return failure();
  std::optional<int64_t> dim =
      getDim(op, 1, Upstream::typeOf(tensor).getRank());
  if (!dim)
    return failure();
  if (!isa_and_nonnull<FloatType>(element))
    return op.leave("it is known for floats only");
  return op.replace(
      op.upstream.softmax(castTo(op.upstream, tensor, element), *dim));
}

Value torch::lookThroughFloats(Value tensor) {
  auto cast = tensor.getDefiningOp<linalg::GenericOp>();
  if (!cast || cast.getNumDpsInputs() != 1 || !cast.getNumLoops() ||
      cast.getNumParallelLoops() != cast.getNumLoops() ||
      !llvm::all_of(cast.getIndexingMapsArray(),
                    [](AffineMap map) { return map.isIdentity(); }))
    return tensor;
  Value yielded = cast.getBody()->getTerminator()->getOperand(0);
  auto convert = yielded.getDefiningOp<arith::SIToFPOp>();
  return convert && convert.getIn() == cast.getBody()->getArgument(0)
             ? cast.getDpsInputOperand(0)->get()
             : tensor;
}

static LogicalResult convertCumSum(ForeignOp &op) {
  Value tensor = getTensor(op, 0);
  Type element = getResultElement(op);
  if (!tensor)
    return failure();
  std::optional<int64_t> dim =
      getDim(op, 1, Upstream::typeOf(tensor).getRank());
  if (!dim)
    return failure();
  if (!element)
    return op.leave("the type of its result is not known");
  // Counts of a histogram are floats in between.
  if (element.isInteger())
    tensor = lookThroughFloats(tensor);
  return op.replace(
      op.upstream.runningSum(castTo(op.upstream, tensor, element), *dim));
}

void torch::addProducts(ForeignTable &table) {
  auto add = [&](StringRef name, Translation translation) {
    table.add(("torch.aten." + name).str(), translation);
  };
  for (StringRef name : {"mm", "bmm", "matmul"})
    add(name, convertMatMul);
  add("linear", convertLinear);
  add("addmm", convertAddMM);
  add("sum.dim_IntList", convertSum);
  add("sum", convertSumOfAll);
  add("mean.dim", convertMean);
  add("amax", convertLargest);
  add("max.dim", convertMaxDim);
  add("argmax", convertArgMax);
  add("_softmax", convertSoftmax);
  add("softmax.int", convertSoftmax);
  add("cumsum", convertCumSum);
}
