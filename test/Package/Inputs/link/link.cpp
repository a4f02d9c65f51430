//===- link.cpp - Uses the libraries and the runtime ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// One call into each.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Runtime/moe_rt.h"
#include "moe/Moe.h"

int main() {
  mlir::MLIRContext context;
  context.loadDialect<moe::MoeDialect>();
  llvm::outs() << moe::TopKAttr::get(&context, 2) << "\n"
               << moe_status_string(MOE_OK) << "\n";
}
