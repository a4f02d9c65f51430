//===- OnnxExperts.cpp - Layers that are one op in ONNX ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// com.microsoft.MoE and com.microsoft.QMoE, as ONNX Runtime's operators are
// specified, and as its kernels compute them where the text leaves it open:
// experts are the best by the softmax of all router_probs (which are logits),
// GELU is the form with tanh, weights of QMoE are [E, N, K / pack], not packed
// for a GPU. (Its kernel of QMoE for CPUs normalizes weights whether it is
// asked or not; that for GPUs, as here, only if it is asked.)
//
//===----------------------------------------------------------------------===//

#include "Onnx.h"

#include "moe/Moe.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace moe;
using namespace moe::raise;
using namespace moe::raise::onnx;

namespace {

/// Weights of each expert, [E, out, in], and biases [E, out], which may be
/// null.
struct Projection {
  Value weights, bias;
};

class Layer {
public:
  explicit Layer(ForeignOp &op) : op(op), up(op.upstream) {}

  /// Fails, with the op left, if the layer is none that is known.
  LogicalResult readRouter(unsigned routerWeights);
  LogicalResult readProjection(Projection &projection, unsigned weights,
                               unsigned bias);
  LogicalResult readStored(Projection &projection, unsigned weights,
                           unsigned scales, unsigned bias, unsigned zeros);
  LogicalResult replace();

  Projection first, second, third;

private:
  LogicalResult readActivation();
  LogicalResult checkShapes();
  void splitFused(bool isInterleaved);
  FailureOr<Value> decode(Value codes, Value scales, Value zeros, int64_t bits);
  Value makeBody(OpBuilder &b, Location loc, ValueRange arguments);
  Value activate(OpBuilder &b, Location loc, ValueRange scalars);

  ForeignOp &op;
  Upstream &up;
  Value tokens, select, weigh;
  int64_t numExperts = 0, k = 0;
  /// Of gate and up; `activation` is null for what has no name.
  bool isGated = false;
  ActivationAttrInterface activation;
  double alpha = 1, beta = 0;
};

} // namespace

static RankedTensorType staticType(Value value, int64_t rank) {
  auto type =
      value ? dyn_cast<RankedTensorType>(value.getType()) : RankedTensorType();
  return type && type.hasStaticShape() && type.getRank() == rank
             ? type
             : RankedTensorType();
}

//===----------------------------------------------------------------------===//
// What the op says
//===----------------------------------------------------------------------===//

LogicalResult Layer::readRouter(unsigned routerWeights) {
  if (failed(needInputs(op, 2)))
    return failure();
  OpBuilder &b = up.getBuilder();
  tokens = getInput(op, 0);
  Value router = getInput(op, 1);
  RankedTensorType type = Upstream::typeOf(router),
                   rows = Upstream::typeOf(tokens);
  if (type.getRank() != 2 || type.isDynamicDim(1) ||
      !isa<FloatType>(type.getElementType()) || rows.getRank() < 2 ||
      rows.getRank() > 3 || rows.isDynamicDim(rows.getRank() - 1) ||
      !isa<FloatType>(rows.getElementType()))
    return op.leave("its input or router_probs are of other shapes than it "
                    "has");
  numExperts = type.getDimSize(1);
  k = op.getInt("k", 1);
  if (k < 1 || k > numExperts)
    return op.leave("it selects " + Twine(k) + " of " + Twine(numExperts) +
                    " experts");
  if (op.getInt("use_sparse_mixer", 0) || op.getInt("num_shared_experts", 0))
    return op.leave("its router is a sparse mixer or has shared experts");
  auto widen = [&](Value scores) {
    bool isWide = Upstream::typeOf(scores).getElementType().isF64();
    return isWide ? scores : up.cast(scores, b.getF32Type());
  };
  select = widen(router);
  if (Value given = routerWeights ? getInput(op, routerWeights) : Value()) {
    if (!isa<RankedTensorType>(given.getType()))
      return op.leave("the shape of its router_weights is not known");
    weigh = widen(given);
    // One of the two may say less of how many tokens there are.
    if (!tensor::CastOp::areCastCompatible(weigh.getType(), select.getType()))
      return op.leave("its router_weights are of another shape than its "
                      "router_probs");
    if (weigh.getType() != select.getType())
      weigh = tensor::CastOp::create(b, op.getLoc(), select.getType(), weigh);
    return success();
  }
  select = weigh = up.softmax(select, 1);
  return success();
}

LogicalResult Layer::readProjection(Projection &projection, unsigned weights,
                                    unsigned bias) {
  projection.weights = getInput(op, weights);
  projection.bias = getInput(op, bias);
  if (projection.weights && !staticType(projection.weights, 3))
    return op.leave("the shape of input " + Twine(weights) + " is not known");
  if (projection.bias && !staticType(projection.bias, 2))
    return op.leave("the shape of input " + Twine(bias) + " is not known");
  return success();
}

/// The bits of `codes` [E, N, K * bits / 8] times scales, [E, N] or one for
/// each block of K, by upstream's ops: where no format of ours has the layout.
FailureOr<Value> Layer::decode(Value codes, Value scales, Value zeros,
                               int64_t bits) {
  RankedTensorType type = Upstream::typeOf(codes),
                   factors = Upstream::typeOf(scales);
  int64_t pack = 8 / bits, depth = type.getDimSize(2) * pack;
  int64_t blocks = factors.getRank() == 3 ? factors.getDimSize(2) : 1;
  int64_t block = depth / blocks;
  OpBuilder &b = up.getBuilder();
  Sizes sizes = up.sizesOf(codes);
  sizes[2] = b.getIndexAttr(depth);
  Type f32 = b.getF32Type(), i8 = b.getI8Type();
  return up.generate(sizes, f32, [&](OpBuilder &nested, ValueRange at) {
    Location loc = op.getLoc();
    auto index = [&](int64_t value) -> Value {
      return arith::ConstantIndexOp::create(nested, loc, value);
    };
    auto extractBits = [&](Value tensor, Value place) -> Value {
      Value word = arith::DivUIOp::create(nested, loc, place, index(pack)),
            part = arith::RemUIOp::create(nested, loc, place, index(pack));
      Value byte = tensor::ExtractOp::create(nested, loc, tensor,
                                             ValueRange{at[0], at[1], word});
      Value shift = arith::IndexCastOp::create(
          nested, loc, i8,
          arith::MulIOp::create(nested, loc, part, index(bits)));
      byte = arith::ShRUIOp::create(nested, loc, byte, shift);
      Value mask = arith::ConstantOp::create(
          nested, loc, nested.getIntegerAttr(i8, (1 << bits) - 1));
      byte = arith::AndIOp::create(nested, loc, byte, mask);
      return arith::UIToFPOp::create(nested, loc, f32, byte);
    };
    Value ofBlock = arith::DivUIOp::create(nested, loc, at[2], index(block));
    Value zero = arith::ConstantOp::create(
        nested, loc, nested.getF32FloatAttr(1 << (bits - 1)));
    if (zeros)
      zero = extractBits(zeros, ofBlock);
    SmallVector<Value> place = {at[0], at[1]};
    if (factors.getRank() == 3)
      place.push_back(ofBlock);
    Value scale = tensor::ExtractOp::create(nested, loc, scales, place);
    if (scale.getType() != f32)
      scale = arith::ExtFOp::create(nested, loc, f32, scale);
    Value code =
        arith::SubFOp::create(nested, loc, extractBits(codes, at[2]), zero);
    return arith::MulFOp::create(nested, loc, code, scale).getResult();
  });
}

LogicalResult Layer::readStored(Projection &projection, unsigned weights,
                                unsigned scales, unsigned bias,
                                unsigned zeros) {
  projection.bias = getInput(op, bias);
  Value codes = getInput(op, weights), factors = getInput(op, scales),
        zeroPoints = getInput(op, zeros);
  if (!codes)
    return success();
  int64_t bits = op.getInt("expert_weight_bits", 4);
  StringRef kind = op.getString("quant_type");
  if ((bits != 2 && bits != 4 && bits != 8) ||
      !(kind.empty() || kind == "int") || op.getInt("weights_prepacked", 0))
    return op.leave("its weights are no plain integers of 2, 4 or 8 bits");
  RankedTensorType type = staticType(codes, 3), scaleType;
  if (factors && !(scaleType = staticType(factors, 3)))
    scaleType = staticType(factors, 2);
  if (!type || !scaleType || !type.getElementType().isInteger(8) ||
      !isa<FloatType>(scaleType.getElementType()) ||
      scaleType.getElementType().getIntOrFloatBitWidth() > 32)
    return op.leave("the shapes of its weights and scales are not known");
  int64_t depth = type.getDimSize(2) * (8 / bits);
  int64_t blocks = scaleType.getRank() == 3 ? scaleType.getDimSize(2) : 1;
  if (scaleType.getShape().take_front(2) != type.getShape().take_front(2) ||
      blocks < 1 || depth % blocks)
    return op.leave("its scales do not fit its weights");
  RankedTensorType zeroType = staticType(zeroPoints, 3);
  if (zeroPoints &&
      (!zeroType || scaleType.getRank() != 3 ||
       zeroType.getShape().take_front(2) != type.getShape().take_front(2) ||
       zeroType.getDimSize(2) != llvm::divideCeilSigned(blocks * bits, 8)))
    return op.leave("its zero points are not one for each block, packed");
  OpBuilder &b = up.getBuilder();
  auto decoded = RankedTensorType::get(
      {type.getDimSize(0), type.getDimSize(1), depth}, b.getF32Type());
  int64_t group = depth / blocks;
  if (bits == 4 && !zeroPoints && group % 32 == 0) {
    // Two codes in a byte, the first in the low bits, less 8: as int4 is.
    auto format =
        Int4FormatAttr::get(b.getContext(), group, scaleType.getElementType(),
                            /*zeros=*/false, Int4Order::Rows);
    if (scaleType.getRank() == 2)
      factors = up.reshape(factors, {b.getIndexAttr(type.getDimSize(0)),
                                     b.getIndexAttr(type.getDimSize(1)),
                                     b.getIndexAttr(1)});
    projection.weights = DequantizeOp::create(b, op.getLoc(), decoded, format,
                                              ValueRange{codes, factors});
    return success();
  }
  FailureOr<Value> value = decode(codes, factors, zeroPoints, bits);
  if (failed(value))
    return failure();
  projection.weights = *value;
  return success();
}

//===----------------------------------------------------------------------===//
// Experts
//===----------------------------------------------------------------------===//

/// Gate and up out of one tensor.
void Layer::splitFused(bool isInterleaved) {
  OpBuilder &b = up.getBuilder();
  auto take = [&](Value value, bool isUp) -> Value {
    if (!value)
      return {};
    Sizes sizes = up.sizesOf(value);
    int64_t half = Upstream::typeOf(value).getDimSize(1) / 2;
    Sizes offsets(sizes.size(), b.getIndexAttr(0));
    SmallVector<int64_t> strides(sizes.size(), 1);
    sizes[1] = b.getIndexAttr(half);
    if (isUp)
      offsets[1] = b.getIndexAttr(isInterleaved ? 1 : half);
    if (isInterleaved)
      strides[1] = 2;
    return up.slice(value, offsets, sizes, strides);
  };
  third = {take(first.weights, true), take(first.bias, true)};
  first = {take(first.weights, false), take(first.bias, false)};
}

LogicalResult Layer::readActivation() {
  MLIRContext *context = up.getBuilder().getContext();
  StringRef name = op.getString("activation_type");
  isGated = third.weights != nullptr;
  if (name == "swiglu") {
    if (int64_t fusion = op.getInt("swiglu_fusion", 0)) {
      if (isGated || Upstream::typeOf(first.weights).getDimSize(1) % 2)
        return op.leave("its fused weights are no two of one size");
      splitFused(fusion == 1);
      isGated = true;
    }
    if (!isGated)
      return op.leave("it is gated, and its gate is missing");
    alpha = op.getFloat("activation_alpha").value_or(1.0);
    beta = op.getFloat("activation_beta").value_or(0.0);
    std::optional<double> limit = op.getFloat("swiglu_limit");
    if (limit && *limit > 0)
      activation = ClampedSwigluAttr::get(context, alpha, *limit, beta);
    else if (alpha == 1.0 && beta == 0.0)
      activation = SiluAttr::get(context);
    return success();
  }
  if (name.empty() || name == "relu")
    activation = ReluAttr::get(context);
  else if (name == "gelu")
    activation = GeluTanhAttr::get(context);
  else if (name == "silu")
    activation = SiluAttr::get(context);
  else if (name == "identity")
    activation = IdentityAttr::get(context);
  else
    return op.leave("its activation '" + name + "' is not known");
  return success();
}

LogicalResult Layer::checkShapes() {
  int64_t hidden = Upstream::typeOf(tokens).getShape().back();
  if (!first.weights || !second.weights)
    return op.leave("it has no weights");
  int64_t inner = Upstream::typeOf(first.weights).getDimSize(1);
  auto fits = [&](const Projection &projection, int64_t out, int64_t in) {
    if (!projection.weights)
      return true;
    auto bias =
        projection.bias ? staticType(projection.bias, 2) : RankedTensorType();
    return Upstream::typeOf(projection.weights).getShape() ==
               ArrayRef<int64_t>{numExperts, out, in} &&
           (!projection.bias ||
            (bias && bias.getShape() == ArrayRef<int64_t>{numExperts, out}));
  };
  if (!fits(first, inner, hidden) || !fits(second, hidden, inner) ||
      !fits(third, inner, hidden))
    return op.leave("the shapes of its weights do not fit together");
  return success();
}

/// G sigmoid(alpha G) (L + beta), which has no name without limits.
Value Layer::activate(OpBuilder &b, Location loc, ValueRange scalars) {
  Type type = scalars[0].getType();
  auto number = [&](double value) {
    Upstream constants(b, loc);
    return constants.scalar(type, value);
  };
  Value slope = arith::MulFOp::create(b, loc, scalars[0], number(alpha));
  Value sigmoid = Upstream(b, loc).sigmoid(slope);
  Value gate = arith::MulFOp::create(b, loc, scalars[0], sigmoid);
  Value linear = arith::AddFOp::create(b, loc, scalars[1], number(beta));
  return arith::MulFOp::create(b, loc, gate, linear);
}

/// The body of all experts, from its rows and weights in the order of
/// replace().
Value Layer::makeBody(OpBuilder &b, Location loc, ValueRange arguments) {
  auto next = arguments.begin();
  Value rows = *next++;
  auto take = [&](Value given) { return given ? *next++ : Value(); };
  Value one = take(first.weights), two = take(second.weights),
        three = take(third.weights), oneBias = take(first.bias),
        twoBias = take(second.bias), threeBias = take(third.bias);
  auto ffn = isGated
                 ? FFNOp::create(b, loc, rows.getType(), rows, one, three, two,
                                 oneBias, threeBias, twoBias, activation)
                 : FFNOp::create(b, loc, rows.getType(), rows, Value(), one,
                                 two, Value(), oneBias, twoBias, activation);
  if (!activation) {
    OpBuilder::InsertionGuard guard(b);
    Type scalar = ffn.getAccumulatorType();
    Block *block =
        b.createBlock(&ffn.getBody(), {}, {scalar, scalar}, {loc, loc});
    YieldOp::create(b, loc, activate(b, loc, block->getArguments()));
  }
  return ffn;
}

LogicalResult Layer::replace() {
  if (!first.weights || !second.weights)
    return op.leave("it has no weights");
  if (failed(readActivation()) || failed(checkShapes()))
    return failure();
  OpBuilder &b = up.getBuilder();
  Location loc = op.getLoc();
  MLIRContext *context = b.getContext();
  Sizes sizes = up.sizesOf(tokens);
  Value rows = tokens;
  if (sizes.size() == 3)
    rows = up.reshape(rows, {multiply(up, sizes[0], sizes[1]), sizes[2]});
  SmallVector<Attribute> weighing;
  if (op.getInt("normalize_routing_weights", 0))
    weighing.push_back(NormalizeAttr::get(context, NormalizeKind::Sum, 0.0));
  Value routing = RouterOp::create(b, loc, TopKAttr::get(context, k), select,
                                   weigh, weighing);
  RankedTensorType type = Upstream::typeOf(rows);
  auto assigned = RankedTensorType::get(
      {ShapedType::kDynamic, type.getDimSize(1)}, type.getElementType());
  Value dispatched = DispatchOp::create(b, loc, assigned, rows, routing);
  SmallVector<Value> weights;
  for (Value value : {first.weights, second.weights, third.weights, first.bias,
                      second.bias, third.bias})
    if (value)
      weights.push_back(value);
  Value results = ExpertOp::create(
      b, loc, assigned, dispatched, routing, weights,
      [&](OpBuilder &nested, Location at, ValueRange arguments) {
        YieldOp::create(nested, at, makeBody(nested, at, arguments));
      });
  Value combined = CombineOp::create(b, loc, type, results, routing, Value());
  return op.replace(sizes.size() == 3 ? up.reshape(combined, sizes) : combined);
}

static LogicalResult convertMoE(ForeignOp &op) {
  Layer layer(op);
  if (failed(layer.readRouter(0)) ||
      failed(layer.readProjection(layer.first, 2, 3)) ||
      failed(layer.readProjection(layer.second, 4, 5)) ||
      failed(layer.readProjection(layer.third, 6, 7)))
    return failure();
  return layer.replace();
}

static LogicalResult convertQMoE(ForeignOp &op) {
  Layer layer(op);
  if (failed(layer.readRouter(14)) ||
      failed(layer.readStored(layer.first, 2, 3, 4, 11)) ||
      failed(layer.readStored(layer.second, 5, 6, 7, 12)) ||
      failed(layer.readStored(layer.third, 8, 9, 10, 13)))
    return failure();
  return layer.replace();
}

void onnx::addExperts(ForeignTable &table) {
  table.add("onnx.com.microsoft.MoE", convertMoE);
  table.add("onnx.com.microsoft.QMoE", convertQMoE);
}
