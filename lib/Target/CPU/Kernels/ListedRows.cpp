//===- ListedRows.cpp - Rows of which most values are zeros -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A zero is told by its bits, those of its sign aside: a NaN is none. No branch
// depends on a value; the one on the number of steps is for all panels of a
// run.
//
//===----------------------------------------------------------------------===//

#include "ListedRows.h"
#include "TileKernel.h"
#include "WordPacker.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace moe;
using moecpu::Inner;
using moecpu::ScheduleAttr;

/// How many steps of the list ahead the panel is fetched, and into which cache:
/// no hardware foresees the gaps between them. A short list ends in between, so
/// that it is the next panels that are fetched.
static constexpr int64_t kListedAhead = 64;
static constexpr int64_t kListedLevel = 2;

int64_t moe::getMaxListedRows(ScheduleAttr schedule) {
  return std::min<int64_t>(8, schedule.getRows());
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

/// One pass over its columns of the steps of a list.
static void emitListedPass(Emitter &e, TileKernel &kernel, Inner inner,
                           const TileKernel::Pass &pass, Value steps,
                           Value list, Value panel, Value lhs, Value acc) {
  assert(kernel.getSteps() == 1 && "steps of a list do not follow one another");
  SmallVector<Value> init = kernel.loadTile(pass, acc);
  if (pass.panelOffset)
    panel = e.displace(panel, pass.panelOffset);
  auto loop = scf::ForOp::create(e, e.idx(0), e.toIndex(steps), e.idx(1), init);
  {
    OpBuilder::InsertionGuard guard(e);
    e.setInsertionPointToStart(loop.getBody());
    SmallVector<Value> tile(loop.getRegionIterArgs());
    Value at = e.displace(list, e.toI64(e.mul(loop.getInductionVar(), 4)));
    auto loadStep = [&](int64_t ahead) -> Value {
      Value step =
          LLVM::LoadOp::create(e, e.getI32Type(), e.displace(at, ahead * 4), 4);
      return arith::IndexCastUIOp::create(e, e.getIndexType(), step);
    };
    auto displace = [&](Value base, Value step, int64_t bytes) {
      return e.displace(base, e.toI64(e.mul(step, bytes)));
    };
    Value step = loadStep(0);
    kernel.multiply(pass, displace(panel, step, kStepBytes),
                    displace(lhs, step, getLhsStepBytes(inner)), tile);
    if (SmallVector<int64_t> lines = kernel.getOwnLines(pass); !lines.empty()) {
      Value next = displace(panel, loadStep(kListedAhead), kStepBytes);
      for (int64_t line : lines)
        emitPrefetch(e, e.displace(next, line), kListedLevel);
    }
    scf::YieldOp::create(e, tile);
  }
  kernel.storeTile(pass, acc, loop.getResults());
}

func::FuncOp moe::getOrCreateListedKernels(ModuleOp module,
                                           ScheduleAttr schedule,
                                           int64_t pitch) {
  std::string name =
      ("moek_" + moecpu::stringifyInner(schedule.getInner()) + "_x" +
       Twine(schedule.getLanes()) + "_pitch" + Twine(pitch) + "_listed")
          .str();
  Builder b(module.getContext());
  Type i64 = b.getI64Type(), ptr = LLVM::LLVMPointerType::get(b.getContext());
  // Nothing else of a schedule is in their code.
  Attribute key = b.getArrayAttr(
      {b.getI64IntegerAttr(static_cast<int64_t>(schedule.getInner())),
       b.getI64IntegerAttr(getMaxListedRows(schedule))});
  return getOrCreateKernels(
      module, name, key, getMaxListedRows(schedule), {i64, ptr, ptr, ptr, ptr},
      [&](Emitter &e, int64_t rows, ValueRange args) {
        std::unique_ptr<TileKernel> tile =
            schedule.getLanes() == 4
                ? createNeonStepKernel(e, schedule, rows, pitch)
                : createX86Kernel(e, schedule, rows, pitch);
        tile->forEachPass([&](const TileKernel::Pass &pass) {
          emitListedPass(e, *tile, schedule.getInner(), pass, args[0], args[1],
                         args[2], args[3], args[4]);
        });
      });
}

//===----------------------------------------------------------------------===//
// Lists
//===----------------------------------------------------------------------===//

namespace {
/// The steps of k of some rows, a word of bits at a time.
class StepReader {
public:
  StepReader(Emitter &e, const PanelProduct &product, Value row, Value rows)
      : inner(product.schedule.getInner()), pitch(product.pitch),
        steps(product.blocks * kBlockSteps),
        bits(steps % 16 == 0 ? 16 : kBlockSteps), rows(rows),
        base(e.toPtr(e.add(product.lhs, e.mul(row, product.pitch)))) {}

  int64_t getBits() const { return bits; }

  /// `body` for each word of bits, one for each step with a value that is not
  /// 0, and the first of them, an index; the sum goes through all of them.
  Value forEachWord(
      Emitter &e, Value init,
      llvm::function_ref<Value(Emitter &, Value word, Value first, Value sum)>
          body) {
    auto loop =
        scf::ForOp::create(e, e.idx(0), e.idx(steps), e.idx(bits), init);
    OpBuilder::InsertionGuard guard(e);
    e.setInsertionPointToStart(loop.getBody());
    Value first = loop.getInductionVar();
    scf::YieldOp::create(
        e, body(e, readWord(e, first), first, loop.getRegionIterArg(0)));
    return loop.getResult(0);
  }

private:
  Inner inner;
  int64_t pitch, steps, bits;
  Value rows, base;

  Value readWord(Emitter &e, Value first) {
    VectorType type = e.vec(bits, e.getI32Type());
    int64_t parts = getLhsStepBytes(inner) / 4;
    Value at = e.displace(base, e.toI64(e.mul(first, getLhsStepBytes(inner))));
    SmallVector<Value> none(parts, e.zeros(type));
    auto loop = scf::ForOp::create(e, e.idx(0), rows, e.idx(1), none);
    {
      OpBuilder::InsertionGuard guard(e);
      e.setInsertionPointToStart(loop.getBody());
      Value own = e.displace(at, e.toI64(e.mul(loop.getInductionVar(), pitch)));
      SmallVector<Value> all;
      for (int64_t part = 0; part < parts; ++part) {
        Value values = LLVM::LoadOp::create(
            e, type, e.displace(own, part * bits * 4), /*alignment=*/4);
        all.push_back(
            arith::OrIOp::create(e, loop.getRegionIterArg(part), values));
      }
      scf::YieldOp::create(e, all);
    }
    // Two values of a step are two words of 32 bits, or halves of one.
    Value any = loop.getResult(0);
    if (parts == 2) {
      SmallVector<int64_t> even, odd;
      for (int64_t i = 0; i < bits; ++i) {
        even.push_back(2 * i);
        odd.push_back(2 * i + 1);
      }
      auto take = [&](ArrayRef<int64_t> which) -> Value {
        return vector::ShuffleOp::create(e, loop.getResult(0),
                                         loop.getResult(1), which);
      };
      any = arith::OrIOp::create(e, take(even), take(odd));
    }
    // All but signs.
    int64_t mask = inner == Inner::DotBF16 ? 0x7fff7fff : 0x7fffffff;
    any = arith::AndIOp::create(e, any, e.splat(e.i32(mask), type));
    Value isUsed =
        arith::CmpIOp::create(e, arith::CmpIPredicate::ne, any, e.zeros(type));
    Value word = vector::BitCastOp::create(
        e, VectorType::get({1}, e.getIntegerType(bits)), isUsed);
    return vector::ExtractOp::create(e, word, 0);
  }
};
} // namespace

ListedRows moe::emitListedRows(Emitter &e, const PanelProduct &product,
                               Value row, Value rows) {
  ScheduleAttr s = product.schedule;
  StepReader reader(e, product, row, rows);
  Value few = e.lt(rows, e.idx(getMaxListedRows(s) + 1));
  Value most = e.idx(s.getListed());
  // Many rows are not looked at.
  auto counted = scf::IfOp::create(e, TypeRange{e.getIndexType()}, few, true);
  {
    OpBuilder::InsertionGuard guard(e);
    e.setInsertionPointToStart(counted.thenBlock());
    Value sum = reader.forEachWord(
        e, e.idx(0), [](Emitter &e, Value word, Value, Value sum) {
          Value count = math::CtPopOp::create(e, word);
          return e.add(
              sum, arith::IndexCastUIOp::create(e, e.getIndexType(), count));
        });
    scf::YieldOp::create(e, sum);
    e.setInsertionPointToStart(counted.elseBlock());
    scf::YieldOp::create(e, e.add(most, 1));
  }
  Value steps = counted.getResult(0);
  ListedRows listed;
  listed.isListed = e.lt(steps, e.add(most, 1));
  listed.steps = steps;
  // Words are stored at full width, and behind the list is what is fetched
  // while its end is multiplied: its begin, in the next panel.
  int64_t room = std::max<int64_t>(reader.getBits(), kListedAhead);
  Value list = memref::AllocaOp::create(
      e, MemRefType::get({s.getListed() + room}, e.getI32Type()),
      e.getI64IntegerAttr(64));
  listed.list = e.address(list);
  e.ifThen(listed.isListed, [&](Emitter &e) {
    e.store(e.i32(0), list, ValueRange{e.idx(0)});
    moecpu::PackBy by = s.getLanes() == 16 && reader.getBits() == 16
                            ? moecpu::PackBy::Compress
                            : moecpu::PackBy::Table;
    WordPacker packer(e, reader.getBits(), by,
                      e.getInsertionBlock()->getParentOp());
    reader.forEachWord(e, listed.list,
                       [&](Emitter &e, Value word, Value first, Value at) {
                         return packer.pack(e, word, e.toI32(first), at);
                       });
    int64_t ofPanel = product.panelBytes() / kStepBytes;
    e.loop(e.idx(kListedAhead), [&](Emitter &e, Value i) {
      Value step = e.load(list, ValueRange{i});
      e.store(e.add(step, e.i32(ofPanel)), list, ValueRange{e.add(steps, i)});
    });
  });
  return listed;
}
