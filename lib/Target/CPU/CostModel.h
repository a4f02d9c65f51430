//===- CostModel.h - What kernels take on a CPU -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// From the rates of #moe_cpu.target to times, and from times to choices. The
// formulas are in docs/cost-model.md with what they were checked against. A
// rate that is not known makes what depends on it unknown.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_TARGET_CPU_COSTMODEL_H
#define MOE_LIB_TARGET_CPU_COSTMODEL_H

#include "moe-mlir/Target/Cost.h"
#include "moe_cpu/MoeCpu.h"

namespace moe {

class CpuCostModel {
public:
  explicit CpuCostModel(moecpu::TargetAttr cpu) : cpu(cpu) {}

  //===--------------------------------------------------------------------===//
  // Times
  //===--------------------------------------------------------------------===//

  /// Cycles in which a tile of `rows` rows multiplies a step of k (128 bytes of
  /// weights), all that it reads being in the first-level cache.
  std::optional<double> getStepCycles(moecpu::ScheduleAttr schedule,
                                      int64_t rows) const;
  /// Cycles in which a tile of `rows` rows is multiplied with a block of 32
  /// columns of weights in a format, of rows of `k`, which are f32 already if it
  /// `isDecoded`.
  std::optional<double> getBlockCycles(moecpu::ScheduleAttr schedule,
                                       moecpu::BlocksAttr layout, int64_t k,
                                       int64_t rows, bool isDecoded) const;
  /// Bytes a second that one of `threads` cores reads, if what all of them read
  /// is `bytes` in every call.
  std::optional<double> getBandwidth(double bytes, int threads) const;
  /// Seconds in which a core multiplies `rows` rows with a panel of `steps`
  /// steps that it reads at `bandwidth`.
  std::optional<double> getPanelSeconds(moecpu::ScheduleAttr schedule,
                                        double steps, int64_t rows,
                                        double bandwidth) const;
  /// Of a kernel with a schedule; see Target::estimate.
  std::optional<KernelCost> estimate(mlir::Operation *kernel,
                                     const CostContext &context) const;

  //===--------------------------------------------------------------------===//
  // Choices
  //===--------------------------------------------------------------------===//

  /// How bf16 weights are multiplied: by the instruction that there is for it,
  /// unless multiply-adds of widened values are known to be faster.
  moecpu::Inner selectBF16() const;
  /// How codes are multiplied with bytes; nothing if there is no instruction.
  std::optional<moecpu::Inner> selectInt8() const;
  /// Rows of the largest tile.
  int64_t selectRows(moecpu::Inner inner, int64_t planes) const;
  /// Rules for kernels of up to `rows` rows.
  llvm::SmallVector<moecpu::PrefetchAttr> selectPrefetch(int64_t rows) const;
  /// The same of products of codes of `format`, of rows of `k`, with bytes.
  llvm::SmallVector<moecpu::PrefetchAttr>
  selectPrefetchOfCodes(int64_t rows, WeightFormatAttrInterface format,
                        int64_t k) const;
  /// Steps of k, of `steps`, up to which rows are multiplied by a list of them
  /// instead of by all, if it may be the fraction `share` of them at most.
  int64_t selectListed(moecpu::Inner inner, int64_t steps, double share) const;
  /// Bytes of a panel that several tiles share at a time.
  int64_t selectChunk() const;
  /// Rows whose accumulators are parked at a time.
  int64_t selectBlockRows(int64_t rows) const;

private:
  /// Bytes ahead that memory is asked for.
  int64_t selectDistance() const;
  std::optional<double> rate(llvm::StringRef name) const;
  std::optional<double> getHertz() const;
  std::optional<double> getMatmulSeconds(moek::GroupedMatmulOp op,
                                         const RowsOfExperts &rows,
                                         double bandwidth, int threads,
                                         double &compute, double &memory) const;
  KernelCost estimateMatmul(moek::GroupedMatmulOp op,
                            const CostContext &context) const;
  KernelCost estimateRoute(moek::RouteOp op, const CostContext &context) const;
  double getEpilogueCycles(moek::GroupedMatmulOp op) const;

  moecpu::TargetAttr cpu;
};

} // namespace moe

#endif // MOE_LIB_TARGET_CPU_COSTMODEL_H
