//===- Torch.h - The torch dialect upstream ----------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Private to lib/Raise/Foreign: what the tables of the torch dialect share.
//
// Numbers, lists, strings and none are values in this dialect. They are read
// from the ops that make them, which have no translation of their own; sizes
// that a program computes become values of type index.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_RAISE_FOREIGN_TORCH_H
#define MOE_LIB_RAISE_FOREIGN_TORCH_H

#include "moe-mlir/Raise/Foreign.h"

namespace moe::raise::torch {

/// The tensor type that `!torch.vtensor<[2,?],f32>` or `!torch.tensor<...>`
/// stands for, integers without a sign; null if the text says no shape or no
/// type of elements that there is here.
mlir::Type convertType(mlir::Type type);

/// The element type that result `i` has in the text; null if it has none.
mlir::Type getResultElement(ForeignOp &op, unsigned i = 0);

/// The element type that an integer of PyTorch, its `dtype`, stands for.
mlir::Type getElementType(mlir::Builder &b, int64_t dtype);

/// Operand `i` if it is a ranked tensor; else null, and the op is left.
mlir::Value getTensor(ForeignOp &op, unsigned i);

//===----------------------------------------------------------------------===//
// Values that are no tensors
//===----------------------------------------------------------------------===//

bool isNone(mlir::Value value);
std::optional<int64_t> getInt(mlir::Value value);
std::optional<bool> getBool(mlir::Value value);
std::optional<llvm::StringRef> getString(mlir::Value value);
/// An integer, float or boolean; null if it is none of them, or not constant.
mlir::TypedAttr getNumber(mlir::Value value);
/// The elements of a list that the program writes; nothing if it is no list.
std::optional<mlir::ValueRange> getList(mlir::Value value);
/// A list of constant integers.
std::optional<llvm::SmallVector<int64_t>> getInts(mlir::Value value);

/// A constant integer, or what the program computes; nothing if it is neither.
std::optional<mlir::OpFoldResult> getSize(mlir::Value value);
std::optional<Sizes> getSizes(mlir::Value list);

/// Operand `i` as a dimension of a tensor of `rank`; nothing, and the op is
/// left, if there is none.
std::optional<int64_t> getDim(ForeignOp &op, unsigned i, int64_t rank);

//===----------------------------------------------------------------------===//
// Experts that are one op
//===----------------------------------------------------------------------===//

/// `moe_mlir.exported_experts`, however a format writes it.
struct ExpertsCall {
  /// x [T, H], indices [T, K], weights [T, K], up, down, and their biases or
  /// null.
  llvm::SmallVector<mlir::Value, 7> operands;
  llvm::StringRef activation;
  bool isGated = false, isInterleaved = false, isTransposed = false;
};

/// Its gathered form in the place of the op.
llvm::LogicalResult writeExperts(ForeignOp &op, const ExpertsCall &call);

//===----------------------------------------------------------------------===//
// Words that several tables use
//===----------------------------------------------------------------------===//

/// A constant tensor of rank 0.
mlir::Value makeConstant(Upstream &upstream, mlir::TypedAttr number,
                         mlir::Type element);
/// Casts; constants stay constants.
mlir::Value castTo(Upstream &upstream, mlir::Value tensor, mlir::Type element);
/// The integers that a tensor of floats was made of, else the tensor.
mlir::Value lookThroughFloats(mlir::Value tensor);
/// Whether a tensor is a permutation of its places.
bool isOrder(mlir::Value tensor);
/// `add`, or the op on integers, of one shape by the rule of broadcasts.
mlir::FailureOr<mlir::Value> addTensors(Upstream &upstream, mlir::Value lhs,
                                        mlir::Value rhs);
/// Products of matrices of batches: [B, M, K] x [B, K, N].
mlir::Value multiplyBatches(Upstream &upstream, mlir::Value lhs,
                            mlir::Value rhs);
/// Rows of `tensor` at `places` [S]: [S, ...]; negative places count from the
/// end.
mlir::Value takeRows(Upstream &upstream, mlir::Value tensor,
                     mlir::Value places);

void addElementwise(ForeignTable &table);
void addShapes(ForeignTable &table);
void addNew(ForeignTable &table);
void addProducts(ForeignTable &table);
void addIndexing(ForeignTable &table);
void addExperts(ForeignTable &table);

} // namespace moe::raise::torch

#endif // MOE_LIB_RAISE_FOREIGN_TORCH_H
