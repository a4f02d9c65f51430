/* libmoe_halide with an error: where a program has the text PLANT_FROM, it gets
 * PLANT_TO. Everything is done by the library MOE_REAL_HALIDE. */
#include "moe-mlir/Halide/KernelEmitter.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static void *find(const char *name) {
  void *library = dlopen(getenv("MOE_REAL_HALIDE"), RTLD_NOW | RTLD_LOCAL);
  return library ? dlsym(library, name) : NULL;
}

static char *plant(const char *program) {
  const char *from = getenv("PLANT_FROM"), *to = getenv("PLANT_TO");
  const char *at = from ? strstr(program, from) : NULL;
  char *planted = malloc(strlen(program) + (to ? strlen(to) : 0) + 1);
  if (!at) {
    strcpy(planted, program);
    return planted;
  }
  memcpy(planted, program, at - program);
  strcpy(planted + (at - program), to);
  strcat(planted, at + strlen(from));
  return planted;
}

int moe_halide_emit(const moe_halide_kernel *kernels, size_t count,
                    const char *target, int kind, const char *file,
                    char *error, size_t room) {
  moe_halide_kernel *planted = malloc(count * sizeof(*planted));
  for (size_t i = 0; i < count; ++i) {
    planted[i].name = kernels[i].name;
    planted[i].program = plant(kernels[i].program);
  }
  return ((moe_halide_emit_function)find("moe_halide_emit"))(
      planted, count, target, kind, file, error, room);
}

const char *moe_halide_obstacle(const char *program) {
  return ((moe_halide_obstacle_function)find("moe_halide_obstacle"))(program);
}
