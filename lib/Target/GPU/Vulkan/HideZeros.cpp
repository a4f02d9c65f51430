//===- HideZeros.cpp - Zeros that drivers must not fold --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Some drivers (gallivm) fold x + 0 to x, and 0 * x and 0 / x to 0, where a
// sign or a NaN would come out. A zero that they do not see is safe: one less
// than the blocks of the dimension that is never used.
//
//===----------------------------------------------------------------------===//

#include "Patterns.h"

using namespace mlir;
using moe::vulkan::kNumBlocks;

void moe::vulkan::hideZeros(spirv::ModuleOp module, spirv::FuncOp func) {
  DenseMap<uint32_t, Value> zeros;
  auto getZero = [&](uint32_t sign) {
    Value &zero = zeros[sign];
    if (zero)
      return zero;
    OpBuilder b(func.getContext());
    // Behind the variables, which come first.
    Block &entry = func.getBody().front();
    b.setInsertionPointToStart(&entry);
    while (isa<spirv::VariableOp>(*b.getInsertionPoint()))
      b.setInsertionPointAfter(&*b.getInsertionPoint());
    Location loc = func.getLoc();
    auto variable =
        cast<spirv::GlobalVariableOp>(module.lookupSymbol(kNumBlocks));
    Value all = spirv::LoadOp::create(
        b, loc, spirv::AddressOfOp::create(b, loc, variable));
    Value one =
        spirv::CompositeExtractOp::create(b, loc, all, ArrayRef<int32_t>{2});
    auto constant = [&](uint32_t value) {
      return spirv::ConstantOp::create(
          b, loc, b.getI32Type(),
          b.getI32IntegerAttr(static_cast<int32_t>(value)));
    };
    Value bits = spirv::ISubOp::create(b, loc, one, constant(1));
    if (sign)
      bits = spirv::BitwiseOrOp::create(b, loc, bits, constant(sign));
    zero = spirv::BitcastOp::create(b, loc, b.getF32Type(), bits);
    return zero;
  };
  func.walk([&](Operation *op) {
    if (!isa<spirv::FAddOp, spirv::FSubOp, spirv::FMulOp, spirv::FDivOp>(op))
      return;
    for (OpOperand &operand : op->getOpOperands()) {
      auto constant = operand.get().getDefiningOp<spirv::ConstantOp>();
      auto value =
          constant ? dyn_cast<FloatAttr>(constant.getValue()) : FloatAttr();
      if (value && value.getType().isF32() && value.getValue().isZero())
        operand.set(getZero(value.getValue().isNegative() ? 0x80000000 : 0));
    }
  });
}
