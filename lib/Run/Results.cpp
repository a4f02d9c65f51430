//===- Results.cpp - What a call gave ---------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Run/Results.h"

#include "moe-mlir/Support/TensorIO.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/Path.h"

#include <algorithm>
#include <cmath>

using namespace moe;
using namespace moe::run;

bool run::writeResults(OutputSet &outputs, const std::string &output,
                       const std::vector<HostTensor> &results,
                       std::string &error) {
  llvm::StringRef path = output;
  if (path.ends_with(".safetensors"))
    return writeSafetensors(outputs, output, results, error);
  if (path.ends_with(".npy")) {
    if (results.size() == 1)
      return writeNpy(outputs, output, results.front(), error);
    error = output + ": a .npy file holds one tensor, but there are " +
            std::to_string(results.size()) +
            " results; use .safetensors or a folder";
    return false;
  }
  if (!outputs.addFolder(output, error))
    return false;
  for (const HostTensor &result : results) {
    llvm::SmallString<128> file(path);
    // A name is not a path.
    std::string name = result.name;
    std::replace(name.begin(), name.end(), '/', '_');
    llvm::sys::path::append(file, name + ".npy");
    if (!writeNpy(outputs, file.str().str(), result, error))
      return false;
  }
  return true;
}

Summary run::summarize(const HostTensor &tensor) {
  Summary summary;
  double sum = 0.0;
  int64_t elements = tensor.numElements();
  for (int64_t i = 0; i < elements; ++i) {
    double value = std::fabs(tensor.get(i));
    if (!std::isfinite(value)) {
      ++summary.notFinite;
      continue;
    }
    sum += value;
    summary.largest = std::max(summary.largest, value);
  }
  summary.meanMagnitude = elements ? sum / elements : 0.0;
  return summary;
}
