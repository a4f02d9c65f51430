//===- KernelFacts.cpp - What assembly says of kernels ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Figures.h"

#include "moe-mlir/Target/GPU/Common/Occupancy.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/MathExtras.h"

#include <algorithm>

using namespace llvm;
using moe::KernelFacts;
using moe::gpu::findKernel;

std::vector<std::pair<std::string, int64_t>> moe::amd::getRates(StringRef cpu) {
  // One of the two dies of an MI250X.
  if (cpu == "gfx90a")
    return {{"fma", 23950}, {"memory", 1638000}, {"tensor_bf16", 191500}};
  // MI300X.
  if (cpu == "gfx942")
    return {{"fma", 163400}, {"memory", 5300000}, {"tensor_bf16", 1307400}};
  // MI355X.
  if (cpu == "gfx950")
    return {{"fma", 157300}, {"memory", 8000000}, {"tensor_bf16", 2516600}};
  return {};
}

/// Blocks that a compute unit has at once: 8 waves on each of four units, which
/// have 512 registers a lane, given by 8.
static void setOccupancy(KernelFacts &kernel, StringRef cpu) {
  if (kernel.registers < 0 || kernel.threads <= 0)
    return;
  constexpr int64_t units = 4, waves = 8, registers = 512;
  int64_t shared = cpu == "gfx950" ? 160 << 10 : 64 << 10;
  int64_t ofBlock = divideCeil(kernel.threads, 64);
  int64_t each = alignTo(std::max<int64_t>(kernel.registers, 1), 8);
  int64_t byRegisters = registers / each * units / ofBlock;
  int64_t byWaves = waves * units / ofBlock;
  int64_t byShared =
      kernel.sharedBytes > 0 ? shared / kernel.sharedBytes : waves * units;
  moe::gpu::setOccupancy(kernel,
                         {{byWaves, "waves"},
                          {byRegisters, "registers"},
                          {byShared, "shared memory"}},
                         ofBlock, waves * units);
}

static void readCode(StringRef assembly, std::vector<KernelFacts> &facts) {
  KernelFacts *kernel = nullptr;
  for (StringRef line : split(assembly, '\n')) {
    line = line.split(';').first.trim();
    StringRef name = line;
    if (name.consume_front(".type") && name.consume_back(",@function")) {
      kernel = &findKernel(facts, name.trim());
      kernel->instructions = kernel->localAccesses = kernel->barriers = 0;
      continue;
    }
    if (line.starts_with(".section"))
      kernel = nullptr;
    if (!kernel || line.empty() || !isAlpha(line.front()) ||
        line.ends_with(":"))
      continue;
    StringRef opcode = line.take_until(isSpace);
    ++kernel->instructions;
    kernel->localAccesses += opcode.starts_with("scratch_");
    kernel->barriers += opcode.starts_with("s_barrier");
    if (opcode.consume_front("v_mfma_"))
      ++kernel->matrix["mfma " + opcode.str()];
  }
}

/// The records of `amdhsa.kernels`, whose keys are in alphabetical order.
static void readMetadata(StringRef assembly, std::vector<KernelFacts> &facts) {
  StringMap<int64_t> values;
  StringRef name;
  for (StringRef line :
       split(assembly.drop_front(
                 std::min(assembly.find("amdhsa.kernels:"), assembly.size())),
             '\n')) {
    line = line.trim();
    if (line.starts_with("- .agpr_count"))
      values.clear();
    auto [key, value] = line.split(':');
    value = value.trim();
    if (key == ".name")
      name = value;
    int64_t number;
    if (!value.getAsInteger(10, number))
      values[key] = number;
    if (key != ".wavefront_size")
      continue;
    KernelFacts &kernel = findKernel(facts, name);
    kernel.threads = values.lookup(".max_flat_workgroup_size");
    kernel.sharedBytes = std::max(kernel.sharedBytes,
                                  values.lookup(".group_segment_fixed_size"));
    kernel.registers = values.lookup(".vgpr_count");
    kernel.stackBytes = values.lookup(".private_segment_fixed_size");
    kernel.spillBytes = 4 * (values.lookup(".vgpr_spill_count") +
                             values.lookup(".sgpr_spill_count"));
  }
}

void moe::amd::describe(StringRef assembly, StringRef cpu,
                        std::vector<KernelFacts> &facts) {
  readCode(assembly, facts);
  readMetadata(assembly, facts);
  for (KernelFacts &kernel : facts)
    setOccupancy(kernel, cpu);
}
