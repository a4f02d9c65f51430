//===- Work.cpp - What a function has to do at least ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Walks a function with all sizes as numbers. Bodies of experts are linear in
// their rows, so that one visit with the rows of a whole group stands for all
// of its experts.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Analysis/Work.h"

#include "moe/Moe.h"

#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/LoopLikeInterface.h"
#include "llvm/Support/raw_ostream.h"

#include <cmath>

using namespace mlir;
using namespace moe;

#include "moe-mlir/Analysis/WorkInterface.cpp.inc"

//===----------------------------------------------------------------------===//
// Loads
//===----------------------------------------------------------------------===//

static double sumOf(ArrayRef<double> values) {
  double sum = 0;
  for (double value : values)
    sum += value;
  return sum;
}

double ExpertLoad::assignments() const { return sumOf(rows); }
double ExpertLoad::rowsOf(int64_t begin, int64_t end) const {
  return sumOf(ArrayRef(rows).slice(begin, end - begin));
}
double ExpertLoad::activeOf(int64_t begin, int64_t end) const {
  return sumOf(ArrayRef(active).slice(begin, end - begin));
}

ExpertLoad ExpertLoad::even(double tokens, int64_t experts, int64_t slots) {
  double share = static_cast<double>(slots) / experts;
  ExpertLoad load;
  load.tokens = tokens;
  load.rows.assign(experts, tokens * share);
  load.active.assign(experts, 1 - std::pow(1 - share, tokens));
  return load;
}

//===----------------------------------------------------------------------===//
// Context
//===----------------------------------------------------------------------===//

std::optional<double> WorkContext::size(Value value, unsigned dim) const {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!type || dim >= type.getRank())
    return std::nullopt;
  if (!type.isDynamicDim(dim))
    return type.getDimSize(dim);
  auto it = shapes.find(value);
  if (it == shapes.end() || it->second[dim] < 0)
    return std::nullopt;
  return it->second[dim];
}

std::optional<double> WorkContext::elements(Value value) const {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!type)
    return std::nullopt;
  double product = 1;
  for (int64_t i = 0; i < type.getRank(); ++i) {
    std::optional<double> factor = size(value, i);
    if (!factor)
      return std::nullopt;
    product *= *factor;
  }
  return product;
}

const ExpertLoad *WorkContext::load(Value routing) const {
  auto it = loads.find(routing);
  return it == loads.end() ? nullptr : &it->second;
}

//===----------------------------------------------------------------------===//
// Counting
//===----------------------------------------------------------------------===//

namespace moe {
class WorkCounter {
public:
  using Observer = llvm::function_ref<void(Operation *, const WorkContext &)>;

  WorkCounter(const std::map<std::string, int64_t> &sizes,
              ArrayRef<SeenRouting> seen, Observer observer = {})
      : sizes(sizes), seen(seen), observer(observer) {}

  Work run(func::FuncOp function) {
    callers.push_back(function);
    bindArguments(function);
    visit(function.front());
    addBytes(function);
    return std::move(work);
  }

private:
  void bindArguments(func::FuncOp function);
  void visit(Block &block);
  void visit(Operation *op);
  void visitCall(func::CallOp call);
  void visitLoop(LoopLikeOpInterface loop);
  void know(Value value, Value from);
  void findShapes(Operation *op);
  void findLoads(Operation *op);
  void setRows(Value value, std::optional<double> rows);
  std::optional<double> evaluate(OpFoldResult size) const;
  const SeenRouting *findSeen(double tokens, int64_t experts, int64_t slots);
  ExpertLoad loadOf(Operation *op, Value routing, Value tokens);
  std::optional<double> multiplyAdds(Operation *op) const;
  void addBytes(func::FuncOp function);
  double touchedShare(Value value);
  void miss(Operation *op, const char *what);

  const std::map<std::string, int64_t> &sizes;
  ArrayRef<SeenRouting> seen;
  Observer observer;
  size_t nextSeen = 0;
  WorkContext context;
  Work work;
  /// The functions that are being looked at: recursion has no end.
  SmallVector<Operation *> callers;
  /// How often what is visited runs.
  double times = 1;
};
} // namespace moe

void WorkCounter::miss(Operation *op, const char *what) {
  std::string text;
  llvm::raw_string_ostream(text) << op->getName() << ": " << what;
  if (!llvm::is_contained(work.unknown, text))
    work.unknown.push_back(std::move(text));
}

void WorkCounter::bindArguments(func::FuncOp function) {
  for (BlockArgument argument : function.getArguments()) {
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    if (!type || type.hasStaticShape())
      continue;
    auto names = function.getArgAttrOfType<ArrayAttr>(argument.getArgNumber(),
                                                      "moe.dims");
    SmallVector<double> &shape = context.shapes[argument];
    size_t next = 0;
    for (int64_t size : type.getShape()) {
      shape.push_back(size);
      if (!ShapedType::isDynamic(size))
        continue;
      shape.back() = -1;
      if (names && next < names.size())
        if (auto name = dyn_cast<StringAttr>(names[next]))
          if (auto it = sizes.find(name.str()); it != sizes.end())
            shape.back() = it->second;
      ++next;
    }
  }
}

std::optional<double> WorkCounter::evaluate(OpFoldResult size) const {
  if (std::optional<int64_t> constant = getConstantIntValue(size))
    return *constant;
  auto value = dyn_cast<Value>(size);
  Operation *op = value ? value.getDefiningOp() : nullptr;
  if (!op)
    return std::nullopt;
  if (auto dim = dyn_cast<tensor::DimOp>(op))
    if (std::optional<int64_t> index = dim.getConstantIndex())
      return context.size(dim.getSource(), *index);
  if (auto number = dyn_cast<RoutingNumTokensOp>(op)) {
    const ExpertLoad *load = context.load(number.getRouting());
    return load ? std::optional<double>(load->tokens) : std::nullopt;
  }
  if (op->getNumOperands() == 2) {
    std::optional<double> a = evaluate(op->getOperand(0)),
                          b = evaluate(op->getOperand(1));
    if (a && b && isa<arith::MulIOp>(op))
      return *a * *b;
    if (a && b && isa<arith::AddIOp>(op))
      return *a + *b;
  }
  return std::nullopt;
}

void WorkCounter::setRows(Value value, std::optional<double> rows) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!rows || !type || type.getRank() == 0 || !type.isDynamicDim(0))
    return;
  SmallVector<double> &shape = context.shapes[value];
  shape.assign(type.getShape().begin(), type.getShape().end());
  for (double &size : shape)
    if (size < 0)
      size = -1;
  shape.front() = *rows;
}

void WorkCounter::findShapes(Operation *op) {
  auto work = dyn_cast<WorkOpInterface>(op);
  auto setMixed = [&](ArrayRef<OpFoldResult> mixed) {
    SmallVector<double> &shape = context.shapes[op->getResult(0)];
    for (OpFoldResult size : mixed)
      shape.push_back(evaluate(size).value_or(-1));
  };
  for (OpResult result : op->getResults()) {
    auto type = dyn_cast<RankedTensorType>(result.getType());
    if (!type || type.hasStaticShape())
      continue;
    if (work)
      setRows(result, work.getResultRows(context, result.getResultNumber()));
    else if (auto empty = dyn_cast<tensor::EmptyOp>(op))
      setMixed(empty.getMixedSizes());
    else if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op);
             slice && slice.getSourceType().getRank() == type.getRank())
      setMixed(slice.getMixedSizes());
    else if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op))
      setMixed(expand.getMixedOutputShape());
    else if (auto concat = dyn_cast<tensor::ConcatOp>(op)) {
      // All but one of the sizes are those of each part.
      SmallVector<double> shape(type.getShape());
      for (int64_t dim = 0; dim < type.getRank(); ++dim)
        if (type.isDynamicDim(dim))
          shape[dim] =
              dim == static_cast<int64_t>(concat.getDim())
                  ? -1
                  : context.size(concat.getInputs().front(), dim).value_or(-1);
      context.shapes[result] = std::move(shape);
    } else if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op)) {
      SmallVector<double> shape;
      for (ArrayRef<int64_t> group : collapse.getReassociationIndices()) {
        double product = 1;
        for (int64_t dim : group) {
          double size = context.size(collapse.getSrc(), dim).value_or(-1);
          product = size < 0 || product < 0 ? -1 : product * size;
        }
        shape.push_back(product);
      }
      context.shapes[result] = std::move(shape);
    } else if (auto dps = dyn_cast<DestinationStyleOpInterface>(op))
      know(result, dps.getTiedOpOperand(result)->get());
    else if (isa<tensor::CastOp>(op) || op->hasTrait<OpTrait::Elementwise>())
      for (Value operand : op->getOperands())
        if (isa<RankedTensorType>(operand.getType()))
          know(result, operand);
  }
}

const SeenRouting *WorkCounter::findSeen(double tokens, int64_t experts,
                                         int64_t slots) {
  for (size_t i = nextSeen; i < seen.size(); ++i) {
    // Experts that every token visits come after the router's own, each in a
    // slot of its own.
    int64_t added = static_cast<int64_t>(seen[i].rows.size()) - experts;
    if (added < 0 || seen[i].slots != slots + added || seen[i].tokens != tokens)
      continue;
    nextSeen = i + 1;
    return &seen[i];
  }
  return nullptr;
}

/// The load of a routing that begins here: seen, or to be expected.
ExpertLoad WorkCounter::loadOf(Operation *op, Value routing, Value tokens) {
  auto type = cast<RoutingType>(routing.getType());
  std::optional<double> number = context.size(tokens, 0);
  if (!number) {
    miss(op, "the number of its tokens is not known");
    return ExpertLoad::even(0, type.getExperts(), type.getSlots());
  }
  const SeenRouting *found =
      findSeen(*number, type.getExperts(), type.getSlots());
  if (!found) {
    work.isExpected = true;
    return ExpertLoad::even(*number, type.getExperts(), type.getSlots());
  }
  ExpertLoad load;
  load.tokens = *number;
  for (int64_t rows : ArrayRef(found->rows).take_front(type.getExperts())) {
    load.rows.push_back(rows);
    load.active.push_back(rows != 0);
  }
  return load;
}

void WorkCounter::findLoads(Operation *op) {
  std::optional<ExpertLoad> load;
  if (auto router = dyn_cast<RouterOp>(op)) {
    load = loadOf(op, router.getRouting(), router.getTokensOperand());
  } else if (auto make = dyn_cast<RoutingMakeOp>(op)) {
    load = loadOf(op, make.getRouting(), make.getIndices());
  } else {
    for (Value operand : op->getOperands())
      if (const ExpertLoad *known = context.load(operand))
        load = *known;
    if (!load)
      return;
    if (auto append = dyn_cast<RoutingAppendOp>(op)) {
      load->rows.resize(load->rows.size() + append.getNumAppended(),
                        load->tokens);
      load->active.resize(load->rows.size(), load->tokens > 0);
    }
    // Of a router with a limit to itself, what was seen is what that left.
    if (auto limit = dyn_cast<RoutingLimitOp>(op)) {
      double room = limit.getCapacityOf(load->tokens);
      if (std::optional<int64_t> group = limit.getGroupSize())
        room = limit.getCapacityOf(*group) * std::ceil(load->tokens / *group);
      for (double &rows : load->rows)
        rows = std::min(rows, room);
    }
  }
  for (OpResult result : op->getResults())
    if (auto type = dyn_cast<RoutingType>(result.getType());
        type && type.getExperts() == static_cast<int64_t>(load->rows.size()))
      context.loads[result] = *load;
}

/// Of a structured op that adds up products, the points of its iteration space.
static std::optional<double> countLinalg(linalg::LinalgOp op,
                                         const WorkContext &context) {
  bool multiplies = false, adds = false;
  op->getRegion(0).walk([&](Operation *inner) {
    multiplies |= isa<arith::MulFOp, math::FmaOp>(inner);
    adds |= isa<arith::AddFOp, math::FmaOp>(inner);
  });
  if (!multiplies || !adds || op.getNumReductionLoops() == 0)
    return 0.0;
  // Where a loop is an index of an operand, it is as long as that is.
  SmallVector<double> ranges(op.getNumLoops(), -1);
  for (OpOperand &operand : op->getOpOperands())
    for (auto [dim, expr] :
         llvm::enumerate(op.getMatchingIndexingMap(&operand).getResults()))
      if (auto loop = dyn_cast<AffineDimExpr>(expr))
        if (std::optional<double> size = context.size(operand.get(), dim))
          ranges[loop.getPosition()] = *size;
  double product = 1;
  for (double range : ranges) {
    if (range < 0)
      return std::nullopt;
    product *= range;
  }
  return product;
}

std::optional<double> WorkCounter::multiplyAdds(Operation *op) const {
  if (auto counted = dyn_cast<WorkOpInterface>(op))
    return counted.getMultiplyAdds(context);
  if (auto structured = dyn_cast<linalg::LinalgOp>(op))
    return countLinalg(structured, context);
  return 0.0;
}

/// Makes known of `value` what is known of `from`.
void WorkCounter::know(Value value, Value from) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (auto it = context.shapes.find(from);
      type && it != context.shapes.end() &&
      it->second.size() == static_cast<size_t>(type.getRank())) {
    SmallVector<double> shape = it->second;
    context.shapes[value] = std::move(shape);
  }
  if (const ExpertLoad *load = context.load(from)) {
    ExpertLoad copy = *load;
    context.loads[value] = std::move(copy);
  }
}

void WorkCounter::visitCall(func::CallOp call) {
  auto callee = SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(
      call, call.getCalleeAttr());
  if (!callee || callee.isExternal() || llvm::is_contained(callers, callee))
    return miss(call, "what it calls is not known");
  callers.push_back(callee);
  for (auto [argument, operand] :
       llvm::zip_equal(callee.getArguments(), call.getOperands()))
    know(argument, operand);
  visit(callee.front());
  for (auto [result, value] : llvm::zip_equal(
           call.getResults(), callee.front().getTerminator()->getOperands()))
    know(result, value);
  callers.pop_back();
}

void WorkCounter::visit(Operation *op) {
  if (auto call = dyn_cast<func::CallOp>(op))
    return visitCall(call);
  findLoads(op);
  findShapes(op);
  if (observer)
    observer(op, context);
  std::optional<double> own = multiplyAdds(op);
  if (own)
    work.multiplyAdds += times * *own;
  else
    miss(op, "a size of it is not known");
  if (auto loop = dyn_cast<LoopLikeOpInterface>(op))
    return visitLoop(loop);
  auto counted = dyn_cast<WorkOpInterface>(op);
  if (counted && counted.hasBodies()) {
    for (Region &region : op->getRegions())
      for (Block &block : region) {
        for (BlockArgument argument : block.getArguments())
          setRows(argument, counted.getBodyRows(context, argument));
        visit(block);
      }
  } else if (isa<RegionBranchOpInterface>(op)) {
    miss(op, "which of its bodies runs is not known");
  }
}

/// What a loop carries keeps its sizes.
void WorkCounter::visitLoop(LoopLikeOpInterface loop) {
  if (std::optional<ResultRange> results = loop.getLoopResults())
    for (auto [init, argument, result] :
         llvm::zip(loop.getInits(), loop.getRegionIterArgs(), *results)) {
      know(argument, init);
      know(result, init);
    }
  std::optional<llvm::APInt> count = loop.getStaticTripCount();
  if (!count)
    miss(loop, "how often its body runs is not known");
  if (!count && !observer)
    return;
  double outside = times;
  times *= count ? count->getZExtValue() : 1;
  for (Region *region : loop.getLoopRegions())
    for (Block &block : *region)
      visit(block);
  times = outside;
}

void WorkCounter::visit(Block &block) {
  for (Operation &op : block)
    visit(&op);
}

//===----------------------------------------------------------------------===//
// Bytes
//===----------------------------------------------------------------------===//

static double elementBytes(Type type) {
  Type element = getElementTypeOrSelf(type);
  return element.isIntOrFloat() ? element.getIntOrFloatBitWidth() / 8.0 : 8;
}

/// The share of a weight that any of its uses reads.
double WorkCounter::touchedShare(Value value) {
  double share = 0;
  for (OpOperand &use : value.getUses()) {
    Operation *op = use.getOwner();
    double own = 1;
    if (auto counted = dyn_cast<WorkOpInterface>(op)) {
      own = counted.getTouchedShare(context, use.getOperandNumber());
    } else if (auto call = dyn_cast<func::CallOp>(op)) {
      if (auto callee = SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(
              call, call.getCalleeAttr());
          callee && !callee.isExternal() &&
          !llvm::is_contained(callers, callee)) {
        callers.push_back(callee);
        own = touchedShare(callee.getArgument(use.getOperandNumber()));
        callers.pop_back();
      }
    } else if (isa<tensor::DimOp>(op)) {
      own = 0;
    } else if (isa<tensor::CastOp, tensor::ExpandShapeOp,
                   tensor::CollapseShapeOp, DequantizeOp>(op)) {
      own = touchedShare(op->getResult(0));
    }
    share = std::max(share, own);
  }
  return share;
}

void WorkCounter::addBytes(func::FuncOp function) {
  llvm::DenseMap<Type, double> byType;
  auto addWeight = [&](Value value) {
    auto type = cast<RankedTensorType>(value.getType());
    double bytes = type.getNumElements() * elementBytes(type);
    work.weightBytes += bytes * touchedShare(value);
    work.allWeightBytes += bytes;
    double &ofType = byType[type.getElementType()];
    ofType += bytes;
    if (!work.weightType || ofType > byType[work.weightType])
      work.weightType = type.getElementType();
  };
  auto addActivation = [&](Value value, Operation *op) {
    if (!isa<RankedTensorType>(value.getType()))
      return;
    if (std::optional<double> elements = context.elements(value))
      work.activationBytes += *elements * elementBytes(value.getType());
    else
      miss(op, "the size of an argument or a result is not known");
  };
  for (BlockArgument argument : function.getArguments()) {
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    if (type && type.hasStaticShape())
      addWeight(argument);
    else
      addActivation(argument, function);
  }
  // Large tables may be in the IR itself.
  function.walk([&](arith::ConstantOp constant) {
    if (isa<RankedTensorType>(constant.getType()) &&
        !isa<SplatElementsAttr>(constant.getValue()))
      addWeight(constant.getResult());
  });
  for (Value result : function.front().getTerminator()->getOperands())
    addActivation(result, function);
}

Work moe::computeWork(func::FuncOp function,
                      const std::map<std::string, int64_t> &sizes,
                      ArrayRef<SeenRouting> seen) {
  return WorkCounter(sizes, seen).run(function);
}

void moe::walkWithSizes(
    func::FuncOp function, const std::map<std::string, int64_t> &sizes,
    llvm::function_ref<void(Operation *, const WorkContext &)> visit) {
  (void)WorkCounter(sizes, {}, visit).run(function);
}
