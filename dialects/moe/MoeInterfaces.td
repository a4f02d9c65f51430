//===- MoeInterfaces.td - Attribute interfaces of the moe dialect ---------*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The three places where a layer is open: which experts are selected, how the
// chosen values become weights, and what the activation of an expert is.
// Passes and lowerings see these interfaces only, never a concrete attribute.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_INTERFACES_TD
#define MOE_INTERFACES_TD

include "mlir/IR/OpBase.td"

def Moe_SelectionPolicyAttrInterface
    : AttrInterface<"SelectionPolicyAttrInterface"> {
  let cppNamespace = "::moe";
  let description = [{
    Decides which experts a token goes to, from one row of E scores.

    All policies order scores in the same way: a larger score first, the lower
    expert of two equal ones, -0 equal to +0, and NaN after every number
    including -infinity (NaNs among themselves by expert). The chosen experts of
    a token are therefore distinct whatever the data.
  }];
  let methods = [
    InterfaceMethod<[{
        The slots K a routing of this policy has for each token, given the
        number of experts.
      }], "int64_t", "getNumSlots", (ins "int64_t":$numExperts)>,
    InterfaceMethod<[{
        Checks the policy against the number of experts. Checks that do not
        depend on it belong in the attribute's own verifier.
      }], "::llvm::LogicalResult", "verifyPolicy",
      (ins "::llvm::function_ref<::mlir::InFlightDiagnostic()>":$emitError,
           "int64_t":$numExperts)>,
    InterfaceMethod<[{
        Builds the selection for one token. `scores` is a `vector<ExT>` of f32
        or f64. Returns a `vector<Kxi32>` with the chosen experts, best first
        and -1 in unused slots. Emits `arith`, `vector`, `scf` and `math` ops
        only, without branches that depend on the data.
      }], "::mlir::Value", "buildSelect",
      (ins "::mlir::OpBuilder &":$builder, "::mlir::Location":$loc,
           "::mlir::Value":$scores)>,
    InterfaceMethod<[{
        Whether the choice depends on nothing but the order of a token's scores:
        a strictly increasing function of all of them then changes nothing.
      }], "bool", "selectsByOrder", (ins), /*methodBody=*/"",
      /*defaultImplementation=*/"return false;">
  ];
}

def Moe_WeighingAttrInterface : AttrInterface<"WeighingAttrInterface"> {
  let cppNamespace = "::moe";
  let description = [{
    One step that turns the values of the chosen experts into weights. A router
    lists any number of them, applied from the first to the last.
  }];
  let methods = [
    InterfaceMethod<[{
        Builds the step for one token. `values` is a `vector<KxT>`; so is the
        result. Emits `arith`, `math` and `vector` ops only.
      }], "::mlir::Value", "buildWeights",
      (ins "::mlir::OpBuilder &":$builder, "::mlir::Location":$loc,
           "::mlir::Value":$values)>,
    InterfaceMethod<[{
        Checks the step. Called by the verifier of the op that holds it.
      }], "::llvm::LogicalResult", "verifyWeighing",
      (ins "::llvm::function_ref<::mlir::InFlightDiagnostic()>":$emitError),
      /*methodBody=*/"", /*defaultImplementation=*/[{
        return ::mlir::success();
      }]>
  ];
}

def Moe_ActivationAttrInterface : AttrInterface<"ActivationAttrInterface"> {
  let cppNamespace = "::moe";
  let description = [{
    A named activation of `moe.ffn`: shorthand for a body region. An activation
    is gated when it takes (gate, up), plain when it takes (up).
  }];
  let methods = [
    InterfaceMethod<"Whether the activation has a form that takes (gate, up).",
      "bool", "supportsGated", (ins)>,
    InterfaceMethod<"Whether the activation has a form that takes (up).",
      "bool", "supportsPlain", (ins)>,
    InterfaceMethod<[{
        Builds the activation of `args`, (gate, up) or (up): values of one
        float type, or of one vector type of floats. Emits elementwise `arith`
        and `math` ops only. NaN in gives NaN out.
      }], "::mlir::Value", "buildActivation",
      (ins "::mlir::OpBuilder &":$builder, "::mlir::Location":$loc,
           "::mlir::ValueRange":$args)>
  ];
}

#endif // MOE_INTERFACES_TD
