//===- ExpertBody.cpp - An expert's body as kernels on all rows -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Which kernel each op of a body is. Building them is in BuildExpertBody.cpp.
//
//===----------------------------------------------------------------------===//

#include "ExpertBody.h"

#include "Payload.h"

#include "moe-mlir/Analysis/RowProduct.h"
#include "moe-mlir/Analysis/WeightUse.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"

using namespace mlir;
using namespace moe;

std::optional<RowLoops> moe::matchRowLoops(linalg::LinalgOp op,
                                           std::string &why) {
  AffineMap out = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
  AffineDimExpr row(nullptr);
  if (out.getNumResults())
    row = dyn_cast<AffineDimExpr>(out.getResult(0));
  RowLoops loops;
  loops.op = op;
  SmallVector<int64_t> ranges = op.getStaticLoopRanges();
  auto kinds = op.getIteratorTypesArray();
  if (!row || kinds[row.getPosition()] != utils::IteratorType::parallel ||
      !ShapedType::isDynamic(ranges[row.getPosition()])) {
    why = "does not make rows";
    return std::nullopt;
  }
  loops.row = row.getPosition();
  for (unsigned loop = 0; loop < ranges.size(); ++loop) {
    bool reduces = kinds[loop] == utils::IteratorType::reduction;
    if (loop == loops.row || (ranges[loop] == 1 && !reduces))
      continue;
    if (loops.column || ShapedType::isDynamic(ranges[loop])) {
      why = "works on more than the columns of a row";
      return std::nullopt;
    }
    loops.column = loop;
    loops.length = ranges[loop];
    loops.reduces = reduces;
  }
  return loops;
}

RowLoops::Form RowLoops::getForm(OpOperand &operand) {
  bool perRow = false, perColumn = false;
  for (AffineExpr expr : op.getMatchingIndexingMap(&operand).getResults()) {
    auto dim = dyn_cast<AffineDimExpr>(expr);
    if (!dim) {
      auto constant = dyn_cast<AffineConstantExpr>(expr);
      if (!constant || constant.getValue() != 0)
        return Form::Other;
      continue;
    }
    unsigned loop = dim.getPosition();
    if (loop == row) {
      if (perRow || perColumn)
        return Form::Other;
      perRow = true;
    } else if (column && loop == *column) {
      if (perColumn)
        return Form::Other;
      perColumn = true;
    }
  }
  return perRow      ? perColumn ? Form::Rows : Form::RowValues
         : perColumn ? Form::Columns
                     : Form::Values;
}

bool moe::isOnlyKernel(Operation *op) {
  if (isa<ScanOp>(op))
    return true;
  auto call = dyn_cast<func::CallOp>(op);
  Operation *callee = call ? SymbolTable::lookupNearestSymbolFrom(
                                 call, call.getCalleeAttr())
                           : nullptr;
  return callee && getExternal(callee);
}

namespace moe {
/// Finds the kind of each value of a body.
class BodyReader {
public:
  BodyReader(Block &block, ExpertBody &body, std::string &why)
      : block(block), body(body), why(why) {}

  LogicalResult read() {
    body.body = &block;
    for (BlockArgument argument : block.getArguments()) {
      unsigned number = argument.getArgNumber();
      bool isRows = number == 0 || number > body.numWeights;
      body.kinds[argument] = isRows ? Kind::Rows : Kind::Parameter;
      if (isRows && failed(checkElements(argument)))
        return failure();
    }
    if (failed(readOps(block)))
      return failure();
    Type yielded = block.getTerminator()->getOperand(0).getType();
    if (!isa<FloatType>(getElementTypeOrSelf(yielded)))
      return fail("yields integers, and kernels write floats");
    return success();
  }

private:
  using Kind = ExpertBody::Kind;
  Block &block;
  ExpertBody &body;
  std::string &why;

  LogicalResult readOps(Block &ops) {
    for (Operation &op : ops.without_terminator())
      if (failed(readOp(op)))
        return failure();
    std::optional<Kind> kind = getKind(ops.getTerminator()->getOperand(0));
    if (!kind)
      return failure();
    if (*kind != Kind::Rows && *kind != Kind::Uniform)
      return fail("yields something else than rows");
    return success();
  }

  LogicalResult fail(const Twine &reason) {
    why = ("the body " + reason).str();
    return failure();
  }
  LogicalResult fail(Operation &op, const Twine &reason) {
    return fail("has a " + op.getName().getStringRef() + " that " + reason);
  }

  std::optional<Kind> getKind(Value value) {
    if (auto it = body.kinds.find(value); it != body.kinds.end())
      return it->second;
    if (matchPattern(value, m_Constant())) {
      // Of a resource the elements are not here.
      DenseElementsAttr dense;
      if (!isa<ShapedType>(value.getType()) ||
          matchPattern(value, m_Constant(&dense)))
        return Kind::Uniform;
      (void)fail("has a constant of another kind than `dense`");
      return std::nullopt;
    }
    (void)fail("uses a value from outside of it that is not a constant");
    return std::nullopt;
  }

  LogicalResult set(Operation &op, Kind kind) {
    for (Value result : op.getResults())
      body.kinds[result] = kind;
    return success();
  }

  LogicalResult checkElements(Value value) {
    Type element = getElementTypeOrSelf(value.getType());
    if (element.isF64())
      return fail("works on f64, and kernels compute in f32");
    if (!element.isIntOrFloat())
      return fail("works on " + Twine("complex or index elements"));
    return success();
  }

  LogicalResult readOp(Operation &op) {
    if (op.hasTrait<OpTrait::ConstantLike>())
      return success(getKind(op.getResult(0)).has_value());
    if (isa<tensor::EmptyOp>(op))
      return set(op, Kind::Uniform);
    if (isa<tensor::DimOp>(op) ||
        (op.getNumResults() && op.getNumRegions() == 0 &&
         llvm::all_of(op.getResultTypes(),
                      [](Type type) { return type.isIndex(); })))
      return set(op, Kind::Size);
    if (auto fill = dyn_cast<linalg::FillOp>(op)) {
      if (!matchPattern(fill.getInputs()[0], m_Constant()))
        return fail(op, "fills with something else than a constant");
      return set(op, Kind::Uniform);
    }
    if (auto ffn = dyn_cast<FFNOp>(op))
      return readFFN(ffn);
    if (auto scan = dyn_cast<ScanOp>(op))
      return readScan(scan);
    if (auto call = dyn_cast<func::CallOp>(op))
      return readCall(call);
    if (isa<tensor::CastOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp,
            tensor::ExtractSliceOp>(op))
      return readView(op);
    if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op))
      return readLinalg(linalgOp);
    if (isa<RegionBranchOpInterface>(op))
      return fail(op, "decides what runs");
    return fail(op, "is neither a matmul with a weight nor a function of each "
                    "row");
  }

  LogicalResult addMatrix(Operation &op, Value matrix, bool isTransposed) {
    std::optional<Kind> kind = getKind(matrix);
    if (!kind)
      return failure();
    if (*kind != Kind::Parameter || !isa<BlockArgument>(matrix))
      return fail(op, "multiplies by something else than a weight");
    body.matrices.push_back({matrix, isTransposed});
    return success();
  }

  LogicalResult readFFN(FFNOp ffn) {
    std::optional<Kind> kind = getKind(ffn.getX());
    if (!kind)
      return failure();
    if (*kind != Kind::Rows)
      return fail(*ffn, "is not of rows");
    if (failed(checkElements(ffn.getX())) ||
        failed(checkElements(ffn.getResult())))
      return failure();
    for (Value matrix : {ffn.getGate(), ffn.getUp(), ffn.getDown()})
      if (matrix && failed(addMatrix(*ffn, matrix, /*isTransposed=*/false)))
        return failure();
    for (Value bias : {ffn.getGateBias(), ffn.getUpBias(), ffn.getDownBias()}) {
      if (!bias)
        continue;
      std::optional<Kind> kind = getKind(bias);
      if (!kind)
        return failure();
      if (*kind != Kind::Parameter && *kind != Kind::Uniform)
        return fail(*ffn, "has a bias that is not a weight");
    }
    for (Operation &inner : ffn.getBody().getOps())
      if (!inner.hasTrait<OpTrait::IsTerminator>() &&
          !isMovableScalarOp(inner, ffn.getBody(), why))
        return fail(*ffn, "cannot be a kernel: " + why);
    return set(*ffn, Kind::Rows);
  }

  /// Others are inlined before.
  LogicalResult readCall(func::CallOp call) {
    Operation *callee =
        SymbolTable::lookupNearestSymbolFrom(call, call.getCalleeAttr());
    if (!callee || !getExternal(callee))
      return fail(*call, "is of a function that cannot be inlined");
    if (call->getBlock() != &block)
      return fail(*call, "is in a step of moe.scan");
    for (Value operand : call.getOperands()) {
      std::optional<Kind> kind = getKind(operand);
      if (!kind)
        return failure();
      if (isExternalRows(operand.getType())
              ? *kind != Kind::Rows
              : *kind != Kind::Parameter || !isa<BlockArgument>(operand))
        return fail(*call, "takes something else than rows and weights");
    }
    body.callsExternal = true;
    return set(*call, Kind::Rows);
  }

  LogicalResult readScan(ScanOp scan) {
    for (Value operand : scan->getOperands()) {
      std::optional<Kind> kind = getKind(operand);
      if (!kind || failed(checkElements(operand)))
        return failure();
      if (*kind != Kind::Rows &&
          !(*kind == Kind::Uniform && operand == scan.getInit()))
        return fail(*scan, "is of something else than rows");
    }
    Block &step = scan.getBody().front();
    for (BlockArgument argument : step.getArguments())
      body.kinds[argument] = Kind::Rows;
    // Rows of a step are others than those around it.
    Operation *reader = nullptr;
    scan.getBody().walk([&](Operation *inner) {
      for (Value operand : inner->getOperands()) {
        auto it = body.kinds.find(operand);
        if (it != body.kinds.end() && !isa<tensor::DimOp>(inner) &&
            !scan.getBody().isAncestor(operand.getParentRegion()) &&
            (it->second == Kind::Rows || it->second == Kind::RowValues))
          reader = inner;
      }
    });
    if (reader)
      return fail(*reader, "reads rows from outside of its step of moe.scan; "
                           "they have to be columns of the scan's rows");
    if (failed(readOps(step)))
      return failure();
    return set(*scan, Kind::Rows);
  }

  LogicalResult readView(Operation &op) {
    Value source = op.getOperand(0), result = op.getResult(0);
    std::optional<Kind> kind = getKind(source);
    if (!kind)
      return failure();
    if (*kind == Kind::Uniform)
      return fail(op, "reads a constant");
    if (*kind == Kind::Parameter)
      return fail(op, "takes a weight apart; moe-hoist-weight-views does that "
                      "for all experts at once where it can");
    auto from = cast<RankedTensorType>(source.getType());
    auto to = cast<RankedTensorType>(result.getType());
    if (isa<tensor::CastOp>(op) && to.isDynamicDim(0) &&
        to.getShape().drop_front() == from.getShape().drop_front())
      return set(op, *kind);
    if (*kind == Kind::RowValues && !isa<tensor::ExtractSliceOp>(op) &&
        to.getRank() <= 2 && to.isDynamicDim(0) &&
        (to.getRank() == 1 || to.getDimSize(1) == 1))
      return set(op, Kind::RowValues);
    if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op);
        slice && *kind == Kind::Rows && to.getRank() == 2 &&
        slice.getStaticOffset(0) == 0 && slice.hasUnitStride() &&
        !slice.isDynamicOffset(1) && !slice.isDynamicSize(1) &&
        slice.isDynamicSize(0) && isNumRows(slice.getDynamicSize(0)))
      return set(op, Kind::Rows);
    return fail(op, "takes rows apart in another way than by columns that "
                    "follow one another");
  }

  /// Whether `size` is the number of rows.
  bool isNumRows(Value size) {
    auto dim = size.getDefiningOp<tensor::DimOp>();
    if (!dim || dim.getConstantIndex() != 0)
      return false;
    auto it = body.kinds.find(dim.getSource());
    return it != body.kinds.end() &&
           (it->second == Kind::Rows || it->second == Kind::RowValues);
  }

  LogicalResult readLinalg(linalg::LinalgOp op) {
    if (!op.hasPureTensorSemantics() || op->getNumResults() == 0)
      return fail(*op, "is not on tensors");
    bool hasRows = false;
    for (Value operand : op->getOperands()) {
      std::optional<Kind> kind = getKind(operand);
      if (!kind || failed(checkElements(operand)))
        return failure();
      if (*kind == Kind::Size)
        return fail(*op, "computes with sizes");
      hasRows |= *kind == Kind::Rows || *kind == Kind::RowValues;
    }
    auto type = cast<RankedTensorType>(op->getResult(0).getType());
    hasRows |= type.getRank() && type.isDynamicDim(0);
    if (std::optional<RowProduct> product = RowProduct::match(op);
        product && getKind(op->getOperand(product->rows)) == Kind::Rows) {
      Type element =
          getElementTypeOrSelf(op->getOperand(product->rows).getType());
      if (!isa<FloatType>(element) || !isa<FloatType>(type.getElementType()))
        return fail(*op, "multiplies integers");
      if (failed(addMatrix(*op, op->getOperand(product->matrix),
                           product->isTransposed)))
        return failure();
      return set(*op, Kind::Rows);
    }
    for (Operation &inner : op.getBlock()->without_terminator())
      if (std::string reason;
          !isMovableScalarOp(inner, op->getRegion(0), reason))
        return fail(*op, "cannot be a kernel: " + reason);
    return hasRows ? readRowOp(op) : readParameterOp(op);
  }

  /// Elementwise on an expert's vectors: done again for each row that reads it.
  LogicalResult readParameterOp(linalg::LinalgOp op) {
    unsigned loops = 0;
    for (int64_t range : op.getStaticLoopRanges())
      loops += range != 1;
    if (loops > 1)
      return fail(*op, "computes a weight");
    if (op.getNumReductionLoops())
      return fail(*op, "reduces a weight");
    for (AffineMap map : op.getIndexingMapsArray())
      if (!map.isProjectedPermutation(/*allowZeroInResults=*/true))
        return fail(*op, "is not elementwise");
    return set(*op, Kind::Parameter);
  }

  static bool hasOneColumn(Value rows) {
    return cast<RankedTensorType>(rows.getType()).getDimSize(1) == 1;
  }

  LogicalResult readRowOp(linalg::LinalgOp op) {
    using Form = RowLoops::Form;
    std::string reason;
    std::optional<RowLoops> loops = matchRowLoops(op, reason);
    if (!loops)
      return fail(*op, reason);
    for (OpOperand &operand : op->getOpOperands()) {
      Form form = loops->getForm(operand);
      bool isInit = op.isDpsInit(&operand);
      Form result =
          loops->column && !loops->reduces ? Form::Rows : Form::RowValues;
      if (isInit && form != result)
        return fail(*op, "transposes its result");
      if (!op.payloadUsesValueFromOperand(&operand))
        continue;
      Kind kind = *getKind(operand.get());
      bool fits = true;
      if (kind == Kind::Rows)
        fits = form == Form::Rows ||
               (form == Form::RowValues && hasOneColumn(operand.get()));
      else if (kind == Kind::RowValues)
        fits = form == Form::RowValues;
      else if (kind == Kind::Parameter)
        fits = form == Form::Columns || form == Form::Values;
      else if (DenseElementsAttr dense;
               matchPattern(operand.get(), m_Constant(&dense)))
        fits = dense.isSplat() || form == Form::Columns;
      if (!fits)
        return fail(*op, "reads operand " + Twine(operand.getOperandNumber()) +
                             " in another way than row by row");
    }
    for (unsigned i = 0; loops->reduces && i < op.getNumDpsInits(); ++i)
      if (!matchCombiner(op, i))
        return fail(*op, "reduces by something else than a sum, product, "
                         "maximum or minimum");
    return set(*op,
               loops->column && !loops->reduces ? Kind::Rows : Kind::RowValues);
  }
};
} // namespace moe

FailureOr<ExpertBody> ExpertBody::get(Block &block, unsigned numWeights,
                                      std::string &why) {
  ExpertBody body;
  body.numWeights = numWeights;
  if (failed(BodyReader(block, body, why).read()))
    return failure();
  return body;
}

bool ExpertBody::canPack(OpBuilder &b, ValueRange weights,
                         std::string &why) const {
  for (const Matrix &matrix : matrices) {
    std::string reason;
    if (failed(WeightUse::get(buildMatrix(b, matrix, weights), reason))) {
      why = "a weight cannot be packed ahead of time: " + reason;
      return false;
    }
  }
  return true;
}

bool ExpertBody::canPackTogether(OpBuilder &b, ValueRange one,
                                 ValueRange other) const {
  std::string why;
  return llvm::all_of(matrices, [&](const Matrix &matrix) {
    return moe::canPackTogether(
        {buildMatrix(b, matrix, one), buildMatrix(b, matrix, other)}, why);
  });
}
