//===- MoekAttrs.td - Schedules and targets -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOEK_ATTRS_TD
#define MOEK_ATTRS_TD

include "moek/MoekDialect.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"

class Moek_Attr<string name, string attrMnemonic>
    : AttrDef<Moek_Dialect, name> {
  let mnemonic = attrMnemonic;
}

def Moek_Inner : I32EnumAttr<"Inner", "how a micro-kernel multiplies", [
    I32EnumAttrCase<"Fma", 0, "fma">,
    I32EnumAttrCase<"Widen", 1, "widen">,
    I32EnumAttrCase<"DotBF16", 2, "dot_bf16">,
    I32EnumAttrCase<"MmlaBF16", 3, "mmla_bf16">]> {
  let cppNamespace = "::moek";
  let genSpecializedAttr = 0;
}
def Moek_InnerAttr : EnumAttr<Moek_Dialect, Moek_Inner, "inner"> {
  let assemblyFormat = "$value";
}

def Moek_Arch : I32EnumAttr<"Arch", "an instruction set", [
    I32EnumAttrCase<"X86_64", 0, "x86_64">,
    I32EnumAttrCase<"AArch64", 1, "aarch64">]> {
  let cppNamespace = "::moek";
  let genSpecializedAttr = 0;
}

def Moek_PackBy : I32EnumAttr<"PackBy", "how the tokens of a mask become lists", [
    I32EnumAttrCase<"Table", 0, "table">,
    I32EnumAttrCase<"Compress", 1, "compress">,
    I32EnumAttrCase<"CompressBytes", 2, "compress_bytes">]> {
  let description = [{
    `table` looks up the places of the bits of 8 tokens (any machine), `compress`
    moves the tokens of 16 lanes together (AVX-512), `compress_bytes` those of 64
    (AVX-512 VBMI2).
  }];
  let cppNamespace = "::moek";
  let genSpecializedAttr = 0;
}
def Moek_PackByAttr : EnumAttr<Moek_Dialect, Moek_PackBy, "pack_by"> {
  let assemblyFormat = "$value";
}

def Moek_CpuAttr : Moek_Attr<"Cpu", "cpu"> {
  let summary = "A CPU as the schedule selection sees it";
  let description = [{
    `name` and `features` are LLVM's CPU and feature string; `lanes` is the
    number of f32 in a vector register, `registers` how many there are; cache
    sizes are in bytes per core. Placed on the module as `moek.target`.

    | field | meaning |
    |---|---|
    | `arch` | `x86_64` unless given, or `aarch64` |
    | `bf16_dot` | `vdpbf16ps` exists (x86_64, 16 lanes) |
    | `bf16_mmla` | `bfmmla` exists (aarch64) |
    | `scalable` | SVE vectors exist; `lanes` still counts the f32 of a NEON register (aarch64) |

    ```mlir
    module attributes {moek.target = #moek.cpu<"x86-64-v4", features = "",
        lanes = 16, registers = 32, l1 = 32768, l2 = 1048576, bf16_dot = false>} {}
    ```
  }];
  let parameters = (ins StringRefParameter<>:$name,
                        StringRefParameter<>:$features,
                        "int64_t":$lanes, "int64_t":$registers,
                        "int64_t":$l1, "int64_t":$l2, "bool":$bf16_dot,
                        DefaultValuedParameter<"::moek::Arch",
                            "::moek::Arch::X86_64">:$arch,
                        DefaultValuedParameter<"bool", "false">:$bf16_mmla,
                        DefaultValuedParameter<"bool", "false">:$scalable);
  let assemblyFormat = [{
    `<` $name `,` struct($features, $lanes, $registers, $l1, $l2, $bf16_dot,
                         $arch, $bf16_mmla, $scalable) `>`
  }];
  let genVerifyDecl = 1;
}

def Moek_PanelsAttr : Moek_Attr<"Panels", "panels"> {
  let summary = "The packed layout of expert weights";
  let description = [{
    `[N, K]` weights become panels of `columns` output columns, K-major, `k_block`
    consecutive k of a column side by side (2 for pairs of bf16, 4 for bf16 that
    `mmla_bf16` multiplies). With
    `interleave = c`, a panel holds `c` columns of the first matrix and then the
    same `c` columns of the second (gate and up), so that an epilogue finds both
    in registers.
  }];
  let parameters = (ins "int64_t":$columns, "int64_t":$k_block,
                        "int64_t":$interleave);
  let assemblyFormat = [{
    `<` `columns` `=` $columns `,` `k_block` `=` $k_block `,` `interleave` `=`
    $interleave `>`
  }];
  let genVerifyDecl = 1;
}

def Moek_ScheduleAttr : Moek_Attr<"Schedule", "schedule"> {
  let summary = "How a grouped matmul runs on a target";
  let description = [{
    | parameter | unit | meaning |
    |---|---|---|
    | `inner` | | `fma` (f32 weights), `widen` (bf16 weights widened to f32), `dot_bf16`, `mmla_bf16` |
    | `lanes` | f32 | width of a vector register; 4 is NEON, 8 AVX2, 16 AVX-512 |
    | `rows` | rows | largest register tile; there is one exact kernel for each count up to it |
    | `block_rows` | rows | rows whose accumulators are parked between chunks of k |
    | `chunk` | bytes | panel bytes per chunk of k when several tiles share it |
    | `run` | bytes | consecutive panel bytes that make one work item |
    | `stream_rows` | rows | up to here the panel is prefetched `stream_ahead` bytes ahead |
    | `stream_ahead` | bytes | 0 leaves it to the hardware prefetcher |
    | `tile_ahead` | bytes | prefetch distance of a single tile with more rows |
    | `scalable` | | SVE of any vector length instead of NEON |
  }];
  let parameters = (ins EnumParameter<Moek_Inner>:$inner, "int64_t":$lanes,
                        "int64_t":$rows, "int64_t":$block_rows,
                        "int64_t":$chunk, "int64_t":$run,
                        "int64_t":$stream_rows, "int64_t":$stream_ahead,
                        "int64_t":$tile_ahead,
                        DefaultValuedParameter<"bool", "false">:$scalable);
  let assemblyFormat = [{
    `<` $inner `,` `lanes` `=` $lanes `,` `rows` `=` $rows `,` `block_rows` `=`
    $block_rows `,` `chunk` `=` $chunk `,` `run` `=` $run `,` `stream_rows` `=`
    $stream_rows `,` `stream_ahead` `=` $stream_ahead `,` `tile_ahead` `=`
    $tile_ahead (`,` `scalable` `=` $scalable^)? `>`
  }];
  let genVerifyDecl = 1;
}

#endif // MOEK_ATTRS_TD
