//===- ConvertKernelsToSPIRV.cpp - Kernels become SPIR-V --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Pointers become numbers: addresses of 64 bits in the device's memory, offsets
// of 32 bits in shared memory, which is an array of words. bf16 is its bits.
//
//===----------------------------------------------------------------------===//

#include "Patterns.h"
#include "SPIRV.h"

#include "moe-mlir/Target/GPU/Common/Emitter.h"

#include "mlir/Conversion/ArithToSPIRV/ArithToSPIRV.h"
#include "mlir/Conversion/MathToSPIRV/MathToSPIRV.h"
#include "mlir/Conversion/SCFToSPIRV/SCFToSPIRV.h"
#include "mlir/Conversion/UBToSPIRV/UBToSPIRV.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SPIRV/IR/TargetAndABI.h"
#include "mlir/Dialect/UB/IR/UBOps.h"

using namespace mlir;
using namespace moe::vulkan;

//===----------------------------------------------------------------------===//
// What the modules of kernels have
//===----------------------------------------------------------------------===//

static spirv::TargetEnvAttr getEnvironment(MLIRContext *context) {
  using spirv::Capability;
  using spirv::Extension;
  auto triple = spirv::VerCapExtAttr::get(
      spirv::Version::V_1_3,
      {Capability::Shader, Capability::Int64, Capability::Int16,
       Capability::Int8, Capability::Float16,
       Capability::PhysicalStorageBufferAddresses,
       Capability::StorageBuffer16BitAccess,
       Capability::StorageBuffer8BitAccess,
       Capability::SignedZeroInfNanPreserve},
      {Extension::SPV_KHR_physical_storage_buffer,
       Extension::SPV_KHR_8bit_storage, Extension::SPV_KHR_float_controls},
      context);
  return spirv::TargetEnvAttr::get(triple,
                                   spirv::getDefaultResourceLimits(context));
}

/// Only what its kernels use is asked of a device.
static spirv::VerCapExtAttr getNeeds(spirv::ModuleOp module) {
  using spirv::Capability;
  using spirv::Extension;
  bool bytes = false, halves = false, floats16 = false;
  auto look = [&](Type type) {
    Type element = getElementTypeOrSelf(type);
    bytes |= element.isInteger(8);
    halves |= element.isInteger(16);
    floats16 |= element.isF16();
  };
  module.walk([&](Operation *op) {
    for (Type type : op->getResultTypes()) {
      look(type);
      if (auto pointer = dyn_cast<spirv::PointerType>(type))
        look(pointer.getPointeeType());
    }
  });
  SmallVector<Capability> capabilities{
      Capability::Shader, Capability::Int64,
      Capability::PhysicalStorageBufferAddresses,
      Capability::SignedZeroInfNanPreserve};
  SmallVector<Extension> extensions{Extension::SPV_KHR_physical_storage_buffer,
                                    Extension::SPV_KHR_float_controls};
  if (bytes) {
    capabilities.append(
        {Capability::Int8, Capability::StorageBuffer8BitAccess});
    extensions.push_back(Extension::SPV_KHR_8bit_storage);
  }
  if (halves)
    capabilities.push_back(Capability::Int16);
  if (floats16)
    capabilities.push_back(Capability::Float16);
  if (halves || floats16)
    capabilities.push_back(Capability::StorageBuffer16BitAccess);
  return spirv::VerCapExtAttr::get(spirv::Version::V_1_3, capabilities,
                                   extensions, module.getContext());
}

std::string moe::vulkan::getSharedName(StringRef kernel) {
  return (kernel + "_shared").str();
}
static std::string getArgumentsName(StringRef kernel) {
  return (kernel + "_arguments").str();
}

static Type getWorkgroup(Type element, int64_t count) {
  return spirv::PointerType::get(spirv::ArrayType::get(element, count),
                                 spirv::StorageClass::Workgroup);
}

/// The arguments of `kernel`: each at the next multiple of its size.
static spirv::StructType getArguments(LLVM::LLVMFuncOp kernel) {
  SmallVector<Type> types;
  SmallVector<spirv::StructType::OffsetInfo> offsets;
  MLIRContext *context = kernel.getContext();
  uint32_t at = 0;
  for (Type type : kernel.getArgumentTypes()) {
    uint32_t bytes = isa<LLVM::LLVMPointerType>(type) ? 8 : 4;
    types.push_back(IntegerType::get(context, bytes * 8));
    at = llvm::alignTo(at, bytes);
    offsets.push_back(at);
    at += bytes;
  }
  return spirv::StructType::get(types, offsets);
}

//===----------------------------------------------------------------------===//
// Modules
//===----------------------------------------------------------------------===//

/// Makes a function without arguments of `kernel`, which reads them.
static LogicalResult moveKernel(OpBuilder &b, LLVM::LLVMFuncOp kernel) {
  Location loc = kernel.getLoc();
  moegpu::KernelAttr how = moegpu::getKernel(kernel);
  if (!how)
    return kernel.emitOpError("has no ") << moegpu::kKernelAttrName;
  SmallVector<moegpu::StoreIfOp> stores;
  kernel.walk([&](moegpu::StoreIfOp store) { stores.push_back(store); });
  for (moegpu::StoreIfOp store : stores) {
    OpBuilder at(store);
    auto when = scf::IfOp::create(at, store.getLoc(), store.getCondition(),
                                  /*withElseRegion=*/false);
    at.setInsertionPointToStart(when.thenBlock());
    LLVM::StoreOp::create(at, store.getLoc(), store.getValue(),
                          store.getAddress());
    store.erase();
  }

  StringRef name = kernel.getName();
  Type i32 = b.getI32Type();
  auto create = [&](Type type, StringRef variable) {
    return spirv::GlobalVariableOp::create(b, loc, type, variable);
  };
  if (how.getShared())
    create(getWorkgroup(i32, how.getShared() / 4), getSharedName(name));
  spirv::GlobalVariableOp arguments;
  if (kernel.getNumArguments())
    arguments =
        create(spirv::PointerType::get(getArguments(kernel),
                                       spirv::StorageClass::PushConstant),
               getArgumentsName(name));
  auto func = spirv::FuncOp::create(b, loc, name, b.getFunctionType({}, {}));
  func.getBody().takeBody(kernel.getBody());

  Block &entry = func.getBody().front();
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(&entry);
  for (BlockArgument argument : entry.getArguments()) {
    Value base = spirv::AddressOfOp::create(b, loc, arguments);
    Value at = spirv::ConstantOp::create(
        b, loc, i32, b.getI32IntegerAttr(argument.getArgNumber()));
    Value value = spirv::LoadOp::create(
        b, loc, spirv::AccessChainOp::create(b, loc, base, ValueRange{at}));
    argument.replaceAllUsesWith(value.getType() == argument.getType()
                                    ? value
                                    : UnrealizedConversionCastOp::create(
                                          b, loc, argument.getType(), value)
                                          .getResult(0));
  }
  entry.eraseArguments(0, entry.getNumArguments());
  return success();
}

static LogicalResult convertBodies(spirv::ModuleOp module) {
  MLIRContext *context = module.getContext();
  SPIRVConversionOptions options;
  options.emulateUnsupportedFloatTypes = false;
  options.emulateLT32BitScalarTypes = false;
  SPIRVTypeConverter types(getEnvironment(context), options);
  types.addConversion([](BFloat16Type type) -> Type {
    return IntegerType::get(type.getContext(), 16);
  });
  types.addConversion([](VectorType type) -> std::optional<Type> {
    if (!type.getElementType().isBF16())
      return std::nullopt;
    return VectorType::get(type.getShape(),
                           IntegerType::get(type.getContext(), 16));
  });
  types.addConversion([](MemRefType type) -> std::optional<Type> {
    if (type.getRank() != 1 || !type.hasStaticShape() || type.getMemorySpace())
      return std::nullopt;
    return spirv::PointerType::get(
        spirv::ArrayType::get(type.getElementType(), type.getDimSize(0)),
        spirv::StorageClass::Function);
  });
  types.addConversion([](LLVM::LLVMPointerType type) -> Type {
    bool isShared = type.getAddressSpace() == moegpu::kSharedSpace;
    return IntegerType::get(type.getContext(), isShared ? 32 : 64);
  });
  RewritePatternSet patterns(context);
  ScfToSPIRVContext loops;
  populateSCFToSPIRVPatterns(types, loops, patterns);
  arith::populateArithToSPIRVPatterns(types, patterns);
  populateMathToSPIRVPatterns(types, patterns);
  ub::populateUBToSPIRVConversionPatterns(types, patterns);
  populateMemoryPatterns(types, patterns);
  populateThreadPatterns(types, patterns);
  populateBF16Patterns(types, patterns);
  // Refuses, too, what asks for capabilities that shaders do not have.
  std::unique_ptr<ConversionTarget> target =
      SPIRVConversionTarget::get(getEnvironment(context));
  target->addIllegalDialect<arith::ArithDialect, LLVM::LLVMDialect,
                            math::MathDialect, memref::MemRefDialect,
                            moegpu::MoeGpuDialect, scf::SCFDialect,
                            ub::UBDialect>();
  target->addLegalOp<UnrealizedConversionCastOp>();
  SmallVector<Operation *> funcs;
  for (auto func : module.getOps<spirv::FuncOp>())
    funcs.push_back(func);
  if (failed(applyFullConversion(funcs, *target, std::move(patterns))))
    return failure();
  SmallVector<UnrealizedConversionCastOp> casts, left;
  module.walk([&](UnrealizedConversionCastOp op) { casts.push_back(op); });
  reconcileUnrealizedCasts(casts, &left);
  for (UnrealizedConversionCastOp op : left)
    return op.emitOpError("is left of a value that SPIR-V has no form of");
  return success();
}

/// The entry point, and how floats are computed.
static void finishKernel(OpBuilder &b, spirv::FuncOp func, int64_t threads) {
  SmallVector<Attribute> inputs;
  for (StringRef name : {kThread, kBlock, kNumBlocks})
    inputs.push_back(FlatSymbolRefAttr::get(b.getContext(), name));
  Location loc = func.getLoc();
  spirv::EntryPointOp::create(b, loc, spirv::ExecutionModel::GLCompute, func,
                              inputs);
  spirv::ExecutionModeOp::create(b, loc, func, spirv::ExecutionMode::LocalSize,
                                 {static_cast<int32_t>(threads), 1, 1});
  spirv::ExecutionModeOp::create(
      b, loc, func, spirv::ExecutionMode::SignedZeroInfNanPreserve, {32});
  func.walk([&](Operation *op) {
    if (isa<spirv::FAddOp, spirv::FSubOp, spirv::FMulOp>(op))
      op->setAttr("no_contraction", b.getUnitAttr());
  });
}

OwningOpRef<spirv::ModuleOp> moe::vulkan::convertKernels(ModuleOp kernels) {
  Location loc = kernels.getLoc();
  OpBuilder b(kernels.getContext());
  OwningOpRef<spirv::ModuleOp> module = spirv::ModuleOp::create(
      b, loc, spirv::AddressingModel::PhysicalStorageBuffer64,
      spirv::MemoryModel::GLSL450);
  b.setInsertionPointToEnd(module->getBody());
  auto input = spirv::PointerType::get(VectorType::get({3}, b.getI32Type()),
                                       spirv::StorageClass::Input);
  spirv::GlobalVariableOp::create(b, loc, input, kThread,
                                  spirv::BuiltIn::LocalInvocationId);
  spirv::GlobalVariableOp::create(b, loc, input, kBlock,
                                  spirv::BuiltIn::WorkgroupId);
  spirv::GlobalVariableOp::create(b, loc, input, kNumBlocks,
                                  spirv::BuiltIn::NumWorkgroups);
  llvm::StringMap<int64_t> threads;
  for (auto kernel : kernels.getOps<LLVM::LLVMFuncOp>()) {
    if (failed(moveKernel(b, kernel)))
      return {};
    threads[kernel.getName()] = moegpu::getKernel(kernel).getThreads();
  }
  if (failed(convertBodies(*module)))
    return {};
  b.setInsertionPointToEnd(module->getBody());
  for (auto func :
       llvm::make_early_inc_range(module->getOps<spirv::FuncOp>())) {
    hideZeros(*module, func);
    finishKernel(b, func, threads[func.getName()]);
  }
  (*module)->setAttr(module->getVCETripleAttrName(), getNeeds(*module));
  return module;
}
