//===- KnownCPUs.cpp - The levels and chips of x86-64 -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Figures are of three kinds; what has no source is not there.
//
//  * measured: on a machine of that kind, by this project (docs/chips.md).
//  * LLVM: the schedule model that LLVM 22 has for the CPU, as
//    `llvm-mca -mcpu=NAME -instruction-info` prints it. An instruction of RTh
//    reciprocal throughput on V lanes makes 2 * V / RTh operations a cycle; for
//    `widen` a shift and an `and` make two vectors of one of bf16.
//  * what a comment names.
//
// Models are those of LLVM's Host.cpp and Linux's intel-family.h and amd.c.
//
//===----------------------------------------------------------------------===//

#include "../Tables.h"

#include "moe-mlir/Runtime/moe_rt.h"

using namespace moe;

static constexpr uint64_t kV4 = MOE_CPU_X86_V3 | MOE_CPU_X86_V4;
static constexpr int64_t kKiB = 1 << 10, kMiB = 1 << 20;

/// The rates of cores with two units of 256 bits, as LLVM has them for Zen 3
/// and Alder Lake: vfmadd231ps of 4 cycles, 0.5; vpslld with vpand 0.5.
static std::vector<std::pair<std::string, int64_t>>
getRatesOfTwo256(std::vector<std::pair<std::string, int64_t>> others) {
  others.insert(others.end(), {{"fma", 32}, {"fma_latency", 4}, {"widen", 32}});
  return others;
}

static void addAmd(std::vector<KnownCpu> &chips, const KnownCpu &v3,
                   const KnownCpu &v4Bf16) {
  // Caches: AnandTech, "Zen 3 deep dive" (16214). load_l1: LLVM, vmovups 0.5.
  chips.push_back(
      derive(v3, "zen3", "EPYC 7003, Ryzen 5000", 32 * kKiB, 512 * kKiB,
             {"amd 25 0-15", "amd 25 32-95"},
             getRatesOfTwo256({{"load_l1", 64}, {"l3", 32 * kMiB}})));
  // All measured by moe-describe-cpu: EPYC 9004, two cores of a virtual
  // machine, whose DRAM reads 37 or 67 GB/s from one minute to the next: `dram`
  // is between. Few rows are best left to the hardware there, which is what is
  // chosen where a row does not say.
  chips.push_back(derive(v4Bf16, "zen4", "EPYC 9004, Ryzen 7000", 32 * kKiB,
                         1 * kMiB, {"amd 25 16-31", "amd 25 96-175"},
                         {{"clock", 3694},
                          {"fma", 32},
                          {"fma_latency", 4},
                          {"dot_bf16", 64},
                          {"dot_latency", 6},
                          {"dot_int8", 128},
                          {"widen", 32},
                          {"load_l1", 59},
                          {"load_l2", 31},
                          {"load_l3", 27},
                          {"l3", 32 * kMiB},
                          {"latency_l2", 18},
                          {"latency_l3", 55},
                          {"latency_dram", 156},
                          {"dram_core", 34500},
                          {"dram", 50000},
                          {"cores", 2},
                          {"page", 4096},
                          {"huge_page", 2 * kMiB}}));
  // Measured: EPYC 9005, two cores of a virtual machine: 275 GFLOP/s of f32,
  // twice that of bf16 and four times that of int8 a core, latencies,
  // dram_core. l3: Numberworld, "Zen5's AVX512 teardown" (Granite Ridge).
  chips.push_back(derive(v4Bf16, "zen5", "EPYC 9005, Ryzen 9000 and AI Max",
                         48 * kKiB, 1 * kMiB,
                         {"amd 26 0-31", "amd 26 64-79", "amd 26 112-119"},
                         {{"clock", 4300},
                          {"fma", 64},
                          {"dot_bf16", 128},
                          {"dot_int8", 256},
                          {"fma_latency", 4},
                          {"dot_latency", 6},
                          {"l3", 32 * kMiB},
                          {"dram_core", 46000}}));
  // Half of Zen 5's width, four cores with 16 MiB: Numberworld, as above, and
  // Chips and Cheese, "Strix Point: Zen 5 hits mobile".
  chips.push_back(derive(v4Bf16, "zen5-mobile", "Ryzen AI 300", 48 * kKiB,
                         1 * kMiB, {"amd 26 32-47"},
                         {{"fma", 32}, {"l3", 16 * kMiB}}));
}

static void addXeons(std::vector<KnownCpu> &chips, const KnownCpu &v4,
                     const KnownCpu &v4Bf16) {
  // Two units of 512 bits: Intel ARK, "# of AVX-512 FMA units" of Gold 6 and
  // Platinum. LLVM: vfmadd231ps of 4 cycles, vmovups 0.5, vpslld with vpandd
  // 1.0. Caches: AnandTech, Intel ARK.
  const std::vector<std::pair<std::string, int64_t>> rates = {
      {"fma", 64}, {"fma_latency", 4}, {"load_l1", 128}, {"widen", 32}};
  chips.push_back(derive(v4, "skylake-x", "Xeon Scalable of 2017 and 2019",
                         32 * kKiB, 1 * kMiB, {"intel 6 85"}, rates));
  KnownCpu vnni = v4;
  vnni.features = "+avx512vnni";
  vnni.needs |= MOE_CPU_X86_AVX512_VNNI;
  vnni.instructions = {"compress", "dot_int8"};
  chips.push_back(derive(vnni, "ice-lake-sp", "Xeon Scalable of 2021", 48 * kKiB,
                         1280 * kKiB, {"intel 6 106", "intel 6 108"}, rates));

  // vdpbf16ps takes as long as four multiply-adds of f32 and does the work of
  // two: bf16 widens. Measured on Emerald Rapids, family 6 model 207, two cores
  // of a virtual machine: 176 GFLOP/s of f32 at 2750 MHz, 87 by vdpbf16ps, 710
  // GOP/s by vpdpbusd, 330 and 147 GB/s from the first two caches. LLVM's
  // latencies, and its vpslld with vpandd of 1.0.
  KnownCpu widening = v4Bf16;
  widening.instructions = {"dot_int8", "compress_bytes"};
  // Few rows wait for memory longer than the hardware looks ahead: asking for
  // all lines gained up to a third there.
  widening.prefetch = {{14, {12288, 4096}, {2, 1}}};
  // Shifts and multiply-adds take turns on the same two units there: a
  // prototype that widened once went from 83 to 90 % (OLMoE) and from 85 to 90
  // % (Mixtral) of the multiply-adds at T = 512.
  widening.widened = 32 * kKiB;
  const std::vector<std::pair<std::string, int64_t>> core = {
      {"fma", 64},        {"dot_bf16", 32},   {"dot_int8", 256},
      {"fma_latency", 4}, {"dot_latency", 8}, {"widen", 32},
      {"load_l1", 120},   {"load_l2", 53}};
  std::vector<std::pair<std::string, int64_t>> emerald = core;
  // Measured there: 29 GB/s from the third level, 180 ns, 16.3 and 31 GB/s.
  emerald.insert(emerald.end(), {{"clock", 2750},
                                 {"load_l3", 10},
                                 {"latency_dram", 180},
                                 {"dram_core", 16300},
                                 {"dram", 31000},
                                 {"cores", 2}});
  chips.push_back(derive(widening, "granite-rapids", "Xeon 6 with P-cores",
                         48 * kKiB, 2 * kMiB, {"intel 6 173-174"}, core));
  chips.push_back(derive(widening, "emerald-rapids", "Xeon Scalable of 2023",
                         48 * kKiB, 2 * kMiB, {"intel 6 207"}, emerald));
  chips.push_back(derive(
      widening, "sapphire-rapids", "Xeon Scalable of 2023, Xeon 6", 48 * kKiB,
      2 * kMiB, {"intel 6 143", "intel 6 207", "intel 6 173-174"}, core));
  // Where all of these are one variant.
  chips.back().isDefault = true;
}

static void addCores(std::vector<KnownCpu> &chips, KnownCpu v3) {
  v3.features = "+avxvnni";
  v3.needs |= MOE_CPU_X86_AVX_VNNI;
  v3.instructions = {"dot_int8"};
  // Of the cores that are for speed. LLVM's model of Alder Lake, which it takes
  // for the next three, too: vpdpbusd 0.5, vmovups 0.33. Caches: Intel ARK,
  // AnandTech (Golden Cove).
  const auto rates = getRatesOfTwo256({{"dot_int8", 128}, {"load_l1", 96}});
  chips.push_back(derive(v3, "alder-lake", "Core of 2021", 48 * kKiB,
                         1280 * kKiB, {"intel 6 151", "intel 6 154"}, rates));
  chips.push_back(derive(v3, "raptor-lake", "Core of 2022 and 2023", 48 * kKiB,
                         2 * kMiB,
                         {"intel 6 183", "intel 6 186", "intel 6 191"}, rates));
  chips.push_back(derive(v3, "meteor-lake", "Core Ultra 100", 48 * kKiB,
                         2 * kMiB, {"intel 6 170", "intel 6 172"}, rates));
  // One core, Lion Cove, in both. Its first level is the least of two that
  // Intel calls L0 and L1; latency_l2: AnandTech, "Lunar Lake" (21425). LLVM's
  // own model of Lunar Lake lets an instruction wait for two cycles where this
  // one lets two of them start, and was not taken.
  auto lion = rates;
  lion.push_back({"latency_l2", 17});
  chips.push_back(derive(v3, "arrow-lake", "Core Ultra 200S and 200H",
                         48 * kKiB, 3 * kMiB, {"intel 6 197-198"}, lion));
  chips.push_back(derive(v3, "lunar-lake", "Core Ultra 200V", 48 * kKiB,
                         2560 * kKiB, {"intel 6 189"}, lion));
}

std::vector<KnownCpu> moe::getX86Cpus() {
  constexpr moecpu::Arch arch = moecpu::Arch::X86_64;
  const KnownCpu v3{"x86-64-v3", "v3",           arch,      "x86-64-v3",
                    "",          MOE_CPU_X86_V3, {"madd_int8"}, 8,
                    16,          32 * kKiB,      512 * kKiB};
  const KnownCpu v4{"x86-64-v4",
                    "v4",
                    arch,
                    "x86-64-v4",
                    "",
                    kV4,
                    {"compress", "madd_int8"},
                    16,
                    32,
                    32 * kKiB,
                    1 * kMiB};
  const KnownCpu v4Bf16{"x86-64-v4-bf16",
                        "v4_bf16",
                        arch,
                        "x86-64-v4",
                        "+avx512bf16,+avx512vbmi2,+avx512vnni",
                        kV4 | MOE_CPU_X86_AVX512_BF16,
                        {"dot_bf16", "dot_int8", "compress_bytes"},
                        16,
                        32,
                        32 * kKiB,
                        1 * kMiB};
  std::vector<KnownCpu> cpus;
  addAmd(cpus, v3, v4Bf16);
  addXeons(cpus, v4, v4Bf16);
  addCores(cpus, v3);
  cpus.insert(cpus.end(), {v3, v4, v4Bf16});
  return cpus;
}
