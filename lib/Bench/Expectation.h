//===- Expectation.h - What a row is expected to take -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The model that chooses schedules and writes reports, asked about the machine
// as it is during the run: its clock and its memory change from minute to
// minute, and nothing could foresee that.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_BENCH_EXPECTATION_H
#define MOE_LIB_BENCH_EXPECTATION_H

#include "moe-mlir/Bench/Report.h"
#include "moe-mlir/Compiler/Compiler.h"

namespace moe::bench {

class Expectation {
public:
  /// Of a function of `module` as `variant` runs it; nothing for one that is
  /// none of the targets.
  static std::optional<Expectation> create(mlir::ModuleOp module,
                                           llvm::StringRef function,
                                           llvm::StringRef variant,
                                           const CompileOptions &options);

  /// Seconds; negative where the target does not say enough of its rates.
  /// `dram` is what `threads` threads read beside the row, in GB/s.
  double getSeconds(int64_t tokens, int threads, const Machine &machine,
                    double dram) const;

private:
  moek::TargetAttrInterface chip;
  mlir::OwningOpRef<mlir::ModuleOp> planned;
  std::string name;
};

} // namespace moe::bench

#endif // MOE_LIB_BENCH_EXPECTATION_H
