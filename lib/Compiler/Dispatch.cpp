//===- Dispatch.cpp - Picks a variant by CPU and device ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Built for the least CPU of the architecture: the public functions of an
// artifact and their uniform twins. The first call of any has the runtime
// choose from the table of variants (moe_variant.h); all jump to that one.
// Where there is code for devices, too, each call asks for its runtime's
// before.
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
    devices = buildDevices();
    choice = hold(b.getInt32(MOE_VARIANT_NOT_CHOSEN), /*isConstant=*/false);
    for (mlir::Attribute attr : info.interfaces)
      emit(mlir::cast<mlir::DictionaryAttr>(attr));
    for (const FunctionDesc &function : info.manifest.functions)
      if (function.aliasOf.empty())
        compiler::addPackPlans(*module, function);
    SmallVector<std::string> endings;
    for (StringRef ending : getCNameEndings())
      endings.push_back(ending.str());
    for (const compiler::Variant &variant : info.variants)
      if (variant.beginsLayout(info.variants.front()))
        endings.push_back("__plans" + variant.code.suffix);
    for (const compiler::Alias &alias : info.aliases)
      for (StringRef ending : endings) {
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

  Constant *hold(ArrayRef<Constant *> elements) {
    if (elements.empty())
      return Constant::getNullValue(ptr);
    return hold(ConstantArray::get(
        ArrayType::get(elements.front()->getType(), elements.size()),
        elements));
  }

  /// Their number, and where they are.
  std::pair<Constant *, Constant *>
  buildModels(const compiler::Variant &variant) {
    SmallVector<uint64_t> models;
    for (const moe_cpu_models &range : variant.code.models)
      models.append({range.first, range.last});
    return {b.getInt64(variant.code.models.size()),
            models.empty()
                ? Constant::getNullValue(ptr)
                : hold(ConstantDataArray::get(b.getContext(), models))};
  }

  /// The fields in the order and with the types of moe_rt_layout.h.
  Constant *buildTable() {
    SmallVector<Constant *> variants;
    for (const compiler::Variant &variant : info.hosts()) {
      uint64_t traits = variant.code.narrowsRows ? MOE_VARIANT_NARROWS_ROWS : 0;
      auto [count, models] = buildModels(variant);
      variants.push_back(ConstantStruct::getAnon(
          {text(variant.target), b.getInt64(variant.code.needs),
           b.getInt64(traits), count, models}));
    }
    return hold(
        ConstantStruct::getAnon({b.getInt64(sizeof(moe_variants)),
                                 b.getInt64(variants.size()), hold(variants)}));
  }

  Constant *buildDevices() {
    SmallVector<Constant *> variants;
    for (const compiler::Variant &variant : info.devices()) {
      auto [count, models] = buildModels(variant);
      variants.push_back(ConstantStruct::getAnon(
          {text(variant.target), text(variant.code.device), count, models}));
    }
    if (variants.empty())
      return nullptr;
    return hold(
        ConstantStruct::getAnon({b.getInt64(sizeof(moe_device_variants)),
                                 b.getInt64(variants.size()), hold(variants)}));
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

  /// The function `name` of a variant.
  Function *getFunction(const compiler::Variant &variant, StringRef name,
                        FunctionType *type) {
    std::string symbol = (name + variant.code.suffix).str();
    if (Function *function = module->getFunction(symbol))
      return function;
    Function *function =
        Function::Create(type, Function::ExternalLinkage, symbol, *module);
    function->setVisibility(GlobalValue::HiddenVisibility);
    return function;
  }

  BasicBlock *addBlock(Function *function) {
    return BasicBlock::Create(b.getContext(), "", function);
  }

  /// A block for each device, by the runtime that is the first argument; what
  /// follows is for the CPU. `fallback` builds what happens without one.
  void emitDevices(Function *function,
                   function_ref<void(const compiler::Variant &)> build,
                   function_ref<void()> fallback) {
    BasicBlock *host = addBlock(function), *none = addBlock(function);
    Value *chosen = callRuntime("moe_rt_choose_device_variant", i32,
                                {function->getArg(0), devices});
    SwitchInst *select =
        b.CreateSwitch(chosen, none, info.devices().size() + 1);
    select->addCase(b.getInt32(MOE_VARIANT_HOST),
                    info.hosts().empty() ? none : host);
    for (auto [i, variant] : enumerate(info.devices())) {
      BasicBlock *block = addBlock(function);
      select->addCase(b.getInt32(i), block);
      b.SetInsertPoint(block);
      build(variant);
    }
    b.SetInsertPoint(none);
    fallback();
    if (info.hosts().empty())
      host->eraseFromParent();
    else
      b.SetInsertPoint(host);
  }

  /// Forwards to the variant for this CPU; `fallback` builds what happens
  /// without one.
  void emitHosts(Function *function, const std::string &name,
                 function_ref<void(Function *)> fallback) {
    FunctionType *type = function->getFunctionType();
    // Calls at once that read what was before choose again, and get the same.
    LoadInst *chosen = b.CreateLoad(i32, choice);
    chosen->setAtomic(AtomicOrdering::Monotonic);
    BasicBlock *none = addBlock(function);
    SwitchInst *select = b.CreateSwitch(chosen, none, info.hosts().size() + 1);
    auto addCase = [&](int number) {
      BasicBlock *block = addBlock(function);
      select->addCase(b.getInt32(number), block);
      b.SetInsertPoint(block);
    };
    for (auto [i, variant] : enumerate(info.hosts())) {
      addCase(i);
      jump(getFunction(variant, name, type), function);
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
  }

  /// The function itself.
  Function *emitMain(const std::string &name, FunctionType *type) {
    Function *function = create(name, type);
    Value *rt = function->getArg(0);
    if (devices)
      emitDevices(
          function,
          [&](const compiler::Variant &variant) {
            jump(getFunction(variant, name, type), function);
          },
          [&] {
            b.CreateRet(callRuntime("moe_rt_no_device_variant", i32,
                                    {rt, table, devices, text(name)}));
          });
    if (!info.hosts().empty())
      emitHosts(function, name, [&](Function *) {
        b.CreateRet(
            callRuntime("moe_rt_no_variant", i32, {rt, table, text(name)}));
      });
    return function;
  }

  /// The workspace of a call on the CPU; of an artifact without code for one,
  /// what is enough for every device.
  Function *emitWorkspace(const std::string &name, FunctionType *type) {
    Function *function = create(name, type);
    if (!info.hosts().empty()) {
      emitHosts(function, name,
                [&](Function *) { b.CreateRet(b.getInt64(0)); });
      return function;
    }
    SmallVector<Value *> sizes = map_to_vector(
        function->args(), [](Argument &size) -> Value * { return &size; });
    Value *most = b.getInt64(0);
    for (const compiler::Variant &variant : info.devices())
      most = b.CreateBinaryIntrinsic(
          Intrinsic::umax, most,
          b.CreateCall(getFunction(variant, name, type), sizes));
    b.CreateRet(most);
    return function;
  }

  /// The same by a runtime, which `workspace` has no argument for.
  Function *emitWorkspaceOn(Function *workspace) {
    FunctionType *type = workspace->getFunctionType();
    SmallVector<Type *> inputs = {ptr};
    append_range(inputs, type->params());
    Function *function = create(workspace->getName() + "_on",
                                FunctionType::get(i64, inputs, false));
    SmallVector<Value *> sizes =
        map_to_vector(drop_begin(function->args()),
                      [](Argument &size) -> Value * { return &size; });
    emitDevices(
        function,
        [&](const compiler::Variant &variant) {
          b.CreateRet(b.CreateCall(
              getFunction(variant, workspace->getName(), type), sizes));
        },
        [&] { b.CreateRet(b.getInt64(0)); });
    if (!info.hosts().empty())
      b.CreateRet(b.CreateCall(workspace, sizes));
    return function;
  }

  /// Names the variant that runs, on the CPU and by a runtime.
  void emitNames(const std::string &name) {
    Function *variant =
        create(name + "__variant", FunctionType::get(ptr, false));
    if (!info.hosts().empty())
      b.CreateRet(callRuntime("moe_rt_variant_name", ptr, {table, choice}));
    else if (info.devices().size() == 1)
      b.CreateRet(text(info.devices().front().target));
    else
      b.CreateRet(Constant::getNullValue(ptr));
    if (!devices)
      return;
    Function *on =
        create(name + "__variant_on", FunctionType::get(ptr, {ptr}, false));
    emitDevices(
        on,
        [&](const compiler::Variant &variant) {
          b.CreateRet(text(variant.target));
        },
        [&] { b.CreateRet(Constant::getNullValue(ptr)); });
    if (!info.hosts().empty())
      b.CreateRet(b.CreateCall(variant));
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
    Function *main = emitMain(name, FunctionType::get(i32, inputs, false));
    Function *workspace = emitWorkspace(
        name + "_workspace_bytes",
        FunctionType::get(i64, SmallVector<Type *>(sizes, i64), false));

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
    emitNames(name);
    if (!devices)
      return;
    Function *workspaceOn = emitWorkspaceOn(workspace);
    Function *invokeOn = create(name + "__invoke_workspace_on",
                                FunctionType::get(i64, {ptr, ptr}, false));
    arguments = {invokeOn->getArg(0)};
    for (size_t i = 0; i < sizes; ++i)
      arguments.push_back(load(i64, invokeOn->getArg(1), i));
    b.CreateRet(b.CreateCall(workspaceOn, arguments));
  }

  const compiler::ArtifactInfo &info;
  std::unique_ptr<Module> module;
  IRBuilder<> b;
  Type *ptr, *i32, *i64;
  /// All of the whole artifact; no devices are null.
  Constant *table = nullptr, *devices = nullptr;
  GlobalVariable *choice = nullptr;
};

} // namespace

std::unique_ptr<Module> compiler::buildDispatcher(LLVMContext &context,
                                                  const ArtifactInfo &info) {
  return Builder(context, info).run();
}
