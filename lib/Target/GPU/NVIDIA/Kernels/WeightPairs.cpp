//===- WeightPairs.cpp - Stored weights become bf16 by their bits -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "WeightPairs.h"

#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace moe;
using moe::nvidia::Emitter;
using moe::nvidia::WeightPairs;

WeightPairs::~WeightPairs() = default;

namespace {
/// Bits of a word, some of which are turned over.
struct Bits {
  Value word;
  uint32_t mask = ~0u, flip = 0;

  /// What makes `word`, as far as it is such a choice.
  explicit Bits(Value value) : word(value) {
    while (Operation *maker = word.getDefiningOp()) {
      APInt constant;
      if (!isa<arith::AndIOp, arith::XOrIOp>(maker) ||
          !matchPattern(maker->getOperand(1), m_ConstantInt(&constant)))
        break;
      auto bits = static_cast<uint32_t>(constant.getZExtValue());
      if (isa<arith::AndIOp>(maker))
        mask &= bits;
      else
        flip ^= bits & mask;
      word = maker->getOperand(0);
    }
  }

  Bits shiftRight(Emitter &code, int64_t count) const {
    Bits result = *this;
    result.word = code.shr(word, count);
    result.mask >>= count;
    result.flip >>= count;
    return result;
  }

  /// Those of `bits`, and the others as `rest` has them, in one instruction.
  Value select(Emitter &code, uint32_t bits, uint32_t rest) const {
    constexpr int64_t kAndThenXor = (0xf0 & 0xcc) ^ 0xaa;
    return code.logic(word, code.word(mask & bits),
                      code.word((flip & bits) ^ rest), kAndThenXor);
  }
};

/// Codes of up to 8 bits. Bf16 has seven bits behind its point: 128 and a
/// number below it differ from 128 in them alone. The eighth bit of a code
/// makes -256 or -128 of its own.
class CodePairs : public WeightPairs {
public:
  CodePairs(CodedFormatAttrInterface format, int64_t k) : format(format) {
    CodeForm form = format.getCodeForm(k);
    subBlock = form.subBlock;
    minimum = form.hasMinimum;
    terms = form.zero + form.most > 127 ? 2 : 1;
    // Codes get 128 more, or less.
    offset = form.zero + (terms > 1 ? -128 : 128);
    smallScales =
        llvm::all_of(format.getFields(k), [](const BlockField &field) {
          return field.byteFloat || field.element.isInteger(8);
        });
  }

  Value read(BlockReader &reader, int64_t k, Value period, Value word,
             int64_t stream) const override {
    return format.buildCodes(reader, k, period, word, stream);
  }

  SmallVector<Pairs> build(Emitter &code, Value four) const override {
    Bits even(four), odd = even.shiftRight(code, 8);
    auto make = [&](uint32_t bits, double rest) -> Pairs {
      uint32_t pair = Emitter::getPair(rest);
      return {even.select(code, bits, pair), odd.select(code, bits, pair)};
    };
    SmallVector<Pairs> terms{make(0x007f007f, 128)};
    if (this->terms > 1)
      terms.push_back(make(0x00800080, -256));
    return terms;
  }

private:
  CodedFormatAttrInterface format;
};
} // namespace

std::unique_ptr<WeightPairs> WeightPairs::get(WeightFormatAttrInterface format,
                                              int64_t k) {
  auto coded = dyn_cast<CodedFormatAttrInterface>(Attribute(format));
  if (!coded)
    return nullptr;
  auto pairs = std::make_unique<CodePairs>(coded, k);
  // A sum of rows is made of what is added for the offset.
  if (pairs->hasMinimum() && pairs->getOffset() == 0)
    return nullptr;
  return pairs;
}
