//===- ConvertLinear.cpp - Ordinary products with weights -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What is around the layers of a model multiplies rows by weights, too. Such a
// product is that of one expert which has every row: its weight is packed ahead
// of time with all others, and it runs on the same kernels.
//
//===----------------------------------------------------------------------===//

#include "ExpertBody.h"
#include "Patterns.h"
#include "Payload.h"

#include "moe-mlir/Analysis/WeightUse.h"
#include "moe-mlir/Conversion/MoeToMoek/Passes.h"

#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "mlir/IR/PatternMatch.h"

namespace moe {
#define GEN_PASS_DEF_CONVERTLINEAR
#include "moe-mlir/Conversion/MoeToMoek/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;
using linalg::LinalgOp;

static constexpr llvm::StringLiteral kPassName = "convert-linear-to-moek";

/// Smaller weights would be mostly padding in panels.
static constexpr int64_t kLeastSize = 16;

namespace {
/// A contraction of rows with a weight, in any order of dimensions.
class Linear {
public:
  /// The operand `weight` of `op` is the weight.
  Linear(LinalgOp op, unsigned weight) : op(op), weightNumber(weight) {}

  /// Whether it is one, but for the weight, which buildWeight() makes.
  bool match();
  /// The `[N, K]` weight; null if it cannot be packed ahead of time.
  Value buildWeight(RewriterBase &b);
  void rewrite(RewriterBase &b, Value weight);

private:
  void readThroughBroadcasts();
  Value buildRows(OpBuilder &b, Location loc);
  Value buildResult(OpBuilder &b, Location loc, Value product);

  LinalgOp op;
  unsigned weightNumber;
  Value x, weight;
  AffineMap xMap, weightMap, outMap;
  /// Loops: those of rows in the order of x, of columns in that of the result,
  /// and those that are summed over in that of x.
  SmallVector<unsigned> rows, columns, depth;
  /// The sizes of `rows`.
  SmallVector<OpFoldResult> rowSizes;
};
} // namespace

/// Whether the body multiplies and adds, and does nothing else but extend and
/// round.
static bool onlyMultipliesAndAdds(LinalgOp op) {
  return llvm::all_of(op.getBlock()->without_terminator(), [](Operation &op) {
    return isa<arith::MulFOp, arith::AddFOp, arith::ExtFOp, arith::TruncFOp>(
        op);
  });
}

/// Kernels sum in f32.
static bool isKernelFloat(Value value) {
  Type element = getElementTypeOrSelf(value.getType());
  return element.isF32() || element.isBF16() || element.isF16();
}

/// The loops that `map` has as results, in their order.
static SmallVector<unsigned> getLoops(AffineMap map, ArrayRef<unsigned> among) {
  SmallVector<unsigned> loops;
  for (AffineExpr result : map.getResults())
    if (auto dim = dyn_cast<AffineDimExpr>(result);
        dim && llvm::is_contained(among, dim.getPosition()))
      loops.push_back(dim.getPosition());
  return loops;
}

/// Where the results of `map` that are `loops` are, one list behind the other,
/// and then all others.
static SmallVector<int64_t> getOrder(AffineMap map,
                                     ArrayRef<ArrayRef<unsigned>> lists) {
  SmallVector<int64_t> order;
  for (ArrayRef<unsigned> loops : lists)
    for (unsigned loop : loops)
      order.push_back(
          *map.getResultPosition(getAffineDimExpr(loop, map.getContext())));
  for (int64_t i = 0, e = map.getNumResults(); i < e; ++i)
    if (!llvm::is_contained(order, i))
      order.push_back(i);
  return order;
}

/// `value` with its dimensions in another order.
static Value permute(OpBuilder &b, Location loc, Value value,
                     ArrayRef<int64_t> order) {
  if (isIdentityPermutation(order))
    return value;
  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(b, loc, value);
  applyPermutationToVector(sizes, order);
  Value empty = tensor::EmptyOp::create(b, loc, sizes,
                                        getElementTypeOrSelf(value.getType()));
  return linalg::TransposeOp::create(b, loc, value, empty, order)->getResult(0);
}

/// `value` with its first `count` dimensions as one, and all others.
static Value collapseToMatrix(OpBuilder &b, Location loc, Value value,
                              unsigned count) {
  unsigned rank = cast<RankedTensorType>(value.getType()).getRank();
  if (rank == 2 && count == 1)
    return value;
  SmallVector<ReassociationIndices> groups(2);
  for (unsigned d = 0; d < rank; ++d)
    groups[d >= count].push_back(d);
  return tensor::CollapseShapeOp::create(b, loc, value, groups);
}

/// Exporters repeat a weight for each batch.
void Linear::readThroughBroadcasts() {
  while (Operation *def = weight.getDefiningOp()) {
    auto copy = dyn_cast<LinalgOp>(def);
    if (!copy || copy.getNumDpsInputs() != 1 || copy.getNumDpsInits() != 1 ||
        copy.getNumParallelLoops() != copy.getNumLoops() ||
        !copy.hasPureTensorSemantics())
      return;
    Block &body = *copy.getBlock();
    AffineMap from = copy.getIndexingMapsArray()[0];
    AffineMap to = copy.getIndexingMapsArray()[1];
    // Permutations are views, which packing follows.
    if (!body.without_terminator().empty() ||
        body.getTerminator()->getOperand(0) != body.getArgument(0) ||
        !to.isPermutation() || from.isPermutation() ||
        !from.isProjectedPermutation(/*allowZeroInResults=*/true))
      return;
    weightMap = from.compose(inversePermutation(to)).compose(weightMap);
    weight = copy->getOperand(0);
  }
}

bool Linear::match() {
  if (op.getNumDpsInputs() != 2 || op->getNumResults() != 1 ||
      !op.hasPureTensorSemantics() || !linalg::isaContractionOpInterface(op) ||
      !onlyMultipliesAndAdds(op) ||
      !llvm::all_of(op->getOperands(), isKernelFloat))
    return false;
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  weight = op->getOperand(weightNumber);
  x = op->getOperand(1 - weightNumber);
  weightMap = maps[weightNumber];
  xMap = maps[1 - weightNumber];
  outMap = maps[2];
  if (!xMap.isProjectedPermutation() || !outMap.isProjectedPermutation() ||
      !weightMap.isProjectedPermutation())
    return false;
  readThroughBroadcasts();

  // Some chips round rows where weights are bf16, which experts allow and
  // ordinary IR does not.
  if (getElementTypeOrSelf(weight.getType()).isBF16() &&
      !getElementTypeOrSelf(x.getType()).isBF16())
    return false;

  SmallVector<int64_t> sizes = op.getStaticLoopRanges();
  for (unsigned loop = 0; loop < op.getNumLoops(); ++loop) {
    bool inX = xMap.isFunctionOfDim(loop), inOut = outMap.isFunctionOfDim(loop),
         inWeight = weightMap.isFunctionOfDim(loop);
    if (inX && inOut && (!inWeight || sizes[loop] == 1))
      rows.push_back(loop);
    else if (!inX && inOut && inWeight)
      columns.push_back(loop);
    else if (inX && !inOut && inWeight)
      depth.push_back(loop);
    else
      return false;
  }
  rows = getLoops(xMap, rows);
  columns = getLoops(outMap, columns);
  depth = getLoops(xMap, depth);
  auto count = [&](ArrayRef<unsigned> loops) {
    int64_t product = 1;
    for (unsigned loop : loops)
      product *= sizes[loop];
    return product;
  };
  auto isStatic = [&](unsigned loop) {
    return !ShapedType::isDynamic(sizes[loop]);
  };
  return llvm::all_of(columns, isStatic) && llvm::all_of(depth, isStatic) &&
         count(columns) >= kLeastSize && count(depth) >= kLeastSize;
}

Value Linear::buildWeight(RewriterBase &b) {
  auto type = dyn_cast<RankedTensorType>(weight.getType());
  if (!type || !type.hasStaticShape())
    return {};
  b.setInsertionPoint(op);
  Operation *before = op->getPrevNode();
  Location loc = op.getLoc();
  Value matrix = permute(b, loc, weight, getOrder(weightMap, {columns, depth}));
  matrix = collapseToMatrix(b, loc, matrix, columns.size());
  std::string why;
  if (succeeded(WeightUse::get(matrix, why)))
    return matrix;
  while (op->getPrevNode() != before)
    b.eraseOp(op->getPrevNode());
  return {};
}

/// `[rows, K]` in f32, with a dynamic number of rows.
Value Linear::buildRows(OpBuilder &b, Location loc) {
  Value all = permute(b, loc, x, getOrder(xMap, {rows, depth}));
  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(b, loc, all);
  rowSizes.assign(sizes.begin(), sizes.begin() + rows.size());
  if (rows.empty()) {
    // A vector is one row.
    auto type = cast<RankedTensorType>(all.getType());
    SmallVector<int64_t> shape(type.getShape());
    shape.insert(shape.begin(), 1);
    SmallVector<ReassociationIndices> groups(type.getRank());
    for (int64_t d = 0; d < type.getRank(); ++d)
      groups[d] = {d + 1};
    groups[0].insert(groups[0].begin(), 0);
    all = tensor::ExpandShapeOp::create(b, loc, type.clone(shape), all, groups);
  }
  all = collapseToMatrix(b, loc, all, std::max<size_t>(1, rows.size()));
  return withDynamicRows(b, loc, convertElements(b, loc, all, b.getF32Type()));
}

/// The result of the op of the `[rows, N]` product.
Value Linear::buildResult(OpBuilder &b, Location loc, Value product) {
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  auto f32 = type.clone(b.getF32Type());
  // In the order of rows and columns.
  SmallVector<int64_t> order = getOrder(outMap, {rows, columns});
  SmallVector<int64_t> shape =
      applyPermutation(type.getShape(), ArrayRef(order));
  SmallVector<OpFoldResult> sizes = rowSizes;
  for (int64_t size : ArrayRef(shape).drop_front(rows.size()))
    sizes.push_back(b.getIndexAttr(size));
  int64_t n = cast<RankedTensorType>(product.getType()).getDimSize(1);
  int64_t numRows = 1;
  for (int64_t size : ArrayRef(shape).take_front(rows.size()))
    numRows = ShapedType::isDynamic(numRows) || ShapedType::isDynamic(size)
                  ? ShapedType::kDynamic
                  : numRows * size;
  Value result = castTo(b, loc, product, f32.clone({numRows, n}));
  if (rows.empty())
    result = tensor::CollapseShapeOp::create(
        b, loc, result, ArrayRef<ReassociationIndices>{{0, 1}});
  SmallVector<ReassociationIndices> groups(rows.empty() ? 1 : 2);
  for (size_t d = 0; d < shape.size(); ++d)
    groups[!rows.empty() && d >= rows.size()].push_back(d);
  if (shape.size() != groups.size())
    result = tensor::ExpandShapeOp::create(b, loc, f32.clone(shape), result,
                                           groups, sizes);
  result = permute(b, loc, result, invertPermutationVector(order));

  Value init = op.getDpsInits()[0];
  std::optional<TypedAttr> start = getSplat(init);
  auto number = start ? dyn_cast<FloatAttr>(*start) : FloatAttr();
  if (!number || !number.getValue().isZero()) {
    Value sum = tensor::EmptyOp::create(
        b, loc, tensor::getMixedSizes(b, loc, init), b.getF32Type());
    init = convertElements(b, loc, init, b.getF32Type());
    result =
        linalg::AddOp::create(b, loc, ValueRange{result, init}, ValueRange{sum})
            ->getResult(0);
  }
  return castTo(b, loc, convertElements(b, loc, result, type.getElementType()),
                type);
}

void Linear::rewrite(RewriterBase &b, Value matrix) {
  Location loc = op.getLoc();
  b.setInsertionPoint(op);
  Value lhs = buildRows(b, loc);
  Value size = getDim(b, loc, lhs, 0);
  KernelBuilder kernels{b, buildOneGroup(b, loc, size), size, Value()};
  Value product = kernels.buildMatmul(loc, lhs, matrix, "linear");
  b.replaceOp(op, buildResult(b, loc, product));
}

/// Whether `value` is an argument or a constant, or a view of some.
static bool isGiven(Value value) {
  while (Operation *def = value.getDefiningOp()) {
    if (def->hasTrait<OpTrait::ConstantLike>() || isa<DequantizeOp>(def))
      return true;
    if (!WeightUse::isView(def))
      return false;
    value = def->getOperand(0);
  }
  return isa<FunctionOpInterface>(
      cast<BlockArgument>(value).getOwner()->getParentOp());
}

/// Whether an op that `found` holds for reads `value`, or what ops make of it
/// that keep its shape.
static bool isReadBy(Value value, function_ref<bool(Operation *)> found) {
  SetVector<Value> values;
  values.insert(value);
  for (size_t i = 0; i < values.size(); ++i)
    for (Operation *user : values[i].getUsers()) {
      if (found(user))
        return true;
      for (Value result : user->getResults())
        if (result.getType() == value.getType())
          values.insert(result);
    }
  return false;
}

/// Whether `op` is one of the two products of attention. Its keys and values
/// may be arguments, too, but they are no weights: a cache changes with each
/// call.
static bool isOfAttention(LinalgOp op) {
  auto isProduct = [](Operation *user) {
    auto product = dyn_cast<LinalgOp>(user);
    return product && product.getNumDpsInputs() == 2 &&
           product.getNumReductionLoops();
  };
  auto weighs = [&](Operation *user) {
    auto softmax = dyn_cast<linalg::SoftmaxOp>(user);
    return softmax && softmax->getNumResults() == 1 &&
           isReadBy(softmax->getResult(0), isProduct);
  };
  if (isReadBy(op->getResult(0), weighs))
    return true;
  return llvm::any_of(op.getDpsInputs(), [&](Value input) {
    Operation *def = input.getDefiningOp();
    while (def && !isa<linalg::SoftmaxOp>(def) && def->getNumOperands() &&
           def->getOperand(0).getType() == input.getType())
      def = def->getOperand(0).getDefiningOp();
    return isa_and_nonnull<linalg::SoftmaxOp>(def);
  });
}

namespace {
struct ConvertLinear : moe::impl::ConvertLinearBase<ConvertLinear> {
  void runOnOperation() override {
    SmallVector<LinalgOp> ops;
    getOperation()->walk([&](LinalgOp op) {
      if (op.getNumReductionLoops() && op.getNumDpsInputs() == 2 &&
          op->getNumResults() == 1 && !isOfAttention(op))
        ops.push_back(op);
    });
    IRRewriter rewriter(&getContext());
    for (LinalgOp op : ops)
      convert(rewriter, op);
  }

  static void convert(RewriterBase &b, LinalgOp op) {
    // Of two arguments nobody says which one is the weight, if the sizes of
    // both are known.
    for (unsigned number : {1, 0}) {
      Linear linear(op, number);
      if (!linear.match())
        continue;
      Value weight = linear.buildWeight(b);
      if (!weight)
        continue;
      auto x = cast<RankedTensorType>(op->getOperand(1 - number).getType());
      if (x.hasStaticShape() && isGiven(op->getOperand(1 - number))) {
        remarkMissed(op, kPassName)
            << "the weight of a product is not packed: both of its operands "
               "are arguments with static shapes, and either could be it";
        return;
      }
      remarkPassed(op, kPassName)
          << "a product with a weight is a packed kernel";
      linear.rewrite(b, weight);
      return;
    }
  }
};
} // namespace
