//===- OnnxProducts.cpp - ONNX's products and reductions ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What sums: matrix products, reductions, softmax and norms.
//
//===----------------------------------------------------------------------===//

#include "Onnx.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/StringExtras.h"

#include <limits>
#include <numeric>

using namespace mlir;
using namespace moe::raise;
using namespace moe::raise::onnx;

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

/// Whether the sizes are the same as far as they are known.
static bool fit(int64_t a, int64_t b) {
  return ShapedType::isDynamic(a) || ShapedType::isDynamic(b) || a == b;
}

static LogicalResult convertMatMul(ForeignOp &op) {
  if (failed(needInputs(op, 2)))
    return failure();
  Upstream &up = op.upstream;
  Value lhs = op.getOperand(0), rhs = op.getOperand(1);
  if (Upstream::typeOf(lhs).getElementType() !=
      Upstream::typeOf(rhs).getElementType())
    return op.leave("its inputs are of different types");
  OpFoldResult one = up.getBuilder().getIndexAttr(1);
  // Vectors are matrices of one row or column for now.
  bool isRow = Upstream::typeOf(lhs).getRank() == 1,
       isColumn = Upstream::typeOf(rhs).getRank() == 1;
  if (isRow)
    lhs = up.reshape(lhs, {one, up.sizesOf(lhs)[0]});
  if (isColumn)
    rhs = up.reshape(rhs, {up.sizesOf(rhs)[0], one});
  int64_t l = Upstream::typeOf(lhs).getRank(),
          r = Upstream::typeOf(rhs).getRank();
  if (l < 2 || r < 2)
    return op.leave("an input is a scalar");
  if (!fit(Upstream::typeOf(lhs).getDimSize(l - 1),
           Upstream::typeOf(rhs).getDimSize(r - 2)))
    return op.leave("the shapes of its inputs differ");
  // One matrix for all is a product with more rows.
  Sizes lhsSizes = up.sizesOf(lhs), rhsSizes = up.sizesOf(rhs);
  auto isOne = [](OpFoldResult size) { return getConstantIntValue(size) == 1; };
  if (r > 2 && l >= r && llvm::all_of(ArrayRef(rhsSizes).drop_back(2), isOne)) {
    rhs = up.reshape(rhs, {rhsSizes[r - 2], rhsSizes[r - 1]});
    r = 2;
  }
  ContractionDims dims;
  if (r > 2) {
    // Batches by NumPy's rule.
    int64_t batches = std::max(l, r) - 2;
    Sizes batch(batches, one);
    for (const Sizes *sizes : {&lhsSizes, &rhsSizes}) {
      int64_t shift = batches + 2 - sizes->size();
      for (int64_t d = shift; d < batches; ++d) {
        OpFoldResult size = (*sizes)[d - shift];
        std::optional<int64_t> all = getConstantIntValue(batch[d]),
                               here = getConstantIntValue(size);
        if (all && here && *all != 1 && *here != 1 && *all != *here)
          return op.leave("the batches of its inputs differ");
        if (all == 1 || (!all && here && *here != 1))
          batch[d] = size;
      }
    }
    auto widen = [&](Value matrix, const Sizes &own) {
      Sizes sizes(batch);
      sizes.append({own[own.size() - 2], own.back()});
      SmallVector<int64_t> to(own.size());
      std::iota(to.begin(), to.end(), sizes.size() - own.size());
      bool isWide = own.size() == sizes.size();
      for (int64_t d = 0; isWide && d < batches; ++d)
        isWide = !isOne(own[d]) || isOne(batch[d]);
      return isWide ? matrix : up.broadcast(matrix, sizes, to);
    };
    lhs = widen(lhs, lhsSizes);
    rhs = widen(rhs, rhsSizes);
    l = r = batches + 2;
    for (int64_t d = 0; d < batches; ++d) {
      dims.lhsBatch.push_back(d);
      dims.rhsBatch.push_back(d);
    }
  }
  dims.lhsContracting = {l - 1};
  dims.rhsContracting = {r - 2};
  Value result = up.contract(lhs, rhs, dims);
  Sizes sizes = up.sizesOf(result);
  if (isColumn)
    sizes.pop_back();
  if (isRow)
    sizes.erase(sizes.end() - (isColumn ? 1 : 2));
  return op.replace(isRow || isColumn ? up.reshape(result, sizes) : result);
}

/// Times a number, if it is another than 1.
static Value scale(ForeignOp &op, Value tensor, double factor) {
  if (factor == 1.0)
    return tensor;
  Type element = Upstream::typeOf(tensor).getElementType();
  return op.upstream.elementwise(
      tensor, element, [&](OpBuilder &b, ValueRange v) -> Value {
        Upstream scalars(b, op.getLoc());
        return arith::MulFOp::create(b, op.getLoc(), v[0],
                                     scalars.scalar(element, factor));
      });
}

static LogicalResult convertGemm(ForeignOp &op) {
  if (failed(needInputs(op, 2)))
    return failure();
  Upstream &up = op.upstream;
  Value lhs = op.getOperand(0), rhs = op.getOperand(1);
  RankedTensorType left = Upstream::typeOf(lhs), right = Upstream::typeOf(rhs);
  Type element = left.getElementType();
  if (left.getRank() != 2 || right.getRank() != 2 ||
      right.getElementType() != element || !isa<FloatType>(element))
    return op.leave("its inputs are no matrices of floats of one type");
  ContractionDims dims;
  dims.lhsContracting = {op.getInt("transA", 0) ? 0 : 1};
  dims.rhsContracting = {op.getInt("transB", 0) ? 1 : 0};
  if (!fit(left.getDimSize(dims.lhsContracting[0]),
           right.getDimSize(dims.rhsContracting[0])))
    return op.leave("the shapes of its inputs differ");
  Value result = scale(op, up.contract(lhs, rhs, dims),
                       op.getFloat("alpha").value_or(1.0));
  if (Value bias = getInput(op, 2)) {
    auto type = dyn_cast<RankedTensorType>(bias.getType());
    if (!type || type.getElementType() != element)
      return op.leave("its bias is of another type");
    bias = scale(op, bias, op.getFloat("beta").value_or(1.0));
    FailureOr<Value> sum = elementwise(
        up, {result, bias}, element, [&](OpBuilder &b, ValueRange v) -> Value {
          return arith::AddFOp::create(b, op.getLoc(), v[0], v[1]);
        });
    if (failed(sum))
      return op.leave("its bias does not fit");
    result = *sum;
  }
  return op.replace(result);
}

/// Products of two tensors, or what one becomes: `bij,bjk->bik`.
static LogicalResult convertEinsum(ForeignOp &op) {
  unsigned count = op.getNumOperands();
  if (count < 1 || count > 2)
    return op.leave("it has more than two inputs");
  if (failed(needInputs(op, count)))
    return failure();
  Upstream &up = op.upstream;
  std::string equation;
  for (char c : op.getString("equation"))
    if (c != ' ')
      equation += c;
  auto [left, out] = StringRef(equation).split("->");
  if (!StringRef(equation).contains("->") ||
      equation.find('.') != std::string::npos)
    return op.leave("its equation has no result, or an ellipsis");
  SmallVector<StringRef> terms;
  left.split(terms, ',');
  if (terms.size() != count)
    return op.leave("its equation is for another number of inputs");
  SmallVector<std::string> names;
  SmallVector<Value> values(op.getOperands());
  for (auto [term, value] : llvm::zip_equal(terms, values)) {
    names.push_back(term.str());
    std::string sorted = term.str();
    llvm::sort(sorted);
    if (static_cast<int64_t>(term.size()) !=
            Upstream::typeOf(value).getRank() ||
        std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end())
      return op.leave("a term of its equation is not one letter a dimension");
  }
  // Letters that only one input has are summed there.
  for (unsigned i = 0; i < count; ++i) {
    SmallVector<int64_t> alone;
    std::string kept;
    for (auto [d, letter] : llvm::enumerate(names[i])) {
      bool isElsewhere =
          out.contains(letter) ||
          (count == 2 && StringRef(terms[1 - i]).contains(letter));
      if (isElsewhere)
        kept += letter;
      else
        alone.push_back(d);
    }
    if (!alone.empty())
      values[i] = up.sum(values[i], alone);
    names[i] = kept;
  }
  std::string result = names[0];
  Value value = values[0];
  if (count == 2) {
    ContractionDims dims;
    std::string batch, lhsFree, rhsFree;
    for (auto [d, letter] : llvm::enumerate(names[0])) {
      size_t other = names[1].find(letter);
      if (other == std::string::npos) {
        lhsFree += letter;
        continue;
      }
      if (!fit(Upstream::typeOf(values[0]).getDimSize(d),
               Upstream::typeOf(values[1]).getDimSize(other)))
        return op.leave("the shapes of its inputs differ");
      if (out.contains(letter))
        batch += letter;
      (out.contains(letter) ? dims.lhsBatch : dims.lhsContracting).push_back(d);
      (out.contains(letter) ? dims.rhsBatch : dims.rhsContracting)
          .push_back(other);
    }
    for (char letter : names[1])
      if (names[0].find(letter) == std::string::npos)
        rhsFree += letter;
    if (Upstream::typeOf(values[0]).getElementType() !=
        Upstream::typeOf(values[1]).getElementType())
      return op.leave("its inputs are of different types");
    result = batch + lhsFree + rhsFree;
    value = up.contract(values[0], values[1], dims);
  }
  SmallVector<int64_t> permutation;
  for (char letter : out)
    permutation.push_back(result.find(letter));
  SmallVector<int64_t> sorted(permutation);
  llvm::sort(sorted);
  if (!llvm::equal(sorted, llvm::seq<int64_t>(0, result.size())))
    return op.leave("its result has a letter twice, or one of no input");
  return op.replace(up.transpose(value, permutation));
}

//===----------------------------------------------------------------------===//
// Reductions
//===----------------------------------------------------------------------===//

namespace {
enum class Reduction { Sum, Mean, Max, Min, Prod, SumSquare, L1, L2 };
} // namespace

static Value joinScalars(OpBuilder &b, Location loc, Reduction kind, Value l,
                         Value r) {
  bool isFloat = isa<FloatType>(l.getType());
  switch (kind) {
  case Reduction::Max:
    return isFloat ? arith::MaximumFOp::create(b, loc, l, r).getResult()
                   : arith::MaxSIOp::create(b, loc, l, r).getResult();
  case Reduction::Min:
    return isFloat ? arith::MinimumFOp::create(b, loc, l, r).getResult()
                   : arith::MinSIOp::create(b, loc, l, r).getResult();
  case Reduction::Prod:
    return isFloat ? arith::MulFOp::create(b, loc, l, r).getResult()
                   : arith::MulIOp::create(b, loc, l, r).getResult();
  default:
    return isFloat ? arith::AddFOp::create(b, loc, l, r).getResult()
                   : arith::AddIOp::create(b, loc, l, r).getResult();
  }
}

/// The number of elements of `axes` as a scalar of a float type.
static Value countElements(Upstream &up, const Sizes &sizes,
                           ArrayRef<int64_t> axes, Type element) {
  OpBuilder &b = up.getBuilder();
  OpFoldResult count = b.getIndexAttr(1);
  for (int64_t axis : axes)
    count = multiply(up, count, sizes[axis]);
  if (std::optional<int64_t> constant = getConstantIntValue(count))
    return up.scalar(element, static_cast<double>(*constant));
  Value integer = arith::IndexCastOp::create(b, up.getLoc(), b.getI64Type(),
                                             toValue(up, count));
  return arith::SIToFPOp::create(b, up.getLoc(), element, integer);
}

/// One scalar function of each element.
static Value each(Upstream &up, Value tensor,
                  llvm::function_ref<Value(OpBuilder &, Value)> body) {
  return up.elementwise(
      tensor, Upstream::typeOf(tensor).getElementType(),
      [&](OpBuilder &b, ValueRange v) { return body(b, v[0]); });
}

template <Reduction kind> static LogicalResult convertReduce(ForeignOp &op) {
  if (failed(needInputs(op, 1)))
    return failure();
  Upstream &up = op.upstream;
  Location loc = op.getLoc();
  Value input = op.getOperand(0);
  RankedTensorType type = Upstream::typeOf(input);
  Type element = type.getElementType();
  std::optional<SmallVector<int64_t>> axes = getAxes(op, 1, type.getRank());
  if (!axes)
    return op.leave("its axes are not known, or not those of its input");
  if (axes->empty()) {
    if (op.getInt("noop_with_empty_axes", 0))
      return op.replace(input);
    axes->resize(type.getRank());
    std::iota(axes->begin(), axes->end(), 0);
  }
  bool isFloat = isa<FloatType>(element);
  if (!isFloat && (kind == Reduction::Mean || kind == Reduction::L2 ||
                   kind == Reduction::L1 || element.isInteger(1)))
    return op.leave("it is not known for elements of this type");
  Sizes sizes = up.sizesOf(input);
  bool keep = op.getInt("keepdims", 1) != 0;
  // Of sizes that are known.
  if (kind == Reduction::Prod && type.getRank() == 1)
    if (std::optional<Sizes> known = getKnown(up, input)) {
      OpFoldResult product = up.getBuilder().getIndexAttr(1);
      for (OpFoldResult size : *known)
        product = multiply(up, product, size);
      return op.replace(makeKnown(up, {product}, keep ? 1 : 0, element));
    }
  if (kind == Reduction::SumSquare || kind == Reduction::L2)
    input = each(up, input, [&](OpBuilder &b, Value x) -> Value {
      return isFloat ? arith::MulFOp::create(b, loc, x, x).getResult()
                     : arith::MulIOp::create(b, loc, x, x).getResult();
    });
  if (kind == Reduction::L1)
    input = each(up, input, [&](OpBuilder &b, Value x) -> Value {
      return math::AbsFOp::create(b, loc, x);
    });
  double start = kind == Reduction::Prod ? 1 : 0;
  Value init;
  if (kind == Reduction::Max || kind == Reduction::Min) {
    double sign = kind == Reduction::Max ? -1 : 1;
    if (isFloat) {
      init = up.scalar(element, sign * std::numeric_limits<double>::infinity());
    } else {
      APInt most =
          kind == Reduction::Max
              ? APInt::getSignedMinValue(element.getIntOrFloatBitWidth())
              : APInt::getSignedMaxValue(element.getIntOrFloatBitWidth());
      init = arith::ConstantOp::create(
          up.getBuilder(), loc, up.getBuilder().getIntegerAttr(element, most));
    }
  } else {
    init = up.scalar(element, start);
  }
  Value result = up.reduce(input, init, *axes, [&](OpBuilder &b, ValueRange v) {
    return joinScalars(b, loc, kind, v[1], v[0]);
  });
  if (kind == Reduction::Mean) {
    Value count = countElements(up, sizes, *axes, element);
    result = each(up, result, [&](OpBuilder &b, Value x) -> Value {
      return arith::DivFOp::create(b, loc, x, count);
    });
  }
  if (kind == Reduction::L2)
    result = each(up, result, [&](OpBuilder &b, Value x) -> Value {
      return math::SqrtOp::create(b, loc, x);
    });
  return op.replace(keepAxes(up, result, sizes, *axes, keep));
}

//===----------------------------------------------------------------------===//
// Softmax and norms
//===----------------------------------------------------------------------===//

template <bool isLog> static LogicalResult convertSoftmax(ForeignOp &op) {
  if (failed(needInputs(op, 1)))
    return failure();
  Upstream &up = op.upstream;
  Value input = op.getOperand(0);
  RankedTensorType type = Upstream::typeOf(input);
  std::optional<int64_t> axis = getAxis(op.getInt("axis", -1), type.getRank());
  if (!axis || !isa<FloatType>(type.getElementType()))
    return op.leave("its axis is none of its input, or that is not of floats");
  Value result = up.softmax(input, *axis);
  if (isLog)
    result = each(up, result, [&](OpBuilder &b, Value x) -> Value {
      return math::LogOp::create(b, op.getLoc(), x);
    });
  return op.replace(result);
}

/// What norms are computed in, if it is not the type of their elements.
static Type getWide(Type element) {
  return element.getIntOrFloatBitWidth() < 32
             ? Float32Type::get(element.getContext())
             : element;
}

/// `x`, whose last dimensions from `axis` are a row, divided by the root of the
/// mean square of its row plus epsilon; its mean is taken off before if
/// `isCentred`.
static Value normalize(Upstream &up, Value x, int64_t axis, double epsilon,
                       bool isCentred) {
  Location loc = up.getLoc();
  Type element = Upstream::typeOf(x).getElementType();
  Sizes sizes = up.sizesOf(x);
  SmallVector<int64_t> axes, rows(axis);
  std::iota(rows.begin(), rows.end(), 0);
  for (int64_t d = axis; d < static_cast<int64_t>(sizes.size()); ++d)
    axes.push_back(d);
  Value count = countElements(up, sizes, axes, element);
  auto combine = [&](Value tensor, Value ofRow, auto body) {
    int64_t rank = sizes.size();
    AffineMap maps[] = {
        up.getBuilder().getMultiDimIdentityMap(rank),
        up.getBuilder().getMultiDimIdentityMap(rank).getMajorSubMap(axis)};
    return up.map({tensor, ofRow}, maps, sizes, element, body);
  };
  if (isCentred) {
    Value sum = up.sum(x, axes);
    x = combine(x, sum, [&](OpBuilder &b, ValueRange v) -> Value {
      Value mean = arith::DivFOp::create(b, loc, v[1], count);
      return arith::SubFOp::create(b, loc, v[0], mean);
    });
  }
  Value squares = each(up, x, [&](OpBuilder &b, Value value) -> Value {
    return arith::MulFOp::create(b, loc, value, value);
  });
  return combine(x, up.sum(squares, axes), [&](OpBuilder &b, ValueRange v) {
    Upstream scalars(b, loc);
    Value mean = arith::DivFOp::create(b, loc, v[1], count);
    Value sum =
        arith::AddFOp::create(b, loc, mean, scalars.scalar(element, epsilon));
    Value root = math::SqrtOp::create(b, loc, sum);
    return arith::DivFOp::create(b, loc, v[0], root).getResult();
  });
}

/// Elementwise product or sum with a row.
template <typename Op>
static FailureOr<Value> withRow(Upstream &up, Value x, Value row) {
  auto type = dyn_cast<RankedTensorType>(row.getType());
  if (!type)
    return failure();
  Type element = Upstream::typeOf(x).getElementType();
  return elementwise(up, {x, up.cast(row, element)}, element,
                     [&](OpBuilder &b, ValueRange v) -> Value {
                       return Op::create(b, up.getLoc(), v[0], v[1]);
                     });
}

/// LayerNormalization and RMSNormalization by the names of exporters and of
/// ONNX Runtime; with `hasSkip` of the sum of two tensors (and a bias), which
/// is result 3.
template <bool isCentred, bool hasSkip>
static LogicalResult convertNorm(ForeignOp &op) {
  unsigned scaleInput = hasSkip ? 2 : 1, biasInput = scaleInput + 1;
  if (failed(needInputs(op, scaleInput + 1)))
    return failure();
  Upstream &up = op.upstream;
  Value x = getInput(op, 0);
  RankedTensorType type = Upstream::typeOf(x);
  Type element = type.getElementType();
  std::optional<int64_t> axis = getAxis(op.getInt("axis", -1), type.getRank());
  if (!axis || !isa<FloatType>(element))
    return op.leave("its axis is none of its input, or that is not of floats");
  for (unsigned i = 1, e = op.getOperation()->getNumResults(); i < e; ++i)
    if (!op.getOperation()->getResult(i).use_empty() && !(hasSkip && i == 3))
      return op.leave("the mean or deviation of rows is asked for");
  if (hasSkip) {
    FailureOr<Value> sum = withRow<arith::AddFOp>(up, x, getInput(op, 1));
    if (Value bias = getInput(op, isCentred ? 4 : 3); bias && succeeded(sum))
      sum = withRow<arith::AddFOp>(up, *sum, bias);
    if (failed(sum))
      return op.leave("the shapes of its inputs differ");
    x = *sum;
  }
  Value rows = up.cast(x, getWide(element));
  double epsilon = op.getFloat("epsilon").value_or(hasSkip ? 1e-12 : 1e-5);
  FailureOr<Value> result = normalize(up, rows, *axis, epsilon, isCentred);
  result = withRow<arith::MulFOp>(up, *result, getInput(op, scaleInput));
  Value bias = isCentred ? getInput(op, biasInput) : Value();
  if (bias && succeeded(result))
    result = withRow<arith::AddFOp>(up, *result, bias);
  if (failed(result))
    return op.leave("its scale or bias does not fit");
  SmallVector<Value> results = {up.cast(*result, element)};
  // Those that nobody reads.
  for (unsigned i = 1, e = op.getOperation()->getNumResults(); i < e; ++i)
    results.push_back(i == 3 ? x : results[0]);
  return op.replace(results);
}

void onnx::addProducts(ForeignTable &table) {
  table.add("onnx.MatMul", convertMatMul);
  table.add("onnx.Gemm", convertGemm);
  table.add("onnx.Einsum", convertEinsum);
  table.add("onnx.ReduceSum", convertReduce<Reduction::Sum>);
  table.add("onnx.ReduceMean", convertReduce<Reduction::Mean>);
  table.add("onnx.ReduceMax", convertReduce<Reduction::Max>);
  table.add("onnx.ReduceMin", convertReduce<Reduction::Min>);
  table.add("onnx.ReduceProd", convertReduce<Reduction::Prod>);
  table.add("onnx.ReduceSumSquare", convertReduce<Reduction::SumSquare>);
  table.add("onnx.ReduceL1", convertReduce<Reduction::L1>);
  table.add("onnx.ReduceL2", convertReduce<Reduction::L2>);
  table.add("onnx.Softmax", convertSoftmax<false>);
  table.add("onnx.LogSoftmax", convertSoftmax<true>);
  table.add("onnx.LayerNormalization", convertNorm<true, false>);
  table.add("onnx.RMSNormalization", convertNorm<false, false>);
  table.add("onnx.SimplifiedLayerNormalization", convertNorm<false, false>);
  table.add("onnx.com.microsoft.SimplifiedLayerNormalization",
            convertNorm<false, false>);
  table.add("onnx.com.microsoft.SkipLayerNormalization",
            convertNorm<true, true>);
  table.add("onnx.com.microsoft.SkipSimplifiedLayerNormalization",
            convertNorm<false, true>);
}
