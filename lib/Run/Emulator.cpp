//===- Emulator.cpp - Calls artifacts for other CPUs -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The request is written and the response read here; both are described in
// lib/Runtime/Runner.c.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Run/Emulator.h"

#include "moe-mlir/Compiler/Toolchain.h"
#include "moe-mlir/Runtime/moe_runner.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"

#include <cstring>

using namespace llvm;
using namespace moe;
using namespace moe::run;

std::string EmulatedFunction::file(const char *name) const {
  SmallString<128> path(folder.path());
  sys::path::append(path, name);
  return path.str().str();
}

std::unique_ptr<EmulatedFunction>
EmulatedFunction::link(StringRef artifact, const FunctionDesc &desc,
                       const std::string &platform, const std::string &id,
                       Emulator emulator, std::string &error) {
  std::string code;
  for (StringRef extension : {".a", ".o"}) {
    SmallString<128> candidate(artifact);
    sys::path::replace_extension(candidate, extension);
    if (code.empty() && sys::fs::is_regular_file(candidate))
      code = candidate.str().str();
  }
  if (code.empty()) {
    error = (artifact + ": running it in an emulator takes BASE.a or BASE.o "
                        "beside BASE.json (moe-compile --emit=lib,manifest)")
                .str();
    return nullptr;
  }
  std::string runner = findRuntimeFile(platform, "libmoe_runner.a");
  if (runner.empty()) {
    error = "libmoe_runner.a for " + platform +
            " is not in the lib folder beside this program: it is built where "
            "there is a cross compiler (" +
            platform + "-gcc)";
    return nullptr;
  }
  std::vector<std::string> &command = emulator.command;
  ErrorOr<std::string> found = sys::findProgramByName(command.front());
  if (!found) {
    error = "--emulator: no program '" + command.front() + "' in PATH";
    return nullptr;
  }
  command.front() = *found;

  std::unique_ptr<EmulatedFunction> result(
      new EmulatedFunction(desc, id, std::move(command)));
  if (!result->folder.create("moe-run", error))
    return nullptr;
  // The runner calls by names of its own.
  std::string invoke = "-Wl,--defsym=moe_runner_invoke=" + desc.invoke;
  std::string workspace =
      "-Wl,--defsym=moe_runner_workspace=" + desc.invoke + "_workspace";
  std::string idSymbol = "-Wl,--defsym=moe_runner_id=" + desc.idSymbol();
  // Older artifacts have none.
  std::string variant = "-Wl,--defsym=moe_runner_variant=" +
                        (desc.variant.empty() ? "0" : desc.variant);
  std::string undefined = "-Wl,-u," + desc.invoke;
  std::string program = result->file("program");
  std::string libraries = ("-L" + sys::path::parent_path(runner)).str();
  SmallVector<StringRef> arguments = {"-static", "-o",      program,
                                      undefined, invoke,    workspace,
                                      variant,   idSymbol,  runner,
                                      code};
  arguments.append(emulator.objects.begin(), emulator.objects.end());
  arguments.append({libraries, "-lmoe_rt", "-fopenmp", "-pthread", "-lm"});
  if (!runDriver(platform, "running in an emulator", arguments, error))
    return nullptr;
  return result;
}

bool EmulatedFunction::writeRequest(const moe_rt &rt,
                                    const std::vector<int64_t> &sizes,
                                    const std::vector<HostTensor> &arguments,
                                    const std::vector<HostTensor> &results,
                                    std::string &error) const {
  std::string path = file("request");
  std::error_code failure;
  raw_fd_ostream os(path, failure);
  if (!failure) {
    auto number = [&](int64_t value) {
      os.write(reinterpret_cast<const char *>(&value), sizeof(value));
    };
    os << MOE_RUNNER_MAGIC << artifactId;
    number(rt.num_threads);
    number(sizes.size());
    for (int64_t size : sizes)
      number(size);
    number(arguments.size());
    number(results.size());
    for (auto [argument, argumentDesc] : zip_equal(arguments, desc.arguments)) {
      number(argument.numBytes());
      number(argumentDesc.packed ? MOE_ALIGNMENT : dtypeSize(argument.dtype));
    }
    for (const HostTensor &result : results) {
      number(result.numBytes());
      number(dtypeSize(result.dtype));
    }
    for (const HostTensor &argument : arguments)
      os.write(argument.dataAs<char>(), argument.numBytes());
    os.close();
    failure = os.error();
    os.clear_error();
  }
  if (failure)
    error = path + ": " + failure.message();
  return !failure;
}

bool EmulatedFunction::execute(std::string &error) const {
  std::string program = file("program"), request = file("request"),
              response = file("response"), log = file("log");
  SmallVector<StringRef> words(command.begin(), command.end());
  words.append({program, request, response});
  std::optional<StringRef> redirects[] = {StringRef(), StringRef(log),
                                          StringRef(log)};
  std::string reason;
  int status =
      sys::ExecuteAndWait(words.front(), words, std::nullopt, redirects,
                          /*SecondsToWait=*/0, /*MemoryLimit=*/0, &reason);
  if (status == 0)
    return true;
  error =
      "'" + desc.name + "' did not return in '" + join(command, " ") +
      "': " + (status > 0 ? "exit status " + std::to_string(status) : reason);
  if (auto text = MemoryBuffer::getFile(log))
    if (StringRef said = (*text)->getBuffer().trim(); !said.empty())
      error += ("\n" + said).str();
  return false;
}

namespace {

/// What is left of a response, or of a record of it.
class Reader {
public:
  explicit Reader(StringRef bytes) : rest(bytes) {}

  bool isEmpty() const { return rest.empty(); }

  /// The next `size` bytes; empty, and nothing is left, if there are fewer.
  StringRef take(int64_t size) {
    bool isShort = size < 0 || static_cast<uint64_t>(size) > rest.size();
    StringRef taken = isShort ? StringRef() : rest.take_front(size);
    rest = isShort ? StringRef() : rest.drop_front(size);
    return taken;
  }

  int64_t number() {
    int64_t value = -1;
    StringRef bytes = take(sizeof(value));
    if (!bytes.empty())
      std::memcpy(&value, bytes.data(), sizeof(value));
    return value;
  }

  /// `count` values of 32 bits, where those that take them want them aligned.
  template <typename T> std::vector<T> values(int64_t count) {
    StringRef bytes = take(count < 0 ? -1 : count * 4);
    std::vector<T> values(bytes.size() / 4);
    if (!values.empty())
      std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }

private:
  StringRef rest;
};

} // namespace

static void replayRouting(const moe_rt &rt, Reader record) {
  moe_trace_event event = {};
  event.kind = MOE_TRACE_ROUTING;
  event.size = sizeof(event);
  event.tokens = record.number();
  event.experts = record.number();
  event.slots = record.number();
  int64_t counts[] = {record.number(), record.number(), record.number()};
  int64_t nameLength = record.number();
  auto offsets = record.values<int32_t>(counts[0]);
  auto indices = record.values<int32_t>(counts[1]);
  auto weights = record.values<float>(counts[2]);
  std::string name = record.take(nameLength).str();
  event.offsets = counts[0] ? offsets.data() : nullptr;
  event.indices = counts[1] ? indices.data() : nullptr;
  event.weights = counts[2] ? weights.data() : nullptr;
  event.function = nameLength ? name.c_str() : nullptr;
  if (rt.trace)
    rt.trace(&rt, &event);
}

std::optional<int> EmulatedFunction::readResponse(
    const moe_rt &rt, std::vector<HostTensor> &results, size_t &workspaceBytes,
    std::string &variant, std::string &error) const {
  auto buffer = MemoryBuffer::getFile(file("response"));
  if (!buffer) {
    error = file("response") + ": " + buffer.getError().message();
    return std::nullopt;
  }
  Reader reader((*buffer)->getBuffer());
  std::string message;
  size_t nextResult = 0;
  while (!reader.isEmpty()) {
    int64_t kind = reader.number();
    StringRef bytes = reader.take(reader.number());
    Reader record(bytes);
    switch (kind) {
    case MOE_RUNNER_MESSAGE:
      message = bytes.str();
      break;
    case MOE_RUNNER_VARIANT:
      variant = bytes.str();
      break;
    case MOE_RUNNER_ROUTING:
      replayRouting(rt, record);
      break;
    case MOE_RUNNER_RESULT:
      if (nextResult < results.size() &&
          bytes.size() == results[nextResult].numBytes())
        std::memcpy(results[nextResult].data, bytes.data(), bytes.size());
      ++nextResult;
      break;
    case MOE_RUNNER_END: {
      int status = static_cast<int>(record.number());
      workspaceBytes = record.number();
      if (status != MOE_OK && rt.error)
        rt.error(&rt, status, message.c_str());
      return status;
    }
    }
  }
  error = "'" + desc.name + "' did not finish in '" + join(command, " ") + "'";
  return std::nullopt;
}

std::optional<int> EmulatedFunction::invoke(
    const moe_rt &rt, const std::vector<int64_t> &sizes,
    const std::vector<HostTensor> &arguments, std::vector<HostTensor> &results,
    size_t &workspaceBytes, std::string &variant, std::string &error) {
  if (!writeRequest(rt, sizes, arguments, results, error) || !execute(error))
    return std::nullopt;
  return readResponse(rt, results, workspaceBytes, variant, error);
}
