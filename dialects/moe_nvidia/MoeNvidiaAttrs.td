//===- MoeNvidiaAttrs.td - NVIDIA's GPUs and what is decided for them -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOENVIDIA_ATTRS_TD
#define MOENVIDIA_ATTRS_TD

include "moek/MoekInterfaces.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"

def MoeNvidia_Dialect : Dialect {
  let name = "moe_nvidia";
  let cppNamespace = "::moenvidia";
  let summary = "NVIDIA's GPUs, and how kernels run on them";
  let description = [{
    Attributes only: the chip that a module is compiled for, and the schedules
    that the NVIDIA target puts on the kernels of `moek`. Weights keep their logical
    order, `[E, parts, N, K]`: the copy engine and the loads of warps transpose on
    the way. Those in a format have that of `#moe_gpu.blocks`. Nothing but that target (lib/Target/GPU/NVIDIA) knows them.
  }];
  let useDefaultAttributePrinterParser = 1;
}

class MoeNvidia_Attr<string name, string attrMnemonic, list<Trait> traits = []>
    : AttrDef<MoeNvidia_Dialect, name, traits> {
  let mnemonic = attrMnemonic;
}

def MoeNvidia_TargetAttr : MoeNvidia_Attr<"Target", "target", [
    DeclareAttrInterfaceMethods<Moek_TargetAttrInterface>]> {
  let summary = "A GPU as the choice of schedules sees it";
  let description = [{
    Placed on the module as `moek.target`. `name` is what `--target` calls it.

    | field | meaning |
    |---|---|
    | `cpu` | LLVM's name of the chip, and that of its PTX |
    | `wgmma` | products of warpgroups and copies by the tensor memory accelerator: Hopper, `sm_90a` |

    ```mlir
    module attributes {moek.target =
        #moe_nvidia.target<"sm_90a", cpu = "sm_90a", wgmma = true>} {}
    ```
  }];
  let parameters = (ins StringRefParameter<>:$name, StringRefParameter<>:$cpu,
                        "bool":$wgmma);
  let assemblyFormat = "`<` $name `,` struct($cpu, $wgmma) `>`";
}

def MoeNvidia_Rows : I32EnumAttr<"Rows", "what rows are multiplied as", [
    I32EnumAttrCase<"BF16", 0, "bf16">,
    I32EnumAttrCase<"E4M3", 1, "e4m3">]> {
  let cppNamespace = "::moenvidia";
  let genSpecializedAttr = 0;
}

def MoeNvidia_ScheduleAttr : MoeNvidia_Attr<"Schedule", "schedule", [
    DeclareAttrInterfaceMethods<Moek_ScheduleAttrInterface>]> {
  let summary = "How a grouped matmul runs on one of NVIDIA's GPUs";
  let description = [{
    Two kernels are made of the op, and a call takes one by the number of rows
    there may be, `T` times the slots of a token:

    - up to `few`, products of warps that stream the weights from memory into
      registers, eight rows at a time;
    - beyond, products of warpgroups (`wgmma`): tiles of 128 rows by 256 columns
      (128 of gate and 128 of up), in four stages of 64 values of depth. Weights in a
      format are decoded to bf16 for each tile.

    Weights that are neither bf16 nor in a format, and matmuls with operands of rows
    or weights of rows, take the kernels of any GPU, which multiply in f32: up to
    `few` rows with tiles of eight, beyond with tiles of 64.

    `few = 0` makes the second alone, and -1 the first. The second of bf16 and formats
    wants a multiple of 64 for k and of 8 for n.

    Up to `decode` rows, a layer of two such matmuls between a routing and the sum
    of its slots takes others instead: a row for each slot, whose expert the routing
    says, so that there are no lists, and the second with the sum. An expert's
    weights are read for each row that has it. 0, the default, makes none, as do ops
    whose rows or lists somebody else reads.

    `rows = e4m3` multiplies in 8 bits beyond `few` (`wgmma` of e4m3): rows are
    quantized first, 128 values with a scale, their largest magnitude by 448, and
    weights in `#moe.fp8` stay as they are stored. Sums of 128 products are scaled and
    added up in f32. It wants `wgmma`, weights in `#moe.fp8` whose scales are of whole
    rows or of a multiple of 128 columns, k to be a multiple of 128 and n of 8. What
    `few` and `decode` stand for stays in bf16.

    ```mlir
    #schedule = #moe_nvidia.schedule<few = 384, decode = 8>
    #bytes = #moe_nvidia.schedule<few = 128, rows = e4m3>
    module attributes {acme.schedule = #schedule, acme.other = #bytes} {}
    ```
  }];
  let parameters = (ins "int64_t":$few, DefaultValuedParameter<"int64_t", "0">:$decode,
                        DefaultValuedParameter<"::moenvidia::Rows",
                                               "::moenvidia::Rows::BF16">:$rows);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

#endif // MOENVIDIA_ATTRS_TD
