//===- Onnx.h - ONNX upstream ------------------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Private to lib/Raise/Foreign: what the tables of ONNX's operators share, and
// words for sizes that those of other dialects use. Ops
// are as moe-mlir/Raise/Onnx.h describes them.
//
// Exporters compute sizes by operators on small integer tensors. Such a tensor
// is a constant or a tensor.from_elements here, and its elements are sizes that
// types can show: operators on them are arithmetic on indices.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_RAISE_FOREIGN_ONNX_H
#define MOE_LIB_RAISE_FOREIGN_ONNX_H

#include "moe-mlir/Raise/Foreign.h"

namespace moe::raise::onnx {

//===----------------------------------------------------------------------===//
// Inputs and attributes
//===----------------------------------------------------------------------===//

/// Input `i` of the node; null if it is left out.
mlir::Value getInput(ForeignOp &op, unsigned i);

/// Whether integers of input `i` are unsigned.
bool isUnsigned(ForeignOp &op, unsigned i);

/// Fails, and leaves the op, unless inputs 0 to `count` are ranked tensors and
/// none of them is of unsigned integers.
llvm::LogicalResult needInputs(ForeignOp &op, unsigned count);

/// Whether input `i` is a ranked tensor; what only moves elements does not ask
/// for their signs.
llvm::LogicalResult needTensor(ForeignOp &op, unsigned i = 0);

/// Leaves the op for sizes that are not known.
llvm::LogicalResult needSizes(ForeignOp &op);

/// The known elements of input `i`, see below.
std::optional<Sizes> getKnownInput(ForeignOp &op, unsigned i);

/// An axis of a tensor of `rank` dimensions, counted from its end if negative;
/// nothing if there is none.
std::optional<int64_t> getAxis(int64_t axis, int64_t rank);

/// Those of attribute `axes`, or of input `input`; nothing if they are wrong or
/// not constant. An empty list if neither is there.
std::optional<llvm::SmallVector<int64_t>> getAxes(ForeignOp &op, unsigned input,
                                                  int64_t rank);

//===----------------------------------------------------------------------===//
// Elements that are known
//===----------------------------------------------------------------------===//

/// The elements, each a constant or a value of type index, of a tensor of
/// integers of rank 0 or 1; nothing if they are not known, or many.
std::optional<Sizes> getKnown(Upstream &upstream, mlir::Value tensor);

/// The same if all are constants.
std::optional<llvm::SmallVector<int64_t>> getConstants(mlir::Value tensor);

/// A tensor with these elements, of rank 0 or 1.
mlir::Value makeKnown(Upstream &upstream, const Sizes &elements, int64_t rank,
                      mlir::Type element);

/// Sums and products of sizes.
mlir::OpFoldResult add(Upstream &upstream, mlir::OpFoldResult a,
                       mlir::OpFoldResult b);
mlir::OpFoldResult subtract(Upstream &upstream, mlir::OpFoldResult a,
                            mlir::OpFoldResult b);
mlir::OpFoldResult multiply(Upstream &upstream, mlir::OpFoldResult a,
                            mlir::OpFoldResult b);
/// Rounded to zero.
mlir::OpFoldResult divide(Upstream &upstream, mlir::OpFoldResult a,
                          mlir::OpFoldResult b);

mlir::OpFoldResult productOf(Upstream &upstream,
                             llvm::ArrayRef<mlir::OpFoldResult> sizes);
/// What is left of `sizes` when all but one of a shape are `others`.
mlir::OpFoldResult inferSize(Upstream &upstream,
                             llvm::ArrayRef<mlir::OpFoldResult> sizes,
                             llvm::ArrayRef<mlir::OpFoldResult> others);
/// Where a slice begins or ends in a dimension of `size`.
mlir::OpFoldResult clampPlace(Upstream &upstream, mlir::OpFoldResult place,
                              mlir::OpFoldResult size);

/// Whether both are one size, as far as that can be proved.
bool isSameSize(mlir::OpFoldResult a, mlir::OpFoldResult b);

/// A value of a size.
mlir::Value toValue(Upstream &upstream, mlir::OpFoldResult size);

/// The one element of a constant, as a scalar constant; null if the tensor is
/// none, or has several that differ.
mlir::TypedAttr getSplat(mlir::Value tensor);

//===----------------------------------------------------------------------===//
// Words that several tables use
//===----------------------------------------------------------------------===//

/// A tensor whose elements `body` makes of those of `inputs`, in one shape by
/// NumPy's rule. Constants that are one number become constants of the body.
mlir::FailureOr<mlir::Value> elementwise(Upstream &upstream,
                                         mlir::ValueRange inputs,
                                         mlir::Type element,
                                         Upstream::Body body);

/// `index` as one of a dimension of `size`: negative ones count from the end.
mlir::Value wrapIndex(mlir::OpBuilder &b, mlir::Location loc, mlir::Value index,
                      mlir::OpFoldResult size);

/// Sums over `axes`, which stay with a size of 1 if `keep`.
mlir::Value keepAxes(Upstream &upstream, mlir::Value reduced,
                     const Sizes &sizes, llvm::ArrayRef<int64_t> axes,
                     bool keep);

//===----------------------------------------------------------------------===//
// Places that depend on data, see OnnxNonZero.cpp
//===----------------------------------------------------------------------===//

/// Of the op that lists all places: [rank, places], its input the mask of them.
inline constexpr llvm::StringLiteral kPlacesAttrName = "raise_places";

llvm::LogicalResult convertNonZero(ForeignOp &op);

/// What is scattered element by element, by a mask that is the same along the
/// last dimension, becomes rows and their places, if that is what it is; see
/// OnnxMaskedRows.cpp.
void readMaskedRows(ForeignOp &op, mlir::Value data, mlir::Value &indices,
                    mlir::Value &updates);

/// The mask [places] of i1 of the list of all places that `indices` are parts
/// of; null if they are of none, or of several.
mlir::Value findMask(mlir::Value indices);

/// Remembers that the last input of a scatter is the mask of its updates.
void markMasked(mlir::Operation *scatter);

/// The product of rows, group after group, and the weights of their groups that
/// a Concat of a product for each group is; null if it is none.
mlir::Value matchGroupedProduct(ForeignOp &concat);

//===----------------------------------------------------------------------===//
// The tables
//===----------------------------------------------------------------------===//

void addElementwise(ForeignTable &table);
void addMixed(ForeignTable &table);
void addShapes(ForeignTable &table);
void addSlices(ForeignTable &table);
void addIndexing(ForeignTable &table);
void addSelection(ForeignTable &table);
void addProducts(ForeignTable &table);
void addReductions(ForeignTable &table);
void addAttention(ForeignTable &table);
void addExperts(ForeignTable &table);
void addExportedExperts(ForeignTable &table);

} // namespace moe::raise::onnx

#endif // MOE_LIB_RAISE_FOREIGN_ONNX_H
