//===- ReferenceInterfaces.h - What attributes mean, in float64 -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Interfaces through which the interpreter evaluates selection policies,
// weighings and activations.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_REFERENCE_REFERENCEINTERFACES_H
#define MOE_MLIR_REFERENCE_REFERENCEINTERFACES_H

#include "mlir/IR/Attributes.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/LogicalResult.h"

#include "moe-mlir/Reference/ReferenceInterfaces.h.inc"

#endif // MOE_MLIR_REFERENCE_REFERENCEINTERFACES_H
