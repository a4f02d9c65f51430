//===- BuildExpertBody.cpp - The kernels of an expert's body ----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// One kernel an op; fusions join them afterwards. Rows between kernels are f32:
// where the body says bf16 or f16, its readers round them.
//
//===----------------------------------------------------------------------===//

#include "ExpertBody.h"

#include "Patterns.h"
#include "Payload.h"

#include "moe-mlir/Analysis/RowProduct.h"
#include "moe-mlir/Analysis/WeightUse.h"
#include "moe/SkipZeros.h"
#include "moe_rt/MoeRt.h"
#include "moek/Codegen.h"
#include "moek/KernelRegion.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Vector/Utils/VectorUtils.h"
#include "llvm/Support/SaveAndRestore.h"

using namespace mlir;
using namespace moe;

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

/// How many of the values of the rows that `op` multiplies may be other than 0
/// for it to leave out the zeros; null where it is not to.
static FloatAttr getSkipZeros(Operation *op) {
  return op->getAttrOfType<FloatAttr>(kSkipZerosAttrName);
}

Groups moe::buildOneGroup(OpBuilder &b, Location loc, Value rows) {
  Type i32 = b.getI32Type();
  Value count = arith::IndexCastOp::create(b, loc, i32, rows);
  auto constant = [&](int64_t v) -> Value {
    return arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(v));
  };
  Value zero = constant(0);
  Value any = arith::MinSIOp::create(b, loc, count, constant(1));
  Value offsets =
      tensor::FromElementsOp::create(b, loc, ValueRange{zero, count});
  Value active = tensor::FromElementsOp::create(b, loc, ValueRange{zero, any});
  return {offsets, active};
}

Value KernelBuilder::buildRows(Location loc, int64_t length, Type element) {
  return buildEmptyRows(b, loc, numRows, length, element);
}

/// What all of `matrix`, which can be packed, is stored in; null for plain
/// numbers.
static WeightFormatAttrInterface getFormat(Value matrix) {
  std::string why;
  FailureOr<WeightUse> use = WeightUse::get(matrix, why);
  return succeeded(use) ? use->format : WeightFormatAttrInterface();
}

Value KernelBuilder::buildMatmul(Location loc, Value lhs, ValueRange matrices,
                                 StringRef phase, FloatAttr skipZeros) {
  Type f32 = b.getF32Type();
  auto type = cast<RankedTensorType>(matrices.front().getType());
  int64_t n = type.getDimSize(type.getRank() - 2);
  int64_t k = type.getDimSize(type.getRank() - 1);
  Value packed = moek::PackOp::create(b, loc, matrices);
  Value out = buildRows(loc, n, f32);
  auto op = moek::GroupedMatmulOp::create(
      b, loc, TypeRange{out.getType()}, lhs, packed, groups.offsets,
      groups.active, /*gather=*/Value(), /*gather_weights=*/Value(),
      /*tokens=*/Value(), /*gathered=*/ValueRange(), /*rows=*/ValueRange(),
      /*parameters=*/ValueRange(), /*positions=*/Value(),
      /*first_row=*/Value(), /*num_rows=*/Value(), /*slot_weights=*/Value(),
      /*init=*/Value(), ValueRange{out}, static_cast<uint64_t>(n),
      static_cast<uint64_t>(k), uint64_t(1), b.getStringAttr(phase),
      getFormat(matrices.front()), skipZeros, moek::ScheduleAttrInterface());
  if (codegen)
    op->setAttr(moek::kCodegenAttrName, codegen);
  OpBuilder::InsertionGuard guard(b);
  Block *block = b.createBlock(&op.getEpilogue(), {}, {f32}, {loc});
  moek::YieldOp::create(b, loc, ValueRange{block->getArgument(0)});
  return op.getResult(0);
}

namespace {
/// The region of a moek.row_map, and the operands it turns out to have.
class RowMapRegion {
public:
  RowMapRegion(KernelBuilder &kernels, Location loc, int64_t length)
      : b(kernels.b.getContext()), kernels(kernels), loc(loc), length(length),
        block(new Block()) {
    region.push_back(block);
    b.setInsertionPointToEnd(block);
  }

  OpBuilder b;

  /// A row of `tensor`, or its one value of a row.
  Value addRows(Value tensor) {
    if (!rows.insert(tensor))
      return block->getArgument(llvm::find(rows, tensor) - rows.begin());
    return block->insertArgument(rows.size() - 1, moek::getRowType(tensor, length), loc);
  }
  /// The expert's row of `tensor`, or its one value.
  Value addParameter(Value tensor) {
    if (!parameters.insert(tensor))
      return block->getArgument(
          rows.size() + (llvm::find(parameters, tensor) - parameters.begin()));
    return block->addArgument(moek::getRowType(tensor, length), loc);
  }

  /// The op that yields `values`, each a row or one value of a row.
  moek::RowMapOp finish(ValueRange values) {
    moek::YieldOp::create(b, loc, values);
    SmallVector<Value> outs;
    for (Value value : values)
      outs.push_back(
          kernels.buildRows(loc, isa<VectorType>(value.getType()) ? length : -1,
                            getElementTypeOrSelf(value.getType())));
    auto op = moek::RowMapOp::create(
        kernels.b, loc, TypeRange(ValueRange(outs)), kernels.groups.offsets,
        /*tokens=*/Value(), /*gathered=*/ValueRange(), rows.getArrayRef(),
        parameters.getArrayRef(), outs);
    op.getBody().takeBody(region);
    return op;
  }

private:
  KernelBuilder &kernels;
  Location loc;
  int64_t length;
  Region region;
  Block *block;
  SetVector<Value> rows, parameters;
};
} // namespace

/// One `[experts, ...]` tensor of those of ranges of experts.
static Value joinExperts(OpBuilder &b, Location loc, ArrayRef<Value> parts) {
  if (parts.size() == 1)
    return parts.front();
  auto first = cast<RankedTensorType>(parts.front().getType());
  SmallVector<int64_t> shape(first.getShape());
  shape[0] = 0;
  for (Value part : parts)
    shape[0] += cast<RankedTensorType>(part.getType()).getDimSize(0);
  Value all = tensor::EmptyOp::create(b, loc, shape, first.getElementType());
  int64_t begin = 0;
  for (Value part : parts) {
    auto type = cast<RankedTensorType>(part.getType());
    SmallVector<OpFoldResult> offsets(type.getRank(), b.getIndexAttr(0));
    SmallVector<OpFoldResult> strides(type.getRank(), b.getIndexAttr(1));
    SmallVector<OpFoldResult> sizes;
    for (int64_t size : type.getShape())
      sizes.push_back(b.getIndexAttr(size));
    offsets[0] = b.getIndexAttr(begin);
    all = tensor::InsertSliceOp::create(b, loc, part, all, offsets, sizes,
                                        strides);
    begin += type.getDimSize(0);
  }
  return all;
}

/// `[E, N]` or, of what has one element an expert, `[E]`; from `[E, 1, N]` and
/// the like.
static Value squeeze(OpBuilder &b, Location loc, Value parameter) {
  auto type = cast<RankedTensorType>(parameter.getType());
  int64_t elements = type.getNumElements() / type.getDimSize(0);
  int64_t rank = elements == 1 ? 1 : 2;
  if (type.getRank() == rank)
    return parameter;
  SmallVector<ReassociationIndices> groups(rank);
  for (int64_t d = 0; d < type.getRank(); ++d)
    groups[rank == 2 && d > 0 ? 1 : 0].push_back(d);
  return tensor::CollapseShapeOp::create(b, loc, parameter, groups);
}

/// The activation of `ffn` on rows.
static Value buildActivation(OpBuilder &b, FFNOp ffn, ValueRange rows) {
  if (ffn.getBody().empty())
    return ffn.getActivation()->buildActivation(b, ffn.getLoc(), rows);
  Block &body = ffn.getBody().front();
  IRMapping mapping;
  mapping.map(body.getArguments(), rows);
  int64_t length = ffn.getIntermediate();
  Value h = buildPayloadOnRow(b, body, mapping,
                              body.getTerminator()->getOperand(0), length)[0];
  return spreadOverRow(b, ffn.getLoc(), h, length);
}

Value moe::buildFFN(KernelBuilder kernels, FFNOp ffn, Value rows,
                    function_ref<SmallVector<Value>(Value)> weights) {
  OpBuilder &b = kernels.b;
  Location loc = ffn.getLoc();
  Type f32 = b.getF32Type();
  auto addBias = [&](RowMapRegion &region, Value row, Value bias) -> Value {
    if (!bias)
      return row;
    SmallVector<Value> parts;
    for (Value part : weights(bias))
      parts.push_back(convertElements(b, loc, part, f32));
    Value parameter =
        region.addParameter(squeeze(b, loc, joinExperts(b, loc, parts)));
    // A row of one element.
    auto type = cast<VectorType>(row.getType());
    parameter = spreadOverRow(region.b, loc, parameter, type.getDimSize(0));
    return arith::AddFOp::create(region.b, loc, row, parameter);
  };
  RowMapRegion activation(kernels, loc, ffn.getIntermediate());
  SmallVector<Value> matmuls;
  if (ffn.isGated())
    matmuls.push_back(
        kernels.buildMatmul(loc, rows, weights(ffn.getGate()), "gate"));
  matmuls.push_back(kernels.buildMatmul(loc, rows, weights(ffn.getUp()), "up"));
  SmallVector<Value> arguments;
  for (Value matmul : matmuls)
    arguments.push_back(activation.addRows(matmul));
  if (ffn.isGated())
    arguments[0] = addBias(activation, arguments[0], ffn.getGateBias());
  arguments.back() = addBias(activation, arguments.back(), ffn.getUpBias());
  Value h = buildActivation(activation.b, ffn, arguments);
  if (!h)
    return Value();
  Value active = activation.finish(h).getResult(0);
  Value down = kernels.buildMatmul(loc, active, weights(ffn.getDown()), "down",
                                   getSkipZeros(ffn));
  if (!ffn.getDownBias())
    return down;
  RowMapRegion biased(kernels, loc, ffn.getOutputHidden());
  return biased.finish(addBias(biased, biased.addRows(down), ffn.getDownBias()))
      .getResult(0);
}

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

Value ExpertBody::getWeight(Value argument, ValueRange weights) {
  return weights[cast<BlockArgument>(argument).getArgNumber() - 1];
}

Value ExpertBody::buildMatrix(OpBuilder &b, const Matrix &matrix,
                              ValueRange weights) const {
  Value all = getWeight(matrix.value, weights);
  auto type = cast<RankedTensorType>(all.getType());
  Location loc = matrix.value.getLoc();
  if (matrix.isTransposed) {
    SmallVector<int64_t> permutation{0, 2, 1};
    Value empty = tensor::EmptyOp::create(b, loc,
                                          ArrayRef<int64_t>{type.getDimSize(0),
                                                            type.getDimSize(2),
                                                            type.getDimSize(1)},
                                          type.getElementType());
    return linalg::TransposeOp::create(b, loc, all, empty, permutation)
        ->getResult(0);
  }
  // moek.pack takes the matrix of one expert as it is.
  if (auto expand = all.getDefiningOp<tensor::ExpandShapeOp>();
      expand && type.getDimSize(0) == 1 && expand.getSrcType().getRank() == 2)
    return expand.getSrc();
  return all;
}

//===----------------------------------------------------------------------===//
// Bodies
//===----------------------------------------------------------------------===//

namespace moe {
class BodyBuilder {
public:
  BodyBuilder(const ExpertBody &body, KernelBuilder kernels,
              ArrayRef<SmallVector<Value>> weights)
      : body(body), kernels(kernels), b(kernels.b), weights(weights) {}

  Value build(ValueRange rows) {
    Block &block = *body.body;
    lifted[block.getArgument(0)] = rows.front();
    for (auto [argument, own] :
         llvm::zip(block.getArguments().drop_front(1 + body.numWeights),
                   rows.drop_front()))
      lifted[argument] = own;
    if (!buildOps(block))
      return Value();
    Value yielded = block.getTerminator()->getOperand(0);
    Value result = lifted.lookup(yielded);
    if (result && !kernels.others)
      return result;
    Operation *def = result ? result.getDefiningOp() : nullptr;
    // The last kernel writes beside the rows of other experts.
    bool isKernel =
        isa_and_nonnull<moek::GroupedMatmulOp, moek::RowMapOp>(def)
            ? def->getNumResults() == 1
            : isa_and_nonnull<moek::ExternalCallOp>(def);
    if (!isKernel || llvm::is_contained(rows, result) || !result.use_empty() ||
        (kernels.others && result.getType() != kernels.others.getType())) {
      result = copyRows(yielded);
      def = result.getDefiningOp();
    }
    if (kernels.others)
      cast<DestinationStyleOpInterface>(def).getDpsInitsMutable()[0].assign(
          kernels.others);
    return result;
  }

private:
  using Kind = ExpertBody::Kind;
  const ExpertBody &body;
  KernelBuilder kernels;
  OpBuilder &b;
  ArrayRef<SmallVector<Value>> weights;
  /// Rows of all experts, and the one value of each of their rows: `[rows]`.
  DenseMap<Value, Value> lifted;

  Kind getKind(Value value) const {
    auto it = body.kinds.find(value);
    return it == body.kinds.end() ? Kind::Uniform : it->second;
  }
  bool isPerRow(Value value) const {
    return getKind(value) == Kind::Rows || getKind(value) == Kind::RowValues;
  }

  /// `value`, rows or the same in every row, written by a kernel.
  Value copyRows(Value value) {
    auto type = cast<RankedTensorType>(value.getType());
    RowMapRegion region(kernels, value.getLoc(), type.getDimSize(1));
    Value row = spreadOverRow(region.b, value.getLoc(), get(region, value),
                              type.getDimSize(1));
    return region.finish(widen(region, row)).getResult(0);
  }
  Value getRows(Value value) {
    Value rows = lifted.lookup(value);
    return rows ? rows : copyRows(value);
  }

  bool buildOps(Block &ops) {
    for (Operation &op : ops.without_terminator())
      if (op.getNumResults() && isPerRow(op.getResult(0)) && !buildOp(op))
        return false;
    return true;
  }

  bool buildOp(Operation &op) {
    if (auto scan = dyn_cast<ScanOp>(op))
      return buildScan(scan);
    if (auto call = dyn_cast<func::CallOp>(op))
      return buildCall(call);
    Value &result = lifted[op.getResult(0)];
    if (auto ffn = dyn_cast<FFNOp>(op)) {
      result =
          buildFFN(kernels, ffn, lifted.lookup(ffn.getX()), [&](Value weight) {
            return buildWeights(weight, /*isTransposed=*/false);
          });
      return bool(result);
    }
    if (isa<tensor::CastOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp>(
            op)) {
      result = lifted.lookup(op.getOperand(0));
      return true;
    }
    if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
      Value source = lifted.lookup(slice.getSource());
      SmallVector<OpFoldResult> sizes = slice.getMixedSizes();
      sizes[0] = kernels.numRows;
      auto type = cast<RankedTensorType>(source.getType());
      result = tensor::ExtractSliceOp::create(
          b, op.getLoc(),
          type.clone({ShapedType::kDynamic, slice.getStaticSize(1)}), source,
          slice.getMixedOffsets(), sizes, slice.getMixedStrides());
      return true;
    }
    auto linalgOp = cast<linalg::LinalgOp>(op);
    if (std::optional<RowProduct> product = RowProduct::match(linalgOp);
        product && getKind(op.getOperand(product->rows)) == Kind::Rows)
      buildMatmul(linalgOp, *product);
    else
      buildRowOp(linalgOp);
    return true;
  }

  /// Calls of a C function, and a check that none failed where that ends the
  /// call.
  bool buildCall(func::CallOp op) {
    Location loc = op.getLoc();
    ExternalAttr external = getExternal(
        SymbolTable::lookupNearestSymbolFrom(op, op.getCalleeAttr()));
    SmallVector<Value> rows, parameters;
    for (Value operand : op.getOperands()) {
      if (!isExternalRows(operand.getType()))
        parameters.push_back(ExpertBody::getWeight(operand, weights.front()));
      else
        rows.push_back(lifted.lookup(operand));
    }
    Type i32 = b.getI32Type();
    Value outs[] = {
        kernels.buildRows(
            loc, cast<RankedTensorType>(op.getResult(0).getType()).getDimSize(1),
            b.getF32Type()),
        tensor::EmptyOp::create(b, loc, ArrayRef<int64_t>(), i32)};
    auto calls = moek::ExternalCallOp::create(
        b, loc, TypeRange(ValueRange(outs)), op.getCallee(), external,
        kernels.firstExpert, kernels.groups.offsets, rows, parameters, outs);
    lifted[op.getResult(0)] = calls.getResult(0);
    if (external.getOnFailure() != OnFailure::End)
      return true;
    Value failures =
        tensor::ExtractOp::create(b, loc, calls.getResult(1), ValueRange());
    Value none = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(0));
    Value ok = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, failures,
                                     none);
    moert::CheckOp::create(b, loc, ok, moert::Status::Expert,
                           "the function '" + op.getCallee() +
                               "' of an expert failed");
    return true;
  }

  /// The steps of a recurrence, each of the rows of all sequences that go on.
  bool buildScan(ScanOp op) {
    Location loc = op.getLoc();
    int64_t size = op.getStates().getType().getDimSize(1);
    Block &step = op.getBody().front();
    Value init = op.getInit() ? getRows(op.getInit()) : Value();
    Value states = buildSteps(
        kernels, loc, getRows(op.getRows()), lifted.lookup(op.getSequences()),
        init, size, [&](KernelBuilder own, Value now, Value before) -> Value {
          llvm::SaveAndRestore saved(kernels.groups, own.groups);
          lifted[step.getArgument(0)] = now;
          lifted[step.getArgument(1)] = before;
          return buildOps(step) ? getRows(step.getTerminator()->getOperand(0))
                                : Value();
        });
    lifted[op.getStates()] = states;
    return bool(states);
  }

  /// A weight of each range of experts.
  SmallVector<Value> buildWeights(Value weight, bool isTransposed) {
    SmallVector<Value> all;
    for (ValueRange range : weights)
      all.push_back(body.buildMatrix(b, {weight, isTransposed}, range));
    return all;
  }

  void buildMatmul(linalg::LinalgOp op, RowProduct matched) {
    Location loc = op.getLoc();
    Value product = kernels.buildMatmul(
        loc, lifted.lookup(op->getOperand(matched.rows)),
        buildWeights(op->getOperand(matched.matrix), matched.isTransposed),
        "matmul", getSkipZeros(op));
    Value result = op->getResult(0), start = op.getDpsInits()[0];
    std::optional<TypedAttr> splat = getSplat(start);
    if (!splat || !isZero(*splat)) {
      RowMapRegion region(
          kernels, loc, cast<RankedTensorType>(result.getType()).getDimSize(1));
      Value sum = region.addRows(product);
      Value init = get(region, start);
      sum = arith::AddFOp::create(
          region.b, loc, sum,
          widen(region,
                spreadOverRow(region.b, loc, init,
                              cast<VectorType>(sum.getType()).getDimSize(0))));
      product = region.finish(sum).getResult(0);
    }
    lifted[result] = product;
  }

  void buildRowOp(linalg::LinalgOp op) {
    std::string why;
    RowLoops loops = *matchRowLoops(op, why);
    Location loc = op.getLoc();
    RowMapRegion region(kernels, loc, loops.length);
    IRMapping mapping = mapPayload(region, op, loops.reduces, &loops);
    Block &payload = *op.getBlock();
    SmallVector<Value> results;
    if (!loops.reduces) {
      results = buildPayloadOnRow(region.b, payload, mapping,
                                  payload.getTerminator()->getOperands(),
                                  loops.length);
      for (Value &result : results) {
        if (loops.column)
          result = spreadOverRow(region.b, loc, result, loops.length);
        result = widen(region, result);
      }
    }
    for (unsigned i = 0; loops.reduces && i < op.getNumDpsInits(); ++i) {
      Combiner combiner = *matchCombiner(op, i);
      Value term = buildPayloadOnRow(region.b, payload, mapping, combiner.term,
                                     loops.length)[0];
      // Sums of 16 bits are kept in f32.
      term = widen(region, spreadOverRow(region.b, loc, term, loops.length));
      Value sum =
          vector::ReductionOp::create(region.b, loc, combiner.kind, term);
      Value init = widen(region, get(region, op.getDpsInits()[i]));
      results.push_back(
          vector::makeArithReduction(region.b, loc, combiner.kind, sum, init));
    }
    moek::RowMapOp map = region.finish(results);
    for (auto [from, to] : llvm::zip(op->getResults(), map.getResults()))
      lifted[from] = to;
  }

  /// The rows and values that the arguments of a linalg op's body are.
  IRMapping mapPayload(RowMapRegion &region, linalg::LinalgOp op,
                       bool withoutInits, RowLoops *loops = nullptr) {
    IRMapping mapping;
    for (OpOperand &operand : op->getOpOperands())
      if (op.payloadUsesValueFromOperand(&operand) &&
          !(withoutInits && op.isDpsInit(&operand)))
        mapping.map(
            op.getMatchingBlockArgument(&operand),
            get(region, operand.get(),
                loops && loops->getForm(operand) == RowLoops::Form::RowValues));
    return mapping;
  }

  /// The one value of each row, `[rows]`, of what may be `[rows, 1]`.
  Value getRowValues(Value value) {
    Value all = lifted.lookup(value);
    if (cast<RankedTensorType>(all.getType()).getRank() == 1)
      return all;
    return tensor::CollapseShapeOp::create(
        b, value.getLoc(), all, ArrayRef<ReassociationIndices>{{0, 1}});
  }

  /// `value` of the body in the region: a row or one value, of the type that
  /// the body says.
  Value get(RowMapRegion &region, Value value, bool asRowValue = false) {
    Location loc = value.getLoc();
    if (isPerRow(value)) {
      Value row = region.addRows(asRowValue ? getRowValues(value)
                                            : lifted.lookup(value));
      Type have = getElementTypeOrSelf(row.getType());
      Type want = getElementTypeOrSelf(value.getType());
      if (have == want)
        return row;
      auto vector = dyn_cast<VectorType>(row.getType());
      return arith::TruncFOp::create(
          region.b, loc, vector ? Type(vector.clone(want)) : want, row);
    }
    if (getKind(value) == Kind::Parameter) {
      if (auto linalgOp = value.getDefiningOp<linalg::LinalgOp>()) {
        IRMapping mapping =
            mapPayload(region, linalgOp, /*withoutInits=*/false);
        Block &payload = *linalgOp.getBlock();
        unsigned i = cast<OpResult>(value).getResultNumber();
        return buildPayloadOnRow(region.b, payload, mapping,
                                 payload.getTerminator()->getOperand(i),
                                 getLength(value))[0];
      }
      SmallVector<Value> parts;
      for (ValueRange range : weights)
        parts.push_back(ExpertBody::getWeight(value, range));
      return region.addParameter(squeeze(b, loc, joinExperts(b, loc, parts)));
    }
    if (std::optional<TypedAttr> splat = getSplat(value))
      return arith::ConstantOp::create(region.b, loc, *splat);
    DenseElementsAttr dense;
    if (!matchPattern(value, m_Constant(&dense)))
      // An empty tensor: any number will do.
      return arith::ConstantOp::create(
          region.b, loc,
          region.b.getZeroAttr(getElementTypeOrSelf(value.getType())));
    auto type =
        VectorType::get({dense.getNumElements()}, dense.getElementType());
    return arith::ConstantOp::create(region.b, loc, dense.reshape(type));
  }

  static int64_t getLength(Value value) {
    auto type = cast<RankedTensorType>(value.getType());
    return type.getNumElements();
  }

  static bool isZero(TypedAttr attr) {
    auto number = dyn_cast<FloatAttr>(attr);
    return number && number.getValue().isZero();
  }

  /// Floats of 16 bits in f32.
  static Value widen(RowMapRegion &region, Value value) {
    auto element = dyn_cast<FloatType>(getElementTypeOrSelf(value.getType()));
    if (!element || element.getWidth() >= 32)
      return value;
    Type f32 = region.b.getF32Type();
    auto vector = dyn_cast<VectorType>(value.getType());
    return arith::ExtFOp::create(region.b, value.getLoc(),
                                 vector ? Type(vector.clone(f32)) : f32, value);
  }
};
} // namespace moe

Value ExpertBody::build(KernelBuilder kernels, ValueRange rows,
                        ArrayRef<SmallVector<Value>> weights) const {
  return BodyBuilder(*this, kernels, weights).build(rows);
}
