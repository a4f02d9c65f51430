//===- ProtectArguments.cpp - Entry arguments are read-only -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// One-shot bufferization may write into the arguments of a function unless it
// is told otherwise; the C interface promises `const` pointers.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Lowering/EntryPoints.h"
#include "moe-mlir/Lowering/Passes.h"

#include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"

namespace moe {
#define GEN_PASS_DEF_PROTECTARGUMENTSPASS
#include "moe-mlir/Lowering/Passes.h.inc"
} // namespace moe

using namespace mlir;

namespace {

struct ProtectArguments
    : moe::impl::ProtectArgumentsPassBase<ProtectArguments> {
  void runOnOperation() override {
    auto no = BoolAttr::get(&getContext(), false);
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      if (!moe::isEntryFunction(function))
        continue;
      for (unsigned i = 0, e = function.getNumArguments(); i != e; ++i)
        if (isa<RankedTensorType>(function.getArgumentTypes()[i]))
          function.setArgAttr(
              i, bufferization::BufferizationDialect::kWritableAttrName, no);
    }
  }
};

} // namespace
