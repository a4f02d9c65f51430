//===- Hash.cpp - Experts by token id ---------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// #moe.hash: a row of a table, or a remainder. Whatever ids and tables hold,
// the builders read inside of the table and give experts from 0 to E-1; that
// ids and tables are valid is checked apart from the choice, once for all
// tokens.
//
//===----------------------------------------------------------------------===//

#include "moe/Moe.h"

using namespace mlir;
using namespace moe;

LogicalResult HashAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                               HashKind kind, int64_t k) {
  if (k < 1)
    return emitError() << "expects at least one expert of a token, but got "
                       << k;
  if (kind == HashKind::Mod && k != 1)
    return emitError() << "expects one expert of a token with mod, but got "
                       << k << "; more of them are rows of a table";
  return success();
}

int64_t HashAttr::getNumSlots(int64_t) const { return getK(); }

LogicalResult
HashAttr::verifyPolicy(function_ref<InFlightDiagnostic()> emitError,
                       int64_t numExperts) const {
  if (getK() > numExperts)
    return emitError() << "expects " << *this << " to select at most all "
                       << numExperts << " experts, but it selects " << getK();
  return success();
}

LogicalResult
HashAttr::verifyOperands(function_ref<InFlightDiagnostic()> emitError,
                         TypeRange operands, int64_t) const {
  bool hasTable = getKind() == HashKind::Table;
  auto isOk = [&]() {
    if (operands.size() != (hasTable ? 2 : 1))
      return false;
    for (auto [i, operand] : llvm::enumerate(operands)) {
      auto type = dyn_cast<ShapedType>(operand);
      if (!type || !type.hasRank() || type.getRank() != int64_t(i) + 1 ||
          !type.getElementType().isSignlessInteger(32))
        return false;
      // Without rows there is no expert for any id.
      if (i == 1 && (!type.hasStaticShape() || type.getDimSize(0) < 1 ||
                     type.getDimSize(1) != getK()))
        return false;
    }
    return true;
  };
  if (isOk())
    return success();
  auto diag = emitError() << "expects the ids of the tokens";
  if (hasTable)
    diag << " and a table of rows of " << getK()
         << " experts in `using`, a tensor<?xi32> and a tensor<Vx" << getK()
         << "xi32> with a static V, but got ";
  else
    diag << " in `using`, a tensor<?xi32>, but got ";
  if (operands.empty())
    return diag << "nothing";
  llvm::interleaveComma(operands, diag);
  return diag;
}

void HashAttr::buildSelectLanes(LaneSelection &lanes) const {
  ImplicitLocOpBuilder &b = lanes.b;
  Value ids = lanes.operands[0];
  Value experts = lanes.i32(lanes.experts);
  if (getKind() == HashKind::Mod) {
    // Vectors have no remainder of integers.
    for (int64_t lane = 0; lane < lanes.lanes; ++lane) {
      Value id = vector::ExtractOp::create(b, ids, lane);
      Value expert = arith::RemUIOp::create(
          b, id,
          arith::ConstantOp::create(b, b.getI32IntegerAttr(lanes.experts)));
      memref::StoreOp::create(b, expert, lanes.indices,
                              ValueRange{lanes.index(0), lanes.index(lane)});
    }
    return;
  }
  // Each lane reads a row of its own: scalar code, whatever the machine.
  Value table = lanes.operands[1];
  Value zero = arith::ConstantOp::create(b, b.getI32IntegerAttr(0));
  Value rows = arith::ConstantOp::create(
      b, b.getI32IntegerAttr(cast<MemRefType>(table.getType()).getDimSize(0)));
  for (int64_t lane = 0; lane < lanes.lanes; ++lane) {
    Value id = vector::ExtractOp::create(b, ids, lane);
    Value inside =
        arith::CmpIOp::create(b, arith::CmpIPredicate::ult, id, rows);
    Value row = arith::IndexCastUIOp::create(
        b, b.getIndexType(), arith::SelectOp::create(b, inside, id, zero));
    for (int64_t slot = 0; slot < getK(); ++slot) {
      Value expert =
          memref::LoadOp::create(b, table, ValueRange{row, lanes.index(slot)});
      memref::StoreOp::create(b, expert, lanes.indices,
                              ValueRange{lanes.index(slot), lanes.index(lane)});
    }
  }
  Value none = lanes.i32(0);
  lanes.loop(0, getK(), {}, [&](Value slot, ValueRange) {
    Value expert = lanes.load(lanes.indices, slot);
    Value known =
        arith::CmpIOp::create(b, arith::CmpIPredicate::ult, expert, experts);
    lanes.store(arith::SelectOp::create(b, known, expert, none), lanes.indices,
                slot);
    return SmallVector<Value>();
  });
}
