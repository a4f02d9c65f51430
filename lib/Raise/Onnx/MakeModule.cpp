//===- MakeModule.cpp - A .onnx file as a module ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Nodes come in the order of the file, which has to be one in which values are
// made before they are read.
//
//===----------------------------------------------------------------------===//

#include "Types.h"
#include "Weights.h"
#include "moe-mlir/Raise/Onnx.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace moe;
using namespace moe::onnx;

/// No name of C, whatever the graph is called.
static constexpr StringLiteral kEntry = "model";

namespace {

class ModuleBuilder {
public:
  ModuleBuilder(MLIRContext &context, const Model &model, std::string &error)
      : context(context), model(model), error(error), builder(&context) {}

  OwningOpRef<ModuleOp> build();

private:
  bool addArguments();
  bool addConstants();
  bool addNode(const Node &node);
  bool addConstantNode(const Node &node);
  bool addResults();
  bool define(StringRef name, Value value, const Twine &maker);

  Location getLoc(StringRef name) {
    return NameLoc::get(StringAttr::get(&context, name));
  }
  /// A size's name as C has it, the same for the same text.
  StringAttr nameSize(const std::string &text);

  bool fail(const Twine &what) {
    error = (model.path + ": " + what).str();
    return false;
  }

  MLIRContext &context;
  const Model &model;
  std::string &error;
  OpBuilder builder;
  func::FuncOp function;
  llvm::StringMap<Value> values;
  llvm::StringMap<const ValueInfo *> infos;
  llvm::StringSet<> unsignedValues;
  llvm::StringMap<StringAttr> sizes;
  llvm::StringSet<> sizeNames;
  std::vector<Weight> weights;
  llvm::StringSet<> weightNames;
};

} // namespace

StringAttr ModuleBuilder::nameSize(const std::string &text) {
  auto [it, isNew] = sizes.try_emplace(text);
  if (!isNew)
    return it->second;
  std::string name;
  for (char c : text)
    name += llvm::isAlnum(c) ? c : '_';
  if (name.empty() || llvm::isDigit(name[0]) || name[0] == '_')
    name = "d" + name;
  std::string unique = name;
  for (unsigned i = 0; !sizeNames.insert(unique).second; ++i)
    unique = name + "_" + std::to_string(i);
  return it->second = StringAttr::get(&context, unique);
}

bool ModuleBuilder::define(StringRef name, Value value, const Twine &maker) {
  if (name.empty())
    return true;
  return values.try_emplace(name, value).second ||
         fail(maker + " makes '" + name + "', which there is already");
}

//===----------------------------------------------------------------------===//
// Inputs, weights and constants
//===----------------------------------------------------------------------===//

bool ModuleBuilder::addArguments() {
  llvm::StringSet<> initialized;
  for (const Tensor &tensor : model.initializers) {
    if (tensor.name.empty())
      return fail("an initializer has no name");
    if (!initialized.insert(tensor.name).second)
      return fail("two initializers are named '" + tensor.name + "'");
    if (tensor.type->isUnsigned)
      unsignedValues.insert(tensor.name);
  }
  SmallVector<Type> types;
  SmallVector<StringRef> names;
  SmallVector<ArrayAttr> dims;
  for (const ValueInfo &input : model.inputs) {
    if (input.name.empty())
      return fail("an input has no name");
    infos[input.name] = &input;
    // What a caller may give and the file has, too, is a weight.
    if (initialized.contains(input.name))
      continue;
    std::string what = "input '" + input.name + "' ";
    if (!input.type)
      return fail(what + "is " + input.problem + "; expected a tensor");
    if (!input.hasShape)
      return fail(what + "has no shape; expected one, if of names");
    if (!input.type->dtype)
      return fail(what + "is of " + input.type->name +
                  ", which a compiled function does not take");
    if (input.type->isUnsigned)
      unsignedValues.insert(input.name);
    SmallVector<Attribute> sizes;
    for (auto [i, dim] : llvm::enumerate(input.shape))
      if (dim.size < 0)
        sizes.push_back(nameSize(dim.name.empty()
                                     ? input.name + "_d" + std::to_string(i)
                                     : dim.name));
    types.push_back(getType(builder, input));
    names.push_back(input.name);
    dims.push_back(builder.getArrayAttr(sizes));
  }
  for (const Weight &weight : weights) {
    types.push_back(RankedTensorType::get(
        weight.tensor->shape, getElementType(builder, *weight.tensor->type)));
    names.push_back(weight.name);
    dims.push_back({});
  }
  Block *body = function.addEntryBlock();
  for (auto [i, type] : llvm::enumerate(types)) {
    (void)function.insertArgument(i, type, {}, getLoc(names[i]));
    function.setArgAttr(i, "moe.name", builder.getStringAttr(names[i]));
    if (dims[i] && !dims[i].empty())
      function.setArgAttr(i, "moe.dims", dims[i]);
    if (!define(names[i], body->getArgument(i), "the graph"))
      return false;
  }
  builder.setInsertionPointToEnd(body);
  return true;
}

bool ModuleBuilder::addConstants() {
  llvm::StringSet<> used;
  for (const Node &node : model.nodes)
    for (const std::string &input : node.inputs)
      used.insert(input);
  for (const ValueInfo &output : model.outputs)
    used.insert(output.name);
  for (const Tensor &tensor : model.initializers) {
    if (weightNames.contains(tensor.name) || !used.contains(tensor.name))
      continue;
    auto constant = arith::ConstantOp::create(builder, getLoc(tensor.name),
                                              getElements(builder, tensor));
    if (!define(tensor.name, constant, "an initializer"))
      return false;
  }
  return true;
}

//===----------------------------------------------------------------------===//
// Nodes
//===----------------------------------------------------------------------===//

/// A node `Constant`, in each of its spellings.
bool ModuleBuilder::addConstantNode(const Node &node) {
  auto refuse = [&] {
    return fail(node.describe() + " has no one value that is a tensor, a "
                                  "number or a list of numbers");
  };
  if (node.attributes.size() != 1 || node.outputs.size() != 1)
    return refuse();
  const NodeAttribute &attribute = node.attributes[0];
  auto listType = [&](size_t size, Type element) {
    return RankedTensorType::get(static_cast<int64_t>(size), element);
  };
  DenseElementsAttr elements;
  if (attribute.tensor) {
    if (attribute.tensor->type->isUnsigned)
      unsignedValues.insert(node.outputs[0]);
    if (weightNames.contains(node.outputs[0])) // an argument
      return true;
    elements = getElements(builder, *attribute.tensor);
  } else if (attribute.name == "value_float") {
    elements = DenseElementsAttr::get(
        RankedTensorType::get({}, builder.getF32Type()), attribute.number);
  } else if (attribute.name == "value_int") {
    elements = DenseElementsAttr::get(
        RankedTensorType::get({}, builder.getI64Type()), attribute.integer);
  } else if (attribute.name == "value_floats") {
    elements = DenseElementsAttr::get(
        listType(attribute.floats.size(), builder.getF32Type()),
        ArrayRef(attribute.floats));
  } else if (attribute.name == "value_ints") {
    elements = DenseElementsAttr::get(
        listType(attribute.integers.size(), builder.getI64Type()),
        ArrayRef(attribute.integers));
  } else {
    return refuse();
  }
  auto constant = arith::ConstantOp::create(builder, getLoc(node.outputs[0]),
                                            cast<TypedAttr>(elements));
  return define(node.outputs[0], constant, node.describe());
}

bool ModuleBuilder::addNode(const Node &node) {
  if (node.op == "Constant" && node.domain.empty())
    return addConstantNode(node);
  std::string opName =
      "onnx." + (node.domain.empty() ? "" : node.domain + ".") + node.op;
  if (node.op.empty() || !llvm::all_of(opName, [](char c) {
        return llvm::isAlnum(c) || c == '_' || c == '.';
      }))
    return fail(node.describe() + " has an operator that is no name of "
                                  "letters, digits, '_' and '.'");
  for (const auto &[domain, op] : model.functions)
    if (domain == node.domain && op == node.op)
      return fail(node.describe() + " calls a function of the model, which is "
                                    "not supported; export it with functions "
                                    "inlined");
  if (!model.opsets.count(node.domain) && node.domain.empty())
    return fail(node.describe() + " is of no operator set of the model");
  Location loc =
      getLoc(!node.name.empty()      ? StringRef(node.name)
             : !node.outputs.empty() ? StringRef(node.outputs.front())
                                     : StringRef(node.op));
  SmallVector<Value> operands;
  SmallVector<int64_t> withoutSign, absent;
  for (auto [i, input] : llvm::enumerate(node.inputs)) {
    if (input.empty()) {
      absent.push_back(i);
      continue;
    }
    auto found = values.find(input);
    if (found == values.end())
      return fail(node.describe() + " reads '" + input +
                  "', which is no input, weight or result of a node in front "
                  "of it");
    operands.push_back(found->second);
    if (unsignedValues.contains(input))
      withoutSign.push_back(i);
  }
  OperationState state(loc, opName);
  state.addOperands(operands);
  for (const NodeAttribute &attribute : node.attributes) {
    std::string problem;
    Attribute value = getAttribute(builder, attribute, problem);
    if (!value)
      return fail(node.describe() + ": " + problem);
    if (state.attributes.get(attribute.name))
      return fail(node.describe() + ": attribute '" + attribute.name +
                  "' a second time");
    state.addAttribute(attribute.name, value);
  }
  if (!withoutSign.empty())
    state.attributes.set("onnx_unsigned",
                         builder.getDenseI64ArrayAttr(withoutSign));
  // Those at the end are missing anyway.
  for (int64_t last = node.inputs.size() - 1;
       !absent.empty() && absent.back() == last; --last)
    absent.pop_back();
  if (!absent.empty())
    state.attributes.set("onnx_absent", builder.getDenseI64ArrayAttr(absent));
  for (auto [i, output] : llvm::enumerate(node.outputs)) {
    auto info = infos.find(output);
    bool isKnown = info != infos.end() && info->second->type;
    state.addTypes(isKnown ? getType(builder, *info->second)
                           : guessType(builder, node, i, operands));
    if (isKnown && info->second->type->isUnsigned)
      unsignedValues.insert(output);
  }
  Operation *op = builder.create(state);
  for (auto [output, value] : llvm::zip_equal(node.outputs, op->getResults()))
    if (!define(output, value, node.describe()))
      return false;
  return true;
}

//===----------------------------------------------------------------------===//
// Results
//===----------------------------------------------------------------------===//

bool ModuleBuilder::addResults() {
  if (model.outputs.empty())
    return fail("the graph has no output");
  llvm::StringSet<> taken;
  for (unsigned i = 0, e = function.getNumArguments(); i != e; ++i)
    taken.insert(function.getArgAttrOfType<StringAttr>(i, "moe.name"));
  SmallVector<Value> results;
  SmallVector<DictionaryAttr> attributes;
  for (const ValueInfo &output : model.outputs) {
    std::string what = "output '" + output.name + "' ";
    auto found = values.find(output.name);
    if (found == values.end())
      return fail(what + "is made by no node");
    Value value = found->second;
    auto made = dyn_cast<TensorType>(value.getType());
    if (!output.type)
      return fail(what + "is " + output.problem + "; expected a tensor");
    if (!made)
      return fail(what + "is no tensor");
    auto said = cast<TensorType>(getType(builder, output));
    if (!said.hasRank())
      said = made;
    if (!said.hasRank())
      return fail(what + "has no shape; expected one, if of names");
    if (said != made) {
      if (!tensor::CastOp::areCastCompatible(made, said))
        return fail(what + "is made with another type than the graph says");
      value = tensor::CastOp::create(builder, getLoc(output.name), said, value);
    }
    results.push_back(value);
    std::string name = output.name;
    while (!taken.insert(name).second)
      name += ".out";
    NamedAttrList list;
    list.set("moe.name", builder.getStringAttr(name));
    // Named only where all are sizes that arguments have.
    SmallVector<Attribute> dims;
    bool areKnown = output.hasShape;
    for (const Dim &dim : output.shape)
      if (dim.size < 0) {
        auto size = sizes.find(dim.name);
        areKnown &= !dim.name.empty() && size != sizes.end();
        if (areKnown)
          dims.push_back(size->second);
      }
    if (areKnown && !dims.empty())
      list.set("moe.dims", builder.getArrayAttr(dims));
    attributes.push_back(list.getDictionary(&context));
  }
  func::ReturnOp::create(builder, function.getLoc(), results);
  function.setFunctionType(builder.getFunctionType(
      function.getArgumentTypes(), ValueRange(results).getTypes()));
  function.setAllResultAttrs(attributes);
  return true;
}

OwningOpRef<ModuleOp> ModuleBuilder::build() {
  context.allowUnregisteredDialects();
  context.loadDialect<arith::ArithDialect, func::FuncDialect,
                      tensor::TensorDialect>();
  OwningOpRef<ModuleOp> module =
      ModuleOp::create(getLoc(model.name.empty() ? "model" : model.name));
  builder.setInsertionPointToStart(module->getBody());
  function = func::FuncOp::create(builder, module->getLoc(), kEntry,
                                  builder.getFunctionType({}, {}));
  weights = findWeights(model);
  for (const Weight &weight : weights)
    weightNames.insert(weight.name);
  for (const ValueInfo &value : model.values)
    infos[value.name] = &value;
  for (const ValueInfo &output : model.outputs)
    infos[output.name] = &output;
  if (!addArguments() || !addConstants())
    return nullptr;
  for (const Node &node : model.nodes)
    if (!addNode(node))
      return nullptr;
  if (!addResults())
    return nullptr;
  return module;
}

OwningOpRef<ModuleOp> OnnxModel::makeModule(MLIRContext &context,
                                            std::string &error) const {
  return ModuleBuilder(context, *model, error).build();
}

//===----------------------------------------------------------------------===//
// The file
//===----------------------------------------------------------------------===//

OnnxModel::OnnxModel(std::unique_ptr<onnx::Model> model)
    : model(std::move(model)) {}
OnnxModel::~OnnxModel() = default;

std::unique_ptr<OnnxModel> OnnxModel::read(const std::string &path,
                                           std::string &error) {
  auto model = std::make_unique<onnx::Model>();
  if (!readModel(path, *model, error))
    return nullptr;
  return std::unique_ptr<OnnxModel>(new OnnxModel(std::move(model)));
}
