//===- Capacity.cpp - Places of tokens with their experts ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Capacity.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "llvm/ADT/bit.h"

#include <cmath>

using namespace mlir;
using namespace moe;
using namespace moe::raise;

using Predicate = arith::CmpIPredicate;

bool Capacity::fail(const Twine &why) {
  if (!obstacle)
    obstacle = {loc, why.str()};
  return false;
}

static RouterOp getRouter(const Expr *index) {
  auto indices = index->kind == Expr::Element
                     ? index->tensor.getDefiningOp<RoutingIndicesOp>()
                     : RoutingIndicesOp();
  return indices ? indices.getRouting().getDefiningOp<RouterOp>() : RouterOp();
}

//===----------------------------------------------------------------------===//
// Places
//===----------------------------------------------------------------------===//

/// The number of places below which `keep` holds: a comparison of the position,
/// maybe counted from 1, with a constant.
bool Capacity::matchLimit(const Expr *keep, Choice &choice) {
  if (!keep->is("arith.cmpi"))
    return false;
  Predicate predicate = cast<arith::CmpIPredicateAttr>(keep->value).getValue();
  const Expr *count = (*keep)[0], *bound = (*keep)[1];
  if (predicate == Predicate::sgt || predicate == Predicate::sge) {
    std::swap(count, bound);
    predicate = predicate == Predicate::sgt ? Predicate::slt : Predicate::sle;
  }
  std::optional<int64_t> limit =
      exprs.linear(exprs.linear(bound, 1, count, -1), 1, choice.position, 1)
          ->getInteger();
  if (!limit || (predicate != Predicate::slt && predicate != Predicate::sle))
    return false;
  choice.places = *limit + (predicate == Predicate::sle ? 1 : 0);
  choice.keep = keep;
  return true;
}

std::optional<Capacity::Choice> Capacity::readChoice(Indicators::Term term) {
  Choice choice{};
  auto give = [&](const Twine &why) {
    fail(why);
    return std::nullopt;
  };
  choice.expert = indicators.takeEqual(term, expert);
  if (!choice.expert || !getRouter(choice.expert) ||
      !llvm::equal(choice.expert->operands,
                   ArrayRef<const Expr *>{token, elements.getOnlySlot()}))
    return give("an expert of a token is not the best one by some score");
  if (!indicators.simplify(term))
    return give("nothing is ever in a place");
  choice.position = indicators.takeEqual(term, place);
  if (!choice.position)
    return give("the place of a token with its expert is not known");
  choice.places = place->extent;
  if (term.conditions.size() > 1 ||
      (term.conditions.size() == 1 && !matchLimit(term.conditions[0], choice)))
    return give("places are not kept by a comparison of the number of tokens "
                "that came before");
  choice.places = std::min(choice.places, place->extent);
  if (choice.places < 1)
    return give("experts have no place");
  choice.factors = term.factors;
  return choice;
}

/// The position is the number of tokens that chose the expert before: of its
/// own choice the earlier ones, and all of some others.
bool Capacity::matchOrder(Choice &choice) {
  const Expr *position = choice.position;
  SmallVector<const Expr *> sums;
  int64_t offset = 0;
  if (position->kind == Expr::Linear) {
    if (llvm::any_of(position->coefficients, [](int64_t c) { return c != 1; }))
      return false;
    sums = position->operands;
    offset = position->offset;
  } else {
    sums = {position};
  }
  bool hasOwn = false;
  choice.before = 0;
  for (const Expr *sum : sums) {
    if (!sum->isReduce("arith.addi") ||
        sum->operands[0]->extent != token->extent)
      return false;
    const Expr *other = sum->operands[0];
    bool isKnown = false;
    for (auto [i, each] : llvm::enumerate(choices)) {
      const Expr *same = indicators.getIndicator(indicators.compare(
          Predicate::eq, exprs.substitute(each.expert, token, other),
          choice.expert));
      auto upTo = [&](Predicate order) {
        return exprs.apply(
            "arith.select", same->type,
            {indicators.compare(order, other, token), same, exprs.number(0)});
      };
      bool isInclusive = sum->operands[1] == upTo(Predicate::sle);
      if (each.expert == choice.expert && !hasOwn &&
          (isInclusive || sum->operands[1] == upTo(Predicate::slt))) {
        offset += isInclusive ? 1 : 0;
        hasOwn = isKnown = true;
      } else if (each.expert != choice.expert && sum->operands[1] == same &&
                 !(choice.before & (1ull << i))) {
        choice.before |= 1ull << i;
        isKnown = true;
      }
    }
    if (!isKnown)
      return false;
  }
  return hasOwn && offset == 0;
}

/// Whether `put` is 1 where `taken` has a weight. One that asks whether it is
/// above 0 is as good: nothing is taken where it is not.
bool Capacity::matchPut(const Expr *taken, const Expr *put) {
  const Expr *code = elements.unfoldAll(put);
  // A condition as a number is a choice of 1 and 0.
  if (code->is("arith.select") && (*code)[0]->is("arith.cmpf") &&
      (*code)[1]->getFloat() == 1.0 && (*code)[2]->getFloat() == 0.0) {
    const Expr *asked = (*code)[0];
    auto predicate = cast<arith::CmpFPredicateAttr>(asked->value).getValue();
    bool isAbove = predicate == arith::CmpFPredicate::OGT ||
                   predicate == arith::CmpFPredicate::UGT ||
                   predicate == arith::CmpFPredicate::ONE ||
                   predicate == arith::CmpFPredicate::UNE;
    if (isAbove && (*asked)[0] == taken && (*asked)[1]->getFloat() == 0.0)
      return isProbability ||
             fail("rows are put where weights are above 0, and weights may be "
                  "below");
  }
  Indicators::Terms terms = indicators.getTerms(put);
  if (terms.size() != choices.size())
    return fail("rows are put in other places than they are taken from");
  SmallVector<bool> isMet(choices.size());
  for (const Indicators::Term &term : terms) {
    std::optional<Choice> there = readChoice(term);
    if (!there)
      return false;
    for (auto [i, choice] : llvm::enumerate(choices))
      if (there->expert == choice.expert &&
          there->position == choice.position &&
          there->places == choice.places && there->factors.empty())
        isMet[i] = true;
  }
  return llvm::all_of(isMet, [](bool met) { return met; }) ||
         fail("rows are put in other places than they are taken from");
}

//===----------------------------------------------------------------------===//
// Routers and weights
//===----------------------------------------------------------------------===//

/// Whether the second choice is that of the same scores without the first's.
bool Capacity::matchSecond() {
  RouterOp first = getRouter(choices[0].expert),
           second = getRouter(choices[1].expert);
  for (RouterOp router : {first, second})
    if (!isa<TopKAttr>(router.getPolicy()))
      return fail("an expert of a token is not the best one by some score");
  select = first.getSelect();
  isProbability = select.getDefiningOp<linalg::SoftmaxOp>() != nullptr;
  const Expr *other = exprs.variable(first.getNumExperts());
  const Expr *score = elements.element(select, {token, other});
  const Expr *left =
      elements.unfoldAll(elements.element(second.getSelect(), {token, other}));
  const Expr *isFirst =
      indicators.compare(Predicate::eq, choices[0].expert, other);
  if (left->is("arith.mulf") && isProbability)
    for (unsigned i = 0; i < 2; ++i)
      if ((*left)[i] == score &&
          indicators.getInteger((*left)[1 - i]) ==
              exprs.linear(exprs.number(1), 1, indicators.getIndicator(isFirst),
                           -1))
        return true;
  if (left->is("arith.select") && (*left)[2] == score &&
      indicators.getCondition((*left)[0]) == isFirst)
    if (std::optional<double> masked = (*left)[1]->getFloat();
        masked == -INFINITY || (masked == 0.0 && isProbability))
      return true;
  return fail("second choices are not the best ones beside the first");
}

/// Whether a term is the score of a choice where that is kept.
bool Capacity::isKeptScore(const Indicators::Term &term, const Choice &choice) {
  if (term.factors.size() != 1 || term.factors[0]->kind != Expr::Element)
    return false;
  const Expr *score = term.factors[0];
  auto type = cast<RankedTensorType>(score->tensor.getType());
  bool isKept = choice.keep
                    ? term.conditions == SmallVector<const Expr *>{choice.keep}
                    : term.conditions.empty();
  if (!isKept || type.getRank() != 2 || (weigh && weigh != score->tensor) ||
      score->operands != SmallVector<const Expr *>{token, choice.expert})
    return false;
  weigh = score->tensor;
  return true;
}

bool Capacity::matchWeights() {
  for (const Choice &choice : choices) {
    if (choice.factors.size() != 1)
      return fail("weights are not scores of the chosen experts");
    const Expr *code = elements.unfoldAll(choice.factors[0]);
    Attribute step;
    // A score of its own where it is asked for.
    Indicators::Terms own = {{{}, {choice.factors[0]}}};
    if (choice.keep)
      own[0].conditions = {choice.keep};
    if (code->is("arith.divf")) {
      own = indicators.getTerms((*code)[0]);
      const Expr *divisor = elements.unfoldAll((*code)[1]);
      auto kind = NormalizeKind::Sum;
      double number = 0;
      if (divisor->is("arith.maximumf") || divisor->is("arith.maxnumf") ||
          divisor->is("arith.addf"))
        for (unsigned i = 0; i < 2; ++i)
          if (std::optional<double> constant = (*divisor)[i]->getFloat()) {
            kind = divisor->is("arith.addf") ? NormalizeKind::Sum
                                             : NormalizeKind::Clamp;
            number = *constant;
            divisor = (*divisor)[1 - i];
            break;
          }
      Indicators::Terms all = indicators.getTerms(divisor);
      bool isSum = all.size() == choices.size() && number >= 0;
      for (const Choice &each : choices)
        isSum &= llvm::any_of(all, [&](const Indicators::Term &term) {
          return isKeptScore(term, each);
        });
      if (!isSum)
        return fail("weights are not divided by the sum of what has a place");
      step = NormalizeAttr::get(exprs.getContext(), kind, number);
    }
    if (own.size() != 1 || !isKeptScore(own[0], choice))
      return fail("weights are not scores of the chosen experts");
    if (&choice == &choices.front())
      normalize = step;
    else if (normalize != step)
      return fail("weights of first and second choices differ in how they are "
                  "made");
  }
  return true;
}

bool Capacity::match(const Expr *taken, const Expr *put) {
  // Of an unknown number it is not known whether all are counted.
  if (ShapedType::isDynamic(token->extent))
    return fail("the number of tokens is dynamic");
  Indicators::Terms terms = indicators.getTerms(taken);
  if (terms.empty() || terms.size() > 2)
    return fail("a token has more than two choices");
  for (const Indicators::Term &term : terms) {
    std::optional<Choice> choice = readChoice(term);
    if (!choice)
      return false;
    choices.push_back(*choice);
  }
  for (Choice &choice : choices)
    if (!matchOrder(choice))
      return fail("places are not given in the order of choices, then tokens");
  llvm::sort(choices, [](const Choice &a, const Choice &b) {
    return llvm::popcount(a.before) < llvm::popcount(b.before);
  });
  for (auto [i, choice] : llvm::enumerate(choices))
    if (llvm::popcount(choice.before) != static_cast<int>(i) ||
        choice.places != choices[0].places)
      return fail("places are not given in the order of choices, then tokens");
  if (choices.size() == 1) {
    const Expr *weight = nullptr;
    for (const Expr *factor : choices[0].factors)
      weight = weight
                   ? exprs.apply("arith.mulf", factor->type, {weight, factor})
                   : factor;
    single.emplace(elements, LayerLoops{token, elements.getOnlySlot()},
                   choices[0].expert, loc);
    if (!single->match(weight)) {
      obstacle = single->getObstacle();
      return false;
    }
    // As the router has it, without steps.
    auto weights = weight->kind == Expr::Element
                       ? weight->tensor.getDefiningOp<RoutingWeightsOp>()
                       : RoutingWeightsOp();
    isProbability =
        weights &&
        weights.getRouting() == getRouter(choices[0].expert).getRouting() &&
        getRouter(choices[0].expert)
            .getScores()
            .getDefiningOp<linalg::SoftmaxOp>();
  } else if (choices[0].expert == choices[1].expert || !matchSecond() ||
             !matchWeights()) {
    return fail("both choices are the same");
  }
  return matchPut(taken, put);
}

std::string Capacity::describe() const {
  std::string text;
  llvm::raw_string_ostream os(text);
  if (single)
    os << single->describe();
  else
    os << TopKAttr::get(exprs.getContext(), choices.size());
  os << ", " << choices[0].places << " places for each expert";
  if (normalize)
    os << ", then weighing " << ArrayAttr::get(exprs.getContext(), normalize);
  return text;
}

Value Capacity::write(OpBuilder &b) {
  MLIRContext *context = b.getContext();
  Value routing =
      single ? single->write(b, loc)
             : RouterOp::create(b, loc, TopKAttr::get(context, choices.size()),
                                select, weigh)
                   .getRouting();
  routing = RoutingLimitOp::create(
      b, loc, routing.getType(), routing, /*priority=*/Value(),
      b.getI64IntegerAttr(choices[0].places), /*factor=*/FloatAttr(),
      Rounding::Ceil, /*minimum=*/1, /*group_size=*/IntegerAttr(),
      Drop::Position);
  if (normalize)
    routing =
        RoutingReweighOp::create(b, loc, routing.getType(), routing,
                                 /*scales=*/Value(), b.getArrayAttr(normalize));
  return routing;
}
