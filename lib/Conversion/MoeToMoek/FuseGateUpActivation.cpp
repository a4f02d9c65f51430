//===- FuseGateUpActivation.cpp - Activation as an epilogue ----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// An elementwise linalg op on the results of grouped matmuls becomes their
// epilogue. The body is moved, never recognised: any activation fuses.
//
//===----------------------------------------------------------------------===//

#include "Common.h"

#include "moe-mlir/Analysis/WeightUse.h"
#include "moe-mlir/Conversion/MoeToMoek/Passes.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/PatternMatch.h"

namespace moe {
#define GEN_PASS_DEF_FUSEGATEUPACTIVATION
#include "moe-mlir/Conversion/MoeToMoek/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;
using moek::GroupedMatmulOp;

static constexpr llvm::StringLiteral kPassName = "moek-fuse-gate-up-activation";

/// The grouped matmuls that `op` reads, in order of first use.
static SmallVector<GroupedMatmulOp> getMatmuls(linalg::LinalgOp op) {
  SmallVector<GroupedMatmulOp> matmuls;
  for (Value input : op.getDpsInputs())
    if (auto matmul = input.getDefiningOp<GroupedMatmulOp>())
      if (!llvm::is_contained(matmuls, matmul))
        matmuls.push_back(matmul);
  return matmuls;
}

/// Why the elementwise `op` cannot be an epilogue of `matmuls`; empty if it
/// can.
static std::string whyNot(linalg::LinalgOp op,
                          ArrayRef<GroupedMatmulOp> matmuls) {
  if (!op.hasPureTensorSemantics() || op->getNumResults() != 1)
    return "it does not make exactly one tensor";
  if (op.getNumLoops() != 2 || op.getNumParallelLoops() != 2 ||
      llvm::any_of(op.getIndexingMapsArray(),
                   [](AffineMap map) { return !map.isIdentity(); }))
    return "it is not elementwise";
  if (op.payloadUsesValueFromOperand(op.getDpsInitOperand(0)))
    return "it reads its destination";
  for (Value input : op.getDpsInputs())
    if (!input.getDefiningOp<GroupedMatmulOp>())
      return "it reads a tensor that is not the result of a grouped matmul";
  if (matmuls.size() > 2)
    return "it joins more than two matmuls";
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  if (!type.getElementType().isF32())
    return "its result is not f32";

  GroupedMatmulOp first = matmuls.front();
  for (GroupedMatmulOp matmul : matmuls) {
    if (matmul->getBlock() != op->getBlock())
      return "the matmul is in another block";
    if (llvm::any_of(matmul.getResult(0).getUsers(),
                     [&](Operation *user) { return user != op; }))
      return "a result of the matmuls has another use";
    if (matmul.getPositions())
      return "a matmul already sums rows per token";
    if (matmul.getSchedule())
      return "a matmul already has a schedule; fuse before select-schedule";
    if (type.getDimSize(1) != static_cast<int64_t>(matmul.getN()) ||
        cast<RankedTensorType>(matmul.getResult(0).getType()) != type)
      return "the matmul's rows are padded";
    if (!matmul.getOutputs()[0].getDefiningOp<tensor::EmptyOp>())
      return "a matmul writes into rows that others made";
    if (matmuls.size() == 1)
      continue;
    if (matmul.getParts() != 1)
      return "one of two matmuls already is two";
    if (matmul.getLhs() != first.getLhs() ||
        matmul.getOffsets() != first.getOffsets() ||
        matmul.getActive() != first.getActive() ||
        matmul.getGather() != first.getGather() ||
        matmul.getGatherWeights() != first.getGatherWeights() ||
        matmul.getN() != first.getN() || matmul.getK() != first.getK())
      return "the two matmuls do not multiply the same rows, or differ in size";
    if (matmul.getBiases().size() != first.getBiases().size())
      return "one of the two matmuls has a bias and the other has none; give "
             "both one";
  }
  for (GroupedMatmulOp matmul : matmuls) {
    if (matmuls.size() == 1)
      break;
    auto pack = matmul.getRhs().getDefiningOp<moek::PackOp>();
    auto firstPack = first.getRhs().getDefiningOp<moek::PackOp>();
    if (!pack || !firstPack)
      return "the weights are packed already; keep moek.pack in the function";
    if (pack.getWeights().getTypes() != firstPack.getWeights().getTypes())
      return "the weights of the two matmuls differ in type";
  }
  std::string why;
  if (matmuls.size() == 2) {
    SmallVector<Value> parts;
    for (GroupedMatmulOp matmul : matmuls)
      llvm::append_range(
          parts, matmul.getRhs().getDefiningOp<moek::PackOp>().getWeights());
    if (!canPackTogether(parts, why))
      return "their weights cannot be packed together: " + why;
  }
  Block &body = *op.getBlock();
  for (Operation &inner : body.without_terminator())
    if (!isMovableScalarOp(inner, *body.getParent(), why))
      return why;
  return {};
}

static void fuse(RewriterBase &b, linalg::LinalgOp op,
                 ArrayRef<GroupedMatmulOp> matmuls) {
  GroupedMatmulOp first = matmuls.front();
  Location loc = op.getLoc();
  bool pair = matmuls.size() == 2;
  Value rhs = first.getRhs();
  GroupedMatmulOp second = pair ? matmuls[1] : first;
  SmallVector<Value> biases(first.getBiases());
  b.setInsertionPoint(op);
  if (pair) {
    SmallVector<Value> parts;
    auto gate = first.getRhs().getDefiningOp<moek::PackOp>();
    auto up = second.getRhs().getDefiningOp<moek::PackOp>();
    for (auto [g, u] : llvm::zip(gate.getWeights(), up.getWeights()))
      parts.append({g, u});
    rhs = moek::PackOp::create(b, gate.getLoc(), parts, /*parts=*/2);
    llvm::append_range(biases, second.getBiases());
  }
  // Nobody reads the destination: it may be a result of the matmuls that go.
  Value out = op.getDpsInits()[0];
  if (llvm::is_contained(matmuls, out.getDefiningOp<GroupedMatmulOp>()))
    out = first.getOutputs()[0];
  auto fused = GroupedMatmulOp::create(
      b, loc, TypeRange{out.getType()}, first.getLhs(), rhs, first.getOffsets(),
      first.getActive(), first.getGather(), first.getGatherWeights(), biases,
      /*positions=*/Value(), /*slot_weights=*/Value(), /*init=*/Value(),
      ValueRange{out}, first.getN(), first.getK(),
      pair ? uint64_t(2) : first.getParts(), moek::ScheduleAttrInterface());
  {
    OpBuilder::InsertionGuard guard(b);
    SmallVector<Type> types(fused.getParts(), b.getF32Type());
    Block *block = b.createBlock(&fused.getEpilogue(), {}, types,
                                 SmallVector<Location>(types.size(), loc));
    // Each matmul's own epilogue comes first.
    DenseMap<Value, Value> values;
    unsigned argument = 0;
    for (GroupedMatmulOp matmul : matmuls) {
      IRMapping mapping;
      Block &own = matmul.getEpilogue().front();
      for (BlockArgument arg : own.getArguments())
        mapping.map(arg, block->getArgument(argument++));
      values[matmul.getResult(0)] = cloneScalarBody(b, own, mapping);
    }
    IRMapping mapping;
    for (OpOperand *input : op.getDpsInputOperands())
      mapping.map(op.getMatchingBlockArgument(input), values[input->get()]);
    Value result = cloneScalarBody(b, *op.getBlock(), mapping);
    moek::YieldOp::create(b, loc, ValueRange{result});
  }
  b.replaceOp(op, fused.getResults());
  for (GroupedMatmulOp matmul : matmuls) {
    auto pack = matmul.getRhs().getDefiningOp<moek::PackOp>();
    b.eraseOp(matmul);
    if (pack && pack->use_empty())
      b.eraseOp(pack);
  }
}

namespace {
struct FuseActivation : OpInterfaceRewritePattern<linalg::LinalgOp> {
  using OpInterfaceRewritePattern::OpInterfaceRewritePattern;
  LogicalResult matchAndRewrite(linalg::LinalgOp op,
                                PatternRewriter &rewriter) const override {
    SmallVector<GroupedMatmulOp> matmuls = getMatmuls(op);
    if (matmuls.empty())
      return failure();
    std::string why = whyNot(op, matmuls);
    if (!why.empty())
      return rewriter.notifyMatchFailure(op, why);
    fuse(rewriter, op, matmuls);
    return success();
  }
};

struct FuseGateUpActivation
    : moe::impl::FuseGateUpActivationBase<FuseGateUpActivation> {
  void runOnOperation() override {
    resolveDimsOfResults(getOperation());
    SmallVector<linalg::LinalgOp> ops;
    getOperation()->walk([&](linalg::LinalgOp op) { ops.push_back(op); });
    IRRewriter rewriter(&getContext());
    for (linalg::LinalgOp op : ops) {
      SmallVector<GroupedMatmulOp> matmuls = getMatmuls(op);
      if (matmuls.empty())
        continue;
      std::string why = whyNot(op, matmuls);
      if (why.empty()) {
        remarkPassed(op, kPassName)
            << (matmuls.size() == 2
                    ? "two matmuls and their activation are one kernel"
                    : "the activation is the epilogue of its matmul");
        fuse(rewriter, op, matmuls);
        continue;
      }
      remarkMissed(op, kPassName)
          << ("the op on a matmul's result is not its epilogue: " + why +
              "; an elementwise op on nothing but the results of one or two "
              "matmuls of the same rows would be");
    }
  }
};
} // namespace

void moe::populateFuseGateUpActivationPatterns(RewritePatternSet &patterns) {
  patterns.add<FuseActivation>(patterns.getContext());
}
