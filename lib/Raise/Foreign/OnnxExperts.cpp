//===- OnnxExperts.cpp - Layers that are one op in ONNX ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Onnx.h"

void moe::raise::onnx::addExperts(ForeignTable &table) {}
