//===- ExpertBody.h - An expert's body as kernels on all rows ---*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A body is written for the rows of one expert. Kernels work on the rows of all
// experts at once: a product with a weight is a moek.grouped_matmul, and what
// happens to each row by itself is a moek.row_map.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_CONVERSION_MOETOMOEK_EXPERTBODY_H
#define MOE_MLIR_LIB_CONVERSION_MOETOMOEK_EXPERTBODY_H

#include "Common.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace moe {

/// The groups of rows that kernels work on.
struct Groups {
  mlir::Value offsets, active;
};

/// One group that has all of `rows`, an index, which may be none.
Groups buildOneGroup(mlir::OpBuilder &b, mlir::Location loc, mlir::Value rows);

/// Builds kernels on `rows` rows, which begin where the experts' do.
struct KernelBuilder {
  mlir::OpBuilder &b;
  Groups groups;
  /// The number of rows there is room for, an index.
  mlir::Value numRows;
  /// What rows of other experts are already in; null if there are none.
  mlir::Value others;
  /// The number of the first expert in its layer.
  int64_t firstExpert = 0;
  /// Who makes the functions of products; null if the layer does not say.
  mlir::StringAttr codegen = {};

  /// `lhs` times the `[E, N, K]` or `[N, K]` matrices of ranges of experts;
  /// `skipZeros` as the op's attribute.
  mlir::Value buildMatmul(mlir::Location loc, mlir::Value lhs,
                          mlir::ValueRange matrices, llvm::StringRef phase,
                          mlir::FloatAttr skipZeros = {});
  /// Room for rows of `length`, or for one value each if that is negative.
  mlir::Value buildRows(mlir::Location loc, int64_t length, mlir::Type element);
};

/// The FFN `ffn` on `rows`; `weights` gives the tensors of all experts for an
/// operand of it, one for each range of experts.
mlir::Value buildFFN(
    KernelBuilder kernels, FFNOp ffn, mlir::Value rows,
    llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::Value)> weights);

/// The `[rows, size]` states of a recurrence over neighbours in `rows` with the
/// same number in `sequences`, which begin with the rows of `init`, or with
/// zeros without it. `buildStep` gives the states of some rows for them and the
/// states before, or null if it cannot.
mlir::Value buildSteps(
    KernelBuilder kernels, mlir::Location loc, mlir::Value rows,
    mlir::Value sequences, mlir::Value init, int64_t size,
    llvm::function_ref<mlir::Value(KernelBuilder, mlir::Value, mlir::Value)>
        buildStep);

/// The loops of a linalg op that computes each row by itself. Loops of one
/// iteration do not count.
struct RowLoops {
  mlir::linalg::LinalgOp op;
  unsigned row = 0;
  std::optional<unsigned> column;
  int64_t length = 0; ///< Columns.
  bool reduces = false;

  /// What an operand is indexed by.
  enum class Form { Rows, RowValues, Columns, Values, Other };
  Form getForm(mlir::OpOperand &operand);
};
std::optional<RowLoops> matchRowLoops(mlir::linalg::LinalgOp op,
                                      std::string &why);

/// Whether `op` has to be a kernel: loops over blocks of rows, which other bodies
/// without kernels become, would cut the sequences of a recurrence, and the rows
/// of a call of a C function.
bool isOnlyKernel(mlir::Operation *op);

/// What is known of a body.
class ExpertBody {
public:
  /// Whether each op of `body`, the arguments of which are rows, `numWeights`
  /// weights and more rows, has a kernel; a reason in `why` otherwise.
  static mlir::FailureOr<ExpertBody> get(mlir::Block &body, unsigned numWeights,
                                         std::string &why);

  /// Whether the weights that matmuls read can be packed ahead of time, given
  /// those of the group. Builds views of them at `b`.
  bool canPack(mlir::OpBuilder &b, mlir::ValueRange weights,
               std::string &why) const;
  /// Whether those of two groups can be in one packed weight each.
  bool canPackTogether(mlir::OpBuilder &b, mlir::ValueRange one,
                       mlir::ValueRange other) const;

  /// Calls of C functions tell them the number of the expert, and weights are
  /// where they are, so that ranges of experts stay apart.
  bool isOfOneRange() const { return callsExternal; }

  /// The kernels. `rows` are the first argument and those behind the weights;
  /// `weights` has those of each range of experts that share the body. The
  /// result is f32, or what `others` is.
  mlir::Value
  build(KernelBuilder kernels, mlir::ValueRange rows,
        llvm::ArrayRef<llvm::SmallVector<mlir::Value>> weights) const;

private:
  friend class BodyReader;
  friend class BodyBuilder;

  enum class Kind {
    Rows,      ///< `[rows, N]`.
    RowValues, ///< One a row: `[rows]` or `[rows, 1]`.
    Parameter, ///< An expert's, the same for all of its rows.
    Uniform,   ///< A constant, or the undefined elements of an empty tensor.
    Size       ///< The number of rows, or another index.
  };
  mlir::Block *body = nullptr;
  unsigned numWeights = 0;
  bool callsExternal = false;
  llvm::DenseMap<mlir::Value, Kind> kinds;
  /// The right side of a matmul: a weight, an argument of the body.
  struct Matrix {
    mlir::Value value;
    bool isTransposed;
  };
  llvm::SmallVector<Matrix> matrices;

  /// That of all experts.
  static mlir::Value getWeight(mlir::Value argument, mlir::ValueRange weights);
  /// `matrix` of all experts, `[E, N, K]`.
  mlir::Value buildMatrix(mlir::OpBuilder &b, const Matrix &matrix,
                          mlir::ValueRange weights) const;
};

} // namespace moe

#endif // MOE_MLIR_LIB_CONVERSION_MOETOMOEK_EXPERTBODY_H
