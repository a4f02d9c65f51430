//===- WarpgroupProducts.cpp - Asynchronous products of a warpgroup -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "WarpgroupProducts.h"

using namespace mlir;
using namespace moe::nvidia;

Value moe::nvidia::getDescriptor(Emitter &code, Value address) {
  Value low = code.bitAnd(code.shr(code.sharedNumber(address), 4), 0x3fff);
  int64_t rest =
      (int64_t(1) << 62) | (int64_t(1024 >> 4) << 32) | (int64_t(1) << 16);
  return code.bitOr(code.widen(low), code.constant64(rest));
}

static int64_t getNumSums(Type type) {
  return cast<LLVM::LLVMStructType>(type).getBody().size();
}

Value moe::nvidia::getZeroSums(Emitter &code, int64_t columns) {
  auto type = LLVM::LLVMStructType::getLiteral(
      code.getContext(), SmallVector<Type>(columns / 2, code.f32()));
  return LLVM::ZeroOp::create(code, type);
}

Value moe::nvidia::multiply(Emitter &code, NVVM::WGMMATypes type, Value sums,
                            Value lhs, Value rhs, bool adds) {
  auto *context = code.getContext();
  auto element = NVVM::WGMMATypesAttr::get(context, type);
  auto one = NVVM::WGMMAScaleInAttr::get(context, NVVM::WGMMAScaleIn::one);
  return NVVM::WgmmaMmaAsyncOp::create(
      code, sums.getType(), sums, lhs, rhs,
      NVVM::MMAShapeAttr::get(context, kProductRows,
                              2 * getNumSums(sums.getType()),
                              type == NVVM::WGMMATypes::bf16 ? 16 : 32),
      element, element,
      NVVM::WGMMATypesAttr::get(context, NVVM::WGMMATypes::f32),
      NVVM::WGMMAScaleOutAttr::get(context, adds ? NVVM::WGMMAScaleOut::one
                                                 : NVVM::WGMMAScaleOut::zero),
      one, one, NVVM::MMALayoutAttr::get(context, NVVM::MMALayout::row),
      NVVM::MMALayoutAttr::get(context, NVVM::MMALayout::col),
      NVVM::MMAIntOverflowAttr());
}

SmallVector<Value> moe::nvidia::settle(Emitter &code, Value sums) {
  int64_t count = getNumSums(sums.getType());
  SmallVector<Value> values;
  std::string constraints;
  for (int64_t i = 0; i < count; ++i)
    constraints += (i ? ",=f" : "=f");
  for (int64_t i = 0; i < count; ++i) {
    constraints += "," + std::to_string(i);
    values.push_back(LLVM::ExtractValueOp::create(code, sums, i));
  }
  Value tied = LLVM::InlineAsmOp::create(
                   code, sums.getType(), values, "", constraints,
                   /*has_side_effects=*/true,
                   /*is_align_stack=*/false, LLVM::TailCallKind::None,
                   LLVM::AsmDialectAttr(), ArrayAttr())
                   .getResult(0);
  for (int64_t i = 0; i < count; ++i)
    values[i] = LLVM::ExtractValueOp::create(code, tied, i);
  return values;
}
