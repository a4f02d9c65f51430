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

using namespace mlir;
using namespace moe;
using moecpu::Inner;
using moecpu::ScheduleAttr;

/// Of what a block's rounds share, so much is kept in registers.
static constexpr int64_t kSharedRegisters = 2;
static constexpr int64_t kLineBytes = 64;

static int64_t getVectors(ScheduleAttr) { return 2; }

int64_t moe::getBlockPasses(ScheduleAttr schedule) {
  return kPanelColumns / (getVectors(schedule) * schedule.getLanes());
}

BlockSizes moe::getBlockSizes(ScheduleAttr schedule, moecpu::BlocksAttr layout,
                              int64_t k) {
  int64_t panel = layout.getBlockBytes(k);
  return {panel, getLhsBlockBytes(schedule.getInner(), layout.getFormat(), k),
          llvm::divideCeil(panel, 2 * kLineBytes)};
}

BlockShape::BlockShape(ScheduleAttr schedule, moecpu::BlocksAttr layout,
                       int64_t k)
    : schedule(schedule), layout(layout), k(k), format(layout.getFormat()),
      fields(format.getFields(k)), rounds(format.getRounds(k)),
      lanes(schedule.getLanes()), vectors(getVectors(schedule)) {}

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

BlockPass::BlockPass(Emitter &e, const BlockShape &shape, int64_t rows,
                     int64_t pitch, int64_t pass,
                     const BlockArguments &arguments)
    : e(e), shape(shape), rows(rows), pitch(pitch), pass(pass),
      arguments(arguments) {
  for (int64_t v = 0; v < shape.vectors; ++v)
    readers.emplace_back(e, shape, (pass * shape.vectors + v) * shape.lanes);
}

void BlockPass::emit() {
  VectorType type = e.vecF32(shape.lanes);
  auto parked = [&](int64_t i) {
    int64_t r = i / shape.vectors, v = i % shape.vectors;
    return e.displace(arguments.acc,
                      r * kStepBytes +
                          (pass * shape.vectors + v) * shape.lanes * 4);
  };
  // What is shared may be more than registers hold.
  BlockSizes sizes = getBlockSizes(shape.schedule, shape.layout, shape.k);
  {
    // Built once to be counted, then dropped.
    OpBuilder::InsertionGuard guard(e);
    Block unused;
    e.setInsertionPointToStart(&unused);
    readers[0].setBlock(arguments.panel);
    SmallVector<Value> values;
    shape.format.buildShared(readers[0], shape.k, values);
    numShared = values.size();
    unused.dropAllReferences();
  }
  if (numShared > kSharedRegisters)
    for (int64_t v = 0; v < shape.vectors; ++v) {
      auto memory = MemRefType::get({numShared * shape.lanes}, e.getF32Type());
      stacks.push_back(e.toPtr(e.address(
          memref::AllocaOp::create(e, memory, e.getI64IntegerAttr(64)))));
    }
  SmallVector<Value> init;
  int64_t size = rows * shape.vectors;
  for (int64_t i = 0; i < size; ++i)
    init.push_back(LLVM::LoadOp::create(e, type, parked(i), 4));
  init.append({arguments.panel, arguments.lhs});
  bool fetchesNext = arguments.next && pass == 0;
  if (fetchesNext)
    init.push_back(arguments.next);
  auto loop = scf::ForOp::create(e, e.idx(0), e.toIndex(arguments.blocks),
                                 e.idx(1), init);
  {
    OpBuilder::InsertionGuard guard(e);
    e.setInsertionPointToStart(loop.getBody());
    SmallVector<Value> carried(loop.getRegionIterArgs());
    block = carried[size];
    Value lhs = carried[size + 1];
    next = fetchesNext ? carried.back() : Value();
    for (auto [v, reader] : llvm::enumerate(readers)) {
      reader.setBlock(block);
      SmallVector<Value> values;
      shape.format.buildShared(reader, shape.k, values);
      reader.setShared(values, stacks.empty() ? Value() : stacks[v]);
    }
    emitBlock(lhs, MutableArrayRef(carried).take_front(size));
    carried[size] = e.displace(block, sizes.panel);
    carried[size + 1] = e.displace(lhs, sizes.lhs);
    if (fetchesNext)
      carried.back() = next;
    scf::YieldOp::create(e, carried);
  }
  for (int64_t i = 0; i < size; ++i)
    LLVM::StoreOp::create(e, loop.getResult(i), parked(i), 4);
}

void BlockPass::emitPrefetches(Value line, int64_t lines, int64_t steps) {
  if (pass != 0)
    return;
  if (next) {
    for (int64_t i = 0; i < steps; ++i) {
      emitPrefetch(e, next, shape.schedule.getPrefetchLevel());
      next = e.displace(next, arguments.stride);
    }
    return;
  }
  moecpu::PrefetchAttr rule = shape.schedule.getPrefetchOf(rows);
  if (!rule || rule.getAhead().empty())
    return;
  Value from = e.displace(block, e.toI64(e.mul(line, kLineBytes)));
  for (int64_t i = 0; i < lines; ++i)
    for (auto [distance, level] : llvm::zip(rule.getAhead(), rule.getLevels()))
      emitPrefetch(e, e.displace(from, i * kLineBytes + distance), level);
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
  emitPrefetches(e.idx(0), rest, sizes.steps - stepsOfRound * rounds);
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
      emitPrefetches(e.add(e.mul(round, ofRound), rest), ofRound, stepsOfRound);
      body(period, word, tile);
    });
  });
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

static func::FuncOp getOrCreate(ModuleOp module, const BlockShape &shape,
                                int64_t pitch, Role role) {
  ScheduleAttr schedule = shape.schedule;
  MLIRContext *context = module.getContext();
  std::string format;
  llvm::raw_string_ostream(format) << shape.format;
  // Of "#moe.q4_0<...>" what may be in a name.
  StringRef mnemonic = StringRef(format).rsplit('.').second.take_while(
      [](char c) { return llvm::isAlnum(c) || c == '_'; });
  std::string name =
      ("moek_" + moecpu::stringifyInner(schedule.getInner()) + "_" + mnemonic +
       "_x" + Twine(shape.lanes) + "_pitch" + Twine(pitch) + "_rows" +
       Twine(schedule.getRows()) + (role == Role::Shared ? "_next" : ""))
          .str();
  Builder b(context);
  Attribute key = b.getArrayAttr({getKernelSchedule(schedule, role),
                                  shape.layout, b.getI64IntegerAttr(shape.k)});
  Type i64 = b.getI64Type(), ptr = LLVM::LLVMPointerType::get(context);
  SmallVector<Type> types{i64, ptr, ptr, ptr};
  if (role == Role::Shared)
    types.append({ptr, i64});
  return getOrCreateKernels(
      module, name, key, schedule.getRows(), types,
      [&](Emitter &e, int64_t rows, ValueRange args) {
        BlockArguments arguments{args[0], args[1], args[2], args[3], {}, {}};
        if (role == Role::Shared) {
          arguments.next = args[4];
          arguments.stride = args[5];
        }
        for (int64_t pass = 0; pass < getBlockPasses(schedule); ++pass)
          (schedule.getInner() == Inner::DotInt8
               ? createDotPass
               : createDecodePass)(e, shape, rows, pitch, pass, arguments)
              ->emit();
      });
}

MicroKernels moe::getOrCreateBlockKernels(ModuleOp module,
                                          ScheduleAttr schedule,
                                          moecpu::BlocksAttr layout, int64_t k,
                                          int64_t pitch) {
  BlockShape shape(schedule, layout, k);
  MicroKernels kernels;
  kernels.alone = getOrCreate(module, shape, pitch, Role::Alone);
  kernels.shared = getOrCreate(module, shape, pitch, Role::Shared);
  return kernels;
}
