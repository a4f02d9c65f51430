//===- ConvertForeign.cpp - Says foreign ops upstream ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// In the order of the text, so that operands are upstream's when an op is
// reached. Names and sizes of entry points come with it.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Raise/Foreign.h"
#include "moe-mlir/Raise/Passes.h"

#include "moe/Moe.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Remarks.h"
#include "llvm/ADT/MapVector.h"

#include <map>

namespace moe {
#define GEN_PASS_DEF_CONVERTFOREIGN
#include "moe-mlir/Raise/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;
using namespace moe::raise;

namespace {

/// The ops of one name that stay.
struct LeftOps {
  Operation *first;
  unsigned count = 0;
  std::string why;
};

struct ConvertForeign : moe::impl::ConvertForeignBase<ConvertForeign> {
  using ConvertForeignBase::ConvertForeignBase;

  void runOnOperation() override;
  void convertChecked(func::FuncOp func);
  void convert(func::FuncOp func);
  bool isForeign(Operation *op) const {
    return !op->isRegistered() || table.lookup(op->getName().getStringRef());
  }

  ForeignTable table;
  llvm::MapVector<std::string, LeftOps, std::map<std::string, unsigned>> left;
};

} // namespace

/// One elementwise op by what it does to scalars.
static LogicalResult convertElementwise(ForeignOp &op,
                                        ScalarTranslation scalar) {
  SmallVector<Value> inputs(op.getOperands());
  bool isMapped = true;
  for (Value input : inputs)
    isMapped &= isa<RankedTensorType>(input.getType());
  if (inputs.empty() || !isMapped || op.getOperation()->getNumResults() != 1)
    return op.leave("not all of its operands are ranked tensors");
  if (failed(op.upstream.broadcastTogether(inputs)))
    return op.leave("the shapes of its operands differ");
  bool isGood = true;
  Value result = op.upstream.elementwise(
      inputs, op.getElementType(), [&](OpBuilder &b, ValueRange values) {
        Value value = scalar(op, b, values);
        isGood &= value != nullptr;
        return value ? value : values.front();
      });
  if (isGood)
    return op.replace(result);
  result.getDefiningOp()->erase();
  return op.leave("not known for operands of these types");
}

/// Puts the bodies of private functions where they are called. Upstream's
/// inliner leaves functions alone whose ops it does not know.
static LogicalResult inlineCalls(ModuleOp module) {
  SymbolTable symbols(module);
  // A body may call others; one that calls itself never ends.
  constexpr unsigned most = 20000;
  for (unsigned count = 0;; ++count) {
    func::CallOp call;
    module.walk([&](func::CallOp op) {
      auto callee = symbols.lookup<func::FuncOp>(op.getCallee());
      if (!callee || callee.isExternal() || !callee.isPrivate() ||
          !llvm::hasSingleElement(callee.getBody()) || callee->isAncestor(op) ||
          callee.getFunctionType() != op.getCalleeType())
        return WalkResult::advance();
      call = op;
      return WalkResult::interrupt();
    });
    if (!call)
      break;
    if (count == most)
      return call.emitOpError("is one of more than 20000 calls: do functions "
                              "call each other?");
    auto callee = symbols.lookup<func::FuncOp>(call.getCallee());
    IRMapping mapping;
    Block &body = callee.getBody().front();
    mapping.map(body.getArguments(), call.getOperands());
    OpBuilder builder(call);
    for (Operation &op : getBodyOps(body))
      builder.clone(op, mapping);
    for (auto [result, value] :
         llvm::zip_equal(call.getResults(), body.back().getOperands()))
      result.replaceAllUsesWith(mapping.lookupOrDefault(value));
    call.erase();
  }
  for (auto func : llvm::make_early_inc_range(module.getOps<func::FuncOp>()))
    if (func.isPrivate() && !func.isExternal() &&
        SymbolTable::symbolKnownUseEmpty(func, module))
      symbols.erase(func);
  return success();
}

/// Lists of places are converted on trust: if what comes of it does not hold,
/// all is done again without.
void ConvertForeign::convertChecked(func::FuncOp func) {
  bool hasPlaces = false;
  func.walk([&](Operation *op) {
    hasPlaces |= op->getName().getStringRef() == "onnx.NonZero";
  });
  if (!hasPlaces)
    return convert(func);
  OwningOpRef<func::FuncOp> before(func.clone());
  auto leftBefore = left;
  convert(func);
  if (checkPlaces(func))
    return;
  left = std::move(leftBefore);
  func.getBody().getBlocks().clear();
  func.getBody().takeBody(before->getBody());
  func.setFunctionType(before->getFunctionType());
  func.walk([&](Operation *op) {
    if (op->getName().getStringRef() == "onnx.NonZero")
      op->setAttr(kKeepPlacesAttrName, UnitAttr::get(&getContext()));
  });
  convert(func);
  func.walk([&](Operation *op) { op->removeAttr(kKeepPlacesAttrName); });
}

void ConvertForeign::convert(func::FuncOp func) {
  for (BlockArgument argument : func.getArguments())
    if (Type type = table.convertType(argument.getType()))
      argument.setType(type);
  // Regions of foreign ops are read by their translations.
  SmallVector<Operation *> ops;
  func.walk<WalkOrder::PreOrder>([&](Operation *op) {
    if (op == func)
      return WalkResult::advance();
    if (!isForeign(op))
      return WalkResult::advance();
    ops.push_back(op);
    return WalkResult::skip();
  });
  SmallVector<Operation *> done;
  for (Operation *op : ops) {
    OpBuilder builder(op);
    Upstream upstream(builder, op->getLoc());
    ForeignOp foreign(op, upstream, table);
    StringRef name = op->getName().getStringRef();
    if (table.isSource(name)) {
      done.push_back(op);
      continue;
    }
    LogicalResult result = failure();
    if (Translation translate = table.lookup(name))
      result = translate(foreign);
    else if (ScalarTranslation scalar = table.lookupScalar(name))
      result = convertElementwise(foreign, scalar);
    if (succeeded(result)) {
      done.push_back(op);
      continue;
    }
    // What comes behind it can be converted.
    for (OpResult value : op->getResults())
      if (Type type = table.convertType(value.getType()))
        value.setType(type);
    std::string key = name.str();
    // All custom operators of PyTorch are this op.
    if (name == "torch.operator")
      key = (name + " '" + foreign.getString("name") + "'").str();
    LeftOps &same = left.insert({key, {op, 0, ""}}).first->second;
    if (!same.count++)
      same.why = foreign.getReason().str();
  }
  for (Operation *op : llvm::reverse(done)) {
    // An op that stays needs what its operands are made by.
    if (!op->use_empty() && table.isSource(op->getName().getStringRef()))
      continue;
    assert(op->use_empty() && "a result was not replaced");
    op->erase();
  }
  // Types may say more than they did.
  Operation *terminator = func.getBody().front().getTerminator();
  if (isa<func::ReturnOp>(terminator))
    func.setFunctionType(FunctionType::get(&getContext(),
                                           func.getBody().getArgumentTypes(),
                                           terminator->getOperandTypes()));
}

void ConvertForeign::runOnOperation() {
  left.clear();
  // Calls in a module of ours are none of this pass's business.
  WalkResult foreign = getOperation().walk([&](Operation *op) {
    return isForeign(op) ? WalkResult::interrupt() : WalkResult::advance();
  });
  if (!foreign.wasInterrupted())
    return;
  if (failed(inlineCalls(getOperation())))
    return signalPassFailure();
  for (auto func : getOperation().getOps<func::FuncOp>())
    if (!func.isExternal()) {
      convertChecked(func);
      normalizeLinalg(func);
    }
  for (auto &[name, ops] : left) {
    std::string text = (Twine(name) + " stays as it is: " +
                        (ops.why.empty() ? "nothing is known of it" : ops.why))
                           .str();
    if (ops.count > 1)
      text += (Twine("; ") + Twine(ops.count) +
               " of them, of which this is the first")
                  .str();
    remark::missed(
        ops.first->getLoc(),
        remark::RemarkOpts::name("stays").category("moe-convert-foreign"))
        << text;
  }
}
