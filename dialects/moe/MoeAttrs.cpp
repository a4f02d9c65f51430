//===- MoeAttrs.cpp - Weighings and activations ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Syntax, verifiers and IR builders of the attributes of MoeAttrs.td; the
// policies have their builders in routers/.
//
//===----------------------------------------------------------------------===//

#include "moe/SparseFormats.h"

#include "mlir/IR/DialectImplementation.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/Format.h"

#include <limits>

using namespace mlir;
using namespace moe;

#include "moe/MoeEnums.cpp.inc"

// For the declarative formats of attributes with a Moe_F64Parameter.
static ParseResult parseF64(AsmParser &parser, FailureOr<APFloat> &value);
static void printF64(AsmPrinter &printer, const APFloat &value);

#define GET_ATTRDEF_CLASSES
#include "moe/MoeAttrs.cpp.inc"

void MoeDialect::registerAttributes() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "moe/MoeAttrs.cpp.inc"
      >();
}

Value moe::buildFloatConstant(OpBuilder &builder, Location loc, Type type,
                              double value) {
  TypedAttr attr = builder.getFloatAttr(getElementTypeOrSelf(type), value);
  if (auto shaped = dyn_cast<ShapedType>(type))
    attr = SplatElementsAttr::get(shaped, attr);
  return arith::ConstantOp::create(builder, loc, attr);
}

//===----------------------------------------------------------------------===//
// Accessors
//===----------------------------------------------------------------------===//

NormalizeKind NormalizeAttr::getKind() const { return getImpl()->kind; }
double NormalizeAttr::getValue() const {
  return getImpl()->value.convertToDouble();
}
double ScaleAttr::getFactor() const {
  return getImpl()->factor.convertToDouble();
}
double ClampedSwigluAttr::getAlpha() const {
  return getImpl()->alpha.convertToDouble();
}
double ClampedSwigluAttr::getLimit() const {
  return getImpl()->limit.convertToDouble();
}
double ClampedSwigluAttr::getOffset() const {
  return getImpl()->offset.convertToDouble();
}

//===----------------------------------------------------------------------===//
// Syntax and verifiers
//===----------------------------------------------------------------------===//

static ParseResult parseF64(AsmParser &parser, APFloat &value) {
  return parser.parseFloat(APFloat::IEEEdouble(), value);
}

static ParseResult parseF64(AsmParser &parser, FailureOr<APFloat> &value) {
  APFloat parsed(0.0);
  if (parseF64(parser, parsed))
    return failure();
  value = parsed;
  return success();
}

/// Prints the shortest decimal that reads back as `value`: 2.5, not
/// 2.500000e+00.
static void printF64(AsmPrinter &printer, double value) {
  std::string text;
  for (int digits = 6; digits <= 17; ++digits) {
    text.clear();
    llvm::raw_string_ostream(text) << llvm::format("%.*g", digits, value);
    double read;
    if (!StringRef(text).getAsDouble(read) && read == value)
      break;
  }
  // The syntax of numbers asks for a point.
  if (!StringRef(text).contains('.'))
    text.insert(std::min(text.find('e'), text.size()), ".0");
  printer << text;
}

static void printF64(AsmPrinter &printer, const APFloat &value) {
  printF64(printer, value.convertToDouble());
}

static LogicalResult verifyFinite(function_ref<InFlightDiagnostic()> emitError,
                                  StringRef attr, StringRef name,
                                  const APFloat &value) {
  if (!value.isFinite())
    return emitError() << attr << " expects a finite " << name;
  return success();
}

/// The keyword of the number in #moe.normalize.
static StringRef getNormalizeKey(NormalizeKind kind) {
  switch (kind) {
  case NormalizeKind::Sum:
    return "eps";
  case NormalizeKind::Clamp:
    return "min";
  case NormalizeKind::PNorm:
    return "p";
  }
  llvm_unreachable("all kinds are listed");
}

Attribute NormalizeAttr::parse(AsmParser &parser, Type) {
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseLess())
    return {};
  FailureOr<NormalizeKind> kind = FieldParser<NormalizeKind>::parse(parser);
  if (failed(kind))
    return {};
  // sum has a natural default; the other two say nothing without their number.
  APFloat value(0.0);
  if (*kind != NormalizeKind::Sum || succeeded(parser.parseOptionalComma())) {
    if (*kind != NormalizeKind::Sum && parser.parseComma())
      return {};
    if (parser.parseKeyword(getNormalizeKey(*kind)) || parser.parseEqual() ||
        parseF64(parser, value))
      return {};
  }
  if (parser.parseGreater())
    return {};
  return parser.getChecked<NormalizeAttr>(loc, parser.getContext(), *kind,
                                          value);
}

void NormalizeAttr::print(AsmPrinter &printer) const {
  printer << '<' << stringifyNormalizeKind(getKind()) << ", "
          << getNormalizeKey(getKind()) << " = ";
  printF64(printer, getValue());
  printer << '>';
}

LogicalResult
NormalizeAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                      NormalizeKind kind, APFloat value) {
  StringRef key = getNormalizeKey(kind);
  if (failed(verifyFinite(emitError, "#moe.normalize", key, value)))
    return failure();
  bool isNorm = kind == NormalizeKind::PNorm;
  if (value.isNegative() || (isNorm && value.isZero()))
    return emitError() << "#moe.normalize expects " << key
                       << (isNorm ? " above 0" : " of at least 0")
                       << ", but got " << value.convertToDouble();
  return success();
}

Attribute ScaleAttr::parse(AsmParser &parser, Type) {
  SMLoc loc = parser.getCurrentLocation();
  APFloat factor(0.0);
  if (parser.parseLess() || parseF64(parser, factor) || parser.parseGreater())
    return {};
  return parser.getChecked<ScaleAttr>(loc, parser.getContext(), factor);
}

void ScaleAttr::print(AsmPrinter &printer) const {
  printer << '<';
  printF64(printer, getFactor());
  printer << '>';
}

LogicalResult ScaleAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                APFloat factor) {
  return verifyFinite(emitError, "#moe.scale", "factor", factor);
}

Attribute ClampedSwigluAttr::parse(AsmParser &parser, Type) {
  SMLoc loc = parser.getCurrentLocation();
  APFloat alpha(1.702), limit(7.0), offset(1.0);
  if (succeeded(parser.parseOptionalLess())) {
    auto parseOne = [&]() -> ParseResult {
      SMLoc keyLoc = parser.getCurrentLocation();
      StringRef key;
      if (parser.parseKeyword(&key))
        return failure();
      APFloat *value = llvm::StringSwitch<APFloat *>(key)
                           .Case("alpha", &alpha)
                           .Case("limit", &limit)
                           .Case("offset", &offset)
                           .Default(nullptr);
      if (!value)
        return parser.emitError(keyLoc)
               << "expected alpha, limit or offset, but got '" << key << "'";
      return failure(parser.parseEqual() || parseF64(parser, *value));
    };
    if (parser.parseCommaSeparatedList(parseOne) || parser.parseGreater())
      return {};
  }
  return parser.getChecked<ClampedSwigluAttr>(loc, parser.getContext(), alpha,
                                              limit, offset);
}

void ClampedSwigluAttr::print(AsmPrinter &printer) const {
  printer << "<alpha = ";
  printF64(printer, getAlpha());
  printer << ", limit = ";
  printF64(printer, getLimit());
  printer << ", offset = ";
  printF64(printer, getOffset());
  printer << '>';
}

LogicalResult
ClampedSwigluAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                          APFloat alpha, APFloat limit, APFloat offset) {
  StringRef name = "#moe.clamped_swiglu";
  if (failed(verifyFinite(emitError, name, "alpha", alpha)) ||
      failed(verifyFinite(emitError, name, "limit", limit)) ||
      failed(verifyFinite(emitError, name, "offset", offset)))
    return failure();
  if (limit.isNegative() || limit.isZero())
    return emitError() << name << " expects limit above 0, but got "
                       << limit.convertToDouble();
  return success();
}

// The verifiers of the policies are here because the parser of every attribute
// needs them; what depends on the number of experts is in routers/.

LogicalResult TopKAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                               int64_t k) {
  if (k < 1)
    return emitError() << "#moe.top_k expects at least one expert for each "
                          "token, but got "
                       << k;
  return success();
}

LogicalResult
GroupTopKAttr::verify(function_ref<InFlightDiagnostic()> emitError, int64_t k,
                      int64_t groups, int64_t keep, GroupReduce) {
  if (k < 1)
    return emitError() << "#moe.group_top_k expects at least one expert for "
                          "each token, but got "
                       << k;
  if (groups < 1)
    return emitError() << "#moe.group_top_k expects at least one group, but "
                          "got "
                       << groups;
  if (keep < 1 || keep > groups)
    return emitError() << "#moe.group_top_k expects to keep 1 to " << groups
                       << " of its " << groups << " groups, but got " << keep;
  return success();
}

//===----------------------------------------------------------------------===//
// Weighings
//===----------------------------------------------------------------------===//

/// Reduces a vector and spreads the scalar over a vector of the same type.
static Value buildReduceSplat(ImplicitLocOpBuilder &b,
                              vector::CombiningKind kind, Value v) {
  Value scalar = vector::ReductionOp::create(b, kind, v);
  return vector::BroadcastOp::create(b, v.getType(), scalar);
}

/// 1 / (1 + exp(-v))
static Value buildLogistic(ImplicitLocOpBuilder &b, Value v) {
  Value one = buildFloatConstant(b, b.getLoc(), v.getType(), 1.0);
  Value exp = math::ExpOp::create(b, arith::NegFOp::create(b, v));
  return arith::DivFOp::create(b, one, arith::AddFOp::create(b, one, exp));
}

/// `values` with `other` in the slots that are not used.
static Value buildWhereUsed(ImplicitLocOpBuilder &b, Value values, Value used,
                            double other) {
  if (!used)
    return values;
  return arith::SelectOp::create(
      b, used, values,
      buildFloatConstant(b, b.getLoc(), values.getType(), other));
}

Value SoftmaxAttr::buildWeights(OpBuilder &builder, Location loc, Value values,
                                Value used) const {
  ImplicitLocOpBuilder b(loc, builder);
  values = buildWhereUsed(b, values, used,
                          -std::numeric_limits<double>::infinity());
  Value max = buildReduceSplat(b, vector::CombiningKind::MAXIMUMF, values);
  Value exp = math::ExpOp::create(b, arith::SubFOp::create(b, values, max));
  Value sum = buildReduceSplat(b, vector::CombiningKind::ADD, exp);
  return arith::DivFOp::create(b, exp, sum);
}

Value SigmoidAttr::buildWeights(OpBuilder &builder, Location loc, Value values,
                                Value) const {
  ImplicitLocOpBuilder b(loc, builder);
  return buildLogistic(b, values);
}

Value NormalizeAttr::buildWeights(OpBuilder &builder, Location loc,
                                  Value values, Value used) const {
  ImplicitLocOpBuilder b(loc, builder);
  values = buildWhereUsed(b, values, used, 0.0);
  Type vectorType = values.getType();
  Type scalarType = getElementTypeOrSelf(vectorType);
  auto constant = [&](Type type, double value) {
    return buildFloatConstant(b, loc, type, value);
  };
  Value terms = values;
  bool isNorm = getKind() == NormalizeKind::PNorm;
  if (isNorm) {
    if (getValue() == 2.0) {
      terms = arith::MulFOp::create(b, values, values);
    } else {
      terms = math::AbsFOp::create(b, values);
      if (getValue() != 1.0)
        terms =
            math::PowFOp::create(b, terms, constant(vectorType, getValue()));
    }
  }
  Value norm =
      vector::ReductionOp::create(b, vector::CombiningKind::ADD, terms);
  if (getKind() == NormalizeKind::Clamp) {
    norm = arith::MaximumFOp::create(b, norm, constant(scalarType, getValue()));
  } else if (isNorm && getValue() == 2.0) {
    norm = math::SqrtOp::create(b, norm);
  } else if (isNorm && getValue() != 1.0) {
    norm = math::PowFOp::create(b, norm, constant(scalarType, 1 / getValue()));
  } else if (!isNorm && getValue() != 0.0) {
    norm = arith::AddFOp::create(b, norm, constant(scalarType, getValue()));
  }
  return arith::DivFOp::create(
      b, values, vector::BroadcastOp::create(b, vectorType, norm));
}

Value ScaleAttr::buildWeights(OpBuilder &builder, Location loc, Value values,
                              Value) const {
  return arith::MulFOp::create(
      builder, loc, values,
      buildFloatConstant(builder, loc, values.getType(), getFactor()));
}

//===----------------------------------------------------------------------===//
// Activations
//===----------------------------------------------------------------------===//

/// act(up), or act(gate) * up.
static Value
buildSimple(OpBuilder &builder, Location loc, ValueRange args,
            function_ref<Value(ImplicitLocOpBuilder &, Value)> act) {
  ImplicitLocOpBuilder b(loc, builder);
  Value h = act(b, args.front());
  return args.size() == 2 ? arith::MulFOp::create(b, h, args[1]) : h;
}

/// v / (1 + exp(-slope v))
static Value buildSwish(ImplicitLocOpBuilder &b, Value v, double slope) {
  Type type = v.getType();
  Value scaled = v;
  if (slope != 1.0)
    scaled = arith::MulFOp::create(
        b, v, buildFloatConstant(b, b.getLoc(), type, slope));
  Value one = buildFloatConstant(b, b.getLoc(), type, 1.0);
  Value exp = math::ExpOp::create(b, arith::NegFOp::create(b, scaled));
  return arith::DivFOp::create(b, v, arith::AddFOp::create(b, one, exp));
}

static Value buildRelu(ImplicitLocOpBuilder &b, Value v) {
  Value zero = buildFloatConstant(b, b.getLoc(), v.getType(), 0.0);
  return arith::MaximumFOp::create(b, v, zero);
}

/// 0.5 v (1 + inner)
static Value buildHalfOnePlus(ImplicitLocOpBuilder &b, Value v, Value inner) {
  Value one = buildFloatConstant(b, b.getLoc(), v.getType(), 1.0);
  Value half = buildFloatConstant(b, b.getLoc(), v.getType(), 0.5);
  return arith::MulFOp::create(b, arith::MulFOp::create(b, half, v),
                               arith::AddFOp::create(b, one, inner));
}

#define MOE_SIMPLE_ACTIVATION(CLASS, ...)                                      \
  bool CLASS::supportsGated() const { return true; }                           \
  bool CLASS::supportsPlain() const { return true; }                           \
  Value CLASS::buildActivation(OpBuilder &builder, Location loc,               \
                               ValueRange args) const {                        \
    return buildSimple(builder, loc, args, [                                   \
    ](ImplicitLocOpBuilder & b, Value v) -> Value __VA_ARGS__);                \
  }

MOE_SIMPLE_ACTIVATION(SiluAttr, { return buildSwish(b, v, 1.0); })
MOE_SIMPLE_ACTIVATION(QuickGeluAttr, { return buildSwish(b, v, 1.702); })
MOE_SIMPLE_ACTIVATION(ReluAttr, { return buildRelu(b, v); })
MOE_SIMPLE_ACTIVATION(TanhAttr, { return math::TanhOp::create(b, v); })
MOE_SIMPLE_ACTIVATION(IdentityAttr, { return v; })
MOE_SIMPLE_ACTIVATION(Relu2Attr, {
  Value relu = buildRelu(b, v);
  return arith::MulFOp::create(b, relu, relu);
})
MOE_SIMPLE_ACTIVATION(GeluAttr, {
  // 1 / sqrt(2)
  Value c = buildFloatConstant(b, b.getLoc(), v.getType(), 0.70710678118654757);
  return buildHalfOnePlus(
      b, v, math::ErfOp::create(b, arith::MulFOp::create(b, v, c)));
})
MOE_SIMPLE_ACTIVATION(GeluTanhAttr, {
  // sqrt(2 / pi)
  Value c = buildFloatConstant(b, b.getLoc(), v.getType(), 0.79788456080286541);
  Value cubic = buildFloatConstant(b, b.getLoc(), v.getType(), 0.044715);
  Value square = arith::MulFOp::create(b, v, v);
  Value third =
      arith::MulFOp::create(b, cubic, arith::MulFOp::create(b, square, v));
  Value inner = arith::MulFOp::create(b, c, arith::AddFOp::create(b, v, third));
  return buildHalfOnePlus(b, v, math::TanhOp::create(b, inner));
})

#undef MOE_SIMPLE_ACTIVATION

bool ClampedSwigluAttr::supportsGated() const { return true; }
bool ClampedSwigluAttr::supportsPlain() const { return false; }

Value ClampedSwigluAttr::buildActivation(OpBuilder &builder, Location loc,
                                         ValueRange args) const {
  ImplicitLocOpBuilder b(loc, builder);
  Type type = args.front().getType();
  auto constant = [&](double value) {
    return buildFloatConstant(b, loc, type, value);
  };
  Value limit = constant(getLimit());
  Value gate = arith::MinimumFOp::create(b, args[0], limit);
  Value up = arith::MaximumFOp::create(
      b, arith::MinimumFOp::create(b, args[1], limit), constant(-getLimit()));
  Value swish = buildSwish(b, gate, getAlpha());
  return arith::MulFOp::create(
      b, swish, arith::AddFOp::create(b, up, constant(getOffset())));
}
