//===- count-instructions.c - Counting by single steps ----------*- C -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// `count-instructions WORD PROGRAM ARGUMENTS...` runs an x86-64 program and
// counts the instructions executed within functions whose symbol contains WORD,
// each step of a repeated string instruction as one. It needs no performance
// counter and knows no instruction, so it counts AVX-512 as well: a breakpoint
// at the entry of each such function, single steps from there until it has
// returned, free running otherwise. `count-instructions --probe` tells whether
// this may trace at all.
//
//===----------------------------------------------------------------------===//

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_FUNCTIONS 256

struct function {
  uint64_t begin, end;
  long original; /* The word at its entry, without the breakpoint. */
  char name[128];
  uint64_t counted;
};

static struct function functions[MAX_FUNCTIONS];
static int number;
static int position_independent;

static void die(const char *what) {
  fprintf(stderr, "count-instructions: %s: %s\n", what, strerror(errno));
  exit(2);
}

static void *read_file(const char *path, size_t *size) {
  struct stat info;
  FILE *file = fopen(path, "rb");
  if (!file || fstat(fileno(file), &info))
    die(path);
  *size = (size_t)info.st_size;
  char *bytes = malloc(*size);
  if (!bytes || fread(bytes, 1, *size, file) != *size)
    die(path);
  fclose(file);
  return bytes;
}

static void find_functions(const char *path, const char *word) {
  size_t size;
  char *bytes = read_file(path, &size);
  Elf64_Ehdr *header = (Elf64_Ehdr *)bytes;
  if (size < sizeof(*header) || memcmp(header->e_ident, ELFMAG, SELFMAG) ||
      header->e_machine != EM_X86_64) {
    fprintf(stderr, "count-instructions: %s is no x86-64 program\n", path);
    exit(2);
  }
  position_independent = header->e_type == ET_DYN;
  Elf64_Shdr *sections = (Elf64_Shdr *)(bytes + header->e_shoff);
  for (int i = 0; i < header->e_shnum; ++i) {
    if (sections[i].sh_type != SHT_SYMTAB)
      continue;
    const char *names = bytes + sections[sections[i].sh_link].sh_offset;
    Elf64_Sym *symbols = (Elf64_Sym *)(bytes + sections[i].sh_offset);
    for (size_t s = 0; s < sections[i].sh_size / sizeof(Elf64_Sym); ++s) {
      const char *name = names + symbols[s].st_name;
      if (ELF64_ST_TYPE(symbols[s].st_info) != STT_FUNC ||
          symbols[s].st_size == 0 || !strstr(name, word))
        continue;
      if (number == MAX_FUNCTIONS) {
        fprintf(stderr, "count-instructions: too many functions match\n");
        exit(2);
      }
      functions[number].begin = symbols[s].st_value;
      functions[number].end = symbols[s].st_value + symbols[s].st_size;
      snprintf(functions[number].name, sizeof(functions[number].name), "%s",
               name);
      ++number;
    }
  }
  free(bytes);
  if (number == 0) {
    fprintf(stderr, "count-instructions: no function of %s contains '%s'\n",
            path, word);
    exit(2);
  }
}

/* Where the kernel put a position independent program. */
static uint64_t load_address(pid_t child) {
  char path[64];
  uint64_t address = 0;
  snprintf(path, sizeof(path), "/proc/%d/maps", (int)child);
  FILE *maps = fopen(path, "r");
  /* The program's mappings come before its libraries'. */
  if (!maps || fscanf(maps, "%" SCNx64, &address) != 1)
    die(path);
  fclose(maps);
  return address;
}

static void put(pid_t child, uint64_t address, long word) {
  if (ptrace(PTRACE_POKETEXT, child, (void *)address, (void *)word))
    die("PTRACE_POKETEXT");
}

static struct function *find(uint64_t address) {
  for (int i = 0; i < number; ++i)
    if (address >= functions[i].begin && address < functions[i].end)
      return &functions[i];
  return NULL;
}

static void set_breakpoints(pid_t child, int on) {
  for (int i = 0; i < number; ++i)
    put(child, functions[i].begin,
        on ? (functions[i].original & ~0xffL) | 0xcc : functions[i].original);
}

/* Waits for the next stop; exits with the child. */
static int wait_for(pid_t child) {
  int status;
  if (waitpid(child, &status, 0) < 0)
    die("waitpid");
  if (WIFEXITED(status)) {
    if (WEXITSTATUS(status) != 0) {
      fprintf(stderr, "count-instructions: the program returned %d\n",
              WEXITSTATUS(status));
      exit(2);
    }
    uint64_t all = 0;
    for (int i = 0; i < number; ++i) {
      if (functions[i].counted)
        fprintf(stderr, "  %-40s %" PRIu64 "\n", functions[i].name,
                functions[i].counted);
      all += functions[i].counted;
    }
    fprintf(stderr, "instructions %" PRIu64 "\n", all);
    exit(0);
  }
  if (WIFSIGNALED(status)) {
    fprintf(stderr, "count-instructions: the program died of signal %d\n",
            WTERMSIG(status));
    exit(2);
  }
  return WSTOPSIG(status);
}

static void get_registers(pid_t child, struct user_regs_struct *registers) {
  if (ptrace(PTRACE_GETREGS, child, NULL, registers))
    die("PTRACE_GETREGS");
}

int main(int argc, char **argv) {
  int probe = argc == 2 && !strcmp(argv[1], "--probe");
  if (!probe && argc < 3) {
    fprintf(stderr, "usage: count-instructions WORD PROGRAM [ARGUMENTS...]\n"
                    "       count-instructions --probe\n");
    return 2;
  }
  char *self[] = {"/proc/self/exe", NULL};
  char **command = probe ? self : argv + 2;
  if (!probe)
    find_functions(command[0], argv[1]);

  pid_t child = fork();
  if (child < 0)
    die("fork");
  if (child == 0) {
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
      _exit(3);
    execv(command[0], command);
    _exit(3);
  }
  if (wait_for(child) != SIGTRAP ||
      ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)PTRACE_O_EXITKILL))
    die("the program did not start");
  if (probe) {
    int works = !ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) &&
                wait_for(child) == SIGTRAP;
    return works ? 0 : 2; /* Which ends the child. */
  }

  uint64_t base = position_independent ? load_address(child) : 0;
  for (int i = 0; i < number; ++i) {
    functions[i].begin += base;
    functions[i].end += base;
    errno = 0;
    functions[i].original =
        ptrace(PTRACE_PEEKTEXT, child, (void *)functions[i].begin, NULL);
    if (errno)
      die("PTRACE_PEEKTEXT");
  }

  struct user_regs_struct registers;
  int signal = 0;
  for (;;) {
    set_breakpoints(child, 1);
    do {
      if (ptrace(PTRACE_CONT, child, NULL, (void *)(long)signal))
        die("PTRACE_CONT");
      signal = wait_for(child);
    } while (signal != SIGTRAP);
    signal = 0;
    get_registers(child, &registers);
    set_breakpoints(child, 0);
    if (!find(registers.rip - 1))
      continue; /* A trap of its own. */
    registers.rip -= 1;
    if (ptrace(PTRACE_SETREGS, child, NULL, &registers))
      die("PTRACE_SETREGS");
    errno = 0;
    uint64_t back =
        (uint64_t)ptrace(PTRACE_PEEKDATA, child, (void *)registers.rsp, NULL);
    uint64_t stack = registers.rsp;
    if (errno)
      die("PTRACE_PEEKDATA");
    /* Until it has returned to its caller's frame. */
    while (registers.rip != back || registers.rsp <= stack) {
      struct function *inside = find(registers.rip);
      if (inside)
        ++inside->counted;
      if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL))
        die("PTRACE_SINGLESTEP");
      int stop = wait_for(child);
      if (stop != SIGTRAP) {
        fprintf(stderr, "count-instructions: signal %d in a function\n", stop);
        return 2;
      }
      get_registers(child, &registers);
    }
  }
}
