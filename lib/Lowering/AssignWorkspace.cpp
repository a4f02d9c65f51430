//===- AssignWorkspace.cpp - One workspace for all buffers ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Buffers are placed into slots, large ones first, by their lifetimes in the
// order of the code: one made before a loop lives as long as the loop, one made
// in it for an iteration at most. A slot is as large as its largest occupant,
// computed at run time, so that sharing is right whatever the sizes are; which
// buffers share is only a matter of waste, for which sizes are guessed.
//
//===----------------------------------------------------------------------===//

#include "BufferUses.h"
#include "moe-mlir/Analysis/Dims.h"
#include "moe-mlir/Lowering/EntryPoints.h"
#include "moe-mlir/Lowering/Passes.h"

#include "moe_rt/MoeRt.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Affine/Utils.h"
#include "mlir/Dialect/Index/IR/IndexDialect.h"
#include "mlir/Interfaces/DataLayoutInterfaces.h"
#include "mlir/Interfaces/LoopLikeInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/StringMap.h"

namespace moe {
#define GEN_PASS_DEF_ASSIGNWORKSPACEPASS
#include "moe-mlir/Lowering/Passes.h.inc"
} // namespace moe

using namespace mlir;

namespace {

/// Rebuilds computations of sizes somewhere else, from nothing but the named
/// sizes. Equal computations are built once.
class SizeCloner {
public:
  SizeCloner(func::FuncOp function, const moe::EntrySizes &sizes,
             OpBuilder &builder, Location loc, ArrayRef<Value> sizeValues)
      : function(function), sizes(sizes), b(builder), loc(loc),
        sizeValues(sizeValues) {}

  /// The clone of `value`, or null when it depends on anything else.
  Value clone(Value value) { return get(value).second; }

  /// The bytes of `alloc`, rounded up; null when unknown.
  Value cloneBytes(memref::AllocOp alloc, int64_t elementBytes) {
    int64_t fixed = elementBytes;
    auto entry = constant(1);
    unsigned next = 0;
    for (int64_t extent : alloc.getType().getShape()) {
      if (!ShapedType::isDynamic(extent)) {
        fixed *= extent;
        continue;
      }
      auto dim = get(alloc.getDynamicSizes()[next++]);
      if (!dim.second)
        return {};
      entry = binary<arith::MulIOp>("*", entry, dim);
    }
    entry = binary<arith::MulIOp>("*", entry, constant(fixed));
    return align(entry).second;
  }

private:
  // A textual key that equal computations share, and the built value.
  using Entry = std::pair<std::string, Value>;

  Entry constant(int64_t value) {
    return unique("c" + std::to_string(value), [&]() -> Value {
      return arith::ConstantIndexOp::create(b, loc, value);
    });
  }

  template <typename OpTy> Entry binary(StringRef name, Entry lhs, Entry rhs) {
    if (name == "*" && lhs.first == "c1")
      return rhs;
    return unique(("(" + lhs.first + name + rhs.first + ")").str(),
                  [&]() -> Value {
                    return b.createOrFold<OpTy>(loc, lhs.second, rhs.second);
                  });
  }

  Entry align(Entry bytes) {
    if (auto value = getConstantIntValue(bytes.second))
      return constant(llvm::alignTo(*value, moe::kBufferAlignment));
    Entry sum =
        binary<arith::AddIOp>("+", bytes, constant(moe::kBufferAlignment - 1));
    return binary<arith::AndIOp>("&", sum, constant(-moe::kBufferAlignment));
  }

  Entry unique(std::string key, function_ref<Value()> build) {
    Value &value = built[key];
    if (!value)
      value = build();
    return {std::move(key), value};
  }

  Entry getDim(Value memref, int64_t dim) {
    auto type = dyn_cast<MemRefType>(memref.getType());
    if (!type || dim < 0 || dim >= type.getRank())
      return {};
    if (!type.isDynamicDim(dim))
      return constant(type.getDimSize(dim));
    if (auto argument = dyn_cast<BlockArgument>(memref)) {
      if (argument.getOwner() != &function.getBody().front())
        return {};
      auto size = sizes.lookup(argument.getArgNumber(), dim);
      if (!size)
        return {};
      return {"s" + std::to_string(*size), sizeValues[*size]};
    }
    Operation *op = memref.getDefiningOp();
    if (auto alloc = dyn_cast<memref::AllocOp>(op))
      return get(alloc.getDynamicSizes()[type.getDynamicDimIndex(dim)]);
    if (auto alloca = dyn_cast<memref::AllocaOp>(op))
      return get(alloca.getDynamicSizes()[type.getDynamicDimIndex(dim)]);
    if (auto view = dyn_cast<memref::ViewOp>(op))
      return get(view.getSizes()[type.getDynamicDimIndex(dim)]);
    if (auto cast = dyn_cast<memref::CastOp>(op))
      return getDim(cast.getSource(), dim);
    if (auto cast = dyn_cast<memref::ReinterpretCastOp>(op))
      return get(cast.getMixedSizes()[dim]);
    if (auto subview = dyn_cast<memref::SubViewOp>(op)) {
      llvm::SmallBitVector dropped = subview.getDroppedDims();
      int64_t kept = 0;
      for (auto [i, size] : llvm::enumerate(subview.getMixedSizes()))
        if (!dropped.test(i) && kept++ == dim)
          return get(size);
    }
    if (auto expand = dyn_cast<memref::ExpandShapeOp>(op))
      return get(expand.getMixedOutputShape()[dim]);
    if (auto collapse = dyn_cast<memref::CollapseShapeOp>(op)) {
      Entry product = constant(1);
      ReassociationIndices group = collapse.getReassociationIndices()[dim];
      for (int64_t d : group) {
        Entry size = getDim(collapse.getSrc(), d);
        if (!size.second)
          return {};
        product = binary<arith::MulIOp>("*", product, size);
      }
      return product;
    }
    return {};
  }

  Entry getSize(BlockArgument argument) {
    if (argument.getOwner() != &function.getBody().front())
      return {};
    StringRef name = moe::getSizeName(function, argument.getArgNumber());
    auto it = llvm::find(sizes.names(), name);
    if (name.empty() || it == sizes.names().end())
      return {};
    size_t size = it - sizes.names().begin();
    return {"s" + std::to_string(size), sizeValues[size]};
  }

  Entry get(OpFoldResult value) {
    if (auto attr = dyn_cast<Attribute>(value))
      return constant(cast<IntegerAttr>(attr).getInt());
    return get(cast<Value>(value));
  }

  Entry get(Value value) {
    if (auto folded = getConstantIntValue(value);
        folded && value.getType().isIndex())
      return constant(*folded);
    Operation *op = value.getDefiningOp();
    if (!op)
      return getSize(cast<BlockArgument>(value));
    if (auto it = memo.find(value); it != memo.end())
      return it->second;
    return memo[value] = compute(op, value);
  }

  Entry compute(Operation *op, Value value) {
    if (auto dim = dyn_cast<memref::DimOp>(op)) {
      auto index = dim.getConstantIndex();
      return index ? getDim(dim.getSource(), *index) : Entry();
    }
    if (!isa_and_nonnull<arith::ArithDialect, affine::AffineDialect,
                         index::IndexDialect>(op->getDialect()) ||
        op->getNumRegions() != 0 || op->getNumResults() != 1 || !isPure(op))
      return {};
    std::string key;
    llvm::raw_string_ostream os(key);
    os << op->getName() << op->getAttrDictionary() << "(";
    IRMapping mapping;
    for (Value operand : op->getOperands()) {
      Entry entry = get(operand);
      if (!entry.second)
        return {};
      os << entry.first << ",";
      mapping.map(operand, entry.second);
    }
    os << "):" << value.getType();
    return unique(key, [&] { return b.clone(*op, mapping)->getResult(0); });
  }

  func::FuncOp function;
  const moe::EntrySizes &sizes;
  OpBuilder &b;
  Location loc;
  ArrayRef<Value> sizeValues;
  llvm::StringMap<Value> built;
  llvm::DenseMap<Value, Entry> memo;
};

struct Buffer {
  memref::AllocOp alloc;
  unsigned begin = ~0u, end = 0;
  /// Set when the size follows from a bound instead of from named sizes.
  std::optional<int64_t> bound;
  Value bytes;
  /// Bytes if every dynamic size were kNominalSize.
  int64_t nominal = 0;
  unsigned slot = 0;
};

struct Slot {
  SmallVector<unsigned> occupants;
};

constexpr int64_t kNominalSize = 512;

int64_t getNominalBytes(MemRefType type, int64_t elementBytes) {
  int64_t bytes = elementBytes;
  for (int64_t extent : type.getShape())
    bytes =
        llvm::MulOverflow(
            bytes, ShapedType::isDynamic(extent) ? kNominalSize : extent, bytes)
            ? moe::kMaxBytes
            : bytes;
  return bytes;
}

struct AssignWorkspace : moe::impl::AssignWorkspacePassBase<AssignWorkspace> {
  using AssignWorkspacePassBase::AssignWorkspacePassBase;

  void runOnOperation() override {
    if (failed(moe::verifyDims(getOperation())))
      return signalPassFailure();
    SmallVector<func::FuncOp> entries;
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      if (moe::isEntryFunction(function)) {
        entries.push_back(function);
        continue;
      }
      WalkResult result = function.walk([](memref::AllocOp alloc) {
        alloc.emitOpError("allocates outside of an entry function; inline its "
                          "function or pass the buffer in");
        return WalkResult::interrupt();
      });
      if (result.wasInterrupted())
        return signalPassFailure();
    }
    for (func::FuncOp function : entries)
      if (failed(assign(function)))
        return signalPassFailure();
  }

  LogicalResult assign(func::FuncOp function) {
    FailureOr<moe::EntrySizes> sizes = moe::EntrySizes::get(function);
    if (failed(sizes))
      return failure();
    SmallVector<memref::DeallocOp> deallocs;
    SmallVector<memref::AllocOp> allocs;
    function.walk([&](Operation *op) {
      if (auto dealloc = dyn_cast<memref::DeallocOp>(op))
        deallocs.push_back(dealloc);
      if (auto alloc = dyn_cast<memref::AllocOp>(op))
        allocs.push_back(alloc);
    });
    for (memref::DeallocOp dealloc : deallocs)
      dealloc.erase();

    Block &body = function.getBody().front();
    if (!allocs.empty() && !llvm::hasSingleElement(function.getBody()))
      return function.emitOpError("allocates in unstructured control flow; use "
                                  "scf (--lift-cf-to-scf makes it)");
    // Where each op and all that is in it begin and end.
    llvm::DenseMap<Operation *, std::pair<unsigned, unsigned>> span;
    unsigned now = 0;
    function.walk([&](Operation *op, const WalkStage &stage) {
      if (stage.isBeforeAllRegions())
        span[op].first = now++;
      if (stage.isAfterAllRegions())
        span[op].second = now++;
    });

    // What the sizes are, at the top of the function.
    Location loc = function.getLoc();
    OpBuilder b = OpBuilder::atBlockBegin(&body);
    SmallVector<Value> sizeValues;
    for (unsigned i = 0, e = sizes->names().size(); i != e; ++i) {
      auto place = sizes->find(i);
      if (!place)
        return function.emitError()
               << "size '" << sizes->names()[i]
               << "' belongs to no argument (run moek-results-to-arguments "
                  "first)";
      Value argument = function.getArgument(place->first);
      if (!isa<MemRefType>(argument.getType()))
        return function.emitError() << "argument " << place->first
                                    << " is no memref; bufferize first";
      sizeValues.push_back(
          memref::DimOp::create(b, loc, argument, place->second));
    }
    SizeCloner cloner(function, *sizes, b, loc, sizeValues);

    DataLayout layout = DataLayout::closest(function);
    SmallVector<Buffer> buffers;
    for (memref::AllocOp alloc : allocs) {
      MemRefType type = alloc.getType();
      if (!type.getLayout().isIdentity())
        return alloc.emitOpError() << "allocates with a layout, " << type
                                   << "; only row-major buffers are placed";
      if (alloc.getAlignment().value_or(1) >
          static_cast<uint64_t>(moe::kBufferAlignment))
        return alloc.emitOpError() << "needs an alignment above "
                                   << moe::kBufferAlignment << " bytes";
      if (alloc.use_empty()) {
        alloc.erase();
        continue;
      }
      int64_t elementBytes = layout.getTypeSize(type.getElementType());
      if (alloc->getParentOfType<scf::ParallelOp>())
        return alloc.emitOpError("belongs to the item of a parallel loop (run "
                                 "moek-bound-frames first)");
      Buffer buffer;
      buffer.alloc = alloc;
      buffer.nominal = getNominalBytes(type, elementBytes);
      buffer.bytes = cloner.cloneBytes(alloc, elementBytes);
      if (!buffer.bytes) {
        auto elements = moe::boundElements(alloc);
        if (!elements)
          return alloc.emitError()
                 << "the size of this buffer neither follows from the "
                    "dimensions of the arguments nor has a constant bound, so "
                    "that the workspace cannot be sized before the call";
        buffer.bound =
            llvm::alignTo(*elements * elementBytes, moe::kBufferAlignment);
        buffer.bytes = arith::ConstantIndexOp::create(b, loc, *buffer.bound);
      }
      LogicalResult escapes = success();
      moe::forEachUse(alloc, [&](OpOperand &use) {
        Operation *user = use.getOwner();
        // What the first region of a `while` passes to the second stays within
        // one iteration.
        if (isa<scf::YieldOp>(user) &&
            isa<LoopLikeOpInterface>(user->getParentOp()) &&
            user->getParentOp()->isProperAncestor(alloc))
          escapes = failure();
        // Outside of the allocation's block if that yields it.
        Block *block = alloc->getBlock();
        Operation *at;
        while (!(at = block->findAncestorOpInBlock(*user)))
          block = block->getParentOp()->getBlock();
        auto [begin, end] = span.lookup(at);
        buffer.begin = std::min(buffer.begin, begin);
        buffer.end = std::max(buffer.end, end);
      });
      if (failed(escapes))
        return alloc.emitError(
            "a buffer allocated in a loop is passed on to the next iteration, "
            "and nothing shows that every iteration needs the same size; "
            "allocate it (or both of them) before the loop");
      buffers.push_back(buffer);
    }

    SmallVector<unsigned> order = llvm::to_vector(
        llvm::seq<unsigned>(0, static_cast<unsigned>(buffers.size())));
    llvm::stable_sort(order, [&](unsigned x, unsigned y) {
      return buffers[x].nominal > buffers[y].nominal;
    });
    SmallVector<Slot> slots;
    for (unsigned i : order) {
      Buffer &buffer = buffers[i];
      // The smallest that nothing else uses meanwhile; all are large enough.
      auto isFree = [&](const Slot &slot) {
        return reuse && llvm::none_of(slot.occupants, [&](unsigned other) {
                 return buffers[other].begin <= buffer.end &&
                        buffer.begin <= buffers[other].end;
               });
      };
      auto chosen = llvm::find_if(llvm::reverse(slots), isFree);
      if (chosen == slots.rend()) {
        slots.emplace_back();
        chosen = slots.rbegin();
      }
      chosen->occupants.push_back(i);
      buffer.slot = &*chosen - slots.data();
    }

    // The same sum twice: offsets in the function, the total in its own.
    auto total = [&](OpBuilder &builder, function_ref<Value(Buffer &)> bytes,
                     SmallVectorImpl<Value> *offsets) -> Value {
      Value sum = arith::ConstantIndexOp::create(builder, loc, 0);
      for (Slot &slot : slots) {
        if (offsets)
          offsets->push_back(sum);
        llvm::SetVector<Value> distinct;
        for (unsigned i : slot.occupants)
          distinct.insert(bytes(buffers[i]));
        Value size = distinct.front();
        for (Value other : llvm::drop_begin(distinct.getArrayRef()))
          size = builder.createOrFold<arith::MaxSIOp>(loc, size, other);
        sum = builder.createOrFold<arith::AddIOp>(loc, sum, size);
      }
      return sum;
    };
    emitSizeFunction(function, *sizes, buffers, total, layout);
    if (buffers.empty())
      return success();

    SmallVector<Value> offsets;
    total(
        b, [](Buffer &buffer) { return buffer.bytes; }, &offsets);
    MLIRContext *context = &getContext();
    auto attrs = DictionaryAttr::get(
        context, NamedAttribute(StringAttr::get(context, moe::kRoleAttr),
                                StringAttr::get(context, moe::kWorkspaceRole)));
    unsigned index = function.getNumArguments();
    auto workspaceType =
        MemRefType::get({ShapedType::kDynamic}, IntegerType::get(context, 8));
    if (failed(function.insertArgument(index, workspaceType, attrs, loc)))
      return failure();
    for (Buffer &buffer : buffers) {
      OpBuilder at(buffer.alloc);
      Value view = memref::ViewOp::create(
          at, buffer.alloc.getLoc(), buffer.alloc.getType(),
          function.getArgument(index), offsets[buffer.slot],
          buffer.alloc.getDynamicSizes());
      buffer.alloc.replaceAllUsesWith(view);
      buffer.alloc.erase();
    }
    return success();
  }

  void emitSizeFunction(
      func::FuncOp function, const moe::EntrySizes &sizes,
      MutableArrayRef<Buffer> buffers,
      function_ref<Value(OpBuilder &, function_ref<Value(Buffer &)>,
                         SmallVectorImpl<Value> *)>
          total,
      const DataLayout &layout) {
    Location loc = function.getLoc();
    OpBuilder b(&getContext());
    b.setInsertionPointAfter(function);
    SmallVector<Type> types(sizes.names().size(), b.getIndexType());
    auto sizeFunction =
        func::FuncOp::create(b, loc, (function.getName() + "__workspace").str(),
                             b.getFunctionType(types, b.getIndexType()));
    sizeFunction.setPrivate();
    b.setInsertionPointToStart(sizeFunction.addEntryBlock());
    SmallVector<Value> values(sizeFunction.getArguments());
    SizeCloner cloner(function, sizes, b, loc, values);
    Value sum = total(
        b,
        [&](Buffer &buffer) -> Value {
          if (buffer.bound)
            return arith::ConstantIndexOp::create(b, loc, *buffer.bound);
          return cloner.cloneBytes(
              buffer.alloc,
              layout.getTypeSize(buffer.alloc.getType().getElementType()));
        },
        nullptr);
    // A call with sizes that a check refuses needs no bytes: it tells why.
    Value fits = arith::ConstantIntOp::create(b, loc, 1, 1);
    for (auto check : function.getBody().front().getOps<moert::CheckOp>())
      if (Value ok = cloner.clone(check.getOk()))
        fits = b.createOrFold<arith::AndIOp>(loc, fits, ok);
    Value overflows = flagOverflow(sizeFunction);
    b.setInsertionPointToEnd(&sizeFunction.getBody().front());
    auto number = [&](int64_t value) -> Value {
      return arith::ConstantIndexOp::create(b, loc, value);
    };
    auto outside = [&](arith::CmpIPredicate predicate, int64_t value) -> Value {
      return arith::CmpIOp::create(b, loc, predicate, sum, number(value));
    };
    for (Value bad : {outside(arith::CmpIPredicate::slt, 0),
                      outside(arith::CmpIPredicate::sgt, moe::kMaxBytes)})
      overflows = arith::OrIOp::create(b, loc, overflows, bad);
    sum = arith::SelectOp::create(b, loc, overflows, number(moe::kTooManyBytes),
                                  sum);
    sum =
        arith::SelectOp::create(b, loc, fits, sum, number(moe::kRefusedSizes));
    func::ReturnOp::create(b, loc, sum);
  }

  /// Whether a sum or product in `function` (one block, no return yet) leaves
  /// 64 bits.
  static Value flagOverflow(func::FuncOp function) {
    Block &body = function.getBody().front();
    OpBuilder b = OpBuilder::atBlockEnd(&body);
    Location loc = function.getLoc();
    for (Operation &op : llvm::make_early_inc_range(body)) {
      AffineMap map;
      if (auto apply = dyn_cast<affine::AffineApplyOp>(op))
        map = apply.getAffineMap();
      else if (auto min = dyn_cast<affine::AffineMinOp>(op))
        map = min.getAffineMap();
      else if (auto max = dyn_cast<affine::AffineMaxOp>(op))
        map = max.getAffineMap();
      if (!map)
        continue;
      b.setInsertionPoint(&op);
      auto values =
          affine::expandAffineMap(b, op.getLoc(), map, op.getOperands());
      if (!values)
        continue;
      Value value = values->front();
      for (Value other : llvm::drop_begin(*values))
        value = isa<affine::AffineMinOp>(op)
                    ? Value(arith::MinSIOp::create(b, loc, value, other))
                    : Value(arith::MaxSIOp::create(b, loc, value, other));
      op.getResult(0).replaceAllUsesWith(value);
      op.erase();
    }
    b.setInsertionPointToStart(&body);
    Value flag = arith::ConstantIntOp::create(b, loc, 0, 1);
    Value zero = arith::ConstantIndexOp::create(b, loc, 0);
    Value top = arith::ConstantIndexOp::create(b, loc, 63);
    for (Operation &op : llvm::make_early_inc_range(body)) {
      if (!isa<arith::MulIOp, arith::AddIOp, arith::SubIOp>(op) ||
          !op.getResult(0).getType().isIndex())
        continue;
      b.setInsertionPointAfter(&op);
      Value x = op.getOperand(0), y = op.getOperand(1), value = op.getResult(0);
      Value bad;
      if (isa<arith::MulIOp>(op)) {
        auto wide = arith::MulSIExtendedOp::create(b, loc, x, y);
        value.replaceAllUsesWith(wide.getLow());
        Value sign = arith::ShRSIOp::create(b, loc, wide.getLow(), top);
        bad = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne,
                                    wide.getHigh(), sign);
        op.erase();
      } else {
        // The signs: of both operands unlike the sum's; of the first unlike
        // the second's and the difference's.
        Value other = isa<arith::AddIOp>(op) ? value : x;
        Value signs = arith::AndIOp::create(
            b, loc, arith::XOrIOp::create(b, loc, x, value),
            arith::XOrIOp::create(b, loc, y, other));
        bad = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, signs,
                                    zero);
      }
      flag = arith::OrIOp::create(b, loc, flag, bad);
    }
    return flag;
  }
};

} // namespace
