//===- RaiseShared.cpp - Shared experts in tensor programs -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// An FFN of the tokens of a layer that is added to its result is what the layer
// starts its sum from, as in an imported model; moe-fold-shared-expert takes it
// from there.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Raise/Passes.h"

#include "ExpertBody.h"
#include "WriteExpr.h"
#include "WriteFFN.h"

#include "moe/Moe.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Remarks.h"

namespace moe {
#define GEN_PASS_DEF_RAISESHARED
#include "moe-mlir/Raise/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;
using namespace moe::raise;

static constexpr llvm::StringLiteral kPassName = "moe-raise-shared";

namespace {

/// A tensor that may be the sum of a layer and something else.
class SharedRaiser {
public:
  SharedRaiser(Operation *op, Elements &elements)
      : op(op), elements(elements), exprs(elements.exprs) {}

  void run();

private:
  bool findLayer();
  /// Splits what is added into an FFN and its factor per token.
  void splitGate(const Expr *addend);
  Value writeGate(OpBuilder &b);
  /// Why it stays as it is; empty if it does not.
  std::string write();

  Operation *op;
  Elements &elements;
  Exprs &exprs;
  const Expr *token = nullptr, *column = nullptr;
  CombineOp combine;
  DispatchOp dispatch;
  const Expr *addend = nullptr;
  const Expr *row = nullptr;
  const Expr *gate = nullptr; ///< null if it is 1
};

struct RaiseShared : moe::impl::RaiseSharedBase<RaiseShared> {
  void runOnOperation() override {
    // What reads the result of a layer comes behind it.
    llvm::SmallSetVector<Operation *, 8> open;
    getOperation()->walk([&](CombineOp op) {
      if (!op.getInit())
        open.insert(op);
    });
    SmallVector<Operation *> sums;
    for (unsigned i = 0; i < open.size(); ++i)
      for (Operation *user : open[i]->getUsers()) {
        if (isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp>(
                user))
          open.insert(user);
        else if (user->getNumResults() == 1 &&
                 isa<linalg::LinalgOp, arith::AddFOp>(user))
          sums.push_back(user);
      }
    Elements elements(&getContext());
    for (Operation *op : sums)
      if (!op->use_empty())
        SharedRaiser(op, elements).run();
  }
};

} // namespace

/// The indices of the row `token` of a tensor whose last dimension is columns;
/// nothing if that takes sizes that are not known.
static std::optional<SmallVector<const Expr *>>
getRowIndices(Exprs &exprs, ArrayRef<int64_t> shape, const Expr *token,
              const Expr *column) {
  SmallVector<const Expr *> indices = {column};
  const Expr *rest = token;
  bool isFirst = true;
  for (int64_t d = shape.size() - 2; d >= 0; --d) {
    bool isLast = llvm::all_of(shape.take_front(d),
                               [](int64_t size) { return size == 1; });
    if (shape[d] == 1) {
      indices.push_back(exprs.number(0));
    } else if (isLast) {
      indices.push_back(rest);
    } else if (ShapedType::isDynamic(shape[d])) {
      return std::nullopt;
    } else {
      indices.push_back(exprs.mod(rest, shape[d]));
      rest = exprs.floorDiv(rest, shape[d]);
    }
    isFirst = false;
  }
  std::reverse(indices.begin(), indices.end());
  if (isFirst)
    return std::nullopt;
  return indices;
}

bool SharedRaiser::findLayer() {
  auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType());
  if (!type || type.getRank() < 2 || !isa<FloatType>(type.getElementType()) ||
      type.isDynamicDim(type.getRank() - 1))
    return false;
  int64_t tokens = 1;
  for (int64_t size : type.getShape().drop_back())
    tokens = ShapedType::isDynamic(size) || ShapedType::isDynamic(tokens)
                 ? ShapedType::kDynamic
                 : tokens * size;
  token = exprs.variable(tokens);
  column = exprs.variable(type.getShape().back());
  auto indices = getRowIndices(exprs, type.getShape(), token, column);
  if (!indices)
    return false;
  const Expr *sum = elements.unfold(exprs.load(op->getResult(0), *indices));
  if (!sum || !sum->is("arith.addf"))
    return false;
  for (unsigned i = 0; i < 2; ++i) {
    const Expr *part = (*sum)[i];
    combine = part->kind == Expr::Element
                  ? part->tensor.getDefiningOp<CombineOp>()
                  : CombineOp();
    if (!combine || combine.getInit() ||
        part->operands != SmallVector<const Expr *>{token, column})
      continue;
    auto expert = combine.getRows().getDefiningOp<ExpertOp>();
    dispatch =
        expert ? expert.getRows().getDefiningOp<DispatchOp>() : DispatchOp();
    addend = (*sum)[1 - i];
    return dispatch != nullptr;
  }
  return false;
}

void SharedRaiser::splitGate(const Expr *expr) {
  const Expr *code = expr;
  while (const Expr *next = elements.unfold(code)) {
    code = next;
    if (code->kind != Expr::Element)
      break;
  }
  row = code;
  for (unsigned i = 0; i < 2 && code->is("arith.mulf"); ++i)
    if (const Expr *factor = (*code)[i];
        !factor->dependsOn(column) && factor->dependsOn(token)) {
      gate = factor;
      row = elements.unfoldAll((*code)[1 - i]);
    }
}

/// The factor of each token, [T] or [T, 1].
Value SharedRaiser::writeGate(OpBuilder &b) {
  Upstream up(b, op->getLoc());
  OpFoldResult tokens = up.sizesOf(dispatch.getX())[0];
  if (gate->kind == Expr::Element) {
    auto type = cast<RankedTensorType>(gate->tensor.getType());
    bool isOne = true;
    for (auto [index, size] : llvm::zip_equal(gate->operands, type.getShape()))
      isOne &= index == token || (index->getInteger() == 0 && size == 1);
    if (isOne && type.getRank() > 1)
      return up.reshape(gate->tensor, {tokens, b.getIndexAttr(1)});
  }
  return writeTensor(up, gate, token, {tokens}, gate->type);
}

std::string SharedRaiser::write() {
  OpBuilder b(op);
  Location loc = op->getLoc();
  Upstream up(b, loc);
  // What the layer reads, as the program has it.
  Value x = dispatch.getX();
  const Expr *input = elements.element(
      x, {token,
          exprs.variable(cast<RankedTensorType>(x.getType()).getDimSize(1))});
  if (input->kind != Expr::Element)
    return "the layer reads what is no tensor";
  Block block;
  ExpertBody body(elements, {token, exprs.variable(1)}, b, &block, loc);
  body.setDense(input->tensor);
  Value result = body.write(row, column);
  FFNOp own = result ? writeFFN(block, result, loc) : FFNOp();
  std::string why;
  if (!result)
    why = body.getObstacle() ? body.getObstacle()->why : "it is not known";
  else if (!own)
    why = "it is no FFN";
  Value shared;
  if (own) {
    IRMapping mapping;
    mapping.map(block.getArgument(0), x);
    for (auto [argument, weight] :
         llvm::zip_equal(block.getArguments().drop_front(), body.getWeights()))
      mapping.map(argument, weight);
    auto xType = cast<RankedTensorType>(x.getType());
    auto type = RankedTensorType::get(
        {xType.getDimSize(0), own.getResult().getType().getDimSize(1)},
        xType.getElementType());
    auto ffn = cast<FFNOp>(b.clone(*own, mapping));
    ffn.getResult().setType(type);
    shared = ffn.getResult();
  }
  block.dropAllDefinedValueUses();
  block.dropAllReferences();
  if (!shared)
    return why;

  if (gate) {
    Value factor = writeGate(b);
    if (!factor)
      return "what it is multiplied by is not known";
    AffineExpr t = b.getAffineDimExpr(0);
    bool isColumn = cast<RankedTensorType>(factor.getType()).getRank() == 2;
    SmallVector<AffineExpr> place = {t};
    if (isColumn)
      place.push_back(b.getAffineConstantExpr(0));
    shared = up.map({shared, factor},
                    {b.getMultiDimIdentityMap(2),
                     AffineMap::get(2, 0, place, b.getContext())},
                    up.sizesOf(shared), getElementTypeOrSelf(shared.getType()),
                    [&](OpBuilder &nested, ValueRange v) -> Value {
                      return arith::MulFOp::create(nested, loc, v[0], v[1]);
                    });
  }
  auto type = cast<RankedTensorType>(combine.getResult().getType());
  if (shared.getType() != type)
    shared = tensor::CastOp::create(b, loc, type, shared);
  Value y =
      CombineOp::create(b, combine.getLoc(), type, combine.getRows(),
                        combine.getRouting(), shared, combine.getUnweighted());
  auto wanted = cast<RankedTensorType>(op->getResult(0).getType());
  if (wanted.getRank() != 2) {
    // At most one size is dynamic.
    OpFoldResult rest = up.sizesOf(x)[0];
    Sizes sizes;
    int64_t others = 1;
    for (int64_t size : wanted.getShape().drop_back())
      others *= ShapedType::isDynamic(size) ? 1 : size;
    if (auto count = dyn_cast<Value>(rest); count && others != 1)
      rest = arith::DivSIOp::create(b, loc, count,
                                    up.scalar(b.getIndexType(), others))
                 .getResult();
    for (int64_t size : wanted.getShape())
      sizes.push_back(ShapedType::isDynamic(size)
                          ? rest
                          : OpFoldResult(b.getIndexAttr(size)));
    y = up.reshape(y, sizes);
  }
  if (y.getType() != wanted)
    y = tensor::CastOp::create(b, loc, wanted, y);
  op->getResult(0).replaceAllUsesWith(y);
  return "";
}

void SharedRaiser::run() {
  if (!findLayer())
    return;
  splitGate(addend);
  // A residual, say, is something else.
  if (row->kind == Expr::Element)
    return;
  std::string why = write();
  auto remarkAt = [&](StringRef name) {
    return remark::RemarkOpts::name(name).category(kPassName);
  };
  if (!why.empty()) {
    // Residuals are added to layers, too.
    if (!row->isReduce("arith.addf"))
      return;
    remark::missed(op->getLoc(), remarkAt("no-shared"))
        << "what is added to the layer stays as it is: " + why;
    return;
  }
  remark::passed(op->getLoc(), remarkAt("shared"))
      << (gate ? "an FFN of all tokens times a number of each is added to the "
                 "layer; rung 3: its shared expert"
               : "an FFN of all tokens is added to the layer; rung 3: its "
                 "shared expert");
}
