//===- MoeAmdAttrs.td - AMD's GPUs and what is decided for them -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOEAMD_ATTRS_TD
#define MOEAMD_ATTRS_TD

include "moek/MoekInterfaces.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"

def MoeAmd_Dialect : Dialect {
  let name = "moe_amd";
  let cppNamespace = "::moeamd";
  let summary = "AMD's GPUs, and how kernels run on them";
  let description = [{
    Attributes only: the chip that a module is compiled for, and the schedules
    that the AMD target puts on the kernels of `moek`. Weights keep their logical
    order, `[E, parts, N, K]`; those in a format are `#moe_gpu.blocks`. Nothing but
    that target (lib/Target/GPU/AMD) knows them.
  }];
  let useDefaultAttributePrinterParser = 1;
}

class MoeAmd_Attr<string name, string attrMnemonic, list<Trait> traits = []>
    : AttrDef<MoeAmd_Dialect, name, traits> {
  let mnemonic = attrMnemonic;
}

def MoeAmd_TargetAttr : MoeAmd_Attr<"Target", "target", [
    DeclareAttrInterfaceMethods<Moek_TargetAttrInterface>]> {
  let summary = "A GPU as the choice of schedules sees it";
  let description = [{
    Placed on the module as `moek.target`. `name` is what `--target` calls it.
    Wavefronts have 64 lanes.

    | field | meaning |
    |---|---|
    | `cpu` | LLVM's name of the chip; one with matrix cores for bf16, `gfx90a` and later of the gfx9 family |
    | `depth` | products that a matrix instruction of 32 by 32 bf16 adds to a sum: 8, or 16 from `gfx950` on |

    ```mlir
    module attributes {moek.target =
        #moe_amd.target<"gfx942", cpu = "gfx942", depth = 8>} {}
    ```
  }];
  let parameters = (ins StringRefParameter<>:$name, StringRefParameter<>:$cpu,
                        "int64_t":$depth);
  let assemblyFormat = "`<` $name `,` struct($cpu, $depth) `>`";
  let genVerifyDecl = 1;
}

def MoeAmd_Units : I32EnumAttr<"Units", "what multiplies", [
    I32EnumAttrCase<"Matrix", 0, "matrix">,
    I32EnumAttrCase<"Vector", 1, "vector">]> {
  let cppNamespace = "::moeamd";
  let genSpecializedAttr = 0;
}

def MoeAmd_ScheduleAttr : MoeAmd_Attr<"Schedule", "schedule", [
    DeclareAttrInterfaceMethods<Moek_ScheduleAttrInterface>]> {
  let summary = "How a grouped matmul runs on one of AMD's GPUs";
  let description = [{
    Two kernels are made of the op, and a call takes one by the number of rows
    there may be, `T` times the slots of a token: one for up to `few`, and another
    beyond. `few = 0` makes the second alone, and -1 the first.

    | `units` | up to `few` rows | beyond |
    |---|---|---|
    | `matrix` | matrix instructions (MFMA) of 32 by 32 on tiles of 32 rows by 128 columns of all parts | the same on tiles of 128 rows by 128 columns |
    | `vector` | multiplications and additions of f32 on tiles of 8 rows by 32 columns of each part | the same on tiles of 64 by 64 |

    `matrix` multiplies rows and weights of bf16, and adds up in f32.

    ```mlir
    #schedule = #moe_amd.schedule<units = matrix, few = 256>
    module attributes {acme.schedule = #schedule} {}
    ```
  }];
  let parameters = (ins EnumParameter<MoeAmd_Units>:$units, "int64_t":$few);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

#endif // MOEAMD_ATTRS_TD
