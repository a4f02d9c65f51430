//===- Npy.cpp - NumPy's .npy files ----------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Little-endian arrays in C order. The header is a Python dictionary literal
// with three keys; no more of Python than that is understood.
//
//===----------------------------------------------------------------------===//

#include "TensorFormats.h"
#include "moe-mlir/Support/TensorIO.h"

#include <cstdio>
#include <cstdlib>

using namespace moe;
using namespace moe::detail;

namespace {

struct FormatName {
  const char *name;
  DType dtype;
};
constexpr FormatName formatNames[] = {
    {"<f8", DType::F64}, {"<f4", DType::F32}, {"<f2", DType::F16},
    {"<i8", DType::I64}, {"<i4", DType::I32}, {"|i1", DType::I8},
    {"|u1", DType::U8},  {"|b1", DType::I1},
};

/// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
class HeaderParser {
public:
  explicit HeaderParser(std::string_view text) : text(text) {}

  std::string dtype;
  std::vector<int64_t> shape;
  bool isFortran = false;

  bool parse() {
    bool seen[3] = {false, false, false};
    if (!accept('{'))
      return false;
    while (!accept('}')) {
      std::string key;
      if (!parseString(key) || !accept(':'))
        return false;
      int which = key == "descr"           ? 0
                  : key == "fortran_order" ? 1
                  : key == "shape"         ? 2
                                           : -1;
      if (which < 0 || seen[which])
        return false;
      seen[which] = true;
      bool isGood = which == 0   ? parseString(dtype)
                    : which == 1 ? parseBool(isFortran)
                                 : parseShape();
      if (!isGood)
        return false;
      if (!accept(',') && !isNext('}'))
        return false;
    }
    skipSpace();
    return position == text.size() && seen[0] && seen[1] && seen[2];
  }

private:
  void skipSpace() {
    while (position < text.size() &&
           (text[position] == ' ' || text[position] == '\n'))
      ++position;
  }
  bool isNext(char c) {
    skipSpace();
    return position < text.size() && text[position] == c;
  }
  bool accept(char c) {
    if (!isNext(c))
      return false;
    ++position;
    return true;
  }
  bool parseString(std::string &value) {
    skipSpace();
    char quote = position < text.size() ? text[position] : ' ';
    if (quote != '\'' && quote != '"')
      return false;
    size_t end = text.find(quote, position + 1);
    if (end == std::string_view::npos)
      return false;
    value = text.substr(position + 1, end - position - 1);
    position = end + 1;
    return true;
  }
  bool parseBool(bool &value) {
    skipSpace();
    for (bool candidate : {false, true}) {
      std::string_view word = candidate ? "True" : "False";
      if (text.substr(position, word.size()) == word) {
        position += word.size();
        value = candidate;
        return true;
      }
    }
    return false;
  }
  bool parseShape() {
    if (!accept('('))
      return false;
    while (!accept(')')) {
      skipSpace();
      size_t begin = position;
      int64_t value = 0;
      while (position < text.size() && text[position] >= '0' &&
             text[position] <= '9')
        if (__builtin_mul_overflow(value, int64_t(10), &value) ||
            __builtin_add_overflow(value, int64_t(text[position++] - '0'),
                                   &value))
          return false;
      if (position == begin || shape.size() >= 64)
        return false;
      shape.push_back(value);
      if (!accept(',') && !isNext(')'))
        return false;
    }
    return true;
  }

  std::string_view text;
  size_t position = 0;
};

std::string stem(const std::string &path) {
  size_t slash = path.find_last_of('/');
  std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  return name.substr(0, name.size() - 4); // without ".npy"
}

} // namespace

bool detail::readNpy(const std::string &path, std::vector<HostTensor> &tensors,
                     std::string &error) {
  auto fail = [&](const std::string &what) {
    error = path + ": " + what;
    return false;
  };
  MappedFile file;
  if (!file.open(path, error))
    return false;
  if (file.size < 10 || std::memcmp(file.data, "\x93NUMPY", 6) != 0)
    return fail("not a .npy file (no NumPy magic)");
  int version = file.data[6];
  if (version < 1 || version > 3)
    return fail("version " + std::to_string(version) +
                " of the .npy format; supported are 1, 2 and 3");
  size_t prefix = version == 1 ? 10 : 12;
  uint64_t headerBytes = 0;
  if (file.size >= prefix)
    for (size_t i = prefix; i-- > 8;)
      headerBytes = headerBytes << 8 | static_cast<unsigned char>(file.data[i]);
  if (file.size < prefix || headerBytes > file.size - prefix)
    return fail("truncated: a header of " + std::to_string(headerBytes) +
                " bytes in a file of " + std::to_string(file.size));
  HeaderParser header(std::string_view(file.data + prefix, headerBytes));
  if (!header.parse())
    return fail("bad header; expected a dictionary of descr, fortran_order "
                "and shape");
  const FormatName *format = nullptr;
  std::string known;
  for (const FormatName &row : formatNames) {
    if (header.dtype == row.name)
      format = &row;
    known += std::string(known.empty() ? "" : ", ") + row.name;
  }
  if (!format)
    return fail("has the dtype '" + header.dtype + "'; supported are " + known);
  if (header.isFortran && header.shape.size() > 1)
    return fail("is in Fortran order; store numpy.ascontiguousarray(a)");
  int64_t bytes;
  if (!checkedByteSize(header.shape, dtypeSize(format->dtype), bytes))
    return fail("has a shape whose size overflows");
  size_t available = file.size - prefix - headerBytes;
  if (static_cast<size_t>(bytes) != available)
    return fail(describeType(format->dtype, header.shape) + " takes " +
                std::to_string(bytes) + " bytes, but the file has " +
                std::to_string(available) + " (truncated?)");
  HostTensor tensor = viewOrCopy(file, prefix + headerBytes, format->dtype,
                                 header.shape, stem(path));
  if (!tensor.data)
    return fail("no memory for " + tensor.describe());
  tensors.push_back(std::move(tensor));
  return true;
}

bool moe::writeNpy(OutputSet &outputs, const std::string &path,
                   const HostTensor &tensor, std::string &error) {
  const char *format = nullptr;
  for (const FormatName &row : formatNames)
    if (row.dtype == tensor.dtype)
      format = row.name;
  if (!format) {
    error = path + ": NumPy has no " + dtypeName(tensor.dtype) +
            "; write tensor '" + tensor.name + "' to a .safetensors file";
    return false;
  }
  std::string header = std::string("{'descr': '") + format +
                       "', 'fortran_order': False, 'shape': (";
  for (int64_t size : tensor.shape)
    header += std::to_string(size) + ", ";
  // (3,) is a tuple of one, () of none, and (3, 4, ) is fine, too.
  header += "), }";
  header.append(-(10 + header.size() + 1) & 63, ' ');
  header += '\n';
  std::string start("\x93NUMPY\x01\x00", 8);
  start += static_cast<char>(header.size() & 0xff);
  start += static_cast<char>(header.size() >> 8);

  return outputs.write(path, start + header, error) &&
         outputs.append(path, {tensor.dataAs<char>(), tensor.numBytes()},
                        error);
}
