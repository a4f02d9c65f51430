//===- DeviceRow.cpp - A layer on a device, timed ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "CompiledLayer.h"

#include "moe-mlir/Analysis/Work.h"
#include "moe-mlir/Run/Bench.h"
#include "moe-mlir/Run/MachineLimits.h"
#include "moe-mlir/Run/Statistics.h"

#include <algorithm>

using namespace moe;
using namespace moe::bench;
using run::now;

bool bench::measureOnDevice(CompiledLayer &layer, mlir::func::FuncOp function,
                            int64_t tokens, int repeats, Row &row,
                            std::string &error) {
  if (!layer.setTokens(tokens, error))
    return false;
  // The first call uploads weights and has the driver make its kernels.
  layer.refill(0, /*seed=*/7 * tokens);
  run::Call &call = layer.call(0);
  if (!call.invoke(error))
    return false;
  double start = now();
  if (!call.repeat(error))
    return false;
  double seconds = now() - start;
  row.repeats = repeats ? repeats : run::chooseRepeats(seconds, seconds, 30);
  std::vector<double> times;
  for (int i = 0; i < row.repeats; ++i) {
    start = now();
    if (!call.repeat(error))
      return false;
    times.push_back(now() - start);
  }
  // Layers on a device do not tell of their routings.
  Work work = computeWork(function, run::namedSizes(call));
  double time = run::median(times);
  row.device = call.deviceName();
  row.medianMs = time * 1e3;
  row.gflops = work.operations() / time * 1e-9;
  row.gbytesPerS = work.bytes() / time * 1e-9;
  row.tokensPerS = tokens / time;
  return true;
}
