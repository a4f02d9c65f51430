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
#include "mlir/IR/Iterators.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringSet.h"

#include <cstring>
#include <map>

namespace moe {
#define GEN_PASS_DEF_HOISTPACKINGPASS
#include "moe-mlir/Lowering/Passes.h.inc"
} // namespace moe

using namespace mlir;

namespace {

/// The type as tensors of files have it; nothing if they have none.
std::optional<moe::DType> getDType(Type type) {
  std::string name;
  llvm::raw_string_ostream(name) << type;
  moe::DType dtype;
  if (!moe::parseDType(name, dtype))
    return std::nullopt;
  return dtype;
}

StringRef getElementName(Type type) {
  std::optional<moe::DType> dtype = getDType(type);
  return dtype ? moe::dtypeName(*dtype) : "";
}

/// A tensor of the model, for which there is a DType.
moe::PackTensor makeTensor(Value value, std::string name) {
  auto type = cast<RankedTensorType>(value.getType());
  return {std::move(name), type.getShape().vec(),
          *getDType(type.getElementType())};
}

/// What `piece` is in memory: constants or arguments.
SmallVector<Value> getTensors(const moe::WeightPiece &piece) {
  if (moe::DequantizeOp op = piece.getDequantize())
    return SmallVector<Value>(op.getStorage());
  return {piece.root};
}

/// Erases what made weights and has no use now, whatever it is.
void eraseUnused(func::FuncOp function) {
  function.walk<WalkOrder::PostOrder, ReverseIterator>([](Operation *op) {
    if (isOpTriviallyDead(op))
      op->erase();
  });
}

/// What a weight is called whose tensors have these `names`: "up" of "up" and
/// of "up.codes" and "up.scales".
std::string nameWeight(const moe::WeightPiece &piece,
                       ArrayRef<std::string> names) {
  StringRef name = names.front();
  if (moe::DequantizeOp op = piece.getDequantize(); op && names.size() > 1) {
    auto type = cast<RankedTensorType>(op.getWeights().getType());
    StringRef own = op.getFormat().getStorage(type.getShape().back())[0].name;
    if (name.ends_with(("." + own).str()))
      name = name.drop_back(own.size() + 1);
  }
  return name.str();
}

/// Where a tensor of the weights of `type` has its numbers, if not row by row.
std::optional<moe_pack_order> makeOrder(const moe::StorageTensor &stored,
                                        RankedTensorType type, int64_t block) {
  std::optional<moe::StoragePlaces> places =
      moe::getStoragePlaces(stored, type, block);
  if (!places)
    return std::nullopt;
  moe_pack_order order{
      stored.order->bits, stored.order->bitsInBlock, places->first, {}, {}};
  auto copy = [](ArrayRef<moe::StoragePlaces::Digit> from,
                 MutableArrayRef<moe_pack_digit> to) {
    assert(from.size() <= to.size() && "more digits than packers know");
    for (auto [i, digit] : llvm::enumerate(to))
      digit = i < from.size()
                  ? moe_pack_digit{from[i].weight, from[i].size, from[i].stride}
                  : moe_pack_digit{1, 1, 0};
  };
  copy(places->rows, order.rows);
  copy(places->places, order.places);
  return order;
}

/// `piece` of a part of a pack, whose first expert is `expert`.
moe::PackSource makeSource(const moe::WeightPiece &piece,
                           ArrayRef<std::string> names, int64_t part,
                           int64_t expert) {
  auto type = cast<RankedTensorType>(piece.root.getType());
  moe::PackSource source;
  source.name = nameWeight(piece, names);
  if (moe::DequantizeOp op = piece.getDequantize()) {
    moe::WeightFormatAttrInterface format = op.getFormat();
    int64_t k = type.getShape().back();
    for (auto [tensor, name, stored] :
         llvm::zip_equal(op.getStorage(), names, format.getStorage(k))) {
      source.storage.push_back(makeTensor(tensor, name));
      source.storage.back().order =
          makeOrder(stored, type, format.getBlockSize(k));
    }
  }
  source.part = part;
  source.firstExpert = expert + piece.begin[0];
  source.firstN = piece.begin[1];
  source.firstK = piece.begin[2];
  source.shape = type.getShape().vec();
  source.dtype = *getDType(type.getElementType());
  source.view = {piece.offset, piece.sizes, piece.strides};
  return source;
}

/// Digits as lists of weight, size and stride.
DictionaryAttr describe(const moe_pack_order &order, Builder &b) {
  auto list = [&](ArrayRef<moe_pack_digit> digits) {
    SmallVector<Attribute> all;
    for (const moe_pack_digit &digit : digits)
      if (digit.size != 1)
        all.push_back(
            b.getI64ArrayAttr({digit.weight, digit.size, digit.stride}));
    return b.getArrayAttr(all);
  };
  return b.getDictionaryAttr(
      {b.getNamedAttr("bits", b.getI64IntegerAttr(order.bits)),
       b.getNamedAttr("width", b.getI64IntegerAttr(order.width)),
       b.getNamedAttr("first", b.getI64IntegerAttr(order.first)),
       b.getNamedAttr("rows", list(order.rows)),
       b.getNamedAttr("places", list(order.places))});
}

/// `source` as the manifest has it: what is not said is 0, or all of a tensor.
DictionaryAttr describe(const moe::PackSource &source, Builder &b) {
  SmallVector<NamedAttribute> entry = {
      b.getNamedAttr("name", b.getStringAttr(source.name)),
      b.getNamedAttr("part", b.getI64IntegerAttr(source.part)),
      b.getNamedAttr("first_expert", b.getI64IntegerAttr(source.firstExpert)),
      b.getNamedAttr("shape", b.getI64ArrayAttr(source.shape)),
      b.getNamedAttr("dtype",
                     b.getStringAttr(moe::dtypeName(source.dtype)))};
  if (!source.storage.empty()) {
    SmallVector<Attribute> storage;
    for (const moe::PackTensor &tensor : source.storage) {
      SmallVector<NamedAttribute> own = {
          b.getNamedAttr("name", b.getStringAttr(tensor.name)),
          b.getNamedAttr("shape", b.getI64ArrayAttr(tensor.shape)),
          b.getNamedAttr("dtype",
                         b.getStringAttr(moe::dtypeName(tensor.dtype)))};
      if (tensor.order)
        own.push_back(b.getNamedAttr("order", describe(*tensor.order, b)));
      storage.push_back(b.getDictionaryAttr(own));
    }
    entry.push_back(b.getNamedAttr("storage", b.getArrayAttr(storage)));
  }
  if (source.firstN)
    entry.push_back(
        b.getNamedAttr("first_n", b.getI64IntegerAttr(source.firstN)));
  if (source.firstK)
    entry.push_back(
        b.getNamedAttr("first_k", b.getI64IntegerAttr(source.firstK)));
  size_t rank = source.shape.size();
  const moe::PackView &view = source.view;
  if ((rank != 2 && rank != 3) ||
      !(view == moe::PackView::whole(source.shape)))
    entry.push_back(b.getNamedAttr(
        "view",
        b.getDictionaryAttr(
            {b.getNamedAttr("offset", b.getI64IntegerAttr(view.offset)),
             b.getNamedAttr("sizes", b.getI64ArrayAttr(view.sizes)),
             b.getNamedAttr("strides", b.getI64ArrayAttr(view.strides))})));
  return b.getDictionaryAttr(entry);
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
  auto read = [](Attribute attr, int64_t &value) {
    if (auto integer = dyn_cast_or_null<IntegerAttr>(attr))
      value = integer.getInt();
  };
  auto integer = [&](StringRef key, int64_t &value) {
    read(packing.get(key), value);
  };
  auto list = [&](StringRef key) {
    SmallVector<DictionaryAttr> entries;
    if (auto array = dyn_cast_or_null<ArrayAttr>(packing.get(key)))
      llvm::append_range(entries, array.getAsRange<DictionaryAttr>());
    return entries;
  };
  for (DictionaryAttr entry : list("fields")) {
    moe::PackField &field = spec.fields.emplace_back();
    read(entry.get("storage"), field.storage);
    read(entry.get("offset"), field.offset);
    read(entry.get("bytes"), field.bytes);
    read(entry.get("unit"), field.unit);
    if (auto name = entry.getAs<StringAttr>("float"))
      (void)moe::parseDType(name.getValue(), field.dtype);
    if (auto bits = entry.getAs<StringAttr>("bits"))
      field.bits.kind = bits.getValue() == "places"
                            ? moe::StoredBits::Places
                            : moe::StoredBits::Ascending;
    read(entry.get("limit"), field.bits.limit);
  }
  for (DictionaryAttr entry : list("storage")) {
    moe::PackStorage &tensor = spec.storage.emplace_back();
    tensor.name = entry.getAs<StringAttr>("name").str();
    read(entry.get("bytes"), tensor.bytes);
    read(entry.get("rows"), tensor.rows);
    read(entry.get("blocks"), tensor.blocks);
  }
  spec.layout = cast<StringAttr>(packing.get("layout")).str();
  integer("columns", spec.columns);
  integer("interleave", spec.interleave);
  integer(spec.isBlocks() ? "block" : "k_block", spec.kBlock);
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
  tensor.dtype = *getDType(type.getElementType());
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

/// What the kernels that read `pack` do with its weights; null if nobody says
/// or they differ.
StringAttr getRole(moek::PackOp pack) {
  StringAttr role;
  for (OpOperand &use : pack->getUses()) {
    StringAttr here;
    if (auto matmul = dyn_cast<moek::GroupedMatmulOp>(use.getOwner()))
      here = matmul.getPhaseAttr();
    else if (isa<moek::RouteOp>(use.getOwner()))
      here = StringAttr::get(pack.getContext(), moe::kRouterRole);
    if (!here || (role && role != here))
      return {};
    role = here;
  }
  return role;
}

/// The name of weights that are made of several: `first`, with their role
/// instead of that of the first, "experts.gate_up" of "experts.w1".
std::string joinName(StringRef first, StringAttr role) {
  auto [group, own] = first.rsplit('.');
  return role && !own.empty() ? (group + "." + role.getValue()).str()
                              : first.str();
}

/// Whether files can hold what `piece` is, and `layout` packs its format.
LogicalResult checkPiece(moek::PackOp pack, size_t operand,
                         const moe::WeightPiece &piece, bool isBlocks) {
  auto fail = [&] { return pack.emitError() << "operand #" << operand << " "; };
  moe::DequantizeOp op = piece.getDequantize();
  if (op && !isBlocks)
    return fail() << "is stored in " << op.getFormat()
                  << ", which the layout of the pack does not keep";
  if (!op && isBlocks)
    return fail() << "is plain numbers, and the layout of the pack is one of "
                     "blocks";
  for (Value tensor : getTensors(piece))
    if (!getDType(getElementTypeOrSelf(tensor)))
      return fail() << "is made of " << tensor.getType()
                    << ", and weights files have no such elements";
  return success();
}

int64_t getNumExperts(Value part) {
  auto type = cast<RankedTensorType>(part.getType());
  return type.getRank() == 3 ? type.getDimSize(0) : 1;
}

struct HoistPacking : moe::impl::HoistPackingPassBase<HoistPacking> {
  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      SmallVector<moek::PackOp> packs;
      function.walk([&](moek::PackOp pack) {
        if (!pack->use_empty())
          packs.push_back(pack);
      });
      if (packs.empty())
        continue;
      if (failed(foldConstants(packs)))
        return signalPassFailure();
      eraseUnused(function);
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
        if (failed(use) || !use->isConstant())
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
    llvm::MapVector<Value, std::string> names;
    int64_t expert = 0, parts = spec.numParts();
    for (auto [i, part, use] : llvm::enumerate(pack.getWeights(), uses)) {
      for (const moe::WeightPiece &piece : use.pieces) {
        if (failed(checkPiece(pack, i, piece, spec.isBlocks())))
          return failure();
        SmallVector<std::string> own;
        for (Value root : getTensors(piece)) {
          std::string &name = names[root];
          ElementsAttr elements;
          (void)matchPattern(root, m_Constant(&elements));
          if (name.empty()) {
            name = "constant " + std::to_string(names.size());
            moe::HostTensor tensor = getElements(elements, name);
            if (!tensor.data)
              return pack.emitError()
                     << "operand #" << i
                     << " is a constant whose elements are not there";
            tensors[name] = std::move(tensor);
          }
          own.push_back(name);
        }
        spec.sources.push_back(makeSource(piece, own, i % parts, expert));
      }
      if (int64_t(i) % parts == parts - 1)
        expert += getNumExperts(part);
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
    pack.erase();
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
      StringAttr role;
      std::string name;
    };
    SmallVector<Hoisted> hoisted;
    llvm::DenseSet<unsigned> sources;
    for (moek::PackOp pack : packs) {
      auto result = cast<RankedTensorType>(pack.getPacked().getType());
      if (getElementName(result.getElementType()).empty())
        return pack.emitOpError() << "packs into " << result
                                  << "; packed files hold f32, bf16, f16 or i8";
      int64_t parts = pack.getParts();
      SmallVector<Attribute> list;
      int64_t expert = 0;
      unsigned position = function.getNumArguments();
      llvm::SmallDenseSet<Value> roots;
      std::string name;
      NamedAttrList packing = getPacking(pack);
      moe::PackSpec spec = getPackSpec(packing);
      for (auto [i, part] : llvm::enumerate(pack.getWeights())) {
        std::string why;
        FailureOr<moe::WeightUse> use = moe::WeightUse::get(part, why);
        if (succeeded(use) && use->isConstant())
          why = "it is a constant, and other operands are arguments";
        if (!why.empty()) {
          InFlightDiagnostic diag =
              pack.emitError()
              << "operand #" << i << " cannot be packed ahead of time: " << why
              << "; pass the weight as a " << part.getType()
              << " argument of its own, in the layout in which it is used";
          if (Operation *op = part.getDefiningOp())
            diag.attachNote(op->getLoc()) << "computed here";
          return diag;
        }
        for (const moe::WeightPiece &piece : use->pieces) {
          if (failed(checkPiece(pack, i, piece, spec.isBlocks())))
            return failure();
          SmallVector<std::string> names;
          for (Value tensor : getTensors(piece)) {
            unsigned number = cast<BlockArgument>(tensor).getArgNumber();
            position = std::min(position, number);
            sources.insert(number);
            auto source =
                function.getArgAttrOfType<StringAttr>(number, moe::kNameAttr);
            if (!source)
              return pack.emitError()
                     << "operand #" << i << " is argument " << number
                     << ", which has no `" << moe::kNameAttr
                     << "`: weights files are packed by name";
            names.push_back(source.str());
          }
          roots.insert(piece.root);
          spec.sources.push_back(makeSource(piece, names, i % parts, expert));
          if (name.empty())
            name = spec.sources.back().name;
          list.push_back(describe(spec.sources.back(), b));
        }
        if (static_cast<int64_t>(i % parts) == parts - 1)
          expert += getNumExperts(part);
      }
      std::string error;
      if (!spec.verify(error))
        return pack.emitError(error);
      StringAttr role = getRole(pack);
      if (parts == 2 && roots.size() > 1)
        name = joinName(name, role);
      packing.set("sources", b.getArrayAttr(list));
      hoisted.push_back(
          {pack, position, packing.getDictionary(&getContext()), role, name});
    }

    // Arguments that stay keep their names.
    llvm::SmallPtrSet<Operation *, 8> packSet;
    for (Hoisted &entry : hoisted)
      packSet.insert(entry.pack);
    std::function<bool(Value)> onlyPacked = [&](Value value) {
      return llvm::all_of(value.getUsers(), [&](Operation *user) {
        return packSet.contains(user) || ((moe::WeightUse::isView(user) ||
                                           isa<moe::DequantizeOp>(user)) &&
                                          onlyPacked(user->getResult(0)));
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
      NamedAttrList own;
      own.set(moe::kNameAttr, b.getStringAttr(unique));
      own.set(moe::kPackedAttr, entry.description);
      if (entry.role)
        own.set(moe::kRoleAttr, entry.role);
      attrs.push_back(own.getDictionary(&getContext()));
      locs.push_back(entry.pack.getLoc());
    }
    if (failed(function.insertArguments(positions, types, attrs, locs)))
      return failure();
    for (auto [i, entry] : llvm::enumerate(hoisted)) {
      entry.pack.getPacked().replaceAllUsesWith(
          function.getArgument(positions[i] + i));
      entry.pack.erase();
    }
    eraseUnused(function);
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
