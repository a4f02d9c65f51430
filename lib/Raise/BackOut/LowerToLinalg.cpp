//===- LowerToLinalg.cpp - MoE layers as plain upstream IR -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The way back: what raising finds, written out for other compilers.
//
//===----------------------------------------------------------------------===//

#include "BackOut.h"
#include "moe-mlir/Raise/Passes.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/TypeSwitch.h"

namespace moe {
#define GEN_PASS_DEF_LOWERTOLINALG
#include "moe-mlir/Raise/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;
using namespace moe::raise;

namespace {
struct LowerToLinalg : moe::impl::LowerToLinalgBase<LowerToLinalg> {
  using LowerToLinalgBase::LowerToLinalgBase;

  void runOnOperation() override {
    routings.clear();
    done.clear();
    if (failed(writeOut()))
      signalPassFailure();
  }

  LogicalResult writeOut();
  LogicalResult expand();
  LogicalResult write(Operation *op);
  /// Both tensors of a routing.
  FailureOr<RoutingTensors> find(Operation *op, Value routing);
  void set(Upstream &up, Value routing, RoutingTensors tensors);
  void replace(Upstream &up, Operation *op, Value by);
  bool isSorted() { return form == LowerForm::Sorted; }

  llvm::DenseMap<Value, RoutingTensors> routings;
  SmallVector<Operation *> done;
};
} // namespace

/// What has a form of its own upstream.
LogicalResult LowerToLinalg::expand() {
  SmallVector<Operation *> ops;
  getOperation()->walk([&](Operation *op) { ops.push_back(op); });
  IRRewriter rewriter(&getContext());
  for (Operation *op : ops) {
    rewriter.setInsertionPoint(op);
    if (auto balance = dyn_cast<BalanceOp>(op)) {
      for (auto [attr, result] :
           llvm::zip_equal(balance.getMetrics(), balance.getResults())) {
        if (result.use_empty())
          continue;
        auto metric = cast<BalanceMetricAttrInterface>(attr);
        Value value =
            metric.buildMetric(rewriter, op->getLoc(), balance.getRouting(),
                               balance.getInputsOf(metric));
        if (!value)
          return op->emitOpError("cannot be written out: nothing builds ")
                 << attr;
        rewriter.replaceAllUsesWith(result, value);
      }
      rewriter.eraseOp(op);
    } else if (auto ffn = dyn_cast<FFNOp>(op)) {
      FailureOr<SmallVector<Value>> values = ffn.generalize(rewriter);
      if (failed(values))
        return op->emitOpError("has an activation that has no form on scalars");
      rewriter.replaceOp(op, *values);
    } else if (auto similarity = dyn_cast<SimilarityOp>(op)) {
      rewriter.replaceOp(op, similarity.generalize(rewriter));
    } else if (auto call = dyn_cast<func::CallOp>(op);
               call && op->getParentOfType<ExpertOp>()) {
      auto callee = SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(
          op, call.getCalleeAttr());
      if (callee && callee.isExternal())
        return op->emitError("the body of an expert calls the C function '")
               << call.getCallee() << "', which has no form upstream";
    }
  }
  if (isSorted())
    return success();
  // One kind of structured op is left in bodies.
  SmallVector<linalg::LinalgOp> named;
  getOperation()->walk([&](linalg::LinalgOp op) {
    if (op->getParentOfType<ExpertOp>() &&
        !isa<linalg::GenericOp, linalg::FillOp>(op))
      named.push_back(op);
  });
  for (linalg::LinalgOp op : named) {
    rewriter.setInsertionPoint(op);
    if (failed(linalg::generalizeNamedOp(rewriter, op)))
      return op->emitOpError("has no generic form");
  }
  return success();
}

FailureOr<RoutingTensors> LowerToLinalg::find(Operation *op, Value routing) {
  auto it = routings.find(routing);
  if (it != routings.end())
    return it->second;
  return op->emitOpError("has a routing that ")
         << (isa<BlockArgument>(routing)
                 ? "is an argument"
                 : "an op gives that has no form upstream")
         << "; pass indices and weights, and make it by moe.routing.make";
}

void LowerToLinalg::set(Upstream &up, Value routing, RoutingTensors tensors) {
  // Whoever asks for the list of assignments gets it in any form.
  bool needsOrder = llvm::any_of(routing.getUsers(), [&](Operation *user) {
    return isa<RoutingTokensOp>(user) ||
           (isSorted() && isa<DispatchOp, ExpertOp, CombineOp>(user));
  });
  if (needsOrder)
    writeOrder(up, tensors);
  routings[routing] = tensors;
}

void LowerToLinalg::replace(Upstream &up, Operation *op, Value by) {
  Value result = op->getResult(0);
  if (by.getType() != result.getType())
    by = tensor::CastOp::create(up.getBuilder(), op->getLoc(), result.getType(),
                                by);
  result.replaceAllUsesWith(by);
  done.push_back(op);
}

LogicalResult LowerToLinalg::write(Operation *op) {
  OpBuilder builder(op);
  Upstream up(builder, op->getLoc());
  auto setRouting = [&](FailureOr<RoutingTensors> tensors) -> LogicalResult {
    if (failed(tensors))
      return failure();
    set(up, op->getResult(0), *tensors);
    done.push_back(op);
    return success();
  };
  if (auto router = dyn_cast<RouterOp>(op))
    return setRouting(writeRouter(up, router));
  if (auto make = dyn_cast<RoutingMakeOp>(op))
    return setRouting(writeMake(up, make));

  // All others take a routing.
  Value operand;
  for (Value value : op->getOperands())
    if (isa<RoutingType>(value.getType()))
      operand = value;
  if (!operand)
    return op->emitOpError("has no form upstream");
  FailureOr<RoutingTensors> found = find(op, operand);
  if (failed(found))
    return failure();
  const RoutingTensors &routing = *found;
  auto replaceBy = [&](FailureOr<Value> value) -> LogicalResult {
    if (failed(value))
      return failure();
    replace(up, op, *value);
    return success();
  };
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](RoutingAppendOp append) {
        return setRouting(writeAppend(up, append, routing));
      })
      .Case([&](RoutingLimitOp limit) {
        return setRouting(writeLimit(up, limit, routing));
      })
      .Case([&](RoutingReweighOp reweigh) {
        return setRouting(writeReweigh(up, reweigh, routing));
      })
      .Case([&](RoutingIndicesOp) { return replaceBy(routing.indices); })
      .Case([&](RoutingWeightsOp) { return replaceBy(routing.weights); })
      .Case([&](RoutingOffsetsOp) {
        return replaceBy(routing.offsets ? routing.offsets
                                         : writeOffsets(up, routing));
      })
      .Case([&](RoutingNumTokensOp) {
        return replaceBy(getValueOrCreateConstantIndexOp(
            builder, op->getLoc(), up.sizesOf(routing.indices)[0]));
      })
      .Case([&](RoutingTokensOp) { return replaceBy(routing.tokens); })
      .Case([&](DispatchOp dispatch) -> LogicalResult {
        if (isSorted())
          return replaceBy(writeSortedDispatch(up, dispatch, routing));
        // Written by those that use it.
        for (Operation *user : op->getUsers())
          if (!isa<ExpertOp>(user))
            return op->emitOpError("has a size that depends on data, and is "
                                   "used by other than experts; form=sorted "
                                   "writes it");
        done.push_back(op);
        return success();
      })
      .Case([&](ExpertOp expert) -> LogicalResult {
        if (isSorted())
          return replaceBy(writeSortedExpert(up, expert, routing));
        for (Operation *user : op->getUsers())
          if (!isa<CombineOp>(user))
            return op->emitOpError("has a size that depends on data, and is "
                                   "used by other than a moe.combine; "
                                   "form=sorted writes it");
        done.push_back(op);
        return success();
      })
      .Case([&](CombineOp combine) -> LogicalResult {
        if (isSorted())
          return replaceBy(writeSortedCombine(up, combine, routing));
        return replaceBy(
            writeLayer(up, combine, routing, form == LowerForm::Gathered));
      })
      .Default([&](Operation *) -> LogicalResult {
        return op->emitOpError("has no form upstream");
      });
}

LogicalResult LowerToLinalg::writeOut() {
  if (failed(expand()))
    return failure();
  // In the order of definitions. Bodies of experts are cloned where they go.
  SmallVector<Operation *> ops;
  WalkResult walked =
      getOperation()->walk<WalkOrder::PreOrder>([&](Operation *op) {
        if (isa_and_nonnull<MoeDialect>(op->getDialect()))
          ops.push_back(op);
        if (!isa<ExpertOp>(op))
          return isa<RouterOp>(op) ? WalkResult::skip() : WalkResult::advance();
        WalkResult inside = op->walk([&](Operation *nested) {
          bool isKnown = nested == op || isa<YieldOp>(nested) ||
                         (isSorted() && isa<ScanOp>(nested));
          if (!isKnown && isa_and_nonnull<MoeDialect>(nested->getDialect())) {
            nested->emitOpError(
                "has no form upstream in the body of an expert");
            return WalkResult::interrupt();
          }
          return WalkResult::advance();
        });
        return inside.wasInterrupted() ? inside : WalkResult::skip();
      });
  if (walked.wasInterrupted())
    return failure();
  for (Operation *op : ops)
    if (failed(write(op)))
      return failure();
  for (Operation *op : llvm::reverse(done)) {
    if (!op->use_empty())
      return (*op->user_begin())
          ->emitError("uses a routing, which has no type upstream");
    op->erase();
  }
  return success();
}
