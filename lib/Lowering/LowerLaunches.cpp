//===- LowerLaunches.cpp - Kernels of a device ------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// By the layout of moe_rt.h, as the other hooks; behind the assignment of the
// workspace, which has to see which buffers a launch uses.
//
//===----------------------------------------------------------------------===//

#include "Pointers.h"

#include "moe-mlir/Lowering/EntryPoints.h"
#include "moe-mlir/Lowering/Images.h"
#include "moe-mlir/Lowering/Passes.h"
#include "moe-mlir/Runtime/moe_rt_layout.h"
#include "moe_rt/MoeRt.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

#include <cstddef>

namespace moe {
#define GEN_PASS_DEF_LOWERLAUNCHESPASS
#include "moe-mlir/Lowering/Passes.h.inc"
} // namespace moe

using namespace mlir;

static_assert(static_cast<int>(moert::Status::Device) == MOE_ERR_DEVICE);

namespace {
struct LowerLaunches : moe::impl::LowerLaunchesPassBase<LowerLaunches> {
  void runOnOperation() override {
    SmallVector<moert::LaunchOp> launches;
    getOperation().walk([&](moert::LaunchOp op) { launches.push_back(op); });
    SymbolTable symbols(getOperation());
    for (moert::LaunchOp op : launches) {
      auto function = op->getParentOfType<func::FuncOp>();
      if (!function || !moe::isEntryFunction(function)) {
        op->emitOpError("needs the runtime, which only public entry functions "
                        "have; inline this function into its callers");
        return signalPassFailure();
      }
      lower(op, function, symbols);
    }
  }

  Type pointerType() { return LLVM::LLVMPointerType::get(&getContext()); }

  void lower(moert::LaunchOp op, func::FuncOp function, SymbolTable &symbols) {
    Value rt = moe::getOrAddRuntimeArgument(function);
    Location loc = op.getLoc();
    // In the entry block: stack slots in loops would add up.
    ImplicitLocOpBuilder b(loc, &getContext());
    b.setInsertionPointToStart(&function.getBody().front());
    auto stack = [&](int64_t bytes) -> Value {
      return LLVM::AllocaOp::create(
          b, pointerType(), LLVM::LLVMArrayType::get(b.getI8Type(), bytes),
          LLVM::ConstantOp::create(b, b.getI32Type(), 1), /*alignment=*/8);
    };
    int64_t count = op.getArguments().size();
    Value launch = stack(sizeof(moe_launch));
    Value arguments =
        stack(std::max<int64_t>(count, 1) * sizeof(moe_launch_argument));
    Value kernel = getText(b, symbols, (op.getKernel() + Twine('\0')).str());
    Value image = LLVM::AddressOfOp::create(b, pointerType(), getImage(op));

    b.setInsertionPoint(op);
    auto at = [&](Value base, size_t offset) -> Value {
      return LLVM::GEPOp::create(
          b, pointerType(), b.getI8Type(), base,
          ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(offset)});
    };
    auto word = [&](int64_t value) -> Value {
      return LLVM::ConstantOp::create(b, b.getI64Type(), value);
    };
    auto half = [&](int64_t value) -> Value {
      return LLVM::ConstantOp::create(b, b.getI32Type(), value);
    };
    auto toWord = [&](Value index) -> Value {
      return arith::IndexCastOp::create(b, b.getI64Type(), index);
    };
    auto set = [&](Value base, size_t offset, Value value) {
      LLVM::StoreOp::create(b, value, at(base, offset));
    };
    set(launch, offsetof(moe_launch, size), word(sizeof(moe_launch)));
    set(launch, offsetof(moe_launch, image), image);
    set(launch, offsetof(moe_launch, kernel), kernel);
    set(launch, offsetof(moe_launch, blocks), toWord(op.getBlocks()));
    set(launch, offsetof(moe_launch, each), half(op.getEach().value_or(0)));
    set(launch, offsetof(moe_launch, threads), half(op.getThreads()));
    set(launch, offsetof(moe_launch, shared_bytes), half(op.getShared()));
    set(launch, offsetof(moe_launch, num_arguments), half(count));
    set(launch, offsetof(moe_launch, arguments), arguments);
    Value overlaps = arith::CmpIOp::create(b, arith::CmpIPredicate::ule,
                                           toWord(op.getBlocks()),
                                           word(op.getOverlaps().value_or(0)));
    set(launch, offsetof(moe_launch, overlaps),
        arith::ExtUIOp::create(b, b.getI64Type(), overlaps));
    for (auto [i, value] : llvm::enumerate(op.getArguments())) {
      Value own = at(arguments, i * sizeof(moe_launch_argument));
      auto kind = [&](int32_t kind) {
        set(own, offsetof(moe_launch_argument, kind), half(kind));
      };
      auto memref = dyn_cast<MemRefType>(value.getType());
      if (!memref) {
        kind(MOE_LAUNCH_I32);
        set(own, offsetof(moe_launch_argument, value), toWord(value));
        continue;
      }
      int64_t box = op.getBoxes()[i];
      kind(box ? MOE_LAUNCH_MATRIX : MOE_LAUNCH_POINTER);
      set(own, offsetof(moe_launch_argument, pointer),
          moe::buildPointer(b, b.getLoc(), value));
      if (!box)
        continue;
      set(own, offsetof(moe_launch_argument, box_rows), half(box));
      int64_t last = memref.getRank() - 1;
      Value rows = arith::ConstantIndexOp::create(b, 1);
      for (int64_t dim = 0; dim < last; ++dim)
        rows = arith::MulIOp::create(b, rows,
                                     memref::DimOp::create(b, value, dim));
      set(own, offsetof(moe_launch_argument, value), toWord(rows));
      set(own, offsetof(moe_launch_argument, columns),
          toWord(memref::DimOp::create(b, value, last)));
    }

    // The hook came after the first runtimes of this ABI.
    Value null = LLVM::ZeroOp::create(b, pointerType());
    Value size =
        LLVM::LoadOp::create(b, b.getI64Type(), at(rt, offsetof(moe_rt, size)));
    Value has = LLVM::ICmpOp::create(
        b, LLVM::ICmpPredicate::uge, size,
        word(offsetof(moe_rt, launch) + sizeof(moe_rt::launch)));
    auto known = scf::IfOp::create(b, TypeRange{pointerType()}, has, true);
    b.setInsertionPointToStart(known.thenBlock());
    Value hook = LLVM::LoadOp::create(b, pointerType(),
                                      at(rt, offsetof(moe_rt, launch)));
    scf::YieldOp::create(b, hook);
    b.setInsertionPointToStart(known.elseBlock());
    scf::YieldOp::create(b, null);
    b.setInsertionPoint(op);
    hook = known.getResult(0);
    Value isSet = LLVM::ICmpOp::create(b, LLVM::ICmpPredicate::ne, hook, null);
    check(b, isSet, rt, function,
          "the layer is for a device, and the runtime has no launch hook");
    auto type = LLVM::LLVMFunctionType::get(b.getI32Type(),
                                            {pointerType(), pointerType()});
    Value status =
        LLVM::CallOp::create(b, type, ValueRange{hook, rt, launch}).getResult();
    check(b, LLVM::ICmpOp::create(b, LLVM::ICmpPredicate::eq, status, half(0)),
          rt, function, "kernel " + op.getKernel() + " could not be started");
    op.erase();
  }

  void check(ImplicitLocOpBuilder &b, Value ok, Value rt, func::FuncOp function,
             const Twine &message) {
    moert::CheckOp::create(b, b.getLoc(), ok, moert::Status::Device,
                           b.getStringAttr(function.getName() + ": " + message),
                           rt);
  }

  Value getText(ImplicitLocOpBuilder &b, SymbolTable &symbols, StringRef text) {
    OpBuilder top = OpBuilder::atBlockBegin(getOperation().getBody());
    auto global = LLVM::GlobalOp::create(
        top, b.getLoc(), LLVM::LLVMArrayType::get(b.getI8Type(), text.size()),
        /*isConstant=*/true, LLVM::Linkage::Internal, "moe_kernel_name",
        top.getStringAttr(text));
    symbols.insert(global);
    return LLVM::AddressOfOp::create(b, global);
  }

  /// The symbol of the code, which the target defines.
  StringRef getImage(moert::LaunchOp op) {
    std::string name = moe::getImageName(op.getImage());
    auto global = getOperation().lookupSymbol<LLVM::GlobalOp>(name);
    if (!global) {
      OpBuilder top = OpBuilder::atBlockBegin(getOperation().getBody());
      global = LLVM::GlobalOp::create(
          top, op.getLoc(), LLVM::LLVMArrayType::get(top.getI8Type(), 0),
          /*isConstant=*/true, LLVM::Linkage::External, name, Attribute());
    }
    return global.getSymName();
  }
};
} // namespace
