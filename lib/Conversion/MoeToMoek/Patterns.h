//===- Patterns.h - What the patterns of the conversion share -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_CONVERSION_MOETOMOEK_PATTERNS_H
#define MOE_MLIR_LIB_CONVERSION_MOETOMOEK_PATTERNS_H

#include "Common.h"

#include "mlir/Dialect/Utils/StructuredOpsUtils.h"
#include "mlir/Transforms/DialectConversion.h"

namespace moe {

/// Patterns see values of type !moe.routing as seven values, all others as one.
template <typename OpTy> struct MoePattern : mlir::OpConversionPattern<OpTy> {
  using mlir::OpConversionPattern<OpTy>::OpConversionPattern;
  using Adaptor = typename mlir::OpConversionPattern<OpTy>::OneToNOpAdaptor;

  /// Replaces the only result, a routing.
  static void replaceRouting(mlir::ConversionPatternRewriter &rewriter,
                             mlir::Operation *op,
                             const moek::RoutingParts &parts) {
    llvm::SmallVector<mlir::Value> values = parts.get();
    rewriter.replaceOpWithMultiple(
        op, llvm::ArrayRef<mlir::ValueRange>{mlir::ValueRange(values)});
  }

  /// The only value of an operand, or null where it is absent.
  template <typename Range> static mlir::Value getSingle(Range &&range) {
    return range.empty() ? mlir::Value() : mlir::Value(range.front());
  }
};

//===----------------------------------------------------------------------===//
// Routings (ConvertRouting.cpp)
//===----------------------------------------------------------------------===//

/// moe.router with a policy that sees one token, and moe.routing.*.
void populateRoutingPatterns(const mlir::TypeConverter &converter,
                             mlir::RewritePatternSet &patterns);

/// The moek.route that made `routing`, if nothing but its user needs it as it
/// is and it neither limits nor appends yet.
moek::RouteOp getExtensibleRoute(mlir::Value routing,
                                 const moek::RoutingParts &parts);

/// A copy of `route` at the insertion point that makes a routing of `type`;
/// arguments of its weigh region for new entries of `perExpert` are the
/// caller's to add. The old one is left without users.
moek::RouteOp buildExtendedRoute(mlir::OpBuilder &b, moek::RouteOp route,
                                 RoutingType type, int64_t always,
                                 mlir::Value alwaysWeights,
                                 mlir::IntegerAttr capacity,
                                 mlir::ValueRange perExpert);

//===----------------------------------------------------------------------===//
// Rows (ConvertRows.cpp)
//===----------------------------------------------------------------------===//

/// moe.dispatch and moe.combine.
void populateRowPatterns(const mlir::TypeConverter &converter,
                         mlir::RewritePatternSet &patterns);

mlir::Value castTo(mlir::OpBuilder &b, mlir::Location loc, mlir::Value value,
                   mlir::Type type);

/// `value` with its elements rounded or extended to the float type `element`.
mlir::Value convertElements(mlir::OpBuilder &b, mlir::Location loc,
                            mlir::Value value, mlir::Type element);

/// Entry `at` of `list` as an index.
mlir::Value buildOffset(mlir::OpBuilder &b, mlir::Location loc,
                        mlir::Value list, mlir::OpFoldResult at);

/// `value` in f32: what it was before it was rounded to 16 bits, if it is rows
/// that a kernel moved or made. A layer in bf16 then has the kernels of one in
/// f32, and rounds its result.
mlir::Value widenElements(mlir::OpBuilder &b, mlir::Location loc,
                          mlir::Value value);

//===----------------------------------------------------------------------===//
// Experts (ConvertExpert.cpp)
//===----------------------------------------------------------------------===//

/// moe.expert, and moe.ffn outside of one.
void populateExpertPatterns(const mlir::TypeConverter &converter,
                            mlir::RewritePatternSet &patterns);

} // namespace moe

#endif // MOE_MLIR_LIB_CONVERSION_MOETOMOEK_PATTERNS_H
