//===- KnownCPUs.cpp - The CPUs we generate code for -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/CPU/KnownCPUs.h"

using namespace mlir;

namespace {
/// A new chip is a new row.
struct Row {
  const char *name;     ///< As in --target.
  const char *suffix;   ///< Of its symbols.
  const char *cpu;      ///< LLVM's name.
  const char *features; ///< LLVM's features beyond those of the name.
  int64_t lanes, registers;
  int64_t l1, l2;       ///< Bytes per core that every such chip has.
  bool bf16Dot;
  int level;            ///< moe_rt_x86_level() of the first that fits.
};
} // namespace

static constexpr Row kRows[] = {
    {"x86-64-v3", "v3", "x86-64-v3", "", 8, 16, 32 << 10, 512 << 10, false, 3},
    {"x86-64-v4", "v4", "x86-64-v4", "", 16, 32, 32 << 10, 1 << 20, false, 4},
    {"x86-64-v4-bf16", "v4_bf16", "x86-64-v4", "+avx512bf16", 16, 32, 32 << 10,
     1 << 20, true, 5},
};

static const Row *find(StringRef name) {
  for (const Row &row : kRows)
    if (name == row.name)
      return &row;
  return nullptr;
}

moek::CpuAttr moe::lookupCpu(MLIRContext *context, StringRef name) {
  const Row *row = find(name);
  if (!row)
    return {};
  return moek::CpuAttr::get(context, row->cpu, row->features, row->lanes,
                            row->registers, row->l1, row->l2, row->bf16Dot);
}

SmallVector<StringRef> moe::getKnownCpuNames() {
  SmallVector<StringRef> names;
  for (const Row &row : kRows)
    names.push_back(row.name);
  return names;
}

int moe::getRequiredLevel(StringRef name) {
  const Row *row = find(name);
  return row ? row->level : 0;
}

StringRef moe::getVariantSuffix(StringRef name) {
  const Row *row = find(name);
  return row ? row->suffix : "";
}
