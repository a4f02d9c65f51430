//===- cases.h - Scores that take every way through a router ----*- C -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Scores of EXPERTS experts for TOKENS tokens against thresholds of 0, by the
// name of a case. A kernel without a branch on data executes the same number
// of instructions for all of them.
//
//===----------------------------------------------------------------------===//

#ifndef CASES_H
#define CASES_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t hash(uint32_t a, uint32_t b) {
  uint32_t x = a * 0x9e3779b9u + b * 0x85ebca6bu + 1;
  x ^= x >> 15;
  x *= 0x2c1b3c6du;
  x ^= x >> 12;
  x *= 0x297a2d39u;
  return x ^ (x >> 15);
}

static float score(const char *name, uint32_t token, uint32_t expert,
                   uint32_t experts) {
  uint32_t h = hash(token, expert);
  float small = 0.001f * (float)(1 + h % 1000);
  if (!strcmp(name, "none"))
    return -small;
  if (!strcmp(name, "one"))
    return expert == hash(token, 99999) % experts ? small : -small;
  if (!strcmp(name, "half"))
    return (hash(token, 77777) ^ expert) & 1 ? small : -small;
  if (!strcmp(name, "all"))
    return small;
  if (!strcmp(name, "ties"))
    return 0.0f;
  if (!strcmp(name, "taken-ties"))
    return 0.5f;
  if (!strcmp(name, "nan"))
    return NAN;
  if (!strcmp(name, "infinite"))
    return h & 1 ? INFINITY : -INFINITY;
  if (!strcmp(name, "denormal"))
    return h & 1 ? 1e-41f : -1e-41f;
  if (!strcmp(name, "mixed"))
    switch (h % 6) {
    case 0:
      return NAN;
    case 1:
      return INFINITY;
    case 2:
      return -0.0f;
    case 3:
      return small;
    default:
      return -small;
    }
  fprintf(stderr, "unknown case %s\n", name);
  exit(2);
}

#endif // CASES_H
