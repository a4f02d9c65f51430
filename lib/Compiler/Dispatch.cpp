//===- Dispatch.cpp - Picks a variant by CPU --------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Built for the least CPU of the architecture: the public functions of an
// artifact and their uniform twins. The first call of any has the runtime
// choose from the table of variants (moe_variant.h); all jump to that one.
//
//===----------------------------------------------------------------------===//

#include "Internal.h"

#include "moe-mlir/Lowering/CNames.h"
#include "moe-mlir/Runtime/moe_rt_layout.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "llvm/IR/IRBuilder.h"

using namespace moe;
using namespace llvm;

namespace {

class Builder {
public:
  Builder(LLVMContext &context, const compiler::ArtifactInfo &info)
      : info(info), module(std::make_unique<Module>("dispatch", context)),
        b(context), ptr(b.getPtrTy()), i32(b.getInt32Ty()),
        i64(b.getInt64Ty()) {}

  std::unique_ptr<Module> run() {
    table = buildTable();
    choice = hold(b.getInt32(MOE_VARIANT_NOT_CHOSEN), /*isConstant=*/false);
    for (mlir::Attribute attr : info.interfaces)
      emit(mlir::cast<mlir::DictionaryAttr>(attr));
    for (const FunctionDesc &function : info.manifest.functions)
      if (function.aliasOf.empty())
        compiler::addPackPlans(*module, function);
    for (const compiler::Alias &alias : info.aliases)
      for (StringRef ending : getCNameEndings()) {
        GlobalValue *original =
            module->getNamedValue((alias.of + ending).str());
        if (original)
          GlobalAlias::create(original->getValueType(), 0,
                              GlobalValue::ExternalLinkage, alias.name + ending,
                              original, module.get());
      }
    return std::move(module);
  }

private:
  size_t count(mlir::DictionaryAttr entry, StringRef key) {
    return entry.getAs<mlir::ArrayAttr>(key).size();
  }

  GlobalVariable *hold(Constant *value, bool isConstant = true) {
    return new GlobalVariable(*module, value->getType(), isConstant,
                              GlobalValue::PrivateLinkage, value);
  }

  Constant *text(StringRef value) {
    return hold(ConstantDataArray::getString(b.getContext(), value));
  }

  /// The fields in the order and with the types of moe_rt_layout.h.
  Constant *buildTable() {
    SmallVector<Constant *> variants;
    for (const compiler::Variant &variant : info.variants) {
      SmallVector<uint64_t> models;
      for (const moe_cpu_models &range : variant.code.models)
        models.append({range.first, range.last});
      uint64_t traits = variant.code.narrowsRows ? MOE_VARIANT_NARROWS_ROWS : 0;
      variants.push_back(ConstantStruct::getAnon(
          {text(variant.target), b.getInt64(variant.code.needs),
           b.getInt64(traits), b.getInt64(variant.code.models.size()),
           models.empty()
               ? Constant::getNullValue(ptr)
               : hold(ConstantDataArray::get(b.getContext(), models))}));
    }
    Constant *all = ConstantArray::get(
        ArrayType::get(variants.front()->getType(), variants.size()), variants);
    return hold(
        ConstantStruct::getAnon({b.getInt64(sizeof(moe_variants)),
                                 b.getInt64(variants.size()), hold(all)}));
  }

  Function *
  create(const Twine &name, FunctionType *type,
         GlobalValue::LinkageTypes linkage = GlobalValue::ExternalLinkage) {
    Function *function = Function::Create(type, linkage, name, *module);
    function->addFnAttr(Attribute::NoUnwind);
    b.SetInsertPoint(BasicBlock::Create(b.getContext(), "", function));
    return function;
  }

  void jump(Function *target, Function *from) {
    SmallVector<Value *> arguments;
    for (Argument &argument : from->args())
      arguments.push_back(&argument);
    CallInst *call = b.CreateCall(target, arguments);
    call->setTailCallKind(CallInst::TCK_MustTail);
    b.CreateRet(call);
  }

  CallInst *callRuntime(StringRef name, Type *result,
                        ArrayRef<Value *> arguments) {
    SmallVector<Type *> types;
    for (Value *argument : arguments)
      types.push_back(argument->getType());
    return b.CreateCall(module->getOrInsertFunction(
                            name, FunctionType::get(result, types, false)),
                        arguments);
  }

  /// Forwards to the variant; `fallback` builds what happens without one.
  Function *emitDispatch(const std::string &name, FunctionType *type,
                         function_ref<void(Function *)> fallback) {
    Function *function = create(name, type);
    auto addBlock = [&] {
      return BasicBlock::Create(b.getContext(), "", function);
    };
    // Calls at once that read what was before choose again, and get the same.
    LoadInst *chosen = b.CreateLoad(i32, choice);
    chosen->setAtomic(AtomicOrdering::Monotonic);
    BasicBlock *none = addBlock();
    SwitchInst *select = b.CreateSwitch(chosen, none, info.variants.size() + 1);
    auto addCase = [&](int number) {
      BasicBlock *block = addBlock();
      select->addCase(b.getInt32(number), block);
      b.SetInsertPoint(block);
    };
    for (auto [i, variant] : enumerate(info.variants)) {
      Function *target = Function::Create(type, Function::ExternalLinkage,
                                          name + variant.code.suffix, *module);
      target->setVisibility(GlobalValue::HiddenVisibility);
      addCase(i);
      jump(target, function);
    }
    // Apart, so that the frame of this call is no other's.
    Function *choose =
        create(name + ".choose", type, GlobalValue::InternalLinkage);
    choose->addFnAttr(Attribute::NoInline);
    choose->addFnAttr(Attribute::Cold);
    callRuntime("moe_rt_choose_variant", i32, {table, choice});
    jump(function, choose);
    addCase(MOE_VARIANT_NOT_CHOSEN);
    jump(choose, function);
    b.SetInsertPoint(none);
    fallback(function);
    return function;
  }

  void emit(mlir::DictionaryAttr entry) {
    std::string name = entry.getAs<mlir::StringAttr>("name").str();
    Constant *id =
        ConstantDataArray::getString(b.getContext(), info.manifest.id);
    (void)new GlobalVariable(*module, id->getType(), /*isConstant=*/true,
                             GlobalValue::ExternalLinkage, id, name + "__id");
    size_t sizes = count(entry, "sizes");
    size_t buffers = count(entry, "arguments") + count(entry, "results");

    SmallVector<Type *> inputs = {ptr};
    inputs.append(sizes, i64);
    inputs.append(buffers, ptr);
    inputs.append({ptr, i64});
    Function *main = emitDispatch(
        name, FunctionType::get(i32, inputs, false), [&](Function *function) {
          b.CreateRet(callRuntime("moe_rt_no_variant", i32,
                                  {function->getArg(0), table, text(name)}));
        });
    Function *workspace = emitDispatch(
        name + "_workspace_bytes",
        FunctionType::get(i64, SmallVector<Type *>(sizes, i64), false),
        [&](Function *) { b.CreateRet(b.getInt64(0)); });

    auto load = [&](Type *type, Value *base, size_t index) -> Value * {
      return b.CreateLoad(type,
                          b.CreateConstInBoundsGEP1_64(type, base, index));
    };
    Function *invoke =
        create(name + "__invoke",
               FunctionType::get(i32, {ptr, ptr, ptr, ptr, i64}, false));
    SmallVector<Value *> arguments = {invoke->getArg(0)};
    for (size_t i = 0; i < sizes; ++i)
      arguments.push_back(load(i64, invoke->getArg(1), i));
    for (size_t i = 0; i < buffers; ++i)
      arguments.push_back(load(ptr, invoke->getArg(2), i));
    arguments.append({invoke->getArg(3), invoke->getArg(4)});
    b.CreateRet(b.CreateCall(main, arguments));

    Function *invokeWorkspace = create(name + "__invoke_workspace",
                                       FunctionType::get(i64, {ptr}, false));
    arguments.clear();
    for (size_t i = 0; i < sizes; ++i)
      arguments.push_back(load(i64, invokeWorkspace->getArg(0), i));
    b.CreateRet(b.CreateCall(workspace, arguments));

    create(name + "__variant", FunctionType::get(ptr, false));
    b.CreateRet(callRuntime("moe_rt_variant_name", ptr, {table, choice}));
  }

  const compiler::ArtifactInfo &info;
  std::unique_ptr<Module> module;
  IRBuilder<> b;
  Type *ptr, *i32, *i64;
  /// Both of the whole artifact.
  Constant *table = nullptr;
  GlobalVariable *choice = nullptr;
};

} // namespace

std::unique_ptr<Module> compiler::buildDispatcher(LLVMContext &context,
                                                  const ArtifactInfo &info) {
  return Builder(context, info).run();
}
