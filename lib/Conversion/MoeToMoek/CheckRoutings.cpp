//===- CheckRoutings.cpp - Checks of routings from outside ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Kernels rely on the indices of a routing and on its number of tokens. What a
// router makes is right by construction; what comes from outside is checked.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Conversion/MoeToMoek/Passes.h"
#include "moek/Moek.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/ValueBoundsOpInterface.h"

namespace moe {
#define GEN_PASS_DEF_CHECKROUTINGS
#include "moe-mlir/Conversion/MoeToMoek/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;

/// "argument 'routing.indices'" for an argument of a function.
static std::string describe(Value value) {
  auto argument = dyn_cast<BlockArgument>(value);
  auto function =
      argument
          ? dyn_cast<FunctionOpInterface>(argument.getOwner()->getParentOp())
          : FunctionOpInterface();
  if (!function)
    return "a routing";
  auto name = function.getArgAttrOfType<StringAttr>(argument.getArgNumber(),
                                                    "moe.name");
  return name ? ("argument '" + name.getValue() + "'").str() : "a routing";
}

/// The tensor that has a row for each token of `routing`; null if it is made
/// by anything but the ops of this dialect.
static Value getTokensTensor(Value routing) {
  while (Operation *op = routing.getDefiningOp()) {
    if (auto append = dyn_cast<RoutingAppendOp>(op))
      routing = append.getRouting();
    else if (auto limit = dyn_cast<RoutingLimitOp>(op))
      routing = limit.getRouting();
    else if (auto make = dyn_cast<RoutingMakeOp>(op))
      return make.getIndices();
    else if (auto router = dyn_cast<RouterOp>(op))
      return router.getSelect();
    else
      break;
  }
  return {};
}

/// A tensor with as many rows as `value`, nearer to the arguments: what the
/// analysis of shapes then sees has no op of this dialect on the way.
static Value getRowsRoot(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    Value next;
    if (isa<RoutingIndicesOp, RoutingWeightsOp>(op))
      next = getTokensTensor(op->getOperand(0));
    else if (auto dst = dyn_cast<DestinationStyleOpInterface>(op))
      next = dst.getTiedOpOperand(cast<OpResult>(value))->get();
    else if (auto cast = dyn_cast<tensor::CastOp>(op))
      next = cast.getSource();
    if (!next)
      break;
    value = next;
  }
  return value;
}

/// The named size that the first dimension of `value` is, if any.
static StringAttr getRowsName(Value value, FunctionOpInterface function) {
  for (BlockArgument argument : function.getArguments()) {
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    auto names = function.getArgAttrOfType<ArrayAttr>(argument.getArgNumber(),
                                                      "moe.dims");
    if (!type || !names)
      continue;
    unsigned next = 0;
    for (int64_t d = 0; d < type.getRank(); ++d) {
      if (!type.isDynamicDim(d))
        continue;
      if (next == names.size())
        break;
      auto name = dyn_cast<StringAttr>(names[next++]);
      FailureOr<bool> equal = ValueBoundsConstraintSet::areEqual(
          ValueBoundsConstraintSet::Variable(value, 0),
          ValueBoundsConstraintSet::Variable(Value(argument), d));
      if (name && succeeded(equal) && *equal)
        return name;
    }
  }
  return {};
}

/// Whether `a` and `b` have equally many rows in every call.
static bool haveSameRows(Value a, Value b) {
  a = getRowsRoot(a);
  b = getRowsRoot(b);
  if (a == b)
    return true;
  auto typeA = cast<RankedTensorType>(a.getType());
  auto typeB = cast<RankedTensorType>(b.getType());
  if (!typeA.isDynamicDim(0) && !typeB.isDynamicDim(0))
    return typeA.getDimSize(0) == typeB.getDimSize(0);
  FailureOr<bool> equal = ValueBoundsConstraintSet::areEqual(
      ValueBoundsConstraintSet::Variable(a, 0),
      ValueBoundsConstraintSet::Variable(b, 0));
  if (succeeded(equal))
    return *equal;
  auto function = a.getParentRegion()->getParentOfType<FunctionOpInterface>();
  if (!function)
    return false;
  StringAttr name = getRowsName(a, function);
  return name && name == getRowsName(b, function);
}

namespace {
struct CheckRoutings : moe::impl::CheckRoutingsBase<CheckRoutings> {
  void runOnOperation() override {
    SmallVector<Operation *> ops;
    getOperation()->walk([&](Operation *op) {
      if (isa<RouterOp, RoutingMakeOp, RoutingAppendOp, DispatchOp, CombineOp>(
              op))
        ops.push_back(op);
    });
    for (Operation *op : ops)
      if (failed(check(op)))
        return signalPassFailure();
  }

  LogicalResult check(Operation *op) {
    if (auto make = dyn_cast<RoutingMakeOp>(op)) {
      if (failed(checkRows(op, make.getIndices(), make.getWeights(),
                           "weights of a routing")))
        return failure();
      return checkIndices(make);
    }
    if (auto router = dyn_cast<RouterOp>(op))
      return checkRows(op, router.getSelect(), router.getWeigh(),
                       "scores of a router");
    if (auto dispatch = dyn_cast<DispatchOp>(op))
      return checkTokens(op, dispatch.getRouting(), dispatch.getX(),
                         "the input of a layer");
    if (auto append = dyn_cast<RoutingAppendOp>(op))
      return checkTokens(op, append.getRouting(), append.getWeights(),
                         "the weights of shared experts");
    auto combine = cast<CombineOp>(op);
    return checkTokens(op, combine.getRouting(), combine.getInit(),
                       "what is added to a layer's result");
  }

  LogicalResult checkIndices(RoutingMakeOp op) {
    Value indices = op.getIndices();
    if (op.getTrusted())
      return success();
    int64_t experts = op.getRouting().getType().getExperts();
    auto trust = [&] {
      op.setTrusted(true);
      return success();
    };
    if (matchPattern(indices, m_Constant()))
      return trust();
    if (auto view = indices.getDefiningOp<RoutingIndicesOp>();
        view && view.getRouting().getType().getExperts() <= experts)
      return trust();
    // As early as can be: nothing is computed in vain, and no result is kept
    // back until the check.
    OpBuilder b(op);
    b.setInsertionPointAfterValue(indices);
    Value ok = moek::VerifyRoutingOp::create(b, op.getLoc(), b.getI1Type(),
                                             indices, experts);
    if (failed(emitCheck(
            b, op, ok, moek::Status::BadRouting,
            describe(indices) + " sends a token to an expert outside of [-1, " +
                Twine(experts) + "), or twice to one",
            "make the routing outside of it, or mark it `trusted`")))
      return failure();
    return trust();
  }

  LogicalResult checkTokens(Operation *op, Value routing, Value tensor,
                            StringRef what) {
    if (!tensor)
      return success();
    Value tokens = getTokensTensor(routing);
    if (tokens && haveSameRows(tokens, tensor))
      return success();
    OpBuilder b(op);
    return emitCompare(b, op,
                       RoutingNumTokensOp::create(b, op->getLoc(), routing),
                       tensor, what);
  }

  LogicalResult checkRows(Operation *op, Value tokens, Value tensor,
                          StringRef what) {
    if (!tokens || !tensor || haveSameRows(tokens, tensor))
      return success();
    OpBuilder b(op);
    return emitCompare(b, op, tensor::DimOp::create(b, op->getLoc(), tokens, 0),
                       tensor, what);
  }

  LogicalResult emitCompare(OpBuilder &b, Operation *op, Value tokens,
                            Value tensor, StringRef what) {
    Location loc = op->getLoc();
    Value rows = tensor::DimOp::create(b, loc, tensor, 0);
    Value ok =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, tokens, rows);
    return emitCheck(b, op, ok, moek::Status::BadSize,
                     what + " must have one row for each token of the routing",
                     "take the sizes of both from one tensor");
  }

  /// Checks `ok`, unless that cannot be done here: threads do not end a call.
  LogicalResult emitCheck(OpBuilder &b, Operation *op, Value ok,
                          moek::Status status, const Twine &message,
                          StringRef advice) {
    if (Operation *obstacle =
            moek::CheckOp::findObstacle(b.getInsertionBlock()))
      return op->emitOpError("needs a check at run time (")
             << message.str() << "), which '" << obstacle->getName()
             << "' around it does not allow; " << advice;
    moek::CheckOp::create(b, op->getLoc(), ok, status, message);
    return success();
  }
};
} // namespace
