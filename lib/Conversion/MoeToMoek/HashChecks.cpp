//===- HashChecks.cpp - Token ids and tables at run time --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A hash router comes after checks that the ids of its tokens, and the rows of
// the table that they name, are valid. The rest of the table is not read: it is
// a constant of the model, and may be large.
//
//===----------------------------------------------------------------------===//

#include "BatchPolicies.h"

#include "moe_rt/MoeRt.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

using namespace mlir;
using namespace moe;

void moe::buildHashChecks(OpBuilder &builder, Location loc, HashAttr policy,
                          ValueRange operands, int64_t experts) {
  ImplicitLocOpBuilder b(loc, builder);
  Value ids = operands[0];
  bool hasTable = policy.getKind() == HashKind::Table;
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
  Value tokens = getDim(b, loc, ids, 0), yes;
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
  Value valid = overTokens(
      [&](Value id) { return compare(arith::CmpIPredicate::ult, id, end); });
  moert::CheckOp::create(
      b, valid, moert::Status::BadValue,
      hasTable ? "a token id is not in the table of the hash router"
               : "a token id of the hash router is negative");
  if (!hasTable)
    return;

  Value bound = constant(experts);
  valid = overTokens([&](Value id) -> Value {
    Value row = arith::IndexCastUIOp::create(b, b.getIndexType(), id);
    SmallVector<Value> entries;
    Value ok;
    for (int64_t slot = 0; slot < policy.getK(); ++slot) {
      Value expert = tensor::ExtractOp::create(b, i32, table,
                                               ValueRange{row, index(slot)});
      Value known = compare(arith::CmpIPredicate::ult, expert, bound);
      ok = ok ? both(ok, known) : known;
      for (Value other : entries)
        ok = both(ok, compare(arith::CmpIPredicate::ne, expert, other));
      entries.push_back(expert);
    }
    return ok;
  });
  moert::CheckOp::create(b, valid, moert::Status::BadValue,
                         "the hash router's table sends a token to an expert "
                         "that there is not, or to one twice");
}
