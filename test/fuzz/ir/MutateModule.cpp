//===- MutateModule.cpp - Random changes to operations ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Mutate.h"

#include "mlir/IR/AttrTypeSubElements.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace moe::fuzz;

namespace {

class ModuleMutator {
public:
  ModuleMutator(ModuleOp module, Draw &draw)
      : module(module), context(module.getContext()), draw(draw) {}

  void run() {
    static const unsigned counts[] = {1, 1, 1, 2, 3, 4};
    for (unsigned i = 0, n = draw.pick(counts); i < n; ++i)
      once();
  }

private:
  std::vector<Operation *> operations() {
    std::vector<Operation *> result;
    module->walk([&](Operation *op) {
      if (op != module)
        result.push_back(op);
    });
    return result;
  }

  std::vector<Value> values() {
    std::vector<Value> result;
    module->walk([&](Operation *op) {
      llvm::append_range(result, op->getResults());
      for (Region &region : op->getRegions())
        for (Block &block : region)
          llvm::append_range(result, block.getArguments());
    });
    return result;
  }

  Type drawElementType() {
    Builder b(context);
    switch (draw.below(10)) {
    case 0:
    case 1:
      return b.getF32Type();
    case 2:
      return b.getF64Type();
    case 3:
      return b.getBF16Type();
    case 4:
      return b.getF16Type();
    case 5:
      return b.getI32Type();
    case 6:
      return b.getI64Type();
    case 7:
      return b.getI1Type();
    case 8:
      return b.getI8Type();
    default:
      return b.getIndexType();
    }
  }

  int64_t drawSize() {
    static const int64_t sizes[] = {
        ShapedType::kDynamic, 0, 1, 2, 3, 5, 8, 16, 17, 64, 1 << 20};
    return draw.pick(sizes);
  }

  /// One size, or one element type, by another everywhere.
  void changeEverywhere() {
    std::vector<Type> shaped;
    for (Value value : values())
      if (isa<ShapedType>(value.getType()))
        shaped.push_back(value.getType());
    if (shaped.empty())
      return;
    auto type = cast<ShapedType>(draw.pick(shaped));
    AttrTypeReplacer replacer;
    if (draw.chance(60) && type.hasRank() && type.getRank() > 0) {
      int64_t old = type.getDimSize(draw.below(type.getRank()));
      int64_t now = drawSize();
      bool attributes = old != ShapedType::kDynamic && draw.chance(60);
      auto change = [=](auto shapedType) -> std::optional<Type> {
        SmallVector<int64_t> shape(shapedType.getShape());
        for (int64_t &size : shape)
          if (size == old)
            size = now;
        return shapedType.clone(shape, shapedType.getElementType());
      };
      replacer.addReplacement(
          [=](RankedTensorType t) -> std::optional<Type> { return change(t); });
      replacer.addReplacement([=](MemRefType t) -> std::optional<Type> {
        if (!t.getLayout().isIdentity())
          return t;
        return change(t);
      });
      // Also what has no type of its own here, such as !moe.routing: by its
      // parameters, which are attributes or numbers in text only.
      if (attributes && now != ShapedType::kDynamic)
        replacer.addReplacement([=](IntegerAttr a) -> std::optional<Attribute> {
          if (a.getValue().getBitWidth() <= 64 && a.getInt() == old)
            return IntegerAttr::get(a.getType(), now);
          return a;
        });
    } else {
      Type old = type.getElementType(), now = drawElementType();
      if (!now.isIntOrIndexOrFloat())
        return;
      bool scalars = draw.chance(70);
      auto change = [=](auto shapedType) -> std::optional<Type> {
        if (shapedType.getElementType() != old)
          return shapedType;
        return shapedType.clone(now);
      };
      replacer.addReplacement(
          [=](RankedTensorType t) -> std::optional<Type> { return change(t); });
      replacer.addReplacement(
          [=](MemRefType t) -> std::optional<Type> { return change(t); });
      if (scalars && !now.isIndex()) {
        replacer.addReplacement(
            [=](VectorType t) -> std::optional<Type> { return change(t); });
        replacer.addReplacement([=](FloatType t) -> std::optional<Type> {
          return t == old ? now : t;
        });
        replacer.addReplacement([=](FloatAttr a) -> std::optional<Attribute> {
          if (a.getType() != old)
            return a;
          if (auto type = dyn_cast<FloatType>(now)) {
            APFloat value = a.getValue();
            bool lost;
            value.convert(type.getFloatSemantics(),
                          APFloat::rmNearestTiesToEven, &lost);
            return FloatAttr::get(type, value);
          }
          return a;
        });
      }
    }
    replacer.recursivelyReplaceElementsIn(module, /*replaceAttrs=*/true,
                                          /*replaceLocs=*/false,
                                          /*replaceTypes=*/true);
  }

  void changeType() {
    std::vector<Value> all = values();
    if (all.empty())
      return;
    Value value = draw.pick(all);
    auto type = dyn_cast<RankedTensorType>(value.getType());
    if (!type) {
      value.setType(draw.pick(all).getType());
      return;
    }
    SmallVector<int64_t> shape(type.getShape());
    if (!shape.empty() && draw.chance(80))
      shape[draw.below(shape.size())] = drawSize();
    else if (draw.chance(50))
      shape.push_back(drawSize());
    else if (!shape.empty())
      shape.pop_back();
    value.setType(type.clone(shape));
  }

  Attribute changed(Attribute attribute) {
    Builder b(context);
    if (auto a = dyn_cast<IntegerAttr>(attribute)) {
      unsigned width =
          a.getType().isIndex() ? 64 : a.getType().getIntOrFloatBitWidth();
      if (width <= 64)
        return IntegerAttr::get(
            a.getType(),
            APInt(width, drawNumber(draw, a.getValue().getSExtValue()), true,
                  /*implicitTrunc=*/true));
    }
    if (auto a = dyn_cast<FloatAttr>(attribute)) {
      static const double floats[] = {0,     1,   -1,       1e30,      -1e-30,
                                      1e300, NAN, INFINITY, -INFINITY, 0.5};
      APFloat value(draw.pick(floats));
      bool lost;
      value.convert(cast<FloatType>(a.getType()).getFloatSemantics(),
                    APFloat::rmNearestTiesToEven, &lost);
      return FloatAttr::get(a.getType(), value);
    }
    if (auto a = dyn_cast<DenseI64ArrayAttr>(attribute)) {
      SmallVector<int64_t> list(a.asArrayRef());
      changeList(list);
      return b.getDenseI64ArrayAttr(list);
    }
    if (auto a = dyn_cast<DenseI32ArrayAttr>(attribute)) {
      SmallVector<int32_t> list(a.asArrayRef());
      changeList(list);
      return b.getDenseI32ArrayAttr(list);
    }
    if (auto a = dyn_cast<ArrayAttr>(attribute)) {
      SmallVector<Attribute> list(a.getValue());
      if (list.empty())
        return a;
      size_t i = draw.below(list.size());
      switch (draw.below(4)) {
      case 0:
        list.erase(list.begin() + i);
        break;
      case 1:
        list.push_back(list[i]);
        break;
      case 2:
        std::swap(list[i], list.back());
        break;
      default:
        if (Attribute now = changed(list[i]))
          list[i] = now;
      }
      return b.getArrayAttr(list);
    }
    if (auto a = dyn_cast<BoolAttr>(attribute))
      return b.getBoolAttr(!a.getValue());
    if (isa<StringAttr>(attribute)) {
      static const char *strings[] = {"",   "a b", "*/", "\n", "T",
                                      "\"", "int", "x",  "E",  "%s"};
      return b.getStringAttr(draw.pick(strings));
    }
    // Anything else by an attribute of the same kind from another place.
    std::vector<Attribute> same;
    for (Operation *op : operations())
      for (NamedAttribute entry : op->getAttrDictionary())
        if (entry.getValue().getTypeID() == attribute.getTypeID() ||
            draw.chance(2))
          same.push_back(entry.getValue());
    return same.empty() ? attribute : draw.pick(same);
  }

  template <typename T> void changeList(SmallVector<T> &list) {
    if (list.empty() || draw.chance(20))
      list.push_back(drawNumber(draw, 1));
    else if (draw.chance(20))
      list.pop_back();
    else {
      T &entry = list[draw.below(list.size())];
      entry = drawNumber(draw, entry);
    }
  }

  void changeAttribute() {
    std::vector<std::pair<Operation *, NamedAttribute>> all;
    for (Operation *op : operations())
      for (NamedAttribute entry : op->getAttrDictionary())
        all.push_back({op, entry});
    if (all.empty())
      return;
    auto [op, entry] = draw.pick(all);
    StringRef name = entry.getName().getValue();
    if (name == "operandSegmentSizes" || name == "resultSegmentSizes")
      return; // Upstream's accessors trust them before anything is verified.
    if (draw.chance(15)) {
      op->removeAttr(entry.getName());
      return;
    }
    if (Attribute now = changed(entry.getValue()))
      op->setAttr(entry.getName(), now);
  }

  void changeOperand() {
    std::vector<OpOperand *> all;
    for (Operation *op : operations())
      for (OpOperand &operand : op->getOpOperands())
        all.push_back(&operand);
    if (all.empty())
      return;
    OpOperand *operand = draw.pick(all);
    std::vector<Value> same;
    for (Value value : values())
      if (value.getType() == operand->get().getType() &&
          value != operand->get())
        same.push_back(value);
    if (!same.empty())
      operand->set(draw.pick(same));
  }

  void eraseOp() {
    std::vector<Operation *> all = operations();
    Operation *op = draw.pick(all);
    for (Value result : op->getResults()) {
      if (result.use_empty())
        continue;
      std::vector<Value> same;
      for (Value value : values())
        if (value.getType() == result.getType() &&
            value.getDefiningOp() != op &&
            !(value.getParentBlock() &&
              op->isAncestor(value.getParentBlock()->getParentOp())))
          same.push_back(value);
      if (same.empty())
        return;
      result.replaceAllUsesWith(draw.pick(same));
    }
    for (Region &region : op->getRegions())
      for (Block &block : region)
        for (BlockArgument argument : block.getArguments())
          argument.dropAllUses();
    op->walk([](Operation *inner) { inner->dropAllUses(); });
    op->erase();
  }

  void duplicateOp() {
    std::vector<Operation *> all = operations();
    Operation *op = draw.pick(all);
    if (op->hasTrait<OpTrait::IsTerminator>())
      return;
    OpBuilder b(op);
    b.setInsertionPointAfter(op);
    Operation *copy = b.clone(*op);
    for (auto [from, to] : llvm::zip(op->getResults(), copy->getResults()))
      for (OpOperand &use : llvm::make_early_inc_range(from.getUses()))
        if (use.getOwner() != copy && draw.chance(50))
          use.set(to);
  }

  void moveOp() {
    std::vector<Operation *> all = operations();
    Operation *op = draw.pick(all), *at = draw.pick(all);
    if (op != at && !op->isAncestor(at) &&
        !op->hasTrait<OpTrait::IsTerminator>() && at->getBlock())
      op->moveBefore(at);
  }

  void once() {
    if (operations().empty())
      return;
    switch (draw.below(10)) {
    case 0:
    case 1:
    case 2:
      return changeEverywhere();
    case 3:
    case 4:
    case 5:
      return changeAttribute();
    case 6:
      return changeOperand();
    case 7:
      return draw.chance(50) ? eraseOp() : duplicateOp();
    case 8:
      return moveOp();
    default:
      return changeType();
    }
  }

  ModuleOp module;
  MLIRContext *context;
  Draw &draw;
};

} // namespace

void moe::fuzz::mutateModule(ModuleOp module, Draw &draw) {
  ModuleMutator(module, draw).run();
}
