//===- RegionStages.h - What waits for which reduction ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TARGET_LANES_REGIONSTAGES_H
#define MOE_MLIR_TARGET_LANES_REGIONSTAGES_H

#include "moek/KernelRegion.h"

#include "mlir/IR/Operation.h"
#include "mlir/IR/Value.h"
#include "llvm/ADT/DenseMap.h"

#include <algorithm>

namespace moe {

/// A region of rows is computed in loops over the entries of a row. The stage
/// of a value is the number of loops that must have ended before it can be
/// computed.
class RegionStages {
public:
  explicit RegionStages(mlir::Block &body) {
    for (mlir::Operation &op : body.without_terminator()) {
      unsigned stage = 0;
      for (mlir::Value operand : op.getOperands())
        stage = std::max(stage, get(operand));
      // A reduction runs in the stage of its operand and is there in the next.
      if (moek::isRowReduction(op))
        ++stage;
      for (mlir::Value result : op.getResults())
        stages[result] = stage;
      last = std::max(last, stage);
    }
  }

  unsigned get(mlir::Value value) const { return stages.lookup(value); }
  unsigned getLast() const { return last; }

private:
  llvm::DenseMap<mlir::Value, unsigned> stages;
  unsigned last = 0;
};

} // namespace moe

#endif // MOE_MLIR_TARGET_LANES_REGIONSTAGES_H
