//===- FuseGateUpActivation.cpp - Activation as an epilogue ----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// An elementwise function of the rows of grouped matmuls becomes their
// epilogue. The body is moved, never recognised: any activation fuses.
//
//===----------------------------------------------------------------------===//

#include "Common.h"
#include "RowOperands.h"

#include "moe-mlir/Analysis/WeightUse.h"
#include "moe-mlir/Conversion/MoeToMoek/Passes.h"
#include "moek/KernelRegion.h"

#include "mlir/Dialect/Utils/StructuredOpsUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/PatternMatch.h"

namespace moe {
#define GEN_PASS_DEF_FUSEGATEUPACTIVATION
#include "moe-mlir/Conversion/MoeToMoek/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;
using moek::GroupedMatmulOp;
using moek::RowMapOp;

static constexpr llvm::StringLiteral kPassName = "moek-fuse-gate-up-activation";

/// The grouped matmuls whose rows `op` reads, in order of first use.
static SmallVector<GroupedMatmulOp> getMatmuls(RowMapOp op) {
  SmallVector<GroupedMatmulOp> matmuls;
  for (Value rows : op.getRows())
    if (auto matmul = rows.getDefiningOp<GroupedMatmulOp>())
      if (!llvm::is_contained(matmuls, matmul))
        matmuls.push_back(matmul);
  return matmuls;
}

/// Why the rows of `matmul` cannot be handed to `op` in registers; empty if
/// they can.
static std::string whyNotEpilogue(RowMapOp op, GroupedMatmulOp matmul) {
  auto type = cast<RankedTensorType>(op.getResult(0).getType());
  if (matmul->getBlock() != op->getBlock())
    return "the matmul is in another block";
  if (llvm::any_of(matmul.getResult(0).getUsers(),
                   [&](Operation *user) { return user != op; }))
    return "a result of the matmuls has another use";
  if (matmul.getPositions())
    return "a matmul already sums rows per token";
  if (matmul.getSchedule())
    return "a matmul already has a schedule; fuse before select-schedule";
  if (matmul.getOffsets() != op.getOffsets())
    return "a matmul has other groups";
  if (type.getDimSize(1) != static_cast<int64_t>(matmul.getN()) ||
      cast<RankedTensorType>(matmul.getResult(0).getType()).getDimSize(1) !=
          type.getDimSize(1))
    return "the matmul's rows are padded";
  if (!matmul.getOutputs()[0].getDefiningOp<tensor::EmptyOp>())
    return "a matmul writes into rows that others made";
  if (matmul.getTokens() && op.getTokens() &&
      matmul.getTokens() != op.getTokens())
    return "a matmul reads rows of other tokens";
  return {};
}

/// Why `second` cannot be one kernel with `first`; empty if it can.
static std::string whyNotTogether(GroupedMatmulOp first,
                                  GroupedMatmulOp second) {
  if (first.getParts() != 1 || second.getParts() != 1)
    return "one of two matmuls already is two";
  if (second.getLhs() != first.getLhs() ||
      second.getActive() != first.getActive() ||
      second.getGather() != first.getGather() ||
      second.getGatherWeights() != first.getGatherWeights() ||
      second.getN() != first.getN() || second.getK() != first.getK())
    return "the two matmuls do not multiply the same rows, or differ in size";
  if (first.getTokens() && second.getTokens() &&
      first.getTokens() != second.getTokens())
    return "a matmul reads rows of other tokens";
  auto pack = second.getRhs().getDefiningOp<moek::PackOp>();
  auto firstPack = first.getRhs().getDefiningOp<moek::PackOp>();
  if (!pack || !firstPack)
    return "the weights are packed already; keep moek.pack in the function";
  if (pack.getWeights().getTypes() != firstPack.getWeights().getTypes())
    return "the weights of the two matmuls differ in type";
  SmallVector<Value> parts(firstPack.getWeights());
  llvm::append_range(parts, pack.getWeights());
  std::string why;
  if (!canPackTogether(parts, why))
    return "their weights cannot be packed together: " + why;
  return {};
}

/// Which matmuls take `op` as their epilogue: two of the same rows together, or
/// the last of them that can, to which the others' rows are just rows. None and
/// a reason in `why` otherwise.
static SmallVector<GroupedMatmulOp> chooseMatmuls(RowMapOp op,
                                                  std::string &why) {
  SmallVector<GroupedMatmulOp> matmuls = getMatmuls(op);
  for (Operation &inner : op.getBody().front().without_terminator())
    if (!moek::isRowBroadcast(inner)) {
      why = moek::whyNotOnElements(inner);
      if (!why.empty())
        return {};
    }
  // A row of a constant that differs from column to column has no element.
  for (auto constant : op.getBody().getOps<arith::ConstantOp>())
    if (auto dense = dyn_cast<DenseElementsAttr>(constant.getValue());
        dense && !dense.isSplat()) {
      why = "its body has a constant that differs from column to column";
      return {};
    }
  if (op->getNumResults() != 1 ||
      cast<RankedTensorType>(op.getResult(0).getType()).getRank() != 2) {
    why = "it does not make exactly one tensor of rows";
    return {};
  }
  if (!isa<Float32Type, BFloat16Type>(
          getElementTypeOrSelf(op.getResult(0).getType()))) {
    why = "it makes something else than f32 or bf16, which matmuls write";
    return {};
  }
  SmallVector<GroupedMatmulOp> able;
  for (GroupedMatmulOp matmul : matmuls) {
    std::string reason = whyNotEpilogue(op, matmul);
    if (reason.empty())
      able.push_back(matmul);
    else
      why = reason;
  }
  if (able.size() == 2) {
    why = whyNotTogether(able[0], able[1]);
    if (why.empty())
      return able;
  }
  if (able.empty())
    return {};
  GroupedMatmulOp last = able.front();
  for (GroupedMatmulOp matmul : ArrayRef(able).drop_front())
    if (last->isBeforeInBlock(matmul))
      last = matmul;
  return {last};
}

/// The body of `op`, of rows, on the elements that `mapping` has.
static Value cloneOnElements(OpBuilder &b, Block &body, IRMapping &mapping) {
  for (Operation &inner : body.without_terminator()) {
    if (moek::isRowBroadcast(inner)) {
      mapping.map(inner.getResult(0), mapping.lookup(inner.getOperand(0)));
      continue;
    }
    if (auto constant = dyn_cast<arith::ConstantOp>(inner)) {
      TypedAttr value = constant.getValue();
      if (auto dense = dyn_cast<DenseElementsAttr>(value))
        value = cast<TypedAttr>(dense.getSplatValue<Attribute>());
      mapping.map(constant.getResult(),
                  arith::ConstantOp::create(b, inner.getLoc(), value));
      continue;
    }
    SmallVector<Value> operands;
    for (Value operand : inner.getOperands())
      operands.push_back(mapping.lookup(operand));
    Type type = getElementTypeOrSelf(inner.getResult(0).getType());
    mapping.map(inner.getResults(),
                clone(b, &inner, type, operands)->getResults());
  }
  Value result = mapping.lookup(body.getTerminator()->getOperand(0));
  // Epilogues hand over f32.
  if (!result.getType().isF32())
    result = arith::ExtFOp::create(b, result.getLoc(), b.getF32Type(), result);
  return result;
}

static void fuse(RewriterBase &b, RowMapOp op,
                 ArrayRef<GroupedMatmulOp> matmuls) {
  GroupedMatmulOp first = matmuls.front();
  Location loc = op.getLoc();
  bool pair = matmuls.size() == 2;
  Value rhs = first.getRhs();
  StringAttr phase = first.getPhaseAttr();
  b.setInsertionPoint(op);
  if (pair) {
    SmallVector<Value> parts;
    GroupedMatmulOp second = matmuls[1];
    auto gate = first.getRhs().getDefiningOp<moek::PackOp>();
    auto up = second.getRhs().getDefiningOp<moek::PackOp>();
    for (auto [g, u] : llvm::zip(gate.getWeights(), up.getWeights()))
      parts.append({g, u});
    rhs = moek::PackOp::create(b, gate.getLoc(), parts, /*parts=*/2);
    if (StringAttr other = second.getPhaseAttr();
        phase && other && other != phase)
      phase = b.getStringAttr(phase.getValue() + "_" + other.getValue());
  }

  // Of a pair, only what both may leave out.
  FloatAttr skipZeros = first.getSkipZerosAttr();
  for (GroupedMatmulOp matmul : matmuls)
    if (FloatAttr own = matmul.getSkipZerosAttr();
        !own || (skipZeros && own.getValue() < skipZeros.getValue()))
      skipZeros = own;

  // What the op reads of the matmuls is in registers.
  auto isOwn = [&](Value rows) {
    auto matmul = rows.getDefiningOp<GroupedMatmulOp>();
    return matmul && llvm::is_contained(matmuls, matmul);
  };
  RowOperands operands;
  for (GroupedMatmulOp matmul : matmuls)
    operands.add(matmul, [](Value) { return false; });
  operands.add(op, isOwn);

  auto parts = static_cast<unsigned>(pair ? 2 : first.getParts());
  auto fused = GroupedMatmulOp::create(
      b, loc, TypeRange{op.getOutputs()[0].getType()}, first.getLhs(), rhs,
      first.getOffsets(), first.getActive(), first.getGather(),
      first.getGatherWeights(), operands.getTokens(), operands.getGathered(),
      operands.getRows(), operands.getParameters(), /*positions=*/Value(),
      /*first_row=*/Value(), /*num_rows=*/Value(), /*slot_weights=*/Value(),
      /*init=*/Value(), op.getOutputs(), first.getN(), first.getK(), parts,
      phase, first.getFormatAttr(), skipZeros, moek::ScheduleAttrInterface());
  fused->setDiscardableAttrs(first->getDiscardableAttrDictionary());
  {
    OpBuilder::InsertionGuard guard(b);
    SmallVector<Type> types(parts, b.getF32Type());
    Block *block = b.createBlock(&fused.getEpilogue(), {}, types,
                                 SmallVector<Location>(types.size(), loc));
    operands.addArguments(*block, loc, [](Value operand) {
      return getElementTypeOrSelf(operand.getType());
    });
    // Each matmul's own epilogue comes first.
    DenseMap<Value, Value> sums;
    unsigned part = 0;
    for (GroupedMatmulOp matmul : matmuls) {
      IRMapping mapping;
      Block &own = matmul.getEpilogue().front();
      for (unsigned i = 0; i < matmul.getParts(); ++i)
        mapping.map(own.getArgument(i), block->getArgument(part++));
      operands.map(mapping, own, matmul.getParts(), matmul, {});
      sums[matmul.getResult(0)] = cloneScalarBody(b, own, mapping);
    }
    IRMapping mapping;
    Block &body = op.getBody().front();
    operands.map(mapping, body, 0, op, sums);
    moek::YieldOp::create(b, loc,
                          ValueRange{cloneOnElements(b, body, mapping)});
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
struct FuseActivation : OpRewritePattern<RowMapOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(RowMapOp op,
                                PatternRewriter &rewriter) const override {
    std::string why = "it reads no rows of a grouped matmul";
    SmallVector<GroupedMatmulOp> matmuls = chooseMatmuls(op, why);
    if (matmuls.empty())
      return rewriter.notifyMatchFailure(op, why);
    fuse(rewriter, op, matmuls);
    return success();
  }
};

struct FuseGateUpActivation
    : moe::impl::FuseGateUpActivationBase<FuseGateUpActivation> {
  void runOnOperation() override {
    resolveDimsOfResults(getOperation());
    SmallVector<RowMapOp> ops;
    getOperation()->walk([&](RowMapOp op) { ops.push_back(op); });
    IRRewriter rewriter(&getContext());
    // Why rows are stored is said once for each matmul that makes them.
    DenseSet<Operation *> told;
    for (RowMapOp op : ops) {
      if (getMatmuls(op).empty())
        continue;
      std::string why;
      SmallVector<GroupedMatmulOp> matmuls = chooseMatmuls(op, why);
      if (!matmuls.empty()) {
        remarkPassed(op, kPassName)
            << (matmuls.size() == 2
                    ? "two matmuls and their activation are one kernel"
                    : "the activation is the epilogue of its matmul");
        for (GroupedMatmulOp other : getMatmuls(op))
          if (matmuls.size() == 1 && !why.empty() && other != matmuls.front()) {
            reportMissed(
                op, kPassName,
                {"two matmuls stay apart",
                 why,
                 "two of the same rows and of one size become one kernel",
                 {other->getResult(0), getRowsOfToken(op.getOffsets())}});
            break;
          }
        fuse(rewriter, op, matmuls);
        continue;
      }
      bool isNew = false;
      for (GroupedMatmulOp matmul : getMatmuls(op))
        isNew |= told.insert(matmul).second;
      if (!isNew)
        continue;
      reportMissed(
          op, kPassName,
          {"what is done to a matmul's rows is not its epilogue",
           why,
           "an elementwise function of the rows of matmuls that nothing else "
           "reads would be",
           {getMatmuls(op).front()->getResult(0),
            getRowsOfToken(op.getOffsets())}});
    }
  }
};
} // namespace

void moe::populateFuseGateUpActivationPatterns(RewritePatternSet &patterns) {
  patterns.add<FuseActivation>(patterns.getContext());
}
