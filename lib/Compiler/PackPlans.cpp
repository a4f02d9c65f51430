//===- PackPlans.cpp - How arguments are packed, as data --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What the manifest says of packed arguments, for programs that read none: an
// array of moe_pack_plan for each function.
//
//===----------------------------------------------------------------------===//

#include "Internal.h"

#include "moe-mlir/Artifact/ContentId.h"
#include "moe-mlir/Runtime/moe_rt_layout.h"

#include "llvm/IR/IRBuilder.h"

using namespace moe;
using namespace llvm;

namespace {

class Builder {
public:
  explicit Builder(Module &module)
      : module(module), b(module.getContext()), i32(b.getInt32Ty()),
        i64(b.getInt64Ty()), ptr(b.getPtrTy()) {}

  /// The fields in the order and with the types of moe_rt_layout.h.
  Constant *build(moe_pack_plan plan) {
    SmallVector<Constant *> tensors, sources;
    for (int64_t i = 0; i < plan.num_tensors; ++i) {
      const moe_tensor &tensor = plan.tensors[i];
      tensors.push_back(ConstantStruct::getAnon(
          {text(tensor.name), ConstantInt::get(i32, tensor.dtype),
           ConstantInt::get(i32, tensor.rank),
           array(numbers({tensor.shape, size_t(tensor.rank)})),
           Constant::getNullValue(ptr)}));
    }
    for (int64_t i = 0; i < plan.num_sources; ++i) {
      const moe_pack_source &source = plan.sources[i];
      SmallVector<int64_t> all = {source.tensor,       source.part,
                                  source.first_expert, source.first_n,
                                  source.first_k,      source.offset};
      append_range(all, source.sizes);
      append_range(all, source.strides);
      append_range(sources, numbers(all));
    }
    SmallVector<Constant *> fields, storage, matrices, orders;
    for (const moe_pack_field &field : ArrayRef(plan.fields, plan.num_fields))
      append_range(fields, numbers({field.storage, field.offset, field.bytes,
                                    field.unit, field.dtype}));
    for (const moe_pack_storage &tensor :
         ArrayRef(plan.storage, plan.num_storage))
      append_range(storage,
                   numbers({tensor.bytes, tensor.rows, tensor.blocks}));
    if (plan.num_storage)
      for (const moe_pack_matrix &matrix :
           ArrayRef(plan.matrices, plan.num_sources))
        append_range(matrices, numbers({matrix.n, matrix.k}));
    if (plan.orders)
      for (const moe_pack_order &order :
           ArrayRef(plan.orders, plan.num_tensors)) {
        append_range(orders, numbers({order.bits, order.width, order.first}));
        for (const auto &digits : {ArrayRef(order.rows), ArrayRef(order.places)})
          for (const moe_pack_digit &digit : digits)
            append_range(orders,
                         numbers({digit.weight, digit.size, digit.stride}));
      }
    return ConstantStruct::getAnon(
        {number(plan.size),       text(plan.name),
         text(plan.id),           text(plan.layout),
         number(plan.bytes),      number(plan.columns),
         number(plan.interleave), number(plan.parts),
         number(plan.k_block),    number(plan.k_padded),
         number(plan.n_padded),   number(plan.experts),
         number(plan.dtype),      number(plan.num_tensors),
         array(tensors),          number(plan.num_sources),
         array(sources),          number(plan.num_fields),
         array(fields),           number(plan.num_storage),
         array(storage),          array(matrices),
         array(orders)});
  }

private:
  Constant *number(int64_t value) { return ConstantInt::get(i64, value); }
  SmallVector<Constant *> numbers(ArrayRef<int64_t> values) {
    return map_to_vector(values, [&](int64_t v) { return number(v); });
  }
  Constant *text(StringRef value) {
    return hold(ConstantDataArray::getString(module.getContext(), value));
  }
  Constant *array(ArrayRef<Constant *> elements) {
    if (elements.empty())
      return Constant::getNullValue(ptr);
    return hold(ConstantArray::get(
        ArrayType::get(elements.front()->getType(), elements.size()),
        elements));
  }
  /// A name that only this module knows; the linker merges equal ones.
  Constant *hold(Constant *value) {
    auto *global = new GlobalVariable(module, value->getType(),
                                      /*isConstant=*/true,
                                      GlobalValue::PrivateLinkage, value);
    global->setUnnamedAddr(GlobalValue::UnnamedAddr::Global);
    return global;
  }

  Module &module;
  IRBuilder<> b;
  Type *i32, *i64, *ptr;
};

} // namespace

static void addPlans(Module &module, ArrayRef<ArgumentDesc> arguments,
                     const std::string &symbol) {
  Builder builder(module);
  SmallVector<Constant *> plans;
  for (const ArgumentDesc &argument : arguments) {
    if (!argument.packed)
      continue;
    PackPlan wrapped(*argument.packed);
    moe_pack_plan plan = wrapped.plan;
    std::string id = layoutId(*argument.packed);
    plan.name = argument.name.c_str();
    plan.id = id.c_str();
    plans.push_back(builder.build(plan));
  }
  if (plans.empty())
    return;
  Constant *all = ConstantArray::get(
      ArrayType::get(plans.front()->getType(), plans.size()), plans);
  (void)new GlobalVariable(module, all->getType(), /*isConstant=*/true,
                           GlobalValue::ExternalLinkage, all, symbol);
}

void compiler::addPackPlans(Module &module, const FunctionDesc &function) {
  addPlans(module, function.arguments, function.symbol + "__plans");
  for (const LayoutDesc &layout : function.layouts)
    addPlans(module, layout.arguments, layout.plans);
}
