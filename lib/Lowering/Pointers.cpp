//===- Pointers.cpp - Addresses of memrefs -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Pointers.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;

Value moe::buildPointer(OpBuilder &b, Location loc, Value memref) {
  auto type = cast<MemRefType>(memref.getType());
  auto toWord = [&](Value value) -> Value {
    return arith::IndexCastOp::create(b, loc, b.getI64Type(), value);
  };
  Value address =
      toWord(memref::ExtractAlignedPointerAsIndexOp::create(b, loc, memref));
  // A part of memory begins somewhere in it.
  if (!type.getLayout().isIdentity()) {
    Value first =
        memref::ExtractStridedMetadataOp::create(b, loc, memref).getOffset();
    Value bytes = LLVM::ConstantOp::create(
        b, loc, b.getI64Type(), type.getElementTypeBitWidth() / 8);
    address = LLVM::AddOp::create(
        b, loc, address, LLVM::MulOp::create(b, loc, toWord(first), bytes));
  }
  return LLVM::IntToPtrOp::create(
      b, loc, LLVM::LLVMPointerType::get(b.getContext()), address);
}
