//===- Interpreter.h - Float64 interpreter of model IR ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Runs a function of `moe` IR, and of the ordinary tensor IR around it, in
// double precision. It is the oracle that compiled kernels are compared with,
// so it shares no code with any lowering and prefers being plain to being
// fast; only products with weights have a fast path, because they are all of
// the work.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_REFERENCE_INTERPRETER_H
#define MOE_MLIR_REFERENCE_INTERPRETER_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "moe-mlir/Support/HostTensor.h"
#include "moe-mlir/Support/Progress.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include <optional>
#include <vector>

namespace mlir {
class DialectRegistry;
} // namespace mlir

namespace moe::reference {

/// Makes the interpreter commit the errors that kernels commit, as random
/// numbers: results are then a draw from those that rounding could give.
struct RoundingModel {
  uint64_t seed = 0;
  /// Kernels multiply bf16 weights with rows that are rounded to bf16.
  bool narrowsRows = false;
  /// How they round rows that they multiply with weights in a format, and, to
  /// bf16, these weights; see getRowTypes(). Empty: not at all.
  std::string activations = {};
};

/// What a router decided.
struct Decision {
  int64_t tokens = 0, experts = 0, slots = 0;
  std::vector<int32_t> expertOf; ///< [tokens, slots], -1 in unused slots.
  std::vector<double> weightOf;  ///< [tokens, slots], 0 there.
};

/// Is shown every decision of a router, in the order of execution, and may
/// replace it: by one that was seen elsewhere.
class RouterHook {
public:
  virtual ~RouterHook() = default;

  /// The decision of the same router with other scores to choose by. Weights
  /// are of the scores that it weighs, which stay.
  using Decide = llvm::function_ref<llvm::FailureOr<Decision>(
      llvm::ArrayRef<double> scores)>;

  /// `scores` are [tokens, experts], or empty if the policy chooses by
  /// something else. A failure ends the interpretation.
  virtual llvm::LogicalResult onDecision(mlir::Operation *router,
                                         llvm::ArrayRef<double> scores,
                                         Decide decide, Decision &decision) = 0;

  /// Is shown the routing that an op gives, in the order of execution.
  virtual void onRouting(mlir::Value routing, const Decision &decision) {}
};

/// Is shown what matrices are multiplied with.
class ProductHook {
public:
  virtual ~ProductHook() = default;

  /// Rows `[count, depth]` that rows of `weights` are multiplied with, an operand
  /// of moe.ffn or of a product of linalg. In the body of an expert, `expert` is
  /// which one of its group it is.
  virtual void onProduct(mlir::Value weights, std::optional<int64_t> expert,
                         const double *rows, int64_t count, int64_t depth) = 0;
};

struct Options {
  /// Threads for products with weights; 0 means one per CPU. Results do not
  /// depend on it.
  unsigned numThreads = 0;
  /// Without one, results are as exact as double is.
  std::optional<RoundingModel> rounding;
  RouterHook *routerHook = nullptr;
  ProductHook *productHook = nullptr;
  /// Told of experts, of those of the functions that were called so far.
  ProgressFn progress = {};
};

/// Calls `func` on `args`, one for each argument; scalars are tensors of rank
/// 0. Floats may come in any float type, whatever the argument's own type is,
/// and are never rounded; they are returned as F64. Integers are exact and
/// returned in the result's own type (I64 where there is no DType for it).
/// Results carry their `moe.name`. Errors are emitted as diagnostics at the op
/// that failed.
llvm::FailureOr<std::vector<HostTensor>>
interpret(mlir::func::FuncOp func, llvm::ArrayRef<HostTensor> args,
          const Options &options = {});

/// The dialects of functions that it runs.
void registerModelDialects(mlir::DialectRegistry &registry);

/// Attaches what the interpreter knows of the attributes of `moe`. A dialect
/// of one's own implements or attaches the interfaces in ReferenceInterfaces.h
/// for its attributes.
void registerReferenceModels(mlir::DialectRegistry &registry);

} // namespace moe::reference

#endif // MOE_MLIR_REFERENCE_INTERPRETER_H
