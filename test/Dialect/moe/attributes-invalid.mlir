// RUN: moe-opt %s --split-input-file --verify-diagnostics

// expected-error @+1 {{routing expects 1 to 2147483647 experts, but got 0}}
func.func private @no_experts(!moe.routing<0 x 1>)

// -----

// expected-error @+1 {{routing expects 1 to 2147483647 experts, but got 4294967296}}
func.func private @too_many_experts(!moe.routing<4294967296 x 1>)

// -----

// expected-error @+1 {{routing expects 1 to 8 slots, one for each expert at most, but got 9}}
func.func private @more_slots_than_experts(!moe.routing<8 x 9>)

// -----

// expected-error @+1 {{routing expects 1 to 8 slots, one for each expert at most, but got 0}}
func.func private @no_slots(!moe.routing<8 x 0>)

// -----

// expected-error @+1 {{expected two sizes, experts x slots, as in !moe.routing<128 x 8>, but got 1}}
func.func private @one_size(!moe.routing<8>)

// -----

// expected-error @+1 {{expected two sizes, experts x slots, as in !moe.routing<128 x 8>, but got 3}}
func.func private @three_sizes(!moe.routing<8 x 2 x 2>)

// -----

// expected-error @+1 {{#moe.top_k expects at least one expert for each token, but got 0}}
func.func private @top_0() attributes {a = #moe.top_k<0>}

// -----

// expected-error @+1 {{#moe.top_k expects at least one expert for each token, but got -2}}
func.func private @top_negative() attributes {a = #moe.top_k<-2>}

// -----

// expected-error @+1 {{#moe.group_top_k expects at least one expert for each token, but got 0}}
func.func private @group_top_0() attributes {a = #moe.group_top_k<0, groups = 8, keep = 4, reduce = max>}

// -----

// expected-error @+1 {{#moe.group_top_k expects at least one group, but got 0}}
func.func private @no_groups() attributes {a = #moe.group_top_k<2, groups = 0, keep = 4, reduce = max>}

// -----

// expected-error @+1 {{#moe.group_top_k expects to keep 1 to 8 of its 8 groups, but got 9}}
func.func private @keep_too_many() attributes {a = #moe.group_top_k<2, groups = 8, keep = 9, reduce = max>}

// -----

// expected-error @+2 {{expected one of [max, top2] for score of a group of experts, got: mean}}
// expected-error @+1 {{failed to parse}}
func.func private @unknown_reduce() attributes {a = #moe.group_top_k<2, groups = 8, keep = 2, reduce = mean>}

// -----

// expected-error @+1 {{#moe.normalize expects eps of at least 0, but got -1}}
func.func private @negative_eps() attributes {a = #moe.normalize<sum, eps = -1.0>}

// -----

// expected-error @+1 {{#moe.normalize expects p above 0, but got 0}}
func.func private @zero_norm() attributes {a = #moe.normalize<p_norm, p = 0.0>}

// -----

// expected-error @+1 {{expected ','}}
func.func private @clamp_without_min() attributes {a = #moe.normalize<clamp>}

// -----

// expected-error @+1 {{expected 'min'}}
func.func private @clamp_with_eps() attributes {a = #moe.normalize<clamp, eps = 1.0>}

// -----

// expected-error @+1 {{#moe.scale expects a finite factor}}
func.func private @infinite_scale() attributes {a = #moe.scale<0x7FF0000000000000>}

// -----

// expected-error @+1 {{#moe.clamped_swiglu expects limit above 0, but got -7}}
func.func private @negative_limit() attributes {a = #moe.clamped_swiglu<limit = -7.0>}

// -----

// expected-error @+1 {{expected alpha, limit or offset, but got 'beta'}}
func.func private @unknown_parameter() attributes {a = #moe.clamped_swiglu<beta = 1.0>}
