//===- WriteFFN.cpp - A moe.ffn out of the body of an expert -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "WriteFFN.h"

#include "ScalarCode.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/Matchers.h"

#include <set>

using namespace mlir;
using namespace moe;
using namespace moe::raise;

//===----------------------------------------------------------------------===//
// FFN
//===----------------------------------------------------------------------===//

namespace {

/// The parts of a body that is one FFN.
class FFNMatcher {
public:
  FFNMatcher(Block &block, Location loc)
      : block(block), loc(loc), code(loc.getContext()) {}

  bool match(Value result);
  FFNOp write();

private:
  /// One of the products of the rows.
  struct Product {
    Value matrix, bias;
    Value value; ///< what stands for it in the payload
  };

  bool matchProduct(Value value, Value &input, Value &matrix);
  bool matchDown(Value result, Value &h);
  bool matchPayload(linalg::LinalgOp op);
  bool isWeight(Value value, int64_t rank) const;
  void findName();
  void findName(ActivationAttrInterface candidate);

  Block &block;
  Location loc;
  ScalarCode code;
  Type type;
  Value down, downBias;
  SmallVector<Product> products; ///< gate and up, or up
  Value payload;                 ///< null if it is the one product
  ActivationAttrInterface activation;
};

} // namespace

bool FFNMatcher::isWeight(Value value, int64_t rank) const {
  auto argument = dyn_cast<BlockArgument>(value);
  auto tensor = dyn_cast<RankedTensorType>(value.getType());
  return argument && argument.getOwner() == &block &&
         argument.getArgNumber() > 0 && tensor && tensor.getRank() == rank &&
         tensor.getElementType() == type;
}

/// input matrix^T from zeros on, with a matrix of the expert.
bool FFNMatcher::matchProduct(Value value, Value &input, Value &matrix) {
  auto op = value.getDefiningOp<linalg::ContractOp>();
  if (!op)
    return false;
  MLIRContext *context = op.getContext();
  AffineExpr m, n, k;
  bindDims(context, m, n, k);
  auto fill = op.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
  input = op.getInputs()[0];
  matrix = op.getInputs()[1];
  return op.getIndexingMapsArray() ==
             SmallVector<AffineMap>{AffineMap::get(3, 0, {m, k}, context),
                                    AffineMap::get(3, 0, {n, k}, context),
                                    AffineMap::get(3, 0, {m, n}, context)} &&
         fill && matchPattern(fill.getInputs()[0], m_AnyZeroFloat()) &&
         isWeight(matrix, 2);
}

/// Elementwise code over rows and columns.
static linalg::LinalgOp getElementwise(Value value) {
  auto op = value.getDefiningOp<linalg::LinalgOp>();
  if (!op || op.getNumLoops() != 2 || op.getNumParallelLoops() != 2 ||
      op->getNumResults() != 1 ||
      op.payloadUsesValueFromOperand(op.getDpsInitOperand(0)) ||
      !op.getMatchingIndexingMap(op.getDpsInitOperand(0)).isIdentity())
    return {};
  return op;
}

static bool isOfColumns(AffineMap map) {
  return map == AffineMap::get(map.getNumDims(), 0,
                               {getAffineDimExpr(1, map.getContext())},
                               map.getContext());
}

/// The last product, with a bias or without; `h` is its input.
bool FFNMatcher::matchDown(Value result, Value &h) {
  if (linalg::LinalgOp op = getElementwise(result)) {
    auto sum = op.getBlock()
                   ->getTerminator()
                   ->getOperand(0)
                   .getDefiningOp<arith::AddFOp>();
    if (!sum || op.getNumDpsInputs() != 2)
      return false;
    for (OpOperand *input : op.getDpsInputOperands()) {
      Value argument = op.getMatchingBlockArgument(input);
      if (sum.getLhs() != argument && sum.getRhs() != argument)
        return false;
      if (op.getMatchingIndexingMap(input).isIdentity())
        result = input->get();
      else if (isOfColumns(op.getMatchingIndexingMap(input)) &&
               isWeight(input->get(), 1))
        downBias = input->get();
      else
        return false;
    }
    if (!downBias)
      return false;
  }
  return matchProduct(result, h, down);
}

/// Products of the rows, and biases that are added to one of them each.
bool FFNMatcher::matchPayload(linalg::LinalgOp op) {
  SmallVector<std::pair<Value, Value>> biases;
  for (OpOperand *input : op.getDpsInputOperands()) {
    Value argument = op.getMatchingBlockArgument(input), rows, matrix;
    AffineMap map = op.getMatchingIndexingMap(input);
    if (map.isIdentity() && matchProduct(input->get(), rows, matrix) &&
        rows == block.getArgument(0))
      products.push_back({matrix, Value(), argument});
    else if (isOfColumns(map) && isWeight(input->get(), 1))
      biases.push_back({argument, input->get()});
    else
      return false;
  }
  for (auto [argument, bias] : biases) {
    auto sum = argument.hasOneUse()
                   ? dyn_cast<arith::AddFOp>(*argument.user_begin())
                   : arith::AddFOp();
    if (!sum)
      return false;
    Value other = sum.getLhs() == argument ? sum.getRhs() : sum.getLhs();
    auto product = llvm::find_if(
        products, [&](const Product &p) { return p.value == other; });
    if (product == products.end() || !other.hasOneUse())
      return false;
    product->bias = bias;
    product->value = sum;
  }
  payload = op.getBlock()->getTerminator()->getOperand(0);
  return products.size() == 1 || products.size() == 2;
}

bool FFNMatcher::match(Value result) {
  auto rows = cast<RankedTensorType>(block.getArgument(0).getType());
  type = rows.getElementType();
  // Others are computed in a wider type by a moe.ffn, and rounded once.
  if (!(type.isF32() || type.isF64()) || result.getType() != [&]() -> Type {
        auto all = dyn_cast<RankedTensorType>(result.getType());
        return all ? RankedTensorType::get(all.getShape(), type) : Type();
      }())
    return false;
  Value h, input, matrix;
  if (!matchDown(result, h))
    return false;
  if (matchProduct(h, input, matrix) && input == block.getArgument(0)) {
    products.push_back({matrix, Value(), Value()});
    activation = IdentityAttr::get(type.getContext());
    return true;
  }
  linalg::LinalgOp op = getElementwise(h);
  if (!op || !matchPayload(op))
    return false;
  findName();
  return activation || code.read(payload, [&] {
    llvm::DenseMap<Value, const Expr *> leaves;
    for (const Product &product : products)
      leaves[product.value] = code.exprs.load(product.value, {});
    return leaves;
  }());
}

/// Takes `candidate` as the activation if it computes the payload; gate and up
/// change places if that is what it takes.
void FFNMatcher::findName(ActivationAttrInterface candidate) {
  if (activation || (products.size() == 2 ? !candidate.supportsGated()
                                          : !candidate.supportsPlain()))
    return;
  llvm::DenseMap<Value, const Expr *> leaves;
  for (const Product &product : products)
    leaves[product.value] = code.exprs.load(product.value, {});
  const Expr *given = code.read(payload, leaves);
  if (!given)
    return;
  for (unsigned turn = 0; turn < products.size(); ++turn) {
    Block scratch;
    OpBuilder b(type.getContext());
    b.setInsertionPointToEnd(&scratch);
    for (const Product &product : products)
      leaves[scratch.addArgument(type, loc)] = leaves.lookup(product.value);
    Value named = candidate.buildActivation(b, loc, scratch.getArguments());
    const Expr *expected = code.read(named, leaves);
    for (Value argument : scratch.getArguments())
      leaves.erase(argument);
    if (expected && code.normalize(expected) == code.normalize(given)) {
      activation = candidate;
      return;
    }
    std::reverse(products.begin(), products.end());
  }
}

/// The double with the fewest digits that rounds to `number`: 1.702, say.
static double getShortest(FloatAttr number) {
  SmallString<16> digits;
  number.getValue().toString(digits);
  return std::strtod(digits.c_str(), nullptr);
}

void FFNMatcher::findName() {
  MLIRContext *context = type.getContext();
  const ActivationAttrInterface simple[] = {
      SiluAttr::get(context),     GeluAttr::get(context),
      GeluTanhAttr::get(context), QuickGeluAttr::get(context),
      ReluAttr::get(context),     Relu2Attr::get(context),
      TanhAttr::get(context),     IdentityAttr::get(context)};
  for (ActivationAttrInterface candidate : simple)
    findName(candidate);
  if (activation || products.size() != 2)
    return;
  // Numbers of a clamped SwiGLU are among those of the code.
  std::set<double> numbers = {0, 1};
  payload.getParentBlock()->walk([&](arith::ConstantOp op) {
    if (auto number = dyn_cast<FloatAttr>(op.getValue()))
      numbers.insert(getShortest(number));
  });
  if (numbers.size() > 8)
    return;
  for (double limit : numbers)
    for (double alpha : numbers)
      for (double offset : numbers)
        if (limit > 0 && !activation)
          findName(ClampedSwigluAttr::get(context, alpha, limit, offset));
}

FFNOp FFNMatcher::write() {
  OpBuilder b(type.getContext());
  b.setInsertionPointToEnd(&block);
  Value rows = block.getArgument(0);
  auto result = RankedTensorType::get(
      {cast<RankedTensorType>(rows.getType()).getDimSize(0),
       cast<RankedTensorType>(down.getType()).getDimSize(0)},
      type);
  bool isGated = products.size() == 2;
  const Product &up = products.back();
  Product gate = isGated ? products.front() : Product();
  auto ffn = FFNOp::create(b, loc, result, rows, gate.matrix, up.matrix, down,
                           gate.bias, up.bias, downBias, activation);
  if (activation)
    return ffn;
  SmallVector<Type> types(products.size(), type);
  SmallVector<Location> locations(products.size(), loc);
  Block *body = b.createBlock(&ffn.getBody(), {}, types, locations);
  IRMapping mapping;
  for (auto [product, argument] :
       llvm::zip_equal(products, body->getArguments()))
    mapping.map(product.value, argument);
  for (Operation &op : payload.getParentBlock()->without_terminator())
    if (!mapping.contains(op.getResult(0)))
      b.clone(op, mapping);
  YieldOp::create(b, loc, mapping.lookupOrDefault(payload));
  return ffn;
}

FFNOp moe::raise::writeFFN(Block &block, Value result, Location loc) {
  FFNMatcher matcher(block, loc);
  return matcher.match(result) ? matcher.write() : FFNOp();
}
