// RUN: moe-opt %s --split-input-file --verify-diagnostics

//===----------------------------------------------------------------------===//
// Types and attributes
//===----------------------------------------------------------------------===//

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

// -----

//===----------------------------------------------------------------------===//
// moe.router
//===----------------------------------------------------------------------===//

func.func @router_no_policy(%s: tensor<?x8xf32>) {
  // expected-error @+1 {{'moe.router' op requires attribute 'policy'}}
  %r = "moe.router"(%s, %s) <{operandSegmentSizes = array<i32: 1, 1, 0>}> ({}) : (tensor<?x8xf32>, tensor<?x8xf32>) -> !moe.routing<8 x 2>
  return
}

// -----

func.func @router_unknown_experts(%s: tensor<?x?xf32>) {
  // expected-error @+1 {{expects a static number of experts, dimension 1 of select, but got 'tensor<?x?xf32>'}}
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x?xf32> -> !moe.routing<8 x 2>
  return
}

// -----

func.func @router_no_experts(%s: tensor<?x0xf32>) {
  // expected-error @+1 {{expects the number of experts to be at least 1, dimension 1 of select, but got 'tensor<?x0xf32>'}}
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x0xf32> -> !moe.routing<8 x 2>
  return
}

// -----

func.func @router_rank(%s: tensor<8xf32>) {
  // expected-error @+1 {{operand #0 must be 2D tensor of 32-bit float or 64-bit float values, but got 'tensor<8xf32>'}}
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<8xf32> -> !moe.routing<8 x 2>
  return
}

// -----

func.func @router_unranked(%s: tensor<*xf32>) {
  // expected-error @+1 {{operand #0 must be 2D tensor of 32-bit float or 64-bit float values, but got 'tensor<*xf32>'}}
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<*xf32> -> !moe.routing<8 x 2>
  return
}

// -----

func.func @router_rounded_scores(%s: tensor<?x8xbf16>) {
  // expected-error @+1 {{operand #0 must be 2D tensor of 32-bit float or 64-bit float values, but got 'tensor<?x8xbf16>'}}
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xbf16> -> !moe.routing<8 x 2>
  return
}

// -----

func.func @router_two_types(%s: tensor<?x8xf32>, %w: tensor<?x16xf32>) {
  // expected-error @+1 {{failed to verify that all of {select, weigh} have same type}}
  %r = "moe.router"(%s, %w) <{operandSegmentSizes = array<i32: 1, 1, 0>, policy = #moe.top_k<2>}> ({}) : (tensor<?x8xf32>, tensor<?x16xf32>) -> !moe.routing<8 x 2>
  return
}

// -----

func.func @router_k_above_e(%s: tensor<?x8xf32>) {
  // expected-error @+1 {{expects #moe.top_k to select at most all 8 experts, but it selects 9}}
  %r = moe.router #moe.top_k<9> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 8>
  return
}

// -----

func.func @router_other_experts(%s: tensor<?x8xf32>) {
  // expected-error @+1 {{expects a result of type '!moe.routing<8 x 2>', as #moe.top_k<2> of 8 experts gives, but got '!moe.routing<16 x 2>'}}
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<16 x 2>
  return
}

// -----

func.func @router_other_slots(%s: tensor<?x8xf32>) {
  // expected-error @+1 {{expects a result of type '!moe.routing<8 x 2>', as #moe.top_k<2> of 8 experts gives, but got '!moe.routing<8 x 4>'}}
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 4>
  return
}

// -----

func.func @router_uneven_groups(%s: tensor<?x10xf32>) {
  // expected-error @+1 {{expects the groups of #moe.group_top_k to divide the number of experts, but got 4 groups of 10 experts}}
  %r = moe.router #moe.group_top_k<2, groups = 4, keep = 2, reduce = max> select(%s) weigh(%s) : tensor<?x10xf32> -> !moe.routing<10 x 2>
  return
}

// -----

func.func @router_groups_too_small(%s: tensor<?x8xf32>) {
  // expected-error @+1 {{expects #moe.group_top_k to select at most the 4 experts of the 2 groups it keeps, but it selects 5}}
  %r = moe.router #moe.group_top_k<5, groups = 4, keep = 2, reduce = max> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 5>
  return
}

// -----

func.func @router_top2_of_one(%s: tensor<?x8xf32>) {
  // expected-error @+1 {{expects groups of at least 2 experts for `reduce = top2`, but got groups of 1}}
  %r = moe.router #moe.group_top_k<2, groups = 8, keep = 4, reduce = top2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  return
}

// -----

func.func @router_not_a_policy(%s: tensor<?x8xf32>) {
  // expected-error @+1 {{invalid kind of attribute specified}}
  %r = moe.router #moe.silu select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  return
}

// -----

func.func @router_not_a_weighing(%s: tensor<?x8xf32>) {
  // expected-error @+1 {{attribute 'weighing' failed to satisfy constraint: list of attributes that implement WeighingAttrInterface}}
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) weighing [#moe.silu] : tensor<?x8xf32> -> !moe.routing<8 x 2>
  return
}

// -----

func.func @router_list_and_region(%s: tensor<?x8xf32>) {
  // expected-error @+1 {{expects weights by a list `weighing` or by a region `weights`, but has both}}
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) weighing [#moe.softmax] : tensor<?x8xf32> -> !moe.routing<8 x 2> weights {
  ^bb0(%v: vector<2xf32>):
    moe.yield %v : vector<2xf32>
  }
  return
}

// -----

func.func @router_region_arguments(%s: tensor<?x8xf32>) {
  // expected-error @+1 {{expects the region `weights` to have 1 arguments (chosen values), but it has 3}}
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2> weights {
  ^bb0(%v: vector<2xf32>, %w: vector<2xi1>, %u: vector<2xi1>):
    moe.yield %v : vector<2xf32>
  }
  return
}

// -----

func.func @router_region_used(%s: tensor<?x8xf32>) {
  // expected-error @+1 {{expects argument #1 of the region `weights` (which slots are used) to be 'vector<2xi1>', but got 'vector<2xf32>'}}
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2> weights {
  // expected-note @+1 {{argument is here}}
  ^bb0(%v: vector<2xf32>, %w: vector<2xf32>):
    moe.yield %v : vector<2xf32>
  }
  return
}

// -----

func.func @router_region_type(%s: tensor<?x8xf32>) {
  // expected-error @+1 {{expects argument #0 of the region `weights` (chosen values) to be 'vector<2xf32>', but got 'vector<8xf32>'}}
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2> weights {
  // expected-note @+1 {{argument is here}}
  ^bb0(%v: vector<8xf32>):
    moe.yield %v : vector<8xf32>
  }
  return
}

// -----

func.func @router_region_yield(%s: tensor<?x8xf32>) {
  // expected-error @+1 {{expects the region `weights` to yield one value of 'vector<2xf32>', but it yields 2}}
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2> weights {
  ^bb0(%v: vector<2xf32>):
    // expected-note @+1 {{yielded here}}
    moe.yield %v, %v : vector<2xf32>, vector<2xf32>
  }
  return
}

// -----

func.func @router_region_terminator(%s: tensor<?x8xf32>) {
  // expected-error @+1 {{expects the region `weights` to end with moe.yield}}
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2> weights {
  ^bb0(%v: vector<2xf32>):
    // expected-note @+1 {{it ends here, with 'llvm.unreachable'}}
    llvm.unreachable
  }
  return
}

// -----

func.func @router_region_blocks(%s: tensor<?x8xf32>) {
  // expected-error @+1 {{expects the region `weights` to be one block, but it has 2}}
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2> weights {
  ^bb0(%v: vector<2xf32>):
    cf.br ^bb1
  ^bb1:
    moe.yield %v : vector<2xf32>
  }
  return
}

// -----

//===----------------------------------------------------------------------===//
// moe.dispatch
//===----------------------------------------------------------------------===//

func.func @dispatch_unknown_hidden(%x: tensor<?x?xf32>, %r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{expects a static hidden size, dimension 1 of x, but got 'tensor<?x?xf32>'}}
  %0 = moe.dispatch %x by %r : tensor<?x?xf32>, !moe.routing<8 x 2> -> tensor<?x?xf32>
  return
}

// -----

func.func @dispatch_rank(%x: tensor<?x4x4xf32>, %r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{operand #0 must be 2D tensor of 32-bit float or 64-bit float or bfloat16 type or 16-bit float values, but got 'tensor<?x4x4xf32>'}}
  %0 = moe.dispatch %x by %r : tensor<?x4x4xf32>, !moe.routing<8 x 2> -> tensor<?x4x4xf32>
  return
}

// -----

func.func @dispatch_not_a_routing(%x: tensor<?x4xf32>, %r: tensor<?x2xi32>) {
  // expected-error @+1 {{operand #1 must be routing, a ragged list of assignments (token, expert, weight), but got 'tensor<?x2xi32>'}}
  %0 = moe.dispatch %x by %r : tensor<?x4xf32>, tensor<?x2xi32> -> tensor<?x4xf32>
  return
}

// -----

func.func @dispatch_other_hidden(%x: tensor<?x4xf32>, %r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{expects a result of type 'tensor<?x4xf32>', rows like those of x, but got 'tensor<?x8xf32>'}}
  %0 = moe.dispatch %x by %r : tensor<?x4xf32>, !moe.routing<8 x 2> -> tensor<?x8xf32>
  return
}

// -----

func.func @dispatch_unknown_result(%x: tensor<?x4xf32>, %r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{expects a static hidden size, dimension 1 of the result, but got 'tensor<?x?xf32>'}}
  %0 = moe.dispatch %x by %r : tensor<?x4xf32>, !moe.routing<8 x 2> -> tensor<?x?xf32>
  return
}

// -----

func.func @dispatch_other_type(%x: tensor<?x4xf32>, %r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{expects a result of type 'tensor<?x4xf32>', rows like those of x, but got 'tensor<?x4xbf16>'}}
  %0 = moe.dispatch %x by %r : tensor<?x4xf32>, !moe.routing<8 x 2> -> tensor<?x4xbf16>
  return
}

// -----

func.func @dispatch_too_many_rows(%x: tensor<3x4xf32>, %r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{expects at most 6 rows, for 3 tokens in 2 slots each, but got 'tensor<7x4xf32>'}}
  %0 = moe.dispatch %x by %r : tensor<3x4xf32>, !moe.routing<8 x 2> -> tensor<7x4xf32>
  return
}

// -----

//===----------------------------------------------------------------------===//
// moe.expert
//===----------------------------------------------------------------------===//

func.func @expert_type(%rows: tensor<?x4xf32>, %r: !moe.routing<2 x 1>) {
  // expected-error @+1 {{expected a type (rows, routing) -> result, but got '(tensor<?x4xf32>) -> tensor<?x4xf32>'}}
  %0 = moe.expert %rows by %r : (tensor<?x4xf32>) -> tensor<?x4xf32>
  experts 0 to 2 {
  ^bb0(%t: tensor<?x4xf32>):
    moe.yield %t : tensor<?x4xf32>
  }
  return
}

// -----

func.func @expert_gap(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>) {
  %0 = moe.expert %rows by %r : (tensor<?x4xf32>, !moe.routing<3 x 1>) -> tensor<?x4xf32>
  experts 0 to 1 {
  ^bb0(%t: tensor<?x4xf32>):
    moe.yield %t : tensor<?x4xf32>
  // expected-error @+1 {{expected a group that begins with expert 1, where the one before it ends, but got 2}}
  } experts 2 to 3 {
  ^bb0(%t: tensor<?x4xf32>):
    moe.yield %t : tensor<?x4xf32>
  }
  return
}

// -----

func.func @expert_first(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>) {
  // expected-error @+1 {{expects its first group to begin with expert 0, but it begins with 1}}
  %0 = "moe.expert"(%rows, %r) <{bounds = array<i64: 1, 3>, weight_counts = array<i64: 0>}> ({
  ^bb0(%t: tensor<?x4xf32>):
    moe.yield %t : tensor<?x4xf32>
  }) : (tensor<?x4xf32>, !moe.routing<3 x 1>) -> tensor<?x4xf32>
  return
}

// -----

func.func @expert_empty_group(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>) {
  // expected-error @+1 {{expects group #1 to hold at least one expert, but it goes from 3 to 3}}
  %0 = moe.expert %rows by %r : (tensor<?x4xf32>, !moe.routing<3 x 1>) -> tensor<?x4xf32>
  experts 0 to 3 {
  ^bb0(%t: tensor<?x4xf32>):
    moe.yield %t : tensor<?x4xf32>
  } experts 3 to 3 {
  ^bb0(%t: tensor<?x4xf32>):
    moe.yield %t : tensor<?x4xf32>
  }
  return
}

// -----

func.func @expert_cover(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>) {
  // expected-error @+1 {{expects its groups to cover the 3 experts of '!moe.routing<3 x 1>', but they end with 2}}
  %0 = moe.expert %rows by %r : (tensor<?x4xf32>, !moe.routing<3 x 1>) -> tensor<?x4xf32>
  experts 0 to 2 {
  ^bb0(%t: tensor<?x4xf32>):
    moe.yield %t : tensor<?x4xf32>
  }
  return
}

// -----

func.func @expert_no_group(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>) {
  // expected-error @+1 {{expects at least one group of experts}}
  %0 = "moe.expert"(%rows, %r) <{bounds = array<i64: 0>, weight_counts = array<i64>}> : (tensor<?x4xf32>, !moe.routing<3 x 1>) -> tensor<?x4xf32>
  return
}

// -----

func.func @expert_bounds(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>) {
  // expected-error @+1 {{expects 2 bounds and 1 weight counts for its 1 regions, but got 3 and 1}}
  %0 = "moe.expert"(%rows, %r) <{bounds = array<i64: 0, 1, 3>, weight_counts = array<i64: 0>}> ({
  ^bb0(%t: tensor<?x4xf32>):
    moe.yield %t : tensor<?x4xf32>
  }) : (tensor<?x4xf32>, !moe.routing<3 x 1>) -> tensor<?x4xf32>
  return
}

// -----

func.func @expert_weight_counts(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>, %w: tensor<3xf32>) {
  // expected-error @+1 {{expects weight counts that add up to its 1 weights, but they add up to 0}}
  %0 = "moe.expert"(%rows, %r, %w) <{bounds = array<i64: 0, 3>, weight_counts = array<i64: 0>}> ({
  ^bb0(%t: tensor<?x4xf32>):
    moe.yield %t : tensor<?x4xf32>
  }) : (tensor<?x4xf32>, !moe.routing<3 x 1>, tensor<3xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @expert_negative_count(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>, %w: tensor<3xf32>) {
  // expected-error @+1 {{expects weight counts of 0 to 1, but got -1}}
  %0 = "moe.expert"(%rows, %r, %w) <{bounds = array<i64: 0, 3>, weight_counts = array<i64: -1>}> ({
  ^bb0(%t: tensor<?x4xf32>):
    moe.yield %t : tensor<?x4xf32>
  }) : (tensor<?x4xf32>, !moe.routing<3 x 1>, tensor<3xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @expert_weight_size(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>, %w: tensor<2x4xf32>) {
  // expected-error @+1 {{expects weight #0 of group #0 to have a first dimension of 3, the number of experts from 0 to 3, but got 'tensor<2x4xf32>'}}
  %0 = moe.expert %rows by %r : (tensor<?x4xf32>, !moe.routing<3 x 1>) -> tensor<?x4xf32>
  experts 0 to 3 weights(%w : tensor<2x4xf32>) {
  ^bb0(%t: tensor<?x4xf32>, %v: tensor<4xf32>):
    moe.yield %t : tensor<?x4xf32>
  }
  return
}

// -----

func.func @expert_weight_rank(%rows: tensor<?x4xf32>, %r: !moe.routing<1 x 1>, %w: tensor<f32>) {
  // expected-error @+1 {{expects weight #0 of group #0 to have a first dimension of 1, the number of experts from 0 to 1, but got 'tensor<f32>'}}
  %0 = moe.expert %rows by %r : (tensor<?x4xf32>, !moe.routing<1 x 1>) -> tensor<?x4xf32>
  experts 0 to 1 weights(%w : tensor<f32>) {
  ^bb0(%t: tensor<?x4xf32>, %v: tensor<f32>):
    moe.yield %t : tensor<?x4xf32>
  }
  return
}

// -----

func.func @expert_unknown_hidden(%rows: tensor<?x?xf32>, %r: !moe.routing<1 x 1>) {
  // expected-error @+1 {{expects a static hidden size, dimension 1 of rows, but got 'tensor<?x?xf32>'}}
  %0 = moe.expert %rows by %r : (tensor<?x?xf32>, !moe.routing<1 x 1>) -> tensor<?x4xf32>
  experts 0 to 1 {
  ^bb0(%t: tensor<?x4xf32>):
    moe.yield %t : tensor<?x4xf32>
  }
  return
}

// -----

func.func @expert_no_hidden(%rows: tensor<?x0xf32>, %r: !moe.routing<1 x 1>) {
  // expected-error @+1 {{expects the hidden size to be at least 1, dimension 1 of rows, but got 'tensor<?x0xf32>'}}
  %0 = moe.expert %rows by %r : (tensor<?x0xf32>, !moe.routing<1 x 1>) -> tensor<?x0xf32>
  experts 0 to 1 {
  ^bb0(%t: tensor<?x0xf32>):
    moe.yield %t : tensor<?x0xf32>
  }
  return
}

// -----

func.func @expert_empty_weight(%rows: tensor<?x4xf32>, %r: !moe.routing<2 x 1>, %w: tensor<2x3x0xf32>) {
  // expected-error @+1 {{expects weight #0 of group #0 to have elements, but got 'tensor<2x3x0xf32>'}}
  %0 = moe.expert %rows by %r : (tensor<?x4xf32>, !moe.routing<2 x 1>) -> tensor<?x4xf32>
  experts 0 to 2 weights(%w : tensor<2x3x0xf32>) {
  ^bb0(%t: tensor<?x4xf32>, %v: tensor<3x0xf32>):
    moe.yield %t : tensor<?x4xf32>
  }
  return
}

// -----

func.func @expert_row_count(%rows: tensor<6x4xf32>, %r: !moe.routing<1 x 1>) {
  // expected-error @+1 {{expects a result of as many rows as it is given, 6, but got 'tensor<5x4xf32>'}}
  %0 = moe.expert %rows by %r : (tensor<6x4xf32>, !moe.routing<1 x 1>) -> tensor<5x4xf32>
  experts 0 to 1 {
  ^bb0(%t: tensor<?x4xf32>):
    moe.yield %t : tensor<?x4xf32>
  }
  return
}

// -----

func.func @expert_arguments(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>, %w: tensor<3x4xf32>) {
  // expected-error @+1 {{expects the body of group #0 to have 2 arguments (rows of one expert, slice of weight #0), but it has 1}}
  %0 = moe.expert %rows by %r : (tensor<?x4xf32>, !moe.routing<3 x 1>) -> tensor<?x4xf32>
  experts 0 to 3 weights(%w : tensor<3x4xf32>) {
  ^bb0(%t: tensor<?x4xf32>):
    moe.yield %t : tensor<?x4xf32>
  }
  return
}

// -----

func.func @expert_argument_type(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>, %w: tensor<3x4xf32>) {
  // expected-error @+1 {{expects argument #1 of the body of group #0 (slice of weight #0) to be 'tensor<4xf32>', but got 'tensor<3x4xf32>'}}
  %0 = moe.expert %rows by %r : (tensor<?x4xf32>, !moe.routing<3 x 1>) -> tensor<?x4xf32>
  experts 0 to 3 weights(%w : tensor<3x4xf32>) {
  // expected-note @+1 {{argument is here}}
  ^bb0(%t: tensor<?x4xf32>, %v: tensor<3x4xf32>):
    moe.yield %t : tensor<?x4xf32>
  }
  return
}

// -----

func.func @expert_static_rows(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>) {
  // expected-error @+1 {{expects argument #0 of the body of group #0 (rows of one expert) to be 'tensor<?x4xf32>', but got 'tensor<2x4xf32>'}}
  %0 = moe.expert %rows by %r : (tensor<?x4xf32>, !moe.routing<3 x 1>) -> tensor<?x4xf32>
  experts 0 to 3 {
  // expected-note @+1 {{argument is here}}
  ^bb0(%t: tensor<2x4xf32>):
    moe.yield %t : tensor<2x4xf32>
  }
  return
}

// -----

func.func @expert_yield(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>) {
  // expected-error @+1 {{expects the body of group #0 to yield one value of 'tensor<?x8xf32>', but it yields 1 of 'tensor<?x4xf32>'}}
  %0 = moe.expert %rows by %r : (tensor<?x4xf32>, !moe.routing<3 x 1>) -> tensor<?x8xf32>
  experts 0 to 3 {
  ^bb0(%t: tensor<?x4xf32>):
    // expected-note @+1 {{yielded here}}
    moe.yield %t : tensor<?x4xf32>
  }
  return
}

// -----

func.func @expert_no_body(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>) {
  // expected-error @+1 {{expects the body of group #0 to be one block, but it has 0}}
  %0 = moe.expert %rows by %r : (tensor<?x4xf32>, !moe.routing<3 x 1>) -> tensor<?x4xf32>
  experts 0 to 3 {
  }
  return
}

// -----

//===----------------------------------------------------------------------===//
// moe.combine
//===----------------------------------------------------------------------===//

func.func @combine_hidden(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>) {
  // expected-error @+1 {{expects a result of type 'tensor<?x4xf32>', rows like those it sums, but got 'tensor<?x8xf32>'}}
  %0 = moe.combine %rows by %r : tensor<?x4xf32>, !moe.routing<3 x 1> -> tensor<?x8xf32>
  return
}

// -----

func.func @combine_unknown_hidden(%rows: tensor<?x?xf32>, %r: !moe.routing<3 x 1>) {
  // expected-error @+1 {{expects a static hidden size, dimension 1 of rows, but got 'tensor<?x?xf32>'}}
  %0 = moe.combine %rows by %r : tensor<?x?xf32>, !moe.routing<3 x 1> -> tensor<?x8xf32>
  return
}

// -----

func.func @combine_init(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>, %i: tensor<7x4xf32>) {
  // expected-error @+1 {{expects init of the type of the result, 'tensor<?x4xf32>', but got 'tensor<7x4xf32>'}}
  %0 = moe.combine %rows by %r init(%i : tensor<7x4xf32>) : tensor<?x4xf32>, !moe.routing<3 x 1> -> tensor<?x4xf32>
  return
}

// -----

//===----------------------------------------------------------------------===//
// moe.ffn
//===----------------------------------------------------------------------===//

func.func @ffn_unknown_inner(%x: tensor<?x4xf32>, %u: tensor<?x4xf32>, %d: tensor<4x8xf32>) {
  // expected-error @+1 {{expects a static intermediate size, dimension 0 of up, but got 'tensor<?x4xf32>'}}
  %0 = moe.ffn %x up(%u) down(%d) activation(#moe.relu) : (tensor<?x4xf32>, tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @ffn_no_hidden(%x: tensor<?x0xf32>, %u: tensor<8x0xf32>, %d: tensor<4x8xf32>) {
  // expected-error @+1 {{expects the hidden size to be at least 1, dimension 1 of x, but got 'tensor<?x0xf32>'}}
  %0 = moe.ffn %x up(%u) down(%d) activation(#moe.relu) : (tensor<?x0xf32>, tensor<8x0xf32>, tensor<4x8xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @ffn_no_inner(%x: tensor<?x4xf32>, %u: tensor<0x4xf32>, %d: tensor<4x0xf32>) {
  // expected-error @+1 {{expects the intermediate size to be at least 1, dimension 0 of up, but got 'tensor<0x4xf32>'}}
  %0 = moe.ffn %x up(%u) down(%d) activation(#moe.relu) : (tensor<?x4xf32>, tensor<0x4xf32>, tensor<4x0xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @ffn_no_result(%x: tensor<?x4xf32>, %u: tensor<8x4xf32>, %d: tensor<0x8xf32>) {
  // expected-error @+1 {{expects the hidden size to be at least 1, dimension 0 of down, but got 'tensor<0x8xf32>'}}
  %0 = moe.ffn %x up(%u) down(%d) activation(#moe.relu) : (tensor<?x4xf32>, tensor<8x4xf32>, tensor<0x8xf32>) -> tensor<?x0xf32>
  return
}

// -----

func.func @ffn_up(%x: tensor<?x4xf32>, %u: tensor<8x5xf32>, %d: tensor<4x8xf32>) {
  // expected-error @+1 {{expects up of shape IxH = 8x4, with H of x, but got 'tensor<8x5xf32>'}}
  %0 = moe.ffn %x up(%u) down(%d) activation(#moe.relu) : (tensor<?x4xf32>, tensor<8x5xf32>, tensor<4x8xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @ffn_gate(%x: tensor<?x4xf32>, %g: tensor<4x8xf32>, %u: tensor<8x4xf32>, %d: tensor<4x8xf32>) {
  // expected-error @+1 {{expects gate of shape IxH = 8x4, the shape of up, but got 'tensor<4x8xf32>'}}
  %0 = moe.ffn %x gate(%g) up(%u) down(%d) activation(#moe.relu) : (tensor<?x4xf32>, tensor<4x8xf32>, tensor<8x4xf32>, tensor<4x8xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @ffn_down(%x: tensor<?x4xf32>, %u: tensor<8x4xf32>, %d: tensor<8x4xf32>) {
  // expected-error @+1 {{expects down of shape H'xI = 8x8, with I of up, but got 'tensor<8x4xf32>'}}
  %0 = moe.ffn %x up(%u) down(%d) activation(#moe.relu) : (tensor<?x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @ffn_lonely_gate_bias(%x: tensor<?x4xf32>, %u: tensor<8x4xf32>, %d: tensor<4x8xf32>, %b: tensor<8xf32>) {
  // expected-error @+1 {{expects gate_bias only beside gate}}
  %0 = moe.ffn %x up(%u) down(%d) gate_bias(%b) activation(#moe.relu) : (tensor<?x4xf32>, tensor<8x4xf32>, tensor<4x8xf32>, tensor<8xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @ffn_gate_bias(%x: tensor<?x4xf32>, %u: tensor<8x4xf32>, %d: tensor<4x8xf32>, %b: tensor<4xf32>) {
  // expected-error @+1 {{expects gate_bias of shape I = 8, with I of up, but got 'tensor<4xf32>'}}
  %0 = moe.ffn %x gate(%u) up(%u) down(%d) gate_bias(%b) activation(#moe.relu) : (tensor<?x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>, tensor<4x8xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @ffn_up_bias(%x: tensor<?x4xf32>, %u: tensor<8x4xf32>, %d: tensor<4x8xf32>, %b: tensor<4xf32>) {
  // expected-error @+1 {{expects up_bias of shape I = 8, with I of up, but got 'tensor<4xf32>'}}
  %0 = moe.ffn %x up(%u) down(%d) up_bias(%b) activation(#moe.relu) : (tensor<?x4xf32>, tensor<8x4xf32>, tensor<4x8xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @ffn_down_bias(%x: tensor<?x4xf32>, %u: tensor<8x4xf32>, %d: tensor<4x8xf32>, %b: tensor<8xf32>) {
  // expected-error @+1 {{expects down_bias of shape H' = 4, with H' of down, but got 'tensor<8xf32>'}}
  %0 = moe.ffn %x up(%u) down(%d) down_bias(%b) activation(#moe.relu) : (tensor<?x4xf32>, tensor<8x4xf32>, tensor<4x8xf32>, tensor<8xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @ffn_result(%x: tensor<2x4xf32>, %u: tensor<8x4xf32>, %d: tensor<4x8xf32>) {
  // expected-error @+1 {{expects a result of type 'tensor<2x4xf32>', the rows of x times H' of down, but got 'tensor<3x4xf32>'}}
  %0 = moe.ffn %x up(%u) down(%d) activation(#moe.relu) : (tensor<2x4xf32>, tensor<8x4xf32>, tensor<4x8xf32>) -> tensor<3x4xf32>
  return
}

// -----

func.func @ffn_quantised(%x: tensor<?x4xf32>, %u: tensor<8x4xi8>, %d: tensor<4x8xf32>) {
  // expected-error @+1 {{operand #1 must be 2D tensor of 32-bit float or 64-bit float or bfloat16 type or 16-bit float values, but got 'tensor<8x4xi8>'}}
  %0 = moe.ffn %x up(%u) down(%d) activation(#moe.relu) : (tensor<?x4xf32>, tensor<8x4xi8>, tensor<4x8xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @ffn_no_activation(%x: tensor<?x4xf32>, %u: tensor<8x4xf32>, %d: tensor<4x8xf32>) {
  // expected-error @+1 {{expects its activation by an attribute `activation` or by a region `body`, but has neither}}
  %0 = moe.ffn %x up(%u) down(%d) : (tensor<?x4xf32>, tensor<8x4xf32>, tensor<4x8xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @ffn_two_activations(%x: tensor<?x4xf32>, %u: tensor<8x4xf32>, %d: tensor<4x8xf32>) {
  // expected-error @+1 {{expects its activation by an attribute `activation` or by a region `body`, but has both}}
  %0 = moe.ffn %x up(%u) down(%d) activation(#moe.relu) : (tensor<?x4xf32>, tensor<8x4xf32>, tensor<4x8xf32>) -> tensor<?x4xf32> body {
  ^bb0(%v: f32):
    moe.yield %v : f32
  }
  return
}

// -----

func.func @ffn_gated_only(%x: tensor<?x4xf32>, %u: tensor<8x4xf32>, %d: tensor<4x8xf32>) {
  // expected-error @+1 {{expects an activation of (up), but #moe.clamped_swiglu<alpha = 1.702, limit = 7.0, offset = 1.0> takes (gate, up): add gate}}
  %0 = moe.ffn %x up(%u) down(%d) activation(#moe.clamped_swiglu) : (tensor<?x4xf32>, tensor<8x4xf32>, tensor<4x8xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @ffn_not_an_activation(%x: tensor<?x4xf32>, %u: tensor<8x4xf32>, %d: tensor<4x8xf32>) {
  // expected-error @+1 {{invalid kind of attribute specified}}
  %0 = moe.ffn %x up(%u) down(%d) activation(#moe.top_k<2>) : (tensor<?x4xf32>, tensor<8x4xf32>, tensor<4x8xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @ffn_body_arguments(%x: tensor<?x4xf32>, %u: tensor<8x4xf32>, %d: tensor<4x8xf32>) {
  // expected-error @+1 {{expects its body to have 2 arguments (gate, up), but it has 1}}
  %0 = moe.ffn %x gate(%u) up(%u) down(%d) : (tensor<?x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>, tensor<4x8xf32>) -> tensor<?x4xf32> body {
  ^bb0(%v: f32):
    moe.yield %v : f32
  }
  return
}

// -----

func.func @ffn_body_type(%x: tensor<?x4xbf16>, %u: tensor<8x4xbf16>, %d: tensor<4x8xbf16>) {
  // expected-error @+1 {{expects argument #0 of its body (up) to be 'f32', but got 'bf16'}}
  %0 = moe.ffn %x up(%u) down(%d) : (tensor<?x4xbf16>, tensor<8x4xbf16>, tensor<4x8xbf16>) -> tensor<?x4xbf16> body {
  // expected-note @+1 {{argument is here}}
  ^bb0(%v: bf16):
    moe.yield %v : bf16
  }
  return
}

// -----

func.func @ffn_body_yield(%x: tensor<?x4xf32>, %u: tensor<8x4xf32>, %d: tensor<4x8xf32>) {
  // expected-error @+1 {{expects its body to yield one value of 'f32', but it yields 0}}
  %0 = moe.ffn %x up(%u) down(%d) : (tensor<?x4xf32>, tensor<8x4xf32>, tensor<4x8xf32>) -> tensor<?x4xf32> body {
  ^bb0(%v: f32):
    // expected-note @+1 {{yielded here}}
    moe.yield
  }
  return
}

// -----

//===----------------------------------------------------------------------===//
// moe.yield
//===----------------------------------------------------------------------===//

func.func @yield_in_function() {
  // expected-error @+1 {{expects to be in the body of an op such as moe.expert, but is in 'func.func'}}
  moe.yield
}

// -----

//===----------------------------------------------------------------------===//
// moe.routing.*
//===----------------------------------------------------------------------===//

func.func @make_unknown_slots(%i: tensor<?x?xi32>, %w: tensor<?x2xf32>) {
  // expected-error @+1 {{expects a static number of slots, dimension 1 of indices, but got 'tensor<?x?xi32>'}}
  %r = moe.routing.make %i, %w : tensor<?x?xi32>, tensor<?x2xf32> -> !moe.routing<8 x 2>
  return
}

// -----

func.func @make_weights(%i: tensor<3x2xi32>, %w: tensor<4x2xf32>) {
  // expected-error @+1 {{expects weights of the shape of indices, 'tensor<3x2xi32>', but got 'tensor<4x2xf32>'}}
  %r = moe.routing.make %i, %w : tensor<3x2xi32>, tensor<4x2xf32> -> !moe.routing<8 x 2>
  return
}

// -----

func.func @make_slots(%i: tensor<?x4xi32>, %w: tensor<?x4xf32>) {
  // expected-error @+1 {{expects indices of 2 slots for a result of type '!moe.routing<8 x 2>', but got 'tensor<?x4xi32>'}}
  %r = moe.routing.make %i, %w : tensor<?x4xi32>, tensor<?x4xf32> -> !moe.routing<8 x 2>
  return
}

// -----

func.func @make_i64(%i: tensor<?x2xi64>, %w: tensor<?x2xf32>) {
  // expected-error @+1 {{operand #0 must be 2D tensor of 32-bit signless integer values, but got 'tensor<?x2xi64>'}}
  %r = moe.routing.make %i, %w : tensor<?x2xi64>, tensor<?x2xf32> -> !moe.routing<8 x 2>
  return
}

// -----

func.func @make_out_of_range(%w: tensor<2x2xf32>) {
  %i = arith.constant dense<[[0, 1], [7, 8]]> : tensor<2x2xi32>
  // expected-error @+1 {{expects experts from 0 to 7, or -1 for an unused slot, but indices[1, 1] is 8}}
  %r = moe.routing.make %i, %w : tensor<2x2xi32>, tensor<2x2xf32> -> !moe.routing<8 x 2>
  return
}

// -----

func.func @make_negative(%w: tensor<2x2xf32>) {
  %i = arith.constant dense<-2> : tensor<2x2xi32>
  // expected-error @+1 {{expects experts from 0 to 7, or -1 for an unused slot, but indices[0, 0] is -2}}
  %r = moe.routing.make %i, %w : tensor<2x2xi32>, tensor<2x2xf32> -> !moe.routing<8 x 2>
  return
}

// -----

func.func @make_twice(%w: tensor<2x2xf32>) {
  %i = arith.constant dense<[[3, 4], [4, 4]]> : tensor<2x2xi32>
  // expected-error @+1 {{expects each expert once in a token, but indices[1, 1] repeats 4}}
  %r = moe.routing.make %i, %w : tensor<2x2xi32>, tensor<2x2xf32> -> !moe.routing<8 x 2>
  return
}

// -----

func.func @indices_slots(%r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{expects a result of type 'tensor<?x2xi32>', one row of slots for each token, but got 'tensor<?x3xi32>'}}
  %0 = moe.routing.indices %r : !moe.routing<8 x 2> -> tensor<?x3xi32>
  return
}

// -----

func.func @indices_unknown_slots(%r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{expects a static number of slots, dimension 1 of the result, but got 'tensor<?x?xi32>'}}
  %0 = moe.routing.indices %r : !moe.routing<8 x 2> -> tensor<?x?xi32>
  return
}

// -----

func.func @weights_slots(%r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{expects a result of type 'tensor<?x2xf32>', one row of slots for each token, but got 'tensor<?x3xf32>'}}
  %0 = moe.routing.weights %r : !moe.routing<8 x 2> -> tensor<?x3xf32>
  return
}

// -----

func.func @offsets_size(%r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{expects a result of type 'tensor<9xi32>', one for each expert and the total, but got 'tensor<8xi32>'}}
  %0 = moe.routing.offsets %r : !moe.routing<8 x 2> -> tensor<8xi32>
  return
}

// -----

func.func @tokens_type(%r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{result #0 must be 1D tensor of 32-bit signless integer values, but got 'tensor<?xi64>'}}
  %0 = moe.routing.tokens %r : !moe.routing<8 x 2> -> tensor<?xi64>
  return
}

// -----

func.func @append_uneven(%r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{expects a result with as many more experts as more slots than '!moe.routing<8 x 2>', but got '!moe.routing<10 x 3>'}}
  %0 = moe.routing.append %r : !moe.routing<8 x 2> -> !moe.routing<10 x 3>
  return
}

// -----

func.func @append_fewer(%r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{expects a result with as many more experts as more slots than '!moe.routing<8 x 2>', but got '!moe.routing<7 x 1>'}}
  %0 = moe.routing.append %r : !moe.routing<8 x 2> -> !moe.routing<7 x 1>
  return
}

// -----

func.func @append_weights(%r: !moe.routing<8 x 2>, %w: tensor<?x2xf32>) {
  // expected-error @+1 {{expects weights of type 'tensor<?x1xf32>', one for each token and appended expert, but got 'tensor<?x2xf32>'}}
  %0 = moe.routing.append %r weights(%w : tensor<?x2xf32>) : !moe.routing<8 x 2> -> !moe.routing<9 x 3>
  return
}

// -----

func.func @append_unknown_weights(%r: !moe.routing<8 x 2>, %w: tensor<?x?xf32>) {
  // expected-error @+1 {{expects a static number of appended experts, dimension 1 of weights, but got 'tensor<?x?xf32>'}}
  %0 = moe.routing.append %r weights(%w : tensor<?x?xf32>) : !moe.routing<8 x 2> -> !moe.routing<9 x 3>
  return
}

// -----

func.func @limit_zero(%r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{expects a capacity of at least 1, but got 0; a layer that drops nothing needs no limit}}
  %0 = moe.routing.limit %r capacity 0 : !moe.routing<8 x 2>
  return
}

// -----

func.func @limit_negative(%r: !moe.routing<8 x 2>) {
  // expected-error @+1 {{expects a capacity of at least 1, but got -3}}
  %0 = moe.routing.limit %r capacity -3 : !moe.routing<8 x 2>
  return
}
