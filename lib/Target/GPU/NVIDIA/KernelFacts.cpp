//===- KernelFacts.cpp - What PTX and ptxas say of kernels ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Figures.h"

#include "moe-mlir/Target/GPU/Common/Occupancy.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/Regex.h"

using namespace llvm;
using moe::KernelFacts;
using moe::gpu::findKernel;

//===----------------------------------------------------------------------===//
// Chips
//===----------------------------------------------------------------------===//

namespace {
/// Of a multiprocessor, from NVIDIA's table of compute capabilities.
struct Multiprocessor {
  StringLiteral cpu;
  int64_t warps, blocks, sharedBytes;
};
} // namespace

static constexpr Multiprocessor kMultiprocessors[] = {
    {"sm_80", 64, 32, 164 << 10},   {"sm_86", 48, 16, 100 << 10},
    {"sm_89", 48, 24, 100 << 10},   {"sm_90a", 64, 32, 228 << 10},
    {"sm_100a", 64, 32, 228 << 10}, {"sm_120", 48, 24, 100 << 10},
    {"sm_120a", 48, 24, 100 << 10}};

std::vector<std::pair<std::string, int64_t>>
moe::nvidia::getRates(StringRef cpu) {
  // A100 SXM 80 GB.
  if (cpu == "sm_80")
    return {{"fma", 19500}, {"memory", 2039000}, {"tensor_bf16", 312000}};
  // H100 SXM.
  if (cpu == "sm_90a")
    return {{"fma", 67000},
            {"memory", 3350000},
            {"tensor_bf16", 989000},
            {"tensor_e4m3", 1979000}};
  return {};
}

/// Blocks that a multiprocessor has at once.
static void setOccupancy(KernelFacts &kernel, StringRef cpu) {
  auto chip = find_if(kMultiprocessors, [&](const Multiprocessor &each) {
    return each.cpu == cpu;
  });
  if (chip == std::end(kMultiprocessors) || kernel.registers <= 0 ||
      kernel.threads <= 0)
    return;
  int64_t warps = divideCeil(kernel.threads, 32);
  // Registers are given to warps by 256, in four parts of a multiprocessor, and
  // shared memory to blocks by 128 bytes, and 1 KB besides.
  int64_t ofWarp = alignTo(kernel.registers * 32, 256);
  int64_t byRegisters = (16384 / ofWarp) * 4 / warps;
  int64_t byShared =
      chip->sharedBytes /
      (alignTo(std::max<int64_t>(kernel.sharedBytes, 0), 128) + 1024);
  int64_t byWarps = chip->warps / warps;
  moe::gpu::setOccupancy(kernel,
                         {{byWarps, "warps"},
                          {chip->blocks, "blocks"},
                          {byRegisters, "registers"},
                          {byShared, "shared memory"}},
                         warps, chip->warps);
}

//===----------------------------------------------------------------------===//
// PTX
//===----------------------------------------------------------------------===//

/// `mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32` as
/// `mma.sync m16n8k16 bf16`: the shape, and the type of what is multiplied.
static std::string nameProduct(StringRef opcode) {
  std::string shape, type;
  int types = 0;
  for (StringRef part : split(opcode, '.')) {
    if (Regex("^m[0-9]+n[0-9]+k[0-9]+$").match(part))
      shape = part.str();
    else if (Regex("^([fsub][0-9]+|bf16|tf32|e[0-9]m[0-9])$").match(part) &&
             ++types == 2)
      type = part.str();
  }
  StringRef stem = opcode.starts_with("wgmma") ? "wgmma" : "mma.sync";
  return (stem + " " + shape + " " + type).str();
}

static void readPTX(StringRef ptx, std::vector<KernelFacts> &facts) {
  KernelFacts *kernel = nullptr;
  for (StringRef line : split(ptx, '\n')) {
    line = line.trim();
    if (line.consume_front(".visible .entry ")) {
      kernel =
          &findKernel(facts, line.take_until([](char c) { return c == '('; }));
      kernel->instructions = kernel->localAccesses = kernel->barriers = 0;
      continue;
    }
    if (!kernel || line.empty())
      continue;
    if (line.consume_front(".maxntid ")) {
      line.take_while(isDigit).getAsInteger(10, kernel->threads);
      continue;
    }
    if (line.front() == '@')
      line = line.drop_until(isSpace).ltrim();
    StringRef opcode = line.take_until(isSpace);
    if (opcode.empty() || !isAlpha(opcode.front()) || opcode.ends_with(":"))
      continue;
    ++kernel->instructions;
    kernel->localAccesses +=
        opcode.starts_with("ld.local") || opcode.starts_with("st.local");
    kernel->barriers +=
        opcode.starts_with("bar.sync") || opcode.starts_with("barrier.sync");
    if (opcode.starts_with("mma.sync") || opcode.starts_with("wgmma.mma_async"))
      ++kernel->matrix[nameProduct(opcode)];
  }
}

/// The lines of `ptxas -v`.
static void readPrinted(StringRef printed, std::vector<KernelFacts> &facts) {
  KernelFacts *kernel = nullptr;
  Regex begins("Compiling entry function '([^']+)'");
  Regex memory("([0-9]+) bytes stack frame, ([0-9]+) bytes spill stores, "
               "([0-9]+) bytes spill loads");
  Regex used("Used ([0-9]+) registers");
  for (StringRef line : split(printed, '\n')) {
    SmallVector<StringRef> parts;
    auto number = [&](unsigned i) {
      int64_t value = -1;
      parts[i].getAsInteger(10, value);
      return value;
    };
    if (begins.match(line, &parts)) {
      kernel = &findKernel(facts, parts[1]);
    } else if (kernel && memory.match(line, &parts)) {
      kernel->stackBytes = number(1);
      kernel->spillBytes = number(2) + number(3);
    } else if (kernel && used.match(line, &parts)) {
      kernel->registers = number(1);
    }
  }
}

void moe::nvidia::describe(StringRef ptx, StringRef printed, StringRef cpu,
                           std::vector<KernelFacts> &facts) {
  readPTX(ptx, facts);
  readPrinted(printed, facts);
  for (KernelFacts &kernel : facts)
    setOccupancy(kernel, cpu);
}
