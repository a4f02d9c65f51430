//===- StridedView.cpp - Where the elements of a view are ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Sizes were checked: their product fits in 63 bits.
//
//===----------------------------------------------------------------------===//

#include "StridedView.h"

#include "llvm/ADT/STLExtras.h"

using namespace moe;
using moe::detail::StridedView;
using Kind = TensorStep::Kind;

static std::string text(int64_t number) { return std::to_string(number); }

StridedView StridedView::whole(std::vector<int64_t> sizes) {
  StridedView view;
  view.sizes = std::move(sizes);
  view.strides.resize(view.sizes.size());
  if (view.numElements() == 0)
    return view;
  int64_t stride = 1;
  for (size_t d = view.sizes.size(); d-- > 0; stride *= view.sizes[d])
    view.strides[d] = stride;
  return view;
}

int64_t StridedView::numElements() const {
  if (llvm::is_contained(sizes, 0))
    return 0;
  int64_t count = 1;
  for (int64_t size : sizes)
    count *= size;
  return count;
}

int64_t StridedView::place(int64_t linear) const {
  int64_t place = offset;
  for (size_t d = sizes.size(); d-- > 0; linear /= sizes[d])
    place += linear % sizes[d] * strides[d];
  return place;
}

std::pair<int64_t, int64_t> StridedView::places(int64_t first,
                                                int64_t count) const {
  int64_t least = offset, most = offset, last = first + count - 1;
  // Dimensions behind the first that differs are met as a whole.
  int64_t inner = numElements();
  bool differs = false;
  for (size_t d = 0; d < sizes.size(); ++d) {
    inner /= sizes[d];
    int64_t from = first / inner % sizes[d], to = last / inner % sizes[d];
    least += (differs ? 0 : from) * strides[d];
    most += (differs ? sizes[d] - 1 : to) * strides[d];
    differs |= from != to;
  }
  return {least, most};
}

StridedView StridedView::simplify() const {
  StridedView result;
  result.offset = offset;
  for (auto [size, stride] : llvm::zip_equal(sizes, strides)) {
    if (size == 1)
      continue;
    if (!result.sizes.empty() && result.strides.back() == size * stride) {
      result.sizes.back() *= size;
      result.strides.back() = stride;
    } else {
      result.sizes.push_back(size);
      result.strides.push_back(stride);
    }
  }
  if (result.sizes.empty()) {
    result.sizes.push_back(1);
    result.strides.push_back(1);
  }
  return result;
}

std::optional<StridedView>
StridedView::reshape(llvm::ArrayRef<int64_t> wanted) const {
  StridedView result = whole(wanted.vec());
  result.offset = offset;
  if (numElements() == 0)
    return result;
  // Each dimension of what is simplest has to be a product of wanted ones: any
  // two of its neighbours are not one run of elements.
  StridedView own = simplify();
  size_t d = wanted.size();
  for (size_t i = own.sizes.size(); i-- > 0;) {
    int64_t rest = own.sizes[i], stride = own.strides[i];
    while (rest != 1) {
      if (d == 0 || rest % wanted[d - 1] != 0)
        return std::nullopt;
      --d;
      result.strides[d] = stride;
      stride *= wanted[d];
      rest /= wanted[d];
    }
  }
  return result;
}

//===----------------------------------------------------------------------===//
// Steps
//===----------------------------------------------------------------------===//

static bool applyReshape(llvm::ArrayRef<int64_t> sizes, int64_t block,
                         StridedView &view, std::optional<StridedView> &next,
                         std::string &error) {
  StridedView wanted = StridedView::whole(sizes.vec());
  if (wanted.numElements() != view.numElements()) {
    error = "there are " + text(view.numElements()) + " elements, not " +
            text(wanted.numElements());
    return false;
  }
  if (sizes.back() % block != 0) {
    error = "would cut through blocks of " + text(block) + " bytes";
    return false;
  }
  if (std::optional<StridedView> reshaped = view.reshape(sizes))
    view = std::move(*reshaped);
  else
    next = std::move(wanted);
  return true;
}

bool detail::applyStep(const TensorStep &step, int64_t block, StridedView &view,
                       std::optional<StridedView> &next, std::string &error) {
  auto fail = [&](const std::string &what) {
    error = what;
    return false;
  };
  llvm::ArrayRef<int64_t> numbers = step.numbers;
  if (step.kind == Kind::Reshape)
    return applyReshape(numbers, block, view, next, error);
  int64_t rank = static_cast<int64_t>(view.sizes.size());
  for (int64_t axis : numbers.take_front(step.kind == Kind::Transpose ? 2 : 1))
    if (axis >= rank)
      return fail("there is no axis " + text(axis) + " of " + text(rank));
  int64_t axis = numbers[0], last = rank - 1;
  int64_t &size = view.sizes[axis], &stride = view.strides[axis];
  std::string own = "axis " + text(axis) + " has " + text(size) + " elements";
  // What a step leaves of the last axis has to begin and end between blocks.
  int64_t unit = axis == last ? block : 1;
  std::string cuts = "would cut through blocks of " + text(block) + " bytes";
  switch (step.kind) {
  case Kind::Transpose:
    if (axis != numbers[1] && block != 1 &&
        (axis == last || numbers[1] == last))
      return fail(cuts);
    std::swap(size, view.sizes[numbers[1]]);
    std::swap(stride, view.strides[numbers[1]]);
    return true;
  case Kind::Part:
    if (size % numbers[2] != 0)
      return fail(own + ", which are not " + text(numbers[2]) + " equal parts");
    size /= numbers[2];
    if (size % unit != 0)
      return fail(cuts);
    view.offset += numbers[1] * size * stride;
    return true;
  case Kind::Every:
    if (size % numbers[2] != 0)
      return fail(own + ", no multiple of " + text(numbers[2]));
    if (unit != 1 && numbers[2] != 1)
      return fail(cuts);
    size /= numbers[2];
    view.offset += numbers[1] * stride;
    stride *= numbers[2];
    return true;
  case Kind::First:
    if (numbers[1] > size)
      return fail(own + ", fewer than " + text(numbers[1]));
    if (numbers[1] % unit != 0)
      return fail(cuts);
    size = numbers[1];
    if (size == 0)
      llvm::fill(view.strides, 0);
    return true;
  case Kind::Reshape:
  case Kind::GPTQ: // Not of views.
    break;
  }
  return false;
}
