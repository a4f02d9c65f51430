//===- PrepareEntryPoints.cpp - Check entry interfaces ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Rejects interfaces that no C function can have, at the function and before
// anything else runs, and fills in default names.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Lowering/EntryPoints.h"
#include "moe-mlir/Lowering/Passes.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"

namespace moe {
#define GEN_PASS_DEF_PREPAREENTRYPOINTSPASS
#include "moe-mlir/Lowering/Passes.h.inc"
} // namespace moe

using namespace mlir;

namespace {

bool isIdentifier(StringRef name) {
  return !name.empty() && !llvm::isDigit(name.front()) &&
         llvm::all_of(name,
                      [](char c) { return llvm::isAlnum(c) || c == '_'; });
}

bool isSupportedElement(Type type) {
  return type.isF64() || type.isF32() || type.isBF16() || type.isF16() ||
         type.isIndex() || type.isInteger(1) || type.isInteger(8) ||
         type.isInteger(32) || type.isInteger(64);
}

struct PrepareEntryPoints
    : moe::impl::PrepareEntryPointsPassBase<PrepareEntryPoints> {
  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (moe::isEntryFunction(function) && failed(prepare(function)))
        return signalPassFailure();
  }

  LogicalResult prepare(func::FuncOp function) {
    if (!isIdentifier(function.getName()))
      return function.emitError()
             << "entry functions become C functions, and '"
             << function.getName()
             << "' is no C identifier; use letters, digits and '_'";
    if (!llvm::hasSingleElement(function.getBody()))
      return function.emitError(
          "an entry function must be one block: use scf for control flow "
          "(--lift-cf-to-scf makes it of cf)");
    llvm::StringSet<> names;
    for (unsigned i = 0, e = function.getNumArguments(); i != e; ++i) {
      if (!moe::getArgumentRole(function, i).empty())
        continue;
      auto name = function.getArgAttrOfType<StringAttr>(i, moe::kNameAttr);
      if (!name) {
        name = StringAttr::get(&getContext(), "arg" + Twine(i));
        function.setArgAttr(i, moe::kNameAttr, name);
      }
      Type type = function.getArgumentTypes()[i];
      if (failed(check(function, type, name, "argument", names)) ||
          failed(checkPacked(function, i, type, name)))
        return failure();
      auto shaped = dyn_cast<ShapedType>(type);
      if (shaped && !shaped.hasStaticShape() &&
          !function.getArgAttr(i, moe::kDimsAttr)) {
        SmallVector<Attribute> dims;
        for (auto [d, extent] : llvm::enumerate(shaped.getShape()))
          if (ShapedType::isDynamic(extent))
            dims.push_back(StringAttr::get(&getContext(),
                                           "arg" + Twine(i) + "_d" + Twine(d)));
        function.setArgAttr(i, moe::kDimsAttr,
                            ArrayAttr::get(&getContext(), dims));
      }
      if (failed(checkDims(function, type,
                           function.getArgAttr(i, moe::kDimsAttr), "argument",
                           name)))
        return failure();
    }
    for (unsigned i = 0, e = function.getNumResults(); i != e; ++i) {
      auto name = function.getResultAttrOfType<StringAttr>(i, moe::kNameAttr);
      if (!name) {
        name = StringAttr::get(&getContext(), "result" + Twine(i));
        function.setResultAttr(i, moe::kNameAttr, name);
      }
      Type type = function.getResultTypes()[i];
      if (failed(check(function, type, name, "result", names)) ||
          failed(checkDims(function, type,
                           function.getResultAttr(i, moe::kDimsAttr), "result",
                           name)))
        return failure();
    }
    return success(succeeded(moe::EntrySizes::get(function)));
  }

  LogicalResult check(func::FuncOp function, Type type, StringAttr name,
                      StringRef kind, llvm::StringSet<> &names) {
    if (!names.insert(name.getValue()).second)
      return function.emitError() << "two arguments or results are named '"
                                  << name.getValue() << "'";
    Type element = type;
    if (auto shaped = dyn_cast<ShapedType>(type)) {
      if (!shaped.hasRank())
        return function.emitError()
               << kind << " '" << name.getValue() << "' has unranked type "
               << type << "; entry points need ranked tensors or memrefs";
      auto memref = dyn_cast<MemRefType>(type);
      if (memref && !memref.getLayout().isIdentity())
        return function.emitError()
               << kind << " '" << name.getValue() << "' has a layout in "
               << type << "; entry points take contiguous row-major buffers";
      element = shaped.getElementType();
    }
    if (!isSupportedElement(element))
      return function.emitError()
             << kind << " '" << name.getValue() << "' of type " << type
             << " cannot be passed through the C interface; element types are "
                "f64, f32, bf16, f16, i64, i32, i8, i1 and index";
    return success();
  }

  LogicalResult checkPacked(func::FuncOp function, unsigned index, Type type,
                            StringAttr name) {
    if (!function.getArgAttr(index, moe::kPackedAttr))
      return success();
    auto shaped = dyn_cast<ShapedType>(type);
    if (shaped && shaped.hasStaticShape() &&
        (shaped.getElementType().isF32() || shaped.getElementType().isBF16() ||
         shaped.getElementType().isF16()))
      return success();
    return function.emitError()
           << "argument '" << name.getValue() << "' of type " << type
           << " has `" << moe::kPackedAttr
           << "`; packed weights are static and of f32, bf16 or f16";
  }

  LogicalResult checkDims(func::FuncOp function, Type type, Attribute dims,
                          StringRef kind, StringAttr name) {
    if (!dims)
      return success();
    auto array = dyn_cast<ArrayAttr>(dims);
    auto shaped = dyn_cast<ShapedType>(type);
    if (!array || !shaped ||
        static_cast<int64_t>(array.size()) != shaped.getNumDynamicDims())
      return function.emitError()
             << "`" << moe::kDimsAttr << "` of " << kind << " '"
             << name.getValue()
             << "' must be an array with one name for each dynamic dimension "
                "of "
             << type;
    for (Attribute attr : array) {
      auto size = dyn_cast<StringAttr>(attr);
      if (!size || !isIdentifier(size.getValue()))
        return function.emitError() << "`" << moe::kDimsAttr << "` of " << kind
                                    << " '" << name.getValue() << "': " << attr
                                    << " is no C identifier in quotes";
    }
    return success();
  }
};

} // namespace
