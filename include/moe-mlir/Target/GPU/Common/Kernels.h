//===- Kernels.h - Kernels for any GPU --------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// All are functions in the form of the `moe_gpu` dialect, made in a module of
// kernels under a name; arguments are addresses unless they are said to be i32.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TARGET_GPU_COMMON_KERNELS_H
#define MOE_MLIR_TARGET_GPU_COMMON_KERNELS_H

#include "moe_gpu/MoeGpu.h"
#include "moek/Moek.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Region.h"

#include <array>

namespace moe::gpu {

/// A product of rows with the weights of their experts, `[E, parts, n, k]` or
/// `#moe_gpu.blocks`, accumulated in f32.
struct MatmulShape {
  int64_t experts, n, k, parts = 1;
  /// Whether rows are those of tokens, by an index.
  bool gather = false;
  /// Floats; weights in a format are bytes.
  mlir::Type rows, weights, out;
  /// What the epilogue reads besides the sums, of tensors of `[E, n]` or `[E]`.
  struct Parameter {
    mlir::Type element;
    bool ofColumns;
  };
  llvm::SmallVector<Parameter> parameters = {};
  /// The same of tensors of `[R, n]` or `[R]`: the first `gathered` of them
  /// have a row for each token, which an index of the row's token finds.
  llvm::SmallVector<Parameter> ofRows = {};
  int64_t gathered = 0;
  /// Whether each row is multiplied by a weight of f32 first.
  bool weighs = false;
  /// Of the weights, or null.
  moegpu::BlocksAttr blocks = {};
  /// Whether each 128 values of a row have a scale of f32, `[rows, k / 128]`.
  bool scales = false;

  /// Of the kernel's arguments, besides weights, rows, offsets and the result.
  int64_t getNumOptional() const {
    return scales + gather + weighs + (gathered > 0) + ofRows.size() +
           parameters.size();
  }
};

/// Scalars: one for each part, of each operand of rows, and of each parameter,
/// to one.
using Epilogue = mlir::Region;

/// How a matmul is launched: on blocks for tiles of so many rows of an expert
/// and columns of a part, at most `each` of them for a multiprocessor if that
/// is not 0; and the boxes that the weights and the rows are copied in, 0 for
/// those that are read as memory.
struct Launch {
  int64_t each, rows, columns;
  std::array<int64_t, 2> boxes = {0, 0};
};

/// `out[t] = init[t] + sum of weights[t, s] * rows[positions[t, s]]` over the
/// slots that have a position, in f32. All but weights are rows of `n` floats;
/// arguments: rows, positions, weights, the initial values, the result, the
/// number of tokens (i32). Without weights they are 1, without initial values
/// 0. A thread has so many columns as `getCombinedColumns` says.
struct CombineShape {
  int64_t slots, n;
  mlir::Type rows, out;
  bool weighs = true;
  /// Null without initial values.
  mlir::Type init = {};
};
mlir::LLVM::LLVMFuncOp buildCombine(mlir::ModuleOp module, mlir::StringRef name,
                                    const CombineShape &shape);
int64_t getCombinedColumns(int64_t n);

/// For each expert a block of so many teams: the rows of experts that `indices`
/// `[T, slots]` give. Arguments: indices, offsets, tokens, positions (see
/// `moek.index`), with `weighs` the weights of slots and those of rows, and the
/// number of tokens (i32).
mlir::LLVM::LLVMFuncOp buildIndex(mlir::ModuleOp module, mlir::StringRef name,
                                  int64_t experts, int64_t slots, int64_t teams,
                                  bool weighs);

/// `out[t, e]`, the product of row t of `x` and row e of `router`, both f32 of
/// length `depth`. A team has `tokensOfTeam` times
/// `expertsOfTeam` of them, and a block so many teams. Arguments: x, router,
/// out, the number of tokens (i32).
mlir::LLVM::LLVMFuncOp buildLogits(mlir::ModuleOp module, mlir::StringRef name,
                                   int64_t experts, int64_t depth,
                                   int64_t tokensOfTeam, int64_t expertsOfTeam,
                                   int64_t teams);

/// The experts and weights that `op` chooses, by a team for each token.
/// Arguments: the logits if it has any, its rows, vectors and tables of
/// experts, then indices, weights, and the number of tokens (i32). Fails with
/// an error if it computes what teams cannot.
mlir::FailureOr<mlir::LLVM::LLVMFuncOp> buildSelect(mlir::ModuleOp module,
                                                    mlir::StringRef name,
                                                    moek::RouteOp op,
                                                    int64_t teams);

/// The same by a thread for each token, whatever scores are made of, for
/// policies with a form in lanes. Appends to `arguments` what the kernel is
/// given before the number of tokens (i32).
mlir::FailureOr<mlir::LLVM::LLVMFuncOp>
buildRouteLanes(mlir::ModuleOp module, mlir::StringRef name, moek::RouteOp op,
                mlir::Value logits,
                mlir::SmallVectorImpl<mlir::Value> &arguments);
/// Whether each of these has a kernel for `op`.
bool canSelect(moek::RouteOp op);
bool canRouteInLanes(moek::RouteOp op);

/// Takes all but the first `capacity` assignments of an expert, in the order of
/// slots and then of tokens, out of `indices`, `[T, all]`, whose first `slots`
/// count, and makes their weights 0. A team for each expert. Arguments:
/// indices, weights, the number of tokens (i32).
mlir::LLVM::LLVMFuncOp buildCapacity(mlir::ModuleOp module,
                                     mlir::StringRef name, int64_t slots,
                                     int64_t all, int64_t capacity);

/// Column e of `indices` is e for the `room` tokens with the best scores in it,
/// and -1 for the others: a block of so many teams for each expert. Arguments:
/// scores and indices, `[T, experts]`, the room and the number of tokens (i32).
mlir::LLVM::LLVMFuncOp buildExpertChoice(mlir::ModuleOp module,
                                         mlir::StringRef name, int64_t experts,
                                         int64_t teams);

/// What experts keep of a routing: a block of so many teams for each group of
/// tokens and expert. Arguments: indices, weights, the priority if there is one,
/// the indices and weights that are kept, then as i32 the numbers of tokens, of
/// those of a group, and what an expert keeps of a group and of the last one.
mlir::LLVM::LLVMFuncOp buildLimit(mlir::ModuleOp module, mlir::StringRef name,
                                  moek::LimitOp op, int64_t teams);

/// `moek.sinkhorn`, on one block. Arguments: the scores, memory for as many f32,
/// for one f32 a token, the plan, and the number of tokens (i32).
mlir::LLVM::LLVMFuncOp buildSinkhorn(mlir::ModuleOp module,
                                     mlir::StringRef name, moek::SinkhornOp op);

/// `moek.row_map`, a thread for an element. Arguments: those of the op that are
/// memory, in order, and the number of rows there may be (i32).
mlir::LLVM::LLVMFuncOp buildRowMap(mlir::ModuleOp module, mlir::StringRef name,
                                   moek::RowMapOp op);
/// Why it has none; empty if it has.
mlir::StringRef whyNoKernel(moek::RowMapOp op);

/// A loop over rows, by a team for each. Appends to `arguments` the memory that
/// the kernel is given; behind it comes the number of rows (i32). Fails with an
/// error if it computes what teams cannot.
mlir::FailureOr<mlir::LLVM::LLVMFuncOp>
buildRowLoop(mlir::ModuleOp module, mlir::StringRef name, mlir::scf::ForOp loop,
             int64_t teams, mlir::SmallVectorImpl<mlir::Value> &arguments);
/// Whether it is one: reads rows of matrices as vectors, and writes rows.
bool isRowLoop(mlir::scf::ForOp loop);

/// Writes an i32. Arguments: the memory, the number of the element (i32), and
/// the value (i32).
mlir::LLVM::LLVMFuncOp buildStore(mlir::ModuleOp module, mlir::StringRef name);

/// An op of linalg on memory. Appends to `arguments` the memory that the kernel
/// is given; behind it come the dynamic sizes of the op's loops (i32).
mlir::LLVM::LLVMFuncOp
buildLinalg(mlir::ModuleOp module, mlir::StringRef name,
            mlir::linalg::LinalgOp op,
            mlir::SmallVectorImpl<mlir::Value> &arguments);
/// Why it has none; empty if it has.
mlir::StringRef whyNoKernel(mlir::linalg::LinalgOp op);

/// Products on tiles in shared memory, by multiplications and additions of f32;
/// `few` makes tiles for few rows an expert. Arguments: weights, rows, the
/// index (with `gather`), offsets, the parameters, the result.
mlir::LLVM::LLVMFuncOp buildTiledMatmul(mlir::ModuleOp module,
                                        mlir::StringRef name,
                                        const MatmulShape &shape,
                                        Epilogue &epilogue, bool few,
                                        Launch &launch);

} // namespace moe::gpu

#endif // MOE_MLIR_TARGET_GPU_COMMON_KERNELS_H
