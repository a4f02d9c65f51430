//===- ConvertGpuToNVVM.cpp - Kernels for any GPU become NVVM ---*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/NVIDIA/Passes.h"

#include "moe-mlir/Target/GPU/Common/KernelGlobals.h"

#include "mlir/IR/PatternMatch.h"

namespace moe {
#define GEN_PASS_DEF_CONVERTGPUTONVVM
#include "moe-mlir/Target/GPU/NVIDIA/Passes.h.inc"
} // namespace moe

using namespace mlir;

/// Gives a kernel the attributes that NVPTX reads.
static void convertKernel(LLVM::LLVMFuncOp func, bool overlaps) {
  moegpu::KernelAttr kernel = moegpu::getKernel(func);
  OpBuilder b(func.getContext());
  func->removeAttr(moegpu::kKernelAttrName);
  func->setAttr(NVVM::NVVMDialect::getKernelFuncAttrName(), b.getUnitAttr());
  func->setAttr(
      NVVM::NVVMDialect::getMaxntidAttrName(),
      b.getDenseI32ArrayAttr({static_cast<int32_t>(kernel.getThreads())}));
  func->setAttr(
      NVVM::NVVMDialect::getMinctasmAttrName(),
      b.getI32IntegerAttr(static_cast<int32_t>(kernel.getResident())));
  bool waits =
      func.walk([](NVVM::GriddepcontrolOp) { return WalkResult::interrupt(); })
          .wasInterrupted();
  if (!overlaps || waits)
    return;
  // All that this kernel reads is of kernels before, whose memory it may
  // write, too; the next one does the same.
  b.setInsertionPointToStart(&func.getBody().front());
  for (auto kind : {NVVM::GridDepActionKind::wait,
                    NVVM::GridDepActionKind::launch_dependents})
    NVVM::GriddepcontrolOp::create(b, func.getLoc(), kind);
}

static NVVM::ShflKind getKind(moegpu::ShuffleKind kind) {
  switch (kind) {
  case moegpu::ShuffleKind::Index:
    return NVVM::ShflKind::idx;
  case moegpu::ShuffleKind::Xor:
    return NVVM::ShflKind::bfly;
  case moegpu::ShuffleKind::Up:
    return NVVM::ShflKind::up;
  }
  llvm_unreachable("all kinds are there");
}

static NVVM::ReduxKind getKind(moegpu::ReduceKind kind) {
  switch (kind) {
  case moegpu::ReduceKind::Add:
    return NVVM::ReduxKind::ADD;
  case moegpu::ReduceKind::Max:
    return NVVM::ReduxKind::MAX;
  case moegpu::ReduceKind::Min:
    return NVVM::ReduxKind::MIN;
  }
  llvm_unreachable("all kinds are there");
}

/// A team is a warp.
static void convert(IRRewriter &b, Operation *op) {
  Location loc = op->getLoc();
  b.setInsertionPoint(op);
  auto constant = [&](int64_t value) -> Value {
    return arith::ConstantIntOp::create(b, loc, b.getI32Type(), value);
  };
  constexpr unsigned kAllLanes = 0xffffffff;
  if (isa<moegpu::ThreadOp>(op)) {
    b.replaceOpWithNewOp<NVVM::ThreadIdXOp>(op, b.getI32Type());
  } else if (isa<moegpu::BlockOp>(op)) {
    b.replaceOpWithNewOp<NVVM::BlockIdXOp>(op, b.getI32Type());
  } else if (isa<moegpu::NumBlocksOp>(op)) {
    b.replaceOpWithNewOp<NVVM::GridDimXOp>(op, b.getI32Type());
  } else if (isa<moegpu::BarrierOp>(op)) {
    NVVM::Barrier0Op::create(b, loc);
    b.eraseOp(op);
  } else if (isa<moegpu::SharedOp>(op)) {
    b.replaceOpWithNewOp<LLVM::AddressOfOp>(op, op->getResult(0).getType(),
                                            moe::gpu::kSharedName);
  } else if (auto shuffle = dyn_cast<moegpu::ShuffleOp>(op)) {
    bool isUp = shuffle.getKind() == moegpu::ShuffleKind::Up;
    Value all = constant(kAllLanes), clamp = constant(isUp ? 0 : 31);
    b.replaceOpWithNewOp<NVVM::ShflOp>(
        op, op->getResult(0).getType(), all, shuffle.getValue(),
        shuffle.getLane(), clamp, getKind(shuffle.getKind()), UnitAttr());
  } else if (auto ballot = dyn_cast<moegpu::BallotOp>(op)) {
    b.replaceOpWithNewOp<NVVM::VoteSyncOp>(
        op, b.getI32Type(), constant(kAllLanes), ballot.getCondition(),
        NVVM::VoteSyncKind::ballot);
  } else if (auto reduce = dyn_cast<moegpu::ReduceOp>(op)) {
    b.replaceOpWithNewOp<NVVM::ReduxOp>(op, b.getI32Type(), reduce.getValue(),
                                        getKind(reduce.getKind()),
                                        constant(kAllLanes));
  } else if (auto lookUp = dyn_cast<moegpu::LookUpOp>(op)) {
    b.replaceOp(op, moe::gpu::loadEntry(b, lookUp));
  } else if (auto store = dyn_cast<moegpu::StoreIfOp>(op)) {
    NVVM::InlinePtxOp::create(
        b, loc, TypeRange(), ValueRange{store.getAddress(), store.getValue()},
        ValueRange(), "st.global.b32 [$0], $1;", store.getCondition());
    b.eraseOp(op);
  }
}

namespace {
struct ConvertGpuToNVVM : moe::impl::ConvertGpuToNVVMBase<ConvertGpuToNVVM> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    bool overlaps = moenvidia::overlapsKernels(module);
    IRRewriter b(&getContext());
    SmallVector<Operation *> ops;
    SmallVector<ModuleOp> modules;
    module.walk([&](LLVM::LLVMFuncOp func) {
      if (!moegpu::getKernel(func))
        return;
      auto kernels = func->getParentOfType<ModuleOp>();
      if (!llvm::is_contained(modules, kernels))
        modules.push_back(kernels);
      func.walk([&](Operation *op) {
        if (isa<moegpu::MoeGpuDialect>(op->getDialect()))
          ops.push_back(op);
      });
      convertKernel(func, overlaps);
    });
    for (ModuleOp kernels : modules)
      moe::gpu::declareShared(kernels, /*alignment=*/1024);
    for (Operation *op : ops)
      convert(b, op);
  }
};
} // namespace
