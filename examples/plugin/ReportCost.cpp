//===- ReportCost.cpp - Says what each expert layer costs -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// -acme-report-cost, a pass that reads `moe` IR.
//
//===----------------------------------------------------------------------===//

#include "Acme.h"

using namespace mlir;

namespace acme {
#define GEN_PASS_DEF_REPORTCOST
#include "Passes.h.inc"
} // namespace acme

namespace {

struct ReportCost : acme::impl::ReportCostBase<ReportCost> {
  using ReportCostBase::ReportCostBase;

  void runOnOperation() override {
    getOperation()->walk([&](moe::ExpertOp op) {
      int64_t bytes = 0;
      for (Value weights : op.getWeights()) {
        auto type = cast<ShapedType>(weights.getType());
        bytes += type.getNumElements() * type.getElementTypeBitWidth() / 8;
      }
      if (bytes < minMiB << 20)
        return;

      // A matmul needs one multiply-add for each element of its weights.
      int64_t multiplyAdds = 0;
      op->walk([&](moe::FFNOp ffn) {
        for (Value weights :
             ArrayRef<Value>({ffn.getGate(), ffn.getUp(), ffn.getDown()}))
          if (weights)
            multiplyAdds +=
                cast<ShapedType>(weights.getType()).getNumElements();
      });
      op.emitRemark() << op.getRouting().getType().getExperts() << " experts, "
                      << (bytes >> 20) << " MiB of weights, " << multiplyAdds
                      << " multiply-adds for each assignment";
    });
    markAllAnalysesPreserved();
  }
};

} // namespace
