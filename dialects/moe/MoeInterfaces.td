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

    Scores that are the same for a policy's builders whatever the number of
    tokens give the same choice: results never depend on how tokens are batched.

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
        Checks the types of the operands that `using` gives to the policy
        (thresholds, numbers of experts, random numbers, tables). A dynamic first
        dimension of a tensor of rank 1 is the tokens.
      }], "::llvm::LogicalResult", "verifyOperands",
      (ins "::llvm::function_ref<::mlir::InFlightDiagnostic()>":$emitError,
           "::mlir::TypeRange":$operands, "int64_t":$numExperts),
      /*methodBody=*/"", /*defaultImplementation=*/[{
        if (operands.empty())
          return ::mlir::success();
        return emitError() << "expects no operands in `using`, as "
                           << ::mlir::Attribute($_attr) << " takes none, but has " << operands.size();
      }]>,
    InterfaceMethod<[{
        Checks the operands that are constants: `constants[i]` has the elements
        of operand `i`, null if it is none.
      }], "::llvm::LogicalResult", "verifyConstants",
      (ins "::llvm::function_ref<::mlir::InFlightDiagnostic()>":$emitError,
           "::mlir::TypeRange":$operands,
           "::llvm::ArrayRef<::mlir::DenseElementsAttr>":$constants,
           "int64_t":$numExperts),
      /*methodBody=*/"", /*defaultImplementation=*/[{
        return ::mlir::success();
      }]>,
    InterfaceMethod<[{
        Builds what has to hold of the operands, tensors of any number of tokens,
        when the router runs: calls `check` with an i1 and one sentence of what is
        wrong where it is false. The call then ends with a status before anything
        is routed; what the other builders do with such operands is of no
        consequence, but must not read or write outside of them. Emits `arith`,
        `tensor` and `scf` ops.
      }], "void", "buildChecks",
      (ins "::mlir::OpBuilder &":$builder, "::mlir::Location":$loc,
           "::mlir::ValueRange":$operands, "int64_t":$numExperts,
           "::llvm::function_ref<void(::mlir::Value, ::llvm::StringRef)>":$check),
      /*methodBody=*/"", /*defaultImplementation=*/"return;">,
    InterfaceMethod<[{
        Whether operand `i` holds one value a token. Builders then see the value
        of their token, or the vector of those of their tokens; other operands
        reach them as memrefs.
      }], "bool", "isTokenOperand", (ins "unsigned":$i), /*methodBody=*/"",
      /*defaultImplementation=*/"return false;">,
    InterfaceMethod<[{
        Whether the policy selects by scores, the operand `select`. A hash of
        token ids does not.
      }], "bool", "usesScores", (ins), /*methodBody=*/"",
      /*defaultImplementation=*/"return true;">,
    InterfaceMethod<[{
        Whether the policy makes the values of the chosen experts itself, so that
        there is no operand `weigh`.
      }], "bool", "providesValues", (ins), /*methodBody=*/"",
      /*defaultImplementation=*/"return false;">,
    InterfaceMethod<[{
        Whether every slot of every token gets an expert. Weighing is told which
        slots are used only if this is false.
      }], "bool", "fillsAllSlots", (ins "int64_t":$numExperts),
      /*methodBody=*/"", /*defaultImplementation=*/"return false;">,
    InterfaceMethod<[{
        Whether K is E and slot e holds expert e or nothing: the choice is a
        mask over the experts.
      }], "bool", "selectsByMask", (ins), /*methodBody=*/"",
      /*defaultImplementation=*/"return false;">,
    InterfaceMethod<[{
        Whether the choice for a token depends on the scores of other tokens.
        Such a policy has no builders here: its kernel is an op of its own.
      }], "bool", "seesAllTokens", (ins), /*methodBody=*/"",
      /*defaultImplementation=*/"return false;">,
    InterfaceMethod<[{
        Builds the selection for one token: the default lowering, for policies
        without `buildSelectLanes`. `scores` is a `vector<ExT>` of f32 or f64, or
        null. Returns a `vector<Kxi32>` with the chosen experts and -1 in unused
        slots, and the `vector<KxT>` of their values if the policy provides
        them. Emits `arith`, `vector`, `scf`, `memref` and `math` ops only. Null
        if the policy has no such form.
      }], "::moe::SelectedExperts", "buildSelect",
      (ins "::mlir::OpBuilder &":$builder, "::mlir::Location":$loc,
           "::mlir::Value":$scores, "::mlir::ValueRange":$operands),
      /*methodBody=*/"", /*defaultImplementation=*/"return {};">,
    InterfaceMethod<[{
        Whether the policy has `buildSelectLanes`, or `buildMaskLanes` if it
        selects by a mask.
      }], "bool", "supportsLanes", (ins), /*methodBody=*/"",
      /*defaultImplementation=*/"return false;">,
    InterfaceMethod<[{
        Builds the selection for as many tokens as a vector has lanes, expert by
        expert: writes `lanes.indices`, and `lanes.values` if the policy provides
        them. No branch may depend on data. See moe/Lanes.h.
      }], "void", "buildSelectLanes", (ins "::moe::LaneSelection &":$lanes),
      /*methodBody=*/"", /*defaultImplementation=*/[{
        llvm_unreachable("the policy has no lanes form");
      }]>,
    InterfaceMethod<[{
        Whether the policy has `buildSelectRow` beside `buildSelectLanes`.
      }], "bool", "supportsRow", (ins), /*methodBody=*/"",
      /*defaultImplementation=*/"return false;">,
    InterfaceMethod<[{
        Builds the selection for one token, with its experts in lanes, for
        batches that fill no vector of tokens: writes `row.indices`, and
        `row.values` if the policy provides them. The choice and the bits of the
        values are those of `buildSelectLanes`. No branch may depend on data. See
        moe/Rows.h.
      }], "void", "buildSelectRow", (ins "::moe::RowSelection &":$row),
      /*methodBody=*/"", /*defaultImplementation=*/[{
        llvm_unreachable("the policy has no row form");
      }]>,
    InterfaceMethod<[{
        For policies that select by a mask: what `buildMaskLanes` needs besides
        the score, one vector of lanes each, computed once from all scores.
      }], "::llvm::SmallVector<::mlir::Value>", "buildMaskState",
      (ins "::moe::LaneSelection &":$lanes), /*methodBody=*/"",
      /*defaultImplementation=*/"return {};">,
    InterfaceMethod<[{
        For policies that select by a mask: the `vector<Wxi1>` of the tokens that
        `expert` (an index) is chosen for, given its scores.
      }], "::mlir::Value", "buildMaskLanes",
      (ins "::moe::LaneSelection &":$lanes, "::mlir::ValueRange":$state,
           "::mlir::Value":$expert, "::mlir::Value":$score),
      /*methodBody=*/"", /*defaultImplementation=*/[{
        llvm_unreachable("the policy selects by no mask");
      }]>,
    InterfaceMethod<[{
        For policies that select by a mask: whether a token for which the mask is
        empty gets its best expert, in the order of all policies.
      }], "bool", "fallsBackToBest", (ins), /*methodBody=*/"",
      /*defaultImplementation=*/"return false;">,
    InterfaceMethod<[{
        For policies that select by a mask and provide values: the value of every
        expert chosen for a token, given the number of experts (i32, at least 1),
        whether it fell back, and its best score; vectors of lanes.
      }], "::mlir::Value", "buildMaskValue",
      (ins "::moe::LaneSelection &":$lanes, "::mlir::Value":$count,
           "::mlir::Value":$fellBack, "::mlir::Value":$best),
      /*methodBody=*/"", /*defaultImplementation=*/[{
        llvm_unreachable("the policy provides no values");
      }]>,
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
        result. `used` is a `vector<Kxi1>`: the slots that hold an expert, or null
        if all do. What unused slots hold must not change the others; what they
        get is not read. Emits `arith`, `math` and `vector` ops only: elementwise,
        reductions, and broadcasts of scalars.
      }], "::mlir::Value", "buildWeights",
      (ins "::mlir::OpBuilder &":$builder, "::mlir::Location":$loc,
           "::mlir::Value":$values, "::mlir::Value":$used)>,
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
