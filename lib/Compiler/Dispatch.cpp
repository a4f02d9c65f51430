//===- Dispatch.cpp - Picks a variant by CPU --------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Built for the least CPU of the architecture: the public functions of an
// artifact and their uniform twins. Each asks the runtime what the CPU can do
// and jumps to the best variant.
//
//===----------------------------------------------------------------------===//

#include "Internal.h"

#include "moe-mlir/Lowering/CNames.h"
#include "moe-mlir/Runtime/moe_rt_layout.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "llvm/IR/IRBuilder.h"

#include <cstddef>

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
    features = Function::Create(FunctionType::get(i64, false),
                                Function::ExternalLinkage,
                                "moe_rt_cpu_features", *module);
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

  Function *create(const Twine &name, FunctionType *type) {
    Function *function =
        Function::Create(type, Function::ExternalLinkage, name, *module);
    function->addFnAttr(Attribute::NoUnwind);
    b.SetInsertPoint(BasicBlock::Create(b.getContext(), "", function));
    return function;
  }

  /// Forwards to the variant; `fallback` builds what happens without one.
  Function *emitDispatch(const std::string &name, FunctionType *type,
                         function_ref<void(Function *)> fallback) {
    Function *function = create(name, type);
    Value *lacks = b.CreateNot(b.CreateCall(features));
    SmallVector<Value *> arguments;
    for (Argument &argument : function->args())
      arguments.push_back(&argument);
    // Best last in the list of variants.
    for (const compiler::Variant &variant : llvm::reverse(info.variants)) {
      Function *target = Function::Create(type, Function::ExternalLinkage,
                                          name + variant.code.suffix, *module);
      target->setVisibility(GlobalValue::HiddenVisibility);
      auto *yes = BasicBlock::Create(b.getContext(), "", function);
      auto *no = BasicBlock::Create(b.getContext(), "", function);
      b.CreateCondBr(
          b.CreateIsNull(b.CreateAnd(lacks, b.getInt64(variant.code.needs))), yes,
          no);
      b.SetInsertPoint(yes);
      CallInst *call = b.CreateCall(target, arguments);
      call->setTailCallKind(CallInst::TCK_MustTail);
      b.CreateRet(call);
      b.SetInsertPoint(no);
    }
    fallback(function);
    return function;
  }

  void reportUnsupported(Function *function, const std::string &name) {
    // rt ? rt : moe_rt_default()
    Value *rt = function->getArg(0);
    BasicBlock *from = b.GetInsertBlock();
    auto *missing = BasicBlock::Create(b.getContext(), "", function);
    auto *next = BasicBlock::Create(b.getContext(), "", function);
    auto *foreign = BasicBlock::Create(b.getContext(), "", function);
    auto *known = BasicBlock::Create(b.getContext(), "", function);
    auto *call = BasicBlock::Create(b.getContext(), "", function);
    auto *done = BasicBlock::Create(b.getContext(), "", function);
    b.CreateCondBr(b.CreateIsNull(rt), missing, next);
    b.SetInsertPoint(missing);
    Value *standard = b.CreateCall(module->getOrInsertFunction(
        "moe_rt_default", FunctionType::get(ptr, false)));
    b.CreateBr(next);
    b.SetInsertPoint(next);
    PHINode *phi = b.CreatePHI(ptr, 2);
    phi->addIncoming(rt, from);
    phi->addIncoming(standard, missing);
    // The variants check the same, but none is called.
    auto field = [&](Type *type, size_t offset) {
      return b.CreateLoad(type, b.CreatePtrAdd(phi, b.getInt64(offset)));
    };
    Value *otherAbi = b.CreateICmpNE(field(i32, offsetof(moe_rt, abi)),
                                     b.getInt32(MOE_RT_ABI));
    Value *tooSmall = b.CreateICmpULT(field(i64, offsetof(moe_rt, size)),
                                      b.getInt64(MOE_RT_LEAST_SIZE));
    b.CreateCondBr(b.CreateOr(otherAbi, tooSmall), foreign, known);
    b.SetInsertPoint(foreign);
    b.CreateRet(b.getInt32(MOE_ERR_BAD_ABI));
    b.SetInsertPoint(known);
    Value *hook = field(ptr, offsetof(moe_rt, error));
    b.CreateCondBr(b.CreateIsNull(hook), done, call);
    b.SetInsertPoint(call);
    std::string message =
        name + ": this CPU runs none of the compiled targets (";
    for (const compiler::Variant &variant : info.variants)
      message +=
          (&variant == info.variants.begin() ? "" : ", ") + variant.target;
    message += ")";
    Value *text = b.CreateGlobalString(message);
    b.CreateCall(FunctionType::get(b.getVoidTy(), {ptr, i32, ptr}, false), hook,
                 {phi, b.getInt32(MOE_ERR_UNSUPPORTED_CPU), text});
    b.CreateBr(done);
    b.SetInsertPoint(done);
    b.CreateRet(b.getInt32(MOE_ERR_UNSUPPORTED_CPU));
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
    Function *main =
        emitDispatch(name, FunctionType::get(i32, inputs, false),
                     [&](Function *f) { reportUnsupported(f, name); });
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
  }

  const compiler::ArtifactInfo &info;
  std::unique_ptr<Module> module;
  IRBuilder<> b;
  Type *ptr, *i32, *i64;
  Function *features = nullptr;
};

} // namespace

std::unique_ptr<Module> compiler::buildDispatcher(LLVMContext &context,
                                                  const ArtifactInfo &info) {
  return Builder(context, info).run();
}
