//===- Safetensors.cpp - .safetensors files --------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The format: 8 bytes little-endian length of a JSON header, the header
// (name -> dtype, shape, data_offsets relative to its end), the data.
//
//===----------------------------------------------------------------------===//

#include "StrictJSON.h"
#include "TensorFormats.h"
#include "moe-mlir/Support/GitLFS.h"
#include "moe-mlir/Support/SafetensorsHeader.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>

using namespace moe;
using namespace moe::detail;

namespace {

/// What other implementations accept, too.
constexpr uint64_t maxHeaderBytes = 100'000'000;
/// A rank beyond this is an attack, not a tensor.
constexpr size_t maxRank = 64;

struct FormatName {
  const char *name;
  DType dtype;
};
constexpr FormatName formatNames[] = {
    {"F64", DType::F64}, {"F32", DType::F32},    {"BF16", DType::BF16},
    {"F16", DType::F16}, {"I64", DType::I64},    {"I32", DType::I32},
    {"I8", DType::I8},   {"F8_E8M0", DType::F8E8M0},
    {"U8", DType::U8},   {"BOOL", DType::I1},    {"F8_E4M3", DType::F8E4M3},
};

struct Header {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape, offsets;
  bool hasDType = false, hasShape = false;
};

bool parseTensor(StrictJSON &json, Header &header) {
  auto parseIntegers = [&](std::vector<int64_t> &values, size_t limit) {
    return json.parseArray([&] {
      values.emplace_back();
      if (values.size() > limit)
        return json.fail("a list of more than " + std::to_string(limit) +
                         " numbers");
      return json.parseUnsigned(values.back());
    });
  };
  return json.parseObject([&](const std::string &key) {
    if (key == "dtype" && !header.hasDType) {
      header.hasDType = true;
      return json.parseString(header.dtype);
    }
    if (key == "shape" && !header.hasShape) {
      header.hasShape = true;
      return parseIntegers(header.shape, maxRank);
    }
    if (key == "data_offsets" && header.offsets.empty())
      return parseIntegers(header.offsets, 2);
    return json.fail("the key '" + key + "' of tensor '" + header.name +
                     "' is unknown or appears twice (expected dtype, shape, "
                     "data_offsets once each)");
  });
}

bool parseHeader(StrictJSON &json, std::vector<Header> &headers,
                 TensorMetadata &metadata) {
  std::set<std::string> seen;
  auto parseMember = [&](const std::string &name) {
    if (!seen.insert(name).second)
      return json.fail("a second tensor '" + name + "'");
    if (name == "__metadata__")
      return json.parseObject([&](const std::string &key) {
        return json.parseString(metadata[key]);
      });
    headers.emplace_back();
    headers.back().name = name;
    return parseTensor(json, headers.back());
  };
  return json.parseObject(parseMember) && json.parseEnd();
}

} // namespace

std::optional<DType> moe::parseSafetensorsType(std::string_view name) {
  for (const FormatName &row : formatNames)
    if (name == row.name)
      return row.dtype;
  return std::nullopt;
}

std::string moe::listSafetensorsTypes() {
  std::string known;
  for (const FormatName &row : formatNames)
    known += std::string(known.empty() ? "" : ", ") + row.name;
  return known;
}

bool moe::readSafetensorsHeader(const MappedFile &file, const std::string &path,
                                std::vector<SafetensorsEntry> &entries,
                                TensorMetadata &metadata, std::string &error) {
  auto fail = [&](const std::string &what) {
    error = path + ": " + what;
    return false;
  };
  if (std::string pointer = describeLFSPointer({file.data, file.size});
      !pointer.empty())
    return fail(pointer);
  if (file.size < 8)
    return fail("truncated: " + std::to_string(file.size) +
                " bytes, a .safetensors file has at least 8");
  uint64_t headerBytes = 0;
  for (int i = 7; i >= 0; --i)
    headerBytes = headerBytes << 8 | static_cast<unsigned char>(file.data[i]);
  if (headerBytes > maxHeaderBytes)
    return fail("a header of " + std::to_string(headerBytes) +
                " bytes; not a .safetensors file (the limit is " +
                std::to_string(maxHeaderBytes) + ")");
  if (headerBytes > file.size - 8)
    return fail("truncated: a header of " + std::to_string(headerBytes) +
                " bytes in a file of " + std::to_string(file.size));
  StrictJSON json(std::string_view(file.data + 8, headerBytes));
  std::vector<Header> headers;
  TensorMetadata further;
  if (!parseHeader(json, headers, further))
    return fail("bad header: " + json.error());

  int64_t dataBytes = static_cast<int64_t>(file.size - 8 - headerBytes);
  for (const Header &header : headers) {
    std::string what = "tensor '" + header.name + "' ";
    if (!header.hasDType || !header.hasShape || header.offsets.size() != 2)
      return fail(what + "lacks one of dtype, shape, data_offsets [begin, "
                         "end]");
    std::optional<DType> dtype = parseSafetensorsType(header.dtype);
    int64_t bytes, begin = header.offsets[0], end = header.offsets[1];
    if (!checkedByteSize(header.shape, dtype ? dtypeSize(*dtype) : 1, bytes))
      return fail(what + "has a shape whose size overflows");
    if (begin > end || end > dataBytes)
      return fail(what + "has data_offsets [" + std::to_string(begin) + ", " +
                  std::to_string(end) + "] outside of the " +
                  std::to_string(dataBytes) +
                  " bytes of data (truncated file?)");
    if (dtype && end - begin != bytes)
      return fail(what + "has " + std::to_string(end - begin) +
                  " bytes of data, but " + describeType(*dtype, header.shape) +
                  " takes " + std::to_string(bytes));
  }
  std::stable_sort(
      headers.begin(), headers.end(),
      [](const Header &a, const Header &b) { return a.offsets < b.offsets; });
  for (size_t i = 1; i < headers.size(); ++i)
    if (headers[i].offsets[0] < headers[i - 1].offsets[1])
      return fail("tensors '" + headers[i - 1].name + "' and '" +
                  headers[i].name + "' overlap");
  for (Header &header : headers)
    entries.push_back({std::move(header.name), std::move(header.dtype),
                       std::move(header.shape),
                       8 + headerBytes + header.offsets[0],
                       8 + headerBytes + header.offsets[1]});
  metadata.insert(further.begin(), further.end());
  return true;
}

bool detail::readSafetensors(const std::string &path,
                             std::vector<HostTensor> &tensors,
                             std::string &error, TensorMetadata *metadata) {
  auto fail = [&](const std::string &what) {
    error = path + ": " + what;
    return false;
  };
  MappedFile file;
  std::vector<SafetensorsEntry> entries;
  TensorMetadata further;
  if (!file.open(path, error) ||
      !readSafetensorsHeader(file, path, entries, further, error))
    return false;
  std::vector<HostTensor> result;
  std::string_view padding = paddingPrefix;
  for (SafetensorsEntry &entry : entries) {
    std::optional<DType> dtype = parseSafetensorsType(entry.type);
    if (!dtype)
      return fail("tensor '" + entry.name + "' has the dtype '" + entry.type +
                  "'; supported are " + listSafetensorsTypes());
    if (entry.name.compare(0, padding.size(), padding) == 0)
      continue;
    // Models have exponents as bytes.
    if (*dtype == DType::F8E8M0)
      dtype = DType::U8;
    result.push_back(
        viewOrCopy(file, entry.begin, *dtype, entry.shape, entry.name));
    if (!result.back().data)
      return fail("no memory for tensor '" + entry.name + "', " +
                  result.back().describe());
  }
  tensors.insert(tensors.end(), result.begin(), result.end());
  if (metadata)
    metadata->insert(further.begin(), further.end());
  return true;
}

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

static void appendJSONString(std::string &out, const std::string &text) {
  out += '"';
  for (unsigned char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof(escape), "\\u%04x", c);
      out += escape;
    } else {
      out += static_cast<char>(c);
    }
  }
  out += '"';
}

static size_t padding(uint64_t offset, size_t alignment) {
  return static_cast<size_t>(-offset & (alignment - 1));
}

bool SafetensorsWriter::fail(const std::string &what, std::string &error) {
  error = path + ": " + what;
  return false;
}

bool SafetensorsWriter::open(
    OutputSet &outputs, const std::string &filePath,
    std::vector<Entry> fileEntries, std::string &error, size_t dataAlignment,
    size_t tensorAlignment,
    const std::vector<std::pair<std::string, std::string>> &metadata) {
  path = filePath;
  entries = std::move(fileEntries);
  alignment = tensorAlignment;
  next = 0;
  written = 0;
  places.clear();

  std::set<std::string> names;
  std::string header = "{";
  if (!metadata.empty()) {
    header += "\"__metadata__\":{";
    for (const auto &[key, value] : metadata) {
      if (header.back() != '{')
        header += ',';
      appendJSONString(header, key);
      header += ':';
      appendJSONString(header, value);
    }
    header += '}';
  }
  uint64_t offset = 0;
  auto append = [&](const std::string &name, const char *dtype,
                    const std::vector<int64_t> &shape, uint64_t bytes) {
    if (header.back() != '{')
      header += ',';
    appendJSONString(header, name);
    header += std::string(":{\"dtype\":\"") + dtype + "\",\"shape\":[";
    for (size_t i = 0; i < shape.size(); ++i)
      header += (i ? "," : "") + std::to_string(shape[i]);
    header += "],\"data_offsets\":[" + std::to_string(offset) + "," +
              std::to_string(offset + bytes) + "]}";
    offset += bytes;
  };
  for (size_t i = 0; i < entries.size(); ++i) {
    const Entry &entry = entries[i];
    if (!names.insert(entry.name).second || entry.name == "__metadata__")
      return fail("two tensors named '" + entry.name + "'", error);
    int64_t bytes;
    if (!checkedByteSize(entry.shape, dtypeSize(entry.dtype), bytes))
      return fail("tensor '" + entry.name + "' has a bad shape", error);
    const char *format = nullptr;
    for (const FormatName &row : formatNames)
      if (row.dtype == entry.dtype)
        format = row.name;
    places.push_back({offset, offset + static_cast<uint64_t>(bytes)});
    append(entry.name, format, entry.shape, bytes);
    size_t gap = padding(offset, alignment);
    if (gap && i + 1 != entries.size())
      append(paddingPrefix + std::to_string(i), "U8", {int64_t(gap)}, gap);
  }
  header += '}';
  header.append(padding(8 + header.size(), dataAlignment), ' ');
  if (header.size() > maxHeaderBytes)
    return fail("too many tensors for the header of one file", error);

  for (Place &place : places) {
    place.begin += 8 + header.size();
    place.end += 8 + header.size();
  }

  output = nullptr;
  if (!outputs.add(path, error))
    return false;
  output = &outputs;
  unsigned char length[8];
  for (int i = 0; i < 8; ++i)
    length[i] = static_cast<unsigned char>(uint64_t(header.size()) >> (8 * i));
  return writeBytes(length, sizeof(length), error) &&
         writeBytes(header.data(), header.size(), error);
}

bool SafetensorsWriter::writeBytes(const void *data, size_t bytes,
                                   std::string &error) {
  return output->append(path, {static_cast<const char *>(data), bytes}, error);
}

bool SafetensorsWriter::write(const HostTensor &tensor, std::string &error) {
  if (next < entries.size() && (tensor.dtype != entries[next].dtype ||
                                tensor.shape != entries[next].shape))
    return fail("tensor '" + entries[next].name + "' was announced as " +
                    describeType(entries[next].dtype, entries[next].shape) +
                    ", not " + tensor.describe(),
                error);
  return append(tensor.data, tensor.numBytes(), error);
}

bool SafetensorsWriter::append(const void *data, size_t bytes,
                               std::string &error) {
  if (!output || next >= entries.size())
    return fail("more tensors than announced", error);
  const Entry &entry = entries[next];
  int64_t total;
  (void)checkedByteSize(entry.shape, dtypeSize(entry.dtype), total);
  if (bytes > static_cast<size_t>(total - written))
    return fail("more bytes than announced for tensor '" + entry.name + "'",
                error);
  if (!writeBytes(data, bytes, error))
    return false;
  written += static_cast<int64_t>(bytes);
  if (written != total)
    return true;
  written = 0;
  static const char zeros[4096] = {};
  size_t gap = ++next == entries.size() ? 0 : padding(total, alignment);
  for (size_t part; gap != 0; gap -= part) {
    part = std::min(gap, sizeof(zeros));
    if (!writeBytes(zeros, part, error))
      return false;
  }
  return true;
}

bool SafetensorsWriter::appendTo(size_t entry, const void *data, size_t bytes,
                                 std::string &error) {
  if (!output || next != 0 || entry >= entries.size())
    return fail("no tensor of that number to write", error);
  Place &place = places[entry];
  if (bytes > place.end - place.begin)
    return fail("more bytes than announced for tensor '" +
                    entries[entry].name + "'",
                error);
  if (!output->writeAt(path, place.begin,
                       {static_cast<const char *>(data), bytes}, error))
    return false;
  place.begin += bytes;
  return true;
}

bool SafetensorsWriter::close(std::string &error) {
  if (!output)
    return fail("not open", error);
  output = nullptr;
  if (next == 0)
    while (next < entries.size() && places[next].begin == places[next].end)
      ++next;
  return next == entries.size() ||
         fail("tensor '" + entries[next].name + "' was not written", error);
}

bool moe::writeSafetensors(OutputSet &outputs, const std::string &path,
                           const std::vector<HostTensor> &tensors,
                           std::string &error) {
  std::vector<const HostTensor *> order;
  for (const HostTensor &tensor : tensors)
    order.push_back(&tensor);
  std::stable_sort(order.begin(), order.end(),
                   [](const HostTensor *a, const HostTensor *b) {
                     return dtypeSize(a->dtype) > dtypeSize(b->dtype);
                   });
  std::vector<SafetensorsWriter::Entry> entries;
  for (const HostTensor *tensor : order)
    entries.push_back({tensor->name, tensor->dtype, tensor->shape});
  SafetensorsWriter writer;
  if (!writer.open(outputs, path, std::move(entries), error))
    return false;
  for (const HostTensor *tensor : order)
    if (!writer.write(*tensor, error))
      return false;
  return writer.close(error);
}
