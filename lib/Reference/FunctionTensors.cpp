//===- FunctionTensors.cpp - What interpreted functions take and give -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Reference/FunctionTensors.h"

#include "Values.h"
#include "moe-mlir/Checkpoint/TensorExpression.h"
#include "moe-mlir/Support/Random.h"
#include "moe-mlir/Support/RowMagnitude.h"
#include "moe-mlir/Support/TensorIO.h"
#include "moe/SparseFormats.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"
#include <cmath>

using namespace mlir;
using namespace moe;
using moe::reference::Difference;

bool reference::findFunctions(ModuleOp module, StringRef file, StringRef entry,
                              bool all,
                              SmallVectorImpl<func::FuncOp> &functions,
                              std::string &error) {
  for (auto func : module.getOps<func::FuncOp>()) {
    if (entry.empty() ? !func.isPublic() || func.isDeclaration()
                      : func.getSymName() != entry)
      continue;
    if (!all || func.getNumArguments() == 0)
      functions.push_back(func);
  }
  if (functions.empty())
    error = ("no function to run in '" + file + "'").str() +
            (entry.empty() ? "" : (": it has no @" + entry).str());
  if (functions.size() > 1 && !all)
    error = ("'" + file +
             "' has several public functions; choose one with --entry, or "
             "--all")
                .str();
  return error.empty();
}

bool reference::readTensorFiles(ArrayRef<std::string> files, TensorMap &tensors,
                                std::string &error) {
  for (const std::string &file : files) {
    std::vector<HostTensor> read;
    if (!readTensors(file, read, error))
      return false;
    for (HostTensor &tensor : read) {
      std::string name = tensor.name;
      if (!tensors.try_emplace(name, tensor).second) {
        error = "tensor '" + name + "' is in the input files twice";
        return false;
      }
    }
  }
  return true;
}

bool reference::readCheckpoint(func::FuncOp func, const Checkpoint &checkpoint,
                               TensorMap &tensors, std::string &error) {
  auto said =
      func->getAttrOfType<DictionaryAttr>(MoeDialect::getCheckpointAttrName());
  if (!said) {
    error = ("function '" + func.getSymName() +
             "' has no `moe.checkpoint`, which says where its weights are in a "
             "checkpoint; import the model from the checkpoint with moe-import")
                .str();
    return false;
  }
  for (unsigned i = 0; i < func.getNumArguments(); ++i) {
    std::string name = argumentName(func, i);
    auto text = said.getAs<StringAttr>(name);
    auto type = dyn_cast<RankedTensorType>(func.getArgumentTypes()[i]);
    std::optional<DType> dtype =
        type ? dtypeOf(type.getElementType()) : std::nullopt;
    if (!text || !dtype || !type.hasStaticShape() || tensors.contains(name))
      continue;
    std::optional<TensorExpression> expression =
        TensorExpression::parse(text, error);
    HostTensor tensor;
    if (expression)
      tensor = evaluate(checkpoint, *expression, *dtype, type.getShape().vec(),
                        error);
    if (!tensor.data) {
      error = "'" + name + "': " + error;
      return false;
    }
    tensors[name] = tensor;
  }
  return true;
}

std::string reference::argumentName(func::FuncOp func, unsigned i) {
  if (auto name = func.getArgAttrOfType<StringAttr>(i, "moe.name"))
    return name.str();
  return "arg" + std::to_string(i);
}

std::string reference::resultName(func::FuncOp func, unsigned i) {
  if (auto name = func.getResultAttrOfType<StringAttr>(i, "moe.name"))
    return name.str();
  return "result" + std::to_string(i);
}

static std::optional<moe::StoredGroup> readStoredGroup(DictionaryAttr said) {
  auto read = [](DictionaryAttr of, StringRef key) {
    return of.getAs<IntegerAttr>(key).getInt();
  };
  StoredGroup group{read(said, "bytes"), {}};
  for (auto number :
       said.getAs<ArrayAttr>("numbers").getAsRange<DictionaryAttr>()) {
    if (auto kind = number.getAs<StringAttr>("bits")) {
      bool ascend = kind.getValue() == "ascending";
      StoredBits bits{ascend ? StoredBits::Ascending : StoredBits::Places,
                      ascend ? read(number, "limit") : 0};
      group.numbers.push_back({read(number, "offset"), read(number, "bytes"),
                               DType::I8, {}, bits});
      continue;
    }
    auto range = number.getAs<DictionaryAttr>("range");
    DType dtype = DType::I8;
    (void)parseDType(range.getAs<StringAttr>("dtype").str(), dtype);
    StoredRange made{dtype,
                     {range.getAs<FloatAttr>("center").getValueAsDouble(),
                      range.getAs<FloatAttr>("spread").getValueAsDouble()},
                     read(range, "has_size") != 0};
    group.numbers.push_back({read(number, "offset"), read(number, "bytes"),
                             dtype, made.of(read(said, "k"))});
  }
  return group;
}

std::optional<moe::StoredGroup> reference::getStoredGroup(func::FuncOp func,
                                                          unsigned i) {
  if (auto said = func.getArgAttrOfType<DictionaryAttr>(i, kStoredAttrName))
    return readStoredGroup(said);
  // By the order of ops, not of uses, which passes change.
  std::optional<StoredGroup> group;
  func.walk([&](DequantizeOp op) {
    size_t index = 0;
    while (index < op.getStorage().size() &&
           op.getStorage()[index] != func.getArgument(i))
      ++index;
    if (index == op.getStorage().size())
      return WalkResult::advance();
    int64_t k = cast<ShapedType>(op.getWeights().getType()).getShape().back();
    WeightFormatAttrInterface format = op.getFormat();
    StorageTensor tensor = format.getStorage(k)[index];
    // As packers make it up: what has an order, one by one.
    int64_t bytes = tensor.order
                        ? tensor.order->element.getIntOrFloatBitWidth() / 8
                        : tensor.getBytes();
    group = StoredGroup{bytes, {}};
    for (auto [number, field] : llvm::enumerate(format.getFields(k))) {
      if (field.storage != static_cast<int64_t>(index))
        continue;
      FieldBits bits = getFieldBits(format, k, number);
      if (bits.kind != FieldBits::Any)
        group->numbers.push_back(
            {field.offset,
             field.getBytes(),
             DType::I8,
             {},
             {bits.kind == FieldBits::Places ? StoredBits::Places
                                             : StoredBits::Ascending,
              bits.limit}});
      std::optional<MadeUpRange> range = getMadeUpRange(format, field, k);
      if (!range)
        continue;
      StoredRange made{dtypeOf(field.getStored()).value_or(DType::I8),
                       {range->center, range->spread},
                       range->hasSize};
      group->numbers.push_back(
          {field.offset, field.getBytes(), made.dtype, made.of(k)});
    }
    return WalkResult::interrupt();
  });
  return group;
}

/// How many experts the routing has whose indices argument `i` is.
static std::optional<int64_t> countExperts(func::FuncOp func, unsigned i) {
  if (func.isDeclaration())
    return std::nullopt;
  for (Operation *user : func.getArgument(i).getUsers())
    if (auto make = dyn_cast<RoutingMakeOp>(user);
        make && make.getIndices() == func.getArgument(i))
      return make.getRouting().getType().getExperts();
  return std::nullopt;
}

/// An argument from the seed; sizes that nobody gave are errors.
static std::optional<HostTensor>
makeRandom(func::FuncOp func, unsigned i, uint64_t seed,
           const std::map<std::string, int64_t> &sizes, std::string &error) {
  std::string name = reference::argumentName(func, i);
  Type type = func.getArgumentTypes()[i];
  std::optional<DType> dtype = reference::dtypeOf(getElementTypeOrSelf(type));
  if (!dtype) {
    error = "cannot make a random '" + name + "' of its type";
    return std::nullopt;
  }
  std::vector<int64_t> shape;
  if (auto tensor = dyn_cast<RankedTensorType>(type)) {
    auto names = func.getArgAttrOfType<ArrayAttr>(i, "moe.dims");
    unsigned next = 0;
    for (int64_t size : tensor.getShape()) {
      if (ShapedType::isDynamic(size)) {
        std::string key = "?";
        if (names && next < names.size())
          if (auto attribute = dyn_cast<StringAttr>(names[next]))
            key = attribute.str();
        ++next;
        auto it = sizes.find(key);
        if (it == sizes.end()) {
          error = "size '" + key + "' of '" + name +
                  "' is not known; give it with --size=" + key + "=N";
          return std::nullopt;
        }
        size = it->second;
      }
      shape.push_back(size);
    }
  }
  HostTensor tensor = HostTensor::allocate(*dtype, shape, name);
  if (!tensor.data && tensor.numElements() > 0) {
    error = "no memory for '" + name + "'";
    return std::nullopt;
  }
  auto ranked = dyn_cast<RankedTensorType>(type);
  bool isActivation = !ranked || !ranked.hasStaticShape();
  if (std::optional<StoredGroup> group = reference::getStoredGroup(func, i))
    fillStored(tensor, seed, *group);
  else if (std::optional<int64_t> experts = countExperts(func, i))
    fillRouting(tensor, seed, *experts);
  else
    fillRandom(tensor, seed, randomRange(name, *dtype, shape, isActivation));
  return tensor;
}

bool reference::makeArguments(func::FuncOp func, const TensorMap &tensors,
                              std::optional<uint64_t> seed,
                              const std::map<std::string, int64_t> &sizes,
                              std::vector<HostTensor> &arguments,
                              std::string &error) {
  for (unsigned i = 0; i < func.getNumArguments(); ++i) {
    std::string name = argumentName(func, i);
    if (auto it = tensors.find(name); it != tensors.end()) {
      arguments.push_back(it->second);
      continue;
    }
    if (!seed) {
      auto said = func->getAttrOfType<DictionaryAttr>(
          MoeDialect::getCheckpointAttrName());
      auto source = said ? said.getAs<StringAttr>(name) : StringAttr();
      error =
          "no input has a tensor '" + name + "'; give it with --inputs, " +
          (source ? "--checkpoint, where it is '" + source.str() + "', " : "") +
          "or --random=SEED";
      return false;
    }
    std::optional<HostTensor> made = makeRandom(func, i, *seed, sizes, error);
    if (!made)
      return false;
    arguments.push_back(*made);
  }
  return true;
}

Difference reference::findDifference(const HostTensor &result,
                                     const HostTensor &expected,
                                     int64_t width) {
  Difference difference;
  double size = 0;
  for (int64_t i = 0, e = result.numElements(); i < e; ++i) {
    if (i % width == 0)
      size = rowMagnitude(expected, i, i + width);
    double a = result.get(i), b = expected.get(i);
    double error;
    if (std::isnan(a) || std::isnan(b))
      error = std::isnan(a) && std::isnan(b) ? 0 : INFINITY;
    else if (a == b)
      error = 0;
    else
      error = std::fabs(a - b) / size;
    // An infinity less another is NaN: as wrong as can be.
    if (std::isnan(error))
      error = INFINITY;
    if (error > difference.largest)
      difference = {error, i};
  }
  return difference;
}

/// Compares one, in rows of `width`; says what differs, or nothing.
static std::string compareResult(llvm::raw_ostream &os,
                                 const HostTensor &result,
                                 const HostTensor &expected, int64_t width,
                                 double tolerance) {
  if (result.shape != expected.shape)
    return "'" + result.name + "' is " + result.describe() + ", expected " +
           expected.describe();
  Difference difference = reference::findDifference(result, expected, width);
  bool good = difference.isWithin(tolerance, result.dtype);
  os << result.name << ": max error "
     << llvm::format("%.3g", difference.largest) << (good ? " ok" : " WRONG")
     << "\n";
  std::string message;
  if (!good)
    llvm::raw_string_ostream(message)
        << "'" << result.name << "' differs at element " << difference.element
        << ": "
        << llvm::format("%.10g, expected %.10g", result.get(difference.element),
                        expected.get(difference.element));
  return message;
}

bool reference::compareResults(llvm::raw_ostream &os, func::FuncOp func,
                               ArrayRef<HostTensor> results,
                               const std::string &file, double tolerance,
                               std::vector<std::string> &errors) {
  TensorMap expected;
  std::string error;
  if (!readTensorFiles({file}, expected, error)) {
    errors.push_back(error);
    return false;
  }
  for (auto [i, result] : llvm::enumerate(results)) {
    auto it = expected.find(result.name);
    if (it == expected.end()) {
      errors.push_back("'" + file + "' has no tensor '" + result.name + "'");
      return false;
    }
    // A number for each token is a row of its own.
    auto type = dyn_cast<RankedTensorType>(func.getResultTypes()[i]);
    int64_t rank = result.shape.size();
    bool isNumber = rank == 0 || (rank == 1 && !type.hasStaticShape());
    error = compareResult(os, result, it->second,
                          isNumber ? 1 : result.shape.back(), tolerance);
    if (!error.empty())
      errors.push_back(error);
  }
  return errors.empty();
}

void reference::printTensor(llvm::raw_ostream &os, const HostTensor &tensor) {
  os << tensor.name << ": " << tensor.describe() << " [";
  for (int64_t i = 0, e = tensor.numElements(); i < e; ++i) {
    os << (i ? ", " : "");
    double value = tensor.get(i);
    if (tensor.dtype == DType::I64)
      os << tensor.dataAs<int64_t>()[i];
    else if (!isFloat(tensor.dtype))
      os << static_cast<int64_t>(value);
    else if (std::isnan(value))
      os << "nan";
    else
      os << llvm::format("%.10g", value);
  }
  os << "]\n";
}
