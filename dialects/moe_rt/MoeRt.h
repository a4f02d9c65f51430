//===- MoeRt.h - The dialect of the runtime's hooks -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The one header to include to use the `moe_rt` dialect. Its namespace is
// `moert`, since `moe_rt` is the struct of hooks in C.
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_MOERT_H
#define MOERT_MOERT_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "moe_rt/MoeRtDialect.h.inc"
#include "moe_rt/MoeRtEnums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "moe_rt/MoeRtAttrs.h.inc"

#define GET_OP_CLASSES
#include "moe_rt/MoeRtOps.h.inc"

#endif // MOERT_MOERT_H
