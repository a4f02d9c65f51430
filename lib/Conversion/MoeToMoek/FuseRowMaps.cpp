//===- FuseRowMaps.cpp - One pass over the rows ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A body's conversion makes one moek.row_map an op. Each of them would read and
// write all rows.
//
//===----------------------------------------------------------------------===//

#include "Common.h"
#include "RowOperands.h"

#include "moe-mlir/Conversion/MoeToMoek/Passes.h"
#include "moek/KernelRegion.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/PatternMatch.h"

namespace moe {
#define GEN_PASS_DEF_FUSEROWMAPS
#include "moe-mlir/Conversion/MoeToMoek/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;
using moek::RowMapOp;

static constexpr llvm::StringLiteral kPassName = "moek-fuse-row-maps";

/// Why `producer` cannot move into `consumer`, which reads its rows; empty if
/// it can.
static std::string whyNot(RowMapOp producer, RowMapOp consumer) {
  if (producer->getBlock() != consumer->getBlock())
    return "it is in another block";
  if (producer.getOffsets() != consumer.getOffsets())
    return "it is of other groups";
  int64_t length = producer.getRowLength(), other = consumer.getRowLength();
  if (length && other && length != other)
    return "its rows are of another length";
  if (producer.getTokens() && consumer.getTokens() &&
      producer.getTokens() != consumer.getTokens())
    return "it reads rows of other tokens";
  for (Value output : producer.getOutputs())
    if (!output.getDefiningOp<tensor::EmptyOp>())
      return "it writes into rows that others made";
  for (Operation *user : producer->getUsers())
    if (user != consumer && (user->getBlock() != consumer->getBlock() ||
                             user->isBeforeInBlock(consumer)))
      return "its rows are read before, too";
  return {};
}

static RowMapOp fuse(RewriterBase &b, RowMapOp producer, RowMapOp consumer) {
  Location loc = consumer.getLoc();
  b.setInsertionPoint(consumer);
  RowOperands operands;
  operands.add(producer, [](Value) { return false; });
  operands.add(consumer, [&](Value rows) {
    return rows.getDefiningOp() == producer;
  });
  // What is read elsewhere is stored as before.
  SmallVector<Value> outs(consumer.getOutputs());
  SmallVector<OpResult> kept;
  for (OpResult result : producer->getResults())
    if (llvm::any_of(result.getUsers(),
                     [&](Operation *user) { return user != consumer; })) {
      kept.push_back(result);
      outs.push_back(producer.getOutputs()[result.getResultNumber()]);
    }
  auto fused = RowMapOp::create(
      b, loc, TypeRange(ValueRange(outs)), consumer.getOffsets(),
      operands.getTokens(), operands.getGathered(), operands.getRows(),
      operands.getParameters(), outs);

  OpBuilder::InsertionGuard guard(b);
  Block *block = b.createBlock(&fused.getBody());
  int64_t length = std::max(producer.getRowLength(), consumer.getRowLength());
  operands.addArguments(*block, loc, [&](Value operand) {
    return moek::getRowType(operand, length);
  });
  auto clone = [&](RowMapOp op, const DenseMap<Value, Value> &made) {
    Block &body = op.getBody().front();
    IRMapping mapping;
    operands.map(mapping, body, 0, op, made);
    for (Operation &inner : body.without_terminator())
      b.clone(inner, mapping);
    SmallVector<Value> yielded;
    for (Value value : body.getTerminator()->getOperands())
      yielded.push_back(mapping.lookup(value));
    return yielded;
  };
  SmallVector<Value> made = clone(producer, {});
  DenseMap<Value, Value> between;
  for (auto [result, value] : llvm::zip(producer->getResults(), made)) {
    // An f32 that an output rounds is rounded for its readers, too.
    Type element = getElementTypeOrSelf(result.getType());
    if (getElementTypeOrSelf(value.getType()) != element) {
      auto vector = dyn_cast<VectorType>(value.getType());
      value = arith::TruncFOp::create(
          b, loc, vector ? Type(vector.clone(element)) : element, value);
    }
    between[result] = value;
  }
  SmallVector<Value> yielded = clone(consumer, between);
  for (OpResult result : kept)
    yielded.push_back(between.lookup(result));
  moek::YieldOp::create(b, loc, yielded);

  unsigned number = consumer->getNumResults();
  for (auto [i, result] : llvm::enumerate(kept))
    b.replaceAllUsesExcept(result, fused->getResult(number + i), consumer);
  b.replaceOp(consumer, fused->getResults().take_front(number));
  b.eraseOp(producer);
  return fused;
}

namespace {
struct FuseRowMaps : moe::impl::FuseRowMapsBase<FuseRowMaps> {
  void runOnOperation() override {
    resolveDimsOfResults(getOperation());
    IRRewriter rewriter(&getContext());
    SmallVector<RowMapOp> ops;
    getOperation()->walk([&](RowMapOp op) {
      if (op->getNumResults() != 0)
        ops.push_back(op);
    });
    // In order, so that what a consumer takes has taken its own producers.
    for (RowMapOp op : ops) {
      unsigned taken = 0;
      SmallVector<std::pair<Value, std::string>> missed;
      for (bool changed = true; changed;) {
        changed = false;
        missed.clear();
        for (Value rows : op.getRows()) {
          auto producer = rows.getDefiningOp<RowMapOp>();
          if (!producer)
            continue;
          std::string why = whyNot(producer, op);
          if (!why.empty()) {
            missed.emplace_back(rows, why);
            continue;
          }
          op = fuse(rewriter, producer, op);
          changed = true;
          ++taken;
          break;
        }
      }
      if (taken)
        remarkPassed(op, kPassName)
            << (std::to_string(taken + 1) +
                " functions of a row are one pass over the rows");
      for (const auto &[rows, why] : missed)
        reportMissed(
            op, kPassName,
            {"rows that another function of them made are stored and read",
             why,
             "functions of rows of the same groups and of one length are one "
             "pass over them",
             {rows, getRowsOfToken(op.getOffsets())}});
    }
  }
};
} // namespace
