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

def Moek_TargetAttrInterface : AttrInterface<"TargetAttrInterface"> {
  let cppNamespace = "::moek";
  let description = [{
    A chip, as all decisions about kernels see it: the module attribute
    `moek.target`. What it says beyond this interface is between it and the
    target that compiles for it (moe-mlir/Target/Target.h).
  }];
  let methods = [
    InterfaceMethod<"The name of the target that compiles for this chip, such as `cpu`",
      "::llvm::StringRef", "getTargetName">,
    InterfaceMethod<"The name of the chip: of `--target`, in messages and in the artifact",
      "::llvm::StringRef", "getChipName">
  ];
}

def Moek_ScheduleAttrInterface : AttrInterface<"ScheduleAttrInterface"> {
  let cppNamespace = "::moek";
  let description = [{
    How one kernel runs on a chip. Chosen by the target, and printed on the op,
    where it can be read, tested and overridden.
  }];
  let methods = [
    InterfaceMethod<[{
        Checks that the op that has this schedule is one that it is for, with
        operands that it can take. Called by the verifier of the op.
      }], "::llvm::LogicalResult", "verifySchedule",
      (ins "::mlir::Operation *":$op)>,
    InterfaceMethod<[{
        How many rows of a layer are worked on at a time (`moek-window-rows`),
        which bounds the workspace; 0 for all of them.
      }], "int64_t", "getWindowRows", (ins), [{}], [{ return 0; }]>
  ];
}

def Moek_LayoutAttrInterface : AttrInterface<"LayoutAttrInterface"> {
  let cppNamespace = "::moek";
  let description = [{
    How packed weights lie in memory: chosen by the target, with the schedules
    of the kernels that read them. Blocks, padding and number formats are between
    the layout and those kernels. Every method gets the type of the weights in
    logical order, `[E, P, N, K]`: E experts with P parts (gate and up are two).
  }];
  let methods = [
    InterfaceMethod<"Checks that such weights can be laid out so",
      "::llvm::LogicalResult", "verifyLayout",
      (ins "::llvm::function_ref<::mlir::InFlightDiagnostic()>":$emitError,
           "::mlir::RankedTensorType":$logical)>,
    InterfaceMethod<"The type of such weights once they are laid out",
      "::mlir::RankedTensorType", "getPackedType",
      (ins "::mlir::RankedTensorType":$logical)>,
    InterfaceMethod<[{
        What a writer of packed weights needs to know: `layout`, one that it
        knows by name, and the sizes that go with it (docs/abi.md). Becomes part
        of `moe.packed` and of the manifest.
      }], "::mlir::DictionaryAttr", "getPacking",
      (ins "::mlir::RankedTensorType":$logical)>
  ];
}

#endif // MOEK_INTERFACES_TD
