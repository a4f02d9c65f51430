//===- HoistPacking.cpp - Packed weights as arguments -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Weights are packed once, ahead of time, by whoever writes the weights file;
// entry points take them packed.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Lowering/EntryPoints.h"
#include "moe-mlir/Lowering/Passes.h"
#include "moek/Moek.h"

#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringSet.h"

namespace moe {
#define GEN_PASS_DEF_HOISTPACKINGPASS
#include "moe-mlir/Lowering/Passes.h.inc"
} // namespace moe

using namespace mlir;

namespace {

StringRef getElementName(Type type) {
  if (type.isF32())
    return "f32";
  if (type.isBF16())
    return "bf16";
  if (type.isF16())
    return "f16";
  return {};
}

/// What a part is of the function's arguments.
struct Source {
  BlockArgument argument;
  /// The slice of each expert's matrix; no counts mean all of it.
  int64_t firstRow = 0, rows = 0, firstColumn = 0, columns = 0;
};

bool isView(Operation *op) {
  return isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp,
             tensor::ExtractSliceOp>(op);
}

/// The argument that `value` is, through reshapes that only add or remove
/// dimensions of size one, and through one slice of rows and columns. No
/// argument when there is none.
Source findSource(Value value) {
  auto squeeze = [](Type type) {
    SmallVector<int64_t> shape(cast<ShapedType>(type).getShape());
    llvm::erase(shape, 1);
    return shape;
  };
  // The packer reads rows and columns by position.
  auto matrixOf = [](Type type) {
    return cast<ShapedType>(type).getShape().take_back(2);
  };
  Source source;
  bool isSliced = false;
  while (true) {
    if (auto argument = dyn_cast<BlockArgument>(value)) {
      if (isa<func::FuncOp>(argument.getOwner()->getParentOp()))
        source.argument = argument;
      return source;
    }
    Operation *op = value.getDefiningOp();
    if (!isView(op))
      return {};
    if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
      RankedTensorType type = slice.getSourceType();
      int64_t rank = type.getRank();
      if (isSliced || rank < 2 || rank > 3 || !slice.hasUnitStride() ||
          ShapedType::isDynamicShape(slice.getStaticOffsets()) ||
          ShapedType::isDynamicShape(slice.getStaticSizes()) ||
          (rank == 3 && (slice.getStaticOffset(0) != 0 ||
                         slice.getStaticSize(0) != type.getDimSize(0))))
        return {};
      isSliced = true;
      source.firstRow = slice.getStaticOffset(rank - 2);
      source.rows = slice.getStaticSize(rank - 2);
      source.firstColumn = slice.getStaticOffset(rank - 1);
      source.columns = slice.getStaticSize(rank - 1);
    } else if (squeeze(op->getOperand(0).getType()) !=
                   squeeze(value.getType()) ||
               matrixOf(op->getOperand(0).getType()) !=
                   matrixOf(value.getType())) {
      return {};
    }
    value = op->getOperand(0);
  }
}

struct HoistPacking : moe::impl::HoistPackingPassBase<HoistPacking> {
  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      SmallVector<moek::PackOp> packs;
      function.walk([&](moek::PackOp pack) { packs.push_back(pack); });
      if (packs.empty())
        continue;
      if (!moe::isEntryFunction(function)) {
        packs.front().emitError("packs weights in a function that is no entry "
                                "point; inline it into the public function "
                                "that gets the weights");
        return signalPassFailure();
      }
      if (failed(hoist(function, packs)))
        return signalPassFailure();
    }
  }

  LogicalResult hoist(func::FuncOp function, ArrayRef<moek::PackOp> packs) {
    Builder b(&getContext());
    if (!function->hasAttr(moe::kModelInterfaceAttr)) {
      SmallVector<Attribute> interface;
      for (unsigned i = 0, e = function.getNumArguments(); i != e; ++i) {
        if (!moe::getArgumentRole(function, i).empty())
          continue;
        auto name = function.getArgAttrOfType<StringAttr>(i, moe::kNameAttr);
        interface.push_back(b.getDictionaryAttr(
            {b.getNamedAttr("name", name ? name : b.getStringAttr("")),
             b.getNamedAttr("type",
                            TypeAttr::get(function.getArgumentTypes()[i]))}));
      }
      function->setAttr(moe::kModelInterfaceAttr, b.getArrayAttr(interface));
    }
    struct Hoisted {
      moek::PackOp pack;
      unsigned position;
      DictionaryAttr description;
      std::string name;
    };
    SmallVector<Hoisted> hoisted;
    llvm::DenseSet<unsigned> sources;
    for (moek::PackOp pack : packs) {
      auto result = dyn_cast<RankedTensorType>(pack.getPacked().getType());
      StringRef element = getElementName(result.getElementType());
      if (!result.hasStaticShape() || result.getRank() != 5 || element.empty())
        return pack.emitError()
               << "packs into " << result
               << "; packed files hold static [experts, panels, k, columns, "
                  "k_block] of f32, bf16 or f16";
      moek::PanelsAttr layout = pack.getLayout();
      unsigned parts = layout.getInterleave() ? 2 : 1;
      SmallVector<Attribute> list;
      int64_t expert = 0;
      unsigned position = function.getNumArguments();
      std::string name;
      for (auto [i, part] : llvm::enumerate(pack.getParts())) {
        Source origin = findSource(part);
        BlockArgument argument = origin.argument;
        if (!argument) {
          InFlightDiagnostic diag =
              pack.emitError()
              << "operand #" << i
              << " is not an argument of the function, so that it cannot be "
                 "packed ahead of time; pass the weight as a "
              << part.getType()
              << " argument of its own, in the layout in which it is used";
          if (Operation *op = part.getDefiningOp())
            diag.attachNote(op->getLoc()) << "computed here";
          return diag;
        }
        unsigned number = argument.getArgNumber();
        position = std::min(position, number);
        sources.insert(number);
        auto source =
            function.getArgAttrOfType<StringAttr>(number, moe::kNameAttr);
        if (!source)
          return pack.emitError()
                 << "operand #" << i << " is argument " << number
                 << ", which has no `" << moe::kNameAttr
                 << "`: weights files are packed by name";
        if (name.empty())
          name = source.getValue().str();
        auto type = cast<RankedTensorType>(argument.getType());
        SmallVector<NamedAttribute> entry = {
            b.getNamedAttr("name", source),
            b.getNamedAttr("part", b.getI64IntegerAttr(i % parts)),
            b.getNamedAttr("first_expert", b.getI64IntegerAttr(expert)),
            b.getNamedAttr("shape", b.getI64ArrayAttr(type.getShape())),
            b.getNamedAttr("dtype", b.getStringAttr(getElementName(
                                        type.getElementType())))};
        if (origin.rows)
          for (auto [key, value] :
               {std::pair<StringRef, int64_t>{"first_row", origin.firstRow},
                {"rows", origin.rows},
                {"first_column", origin.firstColumn},
                {"columns", origin.columns}})
            entry.push_back(b.getNamedAttr(key, b.getI64IntegerAttr(value)));
        list.push_back(b.getDictionaryAttr(entry));
        auto partType = cast<RankedTensorType>(part.getType());
        if (i % parts == parts - 1)
          expert += partType.getRank() == 3 ? partType.getDimSize(0) : 1;
      }
      if (parts == 2)
        if (size_t at = name.rfind(".gate_proj"); at != std::string::npos)
          name = name.substr(0, at) + ".gate_up";
      auto shape = result.getShape();
      auto integer = [&](StringRef key, int64_t value) {
        return b.getNamedAttr(key, b.getI64IntegerAttr(value));
      };
      hoisted.push_back(
          {pack, position,
           b.getDictionaryAttr(
               {b.getNamedAttr("layout", b.getStringAttr("panels")),
                integer("columns", layout.getColumns()),
                integer("interleave", layout.getInterleave()),
                integer("k_block", layout.getKBlock()),
                integer("k_padded", shape[2] * layout.getKBlock()),
                integer("n_padded", shape[1] * layout.getColumns()),
                integer("experts", shape[0]),
                b.getNamedAttr("dtype", b.getStringAttr(element)),
                b.getNamedAttr("sources", b.getArrayAttr(list))}),
           name});
    }

    // Arguments that stay keep their names.
    llvm::SmallPtrSet<Operation *, 8> packSet;
    for (Hoisted &entry : hoisted)
      packSet.insert(entry.pack);
    std::function<bool(Value)> onlyPacked = [&](Value value) {
      return llvm::all_of(value.getUsers(), [&](Operation *user) {
        return packSet.contains(user) ||
               (isView(user) && onlyPacked(user->getResult(0)));
      });
    };
    llvm::BitVector dead(function.getNumArguments());
    llvm::StringSet<> names;
    for (unsigned i = 0, e = function.getNumArguments(); i != e; ++i) {
      if (sources.contains(i) && onlyPacked(function.getArgument(i)))
        dead.set(i);
      else if (auto name =
                   function.getArgAttrOfType<StringAttr>(i, moe::kNameAttr))
        names.insert(name.getValue());
    }
    for (unsigned i = 0, e = function.getNumResults(); i != e; ++i)
      if (auto name =
              function.getResultAttrOfType<StringAttr>(i, moe::kNameAttr))
        names.insert(name.getValue());

    llvm::stable_sort(hoisted, [](const Hoisted &x, const Hoisted &y) {
      return x.position < y.position;
    });
    SmallVector<unsigned> positions;
    SmallVector<Type> types;
    SmallVector<DictionaryAttr> attrs;
    SmallVector<Location> locs;
    for (Hoisted &entry : hoisted) {
      std::string unique = entry.name;
      for (unsigned n = 1; !names.insert(unique).second; ++n)
        unique = entry.name + ".packed" + (n > 1 ? std::to_string(n) : "");
      positions.push_back(entry.position);
      types.push_back(entry.pack.getPacked().getType());
      attrs.push_back(b.getDictionaryAttr(
          {b.getNamedAttr(moe::kNameAttr, b.getStringAttr(unique)),
           b.getNamedAttr(moe::kPackedAttr, entry.description)}));
      locs.push_back(entry.pack.getLoc());
    }
    if (failed(function.insertArguments(positions, types, attrs, locs)))
      return failure();
    for (auto [i, entry] : llvm::enumerate(hoisted)) {
      entry.pack.getPacked().replaceAllUsesWith(
          function.getArgument(positions[i] + i));
      // One weight may be several parts: look at each once.
      llvm::SmallSetVector<Value, 4> operands(entry.pack.getParts().begin(),
                                              entry.pack.getParts().end());
      entry.pack.erase();
      for (Value operand : operands)
        while (Operation *op = operand.getDefiningOp()) {
          if (!op->use_empty())
            break;
          operand = op->getOperand(0);
          op->erase();
        }
    }
    llvm::BitVector erased(function.getNumArguments());
    for (unsigned i : dead.set_bits()) {
      unsigned shift = llvm::count_if(
          positions, [&](unsigned position) { return position <= i; });
      erased.set(i + shift);
    }
    return function.eraseArguments(erased);
  }
};

} // namespace
