//===- KnownCPUs.cpp - The steps and chips of AArch64 -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Each name of a step says what its row adds: +i8mm+bf16 has dot products and
// half precision, too, and +sve2 has all four. Only +sve stands aside: there
// are chips with SVE and nothing else. It comes before the rows with matrix
// instructions, because SVE of 128 or 256 bits is no faster than NEON.
//
// Figures of chips are of two kinds; what has no source is not there.
//
//  * LLVM: the schedule model that LLVM 22 has for the CPU, made from Arm's
//    software optimization guides, as `llvm-mca -mcpu=NAME` prints it. An
//    instruction of RTh reciprocal throughput that makes N operations makes
//    N / RTh a cycle: fmla of 4 f32 8, sdot 32, bfmmla 32, smmla 64; `widen` is
//    shll with shll2; latencies are those of a chain.
//  * what a comment names. TRM: Arm's technical reference manual of the core;
//    where that has several sizes of the second level, those of named chips.
//
// Models are those of Linux's cputype.h; Apple's M3 and M4 of pytorch/cpuinfo.
//
//===----------------------------------------------------------------------===//

#include "../Tables.h"

#include "moe-mlir/Runtime/moe_rt.h"

using namespace moe;

static constexpr uint64_t kDot =
    MOE_CPU_ARM_NEON | MOE_CPU_ARM_DOTPROD | MOE_CPU_ARM_FP16;
static constexpr uint64_t kMmla = kDot | MOE_CPU_ARM_I8MM | MOE_CPU_ARM_BF16;

static constexpr int64_t kKiB = 1 << 10, kMiB = 1 << 20;

using Rates = std::vector<std::pair<std::string, int64_t>>;

/// Of cores with `pipes` vectors of 128 bits that multiply and add a cycle, and
/// `loads` that are read.
static Rates getRates(int64_t pipes, int64_t loads, int64_t fmaLatency,
                      int64_t widen, Rates others = {}) {
  others.insert(others.end(), {{"fma", 8 * pipes},
                               {"dot_int8", 32 * pipes},
                               {"fma_latency", fmaLatency},
                               {"load_l1", 16 * loads},
                               {"widen", widen}});
  return others;
}

/// The same with bfmmla, of `latency` cycles, and smmla.
static Rates getMmlaRates(int64_t pipes, int64_t fmaLatency, int64_t widen,
                          int64_t latency) {
  return getRates(pipes, /*loads=*/3, fmaLatency, widen,
                  {{"mmla_bf16", 32 * pipes},
                   {"mmla_int8", 64 * pipes},
                   {"dot_latency", latency}});
}

static void addCortex(std::vector<KnownCpu> &chips, const KnownCpu &neon,
                      const KnownCpu &dot, const KnownCpu &sve2) {
  auto add = [&](const KnownCpu &set, llvm::StringRef name,
                 llvm::StringRef summary, int64_t l1, int64_t l2,
                 std::vector<std::string> models, Rates rates) {
    chips.push_back(derive(set, name, summary, l1, l2, std::move(models),
                           std::move(rates)));
  };
  // LLVM (the model of Cortex-A57). BCM2711: 1 MiB of four cores.
  add(neon, "cortex-a72", "Raspberry Pi 4", 32 * kKiB, 1 * kMiB,
      {"arm 0x41 0xd08"}, {{"fma", 8}, {"fma_latency", 4}, {"load_l1", 16}});
  // LLVM has no model of its own; Neoverse N1, which Arm made from it, has.
  add(dot, "cortex-a76", "Raspberry Pi 5", 64 * kKiB, 512 * kKiB,
      {"arm 0x41 0xd0b"}, getRates(2, 2, 4, 4));
  // LLVM; TRM: up to 1 MiB, X4 up to 2.
  add(dot, "cortex-x1", "", 64 * kKiB, 1 * kMiB,
      {"arm 0x41 0xd44", "arm 0x41 0xd4c"}, getRates(4, 3, 2, 8));
  add(sve2, "cortex-x2", "", 64 * kKiB, 1 * kMiB, {"arm 0x41 0xd48"},
      getMmlaRates(4, 2, 8, 4));
  add(sve2, "cortex-x3", "", 64 * kKiB, 1 * kMiB, {"arm 0x41 0xd4e"},
      getMmlaRates(4, 2, 8, 4));
  add(sve2, "cortex-x4", "", 64 * kKiB, 2 * kMiB, {"arm 0x41 0xd82"},
      getMmlaRates(4, 2, 16, 4));
  // TRM: 2 or 3 MiB. LLVM takes the model of Neoverse V3, which has fewer pipes
  // than this core: no rates.
  add(sve2, "cortex-x925", "GB10", 64 * kKiB, 2 * kMiB, {"arm 0x41 0xd85"}, {});
}

static void addNeoverse(std::vector<KnownCpu> &chips, const KnownCpu &dot,
                        const KnownCpu &mmla, const KnownCpu &sve2) {
  auto add = [&](const KnownCpu &set, llvm::StringRef name,
                 llvm::StringRef summary, int64_t l2,
                 std::vector<std::string> models, Rates rates) {
    chips.push_back(derive(set, name, summary, 64 * kKiB, l2, std::move(models),
                           std::move(rates)));
  };
  // LLVM. TRM: up to 1 MiB, which these have.
  add(dot, "neoverse-n1", "Graviton 2, Altra", 1 * kMiB, {"arm 0x41 0xd0c"},
      getRates(2, 2, 4, 4));
  // LLVM. Cobalt 100 says that Microsoft made it.
  add(sve2, "neoverse-n2", "Cobalt 100, Yitian 710", 1 * kMiB,
      {"arm 0x41 0xd49", "arm 0x6d 0xd49"}, getMmlaRates(2, 4, 4, 5));
  add(sve2, "neoverse-n3", "", 1 * kMiB, {"arm 0x41 0xd8e"},
      getMmlaRates(2, 2, 4, 3));
  // LLVM; l3 and clock: WikiChip, "AWS Graviton3". Its SVE of 256 bits does as
  // many operations a cycle as four NEON pipes.
  Rates v1 = getMmlaRates(4, 2, 8, 3);
  v1.insert(v1.end(), {{"clock", 2600}, {"l3", 32 * kMiB}});
  add(mmla, "neoverse-v1", "Graviton 3", 1 * kMiB, {"arm 0x41 0xd40"}, v1);
  // LLVM; TRM: 1 or 2 MiB; Graviton 4 has two, Grace one.
  add(sve2, "neoverse-v2", "Graviton 4, Grace, Axion", 1 * kMiB,
      {"arm 0x41 0xd4f"}, getMmlaRates(4, 2, 8, 4));
  // LLVM; TRM: 2 or 3 MiB.
  add(sve2, "neoverse-v3", "", 2 * kMiB, {"arm 0x41 0xd83-0xd84"},
      getMmlaRates(4, 2, 16, 4));
}

static void addApple(std::vector<KnownCpu> &chips, const KnownCpu &dot,
                     const KnownCpu &mmla) {
  // Of the cores that are for speed; four of them share 12 MiB, 16 from M2 on
  // (AnandTech, "Apple silicon M1" (16226); Notebookcheck, "M2 vs M3 vs M4").
  // Rates of M1: Dougall Johnson, "Apple microarchitecture research": fmla of
  // four cycles, four of them a cycle. LLVM takes the model of Cyclone (2013).
  auto add = [&](const KnownCpu &set, llvm::StringRef name, int64_t l2,
                 llvm::StringRef models, Rates rates) {
    chips.push_back(derive(set, name, "", 128 * kKiB, l2, {models.str()},
                           std::move(rates)));
  };
  add(dot, "apple-m1", 3 * kMiB, "arm 0x61 0x22-0x29",
      {{"fma", 32}, {"fma_latency", 4}});
  add(mmla, "apple-m2", 4 * kMiB, "arm 0x61 0x32-0x39", {});
  add(mmla, "apple-m3", 4 * kMiB, "arm 0x61 0x42-0x49", {});
  add(mmla, "apple-m4", 4 * kMiB, "arm 0x61 0x52-0x53", {});
}

std::vector<KnownCpu> moe::getArmCpus() {
  constexpr moecpu::Arch arch = moecpu::Arch::AArch64;
  const KnownCpu neon{"aarch64", "neon",           arch,      "generic",
                      "+v8a",    MOE_CPU_ARM_NEON, {},        4,
                      32,        32 * kKiB,        512 * kKiB};
  const KnownCpu dot{"aarch64+dotprod+fp16",
                     "dotprod",
                     arch,
                     "generic",
                     "+v8.2a,+dotprod,+fullfp16",
                     kDot,
                     {"dot_int8"},
                     4,
                     32,
                     64 * kKiB,
                     512 * kKiB};
  // A64FX and whatever else has SVE of any length.
  const KnownCpu sve{"aarch64+sve",
                     "sve",
                     arch,
                     "generic",
                     "+v8.2a,+sve",
                     MOE_CPU_ARM_NEON | MOE_CPU_ARM_SVE,
                     {},
                     4,
                     32,
                     64 * kKiB,
                     512 * kKiB,
                     /*scalable=*/true};
  const KnownCpu mmla{"aarch64+i8mm+bf16",
                      "mmla",
                      arch,
                      "generic",
                      "+v8.2a,+dotprod,+fullfp16,+i8mm,+bf16",
                      kMmla,
                      {"mmla_bf16", "dot_int8", "mmla_int8"},
                      4,
                      32,
                      64 * kKiB,
                      1 * kMiB};
  const KnownCpu sve2{"aarch64+sve2",
                      "sve2",
                      arch,
                      "generic",
                      "+v8.2a,+dotprod,+fullfp16,+i8mm,+bf16,+sve2",
                      kMmla | MOE_CPU_ARM_SVE | MOE_CPU_ARM_SVE2,
                      {"mmla_bf16", "dot_int8", "mmla_int8"},
                      4,
                      32,
                      64 * kKiB,
                      1 * kMiB,
                      /*scalable=*/true};
  std::vector<KnownCpu> cpus;
  addCortex(cpus, neon, dot, sve2);
  addNeoverse(cpus, dot, mmla, sve2);
  addApple(cpus, dot, mmla);
  cpus.insert(cpus.end(), {neon, dot, sve, mmla, sve2});
  return cpus;
}
