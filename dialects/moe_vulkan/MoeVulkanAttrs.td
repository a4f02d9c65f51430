//===- MoeVulkanAttrs.td - Vulkan's devices and what is decided for them -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOEVULKAN_ATTRS_TD
#define MOEVULKAN_ATTRS_TD

include "moek/MoekInterfaces.td"
include "mlir/IR/AttrTypeBase.td"

def MoeVulkan_Dialect : Dialect {
  let name = "moe_vulkan";
  let cppNamespace = "::moevulkan";
  let summary = "Vulkan's devices, and how kernels run on them";
  let description = [{
    Attributes only: the device that a module is compiled for, and the schedules
    that the Vulkan target puts on the kernels of `moek`. Weights keep their logical
    order, `[E, parts, N, K]`; those in a format are `#moe_gpu.blocks`. Nothing but that target (lib/Target/GPU/Vulkan)
    knows them.
  }];
  let useDefaultAttributePrinterParser = 1;
}

class MoeVulkan_Attr<string name, string attrMnemonic, list<Trait> traits = []>
    : AttrDef<MoeVulkan_Dialect, name, traits> {
  let mnemonic = attrMnemonic;
}

def MoeVulkan_TargetAttr : MoeVulkan_Attr<"Target", "target", [
    DeclareAttrInterfaceMethods<Moek_TargetAttrInterface>]> {
  let summary = "A device of Vulkan as the choice of schedules sees it";
  let description = [{
    Placed on the module as `moek.target`. `name` is what `--target` calls it. Kernels
    are SPIR-V 1.3 with physical addresses, for any width of subgroups.

    ```mlir
    module attributes {moek.target = #moe_vulkan.target<"vulkan">} {}
    ```
  }];
  let parameters = (ins StringRefParameter<>:$name);
  let assemblyFormat = "`<` $name `>`";
}

def MoeVulkan_ScheduleAttr : MoeVulkan_Attr<"Schedule", "schedule", [
    DeclareAttrInterfaceMethods<Moek_ScheduleAttrInterface>]> {
  let summary = "How a grouped matmul runs on a device of Vulkan";
  let description = [{
    Two kernels are made of the op, and a call takes one by the number of rows
    there may be, `T` times the slots of a token: up to `few`, tiles of 8 rows by 32
    columns, and beyond, tiles of 64 by 64. Both multiply in f32 and add up the
    depth in one order, so that results have the same bits. Weights in a format become
    f32 on their way into a tile. `few = 0` makes the
    second alone, and -1 the first.

    ```mlir
    #schedule = #moe_vulkan.schedule<few = 256>
    module attributes {acme.schedule = #schedule} {}
    ```
  }];
  let parameters = (ins "int64_t":$few);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

#endif // MOEVULKAN_ATTRS_TD
