//===- BatchPolicyInterface.td - Policies that see all tokens ---*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// How convert-moe-to-moek asks a policy for its choice when one token's depends
// on the scores of the others.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_CONVERSION_BATCHPOLICYINTERFACE
#define MOE_MLIR_CONVERSION_BATCHPOLICYINTERFACE

include "mlir/IR/OpBase.td"

def BatchPolicyLoweringAttrInterface
    : AttrInterface<"BatchPolicyLoweringAttrInterface"> {
  let cppNamespace = "::moe";
  let description = [{
    The lowering of a selection policy that sees all tokens (`seesAllTokens`).
    Attached to the attribute from outside, as the dialect knows no kernels. The
    conversion does the rest alike for all: taking the values of the chosen
    experts, weighing them, counting and packing.
  }];
  let methods = [
    InterfaceMethod<[{
        Builds the choice for all tokens on tensors, by kernel ops or any other IR
        that compiles. `scores` is a `tensor<?xExf32>`, `operands` are those
        of `using`. Returns a `tensor<?xKxi32>` of as many rows: the experts of
        each token, different ones, and -1 in unused slots.
      }], "::mlir::Value", "buildIndices",
      (ins "::mlir::OpBuilder &":$builder, "::mlir::Location":$loc,
           "::mlir::Value":$scores, "::mlir::ValueRange":$operands,
           "int64_t":$slots)>
  ];
}

#endif // MOE_MLIR_CONVERSION_BATCHPOLICYINTERFACE
