//===- NameArguments.cpp - Entry points that others can call -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Raise/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/Interfaces/ValueBoundsOpInterface.h"
#include "llvm/ADT/StringSet.h"

namespace moe {
#define GEN_PASS_DEF_NAMEARGUMENTS
#include "moe-mlir/Raise/Passes.h.inc"
} // namespace moe

using namespace mlir;

/// The name that a program gave to a value, which is in its location.
static StringRef findName(Location loc) {
  if (auto name = dyn_cast<NameLoc>(loc))
    return name.getName().getValue();
  return {};
}

static bool hasDims(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && !tensor.hasStaticShape();
}

static void nameAll(func::FuncOp func) {
  Builder b(func.getContext());
  llvm::StringSet<> names, dims;
  unsigned numDims = 0;
  auto collect = [&](Type type, StringAttr name, ArrayAttr own) {
    if (name)
      names.insert(name.getValue());
    if (own)
      for (auto dim : own.getAsRange<StringAttr>())
        dims.insert(dim.getValue());
    else if (hasDims(type))
      numDims += cast<RankedTensorType>(type).getNumDynamicDims();
  };
  for (unsigned i = 0; i < func.getNumArguments(); ++i)
    collect(func.getArgument(i).getType(),
            func.getArgAttrOfType<StringAttr>(i, "moe.name"),
            func.getArgAttrOfType<ArrayAttr>(i, "moe.dims"));
  for (unsigned i = 0; i < func.getNumResults(); ++i)
    if (auto name = func.getResultAttrOfType<StringAttr>(i, "moe.name"))
      names.insert(name.getValue());

  auto fresh = [](llvm::StringSet<> &taken, std::string wanted) {
    std::string name = wanted;
    for (unsigned n = 1; !taken.insert(name).second; ++n)
      name = wanted + "_" + std::to_string(n);
    return name;
  };
  unsigned nextDim = 0;
  for (BlockArgument argument : func.getArguments()) {
    unsigned i = argument.getArgNumber();
    if (!func.getArgAttr(i, "moe.name")) {
      StringRef name = findName(argument.getLoc());
      func.setArgAttr(
          i, "moe.name",
          b.getStringAttr(fresh(names, name.empty() ? "arg" + std::to_string(i)
                                                    : name.str())));
    }
    if (!hasDims(argument.getType()) || func.getArgAttr(i, "moe.dims"))
      continue;
    SmallVector<Attribute> own;
    for (int64_t size : cast<RankedTensorType>(argument.getType()).getShape())
      if (ShapedType::isDynamic(size))
        own.push_back(b.getStringAttr(
            fresh(dims, numDims == 1 ? "T" : "D" + std::to_string(nextDim++))));
    func.setArgAttr(i, "moe.dims", b.getArrayAttr(own));
  }
  for (unsigned i = 0; i < func.getNumResults(); ++i)
    if (!func.getResultAttr(i, "moe.name"))
      func.setResultAttr(
          i, "moe.name",
          b.getStringAttr(fresh(names, func.getNumResults() == 1
                                           ? "y"
                                           : "y" + std::to_string(i))));
}

/// The name of the size of an argument that dimension `dim` of `value` is;
/// empty if it is none of them, or that is not provable.
static StringAttr findSize(func::FuncOp func, Value value, int64_t dim) {
  for (BlockArgument argument : func.getArguments()) {
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    auto names =
        func.getArgAttrOfType<ArrayAttr>(argument.getArgNumber(), "moe.dims");
    if (!type || !names)
      continue;
    unsigned next = 0;
    for (auto [d, size] : llvm::enumerate(type.getShape())) {
      if (!ShapedType::isDynamic(size))
        continue;
      auto name = dyn_cast<StringAttr>(names[next++]);
      FailureOr<bool> isSame = ValueBoundsConstraintSet::areEqual(
          {value, dim}, {argument, static_cast<int64_t>(d)});
      if (succeeded(isSame) && *isSame)
        return name;
      if (next == names.size())
        break;
    }
  }
  return {};
}

/// Names the sizes of results: by those of arguments that they are.
static void nameResultSizes(func::FuncOp func) {
  Builder b(func.getContext());
  Operation *end = func.getBody().back().getTerminator();
  for (unsigned i = 0; i < func.getNumResults(); ++i) {
    Type type = func.getResultTypes()[i];
    if (!hasDims(type) || func.getResultAttr(i, "moe.dims") ||
        end->getNumOperands() != func.getNumResults())
      continue;
    SmallVector<Attribute> names;
    for (auto [d, size] :
         llvm::enumerate(cast<RankedTensorType>(type).getShape())) {
      if (!ShapedType::isDynamic(size))
        continue;
      StringAttr name = findSize(func, end->getOperand(i), d);
      names.push_back(name ? name
                           : b.getStringAttr("y" + std::to_string(i) + "_d" +
                                             std::to_string(d)));
    }
    func.setResultAttr(i, "moe.dims", b.getArrayAttr(names));
  }
}

namespace {
struct NameArguments : moe::impl::NameArgumentsBase<NameArguments> {
  void runOnOperation() override {
    for (auto func : getOperation().getOps<func::FuncOp>())
      if (!func.isExternal() && !func.isPrivate()) {
        nameAll(func);
        nameResultSizes(func);
      }
  }
};
} // namespace
