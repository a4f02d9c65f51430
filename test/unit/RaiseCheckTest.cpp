//===- RaiseCheckTest.cpp - That a wrong raise is refused --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Raising is meant to be right, so that no model shows what --check is for:
// here the raised function is written by hand, with one mistake.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/InitAll.h"
#include "moe-mlir/Raise/Check.h"
#include "moe-mlir/Reference/Interpreter.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "gtest/gtest.h"

using namespace mlir;

namespace {

class RaiseCheck : public testing::Test {
protected:
  RaiseCheck() {
    DialectRegistry registry;
    moe::registerAllDialects(registry);
    moe::reference::registerModelDialects(registry);
    moe::reference::registerReferenceModels(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
  }

  /// One expert a token of eight in four groups, which scores x of its row.
  OwningOpRef<ModuleOp> makeLayer(StringRef policy, StringRef weighing,
                                  StringRef code = "arith.negf %a : f32") {
    std::string text = R"(
      func.func @layer(%x: tensor<?x8xf32> {moe.dims = ["T"], moe.name = "x"})
          -> (tensor<?x8xf32> {moe.name = "y"}) {
        %r = moe.router )" +
                       policy.str() + " select(%x) weigh(%x) weighing [" +
                       weighing.str() + R"(]
            : tensor<?x8xf32> -> !moe.routing<8 x 1>
        %rows = moe.dispatch %x by %r
            : tensor<?x8xf32>, !moe.routing<8 x 1> -> tensor<?x8xf32>
        %out = moe.expert %rows by %r
            : (tensor<?x8xf32>, !moe.routing<8 x 1>) -> tensor<?x8xf32>
        experts 0 to 8 {
        ^bb0(%t: tensor<?x8xf32>):
          %f = linalg.map ins(%t : tensor<?x8xf32>) outs(%t : tensor<?x8xf32>)
            (%a: f32, %o: f32) {
              %zero = arith.constant 0.0 : f32
              %bound = arith.constant 100.0 : f32
              %b = )" + code.str() +
                       R"(
              linalg.yield %b : f32
            }
          moe.yield %f : tensor<?x8xf32>
        }
        %y = moe.combine %out by %r
            : tensor<?x8xf32>, !moe.routing<8 x 1> -> tensor<?x8xf32>
        return %y : tensor<?x8xf32>
      })";
    return parseSourceString<ModuleOp>(text, &context);
  }

  /// What the check says of two layers; empty if they are the same.
  std::string check(const OwningOpRef<ModuleOp> &original,
                    const OwningOpRef<ModuleOp> &raised) {
    std::string error;
    if (!original || !raised)
      return "cannot be parsed";
    bool isSame = moe::checkRaise(*original, *raised, /*seed=*/1, error);
    EXPECT_EQ(isSame, error.empty());
    return error;
  }

  static constexpr const char *kGroups =
      "#moe.group_top_k<1, groups = 4, keep = 1, reduce = top2>";
  MLIRContext context;
};

TEST_F(RaiseCheck, AcceptsTheSame) {
  EXPECT_EQ(check(makeLayer(kGroups, "#moe.scale<2.0>"),
                  makeLayer(kGroups, "#moe.scale<2.0>")),
            "");
}

TEST_F(RaiseCheck, NamesTheElementThatDiffers) {
  std::string error = check(makeLayer(kGroups, "#moe.scale<2.0>"),
                            makeLayer(kGroups, "#moe.scale<2.1>"));
  EXPECT_NE(error.find("'layer' is not what it was: result 0 differs at "
                       "element "),
            std::string::npos)
      << error;
  EXPECT_NE(error.find("on random tokens, sizes 7: "), std::string::npos)
      << error;
}

// Groups of two experts: the sum of the two best is that of all, which may be
// taken for something else.
TEST_F(RaiseCheck, RefusesOtherGroups) {
  EXPECT_NE(
      check(makeLayer(kGroups, "#moe.sigmoid"),
            makeLayer("#moe.group_top_k<1, groups = 4, keep = 1, reduce = max>",
                      "#moe.sigmoid")),
      "");
}

// The same but where scores are 0.
TEST_F(RaiseCheck, LooksAtTokensOfZeros) {
  std::string error =
      check(makeLayer("#moe.top_k<1>", "#moe.normalize<sum, eps = 0.0>"),
            makeLayer("#moe.top_k<1>", "#moe.normalize<sum, eps = 1.0e-20>"));
  EXPECT_NE(error.find("on tokens of zeros"), std::string::npos) << error;
}

// The same but for large numbers: a bound that others never meet.
TEST_F(RaiseCheck, LooksAtLargeTokens) {
  std::string error = check(
      makeLayer("#moe.top_k<1>", "#moe.sigmoid", "arith.addf %a, %zero : f32"),
      makeLayer("#moe.top_k<1>", "#moe.sigmoid",
                "arith.minimumf %a, %bound : f32"));
  EXPECT_NE(error.find("on large tokens"), std::string::npos) << error;
}

} // namespace
