//===- ModelWeights.cpp - The weights of a model ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Quantize/ModelWeights.h"

#include "moe-mlir/Analysis/StoredWeights.h"
#include "moe-mlir/Analysis/WeightUse.h"

#include "mlir/IR/Verifier.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace moe;
using namespace moe::quantize;

//===----------------------------------------------------------------------===//
// Finding
//===----------------------------------------------------------------------===//

namespace {

/// Operands that are multiplied, with whether rows of them are.
struct Operand {
  Value value;
  bool hasRows;
};

} // namespace

/// Whether what `weight` is in the body of an expert, and views of it, are only
/// multiplied along their rows: what formats of blocks are made for.
static bool hasRows(Value weight) {
  return llvm::all_of(weight.getUses(), [](OpOperand &use) {
    Operation *owner = use.getOwner();
    if (isa<FFNOp>(owner))
      return true;
    if (keepsRows(owner))
      return use.getOperandNumber() == 0 && hasRows(owner->getResult(0));
    auto op = dyn_cast<linalg::LinalgOp>(owner);
    if (!op || !op.isDpsInput(&use))
      return false;
    AffineMap map = op.getMatchingIndexingMap(&use);
    auto last = dyn_cast<AffineDimExpr>(map.getResults().back());
    return last && op.getIteratorTypesArray()[last.getPosition()] ==
                       utils::IteratorType::reduction;
  });
}

static SmallVector<Operand> listOperands(func::FuncOp function) {
  SmallVector<Operand> operands;
  auto addMatrix = [&](Value value, int64_t rank, bool hasRows) {
    auto type = dyn_cast<RankedTensorType>(value.getType());
    if (type && type.getRank() == rank)
      operands.push_back({value, hasRows});
  };
  function.walk([&](Operation *op) {
    if (auto expert = dyn_cast<ExpertOp>(op)) {
      for (unsigned group = 0; group < expert.getNumGroups(); ++group)
        for (auto [i, weight] : llvm::enumerate(expert.getGroupWeights(group)))
          addMatrix(weight, 3,
                    hasRows(expert.getGroupBody(group).getArgument(i + 1)));
    } else if (auto ffn = dyn_cast<FFNOp>(op);
               ffn && !op->getParentOfType<ExpertOp>()) {
      for (Value weight : {ffn.getGate(), ffn.getUp(), ffn.getDown()})
        if (weight)
          addMatrix(weight, 2, true);
    }
  });
  return operands;
}

/// What stands for `root`, or why nothing can.
static std::optional<ModelWeight> describe(func::FuncOp function, Value root,
                                           std::string &why) {
  ModelWeight weight;
  weight.function = function;
  weight.value = root;
  weight.name = nameWeight(root);
  weight.type = cast<RankedTensorType>(root.getType());
  if (weight.type.getRank() != 2 && weight.type.getRank() != 3) {
    why = "it is no matrix for each expert";
    return std::nullopt;
  }
  auto add = [&](Value tensor) {
    weight.tensors.push_back(nameWeight(tensor));
    weight.tensorTypes.push_back(cast<RankedTensorType>(tensor.getType()));
  };
  if (auto op = root.getDefiningOp<DequantizeOp>()) {
    weight.from.format = op.getFormat();
    for (Value tensor : op.getStorage()) {
      if (!isa<BlockArgument>(tensor) || !tensor.hasOneUse()) {
        why = "what it is stored in is used elsewhere, too";
        return std::nullopt;
      }
      add(tensor);
    }
    return weight;
  }
  add(root);
  Type element = weight.type.getElementType();
  std::string text;
  llvm::raw_string_ostream(text) << element;
  if (!parseDType(text, weight.from.number) ||
      !llvm::is_contained({DType::F64, DType::F32, DType::F16, DType::BF16},
                          weight.from.number)) {
    why = "its elements are " + text;
    return std::nullopt;
  }
  return weight;
}

std::vector<ModelWeight> quantize::findWeights(ModuleOp module,
                                               std::vector<LeftWeight> &left) {
  std::vector<ModelWeight> weights;
  auto leave = [&](func::FuncOp function, std::string name, std::string why) {
    LeftWeight weight{function.getSymName().str(), std::move(name),
                      std::move(why)};
    if (left.empty() || left.back() != weight)
      left.push_back(std::move(weight));
  };
  for (auto function : module.getOps<func::FuncOp>()) {
    if (!function.isPublic() || function.isDeclaration())
      continue;
    // A root is left alone if any use of it asks for that.
    llvm::MapVector<Value, std::string> roots;
    for (const Operand &operand : listOperands(function)) {
      std::string why;
      FailureOr<WeightUse> use = WeightUse::get(operand.value, why);
      if (failed(use) || use->isConstant()) {
        leave(function, nameWeight(operand.value),
              failed(use) ? why : "it is a constant");
        continue;
      }
      for (const WeightPiece &piece : use->pieces) {
        std::string &problem = roots[piece.root];
        if (!operand.hasRows || (piece.sizes[2] != 1 && piece.strides[2] != 1))
          problem = "it is not multiplied along its rows";
      }
    }
    for (auto &[root, problem] : roots) {
      std::optional<ModelWeight> weight;
      if (problem.empty())
        weight = describe(function, root, problem);
      if (weight)
        weights.push_back(std::move(*weight));
      else
        leave(function, nameWeight(root), problem);
    }
  }
  return weights;
}

std::vector<std::pair<std::string, RankedTensorType>>
ModelWeight::getTarget() const {
  MLIRContext *context = type.getContext();
  SmallVector<StorageTensor> storage = to->getStorage(context, columns());
  std::vector<std::pair<std::string, RankedTensorType>> target;
  for (const StorageTensor &tensor : storage)
    target.emplace_back(
        nameStorage(name, tensor, storage.size()),
        to->format ? getStorageType(tensor, type, to->getBlockSize(columns()))
                   : RankedTensorType::get(type.getShape(), tensor.element));
  return target;
}

//===----------------------------------------------------------------------===//
// Storing otherwise
//===----------------------------------------------------------------------===//

/// Gives `value`, whose elements were of another type, and all that is a view
/// of it elements of `element`.
static LogicalResult retype(Value value, Type element, std::string &error) {
  for (OpOperand &use : llvm::make_early_inc_range(value.getUses())) {
    Operation *op = use.getOwner();
    auto change = [&](Value changed) {
      changed.setType(cast<RankedTensorType>(changed.getType()).clone(element));
      return retype(changed, element, error);
    };
    if (isa<FFNOp>(op))
      continue;
    if (auto expert = dyn_cast<ExpertOp>(op)) {
      for (unsigned group = 0; group < expert.getNumGroups(); ++group)
        for (auto [i, weight] : llvm::enumerate(expert.getGroupWeights(group)))
          if (weight == value &&
              failed(change(expert.getGroupBody(group).getArgument(i + 1))))
            return failure();
      continue;
    }
    bool isView = WeightUse::isView(op) && op->getNumOperands() == 1 &&
                  op->getNumResults() == 1;
    if (!isView) {
      error = ("it is used by " + op->getName().getStringRef() +
               ", which wants elements of their own type")
                  .str();
      return failure();
    }
    if (failed(change(op->getResult(0))))
      return failure();
  }
  return success();
}

/// Names arguments that have none, whose numbers may change, and prints all as
/// their names.
static void nameArguments(func::FuncOp function) {
  for (BlockArgument argument : function.getArguments()) {
    StringAttr name =
        StringAttr::get(function.getContext(), nameWeight(argument));
    function.setArgAttr(argument.getArgNumber(), "moe.name", name);
    std::string text = name.str();
    for (char &c : text)
      if (!llvm::isAlnum(c))
        c = '_';
    argument.setLoc(NameLoc::get(StringAttr::get(function.getContext(), text)));
  }
}

static bool storeWeight(const ModelWeight &weight, std::string &error) {
  func::FuncOp function = weight.function;
  Value value = weight.value;
  auto stored = value.getDefiningOp<DequantizeOp>();
  SmallVector<BlockArgument> old;
  for (Value tensor :
       stored ? ValueRange(stored.getStorage()) : ValueRange(value))
    old.push_back(cast<BlockArgument>(tensor));
  unsigned at = old.front().getArgNumber();
  OpBuilder b(function.getContext());
  SmallVector<Value> tensors;
  for (auto [i, target] : llvm::enumerate(weight.getTarget())) {
    auto attributes = b.getDictionaryAttr(
        b.getNamedAttr("moe.name", b.getStringAttr(target.first)));
    if (failed(function.insertArgument(at + i, target.second, attributes,
                                       value.getLoc()))) {
      error = "the function cannot have other arguments";
      return false;
    }
    tensors.push_back(function.getArgument(at + i));
  }
  Value changed = tensors.front();
  if (weight.to->format) {
    // In front of all that may use it, in the order of arguments.
    Block &entry = function.getBody().front();
    auto place = llvm::find_if(
        entry, [](Operation &op) { return !isa<DequantizeOp>(op); });
    b.setInsertionPoint(&entry, place);
    auto type = RankedTensorType::get(weight.type.getShape(), b.getF32Type());
    changed = DequantizeOp::create(b, value.getLoc(), type, weight.to->format,
                                   tensors);
  }
  value.replaceAllUsesWith(changed);
  Type element = getElementTypeOrSelf(changed.getType());
  if (element != weight.type.getElementType() &&
      failed(retype(changed, element, error)))
    return false;
  if (stored)
    stored.erase();
  llvm::BitVector erased(function.getNumArguments());
  for (BlockArgument argument : old)
    erased.set(argument.getArgNumber());
  if (failed(function.eraseArguments(erased))) {
    error = "the function cannot have other arguments";
    return false;
  }
  return true;
}

/// How many operands are not packed ahead of time; why the last one is not.
static size_t countUnpacked(func::FuncOp function, std::string &why) {
  return llvm::count_if(listOperands(function), [&](const Operand &operand) {
    return failed(WeightUse::get(operand.value, why));
  });
}

bool quantize::storeWeights(ModuleOp module, ArrayRef<ModelWeight> weights,
                            std::string &error) {
  llvm::MapVector<Operation *, size_t> functions;
  std::string why;
  for (const ModelWeight &weight : weights)
    if (weight.isChanged())
      functions[weight.function] = countUnpacked(weight.function, why);
  for (auto [op, count] : functions) {
    auto function = cast<func::FuncOp>(op);
    if (!SymbolTable::symbolKnownUseEmpty(function, module)) {
      error = ("function '" + function.getSymName() +
               "' is called by others, which would have to change, too")
                  .str();
      return false;
    }
    nameArguments(function);
  }
  for (const ModelWeight &weight : weights)
    if (weight.isChanged() && !storeWeight(weight, why)) {
      error =
          "'" + weight.name + "' cannot be " + weight.to->name() + ": " + why;
      return false;
    }
  for (auto [op, count] : functions)
    nameArguments(cast<func::FuncOp>(op));
  if (failed(verify(module))) {
    error = "the model is not valid with weights of these types";
    return false;
  }
  for (auto [op, count] : functions)
    if (countUnpacked(cast<func::FuncOp>(op), why) > count) {
      error = ("a weight of '" + cast<func::FuncOp>(op).getSymName() +
               "' could not be packed ahead of time any more: " + why)
                  .str();
      return false;
    }
  return true;
}
