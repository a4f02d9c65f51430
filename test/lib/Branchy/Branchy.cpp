//===- Branchy.cpp - A router that the proof has to reject ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// #branchy.top_any selects what #moe.top_any<min_k = 1> selects, written the
// way one would for people: if the score is above the threshold, take the
// expert. A plugin, so that no tool of the project knows it.
//
//===----------------------------------------------------------------------===//

#include "moe/Moe.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/DialectImplementation.h"
#include "mlir/Tools/Plugins/DialectPlugin.h"

using namespace mlir;

namespace {

class BranchyTopAny
    : public Attribute::AttrBase<BranchyTopAny, Attribute, AttributeStorage,
                                 moe::SelectionPolicyAttrInterface::Trait> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(BranchyTopAny)
  using Base::Base;
  static constexpr StringLiteral name = "branchy.top_any";

  int64_t getNumSlots(int64_t experts) const { return experts; }
  LogicalResult verifyPolicy(function_ref<InFlightDiagnostic()>,
                             int64_t) const {
    return success();
  }
  LogicalResult verifyOperands(function_ref<InFlightDiagnostic()> emitError,
                               TypeRange operands, int64_t) const {
    if (operands.size() != 1)
      return emitError() << "expects the thresholds";
    return success();
  }
  bool providesValues() const { return true; }

  moe::SelectedExperts buildSelect(OpBuilder &b, Location loc, Value scores,
                                   ValueRange operands) const {
    auto type = cast<VectorType>(scores.getType());
    int64_t experts = type.getNumElements();
    auto indices = VectorType::get(experts, b.getI32Type());
    auto index = [&](int64_t i) -> Value {
      return arith::ConstantIndexOp::create(b, loc, i);
    };
    auto number = [&](int64_t i) -> Value {
      return arith::ConstantIntOp::create(b, loc, i, 32);
    };
    Value zero = index(0), none = number(0), one = number(1);
    Value lowest = arith::ConstantOp::create(
        b, loc, b.getF32FloatAttr(-std::numeric_limits<float>::infinity()));
    Value chosen = memref::AllocaOp::create(
        b, loc, MemRefType::get({experts}, b.getI32Type()));
    Value row = memref::AllocaOp::create(
        b, loc, MemRefType::get({experts}, b.getF32Type()));
    vector::StoreOp::create(b, loc, scores, row, zero);
    Value unused = arith::ConstantOp::create(
        b, loc, DenseElementsAttr::get(indices, b.getI32IntegerAttr(-1)));
    vector::StoreOp::create(b, loc, unused, chosen, zero);

    auto loop = scf::ForOp::create(
        b, loc, zero, index(experts), index(1), ValueRange{none, lowest, none},
        [&](OpBuilder &b, Location loc, Value expert, ValueRange carried) {
          Value score = memref::LoadOp::create(b, loc, row, expert);
          Value limit = memref::LoadOp::create(b, loc, operands[0], expert);
          Value id = arith::IndexCastOp::create(b, loc, b.getI32Type(), expert);
          Value taken = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGT,
                                              score, limit);
          auto take = scf::IfOp::create(
              b, loc, taken,
              [&](OpBuilder &b, Location loc) {
                memref::StoreOp::create(b, loc, id, chosen, expert);
                Value more = arith::AddIOp::create(b, loc, carried[0], one);
                scf::YieldOp::create(b, loc, more);
              },
              [&](OpBuilder &b, Location loc) {
                scf::YieldOp::create(b, loc, carried[0]);
              });
          Value better = arith::CmpFOp::create(
              b, loc, arith::CmpFPredicate::OGT, score, carried[1]);
          Value best =
              arith::SelectOp::create(b, loc, better, score, carried[1]);
          Value at = arith::SelectOp::create(b, loc, better, id, carried[2]);
          scf::YieldOp::create(b, loc, ValueRange{take.getResult(0), best, at});
        });
    Value empty = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq,
                                        loop.getResult(0), none);
    scf::IfOp::create(b, loc, empty, [&](OpBuilder &b, Location loc) {
      Value at = arith::IndexCastOp::create(b, loc, b.getIndexType(),
                                            loop.getResult(2));
      memref::StoreOp::create(b, loc, loop.getResult(2), chosen, at);
      scf::YieldOp::create(b, loc);
    });

    Value experts32 = vector::LoadOp::create(b, loc, indices, chosen, zero);
    Value many = arith::MaxSIOp::create(b, loc, loop.getResult(0), one);
    Value share = arith::DivFOp::create(
        b, loc, arith::ConstantOp::create(b, loc, b.getF32FloatAttr(1.0f)),
        arith::SIToFPOp::create(b, loc, b.getF32Type(), many));
    return {experts32, vector::BroadcastOp::create(b, loc, type, share)};
  }
};

struct BranchyDialect : Dialect {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(BranchyDialect)
  explicit BranchyDialect(MLIRContext *context)
      : Dialect(getDialectNamespace(), context, TypeID::get<BranchyDialect>()) {
    context->loadDialect<moe::MoeDialect>();
    addAttributes<BranchyTopAny>();
  }
  static constexpr StringLiteral getDialectNamespace() { return "branchy"; }

  Attribute parseAttribute(DialectAsmParser &parser, Type) const override {
    if (parser.parseKeyword("top_any"))
      return {};
    return BranchyTopAny::get(parser.getContext());
  }
  void printAttribute(Attribute, DialectAsmPrinter &printer) const override {
    printer << "top_any";
  }
};

} // namespace

extern "C" LLVM_ATTRIBUTE_WEAK DialectPluginLibraryInfo
mlirGetDialectPluginInfo() {
  return {
      MLIR_PLUGIN_API_VERSION, "Branchy", "0.1",
      [](DialectRegistry *registry) { registry->insert<BranchyDialect>(); }};
}
