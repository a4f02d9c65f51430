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

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/ADT/SmallSet.h"

#include <limits>

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

LogicalResult
HashAttr::verifyConstants(function_ref<InFlightDiagnostic()> emitError,
                          TypeRange operands,
                          ArrayRef<DenseElementsAttr> constants,
                          int64_t numExperts) const {
  bool hasTable = getKind() == HashKind::Table;
  if (DenseElementsAttr ids = constants[0]) {
    int64_t end = hasTable ? cast<ShapedType>(operands[1]).getDimSize(0)
                           : std::numeric_limits<int64_t>::max();
    for (auto [i, value] : llvm::enumerate(ids.getValues<APInt>())) {
      int64_t id = value.getSExtValue();
      if (id >= 0 && id < end)
        continue;
      InFlightDiagnostic diag = emitError() << "expects ids ";
      if (hasTable)
        diag << "from 0 to " << end - 1;
      else
        diag << "of at least 0";
      return diag << " for " << *this << ", but ids[" << i << "] is " << id;
    }
  }
  if (!hasTable || !constants[1])
    return success();
  llvm::SmallSet<int64_t, 16> seen;
  for (auto [i, value] : llvm::enumerate(constants[1].getValues<APInt>())) {
    int64_t expert = value.getSExtValue();
    int64_t id = i / getK(), slot = i % getK();
    if (slot == 0)
      seen.clear();
    if (expert < 0 || expert >= numExperts)
      return emitError() << "expects experts from 0 to " << numExperts - 1
                         << " in the table of " << *this << ", but table[" << id
                         << ", " << slot << "] is " << expert;
    if (!seen.insert(expert).second)
      return emitError() << "expects different experts in each row of the table "
                            "of "
                         << *this << ", but table[" << id << ", " << slot
                         << "] repeats " << expert;
  }
  return success();
}

void HashAttr::buildChecks(
    OpBuilder &builder, Location loc, ValueRange operands, int64_t numExperts,
    function_ref<void(Value, StringRef)> check) const {
  ImplicitLocOpBuilder b(loc, builder);
  Value ids = operands[0];
  bool hasTable = getKind() == HashKind::Table;
  Value table = hasTable ? operands[1] : Value();
  Type i32 = b.getI32Type();
  auto constant = [&](int64_t v) -> Value {
    return arith::ConstantOp::create(b, b.getI32IntegerAttr(v));
  };
  auto index = [&](int64_t v) -> Value {
    return arith::ConstantIndexOp::create(b, v);
  };
  auto both = [&](Value x, Value y) -> Value {
    return arith::AndIOp::create(b, x, y);
  };
  auto compare = [&](arith::CmpIPredicate predicate, Value x,
                     Value y) -> Value {
    return arith::CmpIOp::create(b, predicate, x, y);
  };
  Value tokens = tensor::DimOp::create(b, ids, 0), yes;
  yes = arith::ConstantOp::create(b, b.getBoolAttr(true));

  // As unsigned, a negative id is large too. The largest i32 ends `mod`.
  Value end =
      constant(hasTable ? cast<RankedTensorType>(table.getType()).getDimSize(0)
                        : std::numeric_limits<int32_t>::min());
  auto overTokens = [&](function_ref<Value(Value id)> isValid) -> Value {
    auto loop =
        scf::ForOp::create(b, index(0), tokens, index(1), ValueRange{yes});
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value id = tensor::ExtractOp::create(b, i32, ids,
                                         ValueRange{loop.getInductionVar()});
    scf::YieldOp::create(b, both(loop.getRegionIterArg(0), isValid(id)));
    return loop.getResult(0);
  };
  check(overTokens([&](Value id) {
          return compare(arith::CmpIPredicate::ult, id, end);
        }),
        hasTable ? "a token id is not in the table of the hash router"
                 : "a token id of the hash router is negative");
  if (!hasTable)
    return;

  Value bound = constant(numExperts);
  check(overTokens([&](Value id) -> Value {
          Value row = arith::IndexCastUIOp::create(b, b.getIndexType(), id);
          SmallVector<Value> entries;
          Value ok;
          for (int64_t slot = 0; slot < getK(); ++slot) {
            Value expert = tensor::ExtractOp::create(
                b, i32, table, ValueRange{row, index(slot)});
            Value known = compare(arith::CmpIPredicate::ult, expert, bound);
            ok = ok ? both(ok, known) : known;
            for (Value other : entries)
              ok = both(ok, compare(arith::CmpIPredicate::ne, expert, other));
            entries.push_back(expert);
          }
          return ok;
        }),
        "the hash router's table sends a token to an expert that there is not, "
        "or to one twice");
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
