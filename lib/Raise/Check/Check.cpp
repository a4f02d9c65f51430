//===- Check.cpp - Whether a raised function is still the same ---*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Raise/Check.h"

#include "moe-mlir/Reference/FunctionTensors.h"
#include "moe-mlir/Reference/Interpreter.h"
#include "moe/Moe.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/Support/Format.h"

using namespace mlir;
using namespace moe;

/// Both are computed in float64: they differ in the order of sums at most.
static constexpr double kTolerance = 1e-7;

/// The arguments whose rows layers dispatch, maybe after other ops.
static llvm::SetVector<unsigned> findTokens(func::FuncOp func) {
  llvm::SetVector<unsigned> arguments;
  func.walk([&](DispatchOp dispatch) {
    SmallVector<Value> open = {dispatch.getX()};
    llvm::SmallPtrSet<Operation *, 16> seen;
    while (!open.empty()) {
      Value value = open.pop_back_val();
      if (auto argument = dyn_cast<BlockArgument>(value)) {
        // Vectors and weights of layers in front are no tokens: of an op, its
        // first operand is what it works on.
        if (argument.getOwner() == &func.getBody().front())
          arguments.insert(argument.getArgNumber());
      } else if (Operation *op = value.getDefiningOp();
                 op->getNumOperands() && seen.insert(op).second) {
        open.push_back(op->getOperand(0));
      }
    }
  });
  return arguments;
}

namespace {
/// What tokens are made into.
struct Kind {
  const char *name;
  void (*change)(HostTensor &tokens);
};
} // namespace

static void keep(HostTensor &) {}

static void makeZero(HostTensor &tokens) {
  for (int64_t i = 0, e = tokens.numElements(); i < e; ++i)
    tokens.set(i, 0);
}

static void makeEqual(HostTensor &tokens) {
  int64_t width = tokens.shape.empty() ? 1 : tokens.shape.back();
  for (int64_t i = width, e = tokens.numElements(); i < e; ++i)
    tokens.set(i, tokens.get(i % width));
}

static void makeLarge(HostTensor &tokens) {
  for (int64_t i = 0, e = tokens.numElements(); i < e; ++i)
    tokens.set(i, tokens.get(i) * 1000);
}

static constexpr Kind kKinds[] = {{"random tokens", keep},
                                  {"tokens of zeros", makeZero},
                                  {"equal tokens", makeEqual},
                                  {"large tokens", makeLarge}};

/// Compares the results of both on the same arguments.
static bool compare(func::FuncOp original, func::FuncOp raised,
                    ArrayRef<HostTensor> arguments, StringRef what,
                    std::string &error) {
  auto before = reference::interpret(original, arguments);
  auto after = reference::interpret(raised, arguments);
  if (failed(before) || failed(after)) {
    error = ("'" + original.getName() + "' could not be interpreted" +
             (failed(before) ? " before it was raised" : ""))
                .str();
    return false;
  }
  for (auto [i, expected] : llvm::enumerate(*before)) {
    const HostTensor &result = (*after)[i];
    int64_t width = expected.shape.empty() ? 1 : expected.shape.back();
    if (result.shape != expected.shape) {
      error = "'" + original.getName().str() + "', result " +
              std::to_string(i) + ", has another shape than before";
      return false;
    }
    reference::Difference difference = reference::findDifference(
        result, expected, std::max<int64_t>(width, 1));
    if (difference.isWithin(kTolerance, result.dtype))
      continue;
    llvm::raw_string_ostream(error)
        << "'" << original.getName() << "' is not what it was: result " << i
        << " differs at element " << difference.element << " on " << what
        << ": "
        << llvm::format("%.10g, before %.10g", result.get(difference.element),
                        expected.get(difference.element));
    return false;
  }
  return true;
}

bool moe::checkRaise(ModuleOp original, ModuleOp raised, uint64_t seed,
                     std::string &error) {
  for (auto before : original.getOps<func::FuncOp>()) {
    auto after = raised.lookupSymbol<func::FuncOp>(before.getName());
    if (before.isExternal() || before.isPrivate() || !after)
      continue;
    llvm::SetVector<unsigned> tokens = findTokens(after);
    std::vector<std::string> dims;
    for (unsigned i = 0; i < before.getNumArguments(); ++i)
      if (auto own = before.getArgAttrOfType<ArrayAttr>(i, "moe.dims"))
        for (auto dim : own.getAsRange<StringAttr>())
          dims.push_back(dim.getValue().str());
    for (int64_t size : {7, 1, 33}) {
      std::map<std::string, int64_t> sizes;
      for (const std::string &dim : dims)
        sizes[dim] = size;
      for (const Kind &kind : kKinds) {
        std::vector<HostTensor> arguments;
        if (!reference::makeArguments(before, {}, seed, sizes, arguments,
                                      error))
          return false;
        for (unsigned i : tokens)
          if (isFloat(arguments[i].dtype))
            kind.change(arguments[i]);
        std::string what = kind.name;
        if (!dims.empty())
          what += ", sizes " + std::to_string(size);
        if (!compare(before, after, arguments, what, error))
          return false;
      }
      if (dims.empty())
        break;
    }
  }
  return true;
}
