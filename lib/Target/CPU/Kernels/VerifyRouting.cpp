//===- VerifyRouting.cpp - moek.verify_routing ------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A routing from outside is looked at once, before anything uses it. Nothing
// branches on what it holds: offences are collected, and tested at the end.
//
//===----------------------------------------------------------------------===//

#include "Lowerings.h"

using namespace mlir;
using namespace moe;

/// Up to this many slots, comparing a row with itself rotated is cheaper than
/// remembering which token had each expert last.
static constexpr int64_t kMaxComparedSlots = 16;

/// Lanes that are not in [-1, experts): as unsigned, what is below is above.
static Value emitOutOfRange(Emitter &e, Value index, Value one, Value experts) {
  return e.cmp(arith::CmpIPredicate::ugt, e.add(index, one), experts);
}

/// The rows of few slots, a row at a time; yields a non-zero i32 if one is bad.
static Value emitCompareRows(Emitter &e, Value indices, int64_t slots,
                             int64_t experts) {
  VectorType type = e.vec(slots, e.getI32Type());
  Value none = e.zeros(type), one = e.splat(e.i32(1), type);
  Value limit = e.splat(e.i32(experts), type);
  auto rows = scf::ForOp::create(e, e.idx(0), e.dim(indices, 0), e.idx(1),
                                 ValueRange{none});
  {
    OpBuilder::InsertionGuard guard(e);
    e.setInsertionPointToStart(rows.getBody());
    Value row = vector::LoadOp::create(
        e, type, indices, ValueRange{rows.getInductionVar(), e.idx(0)});
    Value bad = emitOutOfRange(e, row, one, limit);
    Value twice;
    // Half of the rotations meet every pair of slots.
    for (int64_t by = 1; by <= slots / 2; ++by) {
      SmallVector<int64_t> lanes;
      for (int64_t lane = 0; lane < slots; ++lane)
        lanes.push_back((lane + by) % slots);
      Value rotated = vector::ShuffleOp::create(e, row, row, lanes);
      Value same = e.eq(row, rotated);
      twice = twice ? arith::OrIOp::create(e, twice, same).getResult() : same;
    }
    if (twice) {
      Value used = e.cmp(arith::CmpIPredicate::sge, row, none);
      bad = arith::OrIOp::create(e, bad, arith::AndIOp::create(e, twice, used));
    }
    Value offences = arith::OrIOp::create(e, rows.getRegionIterArgs()[0],
                                          arith::ExtSIOp::create(e, type, bad));
    scf::YieldOp::create(e, offences);
  }
  return vector::ReductionOp::create(e, vector::CombiningKind::OR,
                                     rows.getResult(0));
}

/// Rows of any number of slots, a slot at a time.
static Value emitMarkExperts(Emitter &e, Value indices, int64_t slots,
                             int64_t experts) {
  // The last token that had each expert; the extra place takes what is none.
  Value last = memref::AllocaOp::create(
      e, MemRefType::get({experts + 1}, e.getI32Type()),
      e.getI64IntegerAttr(64));
  Value none = e.i32(-1), one = e.i32(1), zero = e.i32(0);
  Value limit = e.i32(experts);
  e.loop(e.idx(experts + 1), [&](Emitter &e, Value expert) {
    e.store(none, last, ValueRange{expert});
  });
  auto rows = scf::ForOp::create(e, e.idx(0), e.dim(indices, 0), e.idx(1),
                                 ValueRange{zero});
  {
    OpBuilder::InsertionGuard guard(e);
    e.setInsertionPointToStart(rows.getBody());
    Value token = rows.getInductionVar(), tokenId = e.toI32(token);
    auto places = scf::ForOp::create(e, e.idx(0), e.idx(slots), e.idx(1),
                                     rows.getRegionIterArgs());
    scf::YieldOp::create(e, places.getResults());
    e.setInsertionPointToStart(places.getBody());
    Value index = e.load(indices, ValueRange{token, places.getInductionVar()});
    Value bad = emitOutOfRange(e, index, one, limit);
    Value used = e.lt(index, limit);
    Value place = e.toIndex(e.select(used, index, limit));
    Value twice = e.eq(e.load(last, ValueRange{place}), tokenId);
    e.store(tokenId, last, ValueRange{place});
    bad = arith::OrIOp::create(e, bad, arith::AndIOp::create(e, twice, used));
    Value offences =
        arith::OrIOp::create(e, places.getRegionIterArgs()[0],
                             arith::ExtSIOp::create(e, e.getI32Type(), bad));
    scf::YieldOp::create(e, offences);
  }
  return rows.getResult(0);
}

LogicalResult moe::lowerVerifyRouting(Emitter &e, moek::VerifyRoutingOp op) {
  auto type = dyn_cast<MemRefType>(op.getIndices().getType());
  if (!type)
    return op.emitOpError("is still on tensors; bufferize before this pass");
  int64_t slots = type.getDimSize(1), experts = op.getExperts();
  emitTrace(e, "begin", "check");
  Value offences = slots <= kMaxComparedSlots && type.isLastDimUnitStride()
                       ? emitCompareRows(e, op.getIndices(), slots, experts)
                       : emitMarkExperts(e, op.getIndices(), slots, experts);
  emitTrace(e, "end", "check");
  op.getOk().replaceAllUsesWith(e.eq(offences, e.i32(0)));
  return success();
}
