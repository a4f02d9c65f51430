//===- ExpandExchanges.cpp - Exchanges through shared memory ----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A block whose threads exchange values is one team, and they do so through
// shared memory, as subgroups may be of any width: each writes its word, and
// between writes and reads there is always a barrier.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/Common/Emitter.h"
#include "moe-mlir/Target/GPU/Vulkan/Passes.h"

namespace moe {
#define GEN_PASS_DEF_EXPANDVULKANEXCHANGES
#include "moe-mlir/Target/GPU/Vulkan/Passes.h.inc"
} // namespace moe

using namespace mlir;
using moe::gpu::Emitter;

static constexpr int64_t kWordBytes = 4;

namespace {
/// Of a kernel, whose lanes have a word each in shared memory from `first` on.
struct Exchange {
  Emitter code;
  int64_t first;

  Value getWord(Value lane) {
    return code.at(code.at(code.sharedMemory(), first),
                   code.mul(lane, kWordBytes));
  }

  /// Everybody's word is there from here on, until the next barrier.
  void give(Value word) {
    code.store(word, getWord(code.thread()));
    code.barrier();
  }

  Value getLane(moegpu::ShuffleKind kind, Value lane) {
    Value thread = code.thread();
    switch (kind) {
    case moegpu::ShuffleKind::Index:
      return lane;
    case moegpu::ShuffleKind::Xor:
      return code.bitXor(thread, lane);
    case moegpu::ShuffleKind::Up:
      return code.select(code.compare(arith::CmpIPredicate::uge, thread, lane),
                         code.sub(thread, lane), thread);
    }
    llvm_unreachable("all kinds");
  }

  Value cast(Type type, Value value) {
    return value.getType() == type
               ? value
               : LLVM::BitcastOp::create(code, type, value).getResult();
  }

  Value expand(moegpu::ShuffleOp op) {
    give(cast(code.i32(), op.getValue()));
    Value word =
        code.load(code.i32(), getWord(getLane(op.getKind(), op.getLane())));
    // Before a next exchange writes there.
    code.barrier();
    return cast(op.getType(), word);
  }

  Value expand(moegpu::BallotOp op) {
    Value bit = code.shl(code.constant(1), code.thread());
    give(code.select(op.getCondition(), bit, code.constant(0)));
    Value all;
    for (int64_t lane = 0; lane < moegpu::kTeam; ++lane) {
      Value word = code.load(
          code.i32(), code.at(code.sharedMemory(), first + lane * kWordBytes));
      all = all ? code.bitOr(all, word) : word;
    }
    code.barrier();
    return all;
  }
};

struct ExpandVulkanExchanges
    : moe::impl::ExpandVulkanExchangesBase<ExpandVulkanExchanges> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    module.walk([&](LLVM::LLVMFuncOp kernel) {
      if (failed(expand(kernel)))
        signalPassFailure();
    });
    module.walk([&](moert::LaunchOp launch) {
      auto image = SymbolTable::lookupNearestSymbolFrom<ModuleOp>(
          launch, launch.getImageAttr().getAttr());
      auto kernel =
          image ? image.lookupSymbol<LLVM::LLVMFuncOp>(launch.getKernel())
                : nullptr;
      if (kernel && moegpu::getKernel(kernel))
        launch.setShared(moegpu::getKernel(kernel).getShared());
    });
  }

private:
  static LogicalResult expand(LLVM::LLVMFuncOp kernel) {
    moegpu::KernelAttr how = moegpu::getKernel(kernel);
    if (!how)
      return success();
    moe::gpu::expandReductions(kernel);
    SmallVector<Operation *> ops;
    kernel.walk([&](Operation *op) {
      if (isa<moegpu::ShuffleOp, moegpu::BallotOp>(op))
        ops.push_back(op);
    });
    if (ops.empty())
      return success();
    if (how.getThreads() != moegpu::kTeam)
      return kernel.emitOpError(
                 "has threads that exchange values, and blocks of ")
             << how.getThreads() << " threads where Vulkan wants one team of "
             << moegpu::kTeam;
    int64_t first = llvm::alignTo(how.getShared(), kWordBytes);
    for (Operation *op : ops) {
      Exchange exchange{Emitter(op->getLoc(), op->getContext()), first};
      exchange.code.setInsertionPoint(op);
      auto shuffle = dyn_cast<moegpu::ShuffleOp>(op);
      Value result = shuffle ? exchange.expand(shuffle)
                             : exchange.expand(cast<moegpu::BallotOp>(op));
      op->replaceAllUsesWith(ValueRange{result});
      op->erase();
    }
    moe::gpu::setSharedBytes(kernel, first + moegpu::kTeam * kWordBytes);
    return success();
  }
};
} // namespace
