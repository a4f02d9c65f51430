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
      appends one entry for each slot, best first; -1 marks an unused slot. What
      a policy implements that needs no more than that.
    }], "::llvm::LogicalResult", "select",
    (ins "::llvm::ArrayRef<double>":$scores,
         "::llvm::SmallVectorImpl<int32_t> &":$slots),
    /*methodBody=*/"", /*defaultImplementation=*/[{
      return ::llvm::failure();
    }]>,
    InterfaceMethod<[{
      Chooses experts for all tokens; calls `select` for each unless the policy
      implements it.
    }], "::llvm::LogicalResult", "selectAll",
    (ins "const ::moe::reference::PolicyInputs &":$inputs,
         "::moe::reference::PolicyChoice &":$choice),
    /*methodBody=*/"", /*defaultImplementation=*/[{
      // Through the interface: an attached model is no member of the attribute.
      auto policy = ::llvm::cast<::moe::reference::ReferencePolicyAttrInterface>(
          ::mlir::Attribute($_attr));
      for (int64_t t = 0; t < inputs.tokens; ++t) {
        ::llvm::SmallVector<int32_t> slots;
        if (::llvm::failed(policy.select(inputs.row(t), slots)) ||
            static_cast<int64_t>(slots.size()) != inputs.slots) {
          choice.error = "selection failed for token " + std::to_string(t);
          return ::llvm::failure();
        }
        std::copy(slots.begin(), slots.end(),
                  choice.experts.begin() + t * inputs.slots);
      }
      return ::llvm::success();
    }]>,
    InterfaceMethod<[{
      How far the choice may be off beside rounding, as a change of scores: what
      an iteration leaves that ends at a tolerance.
    }], "double", "scoreSlack", (ins),
    /*methodBody=*/"", /*defaultImplementation=*/"return 0.0;">
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
    }], "double", "activate", (ins "::llvm::ArrayRef<double>":$args)>,
    InterfaceMethod<[{
      What rounding errors of that element are relative to. The element itself,
      unless it is a difference of larger numbers: then the size of those.
    }], "double", "magnitude", (ins "::llvm::ArrayRef<double>":$args),
    /*methodBody=*/"", /*defaultImplementation=*/[{
      // Through the interface: an attached model is no member of the attribute.
      return ::llvm::cast<::moe::reference::ReferenceActivationAttrInterface>(
          ::mlir::Attribute($_attr)).activate(args);
    }]>
  ];
}

def ReferenceFormatAttrInterface
    : AttrInterface<"ReferenceFormatAttrInterface"> {
  let cppNamespace = "::moe::reference";
  let description = [{
    A format of weights that the interpreter can decode. For one that has no model,
    it interprets what `moe::WeightFormatAttrInterface` builds.
  }];
  let methods = [
    InterfaceMethod<[{
      The values of row `row` of a matrix, each the exact one rounded to nearest
      even; `storage` are its tensors in the order of the op's operands.
    }], "void", "decodeRow",
    (ins "::llvm::ArrayRef<::moe::reference::StoredRows>":$storage,
         "int64_t":$row, "::llvm::MutableArrayRef<float>":$values)>
  ];
}

#endif // MOE_MLIR_REFERENCE_REFERENCEINTERFACES
