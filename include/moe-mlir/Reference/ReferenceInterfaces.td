//===- ReferenceInterfaces.td - Attributes in float64 ------*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The interpreter asks attributes what they mean through interfaces of its
// own, separate from those the compiler lowers through, so that a mistake in
// one is found by the other.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_REFERENCE_REFERENCEINTERFACES
#define MOE_MLIR_REFERENCE_REFERENCEINTERFACES

include "mlir/IR/OpBase.td"

def ReferencePolicyAttrInterface
    : AttrInterface<"ReferencePolicyAttrInterface"> {
  let cppNamespace = "::moe::reference";
  let description = [{
    A selection policy that the interpreter can evaluate.
  }];
  let methods = [
    InterfaceMethod<[{
      Chooses experts for one token from its scores, one for each expert, and
      appends one entry for each slot, best first; -1 marks an unused slot.
    }], "::llvm::LogicalResult", "select",
    (ins "::llvm::ArrayRef<double>":$scores,
         "::llvm::SmallVectorImpl<int32_t> &":$slots)>
  ];
}

def ReferenceWeighingAttrInterface
    : AttrInterface<"ReferenceWeighingAttrInterface"> {
  let cppNamespace = "::moe::reference";
  let description = [{
    A step of weighing that the interpreter can evaluate.
  }];
  let methods = [
    InterfaceMethod<[{
      Replaces the values of one token's chosen experts.
    }], "void", "weigh", (ins "::llvm::MutableArrayRef<double>":$values)>
  ];
}

def ReferenceActivationAttrInterface
    : AttrInterface<"ReferenceActivationAttrInterface"> {
  let cppNamespace = "::moe::reference";
  let description = [{
    An activation that the interpreter can evaluate.
  }];
  let methods = [
    InterfaceMethod<[{
      One element of the hidden row: `args` is (gate, up) of a gated expert and
      (up) of a plain one.
    }], "double", "activate", (ins "::llvm::ArrayRef<double>":$args)>
  ];
}

#endif // MOE_MLIR_REFERENCE_REFERENCEINTERFACES
