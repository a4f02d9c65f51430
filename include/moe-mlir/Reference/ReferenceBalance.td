//===- ReferenceBalance.td - Metrics of a routing in float64 ----*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// How the interpreter evaluates the metrics of `moe.balance`; see
// ReferenceInterfaces.td.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_REFERENCE_REFERENCEBALANCE
#define MOE_MLIR_REFERENCE_REFERENCEBALANCE

include "mlir/IR/OpBase.td"

def ReferenceBalanceMetricAttrInterface
    : AttrInterface<"ReferenceBalanceMetricAttrInterface"> {
  let cppNamespace = "::moe::reference";
  let description = [{
    A metric of `moe.balance` that the interpreter can evaluate.
  }];
  let methods = [
    InterfaceMethod<[{
      The elements of the result, in row-major order.
    }], "std::vector<double>", "evaluate",
    (ins "const ::moe::reference::BalanceData &":$data)>
  ];
}

#endif // MOE_MLIR_REFERENCE_REFERENCEBALANCE
