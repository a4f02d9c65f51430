//===- WeightPairs.cpp - Stored weights become bf16 by their bits -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "WeightPairs.h"

#include "mlir/IR/Matchers.h"

#include <cmath>

using namespace mlir;
using namespace moe;
using moe::nvidia::Emitter;
using moe::nvidia::WeightPairs;

WeightPairs::~WeightPairs() = default;

Value WeightPairs::buildFactor(Emitter &, BlockReader &, int64_t, Value, Value,
                               int64_t) const {
  llvm_unreachable("numbers of this format have no factors");
}

WeightPairs::Pairs WeightPairs::buildScaled(Emitter &, Value, Value) const {
  llvm_unreachable("numbers of this format have no factors");
}

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
    isWide = form.zero + form.most > 127;
    // Codes get 128 more, or less.
    offset = form.zero + (isWide ? -128 : 128);
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
    if (isWide)
      terms.push_back(make(0x00800080, -256));
    return terms;
  }

  SmallVector<Value> buildScales(Emitter &, BlockReader &reader,
                                 int64_t k) const override {
    SmallVector<Value> scales;
    format.buildShared(reader, k, scales);
    return scales;
  }

private:
  CodedFormatAttrInterface format;
  bool isWide;
};

/// Small floats as bf16. Sign, exponent and mantissa go where bf16 has them.
/// Its exponents begin lower, so that what is there, numbers below the normal
/// ones among them, is divided by a power of two, `getFactor`.
class SmallFloats {
public:
  explicit SmallFloats(FloatType type)
      : width(type.getWidth()),
        mantissa(APFloat::semanticsPrecision(type.getFloatSemantics()) - 1),
        shift(APFloat::semanticsMinExponent(type.getFloatSemantics()) -
              APFloat::semanticsMinExponent(APFloat::BFloat())),
        most(APFloat::semanticsMaxExponent(type.getFloatSemantics())),
        hasNaN(APFloat::semanticsHasNaN(type.getFloatSemantics())) {}

  int64_t getWidth() const { return width; }
  double getFactor() const { return std::ldexp(1.0, shift); }
  int64_t getMantissa() const { return mantissa; }
  /// Of the largest number.
  int64_t getMostExponent() const { return most; }

  /// Those that begin at bit `first` of both halves of a word.
  Value place(Emitter &code, Value word, int64_t first, bool isSigned) const {
    int64_t begin = kMantissa - mantissa, end = begin + width - 1;
    auto inHalves = [&](int64_t bits) { return code.word(bits * 0x10001); };
    int64_t magnitudes = (int64_t(1) << end) - (int64_t(1) << begin);
    int64_t toSign = 16 - width - first, toMagnitude = begin - first;
    Value bits;
    if (isSigned && end < 16 - width) {
      // One product is two copies, which do not meet.
      if (toMagnitude < 0) {
        int64_t bytes = first / 8 * 8;
        word = code.shr(word, bytes);
        first -= bytes, toSign += bytes, toMagnitude += bytes;
      }
      Value own = code.both(word, inHalves(((1 << width) - 1) << first));
      bits = code.both(
          code.mul(own, (int64_t(1) << toSign) + (int64_t(1) << toMagnitude)),
          inHalves(0x8000 | magnitudes));
    } else {
      bits = code.both(move(code, word, toMagnitude), inHalves(magnitudes));
    }
    Value nans;
    if (hasNaN) {
      // All bits of a magnitude: the only one that carries.
      int64_t carry = int64_t(1) << end;
      nans = code.both(code.add(bits, (int64_t(1) << begin) * 0x10001),
                       inHalves(carry));
      nans = code.mul(nans, (0x8000 - carry) / carry);
    }
    if (isSigned && end >= 16 - width) {
      constexpr int64_t kAndThenOr = (0xf0 & 0xcc) | 0xaa;
      bits = code.logic(move(code, word, toSign), inHalves(0x8000), bits,
                        kAndThenOr);
    }
    return nans ? code.add(bits, nans) : bits;
  }

private:
  static Value move(Emitter &code, Value word, int64_t left) {
    return left >= 0 ? code.shl(word, left) : code.shr(word, -left);
  }

  /// Of bf16, the bits behind the point.
  static constexpr int64_t kMantissa = 7;
  int64_t width, mantissa, shift, most;
  bool hasNaN;
};

/// Numbers that are small floats, and scales that may be such, too.
class FloatPairs : public WeightPairs {
public:
  FloatPairs(FloatCodedFormatAttrInterface format, int64_t k)
      : format(format), form(format.getFloatForm(k)), floats(form.element),
        field(format.getFields(k)[form.scales]) {
    subBlock = form.subBlock;
    auto scale = dyn_cast_or_null<FloatType>(field.byteFloat);
    if (!scale || !field.isWords() || scale.getWidth() > 8)
      return;
    factors.emplace(scale);
    if (floats.getMantissa() + factors->getMantissa() + 2 > 8) {
      factors.reset();
      return;
    }
    // The largest factor that is a number of bf16.
    scaleFactor = std::ldexp(1.0, 126 - factors->getMostExponent());
    commonFactor = floats.getFactor() / scaleFactor;
  }

  Value read(BlockReader &reader, int64_t k, Value period, Value word,
             int64_t stream) const override {
    return format.buildFloats(reader, k, period, word, stream);
  }

  SmallVector<Pairs> build(Emitter &code, Value four) const override {
    return {buildScaled(code, four,
                        code.word(Emitter::getPair(floats.getFactor())))};
  }

  SmallVector<Value> buildScales(Emitter &code, BlockReader &reader,
                                 int64_t k) const override {
    if (!isa_and_nonnull<Float8E8M0FNUType>(field.byteFloat)) {
      SmallVector<Value> scales;
      format.buildShared(reader, k, scales);
      return scales;
    }
    SmallVector<Value> scales;
    for (int64_t i = 0; i < field.count; ++i) {
      // The exponent of f32, but that the least is a number below the normal
      // ones, and that the largest is no infinity.
      Value bits = reader.shiftLeft(reader.readNumber(form.scales, i), 23);
      bits = arith::MaxUIOp::create(code, bits, code.constant(0x00400000));
      Value scale = reader.asFloat(bits);
      scales.push_back(
          LLVM::FMAOp::create(code, scale, reader.number(0), scale));
    }
    return scales;
  }

  Value buildFactor(Emitter &code, BlockReader &reader, int64_t k, Value period,
                    Value word, int64_t stream) const override {
    // Those of two sub-blocks together, of which each takes its own half.
    auto [pair, which] = findSubBlock(code, reader, k, period, word, stream);
    Value four = field.count == 4
                     ? reader.readWord(form.scales, 0)
                     : reader.readWord(form.scales, reader.quotient(pair, 2));
    Value byte = code.shl(code.bitAnd(reader.toLanes(pair), 1), 1);
    // The bytes become the upper ones of both halves.
    Value both =
        code.permute(four, four, code.add(code.mul(byte, 0x1010), 0x1000));
    Value scale = factors->place(code, both, 8, /*isSigned=*/false);
    for (double factor : {factors->getFactor(), scaleFactor})
      scale = code.multiplyPair(scale, code.word(Emitter::getPair(factor)));
    return code.permute(scale, scale, which);
  }

  Pairs buildScaled(Emitter &code, Value four, Value factor) const override {
    Bits bits(four);
    Value word = bits.word;
    int64_t first = 0;
    APInt constant;
    if (auto shift = word.getDefiningOp<arith::ShRUIOp>();
        shift && matchPattern(shift.getRhs(), m_ConstantInt(&constant)) &&
        constant.getZExtValue() + floats.getWidth() <= 8) {
      word = shift.getLhs();
      first = constant.getZExtValue();
    }
    auto make = [&](int64_t byte) {
      return code.multiplyPair(
          floats.place(code, word, first + byte, /*isSigned=*/true), factor);
    };
    return {make(0), make(8)};
  }

private:
  /// Half the number of a stream's sub-block, an index, and what chooses the
  /// lower or the upper half of a word for both, by whether the number is odd.
  std::pair<Value, Value> findSubBlock(Emitter &code, BlockReader &reader,
                                       int64_t k, Value period, Value word,
                                       int64_t stream) const {
    DecodeRounds rounds = format.getRounds(k);
    int64_t first = rounds.first[4 * stream], sub = first / subBlock;
    int64_t ofPeriod = rounds.period / subBlock;
    constexpr uint32_t kLower = 0x1010, kUpper = 0x3232;
    // The words of a period do not leave it, and its sub-blocks are pairs.
    if (rounds.period % (2 * subBlock) == 0 &&
        first % subBlock + (rounds.words - 1) * rounds.advance < subBlock)
      return {reader.indexOf(period, ofPeriod / 2, sub / 2),
              code.word(sub % 2 ? kUpper : kLower)};
    Value number =
        reader.quotient(reader.sum(reader.indexOf(period, rounds.period),
                                   reader.indexOf(word, rounds.advance, first)),
                        subBlock);
    Value odd = code.bitAnd(reader.toLanes(number), 1);
    return {reader.quotient(number, 2),
            code.add(code.mul(odd, kUpper - kLower), kLower)};
  }

  FloatCodedFormatAttrInterface format;
  FloatForm form;
  SmallFloats floats;
  BlockField field;
  std::optional<SmallFloats> factors;
  double scaleFactor = 0;
};
} // namespace

std::unique_ptr<WeightPairs> WeightPairs::get(WeightFormatAttrInterface format,
                                              int64_t k) {
  if (auto floats = dyn_cast<FloatCodedFormatAttrInterface>(Attribute(format)))
    return std::make_unique<FloatPairs>(floats, k);
  auto coded = dyn_cast<CodedFormatAttrInterface>(Attribute(format));
  if (!coded)
    return nullptr;
  auto pairs = std::make_unique<CodePairs>(coded, k);
  // A sum of rows is made of what is added for the offset.
  if (pairs->hasMinimum() && pairs->getOffset() == 0)
    return nullptr;
  return pairs;
}
