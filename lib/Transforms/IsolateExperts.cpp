//===- IsolateExperts.cpp - Experts without their router --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What a framework that has its own router calls: tokens and a routing in, the
// weighted sum of the experts out.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Analysis/Dims.h"
#include "moe-mlir/Transforms/Passes.h"
#include "moe-mlir/Transforms/Rows.h"
#include "moe/Moe.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/StringSet.h"

namespace moe {
#define GEN_PASS_DEF_ISOLATEEXPERTS
#include "moe-mlir/Transforms/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;

static constexpr StringLiteral kName = "moe.name", kDims = "moe.dims",
                               kCheckpoint =
                                   MoeDialect::getCheckpointAttrName();

/// The combine of the one layer of `function`.
static FailureOr<CombineOp> findCombine(func::FuncOp function) {
  SmallVector<CombineOp> combines;
  function.walk([&](CombineOp combine) { combines.push_back(combine); });
  if (combines.size() != 1 || combines.front()->getParentOp() != function)
    return function.emitOpError()
           << "has " << combines.size()
           << " combines; experts can be taken out of a function with one in "
              "its own body";
  return combines.front();
}

/// The dispatch that the rows of `combine` come from; all by one routing.
static FailureOr<DispatchOp> findDispatch(CombineOp combine) {
  Value rows = combine.getRows(), routing = combine.getRouting();
  while (Operation *op = rows.getDefiningOp()) {
    auto dispatch = dyn_cast<DispatchOp>(op);
    auto expert = dyn_cast<ExpertOp>(op);
    if ((dispatch && dispatch.getRouting() != routing) ||
        (expert && expert.getRouting() != routing))
      return combine.emitOpError(
          "has another routing than what its rows come from");
    if (dispatch)
      return dispatch;
    if (op->getNumOperands() == 0)
      break;
    rows = op->getOperand(0);
  }
  return combine.emitOpError("has rows that do not come from one dispatch");
}

/// Erases what nothing uses. Blocks are walked from their end.
static void eraseDead(func::FuncOp function) {
  for (Operation &op :
       llvm::make_early_inc_range(llvm::reverse(function.getBody().front())))
    if (isOpTriviallyDead(&op))
      op.erase();
}

/// Erases arguments that nothing uses, and what `moe.checkpoint` says of them.
static LogicalResult eraseArguments(func::FuncOp function) {
  llvm::BitVector unused(function.getNumArguments());
  llvm::StringSet<> names;
  for (BlockArgument argument : function.getArguments())
    if (argument.use_empty())
      unused.set(argument.getArgNumber());
    else if (auto name = function.getArgAttrOfType<StringAttr>(
                 argument.getArgNumber(), kName))
      names.insert(name.getValue());
  if (auto tensors = function->getAttrOfType<DictionaryAttr>(kCheckpoint)) {
    SmallVector<NamedAttribute> kept;
    for (NamedAttribute entry : tensors)
      if (names.contains(entry.getName().getValue()))
        kept.push_back(entry);
    function->setAttr(kCheckpoint,
                      DictionaryAttr::get(function.getContext(), kept));
  }
  return function.eraseArguments(unused);
}

namespace {

struct IsolateExperts : moe::impl::IsolateExpertsBase<IsolateExperts> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    bool any = false;
    for (auto function : module.getOps<func::FuncOp>()) {
      if (!function.isPublic() || function.isExternal())
        continue;
      any = true;
      if (auto uses = SymbolTable::getSymbolUses(function, module);
          uses && !uses->empty()) {
        uses->begin()->getUser()->emitOpError()
            << "calls '" << function.getName()
            << "', whose interface changes; inline the call first";
        return signalPassFailure();
      }
      if (failed(isolate(function)))
        return signalPassFailure();
    }
    if (!any) {
      module.emitOpError("has no public function to take experts out of");
      signalPassFailure();
    }
  }

  static LogicalResult isolate(func::FuncOp function) {
    FailureOr<CombineOp> combine = findCombine(function);
    if (failed(combine))
      return failure();
    FailureOr<DispatchOp> dispatch = findDispatch(*combine);
    if (failed(dispatch))
      return failure();
    Value routing = combine->getRouting(), tokens = dispatch->getX();
    auto routingType = cast<RoutingType>(routing.getType());
    int64_t rows = cast<RankedTensorType>(tokens.getType()).getDimSize(0);
    StringAttr rowsName;
    if (ShapedType::isDynamic(rows)) {
      rowsName = getRowsName(tokens);
      if (Value scores = getTokensTensor(routing); scores && !rowsName)
        rowsName = getRowsName(scores);
      if (!rowsName)
        return dispatch->emitOpError(
            "has a number of tokens that is no named size of the function; "
            "give the tensor of tokens among its arguments a `moe.dims`");
    }

    OpBuilder b(function.getContext());
    auto describe = [&](StringRef name) {
      SmallVector<NamedAttribute> attrs{
          b.getNamedAttr(kName, b.getStringAttr(name))};
      if (rowsName)
        attrs.push_back(b.getNamedAttr(kDims, b.getArrayAttr({rowsName})));
      return b.getDictionaryAttr(attrs);
    };
    SmallVector<int64_t> shape{rows, routingType.getSlots()};
    Location loc = routing.getLoc();
    auto name = [&](StringRef text) -> Location {
      return NameLoc::get(b.getStringAttr(text));
    };
    // In front, so that the weights follow.
    std::tuple<StringRef, Type> inputs[] = {
        {"x", tokens.getType()},
        {"routing.indices", RankedTensorType::get(shape, b.getI32Type())},
        {"routing.weights", RankedTensorType::get(shape, b.getF32Type())}};
    for (auto [i, input] : llvm::enumerate(inputs)) {
      std::string flat = std::get<0>(input).str();
      std::replace(flat.begin(), flat.end(), '.', '_');
      if (failed(function.insertArgument(
              i, std::get<1>(input), describe(std::get<0>(input)), name(flat))))
        return failure();
    }

    b.setInsertionPointToStart(&function.getBody().front());
    Value made = RoutingMakeOp::create(
        b, loc, routingType, function.getArgument(1), function.getArgument(2),
        /*trusted=*/true);
    routing.replaceAllUsesWith(made);
    dispatch->getXMutable().assign(function.getArgument(0));
    combine->getInitMutable().clear();

    // The sum of the experts is the result, whatever the layer made of it.
    auto ret = cast<func::ReturnOp>(function.getBody().back().getTerminator());
    b.setInsertionPoint(ret);
    auto sum = combine->getResult();
    func::ReturnOp::create(b, ret.getLoc(), ValueRange{sum});
    ret.erase();
    function.setFunctionType(b.getFunctionType(function.getArgumentTypes(),
                                               TypeRange{sum.getType()}));
    function.setAllResultAttrs(ArrayRef<DictionaryAttr>{describe("y")});
    eraseDead(function);
    return eraseArguments(function);
  }
};

} // namespace
