//===- KernelConverter.h - Ops of moek become kernels -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What the targets of GPUs do alike: each op of `moek` and `linalg` becomes
// kernels in the form of the `moe_gpu` dialect, and `moe_rt.launch`. A target
// says how many teams its blocks have, and has its own matmuls.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TARGET_GPU_COMMON_KERNELCONVERTER_H
#define MOE_MLIR_TARGET_GPU_COMMON_KERNELCONVERTER_H

#include "moe-mlir/Target/GPU/Common/Kernels.h"
#include "moek/Moek.h"
#include "moek/RoutingParts.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

#include <limits>

namespace moe::gpu {

/// Blocks of an elementwise kernel for each multiprocessor.
constexpr int64_t kElementwiseBlocks = 8;

struct ConverterOptions {
  /// Whose kernels they are, for messages: `NVIDIA's GPUs`.
  llvm::StringRef device;
  /// Teams of the blocks of these kernels. Exchanges need one where a block is
  /// a team (see the `moe_gpu` dialect).
  int64_t logitTeams = 8, selectTeams = 4, indexTeams = 32;
  /// Tokens, and experts, whose logits a team computes where there are many.
  int64_t logitTile = 8;
  /// Blocks up to which a kernel is set up while those before it end, if it
  /// waits for them itself; 0 if kernels do not.
  int64_t overlaps = 0;
};

class KernelConverter {
public:
  /// Kernels come into a module of their own in `module`.
  KernelConverter(mlir::ModuleOp module, const ConverterOptions &options);
  virtual ~KernelConverter();

  /// Fails with an error at an op that has no kernel: nothing can run on the
  /// host that needs memory of the device.
  mlir::LogicalResult convert();

protected:
  /// Replaces `op` by launches.
  virtual mlir::LogicalResult convertMatmul(moek::GroupedMatmulOp op) = 0;

  using Builder = mlir::ImplicitLocOpBuilder;

  /// A name for a kernel of the function around `op`.
  std::string getName(mlir::Operation *op, llvm::StringRef what);

  /// `each` and `boxes` as `moe_rt.launch` has them, 0 and none by default;
  /// blocks overlap up to `overlaps` of them.
  void launch(Builder &b, mlir::LLVM::LLVMFuncOp kernel, mlir::Value blocks,
              mlir::ValueRange arguments, int64_t each, int64_t overlaps,
              llvm::ArrayRef<int64_t> boxes = {});

  /// Launches the matmul that `build` makes in one or two ways: that for few
  /// rows if there are up to `few`, -1 for always.
  using MatmulBuilder = llvm::function_ref<mlir::LLVM::LLVMFuncOp(
      llvm::StringRef name, bool few, const MatmulShape &shape,
      Launch &launch)>;
  /// What `quantize`, if there is one, makes of the rows first, the kernel for
  /// many rows reads instead.
  struct QuantizedRows {
    mlir::Value values, scales;
  };
  using RowQuantizer = llvm::function_ref<QuantizedRows(Builder &)>;
  void launchMatmul(moek::GroupedMatmulOp op, int64_t few, MatmulBuilder build,
                    RowQuantizer quantize = nullptr);
  /// The same with `buildTiledMatmul`; an error if it cannot read the weights.
  mlir::LogicalResult launchTiledMatmul(moek::GroupedMatmulOp op, int64_t few);

  /// What kernels know of these.
  static MatmulShape getShape(moek::GroupedMatmulOp op);
  static CombineShape getShape(moek::CombineOp op);

  mlir::Value constant(Builder &b, int64_t value);
  /// Blocks for `elements`, so many each.
  mlir::Value divide(Builder &b, mlir::Value elements, int64_t each);

  mlir::ModuleOp module, kernels;
  /// Ops (of a routing, its lists) whose kernels are not started where the
  /// value is true: others do their work.
  llvm::DenseMap<mlir::Operation *, mlir::Value> unless;
  ConverterOptions options;

private:
  mlir::LogicalResult convert(mlir::Operation *op);
  mlir::LogicalResult convertIndex(moek::IndexOp op);
  mlir::LogicalResult convertRoute(moek::RouteOp op);
  mlir::LogicalResult convertCombine(moek::CombineOp op);
  mlir::LogicalResult convertExpertChoice(moek::ExpertChoiceOp op);
  mlir::LogicalResult convertLimit(moek::LimitOp op);
  mlir::LogicalResult convertSinkhorn(moek::SinkhornOp op);
  mlir::LogicalResult convertRowMap(moek::RowMapOp op);
  mlir::LogicalResult convertRowLoop(mlir::scf::ForOp op);
  mlir::LogicalResult convertStore(mlir::memref::StoreOp op);
  mlir::LogicalResult convertLinalg(mlir::linalg::LinalgOp op);
  /// The size of a loop of `op`, which is that of a dimension of an operand.
  mlir::Value getLoopSize(Builder &b, mlir::linalg::LinalgOp op, int64_t loop);
  /// Erases `op` and what computes with it; an error if anything else does.
  mlir::LogicalResult eraseDead(mlir::Operation *op);
  /// Makes the lists of a routing from its indices.
  mlir::LogicalResult launchIndex(Builder &b, mlir::Operation *op,
                                  const moek::RoutingParts &parts,
                                  int64_t experts);
  /// Goes on where the kernels of `op` are wanted.
  void enter(Builder &b, mlir::Operation *op);
  /// An error of `op`: it has no kernel, because of `why`.
  mlir::LogicalResult refuse(mlir::Operation *op, const llvm::Twine &why);
};

} // namespace moe::gpu

#endif // MOE_MLIR_TARGET_GPU_COMMON_KERNELCONVERTER_H
