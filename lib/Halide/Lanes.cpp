//===- Lanes.cpp - Elementwise programs -------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Operations of MLIR as expressions. Where Halide's functions are wrong at the
// edges (exp of infinity is 0, log of a NaN is 89, ...) the edges are written
// out. Integers are signed, as MLIR's have no sign; i1 is Halide's boolean.
//
//===----------------------------------------------------------------------===//

#include "Kernels.h"

#include <functional>
#include <limits>
#include <map>

using namespace Halide;
using namespace moe_halide;

namespace {
/// A value of a program.
struct Value {
  Expr expr;
  Type type;
};
using Values = std::vector<Value>;
/// Makes a value of `type` of its operands, whose number is checked already.
using Build = std::function<Expr(Type type, const Values &operands)>;

struct Opcode {
  size_t operands;
  Build build;
};
} // namespace

static Type parseType(const std::string &text) {
  static const std::map<std::string, Type> types = {
      {"f32", Float(32)}, {"f16", Float(16)}, {"bf16", BFloat(16)},
      {"i1", Bool()},     {"i8", Int(8)},     {"i16", Int(16)},
      {"i32", Int(32)},   {"i64", Int(64)}};
  auto found = types.find(text);
  if (found == types.end())
    throw Refused("has values of " + text);
  return found->second;
}

static Expr getInfinity() {
  return Expr(std::numeric_limits<float>::infinity());
}
static Expr getNaN() { return Expr(std::numeric_limits<float>::quiet_NaN()); }

/// `x` with unsigned bits.
static Expr toUnsigned(const Expr &x) {
  return reinterpret(x.type().with_code(Type::UInt), x);
}

//===----------------------------------------------------------------------===//
// Functions of f32
//===----------------------------------------------------------------------===//

/// Above the first exp is infinite in f32, below the second it is 0.
static Expr makeExp(const Expr &x) {
  return select(is_nan(x), x, x > 88.72284f, getInfinity(), x < -104.0f, 0.0f,
                exp(x));
}

/// By the whole part in the exponent, in two steps as it may be out of range.
static Expr makeExp2(const Expr &x) {
  Expr whole = floor(max(min(x, 200.0f), -200.0f));
  auto power = [](const Expr &exponent) {
    return reinterpret<float>((exponent + 127) << 23);
  };
  Expr n = cast<int32_t>(whole), half = n >> 1;
  Expr rest = exp((x - whole) * 0.69314718f);
  return select(is_nan(x), x, x >= 128.0f, getInfinity(), x < -150.0f, 0.0f,
                rest * power(half) * power(n - half));
}

static Expr makeLog(const Expr &x) {
  return select(is_nan(x) || x < 0.0f, getNaN(), x == 0.0f, -getInfinity(),
                x == getInfinity(), x, log(x));
}

static Expr makeTanh(const Expr &x) {
  return select(is_nan(x), x, x > 10.0f, 1.0f, x < -10.0f, -1.0f, tanh(x));
}

static Expr makeErf(const Expr &x) {
  return select(is_nan(x), x, x > 4.0f, 1.0f, x < -4.0f, -1.0f, erf(x));
}

/// Of a sum or a difference that was rounded, what the rounding took is divided
/// out again (Kahan).
static Expr makeLog1p(const Expr &x) {
  Expr sum = x + 1.0f;
  return select(sum == 1.0f || x == getInfinity(), x,
                makeLog(sum) * (x / (sum - 1.0f)));
}
static Expr makeExpm1(const Expr &x) {
  Expr power = makeExp(x);
  return select(power == 1.0f, x, x<-18.0f, -1.0f, x> 88.0f, power - 1.0f,
                (power - 1.0f) * (x / makeLog(power)));
}

/// 0 - x would be 0 of 0.
static Expr makeNegative(const Expr &x) { return x * -1.0f; }

/// The larger of two of which neither is NaN; 0 is larger than -0.
static Expr makeLarger(const Expr &a, const Expr &b) {
  return select(a > b, a, a < b, b, a == 0.0f, a + b, a);
}
static Expr makeSmaller(const Expr &a, const Expr &b) {
  return makeNegative(makeLarger(makeNegative(a), makeNegative(b)));
}

//===----------------------------------------------------------------------===//
// The table
//===----------------------------------------------------------------------===//

using Unary = std::function<Expr(const Expr &)>;
using Binary = std::function<Expr(const Expr &, const Expr &)>;

/// Floats are computed in f32 and rounded; of a sum, a product, a quotient or a
/// root of bf16 and f16 that is the right rounding.
static Opcode ofFloat(Unary function) {
  return {1, [=](Type type, const Values &v) {
            return cast(type, function(cast<float>(v[0].expr)));
          }};
}
static Opcode ofFloats(Binary function) {
  return {2, [=](Type type, const Values &v) {
            return cast(
                type, function(cast<float>(v[0].expr), cast<float>(v[1].expr)));
          }};
}
static Opcode ofInts(Binary function) {
  return {2, [=](Type type, const Values &v) {
            return cast(type, function(v[0].expr, v[1].expr));
          }};
}
/// The same of unsigned numbers; the result has the type of the operands.
static Opcode ofUnsigned(Binary function) {
  return {2, [=](Type, const Values &v) {
            Expr result =
                function(toUnsigned(v[0].expr), toUnsigned(v[1].expr));
            return result.type().is_bool()
                       ? result
                       : reinterpret(v[0].expr.type(), result);
          }};
}
/// A comparison of f32, and what it is where one of them is NaN.
static Opcode compare(Binary function, bool ofNaN) {
  return {2, [=](Type, const Values &v) {
            Expr a = cast<float>(v[0].expr), b = cast<float>(v[1].expr);
            Expr isUnordered = is_nan(a) || is_nan(b);
            return ofNaN ? isUnordered || function(a, b)
                         : !isUnordered && function(a, b);
          }};
}
static Opcode convert(bool isUnsignedSource) {
  return {1, [=](Type type, const Values &v) {
            Expr source = v[0].expr;
            if (isUnsignedSource && !source.type().is_bool())
              source = toUnsigned(source);
            if (!isUnsignedSource && source.type().is_bool())
              source = -cast<int8_t>(source);
            return cast(type, source);
          }};
}

static const std::map<std::string, Opcode> &getOpcodes() {
  using E = const Expr &;
  static const std::map<std::string, Opcode> opcodes = {
      // arith, on floats.
      {"addf", ofFloats([](E a, E b) { return a + b; })},
      {"subf", ofFloats([](E a, E b) { return a - b; })},
      {"mulf", ofFloats([](E a, E b) { return a * b; })},
      {"divf", ofFloats([](E a, E b) { return a / b; })},
      {"negf", ofFloat(makeNegative)},
      {"maximumf", ofFloats([](E a, E b) {
         return select(is_nan(a), a, is_nan(b), b, makeLarger(a, b));
       })},
      {"minimumf", ofFloats([](E a, E b) {
         return select(is_nan(a), a, is_nan(b), b, makeSmaller(a, b));
       })},
      {"maxnumf", ofFloats([](E a, E b) {
         return select(is_nan(a), b, is_nan(b), a, makeLarger(a, b));
       })},
      {"minnumf", ofFloats([](E a, E b) {
         return select(is_nan(a), b, is_nan(b), a, makeSmaller(a, b));
       })},
      {"cmpf.oeq", compare([](E a, E b) { return a == b; }, false)},
      {"cmpf.ogt", compare([](E a, E b) { return a > b; }, false)},
      {"cmpf.oge", compare([](E a, E b) { return a >= b; }, false)},
      {"cmpf.olt", compare([](E a, E b) { return a < b; }, false)},
      {"cmpf.ole", compare([](E a, E b) { return a <= b; }, false)},
      {"cmpf.one", compare([](E a, E b) { return a != b; }, false)},
      {"cmpf.ord", compare([](E, E) { return Internal::const_true(); }, false)},
      {"cmpf.ueq", compare([](E a, E b) { return a == b; }, true)},
      {"cmpf.ugt", compare([](E a, E b) { return a > b; }, true)},
      {"cmpf.uge", compare([](E a, E b) { return a >= b; }, true)},
      {"cmpf.ult", compare([](E a, E b) { return a < b; }, true)},
      {"cmpf.ule", compare([](E a, E b) { return a <= b; }, true)},
      {"cmpf.une", compare([](E a, E b) { return a != b; }, true)},
      {"cmpf.uno", compare([](E, E) { return Internal::const_false(); }, true)},
      // arith, on integers.
      {"addi", ofInts([](E a, E b) { return a + b; })},
      {"subi", ofInts([](E a, E b) { return a - b; })},
      {"muli", ofInts([](E a, E b) { return a * b; })},
      {"divsi", ofInts([](E a, E b) { return div_round_to_zero(a, b); })},
      {"remsi", ofInts([](E a, E b) { return mod_round_to_zero(a, b); })},
      {"divui", ofUnsigned([](E a, E b) { return a / b; })},
      {"remui", ofUnsigned([](E a, E b) { return a % b; })},
      {"andi", ofInts([](E a, E b) { return a & b; })},
      {"ori", ofInts([](E a, E b) { return a | b; })},
      {"xori", ofInts([](E a, E b) { return a ^ b; })},
      {"shli", ofInts([](E a, E b) { return a << toUnsigned(b); })},
      {"shrsi", ofInts([](E a, E b) { return a >> toUnsigned(b); })},
      {"shrui", ofUnsigned([](E a, E b) { return a >> b; })},
      {"maxsi", ofInts([](E a, E b) { return max(a, b); })},
      {"minsi", ofInts([](E a, E b) { return min(a, b); })},
      {"maxui", ofUnsigned([](E a, E b) { return max(a, b); })},
      {"minui", ofUnsigned([](E a, E b) { return min(a, b); })},
      {"cmpi.eq", ofInts([](E a, E b) { return a == b; })},
      {"cmpi.ne", ofInts([](E a, E b) { return a != b; })},
      {"cmpi.slt", ofInts([](E a, E b) { return a < b; })},
      {"cmpi.sle", ofInts([](E a, E b) { return a <= b; })},
      {"cmpi.sgt", ofInts([](E a, E b) { return a > b; })},
      {"cmpi.sge", ofInts([](E a, E b) { return a >= b; })},
      {"cmpi.ult", ofUnsigned([](E a, E b) { return a < b; })},
      {"cmpi.ule", ofUnsigned([](E a, E b) { return a <= b; })},
      {"cmpi.ugt", ofUnsigned([](E a, E b) { return a > b; })},
      {"cmpi.uge", ofUnsigned([](E a, E b) { return a >= b; })},
      {"select", {3, [](Type, const Values &v) {
                    return select(v[0].expr, v[1].expr, v[2].expr);
                  }}},
      // Conversions.
      {"extf", convert(false)},
      {"truncf", convert(false)},
      {"sitofp", convert(false)},
      {"uitofp", convert(true)},
      {"extsi", convert(false)},
      {"extui", convert(true)},
      {"trunci", {1, [](Type type, const Values &v) {
                    return type.is_bool() ? (v[0].expr & 1) != 0
                                          : cast(type, v[0].expr);
                  }}},
      {"fptosi", convert(false)},
      {"fptoui",
       {1,
        [](Type type, const Values &v) {
          if (type.bits() > 32)
            throw Refused("makes integers of more than 32 bits of floats");
          // The upper half of 32 bits is beyond what is converted.
          Expr x = cast<float>(v[0].expr);
          Expr upper = cast<int32_t>(x - 2147483648.0f) ^ std::numeric_limits<int32_t>::min();
          return cast(type, select(x >= 2147483648.0f, upper, cast<int32_t>(x)));
        }}},
      {"bitcast", {1, [](Type type, const Values &v) {
                     return reinterpret(type, v[0].expr);
                   }}},
      // math.
      {"absf", ofFloat([](E a) { return abs(a); })},
      {"sqrt", ofFloat([](E a) { return sqrt(a); })},
      {"rsqrt", ofFloat([](E a) { return 1.0f / sqrt(a); })},
      {"floor", ofFloat([](E a) { return floor(a); })},
      {"ceil", ofFloat([](E a) { return ceil(a); })},
      {"trunc", ofFloat([](E a) { return trunc(a); })},
      {"roundeven", ofFloat([](E a) { return round(a); })},
      {"sin", ofFloat([](E a) { return sin(a); })},
      {"cos", ofFloat([](E a) { return cos(a); })},
      {"exp", ofFloat(makeExp)},
      {"exp2", ofFloat(makeExp2)},
      {"expm1", ofFloat(makeExpm1)},
      {"log", ofFloat(makeLog)},
      {"log1p", ofFloat(makeLog1p)},
      {"log2", ofFloat([](E a) { return makeLog(a) * 1.44269504f; })},
      {"tanh", ofFloat(makeTanh)},
      {"erf", ofFloat(makeErf)},
  };
  return opcodes;
}

//===----------------------------------------------------------------------===//
// Programs
//===----------------------------------------------------------------------===//

namespace {
class LaneProgram {
public:
  explicit LaneProgram(const Lines &lines) : lines(lines) {
    lanes = static_cast<int>(lines[0].size() == 2 ? parseNumber(lines[0][1], 64)
                                                  : 0);
    if (lanes < 1)
      throw Refused("expected 'lanes' and how many, up to 64");
  }

  Kernel make() {
    countUses();
    for (size_t i = 1; i < lines.size(); ++i)
      add(i - 1, lines[i]);
    if (yields.empty())
      throw Refused("yields nothing");
    return {Pipeline(yields), arguments};
  }

private:
  const Lines &lines;
  int lanes = 0;
  Var lane{"lane"};
  std::vector<Value> values;
  std::vector<int> uses;
  std::vector<Argument> arguments;
  std::vector<Func> yields;

  /// Where the operands of a line begin.
  static size_t getFirstOperand(const std::vector<std::string> &words) {
    if (words[0] == "yield")
      return 1;
    return words[0] == "argument" || words[0] == "constant" ? words.size() : 2;
  }

  void countUses() {
    uses.assign(lines.size(), 0);
    for (size_t i = 1; i < lines.size(); ++i)
      for (size_t w = getFirstOperand(lines[i]); w < lines[i].size(); ++w)
        ++uses[parseNumber(lines[i][w], lines.size() - 1)];
  }

  void add(size_t number, const std::vector<std::string> &words) {
    if (words.size() < 2)
      throw Refused("'" + words[0] + "' wants more words");
    Values operands;
    for (size_t w = getFirstOperand(words); w < words.size(); ++w) {
      uint64_t operand = parseNumber(words[w], lines.size());
      if (operand >= number || !values[operand].expr.defined())
        throw Refused("value " + words[w] + " is not there yet");
      operands.push_back(values[operand]);
    }
    values.push_back(makeValue(number, words, operands));
  }

  Value makeValue(size_t number, const std::vector<std::string> &words,
                  const Values &operands) {
    if (words[0] == "yield") {
      Func result("result" + std::to_string(number));
      result(lane) = operands[0].expr;
      setLanes(result);
      OutputImageParam buffer = result.output_buffer();
      buffer.dim(0).set_bounds(0, lanes).set_stride(1);
      buffer.set_host_alignment(64);
      yields.push_back(result);
      return {};
    }
    Type type = parseType(words[1]);
    if (words[0] == "argument") {
      ImageParam buffer(type, 1, "argument" + std::to_string(number));
      buffer.dim(0).set_bounds(0, lanes).set_stride(1);
      buffer.set_host_alignment(64);
      arguments.push_back(buffer);
      return {buffer(lane), type};
    }
    if (words[0] == "constant")
      return {makeConstant(type, words), type};
    auto opcode = getOpcodes().find(words[0]);
    if (opcode == getOpcodes().end())
      throw Refused("has the operation " + words[0]);
    if (operands.size() != opcode->second.operands)
      throw Refused(words[0] + " has " + std::to_string(operands.size()) +
                    " operands");
    Expr expr = opcode->second.build(type, operands);
    if (expr.type() != type)
      throw Refused(words[0] + " gives no " + words[1]);
    // Expressions are trees: what is used twice would be computed twice.
    if (uses[number] < 2)
      return {expr, type};
    Func shared("value" + std::to_string(number));
    shared(lane) = expr;
    setLanes(shared);
    shared.compute_root().store_in(MemoryType::Stack);
    return {shared(lane), type};
  }

  Expr makeConstant(Type type, const std::vector<std::string> &words) {
    if (words.size() != 3)
      throw Refused("a constant is a type and bits");
    uint64_t most =
        type.bits() == 64 ? ~uint64_t(0) : (uint64_t(1) << type.bits()) - 1;
    uint64_t bits = parseNumber(words[2], most);
    if (type.is_bool())
      return bits ? Internal::const_true() : Internal::const_false();
    Type unsignedType = UInt(type.bits());
    return reinterpret(type, Internal::make_const(unsignedType, bits));
  }

  void setLanes(Func func) {
    func.bound(lane, 0, lanes).vectorize(lane, lanes);
  }
};
} // namespace

Kernel moe_halide::makeLanes(const Lines &lines) {
  return LaneProgram(lines).make();
}
