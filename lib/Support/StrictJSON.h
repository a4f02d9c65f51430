//===- StrictJSON.h - The JSON of tensor file headers ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A pull parser for what .safetensors headers hold: objects, arrays, strings
// and unsigned integers. Private to lib/Support, which knows no LLVM. Stricter
// than JSON: a fraction, an exponent or a negative number is an error, because
// no header needs one.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_SUPPORT_STRICTJSON_H
#define MOE_LIB_SUPPORT_STRICTJSON_H

#include <cstdint>
#include <string>
#include <string_view>

namespace moe::detail {

class StrictJSON {
public:
  explicit StrictJSON(std::string_view text) : text(text) {}

  bool failed() const { return !message.empty(); }
  const std::string &error() const { return message; }

  /// Calls `member(key)` for each member; it has to consume the value.
  template <typename Member> bool parseObject(const Member &member) {
    if (!expect('{'))
      return false;
    if (accept('}'))
      return true;
    do {
      std::string key;
      if (!parseString(key) || !expect(':') || !member(key))
        return false;
    } while (accept(','));
    return expect('}');
  }

  template <typename Element> bool parseArray(const Element &element) {
    if (!expect('['))
      return false;
    if (accept(']'))
      return true;
    do {
      if (!element())
        return false;
    } while (accept(','));
    return expect(']');
  }

  bool parseString(std::string &value) {
    if (!expect('"'))
      return false;
    value.clear();
    while (position < text.size()) {
      unsigned char c = text[position++];
      if (c == '"')
        return true;
      if (c < 0x20)
        return fail("a control character in a string");
      if (c != '\\')
        value += static_cast<char>(c);
      else if (!parseEscape(value))
        return false;
    }
    return fail("a string that does not end");
  }

  bool parseUnsigned(int64_t &value) {
    skipSpace();
    size_t begin = position;
    value = 0;
    while (position < text.size() && text[position] >= '0' &&
           text[position] <= '9') {
      if (__builtin_mul_overflow(value, int64_t(10), &value) ||
          __builtin_add_overflow(value, int64_t(text[position] - '0'), &value))
        return fail("a number beyond 2^63 - 1");
      ++position;
    }
    char after = position < text.size() ? text[position] : ' ';
    if (position == begin || after == '.' || after == 'e' || after == 'E')
      return fail("something else where a non-negative integer is expected");
    if (text[begin] == '0' && position - begin > 1)
      return fail("a number with a leading zero");
    return true;
  }

  /// Only spaces may follow.
  bool parseEnd() {
    skipSpace();
    return position == text.size() || fail("text after the end");
  }

  bool fail(const std::string &what) {
    if (message.empty())
      message = what + " at byte " + std::to_string(position);
    return false;
  }

private:
  void skipSpace() {
    while (position < text.size() &&
           (text[position] == ' ' || text[position] == '\n' ||
            text[position] == '\r' || text[position] == '\t'))
      ++position;
  }

  bool accept(char c) {
    skipSpace();
    if (position >= text.size() || text[position] != c)
      return false;
    ++position;
    return true;
  }

  bool expect(char c) {
    if (accept(c))
      return true;
    std::string found = position < text.size() ? "something else" : "the end";
    return fail(found + " where '" + c + "' is expected");
  }

  bool parseHex(uint32_t &unit) {
    unit = 0;
    for (int i = 0; i < 4; ++i) {
      char c = position < text.size() ? text[position++] : ' ';
      int digit = c >= '0' && c <= '9'   ? c - '0'
                  : c >= 'a' && c <= 'f' ? c - 'a' + 10
                  : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                         : -1;
      if (digit < 0)
        return fail("a bad \\u escape");
      unit = unit * 16 + digit;
    }
    return true;
  }

  bool parseEscape(std::string &value) {
    char c = position < text.size() ? text[position++] : ' ';
    static constexpr std::string_view from = "\"\\/bfnrt",
                                      to = "\"\\/\b\f\n\r\t";
    size_t plain = from.find(c);
    if (plain != std::string_view::npos) {
      value += to[plain];
      return true;
    }
    uint32_t code, low;
    if (c != 'u')
      return fail("an unknown escape");
    if (!parseHex(code))
      return false;
    if (code >= 0xd800 && code < 0xe000) {
      bool hasLow = code < 0xdc00 && text.substr(position, 2) == "\\u";
      position += hasLow ? 2 : 0;
      if (!hasLow || !parseHex(low) || low < 0xdc00 || low >= 0xe000)
        return fail("half a surrogate pair");
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    appendUTF8(value, code);
    return true;
  }

  static void appendUTF8(std::string &value, uint32_t code) {
    if (code < 0x80) {
      value += static_cast<char>(code);
      return;
    }
    int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static constexpr unsigned lead[] = {0, 0xc0, 0xe0, 0xf0};
    value += static_cast<char>(lead[more] | (code >> (6 * more)));
    while (more--)
      value += static_cast<char>(0x80 | ((code >> (6 * more)) & 0x3f));
  }

  std::string_view text;
  size_t position = 0;
  std::string message;
};

} // namespace moe::detail

#endif // MOE_LIB_SUPPORT_STRICTJSON_H
