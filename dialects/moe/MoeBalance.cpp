//===- MoeBalance.cpp - Syntax of moe.balance and its metrics --*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The op, and what all metrics with parameters share: `<key = value, ...>` with
// the defaults left out. What metrics compute is in balance/.
//
//===----------------------------------------------------------------------===//

#include "moe/Moe.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/SmallSet.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"

#include <variant>

using namespace mlir;
using namespace moe;

#include "moe/MoeBalanceInterfaces.cpp.inc"

//===----------------------------------------------------------------------===//
// Parameters
//===----------------------------------------------------------------------===//

namespace {
/// A parameter and where its value goes; a bool is written as its name alone.
struct Parameter {
  StringRef key;
  std::variant<int64_t *, APFloat *, bool *> value;
};
} // namespace

/// Parses `<key = value, ...>` in any order, or nothing.
static ParseResult parseParameters(AsmParser &parser,
                                   ArrayRef<Parameter> parameters) {
  if (failed(parser.parseOptionalLess()))
    return success();
  llvm::SmallSet<StringRef, 8> seen;
  auto parseOne = [&]() -> ParseResult {
    SMLoc loc = parser.getCurrentLocation();
    StringRef key;
    if (parser.parseKeyword(&key))
      return failure();
    const Parameter *parameter = llvm::find_if(
        parameters, [&](const Parameter &p) { return p.key == key; });
    if (parameter == parameters.end()) {
      InFlightDiagnostic diag = parser.emitError(loc) << "expected ";
      llvm::interleave(
          parameters, diag, [&](const Parameter &p) { diag << p.key; }, " or ");
      return diag << ", but got '" << key << "'";
    }
    if (!seen.insert(parameter->key).second)
      return parser.emitError(loc) << "'" << key << "' is given twice";
    if (auto *flag = std::get_if<bool *>(&parameter->value)) {
      **flag = true;
      return success();
    }
    if (parser.parseEqual())
      return failure();
    if (auto *number = std::get_if<int64_t *>(&parameter->value))
      return parser.parseInteger(**number);
    return parser.parseFloat(APFloat::IEEEdouble(),
                             *std::get<APFloat *>(parameter->value));
  };
  return failure(parser.parseCommaSeparatedList(parseOne) ||
                 parser.parseGreater());
}

namespace {
/// Prints `<key = value, ...>` of those that are added, or nothing.
class ParameterPrinter {
public:
  explicit ParameterPrinter(AsmPrinter &printer) : printer(printer) {}
  ~ParameterPrinter() {
    if (!isFirst)
      printer << '>';
  }

  void add(StringRef key, int64_t value, int64_t unset) {
    if (value != unset)
      begin(key) << " = " << value;
  }
  void addFlag(StringRef key, bool value) {
    if (value)
      begin(key);
  }
  void add(StringRef key, double value, double unset) {
    if (value == unset)
      return;
    // The shortest decimal that reads back as the value.
    std::string text;
    for (int digits = 6; digits <= 17; ++digits) {
      text.clear();
      llvm::raw_string_ostream(text) << llvm::format("%.*g", digits, value);
      double read;
      if (!StringRef(text).getAsDouble(read) && read == value)
        break;
    }
    if (!StringRef(text).contains('.'))
      text.insert(std::min(text.find('e'), text.size()), ".0");
    begin(key) << " = " << text;
  }

private:
  AsmPrinter &begin(StringRef key) {
    printer << (isFirst ? "<" : ", ") << key;
    isFirst = false;
    return printer;
  }

  AsmPrinter &printer;
  bool isFirst = true;
};
} // namespace

/// Checks a number against a closed range; `name` is "#moe.x expects key".
static LogicalResult
verifyRange(function_ref<InFlightDiagnostic()> emitError, StringRef name,
            double value, double least,
            double most = std::numeric_limits<double>::max()) {
  if (value >= least && value <= most)
    return success();
  auto text = [](double number) {
    std::string digits;
    llvm::raw_string_ostream(digits) << llvm::format("%g", number);
    return digits;
  };
  InFlightDiagnostic diag = emitError() << name;
  if (most == std::numeric_limits<double>::max())
    diag << " of at least " << text(least);
  else
    diag << " from " << text(least) << " to " << text(most);
  return diag << ", but got " << text(value);
}

//===----------------------------------------------------------------------===//
// #moe.switch_loss
//===----------------------------------------------------------------------===//

Attribute SwitchLossAttr::parse(AsmParser &parser, Type) {
  SMLoc loc = parser.getCurrentLocation();
  int64_t k = 0, length = 0;
  bool first = false;
  if (parseParameters(parser,
                      {{"k", &k}, {"first", &first}, {"length", &length}}))
    return {};
  return parser.getChecked<SwitchLossAttr>(loc, parser.getContext(), k, first,
                                           length);
}

void SwitchLossAttr::print(AsmPrinter &printer) const {
  ParameterPrinter parameters(printer);
  parameters.add("k", getK(), 0);
  parameters.addFlag("first", getFirst());
  parameters.add("length", getLength(), 0);
}

LogicalResult
SwitchLossAttr::verify(function_ref<InFlightDiagnostic()> emitError, int64_t k,
                       bool first, int64_t length) {
  if (first && k > 1)
    return emitError() << "#moe.switch_loss<first> counts one choice of each "
                          "token, so k is 1, but got "
                       << k;
  if (failed(verifyRange(emitError, "#moe.switch_loss expects k", k, 0)))
    return failure();
  return verifyRange(emitError, "#moe.switch_loss expects length", length, 0);
}

//===----------------------------------------------------------------------===//
// #moe.sequence_loss
//===----------------------------------------------------------------------===//

static constexpr double kDefaultAlpha = 1e-4;

Attribute SequenceLossAttr::parse(AsmParser &parser, Type) {
  SMLoc loc = parser.getCurrentLocation();
  APFloat alpha(kDefaultAlpha);
  int64_t k = 0, length = 0;
  if (parseParameters(parser,
                      {{"alpha", &alpha}, {"k", &k}, {"length", &length}}))
    return {};
  return parser.getChecked<SequenceLossAttr>(loc, parser.getContext(), alpha, k,
                                             length);
}

void SequenceLossAttr::print(AsmPrinter &printer) const {
  ParameterPrinter parameters(printer);
  parameters.add("alpha", getAlpha(), kDefaultAlpha);
  parameters.add("k", getK(), 0);
  parameters.add("length", getLength(), 0);
}

LogicalResult
SequenceLossAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                         APFloat alpha, int64_t k, int64_t length) {
  if (!alpha.isFinite())
    return emitError() << "#moe.sequence_loss expects a finite alpha";
  if (failed(verifyRange(emitError, "#moe.sequence_loss expects k", k, 0)))
    return failure();
  return verifyRange(emitError, "#moe.sequence_loss expects length", length, 0);
}

//===----------------------------------------------------------------------===//
// #moe.bias_update
//===----------------------------------------------------------------------===//

static constexpr double kDefaultGamma = 1e-3;

Attribute BiasUpdateAttr::parse(AsmParser &parser, Type) {
  SMLoc loc = parser.getCurrentLocation();
  APFloat gamma(kDefaultGamma);
  if (parseParameters(parser, {{"gamma", &gamma}}))
    return {};
  return parser.getChecked<BiasUpdateAttr>(loc, parser.getContext(), gamma);
}

void BiasUpdateAttr::print(AsmPrinter &printer) const {
  ParameterPrinter(printer).add("gamma", getGamma(), kDefaultGamma);
}

LogicalResult
BiasUpdateAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                       APFloat gamma) {
  if (!gamma.isFinite())
    return emitError() << "#moe.bias_update expects a finite gamma";
  return verifyRange(emitError, "#moe.bias_update expects gamma",
                     gamma.convertToDouble(), 0);
}

//===----------------------------------------------------------------------===//
// #moe.collapse
//===----------------------------------------------------------------------===//

static constexpr double kDefaultSpread = 0.1, kDefaultShare = 0.5;
static constexpr int64_t kDefaultRatio = 4, kDefaultAssignments = 100;

Attribute CollapseAttr::parse(AsmParser &parser, Type) {
  SMLoc loc = parser.getCurrentLocation();
  int64_t k = 0, ratio = kDefaultRatio, assignments = kDefaultAssignments;
  APFloat spread(kDefaultSpread), share(kDefaultShare);
  if (parseParameters(parser, {{"k", &k},
                               {"spread", &spread},
                               {"share", &share},
                               {"ratio", &ratio},
                               {"assignments", &assignments}}))
    return {};
  return parser.getChecked<CollapseAttr>(loc, parser.getContext(), k, spread,
                                         share, ratio, assignments);
}

void CollapseAttr::print(AsmPrinter &printer) const {
  ParameterPrinter parameters(printer);
  parameters.add("k", getK(), 0);
  parameters.add("spread", getSpread(), kDefaultSpread);
  parameters.add("share", getShare(), kDefaultShare);
  parameters.add("ratio", getRatio(), kDefaultRatio);
  parameters.add("assignments", getAssignments(), kDefaultAssignments);
}

LogicalResult CollapseAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                   int64_t k, APFloat spread, APFloat share,
                                   int64_t ratio, int64_t assignments) {
  return failure(
      failed(verifyRange(emitError, "#moe.collapse expects k", k, 0)) ||
      failed(verifyRange(emitError, "#moe.collapse expects spread",
                         spread.convertToDouble(), 0, 1)) ||
      failed(verifyRange(emitError, "#moe.collapse expects share",
                         share.convertToDouble(), 0, 1)) ||
      failed(verifyRange(emitError, "#moe.collapse expects ratio", ratio, 1)) ||
      failed(verifyRange(emitError, "#moe.collapse expects assignments",
                         assignments, 0)));
}

//===----------------------------------------------------------------------===//
// moe.balance
//===----------------------------------------------------------------------===//

void BalanceOp::build(OpBuilder &builder, OperationState &state, Value routing,
                      ArrayRef<Attribute> metrics,
                      ArrayRef<std::pair<StringRef, Value>> inputs) {
  SmallVector<StringRef> names;
  SmallVector<Value> values;
  for (auto [name, value] : inputs) {
    names.push_back(name);
    values.push_back(value);
  }
  SmallVector<Type> types;
  for (Attribute metric : metrics)
    types.push_back(cast<BalanceMetricAttrInterface>(metric).getMetricType(
        cast<RoutingType>(routing.getType())));
  build(builder, state, types, routing, values, builder.getArrayAttr(metrics),
        builder.getStrArrayAttr(names));
}

Value BalanceOp::getInput(StringRef name) {
  for (auto [attr, value] : llvm::zip_equal(getInputNames(), getInputs()))
    if (cast<StringAttr>(attr).getValue() == name)
      return value;
  return nullptr;
}

SmallVector<Value> BalanceOp::getInputsOf(BalanceMetricAttrInterface metric) {
  SmallVector<Value> values;
  for (const BalanceInput &input : metric.getMetricInputs())
    values.push_back(getInput(input.name));
  return values;
}

void BalanceOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  for (auto [attr, value] : llvm::zip_equal(getMetrics(), getResults())) {
    // The mnemonic, which is what follows the dialect: #moe.z_loss<...>.
    std::string text;
    llvm::raw_string_ostream(text) << attr;
    StringRef name = StringRef(text).split('.').second;
    setName(value, name.take_while(
                       [](char c) { return llvm::isAlnum(c) || c == '_'; }));
  }
}

ParseResult BalanceOp::parse(OpAsmParser &parser, OperationState &result) {
  OpAsmParser::UnresolvedOperand routing;
  ArrayAttr metrics;
  if (parser.parseOperand(routing) ||
      parser.parseAttribute(metrics, "metrics", result.attributes))
    return failure();

  SmallVector<OpAsmParser::UnresolvedOperand> inputs;
  SmallVector<Type> inputTypes;
  SmallVector<StringRef> names;
  SMLoc inputsLoc = parser.getCurrentLocation();
  StringRef name;
  while (succeeded(parser.parseOptionalKeyword(&name))) {
    if (name == "attributes") {
      if (parser.parseOptionalAttrDict(result.attributes))
        return failure();
      break;
    }
    names.push_back(name);
    if (parser.parseLParen() || parser.parseOperand(inputs.emplace_back()) ||
        parser.parseColonType(inputTypes.emplace_back()) ||
        parser.parseRParen())
      return failure();
  }
  result.addAttribute("input_names",
                      parser.getBuilder().getStrArrayAttr(names));

  Type routingType;
  SmallVector<Type> types;
  if (parser.parseColonType(routingType) || parser.parseArrow() ||
      parser.parseTypeList(types) ||
      parser.resolveOperand(routing, routingType, result.operands) ||
      parser.resolveOperands(inputs, inputTypes, inputsLoc, result.operands))
    return failure();
  result.addTypes(types);
  return success();
}

void BalanceOp::print(OpAsmPrinter &printer) {
  printer << ' ' << getRouting() << ' ';
  printer.printAttributeWithoutType(getMetrics());
  for (auto [name, value] : llvm::zip_equal(getInputNames(), getInputs()))
    printer << ' ' << cast<StringAttr>(name).getValue() << '(' << value << " : "
            << value.getType() << ')';
  SmallVector<NamedAttribute> others;
  for (NamedAttribute attr : (*this)->getDiscardableAttrs())
    others.push_back(attr);
  if (!others.empty()) {
    printer << " attributes";
    printer.printOptionalAttrDict(others);
  }
  printer << " : " << getRouting().getType() << " -> ";
  llvm::interleaveComma(getResultTypes(), printer);
}

/// `tensor<?x64xf32>`, for a message.
static std::string describeInput(const BalanceInput &input, int64_t experts) {
  std::string text = "tensor<";
  for (char dim : input.shape)
    text += (dim == 'E' ? std::to_string(experts) : std::string("?")) + "x";
  return text + (input.isFloat ? "f32>" : "i32>");
}

/// Checks an input against what metric `metric` says of it. `sizes` holds what
/// is known of the sizes of each letter, and where from.
static LogicalResult
verifyInput(BalanceOp op, Attribute metric, const BalanceInput &input,
            Type type,
            llvm::StringMap<std::pair<int64_t, std::string>> &sizes) {
  int64_t experts = op.getRouting().getType().getExperts();
  auto tensor = cast<RankedTensorType>(type);
  Type element = tensor.getElementType();
  bool isElement =
      input.isFloat ? isa<FloatType>(element) : element.isInteger(32);
  if (tensor.getRank() != static_cast<int64_t>(input.shape.size()) ||
      !isElement)
    return op.emitOpError()
           << "expects input '" << input.name << "' of type "
           << describeInput(input, experts)
           << (input.isFloat ? " or of other floats" : "") << ", as " << metric
           << " reads it, but got " << type;
  for (auto [letter, size] : llvm::zip_equal(input.shape, tensor.getShape())) {
    if (letter == 'E' && size != experts)
      return op.emitOpError()
             << "expects input '" << input.name << "' of type "
             << describeInput(input, experts) << ", with " << experts
             << " experts as the routing has, but got " << type;
    if (ShapedType::isDynamic(size))
      continue;
    std::pair<int64_t, std::string> here(size,
                                         ("input '" + input.name + "'").str());
    auto [it, isNew] = sizes.try_emplace(StringRef(&letter, 1), here);
    if (!isNew && it->second.first != size)
      return op.emitOpError()
             << "expects input '" << input.name << "' to have "
             << it->second.first << (letter == 'T' ? " tokens" : " rows")
             << ", as " << it->second.second << " has, but got " << type;
  }
  return success();
}

LogicalResult BalanceOp::verify() {
  RoutingType routing = getRouting().getType();
  if (getMetrics().empty())
    return emitOpError() << "expects at least one metric, such as "
                            "#moe.expert_counts";
  if (getInputNames().size() != getInputs().size())
    return emitOpError() << "expects one name for each input, but has "
                         << getInputNames().size() << " names for "
                         << getInputs().size() << " inputs";
  llvm::StringMap<bool> isRead;
  for (Attribute name : getInputNames())
    if (!isRead.try_emplace(cast<StringAttr>(name).getValue(), false).second)
      return emitOpError() << "has input " << name << " twice";

  llvm::StringMap<std::pair<int64_t, std::string>> sizes;
  if (std::optional<int64_t> tokens = getStaticNumTokens(getRouting()))
    sizes["T"] = {*tokens, "the routing"};
  for (auto [i, attr] : llvm::enumerate(getMetrics())) {
    auto metric = cast<BalanceMetricAttrInterface>(attr);
    auto emitError = [&, i = i] {
      return emitOpError() << "metric #" << i << ": ";
    };
    if (failed(metric.verifyMetric(emitError, routing)))
      return failure();
    for (const BalanceInput &input : metric.getMetricInputs()) {
      Value value = getInput(input.name);
      if (!value && input.isOptional)
        continue;
      if (!value)
        return emitError() << attr << " reads an input '" << input.name
                           << "', which is not given; add " << input.name
                           << "(%value : "
                           << describeInput(input, routing.getExperts()) << ")";
      isRead[input.name] = true;
      if (failed(verifyInput(*this, attr, input, value.getType(), sizes)))
        return failure();
    }
  }
  for (auto [name, value] : llvm::zip_equal(getInputNames(), getInputs()))
    if (!isRead[cast<StringAttr>(name).getValue()]) {
      InFlightDiagnostic diag = emitOpError() << "has an input " << name
                                              << " that no metric reads; the "
                                                 "metrics read ";
      SmallVector<std::string> known;
      for (Attribute attr : getMetrics())
        for (const BalanceInput &input :
             cast<BalanceMetricAttrInterface>(attr).getMetricInputs())
          if (!llvm::is_contained(known, input.name))
            known.push_back(input.name.str());
      return diag << (known.empty() ? "nothing but the routing"
                                    : llvm::join(known, ", "));
    }

  if (getNumResults() != getMetrics().size())
    return emitOpError() << "expects a result for each of its "
                         << getMetrics().size() << " metrics, but has "
                         << getNumResults();
  for (auto [i, attr] : llvm::enumerate(getMetrics())) {
    Type expected =
        cast<BalanceMetricAttrInterface>(attr).getMetricType(routing);
    if (getResult(i).getType() != expected)
      return emitOpError() << "expects result #" << i << " of type " << expected
                           << ", as " << attr << " gives, but got "
                           << getResult(i).getType();
  }
  return success();
}
