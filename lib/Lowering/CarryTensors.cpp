//===- CarryTensors.cpp - Loops keep their buffers --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A tensor that one iteration makes for the next would be a new buffer each
// time, and the workspace has no room for an unknown number of them. It is
// copied into the tensor that the iteration got instead, if both have the same
// sizes in every iteration.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Lowering/EntryPoints.h"
#include "moe-mlir/Lowering/Passes.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "llvm/ADT/TypeSwitch.h"

namespace moe {
#define GEN_PASS_DEF_CARRYTENSORSPASS
#include "moe-mlir/Lowering/Passes.h.inc"
} // namespace moe

using namespace mlir;

namespace {

/// The tensor whose elements `op` writes over to make `result`, or null.
Value getDestination(OpResult result) {
  Operation *op = result.getOwner();
  if (auto destination = dyn_cast<DestinationStyleOpInterface>(op))
    return destination.getTiedOpOperand(result)->get();
  return llvm::TypeSwitch<Operation *, Value>(op)
      .Case<tensor::InsertOp, tensor::InsertSliceOp>(
          [](auto insert) { return insert.getDest(); })
      .Case([](tensor::CastOp cast) { return cast.getSource(); })
      .Case([&](scf::ForOp loop) -> Value {
        // A loop that writes over what it carries.
        unsigned number = result.getResultNumber();
        Value value = loop.getYieldedValues()[number];
        while (auto inner = dyn_cast<OpResult>(value))
          if (value = getDestination(inner); !value)
            return {};
        return value == loop.getRegionIterArg(number)
                   ? loop.getInitArgs()[number]
                   : Value();
      })
      .Default([](Operation *) { return Value(); });
}

/// Sizes of tensors as texts: sizes with equal texts are equal.
class SizeTexts {
public:
  /// `value` has the sizes of `like` from now on.
  void assume(Value value, Value like) { assumed[value] = like; }
  void forget(Value value) { assumed.erase(value); }

  bool areEqual(Value x, Value y) {
    auto type = cast<RankedTensorType>(x.getType());
    for (int64_t d = 0; d < type.getRank(); ++d)
      if (getSize(x, d) != getSize(y, d))
        return false;
    return true;
  }

private:
  std::string unknown(Value value) {
    return "v" +
           std::to_string(
               unknowns.try_emplace(value, unknowns.size()).first->second);
  }
  std::string unknown(Value value, int64_t dim) {
    return unknown(value) + "." + std::to_string(dim);
  }

  std::string get(OpFoldResult size) {
    if (auto constant = getConstantIntValue(size))
      return std::to_string(*constant);
    auto value = cast<Value>(size);
    Operation *op = value.getDefiningOp();
    if (!op)
      return unknown(value);
    if (auto dim = dyn_cast<tensor::DimOp>(op))
      if (auto index = dim.getConstantIndex();
          index && isa<RankedTensorType>(dim.getSource().getType()))
        return getSize(dim.getSource(), *index);
    if (!isa<arith::ArithDialect, affine::AffineDialect>(op->getDialect()) ||
        op->getNumRegions() != 0 || op->getNumResults() != 1 ||
        !isMemoryEffectFree(op))
      return unknown(value);
    std::string text;
    llvm::raw_string_ostream os(text);
    os << op->getName() << op->getAttrDictionary() << "(";
    for (Value operand : op->getOperands())
      os << get(operand) << ",";
    os << ")";
    return text;
  }

  std::string getSize(Value value, int64_t dim) {
    auto type = cast<RankedTensorType>(value.getType());
    if (!type.isDynamicDim(dim))
      return std::to_string(type.getDimSize(dim));
    if (Value like = assumed.lookup(value))
      return getSize(like, dim);
    if (auto argument = dyn_cast<BlockArgument>(value))
      return getSize(argument, type, dim);
    auto result = cast<OpResult>(value);
    if (Value destination = getDestination(result))
      return getSize(destination, dim);
    using Text = std::string;
    return llvm::TypeSwitch<Operation *, Text>(result.getOwner())
        .Case([&](tensor::EmptyOp op) { return get(op.getDynamicSize(dim)); })
        .Case([&](tensor::ExtractSliceOp op) {
          llvm::SmallBitVector dropped = op.getDroppedDims();
          int64_t kept = 0;
          for (auto [i, size] : llvm::enumerate(op.getMixedSizes()))
            if (!dropped.test(i) && kept++ == dim)
              return get(size);
          return unknown(value, dim);
        })
        .Case([&](tensor::ExpandShapeOp op) {
          return get(op.getMixedOutputShape()[dim]);
        })
        .Case([&](tensor::CollapseShapeOp op) {
          ReassociationIndices group = op.getReassociationIndices()[dim];
          Text text = getSize(op.getSrc(), group.front());
          for (int64_t d : llvm::drop_begin(group))
            text += "*" + getSize(op.getSrc(), d);
          return group.size() == 1 ? text : "(" + text + ")";
        })
        .Case([&](scf::IfOp op) {
          unsigned number = result.getResultNumber();
          Text text = getSize(op.thenYield().getOperand(number), dim);
          return text == getSize(op.elseYield().getOperand(number), dim)
                     ? text
                     : unknown(value, dim);
        })
        .Case([&](scf::WhileOp op) {
          return getSize(
              op.getConditionOp().getArgs()[result.getResultNumber()], dim);
        })
        .Default([&](Operation *) { return unknown(value, dim); });
  }

  std::string getSize(BlockArgument argument, RankedTensorType type,
                      int64_t dim) {
    Operation *parent = argument.getOwner()->getParentOp();
    if (auto loop = dyn_cast_or_null<scf::WhileOp>(parent);
        loop && argument.getOwner() == loop.getAfterBody())
      return getSize(loop.getConditionOp().getArgs()[argument.getArgNumber()],
                     dim);
    if (auto function = dyn_cast_or_null<func::FuncOp>(parent))
      if (auto dims = function.getArgAttrOfType<ArrayAttr>(
              argument.getArgNumber(), moe::kDimsAttr)) {
        unsigned position = type.getDynamicDimIndex(dim);
        if (position < dims.size())
          if (auto name = dyn_cast<StringAttr>(dims[position]))
            return "'" + name.str() + "'";
      }
    return unknown(argument, dim);
  }

  llvm::DenseMap<Value, Value> assumed;
  llvm::DenseMap<Value, size_t> unknowns;
};

/// A tensor that a loop carries.
struct Slot {
  Value init;
  /// What an iteration gets; for a `while`, in its `before` region.
  BlockArgument argument;
  /// The same tensor where the iteration ends.
  Value destination;
  /// The operand that passes the next one on.
  OpOperand *yielded;
  /// The loop's own result, if it is certain to be this slot's.
  Value result;
  bool keepsSize = true;
  bool copied = false;

  /// The argument of this loop that the yielded tensor is made in place of.
  Value findRoot(Block *body) const {
    Value value = yielded->get();
    while (auto result = dyn_cast<OpResult>(value)) {
      value = getDestination(result);
      if (!value)
        return {};
    }
    return cast<BlockArgument>(value).getOwner() == body ? value : Value();
  }
};

struct CarryTensors : moe::impl::CarryTensorsPassBase<CarryTensors> {
  void runOnOperation() override {
    SmallVector<Operation *> loops;
    getOperation().walk([&](Operation *op) {
      if (isa<scf::ForOp, scf::WhileOp>(op))
        loops.push_back(op);
    });
    std::vector<SmallVector<Slot>> slots;
    for (Operation *loop : loops)
      slots.push_back(isa<scf::ForOp>(loop)
                          ? getSlots(cast<scf::ForOp>(loop))
                          : getSlots(cast<scf::WhileOp>(loop)));

    // By induction over all iterations of all loops: every slot keeps its size
    // unless that takes one that does not.
    SizeTexts sizes;
    SmallVector<Slot *> kept;
    for (SmallVector<Slot> &own : slots)
      for (Slot &slot : own) {
        sizes.assume(slot.argument, slot.init);
        if (slot.result)
          sizes.assume(slot.result, slot.init);
        kept.push_back(&slot);
      }
    while (true) {
      auto changes = llvm::find_if(kept, [&](Slot *slot) {
        return !sizes.areEqual(slot->yielded->get(), slot->init);
      });
      if (changes == kept.end())
        break;
      Slot *slot = *changes;
      sizes.forget(slot->argument);
      if (slot->result)
        sizes.forget(slot->result);
      slot->keepsSize = false;
      kept.erase(changes);
    }
    for (SmallVector<Slot> &own : slots)
      carry(own);
  }

  static SmallVector<Slot> getSlots(scf::ForOp loop) {
    SmallVector<Slot> slots;
    auto yielded = loop.getYieldedValuesMutable();
    for (auto [i, init] : llvm::enumerate(loop.getInitArgs())) {
      BlockArgument argument = loop.getRegionIterArg(i);
      if (isa<RankedTensorType>(argument.getType()))
        slots.push_back(
            {init, argument, argument, &(*yielded)[i], loop.getResult(i)});
    }
    return slots;
  }

  static SmallVector<Slot> getSlots(scf::WhileOp loop) {
    // The second region sees what the first passes on. Bufferization wants each
    // tensor at its own place there, or it makes a new one.
    Block *before = loop.getBeforeBody();
    auto passed = loop.getConditionOp().getArgs();
    bool inPlace = llvm::all_of(before->getArguments(), [&](BlockArgument arg) {
      unsigned at = arg.getArgNumber();
      return !isa<RankedTensorType>(arg.getType()) ||
             (at < passed.size() && passed[at] == arg);
    });
    if (!inPlace)
      loop = passAll(loop);
    SmallVector<Slot> slots;
    MutableArrayRef<OpOperand> yielded = loop.getYieldOp()->getOpOperands();
    for (auto [i, init] : llvm::enumerate(loop.getInits()))
      if (isa<RankedTensorType>(init.getType()))
        slots.push_back({init, loop.getBeforeArguments()[i],
                         loop.getAfterArguments()[i], &yielded[i], Value()});
    return slots;
  }

  /// `loop` with all arguments of its first region passed on first.
  static scf::WhileOp passAll(scf::WhileOp loop) {
    OpBuilder b(loop);
    Block *before = loop.getBeforeBody(), *after = loop.getAfterBody();
    unsigned count = before->getNumArguments();
    SmallVector<Value> passed(before->getArguments());
    llvm::append_range(passed, loop.getConditionOp().getArgs());
    loop.getConditionOp().getArgsMutable().assign(passed);
    SmallVector<Type> types(ValueRange(passed).getTypes());
    for (unsigned i = 0; i < count; ++i)
      after->insertArgument(i, types[i], before->getArgument(i).getLoc());
    auto wider = scf::WhileOp::create(b, loop.getLoc(), types, loop.getInits(),
                                      nullptr, nullptr);
    wider.getBefore().takeBody(loop.getBefore());
    wider.getAfter().takeBody(loop.getAfter());
    wider->setDiscardableAttrs(loop->getDiscardableAttrDictionary());
    loop->replaceAllUsesWith(wider->getResults().drop_front(count));
    loop.erase();
    return wider;
  }

  /// Whether an inner loop writes `value` over what is in `slot`, which nobody
  /// reads any more. A copy to there would keep bufferization from seeing it.
  static bool isInPlace(OpResult value, const Slot &slot) {
    auto loop = cast<scf::ForOp>(value.getOwner());
    Block *body = slot.yielded->getOwner()->getBlock();
    if (getDestination(value) != slot.destination)
      return false;
    return llvm::all_of(slot.destination.getUsers(), [&](Operation *user) {
      Operation *around = body->findAncestorOpInBlock(*user);
      return user == loop || (around && around->isBeforeInBlock(loop));
    });
  }

  static void carry(MutableArrayRef<Slot> slots) {
    // New tensors are copied; so is what stays in a slot that is copied to.
    llvm::DenseMap<Value, Slot *> slotOf;
    for (Slot &slot : slots)
      slotOf[slot.destination] = &slot;
    bool changed = true;
    auto mustCopy = [&](Slot *slot) {
      Value value = slot->yielded->get();
      if (value == slot->destination)
        return false;
      if (Slot *other = slotOf.lookup(value))
        return other->copied;
      if (auto loop = value.getDefiningOp<scf::ForOp>();
          loop && isInPlace(cast<OpResult>(value), *slot))
        return false;
      return value.getParentRegion()->getParentOp() ==
             slot->yielded->getOwner()->getParentOp();
    };
    while (std::exchange(changed, false))
      for (Slot &slot : slots)
        if (slot.keepsSize && !slot.copied && mustCopy(&slot))
          slot.copied = changed = true;

    // A tensor is read before another is copied over it.
    SmallVector<Slot *> left;
    for (Slot &slot : slots)
      if (slot.copied)
        left.push_back(&slot);
    while (!left.empty()) {
      auto isRead = [&](Slot *slot) {
        return llvm::any_of(left, [&](Slot *other) {
          return other != slot &&
                 other->findRoot(other->yielded->getOwner()->getBlock()) ==
                     slot->destination;
        });
      };
      auto next = llvm::find_if_not(left, isRead);
      if (next == left.end())
        next = left.begin();
      Slot *slot = *next;
      left.erase(next);
      OpBuilder b(slot->yielded->getOwner());
      slot->yielded->set(
          linalg::CopyOp::create(b, slot->yielded->get().getLoc(),
                                 slot->yielded->get(), slot->destination)
              .getResult(0));
    }
  }
};

} // namespace
