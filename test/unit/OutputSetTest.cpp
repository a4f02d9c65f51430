//===- OutputSetTest.cpp - Files that appear together ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What stands in a folder after success, failure and signals.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Support/OutputSet.h"
#include "TestFiles.h"
#include "moe-mlir/Support/TemporaryFolder.h"

#include <csignal>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace moe;
namespace fs = std::filesystem;

TEST(OutputSet, FilesAppearTogether) {
  TestFolder folder;
  std::string error, a = folder.write("a", "old a"), b = folder.file("b");
  OutputSet outputs;
  ASSERT_TRUE(outputs.write(a, "new a", error)) << error;
  ASSERT_TRUE(outputs.add(b, error)) << error;
  ASSERT_TRUE(outputs.append(b, "new ", error)) << error;
  ASSERT_TRUE(outputs.append(b, "b", error)) << error;
  EXPECT_EQ(TestFolder::read(a), "old a");
  EXPECT_FALSE(fs::exists(b));
  ASSERT_TRUE(outputs.commit(error)) << error;
  EXPECT_EQ(TestFolder::read(a), "new a");
  EXPECT_EQ(TestFolder::read(b), "new b");
  EXPECT_EQ(folder.numFiles(), 2u);
}

TEST(OutputSet, NothingStaysOfWhatIsNotCommitted) {
  TestFolder folder;
  std::string error, a = folder.write("a", "old a");
  {
    OutputSet outputs;
    ASSERT_TRUE(outputs.write(a, "new a", error)) << error;
    ASSERT_TRUE(outputs.addFolder(folder.file("x/y"), error)) << error;
    ASSERT_TRUE(outputs.write(folder.file("x/y/z"), "z", error)) << error;
  }
  EXPECT_EQ(TestFolder::read(a), "old a");
  EXPECT_EQ(folder.numFiles(), 1u);
}

TEST(OutputSet, OneFailureUndoesAll) {
  TestFolder folder;
  std::string error, a = folder.write("a", "old a"), c = folder.file("c");
  fs::create_directory(folder.file("gone"));
  OutputSet outputs;
  ASSERT_TRUE(outputs.write(a, "new a", error)) << error;
  ASSERT_TRUE(outputs.write(c, "new c", error)) << error;
  ASSERT_TRUE(outputs.write(folder.file("gone/b"), "new b", error)) << error;
  fs::remove_all(folder.file("gone"));
  EXPECT_FALSE(outputs.commit(error));
  EXPECT_EQ(error, folder.file("gone/b") +
                       ": cannot write: No such file or directory");
  outputs.discard();
  EXPECT_EQ(TestFolder::read(a), "old a");
  EXPECT_FALSE(fs::exists(c));
  EXPECT_EQ(folder.numFiles(), 1u);
}

TEST(OutputSet, LinksAndModesStay) {
  TestFolder folder;
  std::string error, real = folder.write("real", "old");
  ASSERT_EQ(chmod(real.c_str(), 0640), 0);
  fs::create_directory(folder.file("d"));
  fs::create_symlink("../real", folder.file("d/link"));
  fs::create_symlink("nowhere", folder.file("dangling"));
  OutputSet outputs;
  ASSERT_TRUE(outputs.write(folder.file("d/link"), "new", error)) << error;
  ASSERT_TRUE(outputs.write(folder.file("dangling"), "new", error)) << error;
  ASSERT_TRUE(outputs.write(folder.file("tool"), "x", error, true)) << error;
  ASSERT_TRUE(outputs.commit(error)) << error;
  EXPECT_TRUE(fs::is_symlink(folder.file("d/link")));
  EXPECT_EQ(TestFolder::read(real), "new");
  EXPECT_EQ(TestFolder::read(folder.file("nowhere")), "new");
  EXPECT_EQ(static_cast<int>(fs::status(real).permissions()), 0640);
  mode_t mask = umask(0);
  umask(mask);
  EXPECT_EQ(static_cast<mode_t>(fs::status(folder.file("tool")).permissions()),
            0777 & ~mask);
  EXPECT_EQ(
      static_cast<mode_t>(fs::status(folder.file("nowhere")).permissions()),
      0666 & ~mask);
}

TEST(OutputSet, WhatIsNoRegularFileIsWrittenAsItIs) {
  TestFolder folder;
  std::string error, pipe = folder.file("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  pid_t reader = fork();
  if (reader == 0)
    _exit(TestFolder::read(pipe) == "through" ? 0 : 1);
  OutputSet outputs;
  ASSERT_TRUE(outputs.write(pipe, "through", error)) << error;
  ASSERT_TRUE(outputs.write("/dev/null", "lost", error)) << error;
  ASSERT_TRUE(outputs.commit(error)) << error;
  int status = 1;
  ASSERT_EQ(waitpid(reader, &status, 0), reader);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(fs::is_fifo(pipe));
  EXPECT_FALSE(outputs.write("/dev/full", "x", error));
  EXPECT_EQ(error, "/dev/full: cannot write: No space left on device");
}

TEST(OutputSet, RefusesWhatCannotBe) {
  TestFolder folder;
  std::string error, a = folder.file("a");
  fs::create_symlink("a", folder.file("same"));
  fs::create_symlink("circle", folder.file("circle"));
  fs::create_directory(folder.file("folder"));
  OutputSet outputs;
  ASSERT_TRUE(outputs.write(a, "a", error)) << error;
  for (const auto &[name, why] : {std::pair<const char *, const char *>{
                                      "a", "two outputs have this name"},
                                  {"same", "two outputs have this name"},
                                  {"circle", "it is a link that leads nowhere"},
                                  {"folder", "it is a folder"},
                                  {"b/", "it names no file"},
                                  {"none/b", "No such file or directory"}}) {
    EXPECT_FALSE(outputs.write(folder.file(name), "x", error)) << name;
    EXPECT_EQ(error, folder.file(name) + ": cannot write: " + why);
  }
  ASSERT_TRUE(outputs.commit(error)) << error;
  EXPECT_EQ(TestFolder::read(a), "a");
}

TEST(OutputSet, LongNamesFit) {
  TestFolder folder;
  std::string error, path = folder.file(std::string(255, 'n'));
  OutputSet outputs;
  ASSERT_TRUE(outputs.write(path, "x", error) && outputs.commit(error))
      << error;
  EXPECT_EQ(TestFolder::read(path), "x");
}

/// How a child that runs `body` ends.
template <typename Body> static int statusOf(const Body &body) {
  pid_t child = fork();
  if (child == 0) {
    body();
    _exit(99);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return status;
}

TEST(OutputSet, SignalsLeaveNothing) {
  for (int signal : {SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGABRT, SIGSEGV}) {
    TestFolder folder;
    std::string a = folder.write("a", "old");
    int status = statusOf([&] {
      struct rlimit none = {0, 0};
      setrlimit(RLIMIT_CORE, &none);
      // Whoever runs the tests may ignore some.
      std::signal(signal, SIG_DFL);
      removeOutputsOnSignals();
      std::string error;
      OutputSet outputs;
      if (outputs.write(a, "new", error) && folder.numFiles() == 2)
        raise(signal);
    });
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == signal) << signal;
    EXPECT_EQ(TestFolder::read(a), "old");
    EXPECT_EQ(folder.numFiles(), 1u) << signal;
  }
}

/// More files than one look into the folder shows.
static bool fill(const TemporaryFolder &temporary) {
  for (int i = 0; i < 500; ++i)
    std::ofstream(temporary.path() + "/file" + std::to_string(i)) << i;
  return std::distance(fs::directory_iterator(temporary.path()), {}) == 500;
}

TEST(TemporaryFolder, GoesWithItsFiles) {
  TestFolder folder;
  setenv("TMPDIR", folder.path.c_str(), 1);
  {
    TemporaryFolder temporary;
    std::string error;
    ASSERT_TRUE(temporary.create("some", error)) << error;
    EXPECT_EQ(temporary.path().rfind(folder.path + "/some-", 0), 0u);
    EXPECT_TRUE(fill(temporary));
  }
  EXPECT_EQ(folder.numFiles(), 0u);
  for (int signal : {SIGINT, SIGTERM}) {
    int status = statusOf([&] {
      std::signal(signal, SIG_DFL);
      removeOutputsOnSignals();
      std::string error;
      TemporaryFolder temporary;
      if (temporary.create("some", error) && fill(temporary))
        raise(signal);
    });
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == signal) << signal;
    EXPECT_EQ(folder.numFiles(), 0u) << signal;
  }
  setenv("TMPDIR", (folder.path + "/none").c_str(), 1);
  std::string error;
  EXPECT_FALSE(TemporaryFolder().create("some", error));
  EXPECT_EQ(error, "cannot create a temporary folder: No such file or "
                   "directory");
  unsetenv("TMPDIR");
}

TEST(OutputSet, OtherExitsLeaveNothing) {
  TestFolder folder;
  int status = statusOf([&] {
    removeOutputsOnSignals();
    std::string error;
    static OutputSet outputs;
    if (outputs.write(folder.file("a"), "new", error) && folder.numFiles() == 1)
      std::exit(7);
  });
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7);
  EXPECT_EQ(folder.numFiles(), 0u);
}

TEST(OutputSet, TooLargeAFileIsAnError) {
  TestFolder folder;
  std::string a = folder.write("a", "old");
  int status = statusOf([&] {
    struct rlimit small = {1000, 1000};
    setrlimit(RLIMIT_FSIZE, &small);
    removeOutputsOnSignals();
    std::string error;
    OutputSet outputs;
    bool isWritten = outputs.write(a, std::string(2000, 'x'), error);
    outputs.discard();
    _exit(!isWritten && error == a + ": cannot write: File too large" ? 0 : 1);
  });
  EXPECT_EQ(status, 0);
  EXPECT_EQ(TestFolder::read(a), "old");
  EXPECT_EQ(folder.numFiles(), 1u);
}
