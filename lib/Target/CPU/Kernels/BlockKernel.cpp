//===- BlockKernel.cpp - Kernels of weights in a format --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What all of them share: reading, the loops over blocks and rounds,
// prefetching.
//
//===----------------------------------------------------------------------===//

#include "BlockKernel.h"
#include "moe/SparseFormats.h"

#include "llvm/Support/xxhash.h"

using namespace mlir;
using namespace moe;
using moecpu::Inner;
using moecpu::ScheduleAttr;

/// Of what a block's rounds share, so much is kept in registers.
static constexpr int64_t kSharedRegisters = 2;
static constexpr int64_t kLineBytes = 64;

/// Vectors of columns for which `rows` rows have registers. One spares what is
/// done for each of them, two the loading of rows.
static int64_t getVectors(ScheduleAttr schedule, int64_t rows) {
  if (!schedule.multipliesBytes())
    return 2;
  int64_t sums =
      schedule.getPlanes() * (schedule.getInner() == Inner::MaddInt8 ? 2 : 1) +
      1;
  return 2 * rows * sums <= (schedule.getLanes() == 8 ? 8 : 24) ? 2 : 1;
}

int64_t moe::getBlockPasses(ScheduleAttr schedule, int64_t rows) {
  return kPanelColumns / (getVectors(schedule, rows) * schedule.getLanes());
}

BlockSizes moe::getBlockSizes(ScheduleAttr schedule, moecpu::BlocksAttr layout,
                              int64_t k) {
  int64_t panel = layout.getBlockBytes(k);
  return {panel, getLhsBlockBytes(schedule, layout.getFormat(), k),
          llvm::divideCeil(panel, 2 * kLineBytes),
          layout.getFormat().getBlockSize(k) * kPanelColumns *
              getLhsElementType(schedule).getIntOrFloatBitWidth() / 8};
}

BlockShape::BlockShape(ScheduleAttr schedule, moecpu::BlocksAttr layout,
                       int64_t k, int64_t rows)
    : schedule(schedule), layout(layout), k(k), format(layout.getFormat()),
      fields(format.getFields(k)), rounds(format.getRounds(k)),
      lanes(schedule.getLanes()), rows(rows),
      vectors(getVectors(schedule, rows)) {}

//===----------------------------------------------------------------------===//
// PanelReader
//===----------------------------------------------------------------------===//

Value PanelReader::load(int64_t field, Type type, Value index, int64_t size) {
  int64_t offset = shape.layout.getFieldOffset(shape.k, field) + column * size;
  APInt constant;
  Value pointer = block;
  if (matchPattern(index, m_ConstantInt(&constant)))
    offset += constant.getSExtValue() * kPanelColumns * size;
  else
    pointer = e.displace(block, e.toI64(indexOf(index, kPanelColumns * size)));
  return LLVM::LoadOp::create(e, type, e.displace(pointer, offset),
                              /*alignment=*/std::min<int64_t>(size, 4));
}

Value PanelReader::readWord(int64_t field, Value index) {
  assert(shape.fields[field].isWords() && "a field of other numbers");
  return load(field, getIntType(), index, 4);
}

Value PanelReader::readNumber(int64_t field, Value index) {
  const BlockField &from = shape.fields[field];
  if (from.isWords()) {
    Value word = readWord(field, quotient(index, 4));
    APInt constant;
    if (matchPattern(index, m_ConstantInt(&constant)))
      return bitAnd(shiftRight(word, constant.getSExtValue() % 4 * 8), 255);
    return bitAnd(shiftRight(word, e.mul(e.rem(index, e.idx(4)), 8)), 255);
  }
  VectorType type = e.vec(shape.lanes, from.element);
  Value number = load(field, type, index, from.getBytes() / from.count);
  if (from.element.isF32() || from.element.isInteger(32))
    return number;
  if (isa<FloatType>(from.element))
    return arith::ExtFOp::create(e, getFloatType(), number);
  return arith::ExtUIOp::create(e, getIntType(), number);
}

Value PanelReader::lookUp(Value codes, ArrayRef<int8_t> table) {
  assert(table.size() == 16 && "codes are below 16");
  VectorType bytes = e.vec(4 * shape.lanes, e.getI8Type());
  SmallVector<int8_t> repeated;
  for (int64_t i = 0; i < bytes.getNumElements(); ++i)
    repeated.push_back(table[i % 16]);
  Value from = arith::ConstantOp::create(
      e, DenseElementsAttr::get(bytes, ArrayRef<int8_t>(repeated)));
  StringRef name = shape.lanes == 16  ? "llvm.x86.avx512.pshuf.b.512"
                   : shape.lanes == 8 ? "llvm.x86.avx2.pshuf.b"
                                      : "llvm.aarch64.neon.tbl1.v16i8";
  Value result = LLVM::CallIntrinsicOp::create(
                     e, bytes, e.getStringAttr(name),
                     ValueRange{from, LLVM::BitcastOp::create(e, bytes, codes)})
                     .getResult(0);
  return LLVM::BitcastOp::create(e, getIntType(), result);
}

/// A constant of i32, once for the module.
static Value getTable(Emitter &e, ArrayRef<uint16_t> table) {
  auto module =
      e.getInsertionBlock()->getParentOp()->getParentOfType<ModuleOp>();
  std::string name =
      "moek_table_" +
      llvm::utohexstr(llvm::xxh3_64bits(ArrayRef(
          reinterpret_cast<const uint8_t *>(table.data()), 2 * table.size())));
  auto size = static_cast<int64_t>(table.size());
  auto type = MemRefType::get({size}, e.getI32Type());
  if (!module.lookupSymbol(name)) {
    OpBuilder::InsertionGuard guard(e);
    e.setInsertionPointToStart(module.getBody());
    SmallVector<int32_t> entries(table.begin(), table.end());
    memref::GlobalOp::create(
        e, name, e.getStringAttr("private"), type,
        DenseElementsAttr::get(RankedTensorType::get({size}, e.getI32Type()),
                               ArrayRef<int32_t>(entries)),
        /*constant=*/true, e.getI64IntegerAttr(64));
  }
  return memref::GetGlobalOp::create(e, type, name);
}

Value PanelReader::lookUp(Value indices, ArrayRef<uint16_t> table) {
  VectorType type = e.vec(shape.lanes, e.getI32Type());
  VectorType maskType = e.vec(shape.lanes, e.getI1Type());
  Value all = arith::ConstantOp::create(
      e, SplatElementsAttr::get(maskType, e.getBoolAttr(true)));
  return vector::GatherOp::create(e, type, getTable(e, table),
                                  ValueRange{e.idx(0)}, indices, all,
                                  e.zeros(type));
}

void PanelReader::setShared(ArrayRef<Value> values, Value to) {
  shared.assign(values.begin(), values.end());
  stack = to;
  if (!stack)
    return;
  for (auto [i, value] : llvm::enumerate(shared))
    LLVM::StoreOp::create(e, value, e.displace(stack, i * shape.lanes * 4), 4);
}

Value PanelReader::readShared(Value index) {
  APInt constant;
  if (!stack) {
    bool isKnown = matchPattern(index, m_ConstantInt(&constant));
    assert(isKnown && "what is in registers has no dynamic index");
    (void)isKnown;
    return shared[constant.getSExtValue()];
  }
  Value pointer = e.displace(stack, e.toI64(indexOf(index, shape.lanes * 4)));
  return LLVM::LoadOp::create(e, getFloatType(), pointer, 4);
}

//===----------------------------------------------------------------------===//
// BlockPass
//===----------------------------------------------------------------------===//

BlockPass::BlockPass(Emitter &e, const BlockShape &shape, int64_t pitch,
                     int64_t pass, const BlockArguments &arguments)
    : e(e), shape(shape), rows(shape.rows), pitch(pitch), pass(pass),
      arguments(arguments) {
  for (int64_t v = 0; v < shape.vectors; ++v)
    readers.emplace_back(e, shape, (pass * shape.vectors + v) * shape.lanes);
}

/// Where number `i` of the tile is parked, from the first column of a pass on.
static int64_t getParked(const BlockShape &shape, int64_t i) {
  return i / shape.vectors * kStepBytes + i % shape.vectors * shape.lanes * 4;
}

SmallVector<Value> BlockPass::loadTile(Value acc) {
  SmallVector<Value> tile;
  for (int64_t i = 0; i < rows * shape.vectors; ++i)
    tile.push_back(LLVM::LoadOp::create(
        e, e.vecF32(shape.lanes), e.displace(acc, getParked(shape, i)), 4));
  return tile;
}

void BlockPass::storeTile(Value acc, ValueRange tile) {
  for (auto [i, value] : llvm::enumerate(tile))
    LLVM::StoreOp::create(e, value, e.displace(acc, getParked(shape, i)), 4);
}

void BlockPass::emit() {
  Value acc = e.displace(arguments.acc, pass * shape.vectors * shape.lanes * 4);
  BlockSizes sizes = getBlockSizes(shape.schedule, shape.layout, shape.k);
  bool readsValues = arguments.role == Role::Widened;
  SmallVector<Value> init = loadTile(acc);
  size_t size = init.size();
  init.append({arguments.panel, arguments.lhs});
  // The first pass fetches for all.
  bool fetchesNext = arguments.next && pass == 0;
  if (fetchesNext)
    init.push_back(arguments.next);
  if (arguments.widened)
    init.push_back(arguments.widened);
  auto loop = scf::ForOp::create(e, e.idx(0), e.toIndex(arguments.blocks),
                                 e.idx(1), init);
  {
    OpBuilder::InsertionGuard guard(e);
    e.setInsertionPointToStart(loop.getBody());
    SmallVector<Value> carried(loop.getRegionIterArgs());
    block = carried[size];
    Value lhs = carried[size + 1];
    next = fetchesNext ? carried[size + 2] : Value();
    values = arguments.widened ? carried.back() : readsValues ? block : Value();
    if (!readsValues)
      readShared();
    emitBlock(lhs, MutableArrayRef(carried).take_front(size));
    carried[size] =
        e.displace(block, readsValues ? sizes.widened : sizes.panel);
    carried[size + 1] = e.displace(lhs, sizes.lhs);
    if (fetchesNext)
      carried[size + 2] = next;
    if (arguments.widened)
      carried.back() = e.displace(values, sizes.widened);
    scf::YieldOp::create(e, carried);
  }
  storeTile(acc, loop.getResults().take_front(size));
}

void BlockPass::readShared() {
  for (auto [v, reader] : llvm::enumerate(readers)) {
    reader.setBlock(block);
    SmallVector<Value> shared;
    shape.format.buildShared(reader, shape.k, shared);
    // May be more than registers hold.
    int64_t count = shared.size();
    if (count > kSharedRegisters && stacks.size() == v) {
      OpBuilder::InsertionGuard guard(e);
      e.setInsertionPointToStart(&e.getBlock()
                                      ->getParentOp()
                                      ->getParentOfType<func::FuncOp>()
                                      .front());
      auto memory = MemRefType::get({count * shape.lanes}, e.getF32Type());
      stacks.push_back(e.toPtr(e.address(
          memref::AllocaOp::create(e, memory, e.getI64IntegerAttr(64)))));
    }
    reader.setShared(shared, stacks.empty() ? Value() : stacks[v]);
  }
}

void BlockPass::emitPrefetches(Value line, int64_t lines, int64_t steps) {
  if (pass != 0)
    return;
  if (next)
    return emitBetweenProducts(e, steps, [&](int64_t) {
      emitPrefetch(e, next, shape.schedule.getPrefetchLevel());
      next = e.displace(next, arguments.stride);
    });
  moecpu::PrefetchAttr rule = shape.schedule.getPrefetchOf(rows);
  if (!rule || rule.getAhead().empty())
    return;
  emitBetweenProducts(e, lines, [&](int64_t i) {
    for (auto [distance, level] : llvm::zip(rule.getAhead(), rule.getLevels()))
      emitPrefetch(e, e.displace(line, i * kLineBytes + distance), level);
  });
}

void BlockPass::emitRounds(
    MutableArrayRef<Value> tile,
    llvm::function_ref<void(Value, Value, MutableArrayRef<Value>)> body) {
  emitLoops(shape.rounds.periods, shape.rounds.words, tile, body);
}

void BlockPass::emitPeriods(
    MutableArrayRef<Value> tile,
    llvm::function_ref<void(Value, MutableArrayRef<Value>)> body) {
  emitLoops(shape.rounds.periods, 1, tile,
            [&](Value period, Value, MutableArrayRef<Value> tile) {
              body(period, tile);
            });
}

void BlockPass::emitLoops(
    int64_t periods, int64_t words, MutableArrayRef<Value> tile,
    llvm::function_ref<void(Value, Value, MutableArrayRef<Value>)> body) {
  BlockSizes sizes = getBlockSizes(shape.schedule, shape.layout, shape.k);
  int64_t rounds = periods * words;
  int64_t lines = llvm::divideCeil(sizes.panel, kLineBytes);
  int64_t ofRound = lines / rounds, stepsOfRound = sizes.steps / rounds;
  // What rounds do not share out evenly comes first.
  int64_t rest = lines - ofRound * rounds;
  emitPrefetches(block, rest, sizes.steps - stepsOfRound * rounds);
  auto nest = [&](int64_t count, auto &&inner) {
    if (count == 1)
      return inner(e.idx(0));
    SmallVector<Value> init(tile);
    if (next)
      init.push_back(next);
    auto loop = scf::ForOp::create(e, e.idx(0), e.idx(count), e.idx(1), init);
    OpBuilder::InsertionGuard guard(e);
    e.setInsertionPointToStart(loop.getBody());
    auto enter = [&](ValueRange values) {
      llvm::copy(values.take_front(tile.size()), tile.begin());
      if (next)
        next = values.back();
    };
    enter(loop.getRegionIterArgs());
    inner(loop.getInductionVar());
    SmallVector<Value> results(tile);
    if (next)
      results.push_back(next);
    scf::YieldOp::create(e, results);
    enter(loop.getResults());
  };
  nest(periods, [&](Value period) {
    nest(words, [&](Value word) {
      Value round = e.add(e.mul(period, words), word);
      Value line = e.displace(
          block,
          e.toI64(e.mul(e.add(e.mul(round, ofRound), rest), kLineBytes)));
      body(period, word, tile);
      emitPrefetches(line, ofRound, stepsOfRound);
    });
  });
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

static func::FuncOp getOrCreate(ModuleOp module, ScheduleAttr schedule,
                                moecpu::BlocksAttr layout, int64_t k,
                                int64_t pitch, Role role) {
  MLIRContext *context = module.getContext();
  std::string format;
  llvm::raw_string_ostream(format) << layout.getFormat();
  // Of "#moe.q4_0<...>" what may be in a name.
  StringRef mnemonic = StringRef(format).rsplit('.').second.take_while(
      [](char c) { return llvm::isAlnum(c) || c == '_'; });
  constexpr StringLiteral suffixes[] = {"", "_next", "_widening", "_widened"};
  std::string name =
      ("moek_" + moecpu::stringifyInner(schedule.getInner()) +
       (schedule.getPlanes() == 1 ? "" : "_planes2") + "_" + mnemonic + "_x" +
       Twine(schedule.getLanes()) + "_pitch" + Twine(pitch) + "_rows" +
       Twine(schedule.getRows()) + suffixes[static_cast<int>(role)])
          .str();
  Builder b(context);
  Attribute key = b.getArrayAttr(
      {getKernelSchedule(schedule, role), layout, b.getI64IntegerAttr(k)});
  Type i64 = b.getI64Type(), ptr = LLVM::LLVMPointerType::get(context);
  SmallVector<Type> types{i64, ptr, ptr, ptr};
  if (role != Role::Alone)
    types.append({ptr, i64});
  if (role == Role::Widening)
    types.push_back(ptr);
  return getOrCreateKernels(
      module, name, key, schedule.getRows(), types,
      [&](Emitter &e, int64_t rows, ValueRange args) {
        BlockArguments arguments{role,    args[0], args[1], args[2],
                                 args[3], {},      {},      {}};
        if (role != Role::Alone) {
          arguments.next = args[4];
          arguments.stride = args[5];
        }
        if (role == Role::Widening)
          arguments.widened = args[6];
        BlockShape shape(schedule, layout, k, rows);
        auto create = schedule.multipliesBytes() ? createDotPass
                      : choosesRowValues(schedule, layout.getFormat())
                          ? createSparsePass
                      : isa<ListedFormatAttrInterface>(
                            Attribute(layout.getFormat()))
                          ? createListPass
                          : createDecodePass;
        for (int64_t pass = 0; pass < getBlockPasses(schedule, rows); ++pass)
          create(e, shape, pitch, pass, arguments)->emit();
      });
}

MicroKernels moe::getOrCreateBlockKernels(ModuleOp module,
                                          ScheduleAttr schedule,
                                          moecpu::BlocksAttr layout, int64_t k,
                                          int64_t pitch) {
  auto create = [&](Role role) {
    return getOrCreate(module, schedule, layout, k, pitch, role);
  };
  MicroKernels kernels;
  kernels.alone = create(Role::Alone);
  kernels.shared = create(Role::Shared);
  // Not of a block that is too long for it, nor of zeros that nobody multiplies.
  if (skipsZeros(schedule, layout.getFormat()) ||
      schedule.getWidened() < getBlockSizes(schedule, layout, k).widened)
    return kernels;
  kernels.widening = create(Role::Widening);
  kernels.widened = create(Role::Widened);
  return kernels;
}
