//===- TmTensor.cpp - torch-mlir's ops beside linalg -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// torch-mlir writes linalg on tensors, and tm_tensor for what linalg has no op:
// sorts, scans and scatters. Their regions are upstream's ops.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Raise/Foreign.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace moe::raise;

/// Whether a comparator says that the larger float comes first.
static bool isLargestFirst(Operation *op) {
  if (op->getNumRegions() != 1 || !op->getRegion(0).hasOneBlock())
    return false;
  Block &body = op->getRegion(0).front();
  if (body.getNumArguments() < 2 || !llvm::hasSingleElement(getBodyOps(body)))
    return false;
  auto compare = dyn_cast<arith::CmpFOp>(body.front());
  if (!compare || body.back().getNumOperands() != 1 ||
      body.back().getOperand(0) != compare.getResult())
    return false;
  bool isSwapped = compare.getLhs() == body.getArgument(1) &&
                   compare.getRhs() == body.getArgument(0);
  if (!isSwapped && (compare.getLhs() != body.getArgument(0) ||
                     compare.getRhs() != body.getArgument(1)))
    return false;
  using Predicate = arith::CmpFPredicate;
  Predicate predicate = compare.getPredicate();
  if (isSwapped)
    return llvm::is_contained(
        {Predicate::OLT, Predicate::OLE, Predicate::ULT, Predicate::ULE},
        predicate);
  return llvm::is_contained(
      {Predicate::OGT, Predicate::OGE, Predicate::UGT, Predicate::UGE},
      predicate);
}

/// How many of the first elements along `dim` anybody reads.
static int64_t countRead(Operation *op, int64_t dim, int64_t size) {
  int64_t read = 0;
  for (Operation *user : op->getUsers()) {
    if (auto size = dyn_cast<tensor::DimOp>(user))
      if (size.getConstantIndex() && *size.getConstantIndex() != dim)
        continue;
    auto slice = dyn_cast<tensor::ExtractSliceOp>(user);
    if (!slice)
      return size;
    std::optional<int64_t> begin = getConstantIntValue(
                               slice.getMixedOffsets()[dim]),
                           count =
                               getConstantIntValue(slice.getMixedSizes()[dim]),
                           stride = getConstantIntValue(
                               slice.getMixedStrides()[dim]);
    if (!begin || !count || stride != 1)
      return size;
    read = std::max(read, *begin + *count);
  }
  return read;
}

/// The K largest of each row and their places, of `places` [.., N] that count.
static LogicalResult replaceByTopK(ForeignOp &op, int64_t k, Value scores,
                                   Value places) {
  Type index = Upstream::typeOf(places).getElementType();
  auto [values, indices] = op.upstream.topK(scores, k, index);
  SmallVector<Value> results = {values, indices};
  // Slices of it check that they are of its type.
  for (auto [value, result] :
       llvm::zip_equal(results, op.getOperation()->getResults()))
    if (value.getType() != result.getType() &&
        Upstream::typeOf(value).getRank() ==
            cast<RankedTensorType>(result.getType()).getRank() &&
        k == cast<RankedTensorType>(result.getType()).getShape().back())
      value = tensor::CastOp::create(op.upstream.getBuilder(), op.getLoc(),
                                     result.getType(), value);
  return op.replace(results);
}

static LogicalResult convertSort(ForeignOp &op) {
  auto dim = op.getInt("dimension");
  RankedTensorType type = op.getResultType();
  if (!dim || op.getNumOperands() != 2 || !type ||
      !isa<FloatType>(type.getElementType()) ||
      !isLargestFirst(op.getOperation()) || !isIota(op.getOperand(1), *dim))
    return op.leave("only sorts of floats with their places, the largest "
                    "first, are known");
  if (*dim != type.getRank() - 1 || type.isDynamicDim(*dim))
    return op.leave("it does not sort the last dimension, of a known size");
  int64_t k = countRead(op.getOperation(), *dim, type.getDimSize(*dim));
  if (k == 0)
    return op.leave("nobody reads it");
  return replaceByTopK(op, k, op.getOperand(0), op.getOperand(1));
}

/// Operands are the values, their places if they are given, and two tensors
/// that say how many are asked for.
static LogicalResult convertTopK(ForeignOp &op) {
  auto dim = op.getInt("dimension");
  RankedTensorType type = op.getResultType();
  unsigned count = op.getNumOperands();
  if (!dim || count < 3 || !type || op.getOperation()->getNumResults() != 2 ||
      !isa<FloatType>(type.getElementType()) ||
      !isLargestFirst(op.getOperation()) ||
      (count == 4 && !isIota(op.getOperand(1), *dim)))
    return op.leave("only the largest floats and their places are known");
  if (*dim != type.getRank() - 1 || type.isDynamicDim(*dim) ||
      Upstream::typeOf(op.getOperand(0)).isDynamicDim(*dim))
    return op.leave("it is not of the last dimension, of a known size");
  return replaceByTopK(op, type.getDimSize(*dim), op.getOperand(0),
                       op.getOperand(count - 1));
}

/// Running sums.
static LogicalResult convertScan(ForeignOp &op) {
  auto dim = op.getInt("dimension");
  Operation *scan = op.getOperation();
  if (!dim || op.getNumOperands() != 3 || scan->getNumResults() != 2 ||
      scan->getNumRegions() != 1 || !scan->getRegion(0).hasOneBlock() ||
      !scan->getResult(1).use_empty() || op.getInt("inclusive", 1) != 1)
    return op.leave("only running sums are known");
  Block &body = scan->getRegion(0).front();
  if (!llvm::hasSingleElement(getBodyOps(body)) ||
      !isa<arith::AddIOp, arith::AddFOp>(body.front()) ||
      llvm::any_of(body.front().getOperands(),
                   [](Value value) { return !isa<BlockArgument>(value); }))
    return op.leave("only running sums are known");
  Value sums = op.upstream.runningSum(op.getOperand(0), *dim);
  return op.replace({sums, op.getOperand(2)});
}

void moe::raise::addTmTensor(ForeignTable &table) {
  table.addDialect("tm_tensor");
  table.add("tm_tensor.sort", convertSort);
  table.add("tm_tensor.topk", convertTopK);
  table.add("tm_tensor.scan", convertScan);
}
