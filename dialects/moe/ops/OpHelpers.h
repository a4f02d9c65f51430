//===- OpHelpers.h - What verifiers and builders of the ops share -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_OPS_OPHELPERS_H
#define MOE_OPS_OPHELPERS_H

#include "moe/Moe.h"

namespace moe {

/// Whether two types differ at most in that one has a dynamic size where the
/// other has a static one.
bool areCompatible(mlir::Type a, mlir::Type b);

/// Checks that dimension `dim` of a value, called `name`, is static.
mlir::LogicalResult verifyStaticDim(mlir::Operation *op, llvm::StringRef name,
                                    mlir::Type type, unsigned dim,
                                    llvm::StringRef what);

/// Checks that dimension `dim` of a value, called `name`, is static and not
/// empty: rows without elements are nothing to multiply.
mlir::LogicalResult verifyFeatures(mlir::Operation *op, llvm::StringRef name,
                                   mlir::Type type, unsigned dim,
                                   llvm::StringRef what);

/// Checks that a value, called `name`, has a type that differs from `expected`
/// at most in dynamic sizes.
mlir::LogicalResult verifyType(mlir::Operation *op, llvm::StringRef name,
                               mlir::Type type, mlir::Type expected,
                               const llvm::Twine &reason);

/// Checks the result of a view of a routing: only its first size may be
/// dynamic.
mlir::LogicalResult verifyView(mlir::Operation *op, mlir::Type type,
                               mlir::Type expected, const llvm::Twine &reason);

/// Checks that a body is one block that ends in moe.yield.
mlir::LogicalResult verifyBodyForm(mlir::Operation *op, mlir::Region &region,
                                   const llvm::Twine &name);

/// Checks what a body yields.
mlir::LogicalResult verifyBodyYield(mlir::Operation *op, mlir::Region &region,
                                    const llvm::Twine &name,
                                    mlir::Type expected);

/// Checks the arguments of a body; `describe` says what each one is.
mlir::LogicalResult
verifyBodyArguments(mlir::Operation *op, mlir::Region &region,
                    const llvm::Twine &name, mlir::TypeRange expected,
                    llvm::function_ref<std::string(unsigned)> describe);

/// f64 for f64, else f32: the type sums are formed in.
mlir::FloatType getAccumulatorFor(mlir::Type type);

/// The size of dimension `dim` of a reified result: an attribute if static,
/// else what `dynamic` builds.
mlir::OpFoldResult reifyDim(mlir::OpBuilder &b, mlir::Value result, int64_t dim,
                            llvm::function_ref<mlir::Value()> dynamic);

mlir::Value buildDim(mlir::OpBuilder &b, mlir::Location loc, mlir::Value tensor,
                     int64_t dim);

/// A, the number of assignments: the last offset.
mlir::Value buildNumAssignments(mlir::OpBuilder &b, mlir::Location loc,
                                mlir::Value routing);

mlir::Value buildNumTokens(mlir::OpBuilder &b, mlir::Location loc,
                           mlir::Value routing);

/// The types that are wrong were reported, or will be, by the verifier.
mlir::LogicalResult failInference(std::optional<mlir::Location> loc,
                                  llvm::StringRef message);

/// Clones the ops of a body up to its yield and returns the value yielded.
/// Values from outside of the body stay as they are.
mlir::Value cloneBody(mlir::OpBuilder &builder, mlir::Block &body,
                      mlir::ValueRange args);

/// `value` as `type`, both floats.
mlir::Value buildFloatCast(mlir::OpBuilder &b, mlir::Location loc,
                           mlir::Value value, mlir::Type type);

} // namespace moe

#endif // MOE_OPS_OPHELPERS_H
