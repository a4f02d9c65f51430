//===- EntryPoints.cpp - What an entry function's interface is --*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Reads the roles of arguments and the names of sizes from attributes.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Lowering/EntryPoints.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;

bool moe::isEntryFunction(func::FuncOp function) {
  return function.isPublic() && !function.isExternal();
}

StringAttr moe::getEntryName(func::FuncOp function) {
  auto name = function->getAttrOfType<StringAttr>(kEntryAttr);
  return name ? name : function.getSymNameAttr();
}

StringRef moe::getArgumentRole(func::FuncOp function, unsigned index) {
  auto role = function.getArgAttrOfType<StringAttr>(index, kRoleAttr);
  return role ? role.getValue() : StringRef();
}

StringRef moe::getSizeName(func::FuncOp function, unsigned index) {
  auto names = function.getArgAttrOfType<ArrayAttr>(index, kDimsAttr);
  if (getArgumentRole(function, index) != kSizeRole || !names)
    return {};
  return cast<StringAttr>(names[0]).getValue();
}

std::map<std::string, int64_t> moe::getAllSizes(func::FuncOp function,
                                                int64_t value) {
  std::map<std::string, int64_t> sizes;
  for (BlockArgument argument : function.getArguments())
    if (auto names = function.getArgAttrOfType<ArrayAttr>(
            argument.getArgNumber(), kDimsAttr))
      for (auto name : names.getAsRange<StringAttr>())
        sizes[name.str()] = value;
  return sizes;
}

std::optional<unsigned> moe::findArgument(func::FuncOp function,
                                          StringRef role) {
  for (unsigned i = 0, e = function.getNumArguments(); i != e; ++i)
    if (getArgumentRole(function, i) == role)
      return i;
  return std::nullopt;
}

Value moe::getOrAddRuntimeArgument(func::FuncOp function) {
  if (auto index = findArgument(function, kRuntimeRole))
    return function.getArgument(*index);
  MLIRContext *context = function.getContext();
  auto attrs = DictionaryAttr::get(
      context, NamedAttribute(StringAttr::get(context, kRoleAttr),
                              StringAttr::get(context, kRuntimeRole)));
  // Cannot fail: a function type takes any argument.
  (void)function.insertArgument(0, LLVM::LLVMPointerType::get(context), attrs,
                                function.getLoc());
  return function.getArgument(0);
}

unsigned moe::EntrySizes::intern(StringRef name) {
  auto it = llvm::find(sizeNames, name);
  if (it != sizeNames.end())
    return it - sizeNames.begin();
  sizeNames.push_back(name);
  return sizeNames.size() - 1;
}

FailureOr<moe::EntrySizes> moe::EntrySizes::get(func::FuncOp function) {
  EntrySizes sizes;
  auto visit = [&](Type type, ArrayAttr names, StringRef kind, unsigned index,
                   bool isArgument) -> LogicalResult {
    auto shaped = dyn_cast<ShapedType>(type);
    if (!shaped || !shaped.hasRank() || shaped.hasStaticShape())
      return success();
    unsigned next = 0;
    for (auto [dim, extent] : llvm::enumerate(shaped.getShape())) {
      if (!ShapedType::isDynamic(extent))
        continue;
      auto name = names && next < names.size()
                      ? dyn_cast<StringAttr>(names[next])
                      : StringAttr();
      ++next;
      if (!name)
        return function.emitError()
               << kind << " " << index << " has " << shaped.getNumDynamicDims()
               << " dynamic dimensions but `" << kDimsAttr << "` names "
               << (names ? names.size() : 0) << "; add " << kDimsAttr
               << " = [\"T\"] with one name for each";
      unsigned size = sizes.intern(name.getValue());
      if (isArgument)
        sizes.dims.emplace_back(index, dim, size);
    }
    return success();
  };
  for (unsigned i = 0, e = function.getNumArguments(); i != e; ++i) {
    if (getArgumentRole(function, i) == kWorkspaceRole)
      continue;
    if (failed(visit(function.getArgumentTypes()[i],
                     function.getArgAttrOfType<ArrayAttr>(i, kDimsAttr),
                     "argument", i, /*isArgument=*/true)))
      return failure();
  }
  for (unsigned i = 0, e = function.getNumResults(); i != e; ++i)
    if (failed(visit(function.getResultTypes()[i],
                     function.getResultAttrOfType<ArrayAttr>(i, kDimsAttr),
                     "result", i, /*isArgument=*/false)))
      return failure();
  return sizes;
}

std::optional<unsigned> moe::EntrySizes::lookup(unsigned argument,
                                                unsigned dim) const {
  for (auto [a, d, size] : dims)
    if (a == argument && d == dim)
      return size;
  return std::nullopt;
}

std::optional<std::pair<unsigned, unsigned>>
moe::EntrySizes::find(unsigned size) const {
  for (auto [a, d, s] : dims)
    if (s == size)
      return std::make_pair(a, d);
  return std::nullopt;
}
