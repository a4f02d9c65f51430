//===- MoeCpuAttrs.td - CPUs and what is decided for them -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOECPU_ATTRS_TD
#define MOECPU_ATTRS_TD

include "moe/MoeFormatInterfaces.td"
include "moek/MoekInterfaces.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"

def MoeCpu_Dialect : Dialect {
  let name = "moe_cpu";
  let cppNamespace = "::moecpu";
  let summary = "CPUs, and how kernels run on them";
  let description = [{
    Attributes only: the chip that a module is compiled for, and the schedules
    and layouts that the CPU target puts on the kernels of `moek` and their
    weights. Nothing but that target (lib/Target/CPU) knows them.
  }];
  let useDefaultAttributePrinterParser = 1;
}

class MoeCpu_Attr<string name, string attrMnemonic, list<Trait> traits = []>
    : AttrDef<MoeCpu_Dialect, name, traits> {
  let mnemonic = attrMnemonic;
}

def MoeCpu_Inner : I32EnumAttr<"Inner", "how a micro-kernel multiplies", [
    I32EnumAttrCase<"Fma", 0, "fma">,
    I32EnumAttrCase<"Widen", 1, "widen">,
    I32EnumAttrCase<"DotBF16", 2, "dot_bf16">,
    I32EnumAttrCase<"MmlaBF16", 3, "mmla_bf16">,
    I32EnumAttrCase<"Decode", 4, "decode">,
    I32EnumAttrCase<"DotInt8", 5, "dot_int8">,
    I32EnumAttrCase<"MaddInt8", 6, "madd_int8">,
    I32EnumAttrCase<"MmlaInt8", 7, "mmla_int8">,
    I32EnumAttrCase<"DecodeBF16", 8, "decode_bf16">]> {
  let cppNamespace = "::moecpu";
  let genSpecializedAttr = 0;
}

def MoeCpu_Arch : I32EnumAttr<"Arch", "an instruction set", [
    I32EnumAttrCase<"X86_64", 0, "x86_64">,
    I32EnumAttrCase<"AArch64", 1, "aarch64">]> {
  let cppNamespace = "::moecpu";
  let genSpecializedAttr = 0;
}

def MoeCpu_PackBy : I32EnumAttr<"PackBy", "how the tokens of a mask become lists", [
    I32EnumAttrCase<"Table", 0, "table">,
    I32EnumAttrCase<"Compress", 1, "compress">,
    I32EnumAttrCase<"CompressBytes", 2, "compress_bytes">]> {
  let description = [{
    `table` looks up the places of the bits of 8 tokens (any machine), `compress`
    moves the tokens of 16 lanes together (AVX-512), `compress_bytes` those of 64
    (AVX-512 VBMI2).
  }];
  let cppNamespace = "::moecpu";
  let genSpecializedAttr = 0;
}

def MoeCpu_PrefetchAttr : MoeCpu_Attr<"Prefetch", "prefetch"> {
  let summary = "How far ahead of itself a micro-kernel prefetches its panel";
  let description = [{
    | parameter | unit | meaning |
    |---|---|---|
    | `rows` | rows | for kernels of up to so many, from the rule before on |
    | `ahead` | bytes | distances, each a multiple of 64; none leaves it to the hardware |
    | `levels` | | the cache that each distance prefetches into, 1 to 3 |

    Rules stand in a list of ascending `rows`; beyond the last one nothing is
    prefetched. A kernel asks for the two cache lines of a step of k in that
    step, spread over its multiplications.

    ```mlir
    // Few rows by the hardware alone; more ask for each line twice.
    #few = #moe_cpu.prefetch<rows = 6>
    #more = #moe_cpu.prefetch<rows = 14, ahead = [12288, 4096], levels = [2, 1]>
    #schedule = #moe_cpu.schedule<fma, lanes = 16, rows = 14, block_rows = 256,
        chunk = 98304, run = 2097152, prefetch = [
            <rows = 6>, <rows = 14, ahead = [12288, 4096], levels = [2, 1]>]>
    module attributes {acme.rules = [#few, #more], acme.schedule = #schedule} {}
    ```
  }];
  let parameters = (ins "int64_t":$rows,
                        OptionalArrayRefParameter<"int64_t">:$ahead,
                        OptionalArrayRefParameter<"int64_t">:$levels);
  let assemblyFormat = [{
    `<` struct($rows, custom<Integers>($ahead), custom<Integers>($levels)) `>`
  }];
  let genVerifyDecl = 1;
}

def MoeCpu_TargetAttr : MoeCpu_Attr<"Target", "target", [
    DeclareAttrInterfaceMethods<Moek_TargetAttrInterface>]> {
  let summary = "A CPU as the choice of schedules sees it";
  let description = [{
    Placed on the module as `moek.target`. `name` is what `--target` calls it;
    a name that is not known is as good, so that a chip may be described in the
    IR alone.

    | field | unit | meaning |
    |---|---|---|
    | `arch` | | `x86_64` or `aarch64` |
    | `cpu`, `features` | | LLVM's CPU and feature string |
    | `needs` | | what the machine must have to run the code: names of `moe_rt_cpu_features()`, such as `x86_v4`; nothing means that the caller knows |
    | `instructions` | | what kernels may use beyond vectors: `dot_bf16` (`vdpbf16ps`), `mmla_bf16` (`bfmmla`), `dot_int8` (`vpdpbusd`, `sdot`), `madd_int8` (`vpmaddubsw`), `mmla_int8` (`smmla`), `compress` and `compress_bytes` (`vpcompressd`, `vpcompressb`) |
    | `lanes` | f32 | width of a vector register; 4 is NEON, 8 AVX2, 16 AVX-512 |
    | `registers` | | vector registers |
    | `scalable` | | SVE exists; `lanes` still counts those of a NEON register |
    | `l1`, `l2` | bytes | data caches of a core |
    | `models` | | the CPUs that this describes, as `moe_rt_cpu_model()` has them: vendor, family and models, such as `amd 25 16-31`, or `arm`, implementer and part, such as `arm 0x41 0xd0c` |
    | `rates` | | what it does how fast, see below; what is not there is not known, and decided without |
    | `run` | bytes | consecutive panel bytes that make one work item |
    | `chunk` | bytes | panel bytes that several tiles share at a time |
    | `prefetch` | | rules of `#moe_cpu.prefetch` for kernels that read their panel alone |
    | `prefetch_level` | | the cache that several tiles fetch their next chunk into, 1 to 3 |
    | `widened` | bytes | see `#moe_cpu.schedule`; for CPUs that multiply with the units that widen |

    `run`, `chunk`, `prefetch`, `prefetch_level` and `widened` are tuning: what is
    not there is chosen for each kernel.

    | rate | unit | meaning |
    |---|---|---|
    | `clock` | MHz | while multiplying with full vectors |
    | `fma` | operations a cycle | f32 multiply-adds, two operations each, of a core; so the next four |
    | `dot_bf16`, `mmla_bf16` | operations a cycle | by the instructions of these names |
    | `dot_int8`, `mmla_int8` | operations a cycle | by dot products and matrix products of bytes |
    | `fma_latency`, `dot_latency` | cycles | from one multiply-add, or bf16 dot product, to the next that needs it |
    | `widen` | values a cycle | bf16 that become f32, multiply-adds aside |
    | `load_l1`, `load_l2`, `load_l3` | bytes a cycle | read from these caches by a core |
    | `l3` | bytes | the cache that cores share |
    | `latency_l2`, `latency_l3` | cycles | of a load from there |
    | `latency_dram` | ns | the same |
    | `dram_core`, `dram` | MB/s | read by one core, and by all |
    | `cores` | | that `dram` is of |
    | `page`, `huge_page` | bytes | of virtual memory |

    ```mlir
    module attributes {moek.target = #moe_cpu.target<"x86-64-v4", arch = x86_64,
        cpu = "x86-64-v4", features = "", needs = ["x86_v3", "x86_v4"],
        instructions = ["compress"], lanes = 16, registers = 32, l1 = 32768,
        l2 = 1048576>} {}
    ```
  }];
  let parameters = (ins StringRefParameter<>:$name,
                        EnumParameter<MoeCpu_Arch>:$arch,
                        StringRefParameter<>:$cpu, StringRefParameter<>:$features,
                        "::mlir::ArrayAttr":$needs,
                        "::mlir::ArrayAttr":$instructions,
                        "int64_t":$lanes, "int64_t":$registers,
                        "int64_t":$l1, "int64_t":$l2,
                        DefaultValuedParameter<"bool", "false">:$scalable,
                        OptionalArrayRefParameter<"::mlir::StringAttr">:$models,
                        OptionalParameter<"::mlir::DictionaryAttr">:$rates,
                        DefaultValuedParameter<"int64_t", "0">:$run,
                        DefaultValuedParameter<"int64_t", "0">:$chunk,
                        OptionalArrayRefParameter<"::moecpu::PrefetchAttr">:$prefetch,
                        DefaultValuedParameter<"int64_t", "0">:$prefetch_level,
                        DefaultValuedParameter<"int64_t", "0">:$widened);
  let assemblyFormat = [{
    `<` $name `,` struct($arch, $cpu, $features, $needs, $instructions, $lanes,
                         $registers, $l1, $l2, $scalable,
                         custom<Names>($models), custom<Rates>($rates), $run,
                         $chunk, custom<PrefetchRules>($prefetch),
                         $prefetch_level, $widened) `>`
  }];
  let extraClassDeclaration = [{
    /// Whether kernels may use `instruction`.
    bool has(::llvm::StringRef instruction) const;
    /// Nothing if it is not known.
    std::optional<int64_t> getRate(::llvm::StringRef name) const;
    /// Of all rates that there are.
    static ::llvm::ArrayRef<::llvm::StringLiteral> getRateNames();
  }];
  let genVerifyDecl = 1;
}

def MoeCpu_PanelsAttr : MoeCpu_Attr<"Panels", "panels", [
    DeclareAttrInterfaceMethods<Moek_LayoutAttrInterface>]> {
  let summary = "Weights as panels of 32 columns";
  let description = [{
    The `[N, K]` weights of an expert become panels of 32 of their rows (columns
    of the product), K-major, `k_block` consecutive k of a column side by side: 1
    for f32, 2 for pairs of bf16, 4 for bf16 that `mmla_bf16` multiplies. Of two
    parts a panel holds 16 columns of the first and then the same 16 of the
    second (gate and up), so that an epilogue finds both in registers. The packed
    tensor is `[E, panels, k_padded / k_block, 32, k_block]`, padded with zeros.
  }];
  let parameters = (ins "int64_t":$k_block);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// Columns of a panel.
    static constexpr int64_t kColumns = 32;

    /// How many columns of each of `parts` are in a panel.
    static int64_t getColumnsOfPart(int64_t parts) { return kColumns / parts; }
    /// Steps of `k_block` from 0 to `k`, padding included.
    int64_t getSteps(int64_t k) const;
  }];
}

def MoeCpu_BlocksAttr : MoeCpu_Attr<"Blocks", "blocks", [
    DeclareAttrInterfaceMethods<Moek_LayoutAttrInterface>]> {
  let summary = "Weights as they are stored, as panels of 32 columns";
  let description = [{
    The weights of an expert become panels of 32 of their rows, as in
    `#moe_cpu.panels`, and a panel its blocks of `format` one after another. Each
    field of a block has the numbers of all columns side by side: bytes of a field
    whose length is a multiple of four, four of a column, then four of the next
    one; other numbers one of each column. Shorter fields are before longer ones.
    So a lane of a vector is a column, and
    what is decoded for one column is decoded for as many as there are lanes. Not a
    bit more is stored than the format has. The packed tensor is
    `[E, panels, blocks, bytes of 32 blocks]` of i8; columns beyond N are zeros.

    ```mlir
    func.func @gate_and_up(%g: tensor<8x64x4x18xi8>, %u: tensor<8x64x4x18xi8>)
        -> tensor<8x4x4x576xi8> {
      %wg = moe.dequantize #moe.q4_0 (%g : tensor<8x64x4x18xi8>)
          : tensor<8x64x128xf32>
      %wu = moe.dequantize #moe.q4_0 (%u : tensor<8x64x4x18xi8>)
          : tensor<8x64x128xf32>
      %p = moek.pack %wg, %wu parts(2) layout(#moe_cpu.blocks<#moe.q4_0>)
          : tensor<8x64x128xf32>, tensor<8x64x128xf32> -> tensor<8x4x4x576xi8>
      return %p : tensor<8x4x4x576xi8>
    }
    ```
  }];
  let parameters = (ins "::moe::WeightFormatAttrInterface":$format);
  let assemblyFormat = "`<` $format `>`";
  let extraClassDeclaration = [{
    static constexpr int64_t kColumns = PanelsAttr::kColumns;

    /// Bytes of a block of a panel, and of what is in front of a field in it.
    int64_t getBlockBytes(int64_t k) const;
    int64_t getFieldOffset(int64_t k, int64_t field) const;
  }];
}

def MoeCpu_ScheduleAttr : MoeCpu_Attr<"Schedule", "schedule", [
    DeclareAttrInterfaceMethods<Moek_ScheduleAttrInterface, ["getWindowRows"]>]> {
  let summary = "How a grouped matmul runs on a CPU";
  let description = [{
    | parameter | unit | meaning |
    |---|---|---|
    | `inner` | | `fma` (f32 weights), `widen` (bf16 weights widened to f32), `dot_bf16`, `mmla_bf16`; of weights in a format `decode` (to f32, in registers), `decode_bf16` (to bf16, times rows of bf16, by `dot_bf16` or `mmla_bf16` of the chip) and, of codes times rows that are rounded to bytes, one scale for 32 values, `dot_int8`, `madd_int8` (sums of 16 bits on the way) and `mmla_int8` |
    | `lanes` | f32 | width of a vector register; 4 is NEON, 8 AVX2, 16 AVX-512 |
    | `rows` | rows | largest register tile; there is one exact kernel for each count up to it |
    | `block_rows` | rows | rows whose accumulators are parked between chunks of k |
    | `chunk` | bytes | panel bytes per chunk of k when several tiles share it |
    | `run` | bytes | consecutive panel bytes that make one work item |
    | `prefetch` | | rules of `#moe_cpu.prefetch` for a single tile |
    | `scalable` | | SVE of any vector length instead of NEON |
    | `prefetch_level` | | the cache that several tiles fetch their next chunk into, 1 to 3: what is longer than the first would push out the rows and accumulators in it |
    | `widened` | bytes | with `widen`, `decode` and `decode_bf16`, from three tiles on: the first one leaves the f32 or bf16 of so much of a panel in memory for the others, so that each value is widened, or decoded, once; 0: every tile does so for itself |
    | `planes` | bytes | with products of bytes: how many a value of a row is rounded to. 2: 16 bits, which are multiplied as two rows |
    | `listed` | steps of k | with `skip_zeros` of the matmul: a few rows of an expert in which no more steps have a value that is not 0 are multiplied by these steps alone, from a list. A step is a k with `fma`, and a pair of them with `widen` and `dot_bf16`. 0: by all |
    | `window` | rows | how many of a layer are worked on at a time at most, which bounds the workspace; 0 for all |
  }];
  let parameters = (ins EnumParameter<MoeCpu_Inner>:$inner, "int64_t":$lanes,
                        "int64_t":$rows, "int64_t":$block_rows,
                        "int64_t":$chunk, "int64_t":$run,
                        OptionalArrayRefParameter<"::moecpu::PrefetchAttr">:$prefetch,
                        DefaultValuedParameter<"bool", "false">:$scalable,
                        DefaultValuedParameter<"int64_t", "2">:$prefetch_level,
                        DefaultValuedParameter<"int64_t", "0">:$window,
                        DefaultValuedParameter<"int64_t", "0">:$widened,
                        DefaultValuedParameter<"int64_t", "1">:$planes,
                        DefaultValuedParameter<"int64_t", "0">:$listed);
  let assemblyFormat = [{
    `<` $inner `,` struct($lanes, $rows, $block_rows, $chunk, $run,
                          custom<PrefetchRules>($prefetch), $scalable,
                          $prefetch_level, $window, $widened, $planes, $listed) `>`
  }];
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// The most rows of a register tile that does not spill.
    static int64_t getMaxRows(::moecpu::Inner inner, int64_t lanes,
                              int64_t planes = 1);
    /// Whether rows are rounded to bytes, which are multiplied with codes.
    static bool multipliesBytes(::moecpu::Inner inner) {
      return inner == ::moecpu::Inner::DotInt8 ||
             inner == ::moecpu::Inner::MaddInt8 ||
             inner == ::moecpu::Inner::MmlaInt8;
    }
    bool multipliesBytes() const { return multipliesBytes(getInner()); }
    /// Whether rows are rounded to bf16.
    bool narrowsRows() const {
      return getInner() == ::moecpu::Inner::DotBF16 ||
             getInner() == ::moecpu::Inner::MmlaBF16 ||
             getInner() == ::moecpu::Inner::DecodeBF16;
    }
    /// Whether kernels can multiply some steps of k alone.
    static bool canList(::moecpu::Inner inner) {
      return inner == ::moecpu::Inner::Fma ||
             inner == ::moecpu::Inner::Widen ||
             inner == ::moecpu::Inner::DotBF16;
    }
    /// Whether it is for weights in a format.
    bool readsBlocks() const {
      return getInner() == ::moecpu::Inner::Decode ||
             getInner() == ::moecpu::Inner::DecodeBF16 || multipliesBytes();
    }
    /// The rule for a single tile of `rows` rows; null if there is none.
    ::moecpu::PrefetchAttr getPrefetchOf(int64_t rows) const;
  }];
}

def MoeCpu_RouteScheduleAttr : MoeCpu_Attr<"RouteSchedule", "route_schedule", [
    DeclareAttrInterfaceMethods<Moek_ScheduleAttrInterface>]> {
  let summary = "How a route kernel runs on a CPU";
  let description = [{
    | parameter | meaning |
    |---|---|
    | `lanes` | tokens that are selected for at once, a vector of f32 |
    | `pack_by` | how the tokens of a mask become lists |
    | `logits` | the schedule of the product with the router's weights, if the kernel forms it |
    | `single` | how many tokens at the end of a batch, if they are no whole vector, are selected for one after another, the experts of each in lanes; with more they are a vector that is not full. 0: none, `lanes`: all tokens of a batch |
  }];
  let parameters = (ins "int64_t":$lanes,
                        DefaultValuedParameter<"::moecpu::PackBy",
                            "::moecpu::PackBy::Table">:$pack_by,
                        OptionalParameter<"::moecpu::ScheduleAttr">:$logits,
                        DefaultValuedParameter<"int64_t", "0">:$single);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

#endif // MOECPU_ATTRS_TD
