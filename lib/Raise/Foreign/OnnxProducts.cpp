//===- OnnxProducts.cpp - ONNX's products ------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Of matrices, in batches and by equations.
//
//===----------------------------------------------------------------------===//

#include "Onnx.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/StringExtras.h"

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

void onnx::addProducts(ForeignTable &table) {
  table.add("onnx.MatMul", convertMatMul);
  table.add("onnx.Gemm", convertGemm);
  table.add("onnx.Einsum", convertEinsum);
}
