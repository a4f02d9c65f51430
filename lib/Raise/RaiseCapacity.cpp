//===- RaiseCapacity.cpp - Layers whose experts have places ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// GShard and Switch multiply with tensors [tokens, experts, places]: one that
// puts rows in their places, and one that takes results from there with their
// weights. A token has a place with an expert that it chose if fewer chose it
// before.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Raise/Passes.h"

#include "Capacity.h"
#include "WriteLayer.h"

#include "moe/Moe.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/Remarks.h"

namespace moe {
#define GEN_PASS_DEF_RAISECAPACITY
#include "moe-mlir/Raise/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;
using namespace moe::raise;

static constexpr llvm::StringLiteral kPassName = "moe-raise-capacity";

namespace {

/// A sum of products of two tensors from zeros on, with the dimension of each
/// loop in them, or -1.
struct Product {
  linalg::LinalgOp op;
  Value inputs[2];
  SmallVector<int64_t> dims[2];
};

/// One product that may be the last of a layer.
class CapacityRaiser {
public:
  CapacityRaiser(Product last, Elements &elements)
      : last(std::move(last)), elements(elements), exprs(elements.exprs) {}

  void run();

private:
  /// Finds the loops, and which of the inputs is which.
  bool findTensors();
  bool findRows();
  void write(Capacity &capacity, ExpertBody &body, Block &block, Value result);

  Product last;
  Elements &elements;
  Exprs &exprs;
  const Expr *token = nullptr, *expert = nullptr, *place = nullptr,
             *column = nullptr;
  const Expr *taken = nullptr;  ///< [token, expert, place]
  const Expr *result = nullptr; ///< [expert, place, column]
  Value rows;                   ///< [experts, places, columns]
  Value tokens;                 ///< [tokens, columns]
  Value put;                    ///< [tokens, experts, places]
};

struct RaiseCapacity : moe::impl::RaiseCapacityBase<RaiseCapacity> {
  void runOnOperation() override;
};

} // namespace

static std::optional<Product> matchProduct(Operation *op) {
  auto structured = dyn_cast_or_null<linalg::LinalgOp>(op);
  if (!structured || !isa<linalg::ContractionOpInterface>(op) ||
      !structured.hasPureTensorSemantics() || structured.getNumDpsInputs() != 2)
    return std::nullopt;
  // Nothing is converted in between.
  Type element = getElementTypeOrSelf(op->getResult(0).getType());
  for (Value input : structured.getDpsInputs())
    if (getElementTypeOrSelf(input.getType()) != element)
      return std::nullopt;
  Value start = structured.getDpsInits()[0];
  if (auto fill = start.getDefiningOp<linalg::FillOp>())
    start = fill.getInputs()[0];
  if (!matchPattern(start, m_AnyZeroFloat()))
    return std::nullopt;
  Product product{structured, {}, {}};
  for (unsigned i = 0; i < 2; ++i) {
    OpOperand *input = structured.getDpsInputOperand(i);
    product.inputs[i] = input->get();
    product.dims[i].assign(structured.getNumLoops(), -1);
    AffineMap map = structured.getMatchingIndexingMap(input);
    if (!map.isProjectedPermutation())
      return std::nullopt;
    for (unsigned d = 0; d < map.getNumResults(); ++d)
      product.dims[i][map.getDimPosition(d)] = d;
  }
  return product;
}

/// Finds y[t, h] = sum(e, c, taken[t, e, c] * result[e, c, h]).
bool CapacityRaiser::findTensors() {
  linalg::LinalgOp op = last.op;
  auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType());
  AffineMap out = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
  if (!type || type.getRank() != 2 || op.getNumLoops() != 4 ||
      type.isDynamicDim(1) || !isa<FloatType>(type.getElementType()))
    return false;
  unsigned t = out.getDimPosition(0), h = out.getDimPosition(1);
  SmallVector<unsigned> reduced;
  for (unsigned loop = 0; loop < 4; ++loop)
    if (loop != t && loop != h)
      reduced.push_back(loop);
  SmallVector<int64_t> extents = op.getStaticLoopRanges();
  if (ShapedType::isDynamic(extents[reduced[0]]) ||
      ShapedType::isDynamic(extents[reduced[1]]))
    return false;
  for (unsigned i = 0; i < 2; ++i) {
    const auto &mask = last.dims[i], &other = last.dims[1 - i];
    if (mask[t] < 0 || mask[h] >= 0 || other[t] >= 0 || other[h] < 0 ||
        llvm::any_of(reduced, [&](unsigned loop) {
          return mask[loop] < 0 || other[loop] < 0;
        }))
      continue;
    // Experts come before places in results, [E, C, H].
    if (other[reduced[0]] > other[reduced[1]])
      std::swap(reduced[0], reduced[1]);
    SmallVector<const Expr *> loops(4);
    token = loops[t] = exprs.variable(extents[t]);
    column = loops[h] = exprs.variable(extents[h]);
    expert = loops[reduced[0]] = exprs.variable(extents[reduced[0]]);
    place = loops[reduced[1]] = exprs.variable(extents[reduced[1]]);
    auto element = [&](unsigned which) {
      SmallVector<const Expr *> indices(3);
      for (unsigned loop = 0; loop < 4; ++loop)
        if (last.dims[which][loop] >= 0)
          indices[last.dims[which][loop]] = loops[loop];
      return elements.element(last.inputs[which], indices);
    };
    taken = element(i);
    result = element(1 - i);
    return findRows();
  }
  return false;
}

/// Finds rows[e, c, h] = sum(t, put[t, e, c] * tokens[t, h]) behind the result.
bool CapacityRaiser::findRows() {
  SmallVector<Value> open = {last.inputs[0], last.inputs[1]};
  llvm::SmallPtrSet<Operation *, 32> seen;
  for (unsigned i = 0; i < open.size(); ++i) {
    Operation *op = open[i].getDefiningOp();
    if (!op || !seen.insert(op).second)
      continue;
    llvm::append_range(open, op->getOperands());
    std::optional<Product> product = matchProduct(op);
    if (!product || product->op.getNumLoops() != 4 ||
        product->op.getNumReductionLoops() != 1)
      continue;
    AffineMap out =
        product->op.getMatchingIndexingMap(product->op.getDpsInitOperand(0));
    SmallVector<int64_t> extents = product->op.getStaticLoopRanges();
    unsigned e = out.getDimPosition(0), c = out.getDimPosition(1),
             h = out.getDimPosition(2), t = 6 - e - c - h;
    if (extents[e] != expert->extent || extents[c] != place->extent ||
        extents[t] != token->extent)
      continue;
    for (unsigned which = 0; which < 2; ++which) {
      const auto &mask = product->dims[which], &x = product->dims[1 - which];
      if (mask[t] != 0 || mask[e] != 1 || mask[c] != 2 || mask[h] >= 0 ||
          x[t] != 0 || x[h] != 1 || x[e] >= 0 || x[c] >= 0)
        continue;
      put = product->inputs[which];
      tokens = product->inputs[1 - which];
      rows = op->getResult(0);
      return true;
    }
  }
  return false;
}

void CapacityRaiser::run() {
  if (!findTensors())
    return;
  Location loc = last.op.getLoc();
  Block block;
  OpBuilder builder(last.op);
  ExpertBody body(elements, {place, expert}, builder, &block, loc);
  body.setDispatched(rows, tokens, expert->extent);
  Value written = body.write(result, column);
  std::optional<Obstacle> obstacle = body.getObstacle();
  bool isLayer = written && !body.getWeights().empty();
  if (isLayer) {
    Capacity capacity(elements, token, expert, place, loc);
    if (capacity.match(taken, elements.element(put, {token, expert, place})))
      return write(capacity, body, block, written);
    obstacle = capacity.getObstacle();
  }
  remark::missed(obstacle ? obstacle->loc : loc,
                 remark::RemarkOpts::name("no-layer").category(kPassName))
      << "experts with places stay as they are: " +
             (obstacle ? obstacle->why : std::string("they have no weights"));
  block.dropAllDefinedValueUses();
  block.dropAllReferences();
}

void CapacityRaiser::write(Capacity &capacity, ExpertBody &body, Block &block,
                           Value result) {
  linalg::LinalgOp op = last.op;
  Location loc = op.getLoc();
  OpBuilder b(op);
  Value routing = capacity.write(b);
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  Value y = writeLayer(b, loc, body, block, result, routing, type);
  op->getResult(0).replaceAllUsesWith(y);
  auto routed = cast<RoutingType>(routing.getType());
  remark::passed(loc, remark::RemarkOpts::name("layer").category(kPassName))
      << "a layer of " + std::to_string(routed.getExperts()) + " experts, " +
             std::to_string(routed.getSlots()) +
             " of them a token; rung 2: " + capacity.describe();
}

void RaiseCapacity::runOnOperation() {
  SmallVector<Product> products;
  getOperation()->walk([&](linalg::LinalgOp op) {
    if (std::optional<Product> product = matchProduct(op);
        product && op.getNumReductionLoops() == 2)
      products.push_back(*product);
  });
  Elements elements(&getContext());
  for (const Product &product : products)
    if (!product.op->use_empty())
      CapacityRaiser(product, elements).run();
}
