//===- Source.cpp - Where tensors to be converted come from -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Source.h"

#include "moe/Moe.h"

using namespace mlir;
using namespace moe;
using namespace moe::quantize;

const uint8_t *Source::get(int64_t begin, int64_t count,
                           std::optional<uint64_t> seed,
                           HostTensor &buffer) const {
  if (tensor.data)
    return tensor.dataAs<uint8_t>() + begin;
  int64_t size = static_cast<int64_t>(dtypeSize(tensor.dtype));
  int64_t first = begin / size, elements = count / size;
  if (reader)
    if (std::optional<HostTensor> view = reader->view(first, elements))
      return view->dataAs<uint8_t>();
  if (!buffer.data)
    buffer = HostTensor::allocate(tensor.dtype, {elements}, tensor.name);
  if (!buffer.data)
    return nullptr;
  if (reader)
    reader->read(first, elements, buffer.data);
  else if (group)
    fillStored(buffer, *seed, *group, static_cast<uint64_t>(first));
  else
    fillRandom(buffer, *seed,
               randomRange(tensor.name, tensor.dtype, tensor.shape,
                           /*isActivation=*/false),
               static_cast<uint64_t>(first));
  return buffer.dataAs<uint8_t>();
}

std::optional<TensorReader>
quantize::findReader(func::FuncOp function, StringRef name, DType dtype,
                     const std::vector<int64_t> &shape,
                     const Checkpoint *checkpoint, std::string &error) {
  error.clear();
  auto said = function->getAttrOfType<DictionaryAttr>(
      MoeDialect::getCheckpointAttrName());
  auto text = said && checkpoint ? said.getAs<StringAttr>(name) : StringAttr();
  if (!text)
    return std::nullopt;
  std::optional<TensorExpression> expression =
      TensorExpression::parse(text, error);
  if (!expression)
    return std::nullopt;
  return TensorReader::make(*checkpoint, *expression, dtype, shape, error);
}
