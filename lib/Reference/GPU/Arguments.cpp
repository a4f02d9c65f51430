//===- Arguments.cpp - A model's tensors as a host function's memory -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// From the attributes of a host function: `moe.model_interface` has the
// arguments of the model, and `moe.packed` says of which of them a packed one
// is made, as docs/abi.md describes.
//
//===----------------------------------------------------------------------===//

#include "Arguments.h"

#include "../Values.h"
#include "PackedBlocks.h"
#include "moe-mlir/Reference/FunctionTensors.h"
#include "moe-mlir/Reference/GPU/KernelInterpreter.h"
#include "moe_rt/MoeRt.h"
#include <array>
#include <cstring>

using namespace mlir;
using namespace moe;
using namespace moe::reference;

bool simt::isResult(func::FuncOp host, unsigned argument) {
  auto role = host.getArgAttrOfType<StringAttr>(argument, "moe.role");
  return role && role.getValue() == "result";
}

/// What the tensors consist of that weights in blocks are packed from, by name.
static llvm::StringMap<DictionaryAttr> describeStored(func::FuncOp host) {
  llvm::StringMap<DictionaryAttr> result;
  OpBuilder b(host);
  auto getEntries = [](DictionaryAttr of, StringRef key) {
    SmallVector<DictionaryAttr> entries;
    if (auto array = of.getAs<ArrayAttr>(key))
      llvm::append_range(entries, array.getAsRange<DictionaryAttr>());
    return entries;
  };
  for (unsigned i = 0; i < host.getNumArguments(); ++i) {
    auto packed = host.getArgAttrOfType<DictionaryAttr>(i, "moe.packed");
    if (!packed)
      continue;
    for (DictionaryAttr source : getEntries(packed, "sources"))
      for (auto [number, own] :
           llvm::enumerate(getEntries(source, "storage"))) {
        SmallVector<Attribute> numbers;
        for (DictionaryAttr field : getEntries(packed, "fields"))
          if ((field.get("range") || field.get("bits")) &&
              field.getAs<IntegerAttr>("storage").getInt() == int64_t(number))
            numbers.push_back(field);
        // What has an order is made up one by one.
        DType dtype = DType::I8;
        (void)parseDType(own.getAs<StringAttr>("dtype").str(), dtype);
        Attribute bytes =
            own.get("order")
                ? b.getI64IntegerAttr(int64_t(dtypeSize(dtype)))
                : getEntries(packed, "storage")[number].get("bytes");
        Attribute k = source.getAs<ArrayAttr>("shape").getValue().back();
        result[own.getAs<StringAttr>("name")] = b.getDictionaryAttr(
            {b.getNamedAttr("bytes", bytes), b.getNamedAttr("k", k),
             b.getNamedAttr("numbers", b.getArrayAttr(numbers))});
      }
  }
  return result;
}

FailureOr<func::FuncOp> reference::declareModel(func::FuncOp host) {
  bool starts =
      host.walk([](moert::LaunchOp) { return WalkResult::interrupt(); })
          .wasInterrupted();
  if (!starts) {
    emitError(host.getLoc())
        << "'" << host.getSymName()
        << "' starts no kernels: it is not what moe-compile "
           "--compile-to=vector prints of a layer for a GPU";
    return failure();
  }
  auto interface = host->getAttrOfType<ArrayAttr>("moe.model_interface");
  OpBuilder b(host);
  SmallVector<Type> inputs, results;
  SmallVector<DictionaryAttr> inputAttrs, resultAttrs;
  llvm::StringMap<DictionaryAttr> stored = describeStored(host);
  // What is named in the host function has its dimensions there.
  auto describe = [&](StringAttr name, unsigned argument) {
    NamedAttrList attrs;
    attrs.set("moe.name", name);
    if (argument < host.getNumArguments())
      if (Attribute dims = host.getArgAttr(argument, "moe.dims"))
        attrs.set("moe.dims", dims);
    if (auto it = stored.find(name.getValue()); it != stored.end())
      attrs.set(kStoredAttrName, it->second);
    return attrs.getDictionary(host.getContext());
  };
  auto toTensor = [](Type type) -> Type {
    auto memref = dyn_cast<MemRefType>(type);
    return memref ? RankedTensorType::get(memref.getShape(),
                                          memref.getElementType())
                  : type;
  };
  llvm::StringMap<unsigned> byName;
  for (unsigned i = 0; i < host.getNumArguments(); ++i) {
    auto name = b.getStringAttr(argumentName(host, i));
    if (simt::isResult(host, i)) {
      results.push_back(toTensor(host.getArgumentTypes()[i]));
      resultAttrs.push_back(describe(name, i));
      continue;
    }
    byName[name] = i;
    // Without packed weights, arguments are the model's.
    if (!interface) {
      inputs.push_back(toTensor(host.getArgumentTypes()[i]));
      inputAttrs.push_back(describe(name, i));
    }
  }
  if (interface)
    for (Attribute attr : interface) {
      auto entry = dyn_cast<DictionaryAttr>(attr);
      auto name = entry ? entry.getAs<StringAttr>("name") : StringAttr();
      auto type = entry ? entry.getAs<TypeAttr>("type") : TypeAttr();
      if (!name || !type) {
        emitError(host.getLoc())
            << "'moe.model_interface' wants entries with a name and a type";
        return failure();
      }
      inputs.push_back(type.getValue());
      auto it = byName.find(name);
      inputAttrs.push_back(
          describe(name, it == byName.end() ? ~0u : it->second));
    }
  if (host.getNumResults() || results.empty()) {
    emitError(host.getLoc())
        << "'" << host.getSymName()
        << "' wants its results as arguments with moe.role = \"result\"";
    return failure();
  }
  auto model =
      func::FuncOp::create(host.getLoc(), (host.getSymName() + "_model").str(),
                           b.getFunctionType(inputs, results));
  model.setPrivate();
  if (Attribute checkpoint = host->getAttr("moe.checkpoint"))
    model->setAttr("moe.checkpoint", checkpoint);
  b.insert(model);
  model.setAllArgAttrs(inputAttrs);
  model.setAllResultAttrs(resultAttrs);
  return model;
}

FailureOr<std::vector<int64_t>>
simt::getShape(func::FuncOp host, unsigned argument, const HostTensor *tensor,
               std::map<std::string, int64_t> &sizes) {
  auto type = cast<MemRefType>(host.getArgumentTypes()[argument]);
  auto names = host.getArgAttrOfType<ArrayAttr>(argument, "moe.dims");
  std::string name = argumentName(host, argument);
  std::vector<int64_t> shape;
  if (tensor && int64_t(tensor->shape.size()) != type.getRank()) {
    emitError(host.getLoc()) << "'" << name << "' is " << tensor->describe()
                             << ", expected " << type;
    return failure();
  }
  unsigned next = 0;
  for (auto [i, size] : llvm::enumerate(type.getShape())) {
    int64_t own = size;
    if (ShapedType::isDynamic(size)) {
      std::string key = "?";
      if (names && next < names.size())
        if (auto text = dyn_cast<StringAttr>(names[next]))
          key = text.str();
      ++next;
      auto it = sizes.find(key);
      if (tensor && it == sizes.end())
        it = sizes.emplace(key, tensor->shape[i]).first;
      if (it == sizes.end()) {
        emitError(host.getLoc())
            << "size '" << key << "' of '" << name << "' is not known";
        return failure();
      }
      own = it->second;
    }
    if (tensor && tensor->shape[i] != own) {
      emitError(host.getLoc()) << "'" << name << "' is " << tensor->describe()
                               << ", expected " << own << " as size " << i;
      return failure();
    }
    shape.push_back(own);
  }
  return shape;
}

/// The tensor in the type, or the same with its elements converted.
static HostTensor convert(const HostTensor &tensor, DType dtype) {
  if (tensor.dtype == dtype)
    return tensor;
  HostTensor result = HostTensor::allocate(dtype, tensor.shape, tensor.name);
  for (int64_t i = 0, e = tensor.numElements(); i < e; ++i)
    result.set(i, tensor.get(i));
  return result;
}

namespace {
/// What `moe.packed` says of weights in the order of the model: rows of all
/// parts after one another, `[experts][parts * N][K]`.
struct Packing {
  DictionaryAttr attributes;

  int64_t get(DictionaryAttr of, StringRef key, int64_t otherwise) const {
    auto value = of.getAs<IntegerAttr>(key);
    return value ? value.getInt() : otherwise;
  }
  int64_t get(StringRef key, int64_t otherwise) const {
    return get(attributes, key, otherwise);
  }
  bool isInOrder() const {
    auto layout = attributes.getAs<StringAttr>("layout");
    return layout && layout.getValue() == "panels" && get("columns", 0) == 1 &&
           get("k_block", 0) == 1 && get("interleave", 0) == 0;
  }

  /// Copies a source to its place.
  bool copy(DictionaryAttr source, const HostTensor &from,
            HostTensor &to) const {
    auto integers = [](DictionaryAttr of, StringRef key,
                       std::array<int64_t, 3> &result) {
      auto list = of ? of.getAs<ArrayAttr>(key) : ArrayAttr();
      if (!list || list.size() > 3)
        return false;
      result = {1, 1, 1};
      for (auto [i, value] : llvm::enumerate(list))
        result[3 - list.size() + i] = cast<IntegerAttr>(value).getInt();
      return true;
    };
    std::array<int64_t, 3> sizes, strides;
    int64_t offset = 0;
    if (auto view = source.getAs<DictionaryAttr>("view")) {
      offset = get(view, "offset", 0);
      if (!integers(view, "sizes", sizes) ||
          !integers(view, "strides", strides))
        return false;
    } else {
      if (!integers(source, "shape", sizes))
        return false;
      strides = {sizes[1] * sizes[2], sizes[2], 1};
    }
    int64_t rows = get("n_padded", 0), depth = get("k_padded", 0);
    int64_t firstRow = get(source, "part", 0) * (rows / get("parts", 1)) +
                       get(source, "first_n", 0);
    int64_t firstExpert = get(source, "first_expert", 0);
    int64_t firstK = get(source, "first_k", 0);
    size_t bytes = dtypeSize(to.dtype);
    int64_t end = to.numElements(), available = from.numElements();
    for (int64_t e = 0; e < sizes[0]; ++e)
      for (int64_t n = 0; n < sizes[1]; ++n)
        for (int64_t k = 0; k < sizes[2]; ++k) {
          int64_t at =
              ((firstExpert + e) * rows + firstRow + n) * depth + firstK + k;
          int64_t own =
              offset + e * strides[0] + n * strides[1] + k * strides[2];
          if (at >= end || own < 0 || own >= available)
            return false;
          std::memcpy(to.dataAs<char>() + at * bytes,
                      from.dataAs<char>() + own * bytes, bytes);
        }
    return true;
  }
};
} // namespace

FailureOr<HostTensor>
simt::makeArgument(func::FuncOp host, unsigned argument,
                   const llvm::StringMap<HostTensor> &tensors) {
  std::string name = argumentName(host, argument);
  auto type = dyn_cast<MemRefType>(host.getArgumentTypes()[argument]);
  std::optional<DType> dtype =
      type ? dtypeOf(type.getElementType()) : std::nullopt;
  if (!dtype) {
    emitError(host.getLoc())
        << "'" << name << "' is of a type that the interpreter cannot make";
    return failure();
  }
  auto packed = host.getArgAttrOfType<DictionaryAttr>(argument, "moe.packed");
  if (!packed) {
    auto it = tensors.find(name);
    if (it == tensors.end()) {
      emitError(host.getLoc()) << "there is no tensor '" << name << "'";
      return failure();
    }
    return convert(it->second, *dtype);
  }
  Packing packing{packed};
  auto sources = packed.getAs<ArrayAttr>("sources");
  auto layout = packed.getAs<StringAttr>("layout");
  if (layout && layout.getValue() == "blocks" && sources &&
      type.hasStaticShape()) {
    HostTensor result =
        HostTensor::allocate(*dtype, type.getShape().vec(), name);
    std::string problem = packBlocks(packed, tensors, result);
    if (problem.empty())
      return result;
    emitError(host.getLoc()) << "'" << name << "' " << problem;
    return failure();
  }
  if (!packing.isInOrder() || !sources || !type.hasStaticShape()) {
    emitError(host.getLoc()) << "'" << name
                             << "' is packed in a layout that the interpreter "
                                "does not make";
    return failure();
  }
  HostTensor result = HostTensor::allocate(*dtype, type.getShape().vec(), name);
  for (Attribute attr : sources) {
    auto source = dyn_cast<DictionaryAttr>(attr);
    auto from = source ? source.getAs<StringAttr>("name") : StringAttr();
    auto it = from ? tensors.find(from.getValue()) : tensors.end();
    if (it == tensors.end() || source.get("storage") ||
        !packing.copy(source, convert(it->second, *dtype), result)) {
      emitError(host.getLoc()) << "'" << name << "' cannot be made of '"
                               << (from ? from.getValue() : "?")
                               << "': it is not there, is in a format, or does "
                                  "not fit";
      return failure();
    }
  }
  return result;
}
