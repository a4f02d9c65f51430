/*===- Driver.h - What moe_cuda and moe_hip share ------------------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*===----------------------------------------------------------------------===*|
|*
|* Drivers that load modules, find kernels in them by name and start these with
|* pointers to their arguments. Results of a driver's functions are int, 0 where
|* they did what they should.
|*
\*===----------------------------------------------------------------------===*/

#ifndef MOE_RUNTIME_DRIVER_H
#define MOE_RUNTIME_DRIVER_H

#include "moe-mlir/Runtime/moe_rt.h"

#include <stddef.h>

typedef struct moe_driver moe_driver;

/* What each does by functions of its own. */
typedef struct moe_driver_calls {
  /* What it calls a result; null if it does not know it. */
  const char *(*name_result)(moe_driver *driver, int result);
  int (*load_module)(moe_driver *driver, void **module, const void *image);
  int (*unload_module)(moe_driver *driver, void *module);
  int (*find_function)(moe_driver *driver, void **function, void *module,
                       const char *name);
  /* Before the first launch of a function; MOE_OK, or a status with a message.
     May be null. */
  int (*prepare)(moe_driver *driver, void *function, const moe_launch *launch);
  /* The same of each launch, of at least one block. */
  int (*launch)(moe_driver *driver, const moe_launch *launch);
} moe_driver_calls;

struct moe_driver {
  moe_rt rt; /* First: the hook gets its address. */
  const moe_driver_calls *calls;
  void *library, *stream;
  int multiprocessors;
  struct moe_driver_kernel *kernels;
  struct moe_driver_module *modules;
  char error[512];
};

/* A function of the library, and where in a driver's struct it belongs. */
typedef struct moe_driver_function {
  const char *name;
  size_t at;
} moe_driver_function;

/* Fills a driver that is all zeros, and its functions. `vendor` is for
   messages, `device` what manifests call its devices. */
int moe_driver_open(moe_driver *driver, const moe_driver_calls *calls,
                    const char *vendor, const char *device, const char *library,
                    const moe_driver_function *functions, size_t count);

/* Unloads all modules. */
void moe_driver_release(moe_driver *driver);

/* Notes a sentence, and returns MOE_ERR_DEVICE. */
int moe_driver_fail(moe_driver *driver, const char *format, ...);

/* MOE_OK if `result` of the call `what` is no error; notes it otherwise. */
int moe_driver_check(moe_driver *driver, int result, const char *what);

/* The function of a launch; null after a failure. */
void *moe_driver_find(moe_driver *driver, const moe_launch *launch);

/* On how many blocks it runs. */
int64_t moe_driver_get_blocks(const moe_driver *driver,
                              const moe_launch *launch);

/* How many arguments a kernel may have. */
enum { MOE_DRIVER_ARGUMENTS = 32 };

/* What drivers are given of the arguments: the address of each one's value.
   Those that are matrices are left to the caller. */
int moe_driver_get_arguments(moe_driver *driver, const moe_launch *launch,
                             void *values[MOE_DRIVER_ARGUMENTS],
                             void *pointers[MOE_DRIVER_ARGUMENTS]);

#endif /* MOE_RUNTIME_DRIVER_H */
