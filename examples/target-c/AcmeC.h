//===- AcmeC.h - What the files of the target share -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef ACMEC_ACMEC_H
#define ACMEC_ACMEC_H

#include "moe-mlir/Target/Target.h"
#include "moe_rt/MoeRt.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Pass/Pass.h"

#include "AcmeCDialect.h.inc"

#define GET_ATTRDEF_CLASSES
#include "AcmeCAttrs.h.inc"

namespace acmec {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "Passes.h.inc"

std::unique_ptr<moe::Target> createTarget();

/// Prints a module of scalar ops of the llvm dialect as C99. Fails with `error`
/// where it has something that C has not.
llvm::LogicalResult printC(mlir::ModuleOp module, llvm::raw_ostream &os,
                           std::string &error);

} // namespace acmec

#endif // ACMEC_ACMEC_H
