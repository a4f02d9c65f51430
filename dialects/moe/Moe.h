//===- Moe.h - The moe dialect ---------------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The one header of the `moe` dialect: its type, attributes, interfaces, ops.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MOE_H
#define MOE_MOE_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "moe/BalanceInput.h"
#include "moe/External.h"
#include "moe/Formats.h"
#include "moe/Rows.h"

#include "moe/MoeDialect.h.inc"
#include "moe/MoeEnums.h.inc"
#include "moe/MoeFormatInterfaces.h.inc"
#include "moe/MoeInterfaces.h.inc"

#define GET_TYPEDEF_CLASSES
#include "moe/MoeTypes.h.inc"

// Names the type of a routing.
#include "moe/MoeBalanceInterfaces.h.inc"

#define GET_ATTRDEF_CLASSES
#include "moe/MoeAttrs.h.inc"

#define GET_OP_CLASSES
#include "moe/MoeOps.h.inc"

namespace moe {

/// A constant of `type`, a float type or a vector of one, with each element
/// `value`.
mlir::Value buildFloatConstant(mlir::OpBuilder &builder, mlir::Location loc,
                               mlir::Type type, double value);

/// The K best experts of one token in the order that all policies share (rule
/// M1):
/// larger first, the lower index of two equal ones, -0 equal to +0, NaN last.
/// `scores` is a `vector<ExT>` of f32 or f64, the result a `vector<Kxi32>`.
/// For policies, in this dialect and in others.
mlir::Value buildTopK(mlir::OpBuilder &builder, mlir::Location loc,
                      mlir::Value scores, int64_t k);

/// Which of its sub-blocks the codes of a stream are in, in a round.
mlir::Value buildSubBlockIndex(BlockReader &reader,
                               CodedFormatAttrInterface format, int64_t k,
                               mlir::Value period, mlir::Value word,
                               int64_t stream);

/// The range of `field` of made-up weights. Where the format does not say: of
/// floats that are weights themselves, or of the one scale of codes; integers
/// are any bits.
std::optional<MadeUpRange> getMadeUpRange(WeightFormatAttrInterface format,
                                          const BlockField &field, int64_t k);

/// What holds the numbers `storage` of weights of this type, `[N, K]` or
/// `[E, N, K]`, in blocks of `block`.
mlir::RankedTensorType getStorageType(const StorageTensor &storage,
                                      mlir::RankedTensorType weights,
                                      int64_t block);

/// The same for the numbers themselves; nothing if `storage` has no order of its
/// own.
std::optional<StoragePlaces> getStoragePlaces(const StorageTensor &storage,
                                              mlir::RankedTensorType weights,
                                              int64_t block);

/// The number of tokens of `routing` where the IR gives it statically.
std::optional<int64_t> getStaticNumTokens(mlir::Value routing);

} // namespace moe

#endif // MOE_MOE_H
