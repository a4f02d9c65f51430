//===- KnownCPUs.cpp - The steps of AArch64 ---------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Each name says what its row adds: +i8mm+bf16 has dot products and half
// precision, too, and +sve2 has all four. Only +sve stands aside: there are
// chips with SVE and nothing else. It comes before the rows with matrix
// instructions, because SVE of 128 or 256 bits is no faster than NEON.
//
//===----------------------------------------------------------------------===//

#include "../Tables.h"

#include "moe-mlir/Runtime/moe_rt.h"

using namespace moe;

static constexpr uint64_t kDot =
    MOE_CPU_ARM_NEON | MOE_CPU_ARM_DOTPROD | MOE_CPU_ARM_FP16;
static constexpr uint64_t kMmla = kDot | MOE_CPU_ARM_I8MM | MOE_CPU_ARM_BF16;

std::vector<KnownCpu> moe::getArmCpus() {
  constexpr moecpu::Arch arch = moecpu::Arch::AArch64;
  return {
      // Raspberry Pi 3 and 4: Cortex-A53, A72.
      {"aarch64", "neon", arch, "generic", "+v8a", MOE_CPU_ARM_NEON, {}, 4, 32,
       32 << 10, 512 << 10},
      // Raspberry Pi 5 (Cortex-A76), Graviton 2, Altra (Neoverse N1), Apple M1.
      {"aarch64+dotprod+fp16", "dotprod", arch, "generic",
       "+v8.2a,+dotprod,+fullfp16", kDot, {}, 4, 32, 64 << 10, 512 << 10},
      // A64FX and whatever else has SVE of any length.
      {"aarch64+sve", "sve", arch, "generic", "+v8.2a,+sve",
       MOE_CPU_ARM_NEON | MOE_CPU_ARM_SVE, {}, 4, 32, 64 << 10, 512 << 10,
       /*scalable=*/true},
      // Graviton 3 (Neoverse V1), Apple M2 and later.
      {"aarch64+i8mm+bf16", "mmla", arch, "generic",
       "+v8.2a,+dotprod,+fullfp16,+i8mm,+bf16", kMmla, {"mmla_bf16"}, 4, 32,
       64 << 10, 1 << 20},
      // Armv9: Neoverse N2, V2 (Graviton 4, Grace), Cortex-X2 and later.
      {"aarch64+sve2", "sve2", arch, "generic",
       "+v8.2a,+dotprod,+fullfp16,+i8mm,+bf16,+sve2",
       kMmla | MOE_CPU_ARM_SVE | MOE_CPU_ARM_SVE2, {"mmla_bf16"}, 4, 32,
       64 << 10, 1 << 20, /*scalable=*/true},
  };
}
