//===- MoeOpBase.td - What ops of the moe dialect share -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Letters: T tokens, H hidden size, I intermediate size, E experts, K slots of a
// token, A assignments.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_OP_BASE_TD
#define MOE_OP_BASE_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/OpAsmInterface.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "moe/MoeDialect.td"
include "moe/MoeAttrs.td"
include "moe/MoeOpAttrs.td"
include "moe/MoeRouters.td"
include "moe/MoeTypes.td"

class Moe_Op<string mnemonic, list<Trait> traits = [],
             list<string> asmMethods = ["getAsmResultNames"]>
    : Op<Moe_Dialect, mnemonic,
         traits # [DeclareOpInterfaceMethods<OpAsmOpInterface, asmMethods>]> {
  let hasVerifier = 1;
}

/// Like Moe_Op, with a result type that follows from the operands. The op's own
/// verifier compares the types, with better messages than the interface's:
/// refining leaves the types as they are.
class Moe_InferOp<string mnemonic, list<Trait> traits = [],
                  list<string> asmMethods = ["getAsmResultNames"]>
    : Moe_Op<mnemonic,
             traits # [DeclareOpInterfaceMethods<InferTypeOpInterface,
                                                 ["refineReturnTypes"]>],
             asmMethods> {
  let extraClassDefinition = [{
    ::llvm::LogicalResult $cppClass::refineReturnTypes(
        ::mlir::MLIRContext *, std::optional<::mlir::Location>,
        ::mlir::ValueRange, ::mlir::DictionaryAttr, ::mlir::OpaqueProperties,
        ::mlir::RegionRange, ::llvm::SmallVectorImpl<::mlir::Type> &) {
      return ::mlir::success();
    }
  }];
}

def Moe_ReifyShape
    : DeclareOpInterfaceMethods<ReifyRankedShapedTypeOpInterface,
                                ["reifyResultShapes"]>;

// Scores are never rounded below f32: rounding makes ties and so changes which
// experts are selected (rule M4 of RATIONALE.md).
def Moe_Scores : 2DTensorOf<[F32, F64]>;
def Moe_Weights : 2DTensorOf<[F32, F64]>;
def Moe_FloatRows : 2DTensorOf<[F32, F64, BF16, F16]>;
def Moe_Rows : 2DTensorOf<[F32, F64, BF16, F16, I32, I64]>;
def Moe_Matrix : 2DTensorOf<[F32, F64, BF16, F16]>;
def Moe_Vector : 1DTensorOf<[F32, F64, BF16, F16]>;
def Moe_Indices : 2DTensorOf<[I32]>;
def Moe_WeighingArray
    : TypedArrayAttrBase<Moe_WeighingAttrInterface,
        "list of attributes that implement WeighingAttrInterface">;

#endif // MOE_OP_BASE_TD
