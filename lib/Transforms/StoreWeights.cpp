//===- StoreWeights.cpp - How weights of a model are stored -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A weight is found from where it is multiplied, through views, to the argument
// that it is. That becomes the tensors of a format, or numbers of another type,
// and all that is between follows.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Transforms/StoreWeights.h"

#include "SplitExperts.h"
#include "moe-mlir/Analysis/StoredWeights.h"
#include "moe-mlir/Analysis/WeightUse.h"
#include "moe-mlir/Transforms/Passes.h"

#include "mlir/IR/Verifier.h"
#include "llvm/ADT/MapVector.h"

namespace moe {
#define GEN_PASS_DEF_STOREWEIGHTS
#include "moe-mlir/Transforms/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;

//===----------------------------------------------------------------------===//
// Types
//===----------------------------------------------------------------------===//

static Type getNumberType(MLIRContext *context, DType number) {
  Builder b(context);
  return number == DType::BF16  ? Type(b.getBF16Type())
         : number == DType::F16 ? Type(b.getF16Type())
         : number == DType::F64 ? Type(b.getF64Type())
                                : Type(b.getF32Type());
}

/// That of an element type, or nothing if it is no float of these.
static std::optional<DType> getNumber(Type element) {
  for (DType number : {DType::F64, DType::F32, DType::F16, DType::BF16})
    if (getNumberType(element.getContext(), number) == element)
      return number;
  return std::nullopt;
}

std::string WeightType::name() const {
  return format ? nameWeightFormat(format) : dtypeName(number);
}

Attribute WeightType::attribute(MLIRContext *context) const {
  if (format)
    return format;
  return TypeAttr::get(getNumberType(context, number));
}

/// What a `moe.format` says, or nothing if that is no type of weights.
static std::optional<WeightType> getWeightType(Attribute attribute) {
  if (auto format = dyn_cast<WeightFormatAttrInterface>(attribute))
    return WeightType{format};
  auto type = dyn_cast<TypeAttr>(attribute);
  std::optional<DType> number =
      type ? getNumber(type.getValue()) : std::nullopt;
  if (!number)
    return std::nullopt;
  return WeightType{{}, *number};
}

Attribute moe::getFormatAttribute(MLIRContext *context,
                                  ArrayRef<WeightRange> ranges) {
  if (ranges.size() == 1)
    return ranges.front().type.attribute(context);
  Builder b(context);
  SmallVector<Attribute> list;
  for (const WeightRange &range : ranges)
    list.push_back(b.getArrayAttr(
        {b.getI64IntegerAttr(range.begin), range.type.attribute(context)}));
  return b.getArrayAttr(list);
}

/// What a `moe.format` of `experts` experts says; empty if that is nothing.
static WeightRanges getRanges(Attribute attribute, int64_t experts) {
  if (std::optional<WeightType> type = getWeightType(attribute))
    return {{0, *type}};
  auto list = dyn_cast<ArrayAttr>(attribute);
  WeightRanges ranges;
  for (Attribute each : list ? list.getValue() : ArrayRef<Attribute>()) {
    auto pair = dyn_cast<ArrayAttr>(each);
    auto begin = pair && pair.size() == 2 ? dyn_cast<IntegerAttr>(pair[0])
                                          : IntegerAttr();
    std::optional<WeightType> type =
        begin ? getWeightType(pair[1]) : std::nullopt;
    int64_t least = ranges.empty() ? 0 : ranges.back().begin + 1;
    if (!type || begin.getInt() < least || begin.getInt() >= experts ||
        (ranges.empty() && begin.getInt() != 0))
      return {};
    ranges.push_back({begin.getInt(), *type});
  }
  return ranges;
}

int64_t WeightType::getBlockSize(int64_t k) const {
  return format ? format.getBlockSize(k) : k;
}

SmallVector<StorageTensor> WeightType::getStorage(MLIRContext *context,
                                                  int64_t k) const {
  if (format)
    return format.getStorage(k);
  return {{"", getNumberType(context, number), k}};
}

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

/// What the `moe.format` of the argument says that `value` is, or is a view of.
static Attribute findFormat(Value value) {
  while (Operation *def = value.getDefiningOp()) {
    if (!WeightUse::isView(def))
      return {};
    value = def->getOperand(0);
  }
  auto argument = cast<BlockArgument>(value);
  auto function = dyn_cast<func::FuncOp>(argument.getOwner()->getParentOp());
  return function ? function.getArgAttr(argument.getArgNumber(), kFormatAttr)
                  : Attribute();
}

/// Whether `scores`, or what ops make of them that keep their shape, are those
/// of a router, which multiplies by weights as they are.
static bool areScores(Value scores) {
  SetVector<Value> values;
  values.insert(scores);
  for (size_t i = 0; i < values.size(); ++i)
    for (Operation *user : values[i].getUsers()) {
      if (isa<RouterOp>(user))
        return true;
      for (Value result : user->getResults())
        if (result.getType() == scores.getType())
          values.insert(result);
    }
  return false;
}

/// Matrices that are multiplied: those of experts and of dense FFNs, and those
/// of ordinary products that say what they are to be stored in.
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
    } else if (auto product = dyn_cast<linalg::LinalgOp>(op);
               product && product.getNumReductionLoops() &&
               product.hasPureTensorSemantics() &&
               linalg::isaContractionOpInterface(product) &&
               !op->getParentOfType<ExpertOp>() &&
               !areScores(op->getResult(0))) {
      for (OpOperand *operand : product.getDpsInputOperands())
        if (findFormat(operand->get()))
          addMatrix(operand->get(), 2, hasRows(operand->get()));
    }
  });
  return operands;
}

SmallVector<BlockArgument> ModelWeight::getArguments() const {
  SmallVector<BlockArgument> arguments;
  auto stored = value.getDefiningOp<DequantizeOp>();
  for (Value tensor :
       stored ? ValueRange(stored.getStorage()) : ValueRange(value))
    arguments.push_back(cast<BlockArgument>(tensor));
  return arguments;
}

static Attribute getFormat(BlockArgument argument) {
  auto function = cast<func::FuncOp>(argument.getOwner()->getParentOp());
  return function.getArgAttr(argument.getArgNumber(), kFormatAttr);
}

void ModelWeight::setFormat(Attribute format) const {
  unsigned number = getArguments().front().getArgNumber();
  func::FuncOp changed = function;
  if (format)
    changed.setArgAttr(number, kFormatAttr, format);
  else
    changed.removeArgAttr(number, kFormatAttr);
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
  std::optional<DType> number = getNumber(element);
  if (!number) {
    llvm::raw_string_ostream(why) << "its elements are " << element;
    return std::nullopt;
  }
  weight.from.number = *number;
  return weight;
}

std::vector<ModelWeight> moe::findWeights(ModuleOp module,
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
      if (weight) {
        WeightRanges ranges;
        if (Attribute said = getFormat(weight->getArguments().front()))
          ranges = getRanges(said, weight->allExperts());
        llvm::append_range(weights, splitWeight(*weight, ranges));
      } else {
        leave(function, nameWeight(root), problem);
      }
    }
  }
  return weights;
}

std::vector<ModelWeight> moe::splitWeight(const ModelWeight &weight,
                                          ArrayRef<WeightRange> ranges) {
  std::vector<ModelWeight> parts;
  for (auto [i, range] : llvm::enumerate(ranges)) {
    ModelWeight &part = parts.emplace_back(weight);
    part.to = range.type;
    if (ranges.size() == 1)
      continue;
    part.whole = weight.name;
    part.begin = range.begin;
    part.end =
        i + 1 < ranges.size() ? ranges[i + 1].begin : weight.allExperts();
    part.name +=
        "." + std::to_string(part.begin) + "-" + std::to_string(part.end - 1);
  }
  if (parts.empty())
    parts.push_back(weight);
  return parts;
}

/// The type of what values of `weight` are in the IR when it is `to`.
static RankedTensorType getValueType(const ModelWeight &weight,
                                     const WeightType &to) {
  SmallVector<int64_t> shape(weight.type.getShape());
  if (weight.isRange())
    shape.front() = weight.numExperts();
  MLIRContext *context = weight.type.getContext();
  return RankedTensorType::get(
      shape, getNumberType(context, to.format ? DType::F32 : to.number));
}

std::vector<std::pair<std::string, RankedTensorType>>
ModelWeight::getTarget() const {
  MLIRContext *context = type.getContext();
  RankedTensorType values = getValueType(*this, *to);
  SmallVector<StorageTensor> storage = to->getStorage(context, columns());
  std::vector<std::pair<std::string, RankedTensorType>> target;
  for (const StorageTensor &tensor : storage)
    target.emplace_back(
        nameStorage(name, tensor, storage.size()),
        to->format ? getStorageType(tensor, values, to->getBlockSize(columns()))
                   : values);
  return target;
}

bool moe::checkStorage(const ModelWeight &weight, const WeightType &to,
                       std::string &why) {
  if (!to.format)
    return true;
  ScopedDiagnosticHandler handler(to.format.getContext(),
                                  [&](Diagnostic &diagnostic) {
                                    why = diagnostic.str();
                                    return success();
                                  });
  auto emitError = [&] {
    return mlir::emitError(UnknownLoc::get(to.format.getContext()));
  };
  return succeeded(to.format.verifyFormat(emitError, weight.columns()));
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

/// Makes arguments at `at` and behind it of what `weight` becomes; what stands
/// for it.
static Value insertTensors(const ModelWeight &weight, unsigned &at) {
  func::FuncOp function = weight.function;
  OpBuilder b(function.getContext());
  Location loc = weight.value.getLoc();
  SmallVector<Value> tensors;
  for (auto &[name, type] : weight.getTarget()) {
    auto attributes =
        b.getDictionaryAttr(b.getNamedAttr("moe.name", b.getStringAttr(name)));
    if (failed(function.insertArgument(at, type, attributes, loc)))
      return {};
    tensors.push_back(function.getArgument(at++));
  }
  if (!weight.to->format)
    return tensors.front();
  // In front of all that may use it, in the order of arguments.
  Block &entry = function.getBody().front();
  auto place = llvm::find_if(
      entry, [](Operation &op) { return !isa<DequantizeOp>(op); });
  b.setInsertionPoint(&entry, place);
  return DequantizeOp::create(b, loc, getValueType(weight, *weight.to),
                              weight.to->format, tensors);
}

/// What `parts` become is not in a checkpoint any more, unless it is the same
/// numbers of another type: those are converted when they are read.
static void forgetCheckpoint(ArrayRef<ModelWeight> parts) {
  const ModelWeight &first = parts.front();
  func::FuncOp function = first.function;
  auto said = function->getAttrOfType<DictionaryAttr>(
      MoeDialect::getCheckpointAttrName());
  if (!said || (!first.isRange() && !first.from.format && !first.to->format))
    return;
  // Those that it becomes may have the names of those that it was.
  NamedAttrList rest(said);
  for (const std::string &name : first.tensors)
    rest.erase(name);
  function->setAttr(MoeDialect::getCheckpointAttrName(),
                    rest.getDictionary(function.getContext()));
}

/// Stores what has one value in one way, or in ranges.
static bool storeWeight(ArrayRef<ModelWeight> parts, std::string &error) {
  const ModelWeight &first = parts.front();
  func::FuncOp function = first.function;
  Value value = first.value;
  Type element = getValueType(first, *first.to).getElementType();
  if (llvm::any_of(parts, [&](const ModelWeight &part) {
        return getValueType(part, *part.to).getElementType() != element;
      })) {
    error = "numbers of ranges of experts have to be of one type";
    return false;
  }
  SmallVector<BlockArgument> old = first.getArguments();
  unsigned at = old.front().getArgNumber();
  SmallVector<Value> values;
  for (const ModelWeight &part : parts) {
    values.push_back(insertTensors(part, at));
    if (!values.back()) {
      error = "the function cannot have other arguments";
      return false;
    }
  }
  Value changed = values.front();
  if (values.size() > 1) {
    splitExperts(value, parts);
    Block &entry = function.getBody().front();
    OpBuilder b(&entry, llvm::find_if(entry, [](Operation &op) {
      return !isa<DequantizeOp>(op);
    }));
    changed = tensor::ConcatOp::create(b, value.getLoc(), /*dim=*/0, values);
  }
  forgetCheckpoint(parts);
  value.replaceAllUsesWith(changed);
  if (element != first.type.getElementType() &&
      failed(retype(changed, element, error)))
    return false;
  if (auto stored = value.getDefiningOp<DequantizeOp>())
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

bool moe::storeWeights(ModuleOp module, ArrayRef<ModelWeight> weights,
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
  for (size_t i = 0, end; i < weights.size(); i = end) {
    const ModelWeight &weight = weights[i];
    for (end = i + 1; end < weights.size() && weights[end].isRange() &&
                      weights[end].value == weight.value;)
      ++end;
    weight.setFormat(nullptr);
    if (weight.isChanged() && !storeWeight(weights.slice(i, end - i), why)) {
      error = "'" + weight.ownName() + "' cannot be " + weight.to->name() +
              ": " + why;
      return false;
    }
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

//===----------------------------------------------------------------------===//
// The pass
//===----------------------------------------------------------------------===//

namespace {

struct StoreWeights : moe::impl::StoreWeightsBase<StoreWeights> {
  void runOnOperation() override {
    if (failed(run()))
      signalPassFailure();
  }

private:
  /// Whether every `moe.format` of the module can be obeyed.
  LogicalResult check(ArrayRef<ModelWeight> weights,
                      ArrayRef<LeftWeight> left) {
    for (auto function : getOperation().getOps<func::FuncOp>())
      for (BlockArgument argument : function.getArguments())
        if (Attribute said = getFormat(argument))
          if (failed(checkOne(argument, said, weights, left)))
            return failure();
    return success();
  }

  LogicalResult checkOne(BlockArgument argument, Attribute said,
                         ArrayRef<ModelWeight> weights,
                         ArrayRef<LeftWeight> left) {
    auto function = cast<func::FuncOp>(argument.getOwner()->getParentOp());
    std::string name = nameWeight(argument), why;
    auto fail = [&](const Twine &problem) {
      return emitError(argument.getLoc())
             << "'" << name << "' of '" << function.getSymName()
             << "' cannot be " << said << ", as its " << kFormatAttr
             << " says: " << problem;
    };
    const ModelWeight *weight = llvm::find_if(weights, [&](const auto &each) {
      return each.getArguments().front() == argument;
    });
    if (weight == weights.end()) {
      for (const LeftWeight &each : left)
        if (each.function == function.getSymName() && each.name == name)
          return fail(each.why);
      return fail("it is no matrix that rows of a public function are "
                  "multiplied by");
    }
    if (!weight->to)
      return fail(isa<ArrayAttr>(said)
                      ? "it is no list of ranges of experts, such as "
                        "[[0, #moe.q6_k], [16, #moe.q4_k]]"
                      : "it is no format of weights, and no type of floats");
    for (;
         weight != weights.end() && weight->getArguments().front() == argument;
         ++weight)
      if (!checkStorage(*weight, *weight->to, why))
        return fail(why);
    return success();
  }

  LogicalResult run() {
    auto hasFormat = [](BlockArgument argument) { return getFormat(argument); };
    if (llvm::none_of(getOperation().getOps<func::FuncOp>(),
                      [&](func::FuncOp function) {
                        return llvm::any_of(function.getArguments(), hasFormat);
                      }))
      return success();
    std::vector<LeftWeight> left;
    std::vector<ModelWeight> weights = findWeights(getOperation(), left);
    std::string error;
    if (failed(check(weights, left)))
      return failure();
    if (!storeWeights(getOperation(), weights, error))
      return emitError(getOperation().getLoc()) << error;
    return success();
  }
};

} // namespace
