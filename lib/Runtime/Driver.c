/*===- Driver.c - What moe_cuda and moe_hip share ------------------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
\*===----------------------------------------------------------------------===*/

#include "Driver.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A kernel that was loaded. Names and images are constants of artifacts: their
   addresses tell them apart. */
typedef struct moe_driver_kernel {
  const char *image, *name;
  void *function;
  struct moe_driver_kernel *next;
} kernel;

typedef struct moe_driver_module {
  const char *image;
  void *module;
  struct moe_driver_module *next;
} module;

int moe_driver_fail(moe_driver *driver, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(driver->error, sizeof(driver->error), format, arguments);
  va_end(arguments);
  return MOE_ERR_DEVICE;
}

int moe_driver_check(moe_driver *driver, int result, const char *what) {
  if (result == 0)
    return MOE_OK;
  const char *name = driver->calls->name_result(driver, result);
  return moe_driver_fail(driver, "%s failed: %s (%d)", what,
                         name ? name : "unknown error", result);
}

static int launchHook(const moe_rt *rt, const moe_launch *launch) {
  moe_driver *driver = (moe_driver *)rt;
  if (launch->blocks == 0)
    return MOE_OK;
  int status = driver->calls->launch(driver, launch);
  if (status && rt->error)
    rt->error(rt, status, driver->error);
  return status;
}

int moe_driver_open(moe_driver *driver, const moe_driver_calls *calls,
                    const char *vendor, const char *device, const char *library,
                    const moe_driver_function *functions, size_t count) {
  moe_rt_init(&driver->rt, 1);
  driver->rt.launch = launchHook;
  driver->rt.device = device;
  driver->calls = calls;
  driver->library = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (!driver->library)
    return moe_driver_fail(driver, "no %s driver: %s", vendor, dlerror());
  for (size_t i = 0; i < count; ++i) {
    void *function = dlsym(driver->library, functions[i].name);
    if (!function)
      return moe_driver_fail(driver, "the %s driver is too old: it has no %s",
                             vendor, functions[i].name);
    memcpy((char *)driver + functions[i].at, &function, sizeof(function));
  }
  return MOE_OK;
}

void moe_driver_release(moe_driver *driver) {
  for (kernel *k = driver->kernels, *next; k; k = next) {
    next = k->next;
    free(k);
  }
  for (module *m = driver->modules, *next; m; m = next) {
    next = m->next;
    driver->calls->unload_module(driver, m->module);
    free(m);
  }
  driver->kernels = NULL;
  driver->modules = NULL;
}

static void *loadModule(moe_driver *driver, const char *image) {
  for (module *m = driver->modules; m; m = m->next)
    if (m->image == image)
      return m->module;
  module *m = malloc(sizeof(*m));
  if (!m) {
    moe_driver_fail(driver, "out of memory");
    return NULL;
  }
  if (moe_driver_check(driver,
                       driver->calls->load_module(driver, &m->module, image),
                       "loading the kernels")) {
    free(m);
    return NULL;
  }
  m->image = image;
  m->next = driver->modules;
  driver->modules = m;
  return m->module;
}

void *moe_driver_find(moe_driver *driver, const moe_launch *launch) {
  for (kernel *k = driver->kernels; k; k = k->next)
    if (k->image == launch->image && k->name == launch->kernel)
      return k->function;
  void *code = loadModule(driver, launch->image), *function;
  if (!code || moe_driver_check(driver,
                                driver->calls->find_function(
                                    driver, &function, code, launch->kernel),
                                launch->kernel))
    return NULL;
  if (driver->calls->prepare &&
      driver->calls->prepare(driver, function, launch))
    return NULL;
  kernel *k = malloc(sizeof(*k));
  if (!k) {
    moe_driver_fail(driver, "out of memory");
    return NULL;
  }
  *k = (kernel){launch->image, launch->kernel, function, driver->kernels};
  driver->kernels = k;
  return function;
}

int64_t moe_driver_get_blocks(const moe_driver *driver,
                              const moe_launch *launch) {
  int64_t most = (int64_t)launch->each * driver->multiprocessors;
  return launch->each && launch->blocks > most ? most : launch->blocks;
}

int moe_driver_get_arguments(moe_driver *driver, const moe_launch *launch,
                             void *values[MOE_DRIVER_ARGUMENTS],
                             void *pointers[MOE_DRIVER_ARGUMENTS]) {
  if (launch->num_arguments > MOE_DRIVER_ARGUMENTS)
    return moe_driver_fail(driver, "%s has more than %d arguments",
                           launch->kernel, MOE_DRIVER_ARGUMENTS);
  for (int i = 0; i < launch->num_arguments; ++i) {
    const moe_launch_argument *argument = &launch->arguments[i];
    values[i] = argument->kind == MOE_LAUNCH_POINTER
                    ? argument->pointer
                    : (void *)(uintptr_t)argument->value;
    pointers[i] = &values[i];
  }
  return MOE_OK;
}
