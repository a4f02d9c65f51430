//===- moe-interpret.cpp - Run model IR in float64 --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The interpreter as a tool: functions of an .mlir file on tensors from files
// or on random ones, results to a file or compared with one.
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/AsmState.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Support/FileUtilities.h"
#include "moe-mlir/Reference/Interpreter.h"
#include "moe-mlir/Support/Random.h"
#include "moe-mlir/Support/TensorIO.h"
#include "moe-mlir/Tool/ToolProcess.h"
#include "moe/Moe.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/SourceMgr.h"
#include <cmath>

using namespace llvm;
using namespace mlir;
using moe::DType;
using moe::HostTensor;

static cl::OptionCategory category("moe-interpret options");
static cl::opt<std::string> inputFile(cl::Positional, cl::desc("<file.mlir>"),
                                      cl::init("-"), cl::cat(category));
static cl::opt<std::string>
    entry("entry", cl::desc("Function to run (default: the only public one)"),
          cl::cat(category));
static cl::opt<bool>
    all("all", cl::desc("Run every public function that takes no arguments"),
        cl::cat(category));
static cl::list<std::string>
    inputs("inputs", cl::CommaSeparated,
           cl::desc("Files (.safetensors, .npy) with the arguments, matched by "
                    "moe.name, or by arg0, arg1, ..."),
           cl::cat(category));
static cl::opt<std::string>
    output("o", cl::desc("Write the results to this .safetensors file"),
           cl::cat(category));
static cl::opt<std::string>
    expect("expect",
           cl::desc("Compare the results with those in this file, matched by "
                    "moe.name, or by result0, result1, ..."),
           cl::cat(category));
static cl::opt<double>
    tolerance("tolerance", cl::init(1e-9), cl::cat(category),
              cl::desc("Largest |result - expected| / max(1, |expected|) "
                       "(default 1e-9)"));
static cl::opt<int64_t>
    randomSeed("random", cl::init(-1), cl::cat(category),
               cl::desc("Make the arguments that no file has from this seed"));
static cl::list<std::string>
    sizes("sizes", cl::CommaSeparated, cl::cat(category),
          cl::desc("Sizes of dynamic dimensions for --random, as T=16"));
static cl::opt<bool> print("print", cl::desc("Print the results"),
                           cl::cat(category));
static cl::opt<unsigned> threads("num-threads", cl::init(0), cl::cat(category),
                                 cl::desc("Threads (default: one per CPU)"));

static LogicalResult fail(const Twine &message) {
  errs() << "moe-interpret: error: " << message << "\n";
  return failure();
}

//===----------------------------------------------------------------------===//
// Arguments
//===----------------------------------------------------------------------===//

using TensorMap = StringMap<HostTensor>;

static LogicalResult readAll(ArrayRef<std::string> files, TensorMap &tensors) {
  for (const std::string &file : files) {
    std::vector<HostTensor> read;
    std::string error;
    if (!moe::readTensors(file, read, error))
      return fail(error);
    for (HostTensor &tensor : read) {
      std::string name = tensor.name;
      if (!tensors.try_emplace(name, tensor).second)
        return fail("tensor '" + name + "' is in the input files twice");
    }
  }
  return success();
}

static std::string argumentName(func::FuncOp func, unsigned i) {
  if (auto name = func.getArgAttrOfType<StringAttr>(i, "moe.name"))
    return name.str();
  return ("arg" + Twine(i)).str();
}

static std::string resultName(func::FuncOp func, unsigned i) {
  if (auto name = func.getResultAttrOfType<StringAttr>(i, "moe.name"))
    return name.str();
  return ("result" + Twine(i)).str();
}

static FailureOr<DType> dtypeOf(Type element) {
  DType dtype;
  std::string name;
  raw_string_ostream(name) << element;
  if (element.isIndex())
    return DType::I64;
  if (!moe::parseDType(name, dtype))
    return failure();
  return dtype;
}

/// An argument from the seed; sizes without a number on the command line are
/// errors.
static FailureOr<HostTensor> makeRandom(func::FuncOp func, unsigned i) {
  std::string name = argumentName(func, i);
  Type type = func.getArgumentTypes()[i];
  FailureOr<DType> dtype = dtypeOf(getElementTypeOrSelf(type));
  if (failed(dtype)) {
    (void)fail("cannot make a random '" + Twine(name) + "' of its type");
    return failure();
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
        for (StringRef given : sizes) {
          auto [sizeName, number] = given.split('=');
          if (sizeName == key && number.getAsInteger(10, size)) {
            (void)fail("'" + Twine(number) + "' in --sizes is no number");
            return failure();
          }
        }
        if (ShapedType::isDynamic(size)) {
          (void)fail("size '" + Twine(key) + "' of '" + name +
                     "' is not known; give it with --sizes=" + key + "=N");
          return failure();
        }
      }
      shape.push_back(size);
    }
  }
  HostTensor tensor = HostTensor::allocate(*dtype, shape, name);
  if (!tensor.data && tensor.numElements() > 0) {
    (void)fail("no memory for '" + Twine(name) + "'");
    return failure();
  }
  auto ranked = dyn_cast<RankedTensorType>(type);
  bool isActivation = !ranked || !ranked.hasStaticShape();
  moe::fillRandom(tensor, randomSeed,
                  moe::randomRange(name, *dtype, shape, isActivation));
  return tensor;
}

//===----------------------------------------------------------------------===//
// Results
//===----------------------------------------------------------------------===//

static void printTensor(StringRef function, StringRef name,
                        const HostTensor &tensor) {
  outs() << function << " " << name << ": " << tensor.describe() << " [";
  int64_t count = tensor.numElements();
  bool isFloat = moe::isFloat(tensor.dtype);
  for (int64_t i = 0; i < count; ++i) {
    outs() << (i ? ", " : "");
    double value = tensor.get(i);
    if (tensor.dtype == DType::I64)
      outs() << tensor.dataAs<int64_t>()[i];
    else if (!isFloat)
      outs() << static_cast<int64_t>(value);
    else if (std::isnan(value))
      outs() << "nan";
    else
      outs() << format("%.10g", value);
  }
  outs() << "]\n";
}

/// Compares and reports; integers have to be equal.
static LogicalResult compare(const HostTensor &result,
                             const HostTensor &expected) {
  if (result.shape != expected.shape)
    return fail("'" + result.name + "' is " + result.describe() +
                ", expected " + expected.describe());
  double largest = 0;
  int64_t where = -1;
  for (int64_t i = 0, e = result.numElements(); i < e; ++i) {
    double a = result.get(i), b = expected.get(i);
    double error;
    if (std::isnan(a) || std::isnan(b))
      error = std::isnan(a) && std::isnan(b) ? 0 : INFINITY;
    else if (a == b)
      error = 0;
    else
      error = std::fabs(a - b) / std::max(1.0, std::fabs(b));
    // An infinity less another is NaN: as wrong as can be.
    if (std::isnan(error))
      error = INFINITY;
    if (error > largest) {
      largest = error;
      where = i;
    }
  }
  double limit = moe::isFloat(result.dtype) ? tolerance : 0.0;
  bool good = largest <= limit;
  outs() << result.name << ": max error " << format("%.3g", largest)
         << (good ? " ok" : " WRONG") << "\n";
  if (!good)
    return fail(
        "'" + result.name + "' differs at element " + Twine(where) + ": " +
        formatv("{0}, expected {1}", result.get(where), expected.get(where)));
  return success();
}

static LogicalResult runFunction(func::FuncOp func, const TensorMap &tensors) {
  std::vector<HostTensor> arguments;
  for (unsigned i = 0; i < func.getNumArguments(); ++i) {
    std::string name = argumentName(func, i);
    auto it = tensors.find(name);
    if (it != tensors.end()) {
      arguments.push_back(it->second);
      continue;
    }
    if (randomSeed < 0)
      return fail("no input has a tensor '" + Twine(name) +
                  "'; give it with --inputs, or --random=SEED");
    FailureOr<HostTensor> made = makeRandom(func, i);
    if (failed(made))
      return failure();
    arguments.push_back(*made);
  }
  moe::reference::Options options;
  options.numThreads = threads;
  auto results = moe::reference::interpret(func, arguments, options);
  if (failed(results))
    return failure();
  for (auto [i, result] : enumerate(*results)) {
    result.name = resultName(func, i);
    if (print)
      printTensor(func.getSymName(), result.name, result);
  }
  std::string error;
  if (!output.empty()) {
    moe::OutputSet outputs;
    if (!moe::writeSafetensors(outputs, output, *results, error) ||
        !outputs.commit(error))
      return fail(error);
  }
  if (expect.empty())
    return success();

  TensorMap expected;
  if (failed(readAll({expect}, expected)))
    return failure();
  bool good = true;
  for (const HostTensor &result : *results) {
    auto it = expected.find(result.name);
    if (it == expected.end())
      return fail("'" + expect + "' has no tensor '" + result.name + "'");
    good &= succeeded(compare(result, it->second));
  }
  return success(good);
}

int main(int argc, char **argv) {
  moe::ToolProcess process(argc, argv, "moe-interpret");
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(argc, argv,
                              "Runs model IR in float64, as defined\n");

  DialectRegistry registry;
  registry
      .insert<moe::MoeDialect, affine::AffineDialect, arith::ArithDialect,
              func::FuncDialect, linalg::LinalgDialect, math::MathDialect,
              scf::SCFDialect, tensor::TensorDialect, vector::VectorDialect>();
  moe::reference::registerReferenceModels(registry);
  MLIRContext context(registry);

  std::string error;
  auto file = openInputFile(inputFile, &error);
  if (!file) {
    (void)fail(error);
    return 1;
  }
  SourceMgr sources;
  sources.AddNewSourceBuffer(std::move(file), SMLoc());
  SourceMgrDiagnosticHandler handler(sources, &context);
  OwningOpRef<ModuleOp> module = parseSourceFile<ModuleOp>(sources, &context);
  if (!module)
    return 1;

  TensorMap tensors;
  if (failed(readAll(inputs, tensors)))
    return 1;
  SmallVector<func::FuncOp> functions;
  for (auto func : module->getOps<func::FuncOp>()) {
    if (entry.empty() ? !func.isPublic() || func.isDeclaration()
                      : func.getSymName() != entry)
      continue;
    if (!all || func.getNumArguments() == 0)
      functions.push_back(func);
  }
  if (functions.empty()) {
    (void)fail("no function to run in '" + inputFile + "'" +
               (entry.empty() ? "" : ": it has no @" + entry));
    return 1;
  }
  if (functions.size() > 1 && !all) {
    (void)fail("'" + inputFile +
               "' has several public functions; choose one "
               "with --entry, or --all");
    return 1;
  }
  if (functions.size() > 1 && !output.empty()) {
    (void)fail("-o is for the results of one function; name it with --entry");
    return 1;
  }
  bool good = true;
  for (func::FuncOp func : functions)
    good &= succeeded(runFunction(func, tensors));
  return good ? 0 : 1;
}
