//===- KnownCPUs.cpp - The levels of x86-64 ---------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "../Tables.h"

#include "moe-mlir/Runtime/moe_rt.h"

using namespace moe;

static constexpr uint64_t kV4 = MOE_CPU_X86_V3 | MOE_CPU_X86_V4;

std::vector<KnownCpu> moe::getX86Cpus() {
  constexpr moecpu::Arch arch = moecpu::Arch::X86_64;
  return {
      {"x86-64-v3",
       "v3",
       arch,
       "x86-64-v3",
       "",
       MOE_CPU_X86_V3,
       {},
       8,
       16,
       32 << 10,
       512 << 10},
      {"x86-64-v4",
       "v4",
       arch,
       "x86-64-v4",
       "",
       kV4,
       {"compress"},
       16,
       32,
       32 << 10,
       1 << 20},
      {"x86-64-v4-bf16",
       "v4_bf16",
       arch,
       "x86-64-v4",
       "+avx512bf16,+avx512vbmi2",
       kV4 | MOE_CPU_X86_AVX512_BF16,
       {"dot_bf16", "compress_bytes"},
       16,
       32,
       32 << 10,
       1 << 20},
  };
}
