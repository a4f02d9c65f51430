//===- Chips.cpp - A chip that MoE-MLIR does not know -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A row for the table of CPUs: from then on `--target=acme-x1` compiles for it.
//
//===----------------------------------------------------------------------===//

#include "Acme.h"

#include "moe-mlir/Runtime/moe_rt.h"
#include "moe-mlir/Target/CPU/KnownCPUs.h"

void acme::registerAcmeChips() {
  moe::KnownCpu chip;
  chip.name = "acme-x1";
  chip.suffix = "x1";
  chip.arch = moecpu::Arch::X86_64;
  // What LLVM generates code for, and what the machine must have to run it.
  chip.cpu = "haswell";
  chip.needs = MOE_CPU_X86_V3;
  chip.lanes = 8;
  chip.registers = 16;
  chip.l1 = 32 << 10;
  chip.l2 = 2 << 20;
  moe::addKnownCpu(chip);
}
