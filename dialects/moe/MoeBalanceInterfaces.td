//===- MoeBalanceInterfaces.td - Metrics of a routing ------*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What a loss or a measure of health of a routing implements to be listed in
// `moe.balance`.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_BALANCE_INTERFACES_TD
#define MOE_BALANCE_INTERFACES_TD

include "mlir/IR/OpBase.td"

def Moe_BalanceMetricAttrInterface
    : AttrInterface<"BalanceMetricAttrInterface"> {
  let cppNamespace = "::moe";
  let description = [{
    One number, or one number for each expert, that says how evenly a routing
    uses its experts: a loss of training, a measure of health, a step of a bias.

    A metric reads the routing and any of the named inputs of its `moe.balance`,
    and says which by `getMetricInputs`. Sums are formed in f32 (in integers
    where they count) in one fixed order, so that the result is the same for
    any number of threads. A routing of no tokens has losses of 0.
  }];
  let methods = [
    InterfaceMethod<[{
        What the metric reads besides the routing.
      }], "::llvm::SmallVector<::moe::BalanceInput>", "getMetricInputs", (ins),
      /*methodBody=*/"", /*defaultImplementation=*/"return {};">,
    InterfaceMethod<[{
        The type of the result for a routing of that type, of static shape.
      }], "::mlir::RankedTensorType", "getMetricType",
      (ins "::moe::RoutingType":$routing)>,
    InterfaceMethod<[{
        Checks the metric against the routing. Checks that do not depend on it
        belong in the attribute's own verifier.
      }], "::llvm::LogicalResult", "verifyMetric",
      (ins "::llvm::function_ref<::mlir::InFlightDiagnostic()>":$emitError,
           "::moe::RoutingType":$routing),
      /*methodBody=*/"", /*defaultImplementation=*/[{
        return ::mlir::success();
      }]>,
    InterfaceMethod<[{
        Builds the metric and returns a value of `getMetricType`. `inputs` are
        in the order of `getMetricInputs`, null where an optional one is not
        given. Emits views of the routing (`moe.routing.*`) and ops of `arith`,
        `linalg`, `math`, `scf` and `tensor`.
      }], "::mlir::Value", "buildMetric",
      (ins "::mlir::OpBuilder &":$builder, "::mlir::Location":$loc,
           "::mlir::Value":$routing,
           "::llvm::ArrayRef<::mlir::Value>":$inputs)>
  ];
}

#endif // MOE_BALANCE_INTERFACES_TD
