//===- KernelGlobals.cpp - Tables and memory that kernels name --*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/Common/KernelGlobals.h"

using namespace mlir;
using namespace moe;

/// The address space of constants, which NVIDIA's GPUs and AMD's share.
static constexpr unsigned kConstantSpace = 4;

void gpu::declareShared(ModuleOp kernels, int64_t alignment) {
  OpBuilder b = OpBuilder::atBlockBegin(kernels.getBody());
  LLVM::GlobalOp::create(
      b, kernels.getLoc(), LLVM::LLVMArrayType::get(b.getI8Type(), 0),
      /*isConstant=*/false, LLVM::Linkage::External, kSharedName, Attribute(),
      alignment, moegpu::kSharedSpace);
}

/// The constant that a table is.
static LLVM::GlobalOp getTable(OpBuilder &b, moegpu::LookUpOp op) {
  auto kernels = op->getParentOfType<ModuleOp>();
  auto size = static_cast<int64_t>(op.getTable().size());
  auto values = DenseElementsAttr::get(
      RankedTensorType::get({size}, b.getI32Type()), op.getTable());
  int64_t number = 0;
  for (auto global : kernels.getOps<LLVM::GlobalOp>()) {
    if (global.getValueAttr() == values)
      return global;
    number += bool(global.getValueAttr());
  }
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(kernels.getBody());
  return LLVM::GlobalOp::create(b, op.getLoc(),
                                LLVM::LLVMArrayType::get(b.getI32Type(), size),
                                /*isConstant=*/true, LLVM::Linkage::Internal,
                                "table_" + std::to_string(number), values,
                                /*alignment=*/4, kConstantSpace);
}

Value gpu::loadEntry(OpBuilder &b, moegpu::LookUpOp op) {
  Location loc = op.getLoc();
  Value base = LLVM::AddressOfOp::create(b, loc, getTable(b, op));
  Value at = LLVM::GEPOp::create(b, loc, base.getType(), b.getI32Type(), base,
                                 ValueRange{op.getIndex()});
  return LLVM::LoadOp::create(b, loc, b.getI32Type(), at);
}
