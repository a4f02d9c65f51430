//===- Common.h - Builders shared by the conversion and fusions -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_CONVERSION_MOETOMOEK_COMMON_H
#define MOE_MLIR_LIB_CONVERSION_MOETOMOEK_COMMON_H

#include "moe-mlir/Analysis/MissedFusion.h"
#include "moek/Moek.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"

namespace moe {

/// The size of dimension `dim` as an index value.
inline mlir::Value getDim(mlir::OpBuilder &b, mlir::Location loc,
                          mlir::Value value, int64_t dim) {
  auto type = llvm::cast<mlir::RankedTensorType>(value.getType());
  if (!type.isDynamicDim(dim))
    return mlir::arith::ConstantIndexOp::create(b, loc, type.getDimSize(dim));
  return mlir::tensor::DimOp::create(b, loc, value, dim);
}

/// An empty `[size, columns]` (or `[size]` if columns < 0) tensor whose first
/// dimension is dynamic.
inline mlir::Value buildEmptyRows(mlir::OpBuilder &b, mlir::Location loc,
                                  mlir::Value size, int64_t columns,
                                  mlir::Type element) {
  mlir::SmallVector<int64_t> shape{mlir::ShapedType::kDynamic};
  if (columns >= 0)
    shape.push_back(columns);
  return mlir::tensor::EmptyOp::create(b, loc, shape, element,
                                       mlir::ValueRange{size});
}

/// `value`, a tensor, with its first dimension dynamic.
mlir::Value withDynamicRows(mlir::OpBuilder &b, mlir::Location loc,
                            mlir::Value value);

/// The seven parts of the routing of given `indices` and `weights`, both with
/// dynamic rows. `traced` if they are a router's own and its kernel does not
/// tell the trace hook.
moek::RoutingParts buildIndex(mlir::OpBuilder &b, mlir::Location loc,
                              mlir::Value indices, mlir::Value weights,
                              RoutingType type, bool traced = false);

/// Makes every tensor.dim below `root` ask the destination of the op that made
/// its tensor instead: sizes then keep no value alive that a fusion removes.
void resolveDimsOfResults(mlir::Operation *root);

/// Whether `op` in the body of an elementwise op can move to a kernel's region:
/// an elementwise op or a constant, and its operands from outside constants.
/// The reason is in `why` otherwise.
bool isMovableScalarOp(mlir::Operation &op, mlir::Region &body,
                       std::string &why);

/// Clones the scalar ops of `body` (block arguments mapped by `mapping`) with
/// the constants they use from outside, and returns what its terminator yields.
mlir::Value cloneScalarBody(mlir::OpBuilder &b, mlir::Block &body,
                            mlir::IRMapping &mapping);

/// Clones constants that `region` uses from outside into it.
void sinkConstants(mlir::OpBuilder &b, mlir::Region &region);

/// Marks a loop over experts that could not become matmuls. Why has been said;
/// what follows from it need not be.
inline constexpr llvm::StringLiteral kExpertLoopAttrName = "moek.expert_loop";

/// Whether `op` is in such a loop, or is a conversion that only they read.
bool isOnlyForExpertLoops(mlir::Operation *op);

/// Whether such a loop made `value`, conversions aside.
bool isMadeByExpertLoop(mlir::Value value);

/// The rows that kernels of these groups have of a token: K of its routing, 1
/// where there is none.
int64_t getRowsOfToken(mlir::Value offsets);

/// Starts a remark of `pass` at `op`; stream the text into the result.
inline mlir::remark::detail::InFlightRemark remarkPassed(mlir::Operation *op,
                                                         llvm::StringRef pass) {
  return mlir::remark::passed(
      op->getLoc(), mlir::remark::RemarkOpts::name("fused").category(pass));
}
inline mlir::remark::detail::InFlightRemark remarkMissed(mlir::Operation *op,
                                                         llvm::StringRef pass) {
  return mlir::remark::missed(
      op->getLoc(), mlir::remark::RemarkOpts::name("not-fused").category(pass));
}

} // namespace moe

#endif // MOE_MLIR_LIB_CONVERSION_MOETOMOEK_COMMON_H
