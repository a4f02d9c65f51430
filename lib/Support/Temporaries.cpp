//===- Temporaries.cpp - What a signal removes ------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Files that wait for their names and folders of intermediate files are kept
// where a signal handler finds them.
//
//===----------------------------------------------------------------------===//

#include "Temporaries.h"
#include "moe-mlir/Support/MappedFile.h"

#include "moe-mlir/Support/OutputSet.h"
#include "moe-mlir/Support/TemporaryFolder.h"

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <filesystem>
#include <iterator>
#include <unistd.h>

using namespace moe;

namespace {

/// Slots are reused and never freed: a handler may come at any time.
struct Slot {
  std::atomic<char *> path{nullptr};
  Slot *next = nullptr;
};
std::atomic<Slot *> slots{nullptr};

constexpr int endingSignals[] = {SIGHUP,  SIGINT, SIGTERM, SIGQUIT, SIGXCPU,
                                 SIGABRT, SIGBUS, SIGFPE,  SIGILL,  SIGSEGV};
struct sigaction previous[std::size(endingSignals)];

} // namespace

detail::BlockedSignals::BlockedSignals() {
  sigset_t wishes;
  sigemptyset(&wishes);
  for (int signal : {SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGXCPU})
    sigaddset(&wishes, signal);
  pthread_sigmask(SIG_BLOCK, &wishes, &before);
}

detail::BlockedSignals::~BlockedSignals() {
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void detail::remember(const std::string &path) {
  char *copy = strdup(path.c_str());
  for (Slot *slot = slots; slot; slot = slot->next) {
    char *none = nullptr;
    if (slot->path.compare_exchange_strong(none, copy))
      return;
  }
  Slot *slot = new Slot;
  slot->path = copy;
  slot->next = slots;
  while (!slots.compare_exchange_weak(slot->next, slot)) {
  }
}

void detail::forget(const std::string &path) {
  for (Slot *slot = slots; slot; slot = slot->next) {
    char *found = slot->path.load();
    if (found && path == found &&
        slot->path.compare_exchange_strong(found, nullptr)) {
      std::free(found);
      return;
    }
  }
}

/// Like readdir() without memory of its own, which a signal handler may not ask
/// for.
static void removeFolder(const char *path) {
  int folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (folder < 0)
    return;
  bool removesSome;
  // Other threads may still be writing, and what is removed may make entries
  // be passed over.
  do {
    removesSome = false;
    alignas(dirent64) char entries[4096];
    lseek(folder, 0, SEEK_SET);
    for (ssize_t size;
         (size = getdents64(folder, entries, sizeof(entries))) > 0;)
      for (ssize_t at = 0; at < size;) {
        auto *entry = reinterpret_cast<dirent64 *>(entries + at);
        at += entry->d_reclen;
        removesSome |= unlinkat(folder, entry->d_name, 0) == 0;
      }
  } while (rmdir(path) != 0 && removesSome);
  close(folder);
}

/// Calls nothing that a signal handler must not.
static void removeAll() {
  for (Slot *slot = slots; slot; slot = slot->next)
    if (const char *path = slot->path.exchange(nullptr))
      if (unlink(path) != 0)
        removeFolder(path);
}

static void print(const char *text) {
  if (write(STDERR_FILENO, text, std::strlen(text)) < 0)
    return;
}

static void onSignal(int signal, siginfo_t *info, void *) {
  removeAll();
  const char *path =
      signal == SIGBUS ? detail::findMapping(info->si_addr) : nullptr;
  if (path) {
    print("error: ");
    print(path);
    print(": the file became shorter while it was read\n");
    _exit(1);
  }
  for (size_t i = 0; i < std::size(endingSignals); ++i)
    if (endingSignals[i] == signal)
      sigaction(signal, &previous[i], nullptr);
  // Blocked until this returns; then it meets who was there before.
  raise(signal);
}

void moe::removeOutputsOnSignals() {
  static std::atomic<bool> isDone{false};
  if (isDone.exchange(true))
    return;
  std::atexit(removeAll);
  std::signal(SIGXFSZ, SIG_IGN);
  struct sigaction action = {};
  action.sa_sigaction = onSignal;
  action.sa_flags = SA_ONSTACK | SA_SIGINFO;
  for (size_t i = 0; i < std::size(endingSignals); ++i) {
    sigaction(endingSignals[i], nullptr, &previous[i]);
    // nohup says so.
    if (previous[i].sa_handler != SIG_IGN)
      sigaction(endingSignals[i], &action, nullptr);
  }
}

//===----------------------------------------------------------------------===//
// Folders
//===----------------------------------------------------------------------===//

TemporaryFolder::~TemporaryFolder() {
  if (folder.empty())
    return;
  removeFolder(folder.c_str());
  detail::forget(folder);
}

bool TemporaryFolder::create(const std::string &prefix, std::string &error) {
  std::error_code code;
  std::string path =
      std::filesystem::temp_directory_path(code) / (prefix + "-XXXXXX");
  detail::BlockedSignals blocked;
  if (!code && !mkdtemp(path.data()))
    code.assign(errno, std::generic_category());
  if (code) {
    error = "cannot create a temporary folder: " + code.message();
    return false;
  }
  folder = std::move(path);
  detail::remember(folder);
  return true;
}
