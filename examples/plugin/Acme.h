//===- Acme.h - What the files of the plugin share --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The dialect, its attribute, and the passes.
//
//===----------------------------------------------------------------------===//

#ifndef ACME_ACME_H
#define ACME_ACME_H

#include "moe-mlir/Reference/ReferenceInterfaces.h"
#include "moe/Moe.h"

#include "mlir/Pass/Pass.h"

#include "AcmeDialect.h.inc"

#define GET_ATTRDEF_CLASSES
#include "AcmeAttrs.h.inc"

#define GET_OP_CLASSES
#include "AcmeOps.h.inc"

namespace acme {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "Passes.h.inc"

/// Adds a chip to those that `--target` knows.
void registerAcmeChips();

} // namespace acme

#endif // ACME_ACME_H
