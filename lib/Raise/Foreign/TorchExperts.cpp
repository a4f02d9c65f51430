//===- TorchExperts.cpp - Experts that are one op in PyTorch -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Custom operators, `torch.operator` with a name. `moe_mlir.exported_experts`
// is ours, see python/moe_mlir/export.py: it becomes the gathered form of the
// experts, as exporters write it, in index notation. What finds layers there
// then makes one of it with the router around it, whatever that is, and where
// it does not the program still computes the same.
//
//===----------------------------------------------------------------------===//

#include "Torch.h"

#include "Onnx.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/OperationSupport.h"

#include <cmath>

using namespace mlir;
using namespace moe::raise;
using namespace moe::raise::torch;

//===----------------------------------------------------------------------===//
// torch.moe_mlir.exported_experts
//===----------------------------------------------------------------------===//

namespace {
/// What stands between the products: `kind` of the gate, or of what there is
/// without one.
struct Activation {
  enum Kind {
    SiLU,
    GELU,
    GELUTanh,
    QuickGELU,
    ReLU,
    ReLU2,
    Tanh,
    Identity,
    ClampedSwiGLU
  } kind = SiLU;
  double alpha = 1, limit = 0, offset = 0; ///< of ClampedSwiGLU
};
} // namespace

/// `silu` and so on, or `clamped_swiglu:ALPHA:LIMIT:OFFSET`. Names of classes
/// of transformers stand for the functions that these use.
static std::optional<Activation> parseActivation(StringRef text) {
  using Result = std::optional<Activation::Kind>;
  auto [name, numbers] = text.split(':');
  Result kind =
      llvm::StringSwitch<Result>(name)
          .Cases({"silu", "MixtralExperts", "DeepseekV3Experts"},
                 Activation::SiLU)
          .Cases({"Qwen2MoeExperts", "Qwen3MoeExperts", "OlmoeExperts"},
                 Activation::SiLU)
          .Case("gelu", Activation::GELU)
          .Case("gelu_tanh", Activation::GELUTanh)
          .Case("quick_gelu", Activation::QuickGELU)
          .Case("relu", Activation::ReLU)
          .Case("relu2", Activation::ReLU2)
          .Case("tanh", Activation::Tanh)
          .Case("identity", Activation::Identity)
          .Cases({"clamped_swiglu", "GptOssExperts"}, Activation::ClampedSwiGLU)
          .Default(std::nullopt);
  if (!kind)
    return std::nullopt;
  Activation it;
  it.kind = *kind;
  if (name == "GptOssExperts" && numbers.empty())
    numbers = "1.702:7:1";
  SmallVector<StringRef> parts;
  if (!numbers.empty())
    numbers.split(parts, ':');
  if (parts.size() != (it.kind == Activation::ClampedSwiGLU ? 3 : 0))
    return std::nullopt;
  double *fields[] = {&it.alpha, &it.limit, &it.offset};
  for (auto [part, field] : llvm::zip(parts, fields))
    if (part.getAsDouble(*field) || !std::isfinite(*field))
      return std::nullopt;
  if (it.kind == Activation::ClampedSwiGLU && !(it.limit > 0))
    return std::nullopt;
  return it;
}

/// The activation of one element; `up` is null if there is no gate.
static Value activate(OpBuilder &b, Location loc, const Activation &it,
                      Value gate, Value up) {
  auto number = [&](double value) {
    return Upstream(b, loc).scalar(gate.getType(), value);
  };
  auto multiply = [&](Value x, Value y) -> Value {
    return arith::MulFOp::create(b, loc, x, y);
  };
  auto add = [&](Value x, Value y) -> Value {
    return arith::AddFOp::create(b, loc, x, y);
  };
  auto smaller = [&](Value x, double bound) -> Value {
    return arith::MinimumFOp::create(b, loc, x, number(bound));
  };
  auto larger = [&](Value x, double bound) -> Value {
    return arith::MaximumFOp::create(b, loc, x, number(bound));
  };
  auto swish = [&](Value x, double alpha) {
    Value scaled = alpha == 1 ? x : multiply(x, number(alpha));
    return multiply(x, Upstream(b, loc).sigmoid(scaled));
  };
  auto gelu = [&](Value inner) {
    return multiply(multiply(gate, number(0.5)), add(inner, number(1)));
  };
  Value result = gate;
  switch (it.kind) {
  case Activation::Identity:
    break;
  case Activation::SiLU:
    result = swish(gate, 1);
    break;
  case Activation::QuickGELU:
    result = swish(gate, 1.702);
    break;
  case Activation::ReLU:
    result = larger(gate, 0);
    break;
  case Activation::ReLU2:
    result = multiply(larger(gate, 0), larger(gate, 0));
    break;
  case Activation::Tanh:
    result = math::TanhOp::create(b, loc, gate);
    break;
  case Activation::GELU:
    result = gelu(math::ErfOp::create(
        b, loc, multiply(gate, number(0.7071067811865476))));
    break;
  case Activation::GELUTanh: {
    Value cube = multiply(multiply(gate, gate), gate);
    Value sum = add(gate, multiply(cube, number(0.044715)));
    result = gelu(math::TanhOp::create(
        b, loc, multiply(sum, number(0.7978845608028654))));
    break;
  }
  case Activation::ClampedSwiGLU:
    result = swish(smaller(gate, it.limit), it.alpha);
    up = add(smaller(larger(up, -it.limit), it.limit), number(it.offset));
    break;
  }
  return up ? multiply(up, result) : result;
}

/// Rows [S, K] times the matrices of their experts, plus their biases: [S, N].
/// Matrices are [E, K, N] if transposed, else [E, N, K].
static FailureOr<Value> multiplyByExpert(Upstream &up, Value rows, Value ids,
                                         Value weights, Value bias,
                                         bool isTransposed) {
  Value own = takeRows(up, weights, ids);
  ContractionDims dims;
  dims.lhsBatch = dims.rhsBatch = {0};
  dims.lhsContracting = {1};
  dims.rhsContracting = {isTransposed ? 1 : 2};
  Value product = up.contract(rows, own, dims);
  if (!bias)
    return product;
  return addTensors(up, product, takeRows(up, bias, ids));
}

LogicalResult torch::writeExperts(ForeignOp &op, const ExpertsCall &call) {
  ArrayRef<Value> operands = call.operands;
  auto [x, ids, weights] = std::tie(operands[0], operands[1], operands[2]);
  auto [upWeights, downWeights] = std::tie(operands[3], operands[4]);
  bool isGated = call.isGated, isInterleaved = call.isInterleaved,
       isTransposed = call.isTransposed;
  std::optional<Activation> activation = parseActivation(call.activation);
  if (!activation)
    return op.leave("its activation is '" + call.activation +
                    "'; expected silu, gelu, gelu_tanh, quick_gelu, relu, "
                    "relu2, tanh, identity or "
                    "clamped_swiglu:ALPHA:LIMIT:OFFSET");
  if (activation->kind == Activation::ClampedSwiGLU && !isGated)
    return op.leave("its activation needs a gate, and there is none");

  // Shapes.
  RankedTensorType type = Upstream::typeOf(x), idType = Upstream::typeOf(ids);
  Type element = type.getElementType();
  bool isGood =
      type.getRank() == 2 && idType.getRank() == 2 && !idType.isDynamicDim(1) &&
      idType.getElementType().isInteger() &&
      Upstream::typeOf(weights).getRank() == 2 && isa<FloatType>(element);
  for (Value matrix : {upWeights, downWeights})
    isGood &= Upstream::typeOf(matrix).getRank() == 3 &&
              Upstream::typeOf(matrix).hasStaticShape() &&
              Upstream::typeOf(matrix).getElementType() == element;
  if (!isGood)
    return op.leave("the operands are not x [T, H], "
                    "indices [T, K], weights [T, K] and matrices [E, N, K]");
  int64_t k = isTransposed ? 1 : 2, n = isTransposed ? 2 : 1;
  auto sizeOf = [&](Value matrix, int64_t dim) {
    return Upstream::typeOf(matrix).getDimSize(dim);
  };
  int64_t experts = sizeOf(upWeights, 0), hidden = sizeOf(upWeights, k),
          wide = sizeOf(upWeights, n), inner = isGated ? wide / 2 : wide;
  isGood = sizeOf(downWeights, 0) == experts && hidden > 0 &&
           sizeOf(downWeights, k) == inner && (!isGated || wide % 2 == 0) &&
           (type.isDynamicDim(1) || type.getDimSize(1) == hidden);
  for (auto [bias, size] : {std::pair(operands[5], wide),
                            std::pair(operands[6], sizeOf(downWeights, n))})
    isGood &= !bias || Upstream::typeOf(bias) ==
                           RankedTensorType::get({experts, size}, element);
  if (!isGood)
    return op.leave("the shapes of the operands do not fit "
                    "each other");

  Upstream &up = op.upstream;
  OpBuilder &b = up.getBuilder();
  Location loc = op.getLoc();
  OpFoldResult tokens = up.sizesOf(x)[0],
               slots = b.getIndexAttr(idType.getDimSize(1));
  OpFoldResult assignments = onnx::multiply(up, tokens, slots);
  // [T, K, H] as rows.
  OpFoldResult width = b.getIndexAttr(hidden);
  Value rows = up.broadcast(x, {tokens, slots, width}, {0, 2});
  rows = up.reshape(rows, {assignments, width});
  Value flatIds = up.reshape(ids, {assignments});
  FailureOr<Value> h =
      multiplyByExpert(up, rows, flatIds, upWeights, operands[5], isTransposed);
  if (failed(h))
    return op.leave("a bias does not fit");
  SmallVector<Value> parts = {*h};
  if (isGated) {
    parts.clear();
    int64_t step = isInterleaved ? 2 : 1;
    for (int64_t begin : {int64_t(0), isInterleaved ? 1 : inner})
      parts.push_back(up.slice(*h, {b.getIndexAttr(0), b.getIndexAttr(begin)},
                               {assignments, b.getIndexAttr(inner)},
                               {1, step}));
  }
  Value hiddenRows =
      up.elementwise(parts, element, [&](OpBuilder &nested, ValueRange v) {
        return activate(nested, loc, *activation, v[0],
                        isGated ? v[1] : Value());
      });
  FailureOr<Value> y = multiplyByExpert(up, hiddenRows, flatIds, downWeights,
                                        operands[6], isTransposed);
  if (failed(y))
    return op.leave("a bias does not fit");
  Value scale = up.reshape(castTo(up, weights, element),
                           {assignments, b.getIndexAttr(1)});
  SmallVector<Value> factors = {*y, scale};
  if (failed(up.broadcastTogether(factors)))
    return op.leave("the weights do not fit");
  Value weighted =
      up.elementwise(factors, element, [&](OpBuilder &nested, ValueRange v) {
        return arith::MulFOp::create(nested, loc, v[0], v[1]).getResult();
      });
  Value perSlot = up.reshape(
      weighted, {tokens, slots, b.getIndexAttr(sizeOf(downWeights, n))});
  return op.replace(up.sum(perSlot, ArrayRef<int64_t>{1}));
}

/// experts(x [T, H], indices [T, K], weights [T, K], up, down, up bias, down
/// bias, activation, gated, interleaved, transposed) -> [T, H].
static LogicalResult convertExperts(ForeignOp &op) {
  if (op.getNumOperands() != 11)
    return op.leave("it has to have 11 operands, and has " +
                    Twine(op.getNumOperands()));
  ExpertsCall call;
  for (unsigned i = 0; i < 7; ++i) {
    bool isAbsent = i >= 5 && isNone(op.getOperand(i));
    call.operands.push_back(isAbsent ? Value() : getTensor(op, i));
    if (!isAbsent && !call.operands.back())
      return failure();
  }
  std::optional<StringRef> name = getString(op.getOperand(7));
  std::optional<bool> isGated = getBool(op.getOperand(8)),
                      isInterleaved = getBool(op.getOperand(9)),
                      isTransposed = getBool(op.getOperand(10));
  if (!name || !isGated || !isInterleaved || !isTransposed)
    return op.leave("the activation or a flag is no "
                    "constant");
  call.activation = *name;
  call.isGated = *isGated;
  call.isInterleaved = *isInterleaved;
  call.isTransposed = *isTransposed;
  return writeExperts(op, call);
}

//===----------------------------------------------------------------------===//
// Groups of rows
//===----------------------------------------------------------------------===//

/// The tensor that the body of `made` reads, if it is what `make` makes of one
/// again; else null.
static Value findSource(Value made, llvm::function_ref<Value(Value)> make) {
  auto generic = made.getDefiningOp<linalg::GenericOp>();
  Value source;
  if (generic)
    generic.getBody()->walk(
        [&](tensor::ExtractOp extract) { source = extract.getTensor(); });
  if (!source || source.getType() != made.getType())
    return {};
  Operation *again = make(source).getDefiningOp();
  bool isSame = OperationEquivalence::isEquivalentTo(
      generic, again, OperationEquivalence::ignoreValueEquivalence, nullptr,
      OperationEquivalence::IgnoreLocations);
  again->erase();
  return isSame ? source : Value();
}

/// histc(x, bins, low, high) of elements that are integers, as ids are.
static LogicalResult convertHistogram(ForeignOp &op) {
  Value tensor = getTensor(op, 0);
  if (!tensor)
    return failure();
  Type element = getResultElement(op);
  if (op.getNumOperands() != 4 || !element)
    return op.leave("aten.histc has four operands");
  std::optional<int64_t> bins = getInt(op.getOperand(1)),
                         low = getInt(op.getOperand(2)),
                         high = getInt(op.getOperand(3));
  RankedTensorType type = Upstream::typeOf(tensor);
  if (!bins || !low || !high || *bins < 1 || *high <= *low ||
      !isa<FloatType>(type.getElementType()) || type.getRank() != 1)
    return op.leave("its bounds are no constants, or its operand no row of "
                    "floats");
  Upstream &up = op.upstream;
  OpBuilder &b = up.getBuilder();
  Location loc = op.getLoc();
  Type i64 = b.getI64Type(), number = type.getElementType();
  double width = double(*high - *low) / double(*bins);
  // Of integers, with a bin for each of 0, 1, ..., which is how exporters count
  // the rows of experts: what is outside has none.
  Value places = lookThroughFloats(tensor);
  // They are as many before they are sorted.
  auto sorted = places.getDefiningOp<linalg::GenericOp>();
  if (places != tensor && sorted)
    if (sorted.getNumDpsInputs() == 1)
      if (Value unsorted =
              findSource(places,
                         [&](Value source) {
                           return takeRows(up, source,
                                           sorted.getDpsInputOperand(0)->get());
                         });
          unsorted && isOrder(sorted.getDpsInputOperand(0)->get()))
        places = unsorted;
  if (places == tensor || *low != 0 || *high != *bins - 1)
    places = up.elementwise(
        tensor, i64, [&](OpBuilder &nested, ValueRange v) -> Value {
          Upstream scalars(nested, loc);
          auto compare = [&](arith::CmpFPredicate predicate, double bound) {
            return arith::CmpFOp::create(nested, loc, predicate, v[0],
                                         scalars.scalar(number, bound));
          };
          Value shifted = v[0];
          if (*low != 0)
            shifted = arith::SubFOp::create(nested, loc, v[0],
                                            scalars.scalar(number, *low));
          Value place = arith::FPToSIOp::create(
              nested, loc, i64,
              arith::DivFOp::create(nested, loc, shifted,
                                    scalars.scalar(number, width)));
          place = arith::MinSIOp::create(nested, loc, place,
                                         scalars.scalar(i64, *bins - 1));
          Value isInside = arith::AndIOp::create(
              nested, loc, compare(arith::CmpFPredicate::OGE, *low),
              compare(arith::CmpFPredicate::OLE, *high));
          return arith::SelectOp::create(nested, loc, isInside, place,
                                         scalars.scalar(i64, -1));
        });
  // Each bin counts the elements whose place it is.
  AffineMap update =
                AffineMap::get(2, 0, {b.getAffineDimExpr(1)}, b.getContext()),
            bin = AffineMap::get(2, 0, {b.getAffineDimExpr(0)}, b.getContext());
  Value zeros = up.fill({b.getIndexAttr(*bins)}, up.scalar(i64, 0));
  utils::IteratorType iterators[] = {utils::IteratorType::parallel,
                                     utils::IteratorType::reduction};
  Value counts =
      linalg::GenericOp::create(
          b, loc, zeros.getType(), places, zeros, ArrayRef{update, bin},
          iterators,
          [&](OpBuilder &nested, Location, ValueRange v) {
            Upstream scalars(nested, loc);
            Value place = arith::IndexCastOp::create(
                nested, loc, nested.getIndexType(), v[0]);
            Value here = linalg::IndexOp::create(nested, loc, 0);
            Value isHere = arith::CmpIOp::create(
                nested, loc, arith::CmpIPredicate::eq, place, here);
            Value one = arith::SelectOp::create(nested, loc, isHere,
                                                scalars.scalar(i64, 1),
                                                scalars.scalar(i64, 0));
            linalg::YieldOp::create(
                nested, loc,
                arith::AddIOp::create(nested, loc, v[1], one).getResult());
          })
          .getResult(0);
  return op.replace(castTo(up, counts, element));
}

/// Rows [S, K], weights [G, K, N] and where the rows of each group end.
static LogicalResult convertGroupedMM(ForeignOp &op) {
  Value rows = getTensor(op, 0);
  Value weights = rows ? getTensor(op, 1) : Value();
  Value ends = weights ? getTensor(op, 2) : Value();
  if (!ends)
    return failure();
  for (unsigned i = 3; i < op.getNumOperands(); ++i)
    if (!isNone(op.getOperand(i)))
      return op.leave("it has a bias, or a type of its own");
  RankedTensorType type = Upstream::typeOf(rows),
                   matrix = Upstream::typeOf(weights),
                   end = Upstream::typeOf(ends);
  if (type.getRank() != 2 || matrix.getRank() != 3 ||
      !matrix.hasStaticShape() || end.getRank() != 1 ||
      !end.getElementType().isInteger() ||
      end.getDimSize(0) != matrix.getDimSize(0) ||
      (!type.isDynamicDim(1) && type.getDimSize(1) != matrix.getDimSize(1)) ||
      !isa<FloatType>(type.getElementType()) ||
      matrix.getElementType() != type.getElementType())
    return op.leave("its operands are not rows [S, K], matrices [G, K, N] and "
                    "ends [G]");
  Upstream &up = op.upstream;
  Location loc = op.getLoc();
  Value counts = findSource(
      ends, [&](Value summands) { return up.runningSum(summands, 0); });
  if (!counts)
    counts = up.elementwise(
        ends, end.getElementType(), [&](OpBuilder &b, ValueRange v) -> Value {
          Value group = linalg::IndexOp::create(b, loc, 0);
          Upstream scalars(b, loc);
          Value zero = scalars.scalar(b.getIndexType(), 0),
                one = scalars.scalar(b.getIndexType(), 1);
          Value before = arith::MaxSIOp::create(
              b, loc, arith::SubIOp::create(b, loc, group, one), zero);
          Value isFirst = arith::CmpIOp::create(
              b, loc, arith::CmpIPredicate::eq, group, zero);
          Value begin = tensor::ExtractOp::create(b, loc, ends, before);
          begin = arith::SelectOp::create(
              b, loc, isFirst, scalars.scalar(end.getElementType(), 0), begin);
          return arith::SubIOp::create(b, loc, v[0], begin);
        });
  return op.replace(up.groupedProduct(rows, weights, counts,
                                      /*isTransposed=*/false));
}

/// A custom operator has its name as an attribute.
static LogicalResult convertOperator(ForeignOp &op) {
  StringRef name = op.getString("name");
  if (op.getOperation()->getNumResults() == 1) {
    if (name == "torch.moe_mlir.experts" ||
        name == "torch.moe_mlir.exported_experts")
      return convertExperts(op);
    if (name == "torch.aten.histc")
      return convertHistogram(op);
    if (name == "torch.transformers.grouped_mm_fallback" ||
        name == "torch.aten._grouped_mm")
      return convertGroupedMM(op);
  }
  return op.leave("nothing is known of it");
}

void torch::addExperts(ForeignTable &table) {
  table.add("torch.operator", convertOperator);
  table.add("torch.aten.histc", convertHistogram);
  table.add("torch.aten._grouped_mm", convertGroupedMM);
}
