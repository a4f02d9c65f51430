//===- RouteRow.cpp - moek.route with the experts of one token in lanes -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// For tokens that fill no vector (RouteLanes.h), with the same bits: every
// value of an expert is computed by the same operations, and sums have the
// order that they have there.
//
//===----------------------------------------------------------------------===//

#include "PackRouting.h"
#include "RowRegion.h"
#include "moe-mlir/Target/Lanes/LaneRegion.h"

#include "moe/Rows.h"

using namespace mlir;
using namespace moe;

static_assert(kRowLanes == RowSelection::kLanes,
              "regions and policies share buffers");

bool moe::canRouteRows(moek::RouteOp op) {
  return op.getPolicy().supportsRow() &&
         static_cast<int64_t>(op.getExperts()) <= RowSelection::kMaxExperts;
}

namespace {
class RouteRow {
public:
  RouteRow(Emitter &e, moek::RouteOp op, Value logits, Value token)
      : op(op), policy(op.getPolicy()), logits(logits),
        token(token), row{ImplicitLocOpBuilder(e),
                          static_cast<int64_t>(op.getExperts()),
                          static_cast<int64_t>(op.getSelectedSlots()),
                          kRowLanes} {}

  void emit(Emitter &e) {
    emitScores(e);
    for (auto [i, operand] : llvm::enumerate(op.getPolicyOperands()))
      row.operands.push_back(policy.isTokenOperand(i)
                                 ? e.load(operand, ValueRange{token})
                                 : operand);
    row.indices = emitBuffer(e, row.slots, e.getI32Type());
    row.values = emitBuffer(e, row.slots, e.getF32Type());
    row.b.restoreInsertionPoint(e.saveInsertionPoint());
    policy.buildSelectRow(row);
    if (weigh && !policy.providesValues())
      gather(e, weigh, row.values);
    emitWeights(e);
    emitAlways(e, op, token);
  }

private:
  moek::RouteOp op;
  SelectionPolicyAttrInterface policy;
  Value logits, token;
  RowSelection row;
  Value weigh; ///< The values to weigh by, or null.

  Value emitBuffer(Emitter &e, int64_t entries, Type element) {
    row.b.restoreInsertionPoint(e.saveInsertionPoint());
    return row.scratch(entries, element);
  }

  static ColumnLoader loader(Value memref, ValueRange at) {
    return [memref, at = SmallVector<Value>(at)](Emitter &e, Columns columns) {
      return emitLoadColumns(e, memref, at, columns);
    };
  }

  void emitScores(Emitter &e) {
    SmallVector<ColumnLoader> arguments;
    if (logits)
      arguments.push_back(loader(logits, token));
    for (Value rows : op.getRows())
      arguments.push_back(loader(rows, token));
    for (Value source : op.getColumns()) {
      Value copy = emitBuffer(e, row.experts, e.getF32Type());
      e.loop(e.idx(row.experts), [&](Emitter &e, Value expert) {
        e.store(e.load(source, ValueRange{expert, token}), copy,
                ValueRange{expert});
      });
      arguments.push_back(loader(copy, {}));
    }
    for (Value vector : op.getVectors())
      arguments.push_back(loader(vector, {}));
    for (Value scalars : op.getScalars()) {
      Value scalar = e.load(scalars, ValueRange{token});
      Value value = e.splat(scalar, e.vec(kRowLanes, scalar.getType()));
      arguments.push_back([value](Emitter &, Columns) { return value; });
    }
    mlir::Block &body = op.getScores().front();
    ValueRange yielded = body.getTerminator()->getOperands();
    SmallVector<Value> results;
    for (auto [i, value] : llvm::enumerate(yielded))
      results.push_back(i == 1 && value == yielded[0]
                            ? results[0]
                            : emitBuffer(e, row.experts, e.getF32Type()));
    emitRegionInOrder(
        e, body, row.experts, arguments,
        [&](Emitter &e, unsigned i, Columns columns, Value value) {
          if (i == 0 || results[i] != results[0])
            emitStoreMasked(e, value, results[i], {}, {columns.first, Value()});
        });
    bool uses = policy.usesScores();
    if (uses)
      row.scores = results[0];
    if (results.size() > (uses ? 1 : 0))
      weigh = results.back();
  }

  /// What `table`, `[E]`, holds for the chosen.
  void gather(Emitter &e, Value table, Value to) {
    e.loop(e.idx(row.slots), [&](Emitter &e, Value slot) {
      Value expert = e.load(row.indices, ValueRange{slot});
      Value safe = arith::MaxSIOp::create(e, expert, e.i32(0));
      e.store(e.load(table, ValueRange{e.toIndex(safe)}), to, ValueRange{slot});
    });
  }

  void emitWeights(Emitter &e) {
    VectorType floats = e.vecF32(kRowLanes);
    VectorType ints = e.vec(kRowLanes, e.getI32Type());
    bool full = policy.fillsAllSlots(row.experts);
    auto isUsed = [&](Emitter &e, Columns columns) -> Value {
      return e.cmp(arith::CmpIPredicate::sge,
                   emitLoadColumns(e, row.indices, {}, {columns.first, {}}),
                   e.zeros(ints));
    };
    // Unused slots count as 0, whatever they hold.
    auto ifUsed = [&](Emitter &e, Columns columns, Value value) {
      return full ? value
                  : e.select(isUsed(e, columns), value, e.zeros(floats));
    };
    auto chosen = [&](Value buffer) -> ColumnLoader {
      return [&, buffer](Emitter &e, Columns columns) {
        return ifUsed(e, columns,
                      emitLoadColumns(e, buffer, {}, {columns.first, {}}));
      };
    };
    SmallVector<ColumnLoader> arguments;
    if (weigh || policy.providesValues())
      arguments.push_back(chosen(row.values));
    else
      arguments.push_back([&](Emitter &e, Columns columns) {
        return ifUsed(e, columns, e.splat(e.f32(1.0), floats));
      });
    if (!full)
      arguments.push_back(isUsed);
    for (Value table : op.getPerExpert()) {
      Value gathered = emitBuffer(e, row.slots, e.getF32Type());
      gather(e, table, gathered);
      arguments.push_back(chosen(gathered));
    }
    moek::RoutingParts routing = op.getRouting();
    emitRegionInOrder(e, op.getWeigh().front(), row.slots, arguments,
                      [&](Emitter &e, unsigned, Columns columns, Value value) {
                        emitStoreMasked(e,
                                        emitLoadColumns(e, row.indices, {},
                                                        {columns.first, {}}),
                                        routing.indices, token, columns);
                        emitStoreMasked(e, ifUsed(e, columns, value),
                                        routing.weights, token, columns);
                      });
  }
};
} // namespace

void moe::emitRouteRow(Emitter &e, moek::RouteOp op, Value logits,
                       Value token) {
  RouteRow(e, op, logits, token).emit(e);
}
