/*===- moe_rt_layout.h - Where the fields of moe_rt.h are ---------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*===----------------------------------------------------------------------===*|
|*
|* Compiled layers have these numbers in their code, and outlive the header they
|* were compiled with. For whoever makes or serves such code: what is inserted
|* into a struct instead of appended does not build. Append a line per field.
|*
\*===----------------------------------------------------------------------===*/

#ifndef MOE_RT_LAYOUT_H
#define MOE_RT_LAYOUT_H

#include "moe-mlir/Runtime/moe_pack.h"
#include "moe-mlir/Runtime/moe_rt.h"
#include "moe-mlir/Runtime/moe_variant.h"

/** sizeof(moe_rt) when this MOE_RT_ABI began: no caller has less. Code that
 *  reads a field from here on has to look at `size` first. */
#define MOE_RT_LEAST_SIZE 48

/** The same of moe_calibration. */
#define MOE_CALIBRATION_LEAST_SIZE 32

#ifdef __cplusplus
#define MOE_LAYOUT_ASSERT static_assert
#else
#define MOE_LAYOUT_ASSERT _Static_assert
#endif
#define MOE_FIELD(type, field, offset)                                         \
  MOE_LAYOUT_ASSERT(offsetof(type, field) == (offset),                         \
                    #type " grows at its end only")

MOE_FIELD(moe_rt, abi, 0);
MOE_FIELD(moe_rt, num_threads, 4);
MOE_FIELD(moe_rt, size, 8);
MOE_FIELD(moe_rt, parallel_for, 16);
MOE_FIELD(moe_rt, error, 24);
MOE_FIELD(moe_rt, trace, 32);
MOE_FIELD(moe_rt, user, 40);
MOE_FIELD(moe_rt, launch, 48);
MOE_FIELD(moe_rt, device, 56);
MOE_FIELD(moe_rt, device_model, 64);
MOE_LAYOUT_ASSERT(sizeof(moe_rt) >= MOE_RT_LEAST_SIZE, "moe_rt never shrinks");

MOE_FIELD(moe_trace_event, kind, 0);
MOE_FIELD(moe_trace_event, size, 4);
MOE_FIELD(moe_trace_event, function, 8);
MOE_FIELD(moe_trace_event, phase, 16);
MOE_FIELD(moe_trace_event, tokens, 24);
MOE_FIELD(moe_trace_event, experts, 32);
MOE_FIELD(moe_trace_event, slots, 40);
MOE_FIELD(moe_trace_event, offsets, 48);
MOE_FIELD(moe_trace_event, indices, 56);
MOE_FIELD(moe_trace_event, weights, 64);

MOE_FIELD(moe_launch_argument, kind, 0);
MOE_FIELD(moe_launch_argument, box_rows, 4);
MOE_FIELD(moe_launch_argument, pointer, 8);
MOE_FIELD(moe_launch_argument, value, 16);
MOE_FIELD(moe_launch_argument, columns, 24);
MOE_LAYOUT_ASSERT(sizeof(moe_launch_argument) == 32,
                  "arrays of moe_launch_argument stay");

MOE_FIELD(moe_launch, size, 0);
MOE_FIELD(moe_launch, image, 8);
MOE_FIELD(moe_launch, kernel, 16);
MOE_FIELD(moe_launch, blocks, 24);
MOE_FIELD(moe_launch, each, 32);
MOE_FIELD(moe_launch, threads, 36);
MOE_FIELD(moe_launch, shared_bytes, 40);
MOE_FIELD(moe_launch, num_arguments, 44);
MOE_FIELD(moe_launch, arguments, 48);
MOE_FIELD(moe_launch, overlaps, 56);

MOE_FIELD(moe_tensor, name, 0);
MOE_FIELD(moe_tensor, dtype, 8);
MOE_FIELD(moe_tensor, rank, 12);
MOE_FIELD(moe_tensor, shape, 16);
MOE_FIELD(moe_tensor, data, 24);
MOE_LAYOUT_ASSERT(sizeof(moe_tensor) == 32, "arrays of moe_tensor stay");

MOE_FIELD(moe_pack_source, tensor, 0);
MOE_FIELD(moe_pack_source, part, 8);
MOE_FIELD(moe_pack_source, first_expert, 16);
MOE_FIELD(moe_pack_source, first_n, 24);
MOE_FIELD(moe_pack_source, first_k, 32);
MOE_FIELD(moe_pack_source, offset, 40);
MOE_FIELD(moe_pack_source, sizes, 48);
MOE_FIELD(moe_pack_source, strides, 72);
MOE_LAYOUT_ASSERT(sizeof(moe_pack_source) == 96,
                  "arrays of moe_pack_source stay");

MOE_FIELD(moe_pack_field, storage, 0);
MOE_FIELD(moe_pack_field, offset, 8);
MOE_FIELD(moe_pack_field, bytes, 16);
MOE_FIELD(moe_pack_field, unit, 24);
MOE_FIELD(moe_pack_field, dtype, 32);
MOE_LAYOUT_ASSERT(sizeof(moe_pack_field) == 40,
                  "arrays of moe_pack_field stay");

MOE_FIELD(moe_pack_storage, bytes, 0);
MOE_FIELD(moe_pack_storage, rows, 8);
MOE_FIELD(moe_pack_storage, blocks, 16);
MOE_LAYOUT_ASSERT(sizeof(moe_pack_storage) == 24,
                  "arrays of moe_pack_storage stay");

MOE_FIELD(moe_pack_matrix, n, 0);
MOE_FIELD(moe_pack_matrix, k, 8);
MOE_LAYOUT_ASSERT(sizeof(moe_pack_matrix) == 16,
                  "arrays of moe_pack_matrix stay");

MOE_FIELD(moe_pack_digit, weight, 0);
MOE_FIELD(moe_pack_digit, size, 8);
MOE_FIELD(moe_pack_digit, stride, 16);
MOE_FIELD(moe_pack_order, bits, 0);
MOE_FIELD(moe_pack_order, width, 8);
MOE_FIELD(moe_pack_order, first, 16);
MOE_FIELD(moe_pack_order, rows, 24);
MOE_FIELD(moe_pack_order, places, 96);
MOE_LAYOUT_ASSERT(sizeof(moe_pack_order) == 168,
                  "arrays of moe_pack_order stay");

MOE_FIELD(moe_pack_plan, size, 0);
MOE_FIELD(moe_pack_plan, name, 8);
MOE_FIELD(moe_pack_plan, id, 16);
MOE_FIELD(moe_pack_plan, layout, 24);
MOE_FIELD(moe_pack_plan, bytes, 32);
MOE_FIELD(moe_pack_plan, columns, 40);
MOE_FIELD(moe_pack_plan, interleave, 48);
MOE_FIELD(moe_pack_plan, parts, 56);
MOE_FIELD(moe_pack_plan, k_block, 64);
MOE_FIELD(moe_pack_plan, k_padded, 72);
MOE_FIELD(moe_pack_plan, n_padded, 80);
MOE_FIELD(moe_pack_plan, experts, 88);
MOE_FIELD(moe_pack_plan, dtype, 96);
MOE_FIELD(moe_pack_plan, num_tensors, 104);
MOE_FIELD(moe_pack_plan, tensors, 112);
MOE_FIELD(moe_pack_plan, num_sources, 120);
MOE_FIELD(moe_pack_plan, sources, 128);
MOE_FIELD(moe_pack_plan, num_fields, 136);
MOE_FIELD(moe_pack_plan, fields, 144);
MOE_FIELD(moe_pack_plan, num_storage, 152);
MOE_FIELD(moe_pack_plan, storage, 160);
MOE_FIELD(moe_pack_plan, matrices, 168);
MOE_FIELD(moe_pack_plan, orders, 176);

MOE_FIELD(moe_calibration, size, 0);
MOE_FIELD(moe_calibration, model, 8);
MOE_FIELD(moe_calibration, fma, 16);
MOE_FIELD(moe_calibration, bf16, 24);
MOE_LAYOUT_ASSERT(sizeof(moe_calibration) >= MOE_CALIBRATION_LEAST_SIZE,
                  "moe_calibration never shrinks");

MOE_FIELD(moe_cpu_models, first, 0);
MOE_FIELD(moe_cpu_models, last, 8);
MOE_LAYOUT_ASSERT(sizeof(moe_cpu_models) == 16,
                  "arrays of moe_cpu_models stay");

MOE_FIELD(moe_variant, name, 0);
MOE_FIELD(moe_variant, needs, 8);
MOE_FIELD(moe_variant, traits, 16);
MOE_FIELD(moe_variant, num_models, 24);
MOE_FIELD(moe_variant, models, 32);
MOE_LAYOUT_ASSERT(sizeof(moe_variant) == 40, "arrays of moe_variant stay");

MOE_FIELD(moe_variants, size, 0);
MOE_FIELD(moe_variants, count, 8);
MOE_FIELD(moe_variants, variants, 16);

MOE_FIELD(moe_device_variant, name, 0);
MOE_FIELD(moe_device_variant, device, 8);
MOE_FIELD(moe_device_variant, num_models, 16);
MOE_FIELD(moe_device_variant, models, 24);
MOE_LAYOUT_ASSERT(sizeof(moe_device_variant) == 32,
                  "arrays of moe_device_variant stay");

MOE_FIELD(moe_device_variants, size, 0);
MOE_FIELD(moe_device_variants, count, 8);
MOE_FIELD(moe_device_variants, variants, 16);

#undef MOE_FIELD
#undef MOE_LAYOUT_ASSERT

#endif /* MOE_RT_LAYOUT_H */
