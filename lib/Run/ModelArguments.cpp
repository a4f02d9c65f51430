//===- ModelArguments.cpp - What the interpreter is given ------- -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "ModelArguments.h"

#include "moe-mlir/Reference/FunctionTensors.h"

#include <cstring>

using namespace mlir;
using namespace moe::run;
using moe::HostTensor;
using moe::StoredGroup;

HostTensor moe::run::takeRows(const HostTensor &tensor,
                              ArrayRef<int64_t> rows) {
  std::vector<int64_t> shape = tensor.shape;
  shape[0] = static_cast<int64_t>(rows.size());
  HostTensor taken = HostTensor::allocate(tensor.dtype, shape, tensor.name);
  if (!taken.data || rows.empty())
    return taken;
  size_t rowBytes = taken.numBytes() / rows.size();
  for (auto [i, row] : llvm::enumerate(rows))
    std::memcpy(taken.dataAs<char>() + i * rowBytes,
                tensor.dataAs<char>() + row * rowBytes, rowBytes);
  return taken;
}

bool moe::run::makeModelArguments(func::FuncOp function,
                                  const FunctionDesc &desc,
                                  const std::vector<int64_t> &sizeValues,
                                  const FunctionInputs &inputs,
                                  StringRef tokenSize, ArrayRef<int64_t> chosen,
                                  std::vector<HostTensor> &arguments,
                                  std::string &error) {
  auto fail = [&](const Twine &message) {
    error = message.str();
    return false;
  };
  for (unsigned i = 0; i < function.getNumArguments(); ++i) {
    auto type = dyn_cast<RankedTensorType>(function.getArgumentTypes()[i]);
    auto name = function.getArgAttrOfType<StringAttr>(i, "moe.name");
    if (!type || !name)
      return fail("argument " + Twine(i) + " of the model's '" +
                  function.getName() + "' is no tensor with a moe.name");
    moe::DType dtype;
    std::string element;
    llvm::raw_string_ostream(element) << type.getElementType();
    if (!moe::parseDType(element, dtype))
      return fail("argument '" + name.getValue() + "' has elements of type " +
                  element);
    auto dims = function.getArgAttrOfType<ArrayAttr>(i, "moe.dims");
    std::vector<int64_t> shape;
    unsigned dynamic = 0;
    bool isRows = false;
    for (auto [position, size] : llvm::enumerate(type.getShape())) {
      if (!ShapedType::isDynamic(size)) {
        shape.push_back(size);
        continue;
      }
      StringRef dim = dims && dynamic < dims.size()
                          ? cast<StringAttr>(dims[dynamic]).getValue()
                          : "";
      ++dynamic;
      auto *it = llvm::find_if(desc.sizes, [&](const std::string &known) {
                   return dim == known;
                 }).base();
      size_t index = it - desc.sizes.data();
      if (index == desc.sizes.size())
        return fail("argument '" + name.getValue() +
                    "' of the model has a "
                    "size '" +
                    dim + "' that the artifact does not have");
      shape.push_back(sizeValues[index]);
      isRows |= position == 0 && dim == tokenSize && !dim.empty();
    }
    if (std::string source = inputs.getPackedSource(desc, name.str());
        !source.empty())
      return fail("the interpreter needs '" + name.getValue() +
                  "' as it is in the checkpoint that the packed weights were "
                  "made of, where it is '" +
                  source + "'; give that with --checkpoint");
    std::optional<StoredGroup> stored =
        moe::reference::getStoredGroup(function, i);
    std::optional<HostTensor> tensor =
        inputs.find(desc, name.str(), dtype, shape,
                    /*isActivation=*/dynamic != 0, /*describeOnly=*/false,
                    stored ? &*stored : nullptr);
    if (!tensor || !tensor->data)
      return fail("the interpreter needs tensor '" + name.getValue() + "' of " +
                  moe::describeType(dtype, shape) +
                  (tensor ? ": no memory"
                          : ": give it with --inputs or --checkpoint, or the "
                            "--random it was made from"));
    if (tensor->shape != shape)
      return fail("tensor '" + name.getValue() + "' is " + tensor->describe() +
                  ", but the model wants " + moe::describeType(dtype, shape));
    // What a file holds in a wider type is rounded when it is packed.
    if (tensor->dtype != dtype && dtypeSize(tensor->dtype) > dtypeSize(dtype)) {
      HostTensor rounded =
          HostTensor::allocate(dtype, tensor->shape, tensor->name);
      if (!rounded.data)
        return fail("no memory for '" + name.getValue() + "'");
      for (int64_t e = 0, n = rounded.numElements(); e < n; ++e)
        rounded.set(e, tensor->get(e));
      tensor = rounded;
    }
    // What weights are stored in is bytes, whatever a file calls them.
    if (stored && dtypeSize(tensor->dtype) == dtypeSize(dtype))
      tensor->dtype = dtype;
    arguments.push_back(isRows ? takeRows(*tensor, chosen) : *tensor);
  }
  return true;
}
