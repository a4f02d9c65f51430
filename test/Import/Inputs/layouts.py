"""How checkpoints of Hugging Face hold the weights of a layer.

A layout is a function from the weights of a layer, under the names that its IR
has for them, to the tensors of a checkpoint. They were written from what
transformers saves, and from the renamings that it loads released files with.
"""

import numpy as np

PROJ = ("gate_proj", "up_proj", "down_proj")
W132 = ("w1", "w3", "w2")


def per_expert(w, prefix, names=PROJ, stem="experts.{e}.{m}.weight"):
    """One matrix an expert and kind; kinds that there are not are left out."""
    return {prefix + stem.format(e=e, m=name): tensor
            for kind, name in zip(PROJ, names) if f"experts.{kind}" in w
            for e, tensor in enumerate(w[f"experts.{kind}"])}


def fused(w, prefix, transposed=False, interleaved=False, up="experts.gate_up_proj",
          down="experts.down_proj", kind="experts"):
    """Gate and up one behind the other, or row by row; axes 1 and 2 exchanged."""
    gate, other = w[f"{kind}.gate_proj"], w[f"{kind}.up_proj"]
    both = np.concatenate([gate, other], 1)
    if interleaved:
        both = np.stack([gate, other], 2).reshape(both.shape)
    last = w[f"{kind}.down_proj"]
    if transposed:
        both, last = both.transpose(0, 2, 1), last.transpose(0, 2, 1)
    return {prefix + up: both, prefix + down: last}


def common(prefix="model.layers.{l}.mlp.", router="gate.weight", bias="gate.e_score_correction_bias",
           experts=per_expert, shared="shared_experts.", kinds=PROJ, more=(), **options):
    """The layout of most: a router, experts, a shared one. `more` pairs further
    weights with their names."""
    def layout(w, layer):
        at = prefix.format(l=layer)
        tensors = {at + router: w["router.weight"], **experts(w, at, **options)}
        if "router.correction_bias" in w:
            tensors[at + bias] = w["router.correction_bias"]
        for kind, name in zip(PROJ, kinds):
            if f"shared.{kind}" in w:
                tensors[f"{at}{shared}{name}.weight"] = w[f"shared.{kind}"]
        if "shared.gate" in w:
            tensors[at + "shared_expert_gate.weight"] = w["shared.gate"]
        for weight, name in more:
            if weight in w:
                tensors[at + name] = w[weight]
        return tensors
    return layout


def granite(w, layer):
    at = f"model.layers.{layer}."
    tensors = {at + "block_sparse_moe.router.layer.weight": w["router.weight"],
               **fused(w, at + "block_sparse_moe.", up="input_linear.weight", down="output_linear.weight")}
    if "shared.up_proj" in w:
        tensors[at + "shared_mlp.input_linear.weight"] = np.concatenate(
            [w["shared.gate_proj"], w["shared.up_proj"]])
        tensors[at + "shared_mlp.output_linear.weight"] = w["shared.down_proj"]
    return tensors


def with_rows(layout, rows):
    """The correction bias as the first of some rows."""
    def of(w, layer):
        tensors = layout(w, layer)
        for name in list(tensors):
            if name.endswith("e_score_correction_bias"):
                bias = tensors[name]
                tensors[name] = np.stack([bias] + [bias + 1 + i for i in range(rows - 1)])
        return tensors
    return of


def inkling(w, layer):
    at = f"model.llm.layers.{layer}.mlp."
    tensors = {at + "gate.weight": w["router.weight"], at + "gate.bias": w["router.correction_bias"],
               **fused(w, at, interleaved=True, up="experts.w13_weight", down="experts.w2_weight")}
    if "router.global_scale" in w:
        tensors[at + "gate.global_scale"] = w["router.global_scale"]
        tensors.update(fused(w, at, interleaved=True, up="shared_experts.shared_w13_weight",
                             down="shared_experts.shared_w2_weight", kind="shared"))
    return tensors


def deepseek_v4(w, layer):
    at = f"layers.{layer}.ffn."
    tensors = common("layers.{l}.ffn.", bias="gate.bias", names=W132, kinds=W132)(w, layer)
    if "router.table" in w:
        tensors[at + "gate.tid2eid"] = w["router.table"].astype(np.int64)
    return tensors


def privacy_filter(w, layer):
    at = f"model.layers.{layer}.mlp."
    return {at + "router.weight": w["router.weight"], at + "router.bias": w["router.bias"],
            **fused(w, at, transposed=True),
            at + "experts.gate_up_proj_bias": np.concatenate(
                [w["experts.gate_proj_bias"], w["experts.up_proj_bias"]], 1),
            at + "experts.down_proj_bias": w["experts.down_proj_bias"]}


def gpt_oss(w, layer):
    at = f"model.layers.{layer}.mlp."
    biases = np.stack([w["experts.gate_proj_bias"], w["experts.up_proj_bias"]], 2)
    return {**privacy_filter(w, layer), **fused(w, at, transposed=True, interleaved=True),
            at + "experts.gate_up_proj_bias": biases.reshape(len(biases), -1)}


def step(w, layer):
    at = f"model.layers.{layer}."
    return {at + "moe.gate.weight": w["router.weight"], at + "moe.router_bias": w["router.correction_bias"],
            **{f"{at}moe.{kind}.weight": w[f"experts.{kind}"] for kind in PROJ},
            **{f"{at}share_expert.{kind}.weight": w[f"shared.{kind}"] for kind in PROJ}}


def kolibri(w, layer):
    tensors = common()(w, layer)
    bias = tensors.pop(f"model.layers.{layer}.mlp.gate.e_score_correction_bias")
    return {**tensors, f"model.layers.{layer}.moe.router.expert_bias": bias}


LANGUAGE = "model.language_model.layers.{l}."
SPARSE = "model.layers.{l}.block_sparse_moe."
mixtral = common(SPARSE, names=W132)
LAYOUTS = {
    "bailing_hybrid": common(bias="gate.expert_bias"),
    "sarvam_moe": common(bias="gate.expert_bias"),
    "exaone_moe": common(bias="e_score_correction_bias"),
    "kimi_linear": common(SPARSE, names=W132),
    "kimi_k25": common("language_model.model.layers.{l}.mlp."),
    "hy_v3": common(router="router.gate.weight", bias="expert_bias", shared="shared_mlp."),
    "afmoe": common(router="router.gate.weight", bias="expert_bias"),
    "mistral_large4": common("layers.{l}.", names=W132, kinds=W132),
    "deepseek_v4": deepseek_v4,
    "qwen2_moe": common(shared="shared_expert."),
    "qwen3_next": common(shared="shared_expert."),
    "qwen3_5_moe": common(LANGUAGE + "mlp.", experts=fused, shared="shared_expert."),
    "qwen4_exp": common(LANGUAGE + "mlp.", experts=fused, shared="shared_expert."),
    "qwen3_vl_moe": common(LANGUAGE + "mlp.", experts=fused, transposed=True),
    "qwen3_omni_moe": common("thinker.model.layers.{l}.mlp."),
    "lara_mini": common(shared="shared_expert."),
    "flint": common(shared="shared_expert."),
    "laguna": common(bias="experts.e_score_correction_bias", shared="shared_expert."),
    "kolibri1": kolibri,
    "minimax_m2": common(SPARSE, bias="e_score_correction_bias", names=W132),
    "minimax_m3": common("language_model.model.layers.{l}.block_sparse_moe.",
                         bias="e_score_correction_bias", names=W132),
    "step3p5": step,
    "inkling2": inkling, "inkling2_loop": inkling, "inkling_text": inkling,
    "lfm2_moe": common("model.layers.{l}.feed_forward.", bias="expert_bias", names=W132),
    "ernie4_5_moe": with_rows(common(bias="moe_statics.e_score_correction_bias"), 1),
    "ernie4_5_vl_moe": with_rows(common(bias="moe_statics.e_score_correction_bias"), 2),
    "mixtral": mixtral, "minimax": mixtral, "grok-1": mixtral,
    "granitemoe": granite, "granitemoeshared": granite, "granitemoehybrid": granite,
    "granitemoe_swa": granite,
    "hunyuan_v1_moe": common(router="gate.wg.weight", shared="shared_mlp."),
    "aria_text": common("language_model.model.layers.{l}.mlp.", router="router.weight", experts=fused,
                        transposed=True, up="experts.fc1.weight", down="experts.fc2.weight"),
    "gpt_oss": gpt_oss, "openai_privacy_filter": privacy_filter,
    "jetmoe": common(router="router.layer.weight", experts=fused, up="input_linear.weight",
                     down="output_linear.weight", more=(("output.bias", "bias"),)),
    "gemma4_text": common(LANGUAGE, router="router.proj.weight", experts=fused,
                          more=(("router.scale", "router.scale"),
                                ("router.per_expert_scale", "router.per_expert_scale"))),
    "diffusion_gemma": common("model.layers.{l}.", router="router.proj.weight", experts=fused,
                              more=(("router.scale", "router.scale"),
                                    ("router.per_expert_scale", "router.per_expert_scale"))),
    "nemotron_h": common("backbone.layers.{l}.mixer.",
                         more=(("latent.down", "fc1_latent_proj.weight"),
                               ("latent.up", "fc2_latent_proj.weight"))),
    "longcat_flash": common(router="router.classifier.weight", bias="router.e_score_correction_bias"),
    "muse_spark_text": common(experts=fused, more=(
        ("latent.down", "pre_expert_proj.weight"), ("latent.norm", "pre_expert_norm.weight"),
        ("latent.up", "post_expert_proj.weight"),
        ("experts.norm", "experts.post_expert_norm.weight"))),
}


def store(name, w, layer):
    """The tensors of a checkpoint of the model type `name`."""
    return LAYOUTS.get(name, common())(w, layer)
