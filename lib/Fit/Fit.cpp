//===- Fit.cpp - Formats of weights that fit into a budget --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What bytes and times a matrix adds is the difference that it makes to its
// layer alone; what all of them come to is compiled in the end, and fitted
// again should it be too much.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Fit/Fit.h"

#include "Errors.h"
#include "Estimates.h"
#include "Ranges.h"
#include "Units.h"
#include "moe-mlir/Analysis/StoredWeights.h"
#include "moe-mlir/Fit/Knapsack.h"
#include "moe-mlir/Lowering/EntryPoints.h"
#include "moe-mlir/Reference/Interpreter.h"

#include "llvm/ADT/MapVector.h"

#include <cmath>

using namespace mlir;
using namespace moe;
using namespace moe::fit;

/// How much slower than the fastest choice one may be that loses less.
static constexpr double kAsFast = 1.01;

namespace {

/// What the matrices of a unit may become.
struct UnitOptions {
  func::FuncOp function;
  Unit unit;
  /// One type for all experts, or ranges of them.
  std::vector<WeightRanges> ranges;
  /// What each does to its layer.
  std::vector<int64_t> bytes;
  std::vector<double> seconds;
  /// Squares of relative errors, for each matrix of the unit.
  std::vector<std::vector<double>> squares;

  double getSquare(size_t option) const {
    double sum = 0;
    for (const std::vector<double> &each : squares)
      sum += each[option];
    return sum;
  }
};

class Selector {
public:
  Selector(ModuleOp module, const FitOptions &options,
           moek::TargetAttrInterface chip, FitReport &report,
           std::string &error)
      : module(module), context(module.getContext()), options(options),
        report(report), error(error), errors(options),
        estimator(module, options, chip), chip(chip) {}

  bool run();

private:
  bool findOptions();
  void joinUnits(func::FuncOp function, std::vector<Unit> &own);
  bool addOptions(func::FuncOp function, const Unit &unit);
  bool addOption(UnitOptions &own, const WeightRanges &ranges,
                 ArrayRef<double> squares, std::string &why);
  std::vector<WeightRanges>
  findRanges(const Unit &unit, ArrayRef<WeightType> types,
             ArrayRef<std::vector<Loss>> losses) const;
  std::vector<WeightType> getTypes(const ModelWeight &weight) const;
  Formats getFormats(const Unit &unit, ArrayRef<WeightRange> ranges) const;
  std::vector<Item> getItems(double errorPrice, double secondsPrice) const;
  bool decide();
  std::optional<Choice> solve(int64_t budget) const;
  /// The layers with everything that was chosen.
  bool estimateAll(const Choice &choice, Estimate &all);
  void apply(const Choice &choice);
  bool describe(const Choice &choice);
  std::vector<std::string> findKept() const;
  std::string getRules(ArrayRef<ModelWeight> decided) const;

  ModuleOp module;
  MLIRContext *context;
  const FitOptions &options;
  FitReport &report;
  std::string &error;
  ErrorModel errors;
  Estimator estimator;
  moek::TargetAttrInterface chip;
  std::vector<ModelWeight> weights;
  std::vector<func::FuncOp> functions;
  std::vector<UnitOptions> units;
  Estimate before;
};

} // namespace

//===----------------------------------------------------------------------===//
// What there is to choose from
//===----------------------------------------------------------------------===//

/// Without parameters, by their names. NVFP4 is for weights that have the scale
/// of a tensor of their own, so that draws do not tell how it does.
static std::vector<std::optional<WeightType>>
getKnownTypes(MLIRContext *context, bool isMeasured) {
  std::vector<std::optional<WeightType>> types = {std::nullopt,
                                                  WeightType{{}, DType::BF16}};
  for (const std::string &name : getWeightFormatNames()) {
    std::string problem;
    WeightFormatAttrInterface format =
        parseWeightFormat(*context, name, problem);
    if (format && isa<quantize::EncodingAttrInterface>(Attribute(format)) &&
        (isMeasured || name != "nvfp4"))
      types.push_back(WeightType{format});
  }
  return types;
}

std::vector<WeightType> Selector::getTypes(const ModelWeight &weight) const {
  std::vector<std::optional<WeightType>> known = options.formats;
  if (known.empty())
    known = getKnownTypes(context, options.tensors);
  std::vector<WeightType> types;
  for (const std::optional<WeightType> &each : known) {
    WeightType type = each.value_or(weight.from);
    std::string why;
    if (!llvm::is_contained(types, type) && checkStorage(weight, type, why))
      types.push_back(type);
  }
  return types;
}

Formats Selector::getFormats(const Unit &unit,
                             ArrayRef<WeightRange> ranges) const {
  Formats formats;
  for (size_t i : unit)
    formats[weights[i].getArguments().front().getArgNumber()] =
        getFormatAttribute(context, ranges);
  return formats;
}

/// Adds ranges, or one type; false if the layer cannot be compiled so.
bool Selector::addOption(UnitOptions &own, const WeightRanges &ranges,
                         ArrayRef<double> squares, std::string &why) {
  const Estimate *base = estimator.get(own.function, {}, why);
  const Estimate *estimate =
      estimator.get(own.function, getFormats(own.unit, ranges), why);
  if (!estimate || (options.isForSpeed && estimate->seconds < 0))
    return false;
  own.ranges.push_back(ranges);
  own.bytes.push_back(estimate->bytes - base->bytes);
  own.seconds.push_back(estimate->seconds - base->seconds);
  for (auto [to, from] : llvm::zip_equal(own.squares, squares))
    to.push_back(from);
  return true;
}

/// Ranges of experts that are worth it, where it is known how often experts are
/// chosen. What is no format has numbers of its own type.
std::vector<WeightRanges>
Selector::findRanges(const Unit &unit, ArrayRef<WeightType> types,
                     ArrayRef<std::vector<Loss>> losses) const {
  constexpr size_t mostRanges = 4;
  std::vector<size_t> usable;
  for (size_t t = 0; t < types.size(); ++t)
    if ((types[t].format || types[t].number == DType::F32) &&
        llvm::all_of(losses, [&](const std::vector<Loss> &each) {
          return std::isfinite(each[t].square) && !each[t].experts.empty() &&
                 each[t].experts.size() == losses.front()[t].experts.size();
        }))
      usable.push_back(t);
  std::vector<int64_t> bytes;
  std::vector<std::vector<double>> sums;
  for (size_t t : usable) {
    int64_t &own = bytes.emplace_back();
    std::vector<double> &sum =
        sums.emplace_back(losses.front()[t].experts.size());
    for (auto [i, each] : llvm::zip_equal(unit, losses)) {
      for (int64_t part : quantize::Converter::getBytes(
               types[t], context, weights[i].rows(), weights[i].columns()))
        own += part;
      for (auto [to, from] : llvm::zip_equal(sum, each[t].experts))
        to += from;
    }
  }
  std::vector<WeightRanges> found;
  for (const Segments &segments : findSegments(bytes, sums, mostRanges)) {
    WeightRanges &ranges = found.emplace_back();
    for (auto [begin, type] : segments)
      ranges.push_back({begin, types[usable[type]]});
  }
  return found;
}

/// What a weight loses with each expert in the type of its range.
static double getSquare(ArrayRef<WeightRange> ranges,
                        ArrayRef<WeightType> types, ArrayRef<Loss> losses) {
  double sum = 0;
  for (auto [i, range] : llvm::enumerate(ranges)) {
    const Loss &loss = losses[llvm::find(types, range.type) - types.begin()];
    int64_t end = i + 1 < ranges.size()
                      ? ranges[i + 1].begin
                      : static_cast<int64_t>(loss.experts.size());
    for (int64_t expert = range.begin; expert < end; ++expert)
      sum += loss.experts[expert];
  }
  return sum;
}

bool Selector::addOptions(func::FuncOp function, const Unit &unit) {
  UnitOptions own{function, unit, {}, {}, {}, {}};
  own.squares.resize(unit.size());
  std::vector<WeightType> types = getTypes(weights[unit.front()]);
  for (size_t i : unit)
    llvm::erase_if(types, [&](const WeightType &type) {
      return !llvm::is_contained(getTypes(weights[i]), type);
    });
  std::vector<std::vector<Loss>> losses(unit.size());
  for (auto [i, each] : llvm::zip_equal(unit, losses)) {
    if (!errors.measure(weights[i], types, each, error))
      return false;
    if (options.progress)
      options.progress(i + 1, weights.size(), weights[i].name);
  }
  std::string why;
  for (auto [t, type] : llvm::enumerate(types)) {
    std::vector<double> squares;
    for (const std::vector<Loss> &each : losses)
      squares.push_back(each[t].square);
    if (llvm::all_of(squares,
                     [](double square) { return std::isfinite(square); }))
      addOption(own, {{0, type}}, squares, why);
  }
  if (own.ranges.empty()) {
    error = "'" + weights[unit.front()].name + "' of function '" +
            function.getSymName().str() +
            "' can be in none of the formats that were given" +
            (why.empty() ? "" : ": " + why);
    return false;
  }
  for (const WeightRanges &ranges : findRanges(unit, types, losses)) {
    std::vector<double> squares;
    for (const std::vector<Loss> &each : losses)
      squares.push_back(getSquare(ranges, types, each));
    addOption(own, ranges, squares, why);
  }
  units.push_back(std::move(own));
  return true;
}

/// Makes one of units that are faster together: a shared expert is one more of
/// the routed ones as long as they have one format.
void Selector::joinUnits(func::FuncOp function, std::vector<Unit> &own) {
  constexpr double part = 0.01;
  auto secondsOf = [&](ArrayRef<Unit> changed, const WeightType &type) {
    Unit all;
    for (const Unit &unit : changed)
      llvm::append_range(all, unit);
    std::string why;
    const Estimate *estimate =
        estimator.get(function, getFormats(all, WeightRange{0, type}), why);
    return estimate ? estimate->seconds : -1;
  };
  auto areFasterTogether = [&](const Unit &a, const Unit &b) {
    std::vector<WeightType> types = getTypes(weights[b.front()]);
    for (const WeightType &type : getTypes(weights[a.front()])) {
      if (type == weights[a.front()].from || type == weights[b.front()].from ||
          !llvm::is_contained(types, type))
        continue;
      double none = secondsOf({}, type), first = secondsOf({a}, type),
             second = secondsOf({b}, type), both = secondsOf({a, b}, type);
      if (first >= 0 && second >= 0 && both >= 0)
        return both < first + second - none - part * none;
    }
    return false;
  };
  for (size_t i = 0; i < own.size(); ++i)
    for (size_t j = i + 1; j < own.size(); ++j) {
      if (!areFasterTogether(own[i], own[j]))
        continue;
      llvm::append_range(own[i], own[j]);
      own.erase(own.begin() + j--);
    }
}

bool Selector::findOptions() {
  std::vector<LeftWeight> left;
  weights = findWeights(module, left);
  if (weights.empty()) {
    error = "no function has a weight that could have a format";
    if (!left.empty())
      error +=
          ": a weight of " + left.front().function +
          (left.front().name.empty() ? "" : ", '" + left.front().name + "',") +
          " stays as it is: " + left.front().why;
    return false;
  }
  before.seconds = 0;
  for (auto function : module.getOps<func::FuncOp>()) {
    if (!isEntryFunction(function))
      continue;
    const Estimate *base = estimator.get(function, {}, error);
    if (!base)
      return false;
    functions.push_back(function);
    before.add(*base);
    if (options.isForSpeed && before.seconds < 0) {
      error = "times are not known: " + chip.getChipName().str() +
              " says no rates, which moe-describe-cpu measures, or something "
              "in '" +
              function.getSymName().str() +
              "' has no model, which --report names";
      return false;
    }
    std::vector<Unit> own = findUnits(function, weights);
    if (options.isForSpeed)
      joinUnits(function, own);
    for (const Unit &unit : own)
      if (!addOptions(function, unit))
        return false;
  }
  return true;
}

//===----------------------------------------------------------------------===//
// Choosing
//===----------------------------------------------------------------------===//

std::vector<Item> Selector::getItems(double errorPrice,
                                     double secondsPrice) const {
  std::vector<Item> items;
  for (const UnitOptions &unit : units) {
    Item &item = items.emplace_back();
    for (size_t i = 0; i < unit.ranges.size(); ++i)
      item.push_back({unit.bytes[i], errorPrice * unit.getSquare(i) +
                                         secondsPrice * unit.seconds[i]});
  }
  return items;
}

std::optional<Choice> Selector::solve(int64_t budget) const {
  if (!options.isForSpeed)
    return choose(getItems(1, 0), budget);
  std::optional<Choice> fastest = choose(getItems(0, 1), budget);
  if (!fastest)
    return fastest;
  auto sumOf = [&](const Choice &choice, auto get) {
    double sum = 0;
    for (auto [unit, option] : llvm::zip_equal(units, choice.options))
      sum += get(unit, option);
    return sum;
  };
  auto secondsOf = [&](const Choice &choice) {
    return before.seconds +
           sumOf(choice, [](const UnitOptions &unit, size_t option) {
             return unit.seconds[option];
           });
  };
  auto squareOf = [&](const Choice &choice) {
    return sumOf(choice, [](const UnitOptions &unit, size_t option) {
      return unit.getSquare(option);
    });
  };
  // Among those about as fast, one that loses less: what a second costs in
  // squares of errors, from nothing to nearly all, by halving the interval of
  // its exponent.
  double limit = secondsOf(*fastest) * kAsFast, low = -40, high = 40;
  std::optional<Choice> best = fastest;
  for (int step = 0; step < 24; ++step) {
    double middle = (low + high) / 2;
    std::optional<Choice> choice =
        choose(getItems(1, std::exp2(middle) / before.seconds), budget);
    bool isFast = choice && secondsOf(*choice) <= limit;
    (isFast ? high : low) = middle;
    if (isFast && squareOf(*choice) < squareOf(*best)) {
      choice->gap = fastest->gap + secondsOf(*choice) - secondsOf(*fastest);
      best = choice;
    }
  }
  best->cost = secondsOf(*best);
  return best;
}

bool Selector::estimateAll(const Choice &choice, Estimate &all) {
  all = {0, 0};
  for (func::FuncOp function : functions) {
    Formats formats;
    for (auto [unit, option] : llvm::zip_equal(units, choice.options))
      if (unit.function == function)
        for (auto [number, format] : getFormats(unit.unit, unit.ranges[option]))
          formats[number] = format;
    const Estimate *own = estimator.get(function, formats, error);
    if (!own)
      return false;
    all.bytes += own->bytes;
    all.seconds =
        all.seconds < 0 || own->seconds < 0 ? -1 : all.seconds + own->seconds;
  }
  return true;
}

bool Selector::decide() {
  int64_t room = options.budget - before.bytes;
  int64_t least = before.bytes + getLeastBytes(getItems(1, 0));
  // Kernels of matrices beside each other may pack them in another way than
  // each of them alone.
  constexpr int mostTries = 8;
  for (int i = 0; i < mostTries; ++i) {
    std::optional<Choice> choice = solve(room);
    if (!choice)
      break;
    Estimate all;
    if (!estimateAll(*choice, all))
      return false;
    if (all.bytes > options.budget) {
      room -= all.bytes - options.budget;
      continue;
    }
    report.bytes = all.bytes;
    report.seconds = all.seconds;
    report.gap = choice->cost > 0 ? choice->gap / choice->cost : 0;
    apply(*choice);
    return describe(*choice);
  }
  error = "no choice of formats takes " + std::to_string(options.budget) +
          " bytes: the least that is possible is " + std::to_string(least);
  if (std::vector<std::string> kept = findKept(); !kept.empty())
    error += ", with what keeps its type: " + llvm::join(kept, ", ");
  return false;
}

void Selector::apply(const Choice &choice) {
  for (auto [unit, option] : llvm::zip_equal(units, choice.options))
    for (size_t i : unit.unit)
      weights[i].setFormat(getFormatAttribute(context, unit.ranges[option]));
}

//===----------------------------------------------------------------------===//
// Telling
//===----------------------------------------------------------------------===//

/// A name as a pattern that fits nothing else.
static std::string escape(StringRef name) {
  std::string text;
  for (char c : name) {
    if (StringRef("*?[]{}\\").contains(c))
      text += '\\';
    text += c;
  }
  return text;
}

std::string Selector::getRules(ArrayRef<ModelWeight> decided) const {
  auto typeOf = [](const ModelWeight &weight) {
    return weight.to.value_or(weight.from);
  };
  if (llvm::all_of(decided, [&](const ModelWeight &weight) {
        return weight.isChanged() && !weight.isRange() &&
               typeOf(weight) == typeOf(decided.front());
      }))
    return decided.front().to->name();
  // The first rule counts that fits: in front what differs from most functions.
  std::vector<std::string> rules, common;
  llvm::MapVector<StringRef, SmallVector<const ModelWeight *>> named;
  for (const ModelWeight &weight : decided)
    named[weight.ownName()].push_back(&weight);
  for (auto &[name, all] : named) {
    auto count = [&](const ModelWeight *weight) {
      return llvm::count_if(all, [&](const ModelWeight *other) {
        return !other->isRange() && typeOf(*other) == typeOf(*weight);
      });
    };
    const ModelWeight *most = *llvm::max_element(
        all, [&](auto *a, auto *b) { return count(a) < count(b); });
    for (const ModelWeight *weight : all) {
      func::FuncOp function = weight->function;
      std::string rule = escape(function.getSymName()) + "/" + escape(name);
      if (weight->isRange())
        rule += "@" + std::to_string(weight->begin) + "-" +
                std::to_string(weight->end - 1);
      else if (typeOf(*weight) == typeOf(*most))
        continue;
      rules.push_back(rule + "=" +
                      (weight->isChanged() ? typeOf(*weight).name() : "keep"));
    }
    if (!most->isRange() && most->isChanged())
      common.push_back(escape(name) + "=" + typeOf(*most).name());
  }
  llvm::append_range(rules, common);
  return llvm::join(rules, ",");
}

/// Arguments of static shape that can have no format.
std::vector<std::string> Selector::findKept() const {
  std::vector<std::string> names;
  for (func::FuncOp function : functions)
    for (BlockArgument argument : function.getArguments()) {
      auto type = dyn_cast<RankedTensorType>(argument.getType());
      std::string name = nameWeight(argument);
      bool isWeight = llvm::any_of(weights, [&](const ModelWeight &weight) {
        return llvm::is_contained(weight.getArguments(), argument);
      });
      if (type && type.hasStaticShape() && !isWeight &&
          !llvm::is_contained(names, name))
        names.push_back(name);
    }
  return names;
}

bool Selector::describe(const Choice &choice) {
  report.budget = options.budget;
  report.objective = options.isForSpeed ? "speed" : "error";
  report.tokens = options.tokens;
  report.threads = estimator.getThreads();
  report.chip = chip.getChipName().str();
  report.bytesBefore = before.bytes;
  report.secondsBefore = before.seconds;
  report.errorsOf = options.tensors ? "the weights" : "normal draws";
  if (options.profile)
    report.errorsOf += ", by what they are multiplied with";
  std::vector<LeftWeight> left;
  std::vector<ModelWeight> decided = findWeights(module, left);
  report.rules = getRules(decided);
  double sum = 0;
  for (auto [unit, option] : llvm::zip_equal(units, choice.options))
    sum += unit.getSquare(option);
  int64_t weightBytes = 0;
  for (const ModelWeight &weight : decided) {
    FitReport::Weight told;
    func::FuncOp function = weight.function;
    told.function = function.getSymName().str();
    told.name = weight.name;
    told.from = weight.from.name();
    WeightType to = weight.to.value_or(weight.from);
    told.to = to.name();
    auto before = llvm::find_if(
        weights, [&](const auto &each) { return each.value == weight.value; });
    told.isGiven = before->to || before->from.format;
    std::vector<Loss> losses;
    if (!errors.measure(weight, to, losses, error))
      return false;
    if (told.isGiven)
      sum += losses.front().getPart(weight);
    told.count = weight.rows() * weight.columns() * weight.numExperts();
    for (int64_t bytes : quantize::Converter::getBytes(
             to, context, weight.rows(), weight.columns()))
      told.bytes += bytes * weight.numExperts();
    weightBytes += told.bytes;
    told.error = std::sqrt(losses.front().getOwn(weight));
    report.weights.push_back(std::move(told));
  }
  report.error = std::sqrt(sum / static_cast<double>(functions.size()));
  report.kept = findKept();
  report.keptBytes = report.bytes - weightBytes;
  return true;
}

bool Selector::run() { return findOptions() && decide(); }

bool fit::selectFormats(ModuleOp module, FitOptions options, FitReport &report,
                        std::string &error) {
  CompileOptions &compile = options.compile;
  // Of an artifact for many chips, this machine's is the one that is known.
  if (compile.targets.empty() && compile.targetDescriptions.empty() &&
      !moek::getTarget(module))
    compile.targets = {"native"};
  FailureOr<TargetList> targets = resolveTargets(module, compile);
  if (failed(targets))
    return false;
  return Selector(module, options, targets->back(), report, error).run();
}

void fit::registerFormatModels(DialectRegistry &registry) {
  reference::registerReferenceModels(registry);
  quantize::registerEncoders(registry);
}
