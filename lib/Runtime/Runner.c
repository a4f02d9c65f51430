/*===- Runner.c - Calls one function in a process of its own -------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*===----------------------------------------------------------------------===*|
|*
|* The main() that moe-run links with an artifact to run it in an emulator, or
|* on another machine: usage RUNNER REQUEST RESPONSE. It knows nothing of the
|* function but what the request says:
|*
|*   "MOERUN02", the 32 characters of the artifact's id by its manifest, then
|*   64-bit integers: threads, number of sizes, the sizes,
|*   number of arguments, number of results, and for each of both its bytes and
|*   its alignment; then the bytes of the arguments.
|*
|* The response is a sequence of records, each a kind and a length in bytes (two
|* 64-bit integers) and as many bytes: see moe_runner_record. Both are in the
|* machine's byte order.
|*
|* Every buffer ends where a page ends that nobody may touch, arguments may be
|* read only, and what the function has to write begins as bytes of ones (NaN):
|* a kernel that reaches beyond its arrays does not get away with it.
|*
\*===----------------------------------------------------------------------===*/

#define _GNU_SOURCE

#include "moe-mlir/Runtime/moe_rt.h"
#include "moe-mlir/Runtime/moe_runner.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The linker is told what they are. */
extern int moe_runner_invoke(const moe_rt *rt, const int64_t *sizes,
                             void *const *buffers, void *workspace,
                             size_t workspace_bytes);
extern size_t moe_runner_workspace(const int64_t *sizes);
extern const char moe_runner_id[];
/* Null for artifacts from before there was one. */
extern const char *moe_runner_variant(void) __attribute__((weak));

typedef struct {
  size_t bytes;
  unsigned char *data;
  /* The pages that may be touched. */
  unsigned char *begin, *end;
} buffer;

static buffer *buffers;
static size_t num_buffers; /* The last one is the workspace. */
static FILE *response;

static void die(const char *what) {
  fprintf(stderr, "runner: %s\n", what);
  exit(1);
}

/*===----------------------------------------------------------------------===*/
/* Memory                                                                     */
/*===----------------------------------------------------------------------===*/

static buffer allocate(size_t bytes, size_t alignment) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  size_t inner = (bytes + alignment - 1 + page - 1) / page * page;
  unsigned char *all = mmap(NULL, inner + 2 * page, PROT_NONE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (all == MAP_FAILED)
    die("no memory");
  buffer b;
  b.bytes = bytes;
  b.begin = all + page;
  b.end = b.begin + inner;
  if (inner && mprotect(b.begin, inner, PROT_READ | PROT_WRITE))
    die("no memory");
  memset(b.begin, 0xff, inner);
  b.data = b.end - bytes;
  b.data -= (uintptr_t)b.data % alignment;
  return b;
}

/* Whether somebody wrote between a buffer and its pages' ends. */
static int is_trampled(const buffer *b) {
  for (const unsigned char *p = b->begin; p != b->end; ++p) {
    if (p == b->data)
      p += b->bytes;
    if (p == b->end)
      break;
    if (*p != 0xff)
      return 1;
  }
  return 0;
}

static void on_signal(int number, siginfo_t *info, void *context) {
  (void)context;
  unsigned char *at = info->si_addr;
  char text[160];
  int length = 0;
  if (number == SIGILL)
    length = snprintf(text, sizeof(text), "runner: illegal instruction\n");
  else
    length = snprintf(text, sizeof(text), "runner: invalid access to memory\n");
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  for (size_t i = 0; number != SIGILL && i < num_buffers; ++i)
    if (at >= buffers[i].begin - page && at < buffers[i].end + page)
      length = snprintf(
          text, sizeof(text),
          "runner: invalid access at byte %ld of buffer %zu, which has %zu\n",
          (long)(at - buffers[i].data), i, buffers[i].bytes);
  if (write(STDERR_FILENO, text, (size_t)length) < 0)
    _exit(126);
  _exit(125);
}

/*===----------------------------------------------------------------------===*/
/* Request and response                                                       */
/*===----------------------------------------------------------------------===*/

static void receive(FILE *file, void *data, size_t bytes) {
  if (bytes && fread(data, 1, bytes, file) != bytes)
    die("the request is too short");
}

static int64_t receive_number(FILE *file) {
  int64_t value;
  receive(file, &value, sizeof(value));
  if (value < 0)
    die("the request has a negative number");
  return value;
}

static void put(const void *data, size_t bytes) {
  if (bytes && fwrite(data, 1, bytes, response) != bytes)
    die("cannot write the response");
}

static void put_number(int64_t value) { put(&value, sizeof(value)); }

static void begin_record(int64_t kind, size_t bytes) {
  put_number(kind);
  put_number((int64_t)bytes);
}

static void on_error(const moe_rt *rt, int status, const char *message) {
  (void)rt;
  (void)status;
  size_t length = message ? strlen(message) : 0;
  begin_record(MOE_RUNNER_MESSAGE, length);
  put(message, length);
}

/* Phases are left out: their times would be the emulator's. */
static void on_trace(const moe_rt *rt, const moe_trace_event *event) {
  (void)rt;
  if (event->kind != MOE_TRACE_ROUTING)
    return;
  size_t name = event->function ? strlen(event->function) : 0;
  size_t offsets = event->offsets ? (size_t)event->experts + 1 : 0;
  size_t slots = (size_t)(event->tokens * event->slots);
  size_t indices = event->indices ? slots : 0;
  size_t weights = event->weights ? slots : 0;
  begin_record(MOE_RUNNER_ROUTING,
               7 * sizeof(int64_t) + 4 * (offsets + indices + weights) + name);
  put_number(event->tokens);
  put_number(event->experts);
  put_number(event->slots);
  put_number((int64_t)offsets);
  put_number((int64_t)indices);
  put_number((int64_t)weights);
  put_number((int64_t)name);
  put(event->offsets, 4 * offsets);
  put(event->indices, 4 * indices);
  put(event->weights, 4 * weights);
  put(event->function, name);
}

int main(int argc, char **argv) {
  if (argc != 3)
    die("usage: REQUEST RESPONSE");
  FILE *request = fopen(argv[1], "rb");
  if (!request)
    die("cannot read the request");
  char magic[8];
  receive(request, magic, sizeof(magic));
  if (memcmp(magic, MOE_RUNNER_MAGIC, sizeof(magic)))
    die("the request is of another version");
  char id[33] = {0};
  receive(request, id, sizeof(id) - 1);
  if (strcmp(id, moe_runner_id))
    die("code and manifest are from different runs of moe-compile");
  int32_t threads = (int32_t)receive_number(request);
  size_t num_sizes = (size_t)receive_number(request);
  int64_t *sizes = calloc(num_sizes + 1, sizeof(*sizes));
  for (size_t i = 0; i < num_sizes; ++i)
    sizes[i] = receive_number(request);
  size_t num_arguments = (size_t)receive_number(request);
  size_t num_results = (size_t)receive_number(request);
  num_buffers = num_arguments + num_results + 1;
  buffers = calloc(num_buffers, sizeof(*buffers));
  void **pointers = calloc(num_buffers, sizeof(*pointers));
  if (!sizes || !buffers || !pointers)
    die("no memory");
  for (size_t i = 0; i + 1 < num_buffers; ++i) {
    size_t bytes = (size_t)receive_number(request);
    size_t alignment = (size_t)receive_number(request);
    buffers[i] = allocate(bytes, alignment ? alignment : 1);
    pointers[i] = buffers[i].data;
  }
  for (size_t i = 0; i < num_arguments; ++i) {
    buffer *b = &buffers[i];
    receive(request, b->data, b->bytes);
    if (b->end != b->begin &&
        mprotect(b->begin, (size_t)(b->end - b->begin), PROT_READ))
      die("cannot protect an argument");
  }
  fclose(request);
  response = fopen(argv[2], "wb");
  if (!response)
    die("cannot write the response");

  struct sigaction action;
  memset(&action, 0, sizeof(action));
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGILL, &action, NULL);
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);

  size_t workspace_bytes = moe_runner_workspace(sizes);
  buffers[num_buffers - 1] = allocate(workspace_bytes, MOE_ALIGNMENT);
  moe_rt rt;
  moe_rt_init(&rt, threads);
  rt.error = on_error;
  rt.trace = on_trace;
  int status = moe_runner_invoke(
      &rt, sizes, pointers, buffers[num_buffers - 1].data, workspace_bytes);
  for (size_t i = 0; i < num_buffers; ++i)
    if (is_trampled(&buffers[i])) {
      fprintf(stderr, "runner: the call wrote outside of buffer %zu\n", i);
      return 1;
    }
  for (size_t i = num_arguments; status == MOE_OK && i + 1 < num_buffers; ++i) {
    begin_record(MOE_RUNNER_RESULT, buffers[i].bytes);
    put(buffers[i].data, buffers[i].bytes);
  }
  const char *variant = moe_runner_variant ? moe_runner_variant() : NULL;
  if (variant) {
    begin_record(MOE_RUNNER_VARIANT, strlen(variant));
    put(variant, strlen(variant));
  }
  begin_record(MOE_RUNNER_END, 3 * sizeof(int64_t));
  put_number(status);
  put_number((int64_t)workspace_bytes);
  put_number(rt.num_threads);
  if (fclose(response))
    die("cannot write the response");
  return 0;
}
