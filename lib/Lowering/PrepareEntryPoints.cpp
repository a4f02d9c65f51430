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

#include "moe-mlir/Checkpoint/TensorExpression.h"
#include "moe-mlir/Lowering/CNames.h"
#include "moe-mlir/Lowering/EntryPoints.h"
#include "moe-mlir/Lowering/Passes.h"
#include "moe/Moe.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/JSON.h"

namespace moe {
#define GEN_PASS_DEF_PREPAREENTRYPOINTSPASS
#include "moe-mlir/Lowering/Passes.h.inc"
} // namespace moe

using namespace mlir;

namespace {

bool isSupportedElement(Type type) {
  return type.isF64() || type.isF32() || type.isBF16() || type.isF16() ||
         isa<Float8E4M3FNType>(type) || type.isIndex() ||
         type.isSignlessInteger(1) || type.isSignlessInteger(8) ||
         type.isSignlessInteger(32) || type.isSignlessInteger(64);
}

/// Whether a manifest can hold it, and a message.
bool isText(StringRef text) {
  return llvm::json::isUTF8(text) && !text.contains('\0');
}

/// Attributes with a meaning to other pipelines: how a function becomes one of
/// LLVM is decided here.
void dropAttributesOfLLVM(func::FuncOp function) {
  auto isLLVM = [](NamedAttribute attr) {
    return attr.getName().getValue().starts_with("llvm.");
  };
  for (NamedAttribute attr :
       llvm::to_vector(function->getDiscardableAttrDictionary()))
    if (isLLVM(attr))
      function->removeDiscardableAttr(attr.getName());
  for (unsigned i = 0, e = function.getNumArguments(); i != e; ++i)
    for (NamedAttribute attr :
         llvm::to_vector(function_interface_impl::getArgAttrs(function, i)))
      if (isLLVM(attr))
        function.removeArgAttr(i, attr.getName());
}

struct PrepareEntryPoints
    : moe::impl::PrepareEntryPointsPassBase<PrepareEntryPoints> {
  void runOnOperation() override {
    for (Operation &op : *getOperation().getBody())
      if (failed(checkSymbol(&op)))
        return signalPassFailure();
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      if (!function.isExternal())
        dropAttributesOfLLVM(function);
      if (moe::isEntryFunction(function) && failed(prepare(function)))
        return signalPassFailure();
    }
  }

  /// All code of an artifact is in the module itself.
  LogicalResult checkSymbol(Operation *op) {
    if (op->hasTrait<OpTrait::SymbolTable>())
      return op->emitOpError("within the module is not compiled; move its "
                             "functions to the outer module");
    auto function = dyn_cast<FunctionOpInterface>(op);
    if (function && function.isExternal() && !moe::getExternal(function) &&
        !SymbolTable::symbolKnownUseEmpty(function, getOperation()))
      return op->emitError() << "function '" << function.getName()
                             << "' is called but only declared; an artifact "
                                "holds all that it runs, so give it a body, "
                                "or declare a C function of experts with "
                                "moe.external";
    return success();
  }

  /// What an artifact says of its weights has to mean something to who packs
  /// them.
  static LogicalResult checkExpressions(func::FuncOp function) {
    auto weights = function->getAttrOfType<DictionaryAttr>(moe::kCheckpointAttr);
    for (NamedAttribute weight : weights ? weights.getValue()
                                         : ArrayRef<NamedAttribute>()) {
      std::string error;
      auto text = cast<StringAttr>(weight.getValue());
      if (!moe::TensorExpression::parse(text, error))
        return function.emitOpError()
               << "`" << moe::kCheckpointAttr << "` of '"
               << weight.getName().getValue() << "', " << text << ": "
               << error;
    }
    return success();
  }

  LogicalResult prepare(func::FuncOp function) {
    if (failed(checkExpressions(function)))
      return failure();
    if (!moe::isCIdentifier(function.getName()))
      return function.emitError()
             << "entry functions become C functions, and '"
             << function.getName()
             << "' is no C identifier; use letters, digits and '_'";
    if (!llvm::hasSingleElement(function.getBody()))
      return function.emitError(
          "an entry function must be one block: use scf for control flow "
          "(--lift-cf-to-scf makes it of cf)");
    if (Attribute layer = function->getAttr(moe::kLayerAttr)) {
      auto number = dyn_cast<IntegerAttr>(layer);
      if (!number || !number.getType().isSignlessIntOrIndex() ||
          number.getValue().getBitWidth() > 64 ||
          number.getValue().isNegative())
        return function.emitError() << "`" << moe::kLayerAttr
                                    << "` is the number of "
                                       "the layer, 0 or more, not "
                                    << layer;
    }
    if (Attribute model = function->getAttr(moe::kModelAttr)) {
      auto name = dyn_cast<StringAttr>(model);
      if (!name || !isText(name))
        return function.emitError() << "`" << moe::kModelAttr
                                    << "` is the name of "
                                       "the model, a string of UTF-8, not "
                                    << model;
    }
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
    if (!isText(name))
      return function.emitError() << "the name " << name << " of " << kind
                                  << " is not UTF-8 or holds a zero byte";
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
                "f64, f32, bf16, f16, f8E4M3FN, i64, i32, i8, i1 (signless) "
                "and index";
    return success();
  }

  LogicalResult checkPacked(func::FuncOp function, unsigned index, Type type,
                            StringAttr name) {
    if (!function.getArgAttr(index, moe::kPackedAttr))
      return success();
    auto shaped = dyn_cast<ShapedType>(type);
    if (shaped && shaped.hasStaticShape() &&
        (shaped.getElementType().isF32() || shaped.getElementType().isBF16() ||
         shaped.getElementType().isF16() ||
         shaped.getElementType().isInteger(8)))
      return success();
    return function.emitError()
           << "argument '" << name.getValue() << "' of type " << type
           << " has `" << moe::kPackedAttr
           << "`; packed weights are static and of f32, bf16, f16 or i8";
  }

  LogicalResult checkDims(func::FuncOp function, Type type, Attribute dims,
                          StringRef kind, StringAttr name) {
    if (!dims)
      return success();
    auto array = dyn_cast<ArrayAttr>(dims);
    auto shaped = dyn_cast<ShapedType>(type);
    if (!array || !shaped ||
        array.size() != static_cast<size_t>(shaped.getNumDynamicDims()))
      return function.emitError()
             << "`" << moe::kDimsAttr << "` of " << kind << " '"
             << name.getValue()
             << "' must be an array with one name for each dynamic dimension "
                "of "
             << type;
    for (Attribute attr : array) {
      auto size = dyn_cast<StringAttr>(attr);
      if (!size || !moe::isCIdentifier(size.getValue()))
        return function.emitError() << "`" << moe::kDimsAttr << "` of " << kind
                                    << " '" << name.getValue() << "': " << attr
                                    << " is no C identifier in quotes";
    }
    return success();
  }
};

} // namespace
