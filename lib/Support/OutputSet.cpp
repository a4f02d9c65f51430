//===- OutputSet.cpp - Files that appear together --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Renaming within a folder is atomic on every file system; exchanging two
// files keeps the old one for as long as another of the set may still fail.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Support/OutputSet.h"
#include "Temporaries.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <iterator>
#include <optional>
#include <sys/stat.h>
#include <unistd.h>

using namespace moe;

static std::string lastError() { return std::strerror(errno); }

//===----------------------------------------------------------------------===//
// Paths
//===----------------------------------------------------------------------===//

static bool startsWith(const std::string &text, const char *prefix) {
  return text.compare(0, std::strlen(prefix), prefix) == 0;
}

static std::string folderOf(const std::string &path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? "./" : path.substr(0, slash + 1);
}

/// Follows links: what is renamed to, or empty for what is written as it is.
static bool findTarget(const std::string &path, std::string &target,
                       std::string &error) {
  auto fail = [&](const std::string &what) {
    error = path + ": cannot write: " + what;
    return false;
  };
  target.clear();
  if (path == "-")
    return true;
  if (path.empty() || path.back() == '/')
    return fail("it names no file");
  std::string at = path;
  struct stat info;
  for (int links = 0; lstat(at.c_str(), &info) == 0; ++links) {
    if (S_ISDIR(info.st_mode))
      return fail("it is a folder");
    if (S_ISREG(info.st_mode)) {
      if (access(at.c_str(), W_OK) != 0)
        return fail(lastError());
      break;
    }
    // An open file of a process: whoever opened it reads on from there.
    bool isOpenFile = startsWith(at, "/proc/") || startsWith(at, "/dev/fd/");
    if (!S_ISLNK(info.st_mode) || isOpenFile)
      return true;
    char text[4096];
    ssize_t length = readlink(at.c_str(), text, sizeof(text));
    if (length <= 0 || length == sizeof(text) || links == 40)
      return fail("it is a link that leads nowhere");
    std::string next(text, static_cast<size_t>(length));
    at = next.front() == '/' ? next : folderOf(at) + next;
  }
  // One name for each file, whatever way leads to it.
  char *folder = realpath(folderOf(at).c_str(), nullptr);
  if (!folder)
    return fail(lastError());
  target = folder + ("/" + at.substr(at.rfind('/') + 1));
  std::free(folder);
  return true;
}

/// An empty file beside `target`.
static int createTemporary(const std::string &target, std::string &temporary) {
  constexpr const char *random = ".XXXXXX";
  size_t slash = target.rfind('/');
  std::string name =
      slash == std::string::npos ? target : target.substr(slash + 1);
  size_t added = std::strlen(random) + std::strlen(OutputSet::partialSuffix);
  name.resize(std::min(name.size(), size_t(255) - added));
  temporary = (slash == std::string::npos ? "" : target.substr(0, slash + 1)) +
              name + random + OutputSet::partialSuffix;
  detail::BlockedSignals blocked;
  int file = mkstemps(temporary.data(),
                      static_cast<int>(std::strlen(OutputSet::partialSuffix)));
  if (file >= 0)
    detail::remember(temporary);
  return file;
}

/// What a new file gets, or keeps from one that it replaces.
static mode_t modeOf(const std::string &target, bool isExecutable) {
  struct stat info;
  if (stat(target.c_str(), &info) == 0)
    return info.st_mode & 0777;
  mode_t mask = umask(0);
  umask(mask);
  return (isExecutable ? 0777 : 0666) & ~mask;
}

/// At the end of what was written, or at `offset`.
static bool writeAll(int file, std::string_view bytes,
                     std::optional<uint64_t> offset = std::nullopt) {
  while (!bytes.empty()) {
    size_t size = std::min(bytes.size(), size_t(1) << 28);
    ssize_t done = offset ? ::pwrite(file, bytes.data(), size,
                                     static_cast<off_t>(*offset))
                          : ::write(file, bytes.data(), size);
    if (done < 0 && errno == EINTR)
      continue;
    if (done <= 0)
      return false;
    bytes.remove_prefix(static_cast<size_t>(done));
    if (offset)
      *offset += static_cast<size_t>(done);
  }
  return true;
}

static void syncFolder(const std::string &path) {
  int folder = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0)
    return;
  (void)fsync(folder);
  close(folder);
}

static bool exchange(const std::string &from, const std::string &to) {
#ifdef RENAME_EXCHANGE
  return renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(),
                   RENAME_EXCHANGE) == 0;
#else
  errno = ENOSYS;
  return false;
#endif
}

namespace {

/// Gives a temporary file its name, and can take it back.
class Renaming {
public:
  Renaming(const std::string &from, const std::string &to)
      : from(from), to(to) {}

  bool apply() {
    if (exchange(from, to)) {
      how = Exchanged;
      return true;
    }
    how = errno == ENOENT ? Created : Replaced;
    return std::rename(from.c_str(), to.c_str()) == 0;
  }

  void undo() {
    if (how == Exchanged)
      (void)exchange(from, to);
    else if (how == Created)
      (void)std::rename(to.c_str(), from.c_str());
  }

private:
  enum { Exchanged, Created, Replaced } how = Replaced;
  std::string from, to;
};

} // namespace

//===----------------------------------------------------------------------===//
// The set
//===----------------------------------------------------------------------===//

static bool cannotWrite(const std::string &path, std::string &error) {
  error = path + ": cannot write: " + lastError();
  return false;
}

bool OutputSet::add(const std::string &path, std::string &error,
                    bool isExecutable) {
  File file;
  file.path = path;
  if (!findTarget(path, file.target, error))
    return false;
  for (const File &other : files)
    if (other.path == path ||
        (!file.target.empty() && other.target == file.target)) {
      error = path + ": cannot write: two outputs have this name";
      return false;
    }
  if (!file.target.empty()) {
    file.descriptor = createTemporary(file.target, file.temporary);
    // mkstemps() makes it private.
    if (file.descriptor >= 0)
      (void)fchmod(file.descriptor, modeOf(file.target, isExecutable));
  } else if (path == "-") {
    file.descriptor = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
  } else {
    file.descriptor = open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
  }
  if (file.descriptor < 0)
    return cannotWrite(path, error);
  files.push_back(std::move(file));
  return true;
}

OutputSet::File *OutputSet::find(const std::string &path, std::string &error) {
  for (File &file : files)
    if (file.path == path)
      return &file;
  error = path + ": not one of the outputs";
  return nullptr;
}

bool OutputSet::append(const std::string &path, std::string_view bytes,
                       std::string &error) {
  const File *file = find(path, error);
  return file &&
         (writeAll(file->descriptor, bytes) || cannotWrite(path, error));
}

bool OutputSet::writeAt(const std::string &path, uint64_t offset,
                        std::string_view bytes, std::string &error) {
  const File *file = find(path, error);
  return file && (writeAll(file->descriptor, bytes, offset) ||
                  cannotWrite(path, error));
}

bool OutputSet::addFolder(const std::string &path, std::string &error) {
  struct stat info;
  for (size_t end = 1; end <= path.size(); ++end) {
    if (end != path.size() && path[end] != '/')
      continue;
    std::string folder = path.substr(0, end);
    if (mkdir(folder.c_str(), 0777) == 0) {
      folders.push_back(std::move(folder));
    } else if (errno != EEXIST || stat(folder.c_str(), &info) != 0 ||
               !S_ISDIR(info.st_mode)) {
      error = path + ": cannot create the folder: " +
              (errno == EEXIST ? folder + " is a file" : lastError());
      return false;
    }
  }
  return true;
}

bool OutputSet::close(File &file) {
  int descriptor = file.descriptor;
  file.descriptor = -1;
  return descriptor < 0 || ::close(descriptor) == 0;
}

bool OutputSet::commit(std::string &error) {
  std::vector<std::string> changed;
  for (File &file : files) {
    bool isNew = !file.temporary.empty();
    if ((isNew && fsync(file.descriptor) != 0) || !close(file))
      return cannotWrite(file.path, error);
    if (isNew)
      changed.push_back(folderOf(file.target));
  }
  {
    detail::BlockedSignals blocked;
    std::vector<Renaming> done;
    for (const File &file : files) {
      if (file.temporary.empty())
        continue;
      Renaming renaming(file.temporary, file.target);
      if (renaming.apply()) {
        done.push_back(std::move(renaming));
        continue;
      }
      (void)cannotWrite(file.path, error);
      std::for_each(done.rbegin(), done.rend(),
                    [](Renaming &before) { before.undo(); });
      return false;
    }
    // What was replaced has the temporary names now.
    discardFiles();
  }
  folders.clear();
  std::sort(changed.begin(), changed.end());
  changed.erase(std::unique(changed.begin(), changed.end()), changed.end());
  // The names are there; a folder that cannot be synced changes nothing.
  for (const std::string &folder : changed)
    syncFolder(folder);
  return true;
}

void OutputSet::discardFiles() {
  for (File &file : files) {
    (void)close(file);
    if (file.temporary.empty())
      continue;
    (void)unlink(file.temporary.c_str());
    detail::forget(file.temporary);
  }
  files.clear();
}

void OutputSet::discard() {
  discardFiles();
  // Only empty ones go.
  for (size_t i = folders.size(); i-- > 0;)
    (void)rmdir(folders[i].c_str());
  folders.clear();
}
