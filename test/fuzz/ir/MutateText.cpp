//===- MutateText.cpp - Random changes to IR as text ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Mutate.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringRef.h"

using namespace moe::fuzz;
using llvm::StringRef;

int64_t moe::fuzz::drawNumber(Draw &draw, int64_t old) {
  static const int64_t numbers[] = {
      0,         1,         -1,         2,         3,
      7,         16,        17,         64,        1000,
      4096,      65537,     1 << 20,    (1 << 30), int64_t(1) << 31,
      INT32_MAX, INT32_MIN, UINT32_MAX, INT64_MAX, INT64_MIN,
      1ll << 40, 1ll << 62};
  unsigned r = draw.below(10);
  uint64_t bits = old;
  if (r < 2)
    return bits + 1;
  if (r < 4)
    return bits - 1;
  if (r == 4)
    return bits * 2;
  if (r == 5)
    return draw.below(9);
  return draw.pick(numbers);
}

std::vector<std::string> moe::fuzz::tokenize(const std::string &text) {
  std::vector<std::string> tokens;
  size_t i = 0, n = text.size();
  auto isWord = [](char c) {
    return llvm::isAlnum(c) || c == '_' || c == '.' || c == '$';
  };
  while (i < n) {
    size_t begin = i;
    char c = text[i++];
    if (c == '/' && i < n && text[i] == '/') {
      while (i < n && text[i] != '\n')
        ++i;
    } else if (c == '"') {
      while (i < n && text[i] != '"' && text[i] != '\n')
        i += text[i] == '\\' ? 2 : 1;
      i = std::min(i + 1, n);
    } else if (llvm::isDigit(c)) {
      // In 4x8xf32 each number is a token of its own, as is the x.
      if (c == '0' && i + 1 < n && text[i] == 'x' &&
          llvm::isHexDigit(text[i + 1]) &&
          (begin == 0 || !llvm::isAlnum(text[begin - 1]))) {
        ++i;
        while (i < n && llvm::isHexDigit(text[i]))
          ++i;
      } else {
        while (i < n && llvm::isDigit(text[i]))
          ++i;
        if (i + 1 < n && text[i] == '.' && llvm::isDigit(text[i + 1])) {
          ++i;
          while (i < n && llvm::isDigit(text[i]))
            ++i;
        }
      }
    } else if (c == 'x' && begin > 0 &&
               (llvm::isDigit(text[begin - 1]) || text[begin - 1] == '?')) {
      // The x of a shape.
    } else if (isWord(c)) {
      while (i < n && isWord(text[i]))
        ++i;
    } else if (c == '%' || c == '#' || c == '!' || c == '@' || c == '^') {
      while (i < n && isWord(text[i]))
        ++i;
    } else if (c == '-' && i < n && text[i] == '>') {
      ++i;
    } else if (c == ' ') {
      while (i < n && text[i] == ' ')
        ++i;
    }
    tokens.push_back(text.substr(begin, i - begin));
  }
  return tokens;
}

static bool isBlank(StringRef token) {
  return token.trim().empty() || token.starts_with("//");
}

static bool isNumber(StringRef token) {
  return !token.empty() && llvm::isDigit(token.front());
}

namespace {
class TextMutator {
public:
  TextMutator(const std::string &text, const std::vector<std::string> &words,
              Draw &draw)
      : words(words), draw(draw), tokens(tokenize(text)) {}

  std::string run() {
    static const unsigned counts[] = {1, 1, 1, 2, 2, 3, 5};
    for (unsigned i = 0, n = draw.pick(counts); i < n && !tokens.empty(); ++i)
      once();
    return llvm::join(tokens, "");
  }

private:
  /// A token that `accept` takes, or none.
  template <typename Accept> std::optional<size_t> find(const Accept &accept) {
    for (unsigned tries = 0; tries < 200; ++tries) {
      size_t i = draw.below(tokens.size());
      if (accept(StringRef(tokens[i])))
        return i;
    }
    return std::nullopt;
  }

  std::optional<size_t> findWord() {
    return find([](StringRef token) { return !isBlank(token); });
  }

  /// Replaces one token, or each that equals it.
  void replace(size_t i, const std::string &with, unsigned percentAll) {
    std::string old = tokens[i];
    bool all = draw.chance(percentAll);
    for (size_t j = 0; j < tokens.size(); ++j)
      if (j == i || (all && tokens[j] == old))
        tokens[j] = with;
  }

  /// The tokens of the line around token `i`: [begin, end).
  std::pair<size_t, size_t> line(size_t i) {
    size_t begin = i, end = i;
    while (begin > 0 && tokens[begin - 1] != "\n")
      --begin;
    while (end < tokens.size() && tokens[end] != "\n")
      ++end;
    return {begin, std::min(end + 1, tokens.size())};
  }

  std::vector<std::string> copy(std::pair<size_t, size_t> range) {
    return {tokens.begin() + range.first, tokens.begin() + range.second};
  }

  void erase(std::pair<size_t, size_t> range) {
    tokens.erase(tokens.begin() + range.first, tokens.begin() + range.second);
  }

  void changeNumber() {
    std::optional<size_t> i = find(isNumber);
    if (!i)
      return;
    StringRef old = tokens[*i];
    int64_t value = 0;
    if (old.contains('.')) {
      static const char *floats[] = {
          "0.0",     "1.0", "-1.0",       "1.0e30",     "1.0e-45",
          "1.0e400", "0.5", "0x7FC00000", "0x7F800000", "0xFF800000"};
      replace(*i, draw.pick(floats), 30);
      return;
    }
    (void)old.getAsInteger(0, value);
    bool dimension = *i + 1 < tokens.size() && tokens[*i + 1] == "x";
    if (dimension && draw.chance(25)) {
      replace(*i, "?", 60);
      return;
    }
    int64_t number = drawNumber(draw, value);
    if (dimension && draw.chance(70))
      number = static_cast<uint64_t>(number) % 70;
    replace(*i, std::to_string(number), dimension ? 70 : 25);
  }

  void changeType() {
    static const char *types[] = {"f32", "f64",  "f16",      "bf16",  "i32",
                                  "i64", "i8",   "i1",       "index", "i16",
                                  "ui8", "i128", "f8E4M3FN", "si32",  "f80"};
    auto isType = [](StringRef token) {
      for (const char *type : types)
        if (token == type)
          return true;
      return false;
    };
    if (std::optional<size_t> i = find(isType))
      replace(*i, types[draw.below(draw.chance(80) ? 9 : std::size(types))],
              60);
  }

  void changeDynamic() {
    if (auto i = find([](StringRef token) { return token == "?"; }))
      replace(*i, std::to_string(draw.below(20)), 50);
  }

  /// An operand, symbol or block by another of the text.
  void changeName() {
    auto isName = [](StringRef token) {
      return token.size() > 1 && (token[0] == '%' || token[0] == '@' ||
                                  token[0] == '^' || token[0] == '#');
    };
    std::optional<size_t> i = find(isName);
    if (!i)
      return;
    char kind = tokens[*i][0];
    auto j = find([&](StringRef token) {
      return isName(token) && token[0] == kind && token != tokens[*i];
    });
    if (j)
      replace(*i, std::string(tokens[*j]), 15);
  }

  void changeWord() {
    auto isPlain = [](StringRef token) {
      return llvm::isAlpha(token[0]) || token[0] == '#' || token[0] == '"' ||
             token[0] == '!';
    };
    std::optional<size_t> i = find(isPlain);
    if (!i)
      return;
    char kind = tokens[*i][0];
    for (unsigned tries = 0; tries < 50; ++tries) {
      const std::string &word = draw.pick(words);
      if (isPlain(word) && llvm::isAlpha(word[0]) == llvm::isAlpha(kind)) {
        replace(*i, word, 20);
        return;
      }
    }
  }

  void once() {
    switch (draw.below(16)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return changeNumber();
    case 4:
      return changeDynamic();
    case 5:
    case 6:
      return changeType();
    case 7:
    case 8:
      return changeName();
    case 9:
      return changeWord();
    case 10: // a line less
      if (auto i = findWord())
        erase(line(*i));
      return;
    case 11: // a line twice, or elsewhere
      if (auto i = findWord()) {
        auto range = line(*i);
        std::vector<std::string> moved = copy(range);
        if (draw.chance(50))
          erase(range);
        if (tokens.empty())
          return;
        size_t at = line(draw.below(tokens.size())).first;
        tokens.insert(tokens.begin() + at, moved.begin(), moved.end());
      }
      return;
    case 12: // a token less
      if (auto i = findWord())
        erase({*i, *i + 1});
      return;
    case 13: // a token twice
      if (auto i = findWord())
        tokens.insert(tokens.begin() + *i, std::string(tokens[*i]));
      return;
    case 14: { // two tokens change places
      auto i = findWord(), j = findWord();
      if (i && j)
        std::swap(tokens[*i], tokens[*j]);
      return;
    }
    default:
      if (draw.chance(30)) { // the end is missing
        tokens.resize(1 + draw.below(tokens.size()));
      } else if (draw.chance(50)) {
        if (auto i = findWord())
          tokens.insert(tokens.begin() + *i, draw.pick(words));
      } else if (auto i = findWord()) { // several tokens less
        size_t end = std::min(tokens.size(), *i + 1 + draw.below(12));
        erase({*i, end});
      }
    }
  }

  const std::vector<std::string> &words;
  Draw &draw;
  std::vector<std::string> tokens;
};
} // namespace

std::string moe::fuzz::mutateText(const std::string &text,
                                  const std::vector<std::string> &words,
                                  Draw &draw) {
  return TextMutator(text, words, draw).run();
}
