//===- MoekOps.cpp - The generated code of the ops -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Verifiers are in ops/, by family.
//
//===----------------------------------------------------------------------===//

#include "moek/Moek.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/OpImplementation.h"

using namespace mlir;
using namespace moek;

#include "moek/MoekInterfaces.cpp.inc"

#define GET_OP_CLASSES
#include "moek/MoekOps.cpp.inc"
