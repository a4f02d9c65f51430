//===- ManifestPacking.cpp - How arguments are packed ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The `packed` objects of a manifest.
//
//===----------------------------------------------------------------------===//

#include "ManifestReader.h"

using namespace moe;
using namespace moe::detail;

static bool parsePackView(Reader &reader, const json::Value &value,
                          const std::string &path, PackView &view) {
  const json::Object *object = value.getAsObject();
  if (!object)
    return reader.fail(path, "expected an object");
  auto parseThree = [&](llvm::StringRef key, std::array<int64_t, 3> &numbers) {
    size_t count = 0;
    auto parseOne = [&](const json::Value &number, const std::string &at) {
      int64_t parsed;
      if (!reader.integer(number, at, parsed))
        return false;
      if (count < numbers.size())
        numbers[count] = parsed;
      ++count;
      return true;
    };
    return reader.array(*object, path, key, parseOne) &&
           (count == numbers.size() ||
            reader.fail(path + "." + key.str(),
                        "expected three numbers: of experts, rows, columns"));
  };
  return reader.integer(*object, path, "offset", view.offset) &&
         parseThree("sizes", view.sizes) && parseThree("strides", view.strides);
}

static bool parsePackOrder(Reader &reader, const json::Value &value,
                           const std::string &path,
                           std::optional<moe_pack_order> &order) {
  const json::Object *object = value.getAsObject();
  if (!object)
    return reader.fail(path, "expected an object");
  order.emplace();
  auto parseDigits = [&](llvm::StringRef key, moe_pack_digit(&digits)[3]) {
    std::fill(std::begin(digits), std::end(digits), moe_pack_digit{1, 1, 0});
    size_t count = 0;
    auto parseDigit = [&](const json::Value &item, const std::string &at) {
      const json::Array *numbers = item.getAsArray();
      if (!numbers || numbers->size() != 3 || count == std::size(digits))
        return reader.fail(at, "expected at most three lists of three numbers: "
                               "weight, size, stride");
      moe_pack_digit &digit = digits[count++];
      // Which may be negative.
      std::optional<int64_t> stride = (*numbers)[2].getAsInteger();
      digit.stride = stride.value_or(0);
      return reader.integer((*numbers)[0], at, digit.weight) &&
             reader.integer((*numbers)[1], at, digit.size) &&
             (stride || reader.fail(at, "expected an integer"));
    };
    return reader.array(*object, path, key, parseDigit);
  };
  return reader.integer(*object, path, "bits", order->bits) &&
         reader.integer(*object, path, "width", order->width) &&
         reader.integer(*object, path, "first", order->first) &&
         parseDigits("rows", order->rows) &&
         parseDigits("places", order->places);
}

static bool parsePackTensor(Reader &reader, const json::Value &value,
                            const std::string &path, PackTensor &tensor) {
  const json::Object *object = value.getAsObject();
  if (!object)
    return reader.fail(path, "expected an object");
  auto parseDim = [&](const json::Value &dim, const std::string &dimPath) {
    tensor.shape.emplace_back();
    return reader.integer(dim, dimPath, tensor.shape.back());
  };
  const json::Value *order = object->get("order");
  return reader.string(*object, path, "name", tensor.name) &&
         reader.dtype(*object, path, tensor.dtype) &&
         reader.array(*object, path, "shape", parseDim) &&
         (!order ||
          parsePackOrder(reader, *order, path + ".order", tensor.order));
}

static bool parsePackField(Reader &reader, const json::Value &value,
                           const std::string &path, PackField &field) {
  const json::Object *object = value.getAsObject();
  if (!object)
    return reader.fail(path, "expected an object");
  std::string type = "i8", bits;
  if (!reader.integer(*object, path, "storage", field.storage) ||
      !reader.integer(*object, path, "offset", field.offset) ||
      !reader.integer(*object, path, "bytes", field.bytes) ||
      !reader.integer(*object, path, "unit", field.unit) ||
      !reader.string(*object, path, "float", type, false) ||
      !reader.string(*object, path, "bits", bits, false))
    return false;
  if (bits == "places")
    field.bits.kind = StoredBits::Places;
  else if (bits == "ascending")
    field.bits.kind = StoredBits::Ascending;
  else if (!bits.empty())
    return reader.fail(path + ".bits",
                       "unknown bits '" + bits +
                           "' (expected \"places\" or \"ascending\")");
  if (field.bits.kind == StoredBits::Ascending &&
      !reader.integer(*object, path, "limit", field.bits.limit))
    return false;
  if (!parseDType(type, field.dtype))
    return reader.fail(path + ".float", "unknown element type '" + type + "'");
  const json::Value *range = object->get("range");
  if (!range)
    return true;
  const json::Object *entries = range->getAsObject();
  if (!entries)
    return reader.fail(path + ".range", "expected an object");
  StoredRange &made = field.range.emplace();
  int64_t hasSize = 0;
  if (!reader.dtype(*entries, path + ".range", made.dtype) ||
      !reader.number(*entries, path + ".range", "center", made.range.center) ||
      !reader.number(*entries, path + ".range", "spread", made.range.scale) ||
      !reader.integer(*entries, path + ".range", "has_size", hasSize))
    return false;
  made.hasSize = hasSize != 0;
  return true;
}

static bool parsePackStorage(Reader &reader, const json::Value &value,
                             const std::string &path, PackStorage &storage) {
  const json::Object *object = value.getAsObject();
  if (!object)
    return reader.fail(path, "expected an object");
  return reader.string(*object, path, "name", storage.name) &&
         reader.integer(*object, path, "bytes", storage.bytes) &&
         reader.integer(*object, path, "rows", storage.rows) &&
         reader.integer(*object, path, "blocks", storage.blocks);
}

static bool parsePackSource(Reader &reader, const json::Value &value,
                            const std::string &path, PackSource &source) {
  const json::Object *object = value.getAsObject();
  if (!object)
    return reader.fail(path, "expected an object");
  auto parseDim = [&](const json::Value &dim, const std::string &dimPath) {
    source.shape.emplace_back();
    return reader.integer(dim, dimPath, source.shape.back());
  };
  auto parseStorage = [&](const json::Value &item,
                          const std::string &itemPath) {
    return parsePackTensor(reader, item, itemPath,
                           source.storage.emplace_back());
  };
  if (!reader.string(*object, path, "name", source.name) ||
      !reader.array(*object, path, "storage", parseStorage, false) ||
      !reader.integer(*object, path, "part", source.part, false) ||
      !reader.integer(*object, path, "first_expert", source.firstExpert,
                      false) ||
      !reader.integer(*object, path, "first_n", source.firstN, false) ||
      !reader.integer(*object, path, "first_k", source.firstK, false) ||
      !reader.dtype(*object, path, source.dtype, false) ||
      !reader.array(*object, path, "shape", parseDim))
    return false;
  if (const json::Value *view = object->get("view"))
    return parsePackView(reader, *view, path + ".view", source.view);
  size_t rank = source.shape.size();
  if (rank != 2 && rank != 3)
    return reader.fail(path, "has rank " + std::to_string(rank) +
                                 " and no \"view\" (expected [E, N, K] or "
                                 "[N, K])");
  source.view = PackView::whole(source.shape);
  return true;
}

bool detail::parsePackSpec(Reader &reader, const json::Value &value,
                           const std::string &path, PackSpec &spec) {
  const json::Object *object = value.getAsObject();
  if (!object)
    return reader.fail(path, "expected an object");
  if (!reader.string(*object, path, "layout", spec.layout) ||
      !reader.integer(*object, path, "columns", spec.columns) ||
      !reader.integer(*object, path, "interleave", spec.interleave) ||
      !reader.integer(*object, path, spec.isBlocks() ? "block" : "k_block",
                      spec.kBlock) ||
      !reader.integer(*object, path, "k_padded", spec.kPadded) ||
      !reader.integer(*object, path, "n_padded", spec.nPadded) ||
      !reader.integer(*object, path, "parts", spec.parts, false) ||
      !reader.integer(*object, path, "experts", spec.experts) ||
      !reader.dtype(*object, path, spec.dtype))
    return false;
  auto parseSource = [&](const json::Value &source,
                         const std::string &sourcePath) {
    spec.sources.emplace_back();
    spec.sources.back().dtype = spec.dtype;
    return parsePackSource(reader, source, sourcePath, spec.sources.back());
  };
  auto parseField = [&](const json::Value &item, const std::string &itemPath) {
    return parsePackField(reader, item, itemPath, spec.fields.emplace_back());
  };
  auto parseStorage = [&](const json::Value &item,
                          const std::string &itemPath) {
    return parsePackStorage(reader, item, itemPath,
                            spec.storage.emplace_back());
  };
  if (!reader.array(*object, path, "fields", parseField, spec.isBlocks()) ||
      !reader.array(*object, path, "storage", parseStorage, spec.isBlocks()) ||
      !reader.array(*object, path, "sources", parseSource))
    return false;
  std::string problem;
  return spec.verify(problem) || reader.fail(path, problem);
}
