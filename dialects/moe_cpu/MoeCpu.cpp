//===- MoeCpu.cpp - CPUs and what is decided for them -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe_cpu/MoeCpu.h"
#include "moe/SparseFormats.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace moecpu;

#include "moe_cpu/MoeCpuDialect.cpp.inc"
#include "moe_cpu/MoeCpuEnums.cpp.inc"

/// `[1, 2]`
static ParseResult parseIntegers(AsmParser &parser,
                                 SmallVector<int64_t> &integers) {
  return parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, [&] {
    return parser.parseInteger(integers.emplace_back());
  });
}

static void printIntegers(AsmPrinter &printer, ArrayRef<int64_t> integers) {
  printer << '[';
  llvm::interleaveComma(integers, printer);
  printer << ']';
}

/// `[<rows = 6>, <rows = 14, ...>]`
static ParseResult parsePrefetchRules(AsmParser &parser,
                                      SmallVector<PrefetchAttr> &rules) {
  return parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, [&] {
    rules.push_back(
        dyn_cast_or_null<PrefetchAttr>(PrefetchAttr::parse(parser, {})));
    return success(bool(rules.back()));
  });
}

static void printPrefetchRules(AsmPrinter &printer,
                               ArrayRef<PrefetchAttr> rules) {
  printer << '[';
  llvm::interleaveComma(rules, printer,
                        [&](PrefetchAttr rule) { rule.print(printer); });
  printer << ']';
}

/// `["amd 25 16-31"]`
static ParseResult parseNames(AsmParser &parser,
                              SmallVector<StringAttr> &names) {
  return parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, [&] {
    return parser.parseAttribute(names.emplace_back());
  });
}

static void printNames(AsmPrinter &printer, ArrayRef<StringAttr> names) {
  printer << '[';
  llvm::interleaveComma(names, printer);
  printer << ']';
}

/// `{clock = 2750, fma = 64}`
static ParseResult parseRates(AsmParser &parser, DictionaryAttr &rates) {
  NamedAttrList list;
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::Braces, [&] {
        std::string name;
        int64_t value;
        SMLoc loc = parser.getCurrentLocation();
        if (parser.parseKeywordOrString(&name) || parser.parseEqual() ||
            parser.parseInteger(value))
          return failure();
        if (list.get(name)) {
          parser.emitError(loc) << name << " is there twice";
          return failure();
        }
        list.append(name, parser.getBuilder().getI64IntegerAttr(value));
        return success();
      }))
    return failure();
  rates = list.getDictionary(parser.getContext());
  return success();
}

static void printRates(AsmPrinter &printer, DictionaryAttr rates) {
  printer << '{';
  llvm::interleaveComma(rates, printer, [&](NamedAttribute rate) {
    printer << rate.getName().getValue() << " = "
            << cast<IntegerAttr>(rate.getValue()).getInt();
  });
  printer << '}';
}

#define GET_ATTRDEF_CLASSES
#include "moe_cpu/MoeCpuAttrs.cpp.inc"

void MoeCpuDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "moe_cpu/MoeCpuAttrs.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// TargetAttr
//===----------------------------------------------------------------------===//

std::optional<ModelRange> ModelRange::parse(StringRef text) {
  constexpr StringLiteral vendors[] = {"intel", "amd", "arm"};
  SmallVector<StringRef, 3> parts;
  text.split(parts, ' ');
  if (parts.size() != 3)
    return std::nullopt;
  auto *vendor = llvm::find(vendors, parts[0]);
  auto [first, last] = parts[2].split('-');
  uint16_t family = 0, low = 0, high = 0;
  if (vendor == std::end(vendors) || parts[1].getAsInteger(0, family) ||
      first.getAsInteger(0, low) ||
      (last.empty() ? first : last).getAsInteger(0, high) || low > high)
    return std::nullopt;
  uint64_t stem = uint64_t(vendor - vendors + 1) << 32 | uint64_t(family) << 16;
  return ModelRange{stem | low, stem | high};
}

StringRef TargetAttr::getTargetName() const { return "cpu"; }

StringRef TargetAttr::getChipName() const { return getName(); }

bool TargetAttr::has(StringRef instruction) const {
  return llvm::any_of(getInstructions().getAsRange<StringAttr>(),
                      [&](StringAttr known) { return known == instruction; });
}

std::optional<int64_t> TargetAttr::getRate(StringRef name) const {
  auto rate = getRates() ? getRates().getAs<IntegerAttr>(name) : IntegerAttr();
  return rate ? std::optional(rate.getInt()) : std::nullopt;
}

ArrayRef<StringLiteral> TargetAttr::getRateNames() {
  static constexpr StringLiteral names[] = {
      "clock",        "fma",         "dot_bf16",    "mmla_bf16",  "dot_int8",
      "mmla_int8",    "fma_latency", "dot_latency", "widen",      "load_l1",
      "load_l2",      "load_l3",     "l3",          "latency_l2", "latency_l3",
      "latency_dram", "dram_core",   "dram",        "cores",      "page",
      "huge_page"};
  return names;
}

/// What kernels know to use, on which architecture, and how wide its vectors
/// must be for that at least.
static constexpr struct {
  StringLiteral name;
  Arch arch;
  int64_t lanes;
} kInstructions[] = {{"dot_bf16", Arch::X86_64, 16},
                     {"dot_int8", Arch::X86_64, 8},
                     {"dot_int8", Arch::AArch64, 4},
                     {"madd_int8", Arch::X86_64, 8},
                     {"mmla_int8", Arch::AArch64, 4},
                     {"compress", Arch::X86_64, 16},
                     {"compress_bytes", Arch::X86_64, 16},
                     {"mmla_bf16", Arch::AArch64, 4}};

static LogicalResult
verifyPrefetchLevel(function_ref<InFlightDiagnostic()> emitError,
                    int64_t level) {
  if (level >= 1 && level <= 3)
    return success();
  return emitError() << "a prefetch level must be from 1 to 3, got " << level;
}

/// Of a thread's stack.
static LogicalResult verifyWidened(function_ref<InFlightDiagnostic()> emitError,
                                   int64_t widened) {
  if (widened >= 0 && widened % 2048 == 0 && widened <= 128 << 10)
    return success();
  return emitError()
         << "widened must be a multiple of 2048 bytes (8 steps of k) "
            "of at most 131072, got "
         << widened;
}

static LogicalResult verifyChunk(function_ref<InFlightDiagnostic()> emitError,
                                 int64_t chunk) {
  if (chunk >= 1024 && chunk % 1024 == 0)
    return success();
  return emitError() << "chunk must be a positive multiple of 1024 bytes "
                        "(8 steps of k), got "
                     << chunk;
}

LogicalResult PrefetchAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                   int64_t rows, ArrayRef<int64_t> ahead,
                                   ArrayRef<int64_t> levels) {
  if (rows < 1)
    return emitError() << "a prefetch rule is for at least one row, got "
                       << rows;
  if (ahead.size() != levels.size())
    return emitError() << "a prefetch rule needs a level for each distance, "
                          "got "
                       << ahead.size() << " distances and " << levels.size()
                       << " levels";
  for (int64_t distance : ahead)
    if (distance < 64 || distance % 64 != 0)
      return emitError() << "a prefetch distance must be a positive multiple "
                            "of 64 bytes, got "
                         << distance;
  for (int64_t level : levels)
    if (failed(verifyPrefetchLevel(emitError, level)))
      return failure();
  return success();
}

static LogicalResult
verifyPrefetchRules(function_ref<InFlightDiagnostic()> emitError,
                    ArrayRef<PrefetchAttr> rules) {
  for (size_t i = 1; i < rules.size(); ++i)
    if (rules[i].getRows() <= rules[i - 1].getRows())
      return emitError() << "prefetch rules must be of ascending rows, got "
                         << rules[i - 1].getRows() << " before "
                         << rules[i].getRows();
  return success();
}

LogicalResult TargetAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 StringRef name, Arch arch, StringRef cpu,
                                 StringRef features, ArrayAttr needs,
                                 ArrayAttr instructions, int64_t lanes,
                                 int64_t registers, int64_t l1, int64_t l2,
                                 bool scalable, ArrayRef<StringAttr> models,
                                 DictionaryAttr rates, int64_t run,
                                 int64_t chunk, ArrayRef<PrefetchAttr> prefetch,
                                 int64_t prefetchLevel, int64_t widened) {
  if (name.empty() || cpu.empty())
    return emitError() << "a CPU needs a name, and one that LLVM knows";
  if (lanes != 4 && lanes != 8 && lanes != 16)
    return emitError() << "lanes must be 4, 8 or 16 f32, got " << lanes;
  if (registers < 16 || l1 <= 0 || l2 <= 0)
    return emitError() << "a CPU needs at least 16 vector registers and "
                          "positive cache sizes";
  if ((arch == Arch::AArch64) != (lanes == 4))
    return emitError() << stringifyArch(arch) << " has "
                       << (arch == Arch::AArch64 ? "4" : "8 or 16")
                       << " lanes, got " << lanes;
  if (scalable && arch != Arch::AArch64)
    return emitError() << "scalable needs aarch64, got " << stringifyArch(arch);
  if (run < 0)
    return emitError() << "run cannot be negative, got " << run;
  if (chunk != 0 && failed(verifyChunk(emitError, chunk)))
    return failure();
  if (failed(verifyPrefetchRules(emitError, prefetch)) ||
      (prefetchLevel != 0 &&
       failed(verifyPrefetchLevel(emitError, prefetchLevel))))
    return failure();
  if (failed(verifyWidened(emitError, widened)))
    return failure();
  for (StringAttr text : models)
    if (!ModelRange::parse(text))
      return emitError() << text
                         << " is no model of CPUs; write vendor, family and "
                            "models, such as \"amd 25 16-31\"";
  for (NamedAttribute rate :
       rates ? rates.getValue() : ArrayRef<NamedAttribute>()) {
    auto value = dyn_cast<IntegerAttr>(rate.getValue());
    if (!llvm::is_contained(getRateNames(), rate.getName().getValue())) {
      InFlightDiagnostic diag = emitError() << "unknown rate " << rate.getName()
                                            << "; known are ";
      llvm::interleaveComma(getRateNames(), diag);
      return diag;
    }
    if (!value || !value.getType().isInteger(64) || value.getInt() < 1)
      return emitError() << "rate " << rate.getName()
                         << " must be a positive integer, got "
                         << rate.getValue();
  }
  for (Attribute attr : needs)
    if (!isa<StringAttr>(attr))
      return emitError() << "needs holds names, got " << attr;
  for (Attribute attr : instructions) {
    auto text = dyn_cast<StringAttr>(attr);
    auto isKnown = [&](const auto &row) {
      return text && text.getValue() == row.name;
    };
    auto *known = llvm::find_if(kInstructions, isKnown);
    if (known == std::end(kInstructions)) {
      InFlightDiagnostic diag = emitError() << "unknown instruction " << attr
                                            << "; known are ";
      SmallVector<StringRef> names;
      for (const auto &row : kInstructions)
        if (!llvm::is_contained(names, row.name))
          names.push_back(row.name);
      llvm::interleaveComma(names, diag);
      return diag;
    }
    if (!llvm::any_of(kInstructions, [&](const auto &row) {
          return isKnown(row) && row.arch == arch && row.lanes <= lanes;
        }))
      return emitError() << known->name << " needs "
                         << stringifyArch(known->arch) << " and "
                         << known->lanes << " lanes, got "
                         << stringifyArch(arch) << " and " << lanes;
  }
  return success();
}

/// Checks the weights that a kernel with a schedule reads: panels, or, before
/// those are made, weights in logical order.
static LogicalResult verifyWeights(Operation *op, StringRef name, Value weights,
                                   RankedTensorType logical) {
  auto type = cast<ShapedType>(weights.getType());
  if (type.getShape() == logical.getShape() || getPanels(type, logical))
    return success();
  int64_t kBlock = logical.getElementType().isF32() ? 1 : 2;
  return op->emitOpError("'")
         << name << "' must be "
         << PanelsAttr::get(op->getContext(), kBlock).getPackedType(logical)
         << ", panels of " << logical << ", got " << type;
}

//===----------------------------------------------------------------------===//
// Schedules
//===----------------------------------------------------------------------===//

LogicalResult ScheduleAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                   Inner inner, int64_t lanes, int64_t rows,
                                   int64_t blockRows, int64_t chunk,
                                   int64_t run, ArrayRef<PrefetchAttr> prefetch,
                                   bool scalable, int64_t prefetchLevel,
                                   int64_t window, int64_t widened,
                                   int64_t planes, int64_t listed) {
  if (lanes != 4 && lanes != 8 && lanes != 16)
    return emitError() << "lanes must be 4, 8 or 16, got " << lanes;
  if (inner == Inner::DotBF16 && lanes != 16)
    return emitError() << "dot_bf16 needs 16 lanes, got " << lanes;
  if (inner == Inner::MaddInt8 && lanes == 4)
    return emitError() << "madd_int8 needs 8 or 16 lanes, got 4";
  if ((inner == Inner::MmlaBF16 || inner == Inner::MmlaInt8) &&
      (lanes != 4 || scalable))
    return emitError() << stringifyInner(inner)
                       << " needs 4 lanes and is not scalable";
  if (inner == Inner::DecodeBF16 && (lanes == 8 || scalable))
    return emitError() << "decode_bf16 needs 4 or 16 lanes and is not scalable";
  if (planes != 1 && (planes != 2 || !multipliesBytes(inner)))
    return emitError() << "planes must be 1, or 2 with products of bytes, got "
                       << planes;
  if (scalable && lanes != 4)
    return emitError() << "scalable needs 4 lanes, got " << lanes;
  int64_t limit = getMaxRows(inner, lanes, planes);
  if (rows < 1 || rows > limit)
    return emitError() << "a tile of " << rows
                       << " rows does not fit the registers; rows must be from "
                          "1 to "
                       << limit << " for this inner kernel and width";
  if (blockRows < rows)
    return emitError() << "block_rows (" << blockRows
                       << ") must be at least rows (" << rows << ")";
  // Each thread keeps its parked accumulators on its stack.
  if (blockRows > 1024)
    return emitError() << "block_rows must be at most 1024, got " << blockRows;
  if (failed(verifyChunk(emitError, chunk)))
    return failure();
  if (run < 1)
    return emitError() << "run must be positive, got " << run;
  if (failed(verifyPrefetchRules(emitError, prefetch)))
    return failure();
  if (window < 0)
    return emitError() << "window cannot be negative, got " << window;
  if (widened != 0 && inner != Inner::Widen && inner != Inner::Decode &&
      inner != Inner::DecodeBF16)
    return emitError()
           << "only widen, decode and decode_bf16 have widened values";
  if (listed < 0)
    return emitError() << "listed cannot be negative, got " << listed;
  if (listed != 0 && !canList(inner))
    return emitError()
           << "only fma, widen and dot_bf16 multiply by steps from a list";
  if (failed(verifyWidened(emitError, widened)))
    return failure();
  return verifyPrefetchLevel(emitError, prefetchLevel);
}

int64_t ScheduleAttr::getWindowRows() const { return getWindow(); }

PrefetchAttr ScheduleAttr::getPrefetchOf(int64_t rows) const {
  for (PrefetchAttr rule : getPrefetch())
    if (rows <= rule.getRows())
      return rule;
  return {};
}

int64_t ScheduleAttr::getMaxRows(Inner inner, int64_t lanes, int64_t planes) {
  // What was found not to spill; see docs/performance.md. What is decoded takes
  // registers for a word of codes, a scale and an offset of each vector.
  // Numbers that wait for the next k take two more.
  if (inner == Inner::DecodeBF16)
    return 8;
  if (inner == Inner::Decode)
    return lanes == 16 ? 10 : lanes == 8 ? 4 : 8;
  // Sums of integers, of each plane, and of floats; see getBlockVectors.
  if (inner == Inner::DotInt8)
    return (lanes == 8 ? 10 : 28) / (planes + 1);
  if (inner == Inner::MaddInt8)
    return (lanes == 8 ? 12 : 28) / (2 * planes + 1);
  if (inner == Inner::MmlaInt8)
    return planes == 1 ? 6 : 4;
  if (lanes == 4)
    return inner == Inner::MmlaBF16 ? 6 : 10;
  // Two vectors a row besides two of weights, a broadcast, and one register to
  // breathe; widening holds the raw pairs and the mask besides.
  bool widen = inner == Inner::Widen;
  return lanes == 16 ? widen ? 12 : 14 : widen ? 5 : 6;
}

SmallVector<SmallVector<int64_t>>
moecpu::groupConsecutive(const moe::DecodeRounds &rounds, int64_t count) {
  ArrayRef<int64_t> first = rounds.first;
  auto order = llvm::to_vector(llvm::seq<int64_t>(0, first.size()));
  if (count > 1)
    llvm::sort(order,
               [&](int64_t a, int64_t b) { return first[a] < first[b]; });
  SmallVector<SmallVector<int64_t>> groups;
  for (size_t i = 0; i < order.size(); i += count) {
    if (i + count > order.size())
      return {};
    groups.emplace_back(ArrayRef(order).slice(i, count));
    for (auto [j, index] : llvm::enumerate(groups.back()))
      if (first[index] != first[order[i]] + static_cast<int64_t>(j))
        return {};
  }
  return groups;
}

std::string moecpu::getObstacle(Inner inner, int64_t lanes,
                                moe::WeightFormatAttrInterface format,
                                int64_t k) {
  std::string obstacle;
  llvm::raw_string_ostream os(obstacle);
  if (inner == Inner::DecodeBF16) {
    int64_t together = getBF16Together(lanes);
    if (groupConsecutive(format.getRounds(k), together).empty())
      os << "multiplies " << together
         << " consecutive k at once, and rounds of " << format
         << " have others";
    else if (lanes == 4 && isa<moe::ListedFormatAttrInterface>(Attribute(format)))
      os << "walks no list of blocks, which " << format << " has";
  }
  if (!ScheduleAttr::multipliesBytes(inner))
    return obstacle;
  auto coded = dyn_cast<moe::CodedFormatAttrInterface>(Attribute(format));
  if (!coded) {
    os << "multiplies codes, which " << format << " does not have";
    return obstacle;
  }
  // 128 less would take a correction of its own beside that of a minimum.
  moe::CodeForm form = coded.getCodeForm(k);
  if (lanes == 4 && form.hasMinimum && form.zero + form.most > 127)
    os << "multiplies codes as numbers with a sign, and " << format
       << " has codes above 127 beside minima";
  return obstacle;
}

LogicalResult ScheduleAttr::verifySchedule(Operation *op) const {
  auto matmul = dyn_cast<moek::GroupedMatmulOp>(op);
  if (!matmul)
    return op->emitOpError("cannot have schedule ")
           << *this << ", which is for moek.grouped_matmul";
  if (getListed() && !matmul.getSkipZeros())
    return op->emitOpError("schedule ")
           << *this << " leaves out steps of zeros, which needs 'skip_zeros'";
  if (moe::WeightFormatAttrInterface format = matmul.getFormatAttr()) {
    if (!readsBlocks())
      return op->emitOpError("schedule ")
             << *this << " does not fit weights in the format " << format
             << "; use decode";
    std::string obstacle =
        getObstacle(getInner(), getLanes(), format, matmul.getK());
    if (!obstacle.empty())
      return op->emitOpError("schedule ")
             << *this << " " << obstacle << "; use decode";
    auto type = cast<ShapedType>(matmul.getRhs().getType());
    RankedTensorType logical = matmul.getLogicalRhsType();
    if (type.getShape() == logical.getShape() || getBlocks(matmul))
      return success();
    return op->emitOpError("'rhs' must be ")
           << BlocksAttr::get(getContext(), format).getPackedType(logical)
           << ", blocks of " << logical << " in " << format << ", got " << type;
  }
  if (readsBlocks())
    return op->emitOpError("schedule ")
           << *this << " is for weights in a format";
  Type element = getElementTypeOrSelf(matmul.getRhs().getType());
  if (getInner() == Inner::Fma ? !element.isF32() : !element.isBF16())
    return op->emitOpError("schedule ")
           << *this << " does not fit weights of " << element
           << "; fma is for f32, widen, dot_bf16 and mmla_bf16 for bf16";
  if (failed(verifyWeights(op, "rhs", matmul.getRhs(),
                           matmul.getLogicalRhsType())))
    return failure();
  PanelsAttr panels = getPanels(matmul);
  if (panels && panels.getKBlock() == 4 && getInner() != Inner::MmlaBF16)
    return op->emitOpError("schedule ")
           << *this << " does not fit panels with k_block = 4; use mmla_bf16";
  return success();
}

LogicalResult
RouteScheduleAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                          int64_t lanes, PackBy packBy, ScheduleAttr logits,
                          int64_t single) {
  if (lanes != 4 && lanes != 8 && lanes != 16)
    return emitError() << "lanes must be 4, 8 or 16, got " << lanes;
  if (packBy != PackBy::Table && lanes != 16)
    return emitError() << stringifyPackBy(packBy) << " needs 16 lanes, got "
                       << lanes;
  if (logits && logits.getInner() != Inner::Fma)
    return emitError()
           << "router weights are f32 and want an fma schedule, got " << logits;
  if (single < 0 || single > lanes)
    return emitError() << "single must be from 0 to the " << lanes
                       << " lanes, got " << single;
  return success();
}

LogicalResult RouteScheduleAttr::verifySchedule(Operation *op) const {
  auto route = dyn_cast<moek::RouteOp>(op);
  if (!route)
    return op->emitOpError("cannot have schedule ")
           << *this << ", which is for moek.route";
  if (getSingle() != 0 && !route.getPolicy().supportsRow())
    return op->emitOpError("selects up to ")
           << getSingle() << " tokens one after another by schedule " << *this
           << ", for which " << route.getPolicy() << " has no form";
  if (!route.getX())
    return success();
  if (!getLogits())
    return op->emitOpError("forms logits, for which schedule ")
           << *this << " says nothing";
  if (!getElementTypeOrSelf(route.getRouter().getType()).isF32())
    return op->emitOpError("'router' must hold f32, got ")
           << route.getRouter().getType();
  return verifyWeights(op, "router", route.getRouter(),
                       route.getLogicalRouterType());
}

int64_t moecpu::getPaddedRowLength(int64_t k, Type element) {
  int64_t bytes = element.getIntOrFloatBitWidth() / 8;
  int64_t lines = (k * bytes + 63) / 64;
  return (lines | 1) * 64 / bytes;
}
