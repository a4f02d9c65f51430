//===- PTX.cpp - Kernels in NVIDIA's virtual instructions -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The syntax of PTX is regular: the first operand is what is written, unless
// the instruction writes nothing, and all other registers are read.
//
//===----------------------------------------------------------------------===//

#include "DeviceCode.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/StringSwitch.h"

using namespace llvm;
using namespace moe::branchcheck::device;

namespace {
class Reader {
public:
  Reader(StringRef text, Kernels &kernels) : text(text), kernels(kernels) {}
  bool run(std::string &error);

private:
  void read(StringRef statement, unsigned line);
  void addInstruction(StringRef statement, unsigned line);
  void addControl(Instruction &instruction, StringRef opcode,
                  ArrayRef<StringRef> operands);
  void declare(StringRef names);
  void closeScope();
  SmallVector<Reg, 4> registersOf(StringRef operand);
  const char *specialData(StringRef operands) const;

  /// Braces within a kernel, whose labels are their own.
  struct Scope {
    unsigned number;
    size_t begin;
    StringSet<> labels;

    std::string nameOf(StringRef label) const {
      return (label + "@" + Twine(number)).str();
    }
  };

  StringRef text;
  Kernels &kernels;
  std::vector<Scope> scopes;
  unsigned numScopes = 0;
  /// The kernel that is read; null outside of one.
  Kernel *kernel = nullptr;
  /// Registers without a %, which inline assembly declares.
  StringSet<> declared;
  /// What tables of `brx.idx` name.
  StringMap<SmallVector<std::string, 1>> tables;
};
} // namespace

/// Blanks comments out.
static std::string dropComments(StringRef text) {
  std::string clean = text.str();
  for (size_t i = 0; i + 1 < clean.size(); ++i) {
    if (clean[i] != '/' || (clean[i + 1] != '/' && clean[i + 1] != '*'))
      continue;
    bool isLine = clean[i + 1] == '/';
    size_t end = isLine ? clean.find('\n', i) : clean.find("*/", i + 2);
    end = end == std::string::npos ? clean.size() : end + (isLine ? 0 : 2);
    for (; i < end; ++i)
      if (clean[i] != '\n')
        clean[i] = ' ';
  }
  return clean;
}

static bool isWord(char c) {
  return isAlnum(c) || c == '_' || c == '$' || c == '%' || c == '.';
}

SmallVector<Reg, 4> Reader::registersOf(StringRef operand) {
  SmallVector<Reg, 4> found;
  for (size_t i = 0; i < operand.size();) {
    size_t end = i;
    while (end < operand.size() && isWord(operand[end]))
      ++end;
    StringRef word = operand.slice(i, end);
    i = std::max(end, i + 1);
    // Numbers of threads and blocks have a dot; so do parts of vectors.
    StringRef name = word.split('.').first;
    if (name.starts_with("%") || declared.contains(name))
      found.push_back(kernel->reg(name));
  }
  return found;
}

/// What the machine says differs from call to call, unless it counts threads.
const char *Reader::specialData(StringRef operands) const {
  static const StringSet<> volatiles = {
      "%clock",  "%clock_hi",       "%clock64",       "%globaltimer",
      "%smid",   "%nsmid",          "%warpid",        "%nwarpid",
      "%gridid", "%globaltimer_lo", "%globaltimer_hi"};
  for (size_t i = 0; (i = operands.find('%', i)) != StringRef::npos; ++i) {
    StringRef name = operands.drop_front(i).take_while(isWord);
    if (volatiles.contains(name.split('.').first) || name.starts_with("%pm"))
      return "what differs from call to call";
  }
  return nullptr;
}

/// `.reg .pred p, q;`, `.reg .b32 %r<5>;`
void Reader::declare(StringRef names) {
  names = names.drop_while(isSpace);
  while (names.starts_with("."))
    names = names.drop_while(isWord).drop_while(isSpace);
  for (StringRef name : split(names, ','))
    declared.insert(name.split('<').first.trim());
}

void Reader::closeScope() {
  const Scope &scope = scopes.back();
  for (size_t i = scope.begin; i < kernel->code.size(); ++i)
    for (std::string &target : kernel->code[i].targets)
      if (scope.labels.contains(target))
        target = scope.nameOf(target);
  scopes.pop_back();
}

static bool startsWithAny(StringRef opcode, ArrayRef<StringRef> stems) {
  return any_of(stems, [&](StringRef stem) {
    return opcode.starts_with(stem) &&
           (opcode.size() == stem.size() || opcode[stem.size()] == '.');
  });
}

/// Instructions that write no register.
static bool writesNothing(StringRef opcode) {
  return startsWithAny(opcode, {"st",
                                "red",
                                "bar",
                                "barrier",
                                "membar",
                                "fence",
                                "prefetch",
                                "prefetchu",
                                "cp",
                                "griddepcontrol",
                                "nanosleep",
                                "setmaxnreg",
                                "stmatrix",
                                "discard",
                                "applypriority",
                                "pmevent",
                                "brkpt",
                                "wmma.store",
                                "mbarrier.init",
                                "mbarrier.inval",
                                "mbarrier.expect_tx",
                                "mbarrier.complete_tx",
                                "wgmma.fence",
                                "wgmma.commit_group",
                                "wgmma.wait_group",
                                "multimem.red"}) &&
         !startsWithAny(opcode, {"bar.red", "barrier.red", "barrier.cta.red"});
}

/// Why the result is data by itself.
static const char *getData(StringRef opcode) {
  if (startsWithAny(opcode, {"ld.param", "ld.const"}))
    return nullptr;
  if (startsWithAny(opcode, {"ld", "ldu", "ldmatrix", "atom", "tex", "tld4",
                             "suld", "wmma.load", "multimem.ld_reduce"}))
    return kMemory;
  if (startsWithAny(opcode, {"mbarrier.test_wait", "mbarrier.try_wait",
                             "mbarrier.arrive", "mbarrier.pending_count"}))
    return "what other threads have done by then";
  if (startsWithAny(opcode, {"activemask"}))
    return "which lanes happen to run together";
  return nullptr;
}

void Reader::addControl(Instruction &instruction, StringRef opcode,
                        ArrayRef<StringRef> operands) {
  bool isGuarded = !instruction.uses.empty();
  if (opcode.starts_with("call")) {
    kernel->problem("line " + Twine(instruction.line) +
                    ": calls are not followed: " + instruction.text);
    return;
  }
  instruction.isBranch = isGuarded;
  instruction.falls = isGuarded;
  if (opcode.starts_with("brx")) {
    // A jump through a table: the index decides.
    instruction.isBranch = true;
    append_range(instruction.uses, registersOf(operands.front()));
    auto table = tables.find(operands.back());
    if (table == tables.end())
      kernel->problem("line " + Twine(instruction.line) +
                      ": jumps to what cannot be seen: " + instruction.text);
    else
      instruction.targets = table->second;
  } else if (opcode.starts_with("bra") && !operands.empty()) {
    instruction.targets.push_back(operands.back().str());
  }
}

void Reader::addInstruction(StringRef statement, unsigned line) {
  Instruction instruction;
  instruction.line = line;
  instruction.text = join(split(statement, '\t'), " ");
  StringRef rest = statement;
  if (rest.consume_front("@")) {
    StringRef guard = rest.take_until(isSpace);
    rest = rest.drop_front(guard.size()).ltrim();
    guard.consume_front("!");
    instruction.uses = registersOf(guard);
    instruction.isPartial = true;
  }
  StringRef opcode = rest.take_until(isSpace);
  SmallVector<StringRef> operands =
      splitOperands(rest.drop_front(opcode.size()));
  if (startsWithAny(opcode, {"bra", "brx", "ret", "exit", "trap", "call"})) {
    addControl(instruction, opcode, operands);
  } else {
    bool hasResult = !operands.empty() && !operands.front().starts_with("[") &&
                     !writesNothing(opcode);
    for (auto [i, operand] : enumerate(operands)) {
      auto &list = hasResult && i == 0 ? instruction.defs : instruction.uses;
      append_range(list, registersOf(operand));
    }
    // Sums that products are added to.
    if (opcode.starts_with("wgmma.mma_async"))
      append_range(instruction.uses, instruction.defs);
    instruction.data = getData(opcode);
    if (!instruction.data)
      instruction.data = specialData(rest.drop_front(opcode.size()));
  }
  kernel->code.push_back(std::move(instruction));
}

/// A statement within a kernel, without its semicolon.
void Reader::read(StringRef statement, unsigned line) {
  auto skip = [&](size_t count) {
    line += statement.take_front(count).count('\n');
    statement = statement.drop_front(count);
  };
  auto skipSpace = [&] { skip(statement.size() - statement.ltrim().size()); };
  skipSpace();
  statement = statement.rtrim();
  // Labels stand before statements.
  while (true) {
    StringRef word = statement.take_while(isWord);
    StringRef rest = statement.drop_front(word.size());
    if (word.empty() || !rest.starts_with(":") || rest.starts_with("::"))
      break;
    rest = rest.drop_front().ltrim();
    if (rest.consume_front(".branchtargets")) {
      for (StringRef target : splitOperands(rest))
        tables[word].push_back(target.str());
      return;
    }
    if (scopes.empty()) {
      kernel->label(word);
    } else {
      scopes.back().labels.insert(word);
      kernel->label(scopes.back().nameOf(word));
    }
    skip(word.size() + 1);
    skipSpace();
  }
  if (statement.consume_front(".reg"))
    declare(statement);
  else if (!statement.empty() && !statement.starts_with("."))
    addInstruction(statement, line);
}

bool Reader::run(std::string &error) {
  std::string clean = dropComments(text);
  StringRef rest = clean;
  unsigned line = 1;
  size_t begin = 0;
  unsigned beginLine = 1;
  int parentheses = 0;
  for (size_t i = 0; i < rest.size(); ++i) {
    char c = rest[i];
    if (c == '\n')
      ++line;
    parentheses += c == '(';
    parentheses -= c == ')';
    if (!kernel) {
      if (c == ';')
        begin = i + 1;
      if (c != '{' || parentheses)
        continue;
      // What stands before says whether this is code.
      StringRef head = rest.slice(begin, i);
      StringRef named;
      for (StringRef word : {".entry", ".func"})
        if (size_t at = head.find(word); at != StringRef::npos)
          named = head.drop_front(at + word.size()).ltrim();
      if (named.starts_with("(")) // What a function returns.
        named = named.drop_front(named.find(')') + 1).ltrim();
      if (named.empty()) {
        // Values of a table.
        i = rest.find('}', i);
        if (i == StringRef::npos)
          break;
        continue;
      }
      kernels.emplace_back();
      kernel = &kernels.back();
      kernel->name = named.take_while(isWord).str();
      declared.clear();
      begin = i + 1;
      beginLine = line;
      continue;
    }
    // Vectors have braces, too, but stand within statements; labels may stand
    // before either.
    StringRef before = rest.slice(begin, i).rtrim();
    if ((c == '{' || c == '}') && (before.empty() || before.ends_with(":"))) {
      read(before, beginLine);
      begin = i + 1;
      beginLine = line;
      if (c == '{')
        scopes.push_back({++numScopes, kernel->code.size(), {}});
      else if (!scopes.empty())
        closeScope();
      else
        kernel = nullptr;
    } else if (c == ';') {
      read(rest.slice(begin, i), beginLine);
      begin = i + 1;
      beginLine = line;
    }
  }
  if (kernel) {
    error = "the PTX ends within " + kernel->name;
    return false;
  }
  return true;
}

bool moe::branchcheck::device::readPTX(StringRef text, Kernels &kernels,
                                       std::string &error) {
  return Reader(text, kernels).run(error);
}
