//===- OpenMP.h - OpenMP, or one thread ------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// So that everything builds, and runs on one thread, with compilers that have
// no OpenMP library installed.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RUN_OPENMP_H
#define MOE_MLIR_RUN_OPENMP_H

#ifdef _OPENMP
#include <omp.h>
#else
inline int omp_get_max_threads() { return 1; }
inline int omp_get_num_procs() { return 1; }
inline int omp_get_thread_num() { return 0; }
inline void omp_set_num_threads(int) {}
#endif

#endif // MOE_MLIR_RUN_OPENMP_H
