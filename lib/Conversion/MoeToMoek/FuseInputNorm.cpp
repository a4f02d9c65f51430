//===- FuseInputNorm.cpp - The norm in front of a layer ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Ordinary IR sums the squares of all rows, and then reads them again to scale
// them. As a function of a row both happen while the row is in the first-level
// cache, and the kernel that does it can leave the rows as the router's product
// and the gather of the experts read them.
//
//===----------------------------------------------------------------------===//

#include "Common.h"
#include "ExpertBody.h"
#include "Payload.h"

#include "moe-mlir/Conversion/MoeToMoek/Passes.h"
#include "moek/KernelRegion.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Dialect/Vector/Utils/VectorUtils.h"
#include "mlir/IR/PatternMatch.h"
#include "llvm/ADT/SetVector.h"

namespace moe {
#define GEN_PASS_DEF_FUSEINPUTNORM
#include "moe-mlir/Conversion/MoeToMoek/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;

static constexpr llvm::StringLiteral kPassName = "moek-fuse-input-norm";

namespace {
/// The ops that compute some rows, each from one row of other tensors.
class RowFunction {
public:
  /// Sums of rows are among them with `sums`.
  RowFunction(Value result, bool sums) : result(result), sums(sums) {}

  /// Finds the ops; a reason in `why` if the rows are computed otherwise.
  LogicalResult collect(std::string &why);
  void rewrite(RewriterBase &b);

private:
  using Form = RowLoops::Form;

  std::string whyNot(linalg::LinalgOp op, SmallVectorImpl<Value> &needs);
  bool dies(Operation *op) const;
  static bool isUniform(Value value) { return getSplat(value).has_value(); }
  Value buildOp(OpBuilder &b, linalg::LinalgOp op);

  Value result;
  bool sums;
  int64_t length = 0;
  SetVector<Operation *> ops;
  /// `[T, N]` or `[T]`, and `[N]`.
  SetVector<Value> rows, parameters;
  /// In the region.
  DenseMap<Value, Value> values;
};
} // namespace

bool RowFunction::dies(Operation *op) const {
  return llvm::all_of(op->getUsers(),
                      [&](Operation *user) { return ops.contains(user); });
}

std::string RowFunction::whyNot(linalg::LinalgOp op,
                                SmallVectorImpl<Value> &needs) {
  if (!op.hasPureTensorSemantics() || op->getNumResults() != 1 ||
      op.getNumDpsInits() != 1)
    return "it does not make exactly one tensor";
  std::string why;
  std::optional<RowLoops> loops = matchRowLoops(op, why);
  if (!loops)
    return "it " + why;
  if (loops->column && loops->length != length)
    return "it works on rows of another length";
  OpOperand *init = op.getDpsInitOperand(0);
  Form form = loops->column && !loops->reduces ? Form::Rows : Form::RowValues;
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  if (loops->getForm(*init) != form ||
      type.getRank() != (form == Form::Rows ? 2 : 1))
    return "it transposes its result";
  if (loops->reduces && !sums)
    return "sums keep their order";
  if (loops->reduces && !(matchCombiner(op) && isUniform(init->get()) &&
                          type.getElementType().isF32()))
    return "it reduces by something else than a sum, product, maximum or "
           "minimum of f32 from a constant on";
  for (OpOperand &operand : op->getOpOperands()) {
    Value value = operand.get();
    if (!op.payloadUsesValueFromOperand(&operand) || isUniform(value) ||
        (loops->reduces && &operand == init))
      continue;
    auto type = dyn_cast<RankedTensorType>(value.getType());
    auto element =
        type ? dyn_cast<FloatType>(type.getElementType()) : FloatType();
    if (!element || element.isF64())
      return "it reads something else than floats of up to 32 bits";
    Form form = loops->getForm(operand);
    bool isRow = form == Form::Rows && type.getRank() == 2;
    bool isValue = form == Form::RowValues && type.getRank() == 1;
    bool isVector = form == Form::Columns && type.getRank() == 1 &&
                    type.getDimSize(0) == length;
    if (!isRow && !isValue && !isVector)
      return "it reads operand " + std::to_string(operand.getOperandNumber()) +
             " in another way than row by row";
    if (isVector)
      parameters.insert(value);
    else
      needs.push_back(value);
  }
  Block &body = *op.getBlock();
  for (Operation &inner : body.without_terminator())
    if (!isMovableScalarOp(inner, *body.getParent(), why))
      return why;
  return {};
}

LogicalResult RowFunction::collect(std::string &why) {
  auto type = cast<RankedTensorType>(result.getType());
  length = type.getDimSize(1);
  SetVector<Value> pending;
  pending.insert(result);
  // Users come before what they use, so that an op is decided when all of its
  // users are.
  while (!pending.empty()) {
    Value last = pending.front();
    auto isInside = [&](Value value) {
      Operation *def = value.getDefiningOp();
      return def && def->getBlock() == result.getParentBlock();
    };
    for (Value value : pending)
      if (isInside(value) &&
          (!isInside(last) ||
           last.getDefiningOp()->isBeforeInBlock(value.getDefiningOp())))
        last = value;
    pending.remove(last);
    auto op = isInside(last) ? last.getDefiningOp<linalg::LinalgOp>()
                             : linalg::LinalgOp();
    bool isFirst = ops.empty();
    SmallVector<Value> needs;
    SetVector<Value> known = parameters;
    std::string reason = !op                   ? "no function of a row makes it"
                         : isFirst || dies(op) ? whyNot(op, needs)
                                               : "its result has other uses";
    if (!reason.empty()) {
      if (isFirst) {
        why = reason;
        return failure();
      }
      parameters = known;
      rows.insert(last);
      continue;
    }
    ops.insert(op);
    for (Value need : needs)
      if (!rows.contains(need))
        pending.insert(need);
  }
  return success();
}

Value RowFunction::buildOp(OpBuilder &b, linalg::LinalgOp op) {
  std::string why;
  RowLoops loops = *matchRowLoops(op, why);
  Location loc = op.getLoc();
  Block &payload = *op.getBlock();
  IRMapping mapping;
  for (OpOperand &operand : op->getOpOperands()) {
    if (!op.payloadUsesValueFromOperand(&operand) ||
        (loops.reduces && op.isDpsInit(&operand)))
      continue;
    Value inside = values.lookup(operand.get());
    if (!inside)
      inside = arith::ConstantOp::create(b, loc, *getSplat(operand.get()));
    mapping.map(op.getMatchingBlockArgument(&operand), inside);
  }
  Value yielded = payload.getTerminator()->getOperand(0);
  if (!loops.reduces) {
    Value value =
        buildPayloadOnRow(b, payload, mapping, yielded, length).front();
    return loops.column ? spreadOverRow(b, loc, value, length) : value;
  }
  Combiner combiner = *matchCombiner(op);
  Value term =
      buildPayloadOnRow(b, payload, mapping, combiner.term, length).front();
  Value all = vector::ReductionOp::create(b, loc, combiner.kind,
                                          spreadOverRow(b, loc, term, length));
  Value start = arith::ConstantOp::create(
      b, loc, *getSplat(op.getDpsInitOperand(0)->get()));
  return vector::makeArithReduction(b, loc, combiner.kind, all, start);
}

void RowFunction::rewrite(RewriterBase &b) {
  Operation *last = result.getDefiningOp();
  Location loc = last->getLoc();
  b.setInsertionPoint(last);
  // All rows are one group.
  Value init = cast<linalg::LinalgOp>(last).getDpsInits()[0];
  auto empty = init.getDefiningOp<tensor::EmptyOp>();
  Value size = empty && empty.getType().isDynamicDim(0)
                   ? Value(empty.getDynamicSizes().front())
                   : getDim(b, loc, init, 0);
  Value count = arith::IndexCastOp::create(b, loc, b.getI32Type(), size);
  Value zero = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(0));
  Value offsets =
      tensor::FromElementsOp::create(b, loc, ValueRange{zero, count});
  SmallVector<Value> shared;
  for (Value value : parameters) {
    auto type = cast<RankedTensorType>(value.getType());
    shared.push_back(
        tensor::ExpandShapeOp::create(b, loc, type.clone({1, length}), value,
                                      ArrayRef<ReassociationIndices>{{0, 1}}));
  }
  // Rows, then one value a row.
  SmallVector<Value> inputs(rows.begin(), rows.end());
  llvm::stable_sort(inputs, [](Value l, Value r) {
    return cast<RankedTensorType>(l.getType()).getRank() >
           cast<RankedTensorType>(r.getType()).getRank();
  });
  auto type = cast<RankedTensorType>(result.getType());
  Value out = buildEmptyRows(b, loc, size, length, type.getElementType());
  auto map = moek::RowMapOp::create(
      b, loc, TypeRange{out.getType()}, offsets, /*tokens=*/Value(),
      /*gathered=*/ValueRange(), inputs, shared, ValueRange{out});
  {
    OpBuilder::InsertionGuard guard(b);
    Block *block = b.createBlock(&map.getBody());
    for (Value value : inputs)
      values[value] = block->addArgument(moek::getRowType(value, length), loc);
    for (auto [value, tensor] : llvm::zip(parameters, shared))
      values[value] = block->addArgument(moek::getRowType(tensor, length), loc);
    SmallVector<Operation *> order(ops.begin(), ops.end());
    llvm::sort(order, [](Operation *l, Operation *r) {
      return l->isBeforeInBlock(r);
    });
    for (Operation *op : order)
      values[op->getResult(0)] = buildOp(b, cast<linalg::LinalgOp>(op));
    moek::YieldOp::create(b, loc, values.lookup(result));
  }
  b.replaceAllUsesWith(result, map->getResult(0));
  // Users first.
  for (Operation *op : ops)
    b.eraseOp(op);
}

/// What kernels of a layer read as its input.
static void collectInputs(Operation *root, SetVector<Value> &inputs) {
  root->walk([&](Operation *op) {
    if (auto route = dyn_cast<moek::RouteOp>(op)) {
      if (route.getX() && route->getNumResults() != 0)
        inputs.insert(route.getX());
    } else if (auto matmul = dyn_cast<moek::GroupedMatmulOp>(op)) {
      if (matmul.getGather() && matmul->getNumResults() != 0)
        inputs.insert(matmul.getLhs());
    }
  });
}

namespace {
struct FuseInputNorm : moe::impl::FuseInputNormBase<FuseInputNorm> {
  using FuseInputNormBase::FuseInputNormBase;

  void runOnOperation() override {
    resolveDimsOfResults(getOperation());
    SetVector<Value> inputs;
    collectInputs(getOperation(), inputs);
    IRRewriter rewriter(&getContext());
    for (Value input : inputs) {
      auto type = cast<RankedTensorType>(input.getType());
      Operation *def = input.getDefiningOp();
      if (!isa_and_nonnull<linalg::LinalgOp>(def) ||
          isa<linalg::ContractionOpInterface, linalg::FillOp>(def) ||
          type.getRank() != 2 || !type.isDynamicDim(0) ||
          type.isDynamicDim(1) || !type.getElementType().isF32())
        continue;
      RowFunction function(input, sums);
      std::string why;
      if (failed(function.collect(why))) {
        reportMissed(
            def, kPassName,
            {"the input of a layer is computed by ordinary IR",
             why,
             "elementwise ops and sums of each row, with values of the "
             "row and of the column, become one kernel",
             {input}});
        continue;
      }
      remarkPassed(def, kPassName) << "the input of a layer is made by one "
                                      "kernel, as the kernels of the "
                                      "layer read it";
      function.rewrite(rewriter);
    }
  }
};
} // namespace
