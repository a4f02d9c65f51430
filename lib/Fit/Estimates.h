//===- Estimates.h - Bytes and times of a layer -------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What a layer takes with its weights stored in some way: it is compiled as far
// as there are schedules and packed weights, and asked.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_FIT_ESTIMATES_H
#define MOE_LIB_FIT_ESTIMATES_H

#include "moe-mlir/Fit/Fit.h"

#include <map>

namespace moe::fit {

struct Estimate {
  /// Of all weights as they are packed.
  int64_t bytes = 0;
  /// Of a call; negative if it is not known.
  double seconds = -1;

  void add(const Estimate &other);
};

/// What arguments are to be stored in, by their number.
using Formats = std::map<unsigned, mlir::Attribute>;

class Estimator {
public:
  Estimator(mlir::ModuleOp module, const FitOptions &options,
            moek::TargetAttrInterface chip)
      : module(module), options(options), chip(chip) {}

  /// Null and a message if the layer cannot be compiled so. Layers that are
  /// alike are compiled once.
  const Estimate *get(mlir::func::FuncOp function, const Formats &formats,
                      std::string &error);

  int getThreads() const;

private:
  std::optional<Estimate> compile(mlir::func::FuncOp function,
                                  const Formats &formats, std::string &error);
  const std::string &getText(mlir::func::FuncOp function);

  mlir::ModuleOp module;
  const FitOptions &options;
  moek::TargetAttrInterface chip;
  /// What functions are but for their names.
  std::map<mlir::Operation *, std::string> texts;
  std::map<std::string, Estimate> known;
};

} // namespace moe::fit

#endif // MOE_LIB_FIT_ESTIMATES_H
