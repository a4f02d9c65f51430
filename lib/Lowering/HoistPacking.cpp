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

#include "moe-mlir/Analysis/WeightUse.h"
#include "moe-mlir/Artifact/Packing.h"
#include "moe-mlir/Lowering/EntryPoints.h"
#include "moe-mlir/Lowering/Passes.h"
#include "moek/Moek.h"

#include "mlir/IR/DialectResourceBlobManager.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringSet.h"

#include <cstring>
#include <map>

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

bool isView(Operation *op) {
  return isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp,
             tensor::ExtractSliceOp>(op);
}

/// Erases what made `value` and has no other use.
void eraseUnused(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (!op->use_empty())
      return;
    Value next = op->getNumOperands() == 1 ? op->getOperand(0) : Value();
    op->erase();
    if (!next)
      return;
    value = next;
  }
}

/// How a writer of weights lays `pack` out: the entries of `moe.packed`
/// but for the sources.
NamedAttrList getPacking(moek::PackOp pack) {
  Builder b(pack.getContext());
  RankedTensorType logical = pack.getLogicalType();
  NamedAttrList packing;
  auto integer = [&](StringRef key, int64_t value) {
    packing.set(key, b.getI64IntegerAttr(value));
  };
  if (moek::LayoutAttrInterface layout = pack.getLayoutAttr()) {
    packing.append(layout.getPacking(logical).getValue());
  } else {
    // In logical order: a panel is one row, parts follow one another.
    packing.set("layout", b.getStringAttr("panels"));
    integer("columns", 1);
    integer("interleave", 0);
    integer("k_block", 1);
    integer("k_padded", logical.getDimSize(3));
    integer("n_padded", logical.getDimSize(1) * logical.getDimSize(2));
    if (logical.getDimSize(1) > 1)
      integer("parts", logical.getDimSize(1));
  }
  integer("experts", logical.getDimSize(0));
  auto packed = cast<RankedTensorType>(pack.getPacked().getType());
  packing.set("dtype",
              b.getStringAttr(getElementName(packed.getElementType())));
  return packing;
}

/// The same for the writer that is part of this program.
moe::PackSpec getPackSpec(const NamedAttrList &packing) {
  moe::PackSpec spec;
  auto integer = [&](StringRef key, int64_t &value) {
    if (auto attr = dyn_cast_or_null<IntegerAttr>(packing.get(key)))
      value = attr.getInt();
  };
  spec.layout = cast<StringAttr>(packing.get("layout")).str();
  integer("columns", spec.columns);
  integer("interleave", spec.interleave);
  integer("k_block", spec.kBlock);
  integer("k_padded", spec.kPadded);
  integer("n_padded", spec.nPadded);
  integer("parts", spec.parts);
  integer("experts", spec.experts);
  (void)moe::parseDType(cast<StringAttr>(packing.get("dtype")).getValue(),
                        spec.dtype);
  return spec;
}

/// A tensor of the elements of a constant, in place if they are stored so.
moe::HostTensor getElements(ElementsAttr elements, StringRef name) {
  ShapedType type = elements.getShapedType();
  moe::HostTensor tensor;
  tensor.name = name.str();
  (void)moe::parseDType(getElementName(type.getElementType()), tensor.dtype);
  tensor.shape = type.getShape().vec();
  ArrayRef<char> raw;
  if (auto resource = dyn_cast<DenseResourceElementsAttr>(elements)) {
    if (AsmResourceBlob *blob = resource.getRawHandle().getBlob())
      raw = blob->getData();
  } else if (auto dense = dyn_cast<DenseElementsAttr>(elements)) {
    raw = dense.getRawData();
    if (dense.isSplat()) {
      tensor =
          moe::HostTensor::allocate(tensor.dtype, tensor.shape, tensor.name);
      if (char *to = tensor.dataAs<char>())
        for (size_t i = 0; i < tensor.numBytes(); i += raw.size())
          std::memcpy(to + i, raw.data(), raw.size());
      return tensor;
    }
  }
  if (raw.size() == tensor.numBytes())
    tensor.data = const_cast<char *>(raw.data());
  return tensor;
}

struct HoistPacking : moe::impl::HoistPackingPassBase<HoistPacking> {
  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      SmallVector<moek::PackOp> packs;
      function.walk([&](moek::PackOp pack) { packs.push_back(pack); });
      if (failed(foldConstants(packs)))
        return signalPassFailure();
      if (packs.empty())
        continue;
      if (!moe::isEntryFunction(function)) {
        packs.front().emitOpError(
            "packs weights in a function that is no entry point; inline it "
            "into the public function that gets the weights");
        return signalPassFailure();
      }
      if (failed(hoist(function, packs)))
        return signalPassFailure();
    }
  }

  /// Packed constants are constants.
  static LogicalResult foldConstants(SmallVectorImpl<moek::PackOp> &packs) {
    LogicalResult result = success();
    llvm::erase_if(packs, [&](moek::PackOp pack) {
      SmallVector<moe::WeightUse> uses;
      for (Value part : pack.getWeights()) {
        std::string why;
        FailureOr<moe::WeightUse> use = moe::WeightUse::get(part, why);
        if (failed(use) || !use->constant)
          return false;
        uses.push_back(*use);
      }
      if (failed(foldConstant(pack, uses)))
        result = failure();
      return true;
    });
    return result;
  }

  static LogicalResult foldConstant(moek::PackOp pack,
                                    ArrayRef<moe::WeightUse> uses) {
    auto type = cast<RankedTensorType>(pack.getPacked().getType());
    moe::PackSpec spec = getPackSpec(getPacking(pack));
    std::map<std::string, moe::HostTensor> tensors;
    int64_t expert = 0, parts = pack.getParts();
    for (auto [i, part, use] : llvm::enumerate(pack.getWeights(), uses)) {
      moe::PackSource source;
      source.name = "operand " + std::to_string(i);
      source.part = i % parts;
      source.firstExpert = expert;
      source.firstRow = use.firstRow;
      source.rows = use.rows;
      source.firstColumn = use.firstColumn;
      source.columns = use.columns;
      source.firstMatrix = use.firstMatrix;
      source.matrices = use.matrices;
      moe::HostTensor tensor = getElements(use.constant, source.name);
      if (!tensor.data)
        return pack.emitError() << source.name << " is a constant whose "
                                << "elements are not there";
      // The packer knows one dimension of experts.
      int64_t n = tensor.shape[tensor.shape.size() - 2];
      int64_t k = tensor.shape.back();
      source.shape = tensor.shape = {tensor.numElements() / (n * k), n, k};
      spec.sources.push_back(source);
      tensors[source.name] = std::move(tensor);
      auto partType = cast<RankedTensorType>(part.getType());
      if (source.part == parts - 1)
        expert += partType.getRank() == 3 ? partType.getDimSize(0) : 1;
    }
    moe::HostTensor packed;
    std::string error;
    if (!moe::pack(
            spec, [&](const std::string &name) { return &tensors[name]; },
            packed, error))
      return pack.emitError(error);
    OpBuilder b(pack);
    auto elements = DenseElementsAttr::getFromRawBuffer(
        type, ArrayRef(packed.dataAs<char>(), packed.numBytes()));
    Value constant = arith::ConstantOp::create(b, pack.getLoc(), elements);
    pack.getPacked().replaceAllUsesWith(constant);
    llvm::SmallSetVector<Value, 4> operands(pack.getWeights().begin(),
                                            pack.getWeights().end());
    pack.erase();
    for (Value operand : operands)
      eraseUnused(operand);
    return success();
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
      auto result = cast<RankedTensorType>(pack.getPacked().getType());
      if (getElementName(result.getElementType()).empty())
        return pack.emitOpError() << "packs into " << result
                                  << "; packed files hold f32, bf16 or f16";
      int64_t parts = pack.getParts();
      SmallVector<Attribute> list;
      int64_t expert = 0;
      unsigned position = function.getNumArguments();
      std::string name;
      for (auto [i, part] : llvm::enumerate(pack.getWeights())) {
        std::string why;
        FailureOr<moe::WeightUse> origin = moe::WeightUse::get(part, why);
        auto argument = succeeded(origin)
                            ? dyn_cast<BlockArgument>(origin->root)
                            : BlockArgument();
        if (!argument) {
          if (succeeded(origin))
            why = "it is a constant, and other operands are arguments";
          InFlightDiagnostic diag =
              pack.emitError()
              << "operand #" << i << " cannot be packed ahead of time: " << why
              << "; pass the weight as a " << part.getType()
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
        auto add = [&](StringRef key, int64_t value) {
          entry.push_back(b.getNamedAttr(key, b.getI64IntegerAttr(value)));
        };
        if (origin->rows) {
          add("first_row", origin->firstRow);
          add("rows", origin->rows);
          add("first_column", origin->firstColumn);
          add("columns", origin->columns);
        }
        if (origin->matrices) {
          add("first_matrix", origin->firstMatrix);
          add("matrices", origin->matrices);
        }
        list.push_back(b.getDictionaryAttr(entry));
        auto partType = cast<RankedTensorType>(part.getType());
        if (static_cast<int64_t>(i % parts) == parts - 1)
          expert += partType.getRank() == 3 ? partType.getDimSize(0) : 1;
      }
      if (parts == 2)
        if (size_t at = name.rfind(".gate_proj"); at != std::string::npos)
          name = name.substr(0, at) + ".gate_up";
      NamedAttrList packing = getPacking(pack);
      packing.set("sources", b.getArrayAttr(list));
      hoisted.push_back(
          {pack, position, packing.getDictionary(&getContext()), name});
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
      llvm::SmallSetVector<Value, 4> operands(entry.pack.getWeights().begin(),
                                              entry.pack.getWeights().end());
      entry.pack.erase();
      for (Value operand : operands)
        eraseUnused(operand);
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
