//===- Interpreter.cpp - Float64 interpreter of model IR --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Entry point and the machine itself: calls, values, memory and dispatch to
// the handlers.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Reference/Interpreter.h"
#include "Machine.h"
#include "Scalars.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "moe/Moe.h"
#include "llvm/ADT/ScopeExit.h"

using namespace llvm;
using namespace mlir;

namespace moe::reference {

//===----------------------------------------------------------------------===//
// Shapes
//===----------------------------------------------------------------------===//

LogicalResult emitNoModel(Operation *op, Attribute attribute,
                          StringRef interface) {
  return op->emitOpError("cannot be interpreted: ")
         << attribute << " has no reference model; its dialect has to "
         << "implement or attach moe::reference::" << interface;
}

std::string formatShape(ArrayRef<int64_t> shape) {
  std::string text = "[";
  raw_string_ostream os(text);
  interleave(
      shape, os,
      [&](int64_t size) {
        if (ShapedType::isDynamic(size))
          os << '?';
        else
          os << size;
      },
      "x");
  os << ']';
  return text;
}

LogicalResult checkShape(Operation *op, Type type, ArrayRef<int64_t> shape,
                         StringRef what) {
  auto shaped = cast<ShapedType>(type);
  bool fits = shaped.getRank() == static_cast<int64_t>(shape.size());
  for (size_t i = 0; fits && i < shape.size(); ++i)
    fits = shaped.isDynamicDim(i) || shaped.getDimSize(i) == shape[i];
  if (fits)
    return success();
  return op->emitError() << what << " has shape " << formatShape(shape)
                         << ", which is no " << type;
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

FailureOr<MutableArrayPtr> Machine::allocateAs(Operation *op, DType dtype,
                                               ArrayRef<int64_t> shape) {
  std::vector<int64_t> sizes(shape.begin(), shape.end());
  int64_t bytes = 0;
  if (!checkedByteSize(sizes, dtypeSize(dtype), bytes))
    return op->emitOpError("has a result of shape ")
           << formatShape(shape) << ", which is no valid size";
  auto array = std::make_shared<HostTensor>(HostTensor::allocate(dtype, sizes));
  if (!array->data && bytes > 0)
    return op->emitOpError("needs ")
           << bytes << " bytes of memory for a result of shape "
           << formatShape(shape) << ", which are not to be had";
  return array;
}

FailureOr<MutableArrayPtr> Machine::allocate(Operation *op, Type type,
                                             ArrayRef<int64_t> shape) {
  Type element = getElementTypeOrSelf(type);
  if (!element.isIntOrIndexOrFloat() || integerWidth(element) > 64)
    return op->emitOpError("has elements of type ")
           << element
           << "; the interpreter knows floats, index and integers of up to 64 "
              "bits";
  return allocateAs(op, isFloatLike(element) ? DType::F64 : DType::I64, shape);
}

FailureOr<MutableArrayPtr> Machine::allocateLike(Operation *op,
                                                 const HostTensor &like,
                                                 ArrayRef<int64_t> shape) {
  return allocateAs(op, like.dtype, shape);
}

FailureOr<MutableArrayPtr> Machine::copyOf(Operation *op,
                                           const HostTensor &array) {
  bool isFloats = moe::isFloat(array.dtype);
  FailureOr<MutableArrayPtr> copy =
      allocateAs(op, isFloats ? DType::F64 : DType::I64, array.shape);
  if (failed(copy))
    return failure();
  int64_t count = array.numElements();
  if (isFloats)
    loadFloats(array, 0, count, (*copy)->dataAs<double>());
  else
    for (int64_t i = 0; i < count; ++i)
      storeElement(**copy, i, loadElement(array, i));
  return copy;
}

void Machine::round(HostTensor &array, Type type, double units) {
  if (!rounding.isOn() || array.dtype != DType::F64)
    return;
  NumberFormat format = NumberFormat::get(type);
  double *data = array.dataAs<double>();
  for (int64_t i = 0, e = array.numElements(); i < e; ++i)
    data[i] = rounding.round(data[i], format, units);
}

/// The storage type of the elements of constants that are read in place.
static std::optional<DType> storageType(Type element) {
  if (element.isInteger(1))
    return std::nullopt;
  return dtypeOf(element);
}

static double toDouble(APFloat value) {
  bool losesInfo;
  value.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven,
                &losesInfo);
  return value.convertToDouble();
}

static int64_t toInt(const APInt &value) {
  return value.getBitWidth() == 1 ? value.getZExtValue() : value.getSExtValue();
}

FailureOr<ArrayPtr> Machine::constant(Operation *op, ElementsAttr elements) {
  if (auto it = constants.find(op); it != constants.end())
    return it->second;
  ShapedType type = elements.getShapedType();
  std::optional<DType> dtype = storageType(type.getElementType());

  // Large constants stay where the context has them.
  ArrayRef<char> raw;
  if (auto resource = dyn_cast<DenseResourceElementsAttr>(elements)) {
    AsmResourceBlob *blob = resource.getRawHandle().getBlob();
    if (!blob)
      return op->emitOpError("has no data for its resource '")
             << resource.getRawHandle().getKey() << "'";
    raw = blob->getData();
    if (!dtype || static_cast<int64_t>(raw.size()) !=
                      type.getNumElements() * int64_t(dtypeSize(*dtype)))
      return op->emitOpError("has a resource of ")
             << raw.size() << " bytes, which is no " << type
             << " that the interpreter can read";
  } else if (auto dense = dyn_cast<DenseElementsAttr>(elements)) {
    if (dtype && !dense.isSplat())
      raw = dense.getRawData();
  } else {
    return op->emitOpError("has a constant that is neither dense nor a dense "
                           "resource; the interpreter reads only these");
  }
  if (!raw.empty()) {
    HostTensor storage;
    storage.dtype = *dtype;
    storage.data = const_cast<char *>(raw.data());
    return constants[op] = viewOf(storage, 0, type.getShape());
  }

  FailureOr<MutableArrayPtr> array = allocate(op, type, type.getShape());
  if (failed(array))
    return failure();
  if (auto dense = dyn_cast<DenseElementsAttr>(elements)) {
    int64_t i = 0;
    if (isFloatLike(type))
      for (APFloat value : dense.getValues<APFloat>())
        storeElement(**array, i++, makeFloat(toDouble(value)));
    else
      for (APInt value : dense.getValues<APInt>())
        storeElement(**array, i++, makeInt(toInt(value)));
  }
  return constants[op] = *array;
}

//===----------------------------------------------------------------------===//
// Execution
//===----------------------------------------------------------------------===//

void Machine::setRouting(Value value, Routing routing) {
  routing.finish();
  if (options.routerHook)
    options.routerHook->onRouting(value, {routing.tokens, routing.experts,
                                          routing.slots, routing.expertOf,
                                          routing.weightOf});
  set(value, RoutingPtr(std::make_shared<Routing>(std::move(routing))));
}

int64_t Machine::getInt(OpFoldResult value) const {
  if (auto attribute = dyn_cast<Attribute>(value))
    return cast<IntegerAttr>(attribute).getInt();
  return getInt(cast<Value>(value));
}

SmallVector<int64_t> Machine::getInts(ArrayRef<OpFoldResult> list) const {
  return map_to_vector(list, [&](OpFoldResult v) { return getInt(v); });
}

SmallVector<int64_t> Machine::getInts(ValueRange list) const {
  return map_to_vector(list, [&](Value v) { return getInt(v); });
}

static LogicalResult executeConstant(Machine &machine, arith::ConstantOp op) {
  if (auto value = dyn_cast<FloatAttr>(op.getValue())) {
    machine.set(op.getResult(), makeFloat(toDouble(value.getValue())));
    return success();
  }
  if (auto value = dyn_cast<IntegerAttr>(op.getValue())) {
    machine.set(op.getResult(), makeInt(toInt(value.getValue())));
    return success();
  }
  auto elements = dyn_cast<ElementsAttr>(op.getValue());
  if (!elements)
    return op.emitOpError("is of no kind that the interpreter knows");
  FailureOr<ArrayPtr> array = machine.constant(op, elements);
  if (failed(array))
    return failure();
  machine.set(op.getResult(), *array);
  return success();
}

LogicalResult Machine::execute(Operation *op) {
  if (const HandlerTable::Handler *handler =
          table.find(op->getName().getStringRef()))
    return (*handler)(*this, op);
  if (std::optional<ScalarOp> scalarOp = ScalarOp::get(op))
    return executeElementwise(*this, op, *scalarOp);
  if (isa<linalg::LinalgOp>(op))
    return executeLinalg(*this, op);
  return op->emitOpError(
      "is not interpreted; supported are moe.*, func.call, "
      "cf.{br,cond_br,assert}, arith.* and math.* with one result, "
      "affine.{apply,min,max}, "
      "scf.{if,for,while,execute_region,index_switch}, structured ops, "
      "softmax, pack and unpack of linalg on tensors, and the ops of tensor "
      "and vector that make, take apart and reshape values");
}

FailureOr<SmallVector<Datum>> Machine::run(Region &region,
                                           ArrayRef<Datum> arguments) {
  Block *block = &region.front();
  SmallVector<Datum> given(arguments);
  while (true) {
    for (auto [argument, datum] : zip_equal(block->getArguments(), given))
      set(argument, datum);
    Operation *terminator = nullptr;
    for (Operation &op : *block) {
      if (op.hasTrait<OpTrait::IsTerminator>()) {
        terminator = &op;
        break;
      }
      if (failed(execute(&op)))
        return failure();
    }
    auto read = [&](ValueRange values) {
      return map_to_vector(values,
                           [&](Value value) { return Datum(get(value)); });
    };
    if (!terminator)
      return SmallVector<Datum>();
    if (terminator->getNumSuccessors() == 0)
      return read(terminator->getOperands());
    if (auto branch = dyn_cast<cf::BranchOp>(terminator)) {
      given = read(branch.getDestOperands());
      block = branch.getDest();
    } else if (auto branch = dyn_cast<cf::CondBranchOp>(terminator)) {
      bool taken = getInt(branch.getCondition());
      given = read(taken ? branch.getTrueDestOperands()
                         : branch.getFalseDestOperands());
      block = taken ? branch.getTrueDest() : branch.getFalseDest();
    } else {
      return terminator->emitOpError(
          "is a branch that the interpreter does not follow; it knows cf.br "
          "and cf.cond_br");
    }
  }
}

FailureOr<SmallVector<Datum>>
Machine::call(func::FuncOp func, ArrayRef<Datum> arguments, Location where) {
  if (func.isDeclaration())
    return emitError(where) << "calls @" << func.getSymName()
                            << ", which has no body to interpret";
  if (callDepth == 128)
    return emitError(where) << "calls @" << func.getSymName()
                            << " in a recursion deeper than 128";
  ++callDepth;
  llvm::DenseMap<Value, Datum> saved;
  std::swap(saved, values);
  scope_exit restore([&] {
    std::swap(saved, values);
    --callDepth;
  });
  if (options.progress)
    func.walk([&](moe::ExpertOp op) {
      if (unsigned groups = op.getNumGroups())
        knownExperts += op.getGroupEnd(groups - 1);
    });
  return run(func.getBody(), arguments);
}

static const HandlerTable &handlerTable() {
  static const HandlerTable table = [] {
    HandlerTable table;
    table.add<arith::ConstantOp>(executeConstant);
    addControlFlow(table);
    addTensorOps(table);
    addVectorOps(table);
    addLinalgOps(table);
    addMoeOps(table);
    addExpertOps(table);
    addCapacityOps(table);
    addSimilarityOp(table);
    addBalanceOp(table);
    addDequantizeOp(table);
    return table;
  }();
  return table;
}

//===----------------------------------------------------------------------===//
// Entry point
//===----------------------------------------------------------------------===//

/// Whether elements of `dtype` can stand for an argument of type `element`.
static bool represents(DType dtype, Type element) {
  if (isa<FloatType>(element))
    return moe::isFloat(dtype);
  if (element.isIndex())
    return dtype == DType::I64;
  switch (dtype) {
  case DType::I64:
    return element.isInteger(64);
  case DType::I32:
    return element.isInteger(32);
  case DType::I8:
  case DType::U8:
    return element.isInteger(8);
  case DType::I1:
    return element.isInteger(1);
  default:
    return false;
  }
}

static std::string describeArgument(func::FuncOp func, unsigned index) {
  if (auto name = func.getArgAttrOfType<StringAttr>(index, "moe.name"))
    return ("argument '" + name.getValue() + "'").str();
  return ("argument #" + Twine(index)).str();
}

/// Checks one argument against its type, and its dynamic sizes against those
/// that have the same name.
static LogicalResult checkArgument(func::FuncOp func, unsigned index,
                                   const HostTensor &argument,
                                   StringMap<int64_t> &namedSizes) {
  Type type = func.getArgumentTypes()[index];
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor && !type.isIntOrIndexOrFloat())
    return func.emitError()
           << describeArgument(func, index) << " has type " << type
           << "; the interpreter takes ranked tensors, "
              "floats, integers and index";
  Type element = getElementTypeOrSelf(type);
  if (!represents(argument.dtype, element))
    return func.emitError() << describeArgument(func, index) << " has type "
                            << type << " and was given " << argument.describe();
  if (!tensor) {
    if (argument.numElements() != 1)
      return func.emitError()
             << describeArgument(func, index) << " has type " << type
             << " and was given " << argument.describe();
    return success();
  }
  if (failed(checkShape(func, tensor, argument.shape,
                        describeArgument(func, index))))
    return failure();

  auto dims = func.getArgAttrOfType<ArrayAttr>(index, "moe.dims");
  if (!dims)
    return success();
  unsigned next = 0;
  for (int64_t d = 0; d < tensor.getRank() && next < dims.size(); ++d) {
    if (!tensor.isDynamicDim(d))
      continue;
    auto name = dyn_cast<StringAttr>(dims[next++]);
    if (!name)
      continue;
    auto [it, isNew] =
        namedSizes.try_emplace(name.getValue(), argument.shape[d]);
    if (!isNew && it->second != argument.shape[d])
      return func.emitError()
             << describeArgument(func, index) << " has size "
             << argument.shape[d] << " where '" << name.getValue()
             << "' is already " << it->second;
  }
  return success();
}

/// The type of integers that a result is returned in.
static DType resultType(Type element) {
  if (element.isInteger(1))
    return DType::I1;
  if (element.isInteger(8))
    return DType::I8;
  if (element.isInteger(32))
    return DType::I32;
  return DType::I64;
}

static HostTensor makeResult(const Datum &datum, Type type) {
  bool isFloats = isFloatLike(type);
  DType dtype = isFloats ? DType::F64 : resultType(getElementTypeOrSelf(type));
  std::vector<int64_t> shape;
  if (datum.array)
    shape = datum.array->shape;
  HostTensor result = HostTensor::allocate(dtype, shape);
  for (int64_t i = 0, e = result.numElements(); i < e; ++i) {
    Scalar value = datum.array ? loadElement(*datum.array, i) : datum.scalar;
    switch (dtype) {
    case DType::F64:
      result.dataAs<double>()[i] = value.f;
      break;
    case DType::I1:
      result.dataAs<uint8_t>()[i] = value.i != 0;
      break;
    case DType::I8:
      result.dataAs<int8_t>()[i] = static_cast<int8_t>(value.i);
      break;
    case DType::I32:
      result.dataAs<int32_t>()[i] = static_cast<int32_t>(value.i);
      break;
    default:
      result.dataAs<int64_t>()[i] = value.i;
    }
  }
  return result;
}

void registerModelDialects(DialectRegistry &registry) {
  registry.insert<MoeDialect, affine::AffineDialect, arith::ArithDialect,
                  cf::ControlFlowDialect, func::FuncDialect,
                  linalg::LinalgDialect, math::MathDialect, scf::SCFDialect,
                  tensor::TensorDialect, vector::VectorDialect>();
}

FailureOr<std::vector<HostTensor>> interpret(func::FuncOp func,
                                             ArrayRef<HostTensor> args,
                                             const Options &options) {
  if (args.size() != func.getNumArguments())
    return func.emitOpError() << "takes " << func.getNumArguments()
                              << " arguments and was given " << args.size();
  StringMap<int64_t> namedSizes;
  SmallVector<Datum> arguments;
  for (auto [i, argument] : enumerate(args)) {
    if (failed(checkArgument(func, i, argument, namedSizes)))
      return failure();
    if (isa<ShapedType>(func.getArgumentTypes()[i]))
      arguments.push_back(viewOf(argument, 0, argument.shape));
    else
      arguments.push_back(loadElement(argument, 0));
  }
  for (Type type : func.getResultTypes())
    if (!isa<RankedTensorType>(type) && !type.isIntOrIndexOrFloat())
      return func.emitOpError()
             << "returns a " << type
             << "; the interpreter returns ranked tensors and numbers (take a "
                "routing apart with moe.routing.indices and .weights)";

  Machine machine(handlerTable(), options);
  FailureOr<SmallVector<Datum>> returned =
      machine.call(func, arguments, func.getLoc());
  if (failed(returned))
    return failure();
  std::vector<HostTensor> results;
  for (auto [i, datum] : enumerate(*returned)) {
    Type type = func.getResultTypes()[i];
    if (datum.array && failed(checkShape(func, type, datum.array->shape,
                                         ("result #" + Twine(i)).str())))
      return failure();
    results.push_back(makeResult(datum, type));
    if (auto name = func.getResultAttrOfType<StringAttr>(i, "moe.name"))
      results.back().name = name.str();
  }
  return results;
}

} // namespace moe::reference
