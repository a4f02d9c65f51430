//===- BoundFrames.cpp - Stack frames of bounded size -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Kernels keep small buffers on the stack, some of them as large as there are
// experts. The frame of each function that a thread runs has a bound; what is
// above goes to the workspace, largest first. The items of a parallel loop then
// share a fixed number of slices, each of which is used by one thread at a
// time.
//
//===----------------------------------------------------------------------===//

#include "BufferUses.h"
#include "moe-mlir/Analysis/Dims.h"
#include "moe-mlir/Lowering/EntryPoints.h"
#include "moe-mlir/Lowering/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/DataLayoutInterfaces.h"
#include "llvm/Support/MathExtras.h"

#include <limits>

namespace moe {
#define GEN_PASS_DEF_BOUNDFRAMESPASS
#include "moe-mlir/Lowering/Passes.h.inc"
} // namespace moe

using namespace mlir;

namespace {

/// Threads that run the items of a loop with slices at once.
constexpr int64_t kSlices = 32;

struct BoundFrames : moe::impl::BoundFramesPassBase<BoundFrames> {
  void runOnOperation() override {
    if (failed(moe::verifyDims(getOperation())))
      return signalPassFailure();
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      if (!moe::isEntryFunction(function))
        continue;
      SmallVector<memref::AllocOp> local;
      function.walk([&](memref::AllocOp alloc) {
        if (alloc->getParentOfType<scf::ParallelOp>())
          local.push_back(alloc);
      });
      for (memref::AllocOp alloc : local)
        if (failed(moveToStack(alloc)))
          return signalPassFailure();
      SmallVector<scf::ParallelOp> loops;
      SmallVector<memref::AllocaOp> own;
      function.walk<WalkOrder::PreOrder>([&](Operation *op) {
        // Bodies of these become functions of their own, unless they reduce.
        auto loop = dyn_cast<scf::ParallelOp>(op);
        if (loop && loop.getNumReductions() == 0) {
          loops.push_back(loop);
          return WalkResult::skip();
        }
        if (auto slot = dyn_cast<memref::AllocaOp>(op))
          own.push_back(slot);
        return WalkResult::advance();
      });
      for (memref::AllocaOp slot : chooseSlots(own)) {
        OpBuilder b(slot);
        // One that reduces is sequential.
        for (Operation *op = slot; op != function; op = op->getParentOp())
          if (isa<scf::ParallelOp>(op))
            b.setInsertionPoint(op);
        Value buffer =
            memref::AllocOp::create(b, slot.getLoc(), slot.getType(),
                                    b.getI64IntegerAttr(moe::kBufferAlignment));
        slot.replaceAllUsesWith(buffer);
        slot.erase();
      }
      for (scf::ParallelOp loop : loops) {
        SmallVector<memref::AllocaOp> slots;
        loop.walk([&](memref::AllocaOp slot) { slots.push_back(slot); });
        slots = chooseSlots(slots);
        if (!slots.empty())
          moveToSlices(loop, slots);
      }
    }
  }

  /// Buffers of an item are the item's own.
  static LogicalResult moveToStack(memref::AllocOp alloc) {
    MemRefType type = alloc.getType();
    int64_t bytes = getElementBytes(alloc, type);
    std::optional<int64_t> elements = moe::boundElements(alloc);
    if (!elements || llvm::MulOverflow(bytes, *elements, bytes) ||
        bytes > std::numeric_limits<int32_t>::max())
      return alloc.emitError("buffers inside of parallel loops need a constant "
                             "bound of their size; tile the loop body, or "
                             "allocate a slice per item outside of the loop");
    OpBuilder b(alloc);
    Location loc = alloc.getLoc();
    auto alignment = b.getI64IntegerAttr(moe::kBufferAlignment);
    Value slot;
    if (type.hasStaticShape()) {
      slot = memref::AllocaOp::create(b, loc, type, ValueRange(), alignment);
    } else {
      slot = memref::AllocaOp::create(b, loc,
                                      MemRefType::get({bytes}, b.getI8Type()),
                                      ValueRange(), alignment);
      Value zero = arith::ConstantIndexOp::create(b, loc, 0);
      slot = memref::ViewOp::create(b, loc, type, slot, zero,
                                    alloc.getDynamicSizes());
    }
    alloc.replaceAllUsesWith(slot);
    alloc.erase();
    return success();
  }

  static int64_t getElementBytes(Operation *op, MemRefType type) {
    return DataLayout::closest(op).getTypeSize(type.getElementType());
  }

  static int64_t getBytes(memref::AllocaOp slot) {
    MemRefType type = slot.getType();
    if (!type.hasStaticShape())
      return 0;
    return llvm::alignTo(type.getNumElements() * getElementBytes(slot, type),
                         moe::kBufferAlignment);
  }

  /// Those that have to go until the rest of the frame fits.
  static SmallVector<memref::AllocaOp>
  chooseSlots(ArrayRef<memref::AllocaOp> all) {
    SmallVector<memref::AllocaOp> slots(all), chosen;
    llvm::stable_sort(slots, [&](memref::AllocaOp x, memref::AllocaOp y) {
      return getBytes(x) > getBytes(y);
    });
    int64_t total = 0;
    for (memref::AllocaOp slot : slots)
      total += getBytes(slot);
    for (memref::AllocaOp slot : slots) {
      if (total <= moe::kMaxFrameBytes)
        break;
      total -= getBytes(slot);
      chosen.push_back(slot);
    }
    return chosen;
  }

  /// Item i of the new loop does items i, i + kSlices, ... with slice i.
  static void moveToSlices(scf::ParallelOp loop,
                           ArrayRef<memref::AllocaOp> slots) {
    Location loc = loop.getLoc();
    OpBuilder b(loop);
    Value zero = arith::ConstantIndexOp::create(b, loc, 0);
    Value one = arith::ConstantIndexOp::create(b, loc, 1);
    Value slices = arith::ConstantIndexOp::create(b, loc, kSlices);
    SmallVector<Value> extents;
    Value items = one;
    for (auto [lower, upper, step] : llvm::zip_equal(
             loop.getLowerBound(), loop.getUpperBound(), loop.getStep())) {
      Value extent = b.createOrFold<arith::CeilDivSIOp>(
          loc, b.createOrFold<arith::SubIOp>(loc, upper, lower), step);
      extents.push_back(b.createOrFold<arith::MaxSIOp>(loc, extent, zero));
      items = b.createOrFold<arith::MulIOp>(loc, items, extents.back());
    }
    SmallVector<Value> buffers;
    for (memref::AllocaOp slot : slots)
      buffers.push_back(memref::AllocOp::create(
          b, loc, MemRefType::get({kSlices * getBytes(slot)}, b.getI8Type()),
          b.getI64IntegerAttr(moe::kBufferAlignment)));
    Value count = arith::MinSIOp::create(b, loc, items, slices);
    auto outer = scf::ParallelOp::create(
        b, loc, ValueRange{zero}, ValueRange{count}, ValueRange{one},
        [](OpBuilder &, Location, ValueRange) {});
    b.setInsertionPointToStart(outer.getBody());
    Value slice = outer.getInductionVars()[0];
    for (auto [slot, buffer] : llvm::zip_equal(slots, buffers)) {
      memref::AllocaOp alloca = slot;
      Value bytes = arith::ConstantIndexOp::create(b, loc, getBytes(alloca));
      Value offset = arith::MulIOp::create(b, loc, slice, bytes);
      Value view = memref::ViewOp::create(b, loc, alloca.getType(), buffer,
                                          offset, ValueRange());
      alloca.replaceAllUsesWith(view);
      alloca.erase();
    }
    auto inner = scf::ForOp::create(b, loc, slice, items, slices);
    b.setInsertionPointToStart(inner.getBody());
    Value item = inner.getInductionVar();
    for (int64_t d = loop.getNumLoops() - 1; d >= 0; --d) {
      Value position = item;
      if (d > 0) {
        position = arith::RemUIOp::create(b, loc, item, extents[d]);
        item = arith::DivUIOp::create(b, loc, item, extents[d]);
      }
      position =
          b.createOrFold<arith::MulIOp>(loc, position, loop.getStep()[d]);
      position =
          b.createOrFold<arith::AddIOp>(loc, position, loop.getLowerBound()[d]);
      loop.getInductionVars()[d].replaceAllUsesWith(position);
    }
    Block *body = inner.getBody();
    body->getOperations().splice(
        std::prev(body->end()), loop.getBody()->getOperations(),
        loop.getBody()->begin(), std::prev(loop.getBody()->end()));
    loop.erase();
  }
};

} // namespace
