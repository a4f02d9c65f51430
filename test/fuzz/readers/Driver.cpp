//===- Driver.cpp - Readers under libFuzzer, or without it ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// With MOE_LIBFUZZER, libFuzzer has main(), and --target=NAME chooses a reader.
// Without, a small fuzzer of our own: the same seeds, blind mutations, and the
// input that kills it is saved by a signal handler. It also repeats files.
//
//===----------------------------------------------------------------------===//

#include "Reader.h"

#include <csignal>
#include <cstdint>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

using namespace moe::fuzz;

namespace {
struct Folder {
  Folder() {
    char pattern[] = "/tmp/moe-fuzz-readers-XXXXXX";
    if (!mkdtemp(pattern))
      fail("no folder in /tmp");
    path = pattern;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::string path;
};
} // namespace

const std::string &moe::fuzz::folder() {
  static Folder folder;
  return folder.path;
}

std::string moe::fuzz::asFile(std::string_view bytes, const char *suffix) {
  std::string path = folder() + "/" + suffix;
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), bytes.size());
  return path;
}

std::string moe::fuzz::fileBytes(const std::string &path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

static const Reader *find(const std::string &name) {
  for (const Reader &reader : readers)
    if (name == reader.name)
      return &reader;
  std::fprintf(stderr, "moe-fuzz-readers: --target= is one of");
  for (const Reader &reader : readers)
    std::fprintf(stderr, " %s", reader.name);
  std::fprintf(stderr, "\n");
  std::exit(2);
}

static void writeSeeds(const Reader &reader, const std::string &path) {
  mkdir(path.c_str(), 0777);
  unsigned i = 0;
  for (const std::string &seed : reader.seeds())
    std::ofstream(path + "/seed" + std::to_string(i++), std::ios::binary)
        << seed;
}

#ifdef MOE_LIBFUZZER

static const Reader *chosen;

extern "C" int LLVMFuzzerInitialize(int *argc, char ***argv) {
  int kept = 1;
  std::string seeds;
  for (int i = 1; i < *argc; ++i) {
    char *word = (*argv)[i];
    if (std::strncmp(word, "--target=", 9) == 0)
      chosen = find(word + 9);
    else if (std::strncmp(word, "--write-seeds=", 14) == 0)
      seeds = word + 14;
    else
      (*argv)[kept++] = word;
  }
  *argc = kept;
  if (!chosen)
    find("");
  if (!seeds.empty())
    writeSeeds(*chosen, seeds);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  chosen->read({reinterpret_cast<const char *>(data), size});
  return 0;
}

#else

namespace {

/// For the signal handler.
struct {
  std::string path;
  const std::string *bytes = nullptr;
} current;

void saveCurrent(int signal) {
  if (current.bytes) {
    int file = open(current.path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    ssize_t ignored = write(file, current.bytes->data(), current.bytes->size());
    static const char text[] = "FAILED; the input is ";
    ignored += write(2, text, sizeof(text) - 1);
    ignored += write(2, current.path.data(), current.path.size());
    ignored += write(2, "\n", 1);
    (void)ignored;
  }
  std::signal(signal, SIG_DFL);
  raise(signal);
}

class Mutator {
public:
  explicit Mutator(uint64_t seed) : engine(seed) {}
  size_t below(size_t n) { return n ? engine() % n : 0; }

  std::string mutate(std::string bytes,
                     const std::vector<std::string> &others) {
    for (size_t i = 0, n = 1 + below(below(4) ? 2 : 8); i < n; ++i)
      once(bytes, others);
    return bytes;
  }

private:
  void once(std::string &bytes, const std::vector<std::string> &others) {
    size_t at = below(bytes.size());
    switch (below(10)) {
    case 0:
      if (!bytes.empty())
        bytes[at] ^= char(1 << below(8));
      return;
    case 1:
      if (!bytes.empty())
        bytes[at] = char(engine());
      return;
    case 2: { // a number of 1, 2, 4 or 8 bytes
      static const uint64_t numbers[] = {
          0, 1, ~0ull, ~0ull >> 1, 1ull << 31, 0xffffffff, 1ull << 62, 100};
      uint64_t value = numbers[below(std::size(numbers))];
      size_t width = size_t(1) << below(4);
      if (below(2))
        at = 0;
      if (bytes.size() >= at + width)
        std::memcpy(&bytes[at], &value, width);
      return;
    }
    case 3: // shorter
      bytes.resize(at);
      return;
    case 4:
      bytes.erase(at, 1 + below(16));
      return;
    case 5: // twice
      bytes.insert(at, bytes.substr(below(bytes.size() + 1), 1 + below(32)));
      return;
    case 6: { // the beginning of one and the end of another
      const std::string &other = others[below(others.size())];
      bytes = bytes.substr(0, at) + other.substr(below(other.size() + 1));
      return;
    }
    case 7:
    case 8: { // a decimal number by another
      size_t begin = bytes.find_first_of("0123456789", at);
      if (begin == std::string::npos)
        return;
      size_t end = bytes.find_first_not_of("0123456789", begin);
      static const char *numbers[] = {"0",
                                      "1",
                                      "-1",
                                      "2",
                                      "3",
                                      "64",
                                      "1e400",
                                      "0.5",
                                      "1.5",
                                      "2147483647",
                                      "2147483648",
                                      "4294967296",
                                      "9223372036854775807",
                                      "9223372036854775808",
                                      "-9223372036854775808",
                                      "1048576",
                                      "null",
                                      "\"x\"",
                                      "true",
                                      "[]",
                                      "{}",
                                      "[1,2]",
                                      "1e9"};
      bytes.replace(begin, end == std::string::npos ? end : end - begin,
                    numbers[below(std::size(numbers))]);
      return;
    }
    default: {
      static const char *words[] = {
          "\"",      "{",    "}",       "[",       "]",        ",",
          ":",       "\\",   "\\u0000", "\\ud800", "null",     "true",
          "\0x",     "-",    "\xff",    "\n",      "[[[[[[[[", "__metadata__",
          "False",   "True", "(",       ")",       "<f4",      ">f8",
          "|b1",     "F32",  "I64",     "BF16",    "?",        "x",
          "tensor<", "%0"};
      bytes.insert(at, words[below(std::size(words))]);
    }
    }
  }
  std::mt19937_64 engine;
};

int usage() {
  std::fprintf(stderr,
               "usage: moe-fuzz-readers [--target=NAME] [--seed=S] [--runs=N] "
               "[--keep=DIR] [--write-seeds=DIR] [file or folder...]\n"
               "Reads N mutants of its own seeds and of the files; with "
               "--runs=0, the files\n"
               "as they are. Without --target, all of:");
  for (const Reader &reader : readers)
    std::fprintf(stderr, " %s", reader.name);
  std::fprintf(stderr, "\n");
  return 2;
}

void addFiles(const std::string &path, std::vector<std::string> &inputs) {
  DIR *dir = opendir(path.c_str());
  if (!dir) {
    inputs.push_back(fileBytes(path));
    return;
  }
  while (dirent *entry = readdir(dir))
    if (entry->d_name[0] != '.')
      addFiles(path + "/" + entry->d_name, inputs);
  closedir(dir);
}

} // namespace

int main(int argc, char **argv) {
  std::string target, keep = "fuzz-failures", seedsFolder;
  std::vector<std::string> files;
  uint64_t seed = 1, runs = 1000;
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    auto option = [&](const char *name) {
      size_t length = std::strlen(name);
      return word.compare(0, length, name) == 0 ? argv[i] + length : nullptr;
    };
    if (char *value = option("--target="))
      target = find(value)->name;
    else if (char *value = option("--seed="))
      seed = std::strtoull(value, nullptr, 10);
    else if (char *value = option("--runs="))
      runs = std::strtoull(value, nullptr, 10);
    else if (char *value = option("--keep="))
      keep = value;
    else if (char *value = option("--write-seeds="))
      seedsFolder = value;
    else if (word[0] == '-')
      return usage();
    else
      files.push_back(word);
  }
  if (!seedsFolder.empty() && target.empty())
    return usage();
  mkdir(keep.c_str(), 0777);
  for (int signal : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGPROF})
    std::signal(signal, saveCurrent);
  for (const Reader &reader : readers) {
    if (!target.empty() && target != reader.name)
      continue;
    if (!seedsFolder.empty()) {
      writeSeeds(reader, seedsFolder);
      continue;
    }
    std::vector<std::string> inputs;
    for (const std::string &file : files)
      addFiles(file, inputs);
    if (files.empty() || runs)
      for (std::string &made : reader.seeds())
        inputs.push_back(std::move(made));
    auto read = [&](const std::string &bytes, const std::string &name) {
      current.path = keep + "/" + reader.name + "-" + name;
      current.bytes = &bytes;
      itimerval limit = {{0, 0}, {20, 0}};
      setitimer(ITIMER_PROF, &limit, nullptr);
      reader.read(bytes);
      current.bytes = nullptr;
    };
    for (size_t i = 0; i < inputs.size(); ++i)
      read(inputs[i], "input" + std::to_string(i));
    for (uint64_t i = 0; i < runs; ++i) {
      Mutator mutator(seed * 1000003 + i);
      std::string bytes =
          mutator.mutate(inputs[mutator.below(inputs.size())], inputs);
      read(bytes, "seed" + std::to_string(seed) + "-" + std::to_string(i));
    }
    std::printf("%s: %zu inputs, %llu mutants\n", reader.name, inputs.size(),
                static_cast<unsigned long long>(runs));
  }
  return 0;
}

#endif
