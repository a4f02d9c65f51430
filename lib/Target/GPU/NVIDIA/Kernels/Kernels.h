//===- Kernels.h - Kernels for NVIDIA's GPUs --------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_KERNELS_H
#define MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_KERNELS_H

#include "moek/Moek.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Region.h"

#include <array>

namespace moe::nvidia {

/// A product of rows in bf16 with the weights of their experts, `[E, parts, n,
/// k]` in bf16, accumulated in f32.
struct MatmulShape {
  int64_t experts, n, k, parts = 1;
  /// Whether rows are those of tokens, by an index.
  bool gather = false;
  /// Of the result: bf16 or f32.
  mlir::Type out;
  /// What the epilogue reads besides the sums: tensors of `[E, n]`, or `[E]`.
  struct Parameter {
    mlir::Type element;
    bool ofColumns;
  };
  llvm::SmallVector<Parameter> parameters = {};
};

/// Scalars: one for each part, and one of each parameter, to one.
using Epilogue = mlir::Region;

/// How a matmul is launched: on blocks for tiles of so many rows of an expert
/// and columns of a part, as many as fit on the device; and the boxes that the
/// weights and the rows are copied in, 0 for those that are read as memory.
struct Launch {
  int64_t threads, shared, each, rows, columns;
  std::array<int64_t, 2> boxes;
};

/// For Hopper: products of warpgroups (wgmma) on tiles that are copied while
/// the ones before are multiplied. Arguments: the map of the weights, the rows
/// (their map without `gather`), the index (with it), offsets, the parameters,
/// the result.
mlir::LLVM::LLVMFuncOp buildWarpgroupMatmul(mlir::ModuleOp module,
                                            mlir::StringRef name,
                                            const MatmulShape &shape,
                                            Epilogue &epilogue, Launch &launch);

/// For every chip with bf16 products of warps, and few rows an expert: streams
/// weights from memory into registers. Arguments: weights, rows, the index
/// (with `gather`), offsets, the parameters, the result.
mlir::LLVM::LLVMFuncOp buildWarpMatmul(mlir::ModuleOp module,
                                       mlir::StringRef name,
                                       const MatmulShape &shape,
                                       Epilogue &epilogue, Launch &launch);

/// `out[t] = sum of weights[t, s] * rows[positions[t, s]]` over the slots that
/// have a position, in f32. `rows` are bf16 of length n; arguments: rows,
/// positions, weights, the result, the number of tokens (i32).
mlir::LLVM::LLVMFuncOp buildCombine(mlir::ModuleOp module, mlir::StringRef name,
                                    int64_t slots, int64_t n, mlir::Type out,
                                    int64_t &threads);

/// For each expert a block: the rows of experts that `indices` `[T, slots]`
/// give. Arguments: indices, offsets, tokens, positions (see `moek.index`), the
/// number of tokens (i32).
mlir::LLVM::LLVMFuncOp buildIndex(mlir::ModuleOp module, mlir::StringRef name,
                                  int64_t experts, int64_t slots,
                                  int64_t &threads, int64_t &shared);

/// `out[t, e]`, the product of row t of `x` and row e of `router`, both f32 of
/// length `depth`, a multiple of 4. A warp has `tokensOfWarp` times
/// `expertsOfWarp` of them, and a block eight warps. Arguments: x, router, out,
/// the number of tokens (i32).
mlir::LLVM::LLVMFuncOp buildLogits(mlir::ModuleOp module, mlir::StringRef name,
                                   int64_t experts, int64_t depth,
                                   int64_t tokensOfWarp, int64_t expertsOfWarp,
                                   int64_t &threads);

/// The experts and weights that `op` chooses. Arguments: the logits if it has
/// any, its rows, vectors and tables of experts, then indices, weights, and the
/// number of tokens (i32). Fails with an error if it computes what warps
/// cannot.
mlir::FailureOr<mlir::LLVM::LLVMFuncOp>
buildSelect(mlir::ModuleOp module, mlir::StringRef name, moek::RouteOp op,
            int64_t &tokensOfBlock, int64_t &threads);

/// `body` of each element. Arguments: the inputs, the output, the number of rows
/// of `rowLength` elements (i32).
mlir::LLVM::LLVMFuncOp buildElementwise(mlir::ModuleOp module,
                                        mlir::StringRef name,
                                        mlir::TypeRange inputs,
                                        mlir::Type output, int64_t rowLength,
                                        mlir::Region &body, int64_t &threads);

} // namespace moe::nvidia

#endif // MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_KERNELS_H
