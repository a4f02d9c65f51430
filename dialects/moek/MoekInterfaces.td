//===- MoekInterfaces.td - Interfaces of the kernel-level dialect -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOEK_INTERFACES_TD
#define MOEK_INTERFACES_TD

include "mlir/IR/OpBase.td"

// An op that makes a routing.
def Moek_RoutingOpInterface : OpInterface<"RoutingOpInterface"> {
  let cppNamespace = "::moek";
  let description = [{
    Writes the tensors that tell which rows of which tokens belong to which
    expert. Whether two of them were made together is asked through it.
  }];
  let methods = [
    InterfaceMethod<"The tensors or memrefs that the op writes, or takes as they are",
      "::moek::RoutingParts", "getRouting">,
    InterfaceMethod<"The same as results; only on tensors",
      "::moek::RoutingParts", "getRoutingResults">
  ];
}

#endif // MOEK_INTERFACES_TD
