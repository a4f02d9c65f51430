//===- Layer.h - The ops of one layer, and its routing ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_SPARSITY_LAYER_H
#define MOE_LIB_SPARSITY_LAYER_H

#include "moe-mlir/Transforms/SomeExperts.h"
#include "moe/Moe.h"

#include "mlir/IR/PatternMatch.h"

namespace moe {

/// A moe.expert with the dispatches of its rows and the combines of its result,
/// all by one routing. Nothing else sees in which order its rows are.
struct Layer {
  ExpertOp expert;
  llvm::SmallVector<CombineOp> combines;

  /// Fails if something else sees the rows, and `why` says what.
  static mlir::FailureOr<Layer> get(ExpertOp op, std::string &why);

  mlir::TypedValue<RoutingType> getRouting() { return expert.getRouting(); }

  /// Whether nothing but the layer reads the routing.
  bool ownsRouting();

  /// Replaces the layer by one of the experts `kept` of it, which ascend, by
  /// `routing`: its expert i is `kept[i]`. What the layer alone needed is
  /// erased, its routing included.
  void replace(mlir::RewriterBase &b, mlir::Value routing,
               llvm::ArrayRef<int64_t> kept);
};

} // namespace moe

#endif // MOE_LIB_SPARSITY_LAYER_H
