//===- WorkInterface.td - What an op has to do at least ----*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Ops tell how much they multiply and which of their weights they read, given
// sizes and routings; Work.h makes the work of a function of that.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_ANALYSIS_WORKINTERFACE_TD
#define MOE_MLIR_ANALYSIS_WORKINTERFACE_TD

include "mlir/IR/OpBase.td"

def WorkOpInterface : OpInterface<"WorkOpInterface"> {
  let cppNamespace = "::moe";
  let description = [{
    An op that multiplies, or that does not read all of what it is given. What
    has neither the interface nor a structure that says it (`linalg`) counts as
    nothing beside the rest.
  }];
  let methods = [
    InterfaceMethod<[{
        Multiply-adds of the op itself, without those of its regions; nothing
        when a size that it takes is not known.
      }], "std::optional<double>", "getMultiplyAdds",
      (ins "const ::moe::WorkContext &":$context), /*methodBody=*/"",
      /*defaultImplementation=*/"return 0.0;">,
    InterfaceMethod<[{
        The share of operand `operand` that is read.
      }], "double", "getTouchedShare",
      (ins "const ::moe::WorkContext &":$context, "unsigned":$operand),
      /*methodBody=*/"", /*defaultImplementation=*/"return 1.0;">,
    InterfaceMethod<[{
        The first size of result `result`, where it is dynamic; nothing when it
        is not known.
      }], "std::optional<double>", "getResultRows",
      (ins "const ::moe::WorkContext &":$context, "unsigned":$result),
      /*methodBody=*/"", /*defaultImplementation=*/"return std::nullopt;">,
    InterfaceMethod<[{
        How many rows a body is given: `argument` is one of a block of one of
        the regions. Nothing when it has no rows, or they are not known.
      }], "std::optional<double>", "getBodyRows",
      (ins "const ::moe::WorkContext &":$context,
           "::mlir::BlockArgument":$argument), /*methodBody=*/"",
      /*defaultImplementation=*/"return std::nullopt;">,
    InterfaceMethod<[{
        Whether the regions are bodies whose ops count. Those of an op that
        counts all of its work itself are not.
      }], "bool", "hasBodies", (ins), /*methodBody=*/"",
      /*defaultImplementation=*/"return false;">
  ];
}

#endif // MOE_MLIR_ANALYSIS_WORKINTERFACE_TD
