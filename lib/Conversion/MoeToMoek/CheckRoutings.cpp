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

#include "moe-mlir/Analysis/Dims.h"
#include "moe-mlir/Conversion/MoeToMoek/Passes.h"
#include "moe-mlir/Transforms/Rows.h"
#include "moe_rt/MoeRt.h"
#include "moek/Moek.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

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

namespace {
struct CheckRoutings : moe::impl::CheckRoutingsBase<CheckRoutings> {
  void runOnOperation() override {
    if (failed(verifyDims(getOperation())))
      return signalPassFailure();
    SmallVector<Operation *> ops;
    getOperation()->walk([&](Operation *op) {
      if (isa<RouterOp, RoutingMakeOp, RoutingAppendOp, RoutingLimitOp,
              DispatchOp, CombineOp>(op))
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
    if (auto router = dyn_cast<RouterOp>(op)) {
      Value tokens = router.getTokensOperand();
      if (failed(
              checkRows(op, tokens, router.getWeigh(), "scores of a router")))
        return failure();
      for (auto [i, operand] : llvm::enumerate(router.getPolicyOperands()))
        if (router.getPolicy().isTokenOperand(i) &&
            failed(checkRows(op, tokens, operand, "operands of a router")))
          return failure();
      return success();
    }
    if (auto dispatch = dyn_cast<DispatchOp>(op))
      return checkTokens(op, dispatch.getRouting(), dispatch.getX(),
                         "the input of a layer");
    if (auto append = dyn_cast<RoutingAppendOp>(op))
      return checkTokens(op, append.getRouting(), append.getWeights(),
                         "the weights of shared experts");
    if (auto limit = dyn_cast<RoutingLimitOp>(op))
      return checkTokens(op, limit.getRouting(), limit.getPriority(),
                         "the priorities of a limit");
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
    // Sizes are checked first: what has a wrong one is not read.
    for (Operation &next :
         llvm::make_range(b.getInsertionPoint(), b.getBlock()->end())) {
      if (isa<moert::CheckOp>(next))
        b.setInsertionPointAfter(&next);
      else if (!isPure(&next))
        break;
    }
    Value ok = moek::VerifyRoutingOp::create(b, op.getLoc(), b.getI1Type(),
                                             indices, experts);
    if (failed(emitCheck(
            b, op, ok, moert::Status::BadRouting,
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
    return emitCheck(b, op, ok, moert::Status::BadSize,
                     what + " must have one row for each token of the routing",
                     "take the sizes of both from one tensor");
  }

  /// Checks `ok`, unless that cannot be done here: threads do not end a call.
  LogicalResult emitCheck(OpBuilder &b, Operation *op, Value ok,
                          moert::Status status, const Twine &message,
                          StringRef advice) {
    if (Operation *obstacle =
            moert::CheckOp::findObstacle(b.getInsertionBlock()))
      return op->emitOpError("needs a check at run time (")
             << message.str() << "), which '" << obstacle->getName()
             << "' around it does not allow; " << advice;
    moert::CheckOp::create(b, op->getLoc(), ok, status, message);
    return success();
  }
};
} // namespace
