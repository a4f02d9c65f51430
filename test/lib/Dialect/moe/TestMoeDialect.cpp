//===- TestMoeDialect.cpp - Calls what attributes can build ----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Test passes around the interfaces of the moe dialect. They make the IR that
// policies, weighings and activations build visible, and executable by
// mlir-runner, without any lowering of the project.
//
//===----------------------------------------------------------------------===//

#include "moe/Moe.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassRegistry.h"

using namespace mlir;

namespace {

/// Lists become regions.
struct TestExpand : PassWrapper<TestExpand, OperationPass<>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(TestExpand)
  StringRef getArgument() const final { return "test-moe-expand"; }
  StringRef getDescription() const final {
    return "Expands named activations and lists of weighings into regions";
  }
  void runOnOperation() final {
    IRRewriter rewriter(&getContext());
    getOperation()->walk([&](moe::FFNOp op) {
      rewriter.setInsertionPoint(op);
      (void)op.expandActivation(rewriter);
    });
    getOperation()->walk([&](moe::RouterOp op) {
      rewriter.setInsertionPoint(op);
      (void)op.expandWeighing(rewriter);
    });
  }
};

/// moe.ffn becomes linalg.
struct TestGeneralize : PassWrapper<TestGeneralize, OperationPass<>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(TestGeneralize)
  StringRef getArgument() const final { return "test-moe-generalize-ffn"; }
  StringRef getDescription() const final { return "Writes moe.ffn as linalg"; }
  void getDependentDialects(DialectRegistry &registry) const final {
    registry.insert<moe::MoeDialect>();
  }
  void runOnOperation() final {
    IRRewriter rewriter(&getContext());
    SmallVector<moe::FFNOp> ops;
    getOperation()->walk([&](moe::FFNOp op) { ops.push_back(op); });
    for (moe::FFNOp op : ops) {
      rewriter.setInsertionPoint(op);
      FailureOr<SmallVector<Value>> values = op.generalize(rewriter);
      if (failed(values))
        return signalPassFailure();
      rewriter.replaceOp(op, *values);
    }
  }
};

/// A router of statically many tokens becomes select and weights in a loop
/// over the tokens, and a moe.routing.make.
struct TestRoute : PassWrapper<TestRoute, OperationPass<>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(TestRoute)
  StringRef getArgument() const final { return "test-moe-route"; }
  StringRef getDescription() const final {
    return "Writes moe.router as a loop over tokens";
  }
  void getDependentDialects(DialectRegistry &registry) const final {
    registry.insert<moe::MoeDialect>();
  }
  void runOnOperation() final {
    IRRewriter rewriter(&getContext());
    SmallVector<moe::RouterOp> ops;
    getOperation()->walk([&](moe::RouterOp op) { ops.push_back(op); });
    for (moe::RouterOp op : ops)
      route(rewriter, op);
  }

  void route(IRRewriter &b, moe::RouterOp op) {
    Location loc = op.getLoc();
    b.setInsertionPoint(op);
    int64_t experts = op.getNumExperts(), slots = op.getNumSlots();
    Type element = op.getElementType();
    auto rowType = VectorType::get(experts, element);
    auto valuesType = VectorType::get(slots, element);
    OpFoldResult tokens = tensor::getMixedSize(b, loc, op.getSelect(), 0);
    Value end = getValueOrCreateConstantIndexOp(b, loc, tokens);
    Value zero = arith::ConstantIndexOp::create(b, loc, 0);
    Value one = arith::ConstantIndexOp::create(b, loc, 1);
    Value pad = moe::buildFloatConstant(b, loc, element, 0.0);
    SmallVector<OpFoldResult> sizes{tokens, b.getIndexAttr(slots)};
    Value indices = tensor::EmptyOp::create(b, loc, sizes, b.getI32Type());
    Value weights = tensor::EmptyOp::create(b, loc, sizes, element);
    auto loop = scf::ForOp::create(
        b, loc, zero, end, one, ValueRange{indices, weights},
        [&](OpBuilder &b, Location loc, Value t, ValueRange state) {
          SmallVector<Value> at{t, zero};
          SmallVector<bool> inBounds{true};
          auto map = AffineMap::getMinorIdentityMap(2, 1, b.getContext());
          auto read = [&](Value from) -> Value {
            return vector::TransferReadOp::create(b, loc, rowType, from, at,
                                                  pad, map, inBounds);
          };
          Value chosen =
              op.getPolicy()
                  .buildSelect(b, loc, read(op.getSelect()), {})
                  .experts;
          Value row = read(op.getWeigh());
          Value values = moe::buildFloatConstant(b, loc, valuesType, 0.0);
          for (int64_t i = 0; i < slots; ++i) {
            Value expert = vector::ExtractOp::create(b, loc, chosen, i);
            Value place =
                arith::IndexCastOp::create(b, loc, b.getIndexType(), expert);
            Value value =
                vector::ExtractOp::create(b, loc, row, OpFoldResult(place));
            values = vector::InsertOp::create(b, loc, value, values, i);
          }
          Value weights = op.buildWeights(b, loc, values);
          auto write = [&](Value vector, Value to) -> Value {
            return vector::TransferWriteOp::create(b, loc, vector, to, at, map,
                                                   inBounds)
                .getResult();
          };
          scf::YieldOp::create(
              b, loc,
              ValueRange{write(chosen, state[0]), write(weights, state[1])});
        });
    b.replaceOpWithNewOp<moe::RoutingMakeOp>(
        op, op.getRouting().getType(), loop.getResult(0), loop.getResult(1));
  }
};

} // namespace

namespace moe::test {
void registerTestMoeDialect() {
  PassRegistration<TestExpand>();
  PassRegistration<TestGeneralize>();
  PassRegistration<TestRoute>();
}
} // namespace moe::test
